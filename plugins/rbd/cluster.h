/* SPDX-License-Identifier: BSD-2-Clause */
/* A connection to a Ceph cluster, and one of its pools. Nothing here knows of images. */
#ifndef RBD_CLUSTER_H
#define RBD_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rados/librados.h>

#include <uds/rbd.h>

struct cluster {
	rados_t rados;	    /* NULL: none */
	rados_ioctx_t pool; /* NULL: none */
};

/*
 * Connects, and opens the pool, with the namespace of the options. Afterwards each request has to
 * be answered within connect_ms. @name: for sentences.
 *
 * Returns 0, or what uds_rbd_open() returns; nothing is open then.
 */
int cluster_open(const char *name, const char *pool, const struct uds_rbd_options *options,
		 struct uds_message *message, struct cluster *ret_cluster);
void cluster_close(struct cluster *cluster);

/* How long requests may take from now on; 0: as long as it takes. */
void cluster_set_patience(struct cluster *cluster, uint32_t ms);

/* What the monitors say about the state of the cluster, or why they say nothing: one line. */
void cluster_health(struct cluster *cluster, char *ret_text, size_t room);

#endif
