/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * convert_file FILE OFFSET: converts a cleanly saved index that begins at OFFSET of a file
 * (uds-format, 19.6), cuts the first block from the file, and prints where the index begins now.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "convert.h"

#define CUT UINT64_C(4096)

static uint8_t *read_all(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *bytes = NULL;
	long size = -1;

	if (file == NULL)
		return NULL;
	if (fseek(file, 0, SEEK_END) == 0)
		size = ftell(file);
	rewind(file);
	if (size > (long)CUT)
		bytes = malloc((size_t)size);
	if (bytes != NULL && fread(bytes, 1, (size_t)size, file) != (size_t)size) {
		free(bytes);
		bytes = NULL;
	}
	fclose(file);
	*ret_size = (size_t)size;
	return bytes;
}

static bool write_all(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	bool good;

	if (file == NULL)
		return false;
	good = fwrite(bytes, 1, size, file) == size;
	return fclose(file) == 0 && good;
}

int main(int argc, char **argv)
{
	struct timespec now;
	uint64_t offset;
	uint8_t *bytes;
	size_t size;
	bool good;

	if (argc != 3)
		return 2;
	bytes = read_all(argv[1], &size);
	if (bytes == NULL)
		return 1;
	clock_gettime(CLOCK_REALTIME, &now);
	/* Later than the save that the index has. */
	offset = convert_image(bytes, strtoull(argv[2], NULL, 10), CUT,
			       (uint64_t)now.tv_sec * 1000 + 2000);
	good = write_all(argv[1], bytes + CUT, size - CUT);
	free(bytes);
	if (!good)
		return 1;
	printf("%" PRIu64 "\n", offset);
	return 0;
}
