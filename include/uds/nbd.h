/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O backend for network block devices, in a library of its own: libuds-nbd, which stands on
 * libnbd. Link it with `pkg-config --libs libuds-nbd`.
 *
 * An export of an NBD server becomes a struct uds_io: an index or a snapshot on it is used like one
 * on a file. What a flush has not yet made durable is kept in memory, and sent again when the
 * connection is lost and made again; an export that is not the same any more is never written.
 * libuds_nbd(3) says how, and what NBD cannot give: there is no lock against a second writer.
 */
#ifndef UDS_NBD_H
#define UDS_NBD_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most connections of one I/O. */
#define UDS_NBD_CONNECTIONS_MAX 16u

/* The least and the most memory for writes that are not flushed: 1 MiB and 4 GiB. */
#define UDS_NBD_UNFLUSHED_MIN (UINT64_C(1) << 20)
#define UDS_NBD_UNFLUSHED_MAX (UINT64_C(1) << 32)

struct uds_nbd_options {
	uint64_t size; /* of this struct: set by UDS_NBD_OPTIONS_INIT */
	bool write;
	uint8_t unused[3]; /* ignored */

	/*
	 * The most connections, 1 to UDS_NBD_CONNECTIONS_MAX. More than one are made only where the
	 * server says that a flush on one of them covers all.
	 */
	uint32_t connections;

	uint32_t connect_ms; /* the most milliseconds that one attempt to connect takes; not 0 */

	/*
	 * The most milliseconds that the server may take to answer a request; not 0. After that the
	 * I/O fails for good, as the server may still carry the request out at any time.
	 */
	uint32_t answer_ms;

	/*
	 * For how many milliseconds a lost connection is made again before the I/O fails for good;
	 * 0: not at all. Requests wait meanwhile.
	 */
	uint32_t reconnect_ms;

	/*
	 * The most bytes of writes that no flush has made durable, UDS_NBD_UNFLUSHED_MIN to
	 * UDS_NBD_UNFLUSHED_MAX. When half of it is used the backend flushes by itself; when all of
	 * it is, writes wait for that.
	 */
	uint64_t unflushed_bytes;
};

#define UDS_NBD_OPTIONS_INIT                                                                    \
	{                                                                                       \
		sizeof(struct uds_nbd_options), false, { 0 }, 4, 10000, 60000, 60000, 64u << 20 \
	}

/*
 * Opens an export of an NBD server.
 *
 * @uri: as libnbd has them (nbd_connect_uri(3)): "nbd://HOST:PORT/EXPORT",
 *	"nbd+unix:///EXPORT?socket=PATH", with TLS "nbds://HOST/EXPORT?tls-certificates=FOLDER".
 * @options: may be NULL: read-only, and the defaults of UDS_NBD_OPTIONS_INIT.
 * @env: memory and log; may be NULL. What happens to the connection is logged: that it was lost,
 *	that it is there again, and why the I/O has failed for good.
 *
 * Returns 0, or
 *   -EINVAL          the URI is none of libnbd's; an option out of its range
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -EROFS           write, and the server exports it read-only
 *   -EOPNOTSUPP      write, and the server can neither flush nor write durably
 *   -ETIMEDOUT       no connection within connect_ms
 *   -EPROTO          a wrong certificate, or an answer that is not NBD's
 *   -ENOENT, ...     what the system, libnbd or the server said
 *   -ENOMEM
 *
 * Threads: any. Since 0.2.
 */
int uds_nbd_open(const char *uri, const struct uds_nbd_options *options, const struct uds_env *env,
		 struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Registers the schemes nbd, nbds, nbd+unix, nbds+unix, nbd+vsock and nbds+vsock with
 * uds_io_register_scheme(), so that uds_io_open_uri() opens them, also within the URIs of other
 * schemes. Their URIs take, beside what libnbd's have, connections=N, connect=SECONDS,
 * answer=SECONDS, reconnect=SECONDS and unflushed=BYTES. Registering them again does nothing.
 *
 * Returns 0, or
 *   UDS_ERR_EXISTS   a scheme of one of these names is there, from elsewhere
 *   UDS_ERR_NO_ROOM  there are too many schemes
 *
 * Threads: any. Since 0.2.
 */
int uds_nbd_register_schemes(struct uds_message *ret_message);

#ifdef __cplusplus
}
#endif

#endif
