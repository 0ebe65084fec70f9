/* SPDX-License-Identifier: BSD-2-Clause */
/* Loading the libraries that bring URI schemes. */
#include "schemes.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* What a library brings, and how it is told to register that. */
struct bringer {
	const char *library;
	const char *package; /* of Debian */
	const char *function;
	const char *schemes[8]; /* up to NULL */
};

static const struct bringer bringers[] = {
	{ "libuds-nbd.so.0",
	  "libuds-nbd0",
	  "uds_nbd_register_schemes",
	  { "nbd", "nbds", "nbd+unix", "nbds+unix", "nbd+vsock", "nbds+vsock" } },
	{ "libuds-rbd.so.0", "libuds-rbd0", "uds_rbd_register_schemes", { "rbd" } },
};

#define BRINGERS (sizeof(bringers) / sizeof(bringers[0]))

static const char *const built_in[] = { "file", "mem", "concat", "vdo", "lvm" };

bool has_known_scheme(const char *name)
{
	size_t length = strcspn(name, ":/");

	if (name[length] != ':')
		return false;
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		if (strlen(built_in[i]) == length && strncmp(name, built_in[i], length) == 0)
			return true;
	}
	for (size_t i = 0; i < BRINGERS; i++) {
		for (const char *const *scheme = bringers[i].schemes; *scheme != NULL; scheme++) {
			if (strlen(*scheme) == length && strncmp(name, *scheme, length) == 0)
				return true;
		}
	}
	return false;
}

static bool is_in_name(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '-' || c == '.';
}

/* Whether the text names the scheme: at its beginning, or where another URI stands in it. */
static bool names_scheme(const char *text, const char *scheme)
{
	size_t length = strlen(scheme);

	for (const char *at = strstr(text, scheme); at != NULL; at = strstr(at + 1, scheme)) {
		if (at[length] == ':' && (at == text || !is_in_name(at[-1])))
			return true;
	}
	return false;
}

/* The scheme of the library that the URI names; NULL: none. */
static const char *named_scheme(const struct bringer *bringer, const char *uri)
{
	/* A path has no colon before its first slash, and names no scheme at all. */
	if (uri[strcspn(uri, ":/")] != ':')
		return NULL;
	for (size_t i = 0; bringer->schemes[i] != NULL; i++) {
		if (names_scheme(uri, bringer->schemes[i]))
			return bringer->schemes[i];
	}
	return NULL;
}

static void *load(const char *library)
{
	void *loaded = dlopen(library, RTLD_NOW | RTLD_LOCAL);
	char path[4096];

	if (loaded != NULL)
		return loaded;
	/* Beside libuds, where the system's list of libraries does not have that folder. */
	snprintf(path, sizeof(path), "%s/%s", LIBRARY_FOLDER, library);
	return dlopen(path, RTLD_NOW | RTLD_LOCAL);
}

/* Loads the library, and lets it register its schemes; false: why is in the message. */
static bool bring(const struct bringer *bringer, struct uds_message *message)
{
	int (*registers)(struct uds_message * ret_message) = NULL;
	void *library = load(bringer->library), *found;

	if (library == NULL) {
		snprintf(message->text, sizeof(message->text), "%.400s", dlerror());
		return false;
	}
	found = dlsym(library, bringer->function);
	/* By its bytes, since C has no conversion. */
	memcpy(&registers, &found, sizeof(registers));
	if (registers == NULL) {
		snprintf(message->text, sizeof(message->text), "it has no %s", bringer->function);
		return false;
	}
	return registers(message) == 0;
}

/* Loads what the URI needs. Returns 0, or -EINVAL with a sentence. */
static int bring_schemes(const char *uri, struct uds_message *message)
{
	struct uds_message why = { "" };

	for (size_t i = 0; i < BRINGERS; i++) {
		const char *scheme = named_scheme(&bringers[i], uri);

		if (scheme == NULL || bring(&bringers[i], &why))
			continue;
		snprintf(message->text, sizeof(message->text),
			 "%.150s: the scheme '%s' is brought by %s, which cannot be loaded "
			 "(Debian: package %s): %.150s",
			 uri, scheme, bringers[i].library, bringers[i].package, why.text);
		return -EINVAL;
	}
	return 0;
}

int open_uri(const char *uri, const struct uds_io_file_options *options, const struct uds_env *env,
	     struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_message missing = { "" }, said = { "" };
	int lacking = bring_schemes(uri, &missing);
	int r = uds_io_open_uri(uri, options, env, &said, ret_io);

	if (ret_message == NULL || r == 0)
		return r;
	/* Only where that is why it failed: a URI may name a scheme in some other place. */
	if (lacking < 0 && strstr(said.text, "unknown scheme") != NULL)
		*ret_message = missing;
	else if (said.text[0] != '\0')
		*ret_message = said;
	return r;
}
