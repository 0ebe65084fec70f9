/* SPDX-License-Identifier: BSD-2-Clause */
/* The place of an export, by the address that its connection really has. */
#include "nbd/place.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "common/hash.h"

/* A socket file is named by what it is, so that any path to it counts. */
static uint64_t hash_unix(const struct sockaddr_un *address, size_t length)
{
	struct stat info;

	if (length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] != '\0' &&
	    stat(address->sun_path, &info) == 0)
		return hash_bytes(hash_bytes(HASH_START, &info.st_dev, sizeof(info.st_dev)),
				  &info.st_ino, sizeof(info.st_ino));
	return hash_bytes(HASH_START, address, length);
}

bool place_of_export(struct nbd_handle *handle, struct uds_io_place *ret_place)
{
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_storage room;
	} address;
	socklen_t length = sizeof(address);
	char *name = nbd_get_export_name(handle);
	bool known;

	memset(&address, 0, sizeof(address));
	known = name != NULL && getpeername(nbd_aio_get_fd(handle), &address.any, &length) == 0;
	if (known) {
		memset(ret_place, 0, sizeof(*ret_place));
		ret_place->kind = UDS_IO_PLACE_OTHER;
		ret_place->device = address.any.sa_family == AF_UNIX
					    ? hash_unix(&address.local, length)
					    : hash_bytes(HASH_START, &address, length);
		ret_place->object = hash_bytes(HASH_START, name, strlen(name));
		ret_place->length = UINT64_MAX;
	}
	free(name);
	return known;
}
