/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests wait for as long as the cluster needs. A thread looks whether any have ended, and says,
 * once each time, that they wait and what the monitors know about it, such as that the cluster is
 * full; and that they go on.
 */
#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "base/env.h"
#include "common/monotonic.h"
#include "common/signals.h"
#include "rbd/image.h"

/* How often it looks, and after how long it speaks, in milliseconds. */
#define LOOK_MS	 1000
#define SPEAK_MS 5000

struct watch {
	uint64_t ended;	   /* when it was looked last */
	uint64_t since_ms; /* nothing has ended */
	bool spoken;
};

static void look(struct image *image, struct watch *watch)
{
	uint64_t begun = atomic_load(&image->begun), ended = atomic_load(&image->ended);
	uint64_t now = monotonic_ms();
	char health[300];

	if (begun == ended || ended != watch->ended) {
		if (watch->spoken)
			env_log(&image->env, UDS_LOG_NOTICE, "%s: the cluster answers again",
				image->name);
		*watch = (struct watch){ .ended = ended, .since_ms = now };
		return;
	}
	if (watch->spoken || now - watch->since_ms < SPEAK_MS)
		return;
	watch->spoken = true;
	cluster_health(&image->cluster, health, sizeof(health));
	env_log(&image->env, UDS_LOG_WARNING,
		"%s: requests wait: no answer for %" PRIu64 " seconds; the cluster's state: %s",
		image->name, (now - watch->since_ms) / 1000, health);
}

/* Returns whether it is over. */
static bool pause_keeper(struct image *image)
{
	struct timespec until;
	bool stops;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += LOOK_MS / 1000;
	pthread_mutex_lock(&image->keeper_lock);
	if (!image->keeper_stops)
		(void)pthread_cond_timedwait(&image->keeper_wakes, &image->keeper_lock, &until);
	stops = image->keeper_stops;
	pthread_mutex_unlock(&image->keeper_lock);
	return stops;
}

static void *run(void *context)
{
	struct image *image = context;
	struct watch watch = { .since_ms = monotonic_ms() };

	while (!pause_keeper(image))
		look(image, &watch);
	return NULL;
}

int keeper_start(struct image *image)
{
	int r = start_quiet_thread(&image->keeper, run, image);

	image->keeper_runs = r == 0;
	return r;
}

void keeper_stop(struct image *image)
{
	if (!image->keeper_runs)
		return;
	pthread_mutex_lock(&image->keeper_lock);
	image->keeper_stops = true;
	pthread_cond_signal(&image->keeper_wakes);
	pthread_mutex_unlock(&image->keeper_lock);
	pthread_join(image->keeper, NULL);
	image->keeper_runs = false;
}
