/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting to a cluster, with an end to waiting for it. */
#include "rbd/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <rbd/librbd.h>

#include "base/message.h"
#include "common/signals.h"

static uint32_t seconds(uint32_t ms)
{
	return ms / 1000 + (ms % 1000 > 0);
}

static void set_seconds(struct cluster *cluster, const char *option, uint32_t ms)
{
	char text[20];

	snprintf(text, sizeof(text), "%" PRIu32, seconds(ms));
	/* Known to every release: it cannot fail. */
	(void)rados_conf_set(cluster->rados, option, text);
}

/* What the backend needs, whatever the configuration says. */
static void set_options(struct cluster *cluster, const struct uds_rbd_options *options)
{
	/* A library does not write to the program's output. */
	(void)rados_conf_set(cluster->rados, "log_to_stderr", "false");
	(void)rados_conf_set(cluster->rados, "err_to_stderr", "false");
	(void)rados_conf_set(cluster->rados, "log_stderr_prefix", "");
	/* The library caches by itself, and other clients are to see what was written. */
	(void)rados_conf_set(cluster->rados, "rbd_cache", "false");
	/* A writer that is gone, and whose lock is taken, must not come back. */
	(void)rados_conf_set(cluster->rados, "rbd_blocklist_on_break_lock", "true");
	set_seconds(cluster, "client_mount_timeout", options->connect_ms);
	set_seconds(cluster, "rados_mon_op_timeout", options->connect_ms);
	cluster_set_patience(cluster, options->connect_ms);
}

void cluster_set_patience(struct cluster *cluster, uint32_t ms)
{
	set_seconds(cluster, "rados_osd_op_timeout", ms);
}

static int read_configuration(struct cluster *cluster, const char *name,
			      const struct uds_rbd_options *options, struct uds_message *message)
{
	int r = rados_conf_read_file(cluster->rados, options->conf);

	/* Without any file the environment may say all that is needed. */
	if (r == -ENOENT && options->conf == NULL)
		r = 0;
	if (r < 0)
		return failure(message, r, "%s: the configuration %s cannot be read: %s", name,
			       options->conf != NULL ? options->conf : "of Ceph", uds_strerror(r));
	r = rados_conf_parse_env(cluster->rados, NULL);
	if (r < 0)
		return failure(message, r, "%s: CEPH_ARGS: %s", name, uds_strerror(r));
	set_options(cluster, options);
	return 0;
}

static int connect_failure(const char *name, const char *id, uint32_t connect_ms, int status,
			   struct uds_message *message)
{
	if (status == -ETIMEDOUT)
		return failure(message, status,
			       "%s: no monitor of the cluster has answered within %" PRIu32
			       " seconds",
			       name, seconds(connect_ms));
	if (status == -ENOENT)
		return failure(message, status,
			       "%s: the configuration names no monitor, or there is no keyring for "
			       "client.%s",
			       name, id);
	if (status == -EACCES || status == -EPERM)
		return failure(message, status, "%s: the cluster does not let client.%s in", name,
			       id);
	return failure(message, status, "%s: connecting to the cluster as client.%s: %s", name, id,
		       uds_strerror(status));
}

static int connect_cluster(struct cluster *cluster, const char *name, const char *id,
			   uint32_t connect_ms, struct uds_message *message)
{
	sigset_t before;
	int r;

	/* For the threads that it starts. */
	signals_block(&before);
	r = rados_connect(cluster->rados);
	signals_restore(&before);
	return r < 0 ? connect_failure(name, id, connect_ms, r, message) : 0;
}

static int enter_namespace(struct cluster *cluster, const char *name, const char *pool,
			   const char *space, struct uds_message *message)
{
	bool exists = false;
	int r = rbd_namespace_exists(cluster->pool, space, &exists);

	if (r == 0 && !exists)
		r = -ENOENT;
	if (r < 0)
		return failure(message, r, "%s: the namespace %s of the pool %s: %s", name, space,
			       pool, uds_strerror(r));
	rados_ioctx_set_namespace(cluster->pool, space);
	return 0;
}

static int open_pool(struct cluster *cluster, const char *name, const char *pool,
		     const struct uds_rbd_options *options, struct uds_message *message)
{
	int r = rados_ioctx_create(cluster->rados, pool, &cluster->pool);

	if (r < 0) {
		cluster->pool = NULL;
		return failure(message, r, "%s: the pool %s: %s", name, pool,
			       r == -ENOENT ? "the cluster has none of that name"
					    : uds_strerror(r));
	}
	/* Otherwise all that may be refused waits, opening too. */
	if (options->fail_when_full)
		rados_set_pool_full_try(cluster->pool);
	if (options->pool_namespace == NULL || options->pool_namespace[0] == '\0')
		return 0;
	return enter_namespace(cluster, name, pool, options->pool_namespace, message);
}

int cluster_open(const char *name, const char *pool, const struct uds_rbd_options *options,
		 struct uds_message *message, struct cluster *ret_cluster)
{
	const char *id = options->id != NULL ? options->id : "admin";
	struct cluster cluster = { NULL, NULL };
	int r = rados_create(&cluster.rados, id);

	if (r < 0)
		return failure(message, r, "%s: client.%s: %s", name, id, uds_strerror(r));
	r = read_configuration(&cluster, name, options, message);
	if (r == 0)
		r = connect_cluster(&cluster, name, id, options->connect_ms, message);
	if (r == 0)
		r = open_pool(&cluster, name, pool, options, message);
	if (r < 0)
		cluster_close(&cluster);
	else
		*ret_cluster = cluster;
	return r;
}

void cluster_close(struct cluster *cluster)
{
	if (cluster->pool != NULL)
		rados_ioctx_destroy(cluster->pool);
	if (cluster->rados != NULL)
		rados_shutdown(cluster->rados);
	cluster->pool = NULL;
	cluster->rados = NULL;
}

void cluster_health(struct cluster *cluster, char *ret_text, size_t room)
{
	const char *command[] = { "{\"prefix\": \"health\"}" };
	char *said = NULL, *status = NULL;
	size_t length = 0, status_length = 0;
	int r = rados_mon_command(cluster->rados, command, 1, "", 0, &said, &length, &status,
				  &status_length);

	while (r >= 0 && length > 0 && (said[length - 1] == '\n' || said[length - 1] == '\0'))
		length--;
	if (r < 0)
		snprintf(ret_text, room, "no monitor answers");
	else
		snprintf(ret_text, room, "%.*s", length < 250 ? (int)length : 250, said);
	rados_buffer_free(said);
	rados_buffer_free(status);
}
