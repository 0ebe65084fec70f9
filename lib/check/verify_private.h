/* SPDX-License-Identifier: BSD-2-Clause */
/* What verify checks besides the chapters, for repair, which has to know the same. */
#ifndef CHECK_VERIFY_PRIVATE_H
#define CHECK_VERIFY_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "check/led_entries.h"
#include "index/index.h"

struct index_verify {
	struct uds_io *io;
	struct uds_index *index;
	uds_finding_fn found; /* may be NULL */
	void *found_context;
	uint64_t findings;
	bool stopped; /* by the callback: nothing more is reported */
	struct led_entries led;
	uint64_t *hints;      /* volume index entries for each chapter from index->oldest on */
	uint64_t open_led_to; /* records of the open chapter to which an entry leads */
};

/* Reports a sentence that names the I/O itself. */
void verify_found(struct index_verify *verify, const struct uds_message *message);

/*
 * Slots that contradict the format, and a save that counts but cannot be loaded. Returns
 * 0 or -ENOMEM.
 */
int verify_check_saves(struct index_verify *verify);

/*
 * Every live record of the open chapter has an entry that names this chapter. Fills in
 * verify->open_led_to.
 */
void verify_check_open_chapter(struct index_verify *verify);

/*
 * Fills in verify->hints, up to those of the open chapter, for the caller to release. Returns
 * 0 or -ENOMEM.
 */
int verify_count_hints(struct index_verify *verify);

/* Of a record page of chapter @vcn: which entries of the volume index lead to it. */
void verify_note_led_to(struct index_verify *verify, uint64_t vcn, const uint8_t *records);

/*
 * When all pages of the chapter were noted. Returns false when there are too many entries
 * that lead nowhere.
 */
bool verify_check_hints(struct index_verify *verify, uint64_t vcn);

/* A log for opening: what it would have is found again by the checks, and reported by them. */
void verify_say_nothing(void *context, enum uds_log_level level, const char *sentence);

#endif
