/* SPDX-License-Identifier: BSD-2-Clause */
/* Libraries that are used where they are there, by dlopen(). They stay loaded. */
#include "optional.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* The few functions of libblkid that are needed. */
struct blkid {
	void *(*new_probe)(const char *path);
	int (*safe_probe)(void *probe);
	int (*lookup)(void *probe, const char *name, const char **data, size_t *length);
	void (*free_probe)(void *probe);
};

/* A pointer to a function, from one to anything: by its bytes, since C has no conversion. */
static bool find(void *library, const char *name, void *ret_function)
{
	void *found = dlsym(library, name);

	memcpy(ret_function, &found, sizeof(found));
	return found != NULL;
}

static bool load_blkid(struct blkid *blkid)
{
	void *library = dlopen("libblkid.so.1", RTLD_NOW | RTLD_LOCAL);

	return library != NULL &&
	       find(library, "blkid_new_probe_from_filename", &blkid->new_probe) &&
	       find(library, "blkid_do_safeprobe", &blkid->safe_probe) &&
	       find(library, "blkid_probe_lookup_value", &blkid->lookup) &&
	       find(library, "blkid_free_probe", &blkid->free_probe);
}

bool blkid_word(const char *path, char *ret_word, size_t room)
{
	const char *word = NULL;
	struct blkid blkid;
	bool known = false;
	void *probe;

	if (!load_blkid(&blkid))
		return false;
	probe = blkid.new_probe(path);
	if (probe == NULL)
		return false;
	if (blkid.safe_probe(probe) == 0)
		known = blkid.lookup(probe, "TYPE", &word, NULL) == 0 ||
			blkid.lookup(probe, "PTTYPE", &word, NULL) == 0;
	if (known)
		snprintf(ret_word, room, "%s", word);
	blkid.free_probe(probe);
	return known;
}

lz4_fn lz4_decompressor(void)
{
	void *library = dlopen("liblz4.so.1", RTLD_NOW | RTLD_LOCAL);
	lz4_fn decompress = NULL;

	if (library == NULL || !find(library, "LZ4_decompress_safe", &decompress))
		return NULL;
	return decompress;
}
