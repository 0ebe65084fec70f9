/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A simple model of an index: for each name the versions that were stored and in which chapters
 * they may lie. It says which answers are right, through chapters that leave, saves and crashes.
 *
 * What is not known to the model (in which of two chapters a record of a batch went, say) it leaves
 * open: it never calls a right answer wrong, and each freedom it takes is named.
 */
#ifndef TESTS_MODEL_MODEL_H
#define TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>

#define MODEL_COPIES 24

/* A copy of a record in some chapter, low <= chapter <= high. */
struct model_copy {
	uint64_t low;
	uint64_t high;
	uint32_t version;
	bool doubtful; /* a crash or a load may have lost it */
};

struct model_name {
	bool there; /* stored and not deleted since; perhaps evicted */
	/* Another name with the same place in the volume index, plus 1; 0: there is none. */
	uint32_t twin;
	bool taken;	/* its twin took the entry */
	bool uncertain; /* any copy, or none, may be found: until it is */
	uint32_t version;
	uint32_t count;
	/* in the order of their making; old ones drop out */
	struct model_copy copies[MODEL_COPIES];
};

struct model {
	bool sparse; /* old copies may be found, and those of sparse chapters missed */
	uint32_t dense_chapters;
	uint32_t sample_rate;
	uint64_t seed;
	uint32_t names;
	/* of these names each is the twin of one that is four before or after it */
	uint32_t made_twins;
	struct model_name *name;
};

/* What is known about the time at which requests were carried out. */
struct model_time {
	uint64_t newest_before;
	uint64_t newest_after;
	uint64_t oldest_before;
	uint64_t oldest_after;
};

/*
 * Of the first @twins names, a multiple of 8, each is made the twin of another: seldom are names so
 * by chance.
 */
struct model *model_make(uint32_t names, uint32_t twins, uint64_t seed);
/* Makes one the copy of another of as many names. @to: NULL: it is made. */
void model_assign(struct model **to, const struct model *from);
void model_free(struct model *model);

/* Request for name @i; the data is of @version. */
void model_request(const struct model *model, uint32_t i, uint8_t kind, uint32_t version,
		   struct uds_request *ret_request);

/*
 * Judges the answer to a request for name @i that was carried out, and learns from it. In the order
 * in which those for the name, and for its twin, were carried out: so a single thread is to make
 * them. Returns NULL when it is right, else why it is not.
 */
const char *model_judge(struct model *model, uint32_t i, const struct uds_request *request,
			uint32_t version, const struct model_time *time);

/*
 * The open chapter @newest is lost, and the volume index was made anew from chapters before it.
 *
 * @saved: the model at the save that this began with; NULL: all chapters were read.
 */
void model_recover(struct model *model, uint64_t newest, const struct model *saved);

/*
 * After a crash of an index that has a journal. What was flushed is as it was then; what has
 * changed since may be as it was at any time since.
 *
 * @newest: the chapter that was open; @open: now it is this one, and @newest was closed on the way.
 * @flushed: the model at the last flush or save.
 */
void model_replay(struct model *model, uint64_t newest, uint64_t open, const struct model *flushed);

/* A load that dropped records of the open chapter @newest: any of them. */
void model_drop(struct model *model, uint64_t newest);

#endif
