/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs every input of the corpora through its target, without a fuzzer: what once was found stays
 * mended, under any compiler. With arguments, TARGET FILE..., runs these.
 *
 * Each input is also run cut at some places and with bytes changed, always the same ones, so that
 * this alone would find what is wrong with most inputs; UDS_TEST_SCALE makes there be more of them.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scale.h"
#include "targets.h"

#define CHANGED	   8u
#define MOST_BYTES (1u << 20)

static const struct target {
	const char *name;
	void (*run)(const uint8_t *bytes, size_t size);
} targets[] = {
#define FUZZ_ROW(name) { #name, fuzz_##name },
	FUZZ_TARGETS(FUZZ_ROW)
#undef FUZZ_ROW
};

#define TARGETS (sizeof(targets) / sizeof(targets[0]))

static uint8_t *read_input(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = malloc(MOST_BYTES);

	if (file == NULL || bytes == NULL) {
		perror(path);
		exit(1);
	}
	*ret_size = fread(bytes, 1, MOST_BYTES, file);
	fclose(file);
	return bytes;
}

/* In memory of its exact size, so that a sanitizer sees each byte behind it. */
static void run(const struct target *target, const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size > 0 ? size : 1);

	if (exact == NULL)
		exit(1);
	memcpy(exact, bytes, size);
	target->run(exact, size);
	free(exact);
}

static void run_changed(const struct target *target, uint8_t *bytes, size_t size)
{
	uint64_t random = size + 1;

	for (unsigned int i = 0; size > 0 && i < test_scaled(CHANGED); i++) {
		size_t at;
		uint8_t was;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		/* Mostly near the front, where the structure is. */
		at = (size_t)(random >> 33) % (i % 2 == 0 || size < 64 ? size : 64);
		was = bytes[at];
		bytes[at] = (uint8_t)(i % 3 == 0 ? 0xff : random >> 20);
		run(target, bytes, size);
		bytes[at] = was;
		if (i % 4 == 0)
			run(target, bytes, at);
	}
}

static unsigned long run_file(const struct target *target, const char *path)
{
	size_t size;
	uint8_t *bytes = read_input(path, &size);

	run(target, bytes, size);
	run_changed(target, bytes, size);
	free(bytes);
	return 1;
}

/* Returns how many inputs there were. */
static unsigned long run_corpus(const struct target *target, const char *corpora)
{
	char path[5000];
	unsigned long count = 0;
	struct dirent *entry;
	DIR *folder;
	size_t end;

	snprintf(path, sizeof(path), "%s/%s", corpora, target->name);
	end = strlen(path);
	folder = opendir(path);
	if (folder == NULL)
		return 0;
	while ((entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path + end, sizeof(path) - end, "/%s", entry->d_name);
		count += run_file(target, path);
	}
	closedir(folder);
	return count;
}

static int run_given(int argc, char **argv)
{
	for (size_t i = 0; i < TARGETS; i++) {
		if (strcmp(targets[i].name, argv[1]) != 0)
			continue;
		for (int j = 2; j < argc; j++)
			run_file(&targets[i], argv[j]);
		return 0;
	}
	fprintf(stderr, "no such target: %s\n", argv[1]);
	return 1;
}

int main(int argc, char **argv)
{
	const char *source = getenv("UDS_SRCDIR");
	unsigned int failed = 0;
	char corpora[4096];

	if (argc > 1)
		return run_given(argc, argv);
	snprintf(corpora, sizeof(corpora), "%s/tests/fuzz/corpus", source != NULL ? source : ".");
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < TARGETS; i++) {
		unsigned long count = run_corpus(&targets[i], corpora);

		/* A target without a corpus is one that nobody looked after. */
		printf("%s: %s, %lu inputs\n", count > 0 ? "passed" : "FAILED", targets[i].name,
		       count);
		failed += count == 0;
	}
	printf("result: %u passed, %u failed, 0 skipped\n", (unsigned int)TARGETS - failed, failed);
	return failed > 0;
}
