/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the golden index vectors: NAME.json (what an image is), NAME.img.xz (its bytes),
 * NAME.trace.xz (how it came about) and NAME.final.xz (questions to it, with the answers).
 */
#ifndef TESTS_FORMAT_TRACE_H
#define TESTS_FORMAT_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <uds/geometry.h>
#include <uds/record.h>

/* The part of NAME.json that tests need. */
struct vector_info {
	char name[64];
	struct uds_configuration configuration;
	uint64_t seed; /* of the names */
	uint64_t image_bytes;
	uint64_t offset_bytes; /* where the index begins in the image */
	uint8_t nonce_data[32];
	uint64_t volume_nonce;
	uint32_t super_version;
	bool clean;
	unsigned int save_count;   /* how many slots hold a save */
	uint64_t save_times_ms[2]; /* of these, oldest first */
};

/* A name: a letter and a number. */
struct trace_token {
	char letter; /* n, v, x or h */
	uint64_t index;
};

/* One line of a trace or of the final queries. */
struct trace_line {
	unsigned int number; /* of the line in its file, from 1 */
	char op; /* P U Q N D; C R S X V; '#' for a state line, 0 at the end of the file */

	/* P U Q N D */
	struct trace_token token;
	uint32_t version;
	bool found;
	bool has_old;
	uint32_t old_version;
	char location; /* o d s - */

	/* C R: zones[0]. V: chapters, virtual, physical, bytes cut. */
	uint64_t numbers[4];

	/* The whole line without its newline. */
	char text[512];
};

/* All vectors under index/, ended by NULL. */
extern const char *const index_vectors[];

/* False when the file is not there or cannot be read. */
bool vector_read_info(const char *name, struct vector_info *ret_info);

/* The bytes of a compressed vector file, in malloc'ed memory; NULL when there is none. */
uint8_t *vector_read_file(const char *relative_path, size_t *ret_size);

/* A compressed vector file as a stream; closed with pclose. */
FILE *vector_open(const char *name, const char *suffix);

/* Reads the next line; op is 0 at the end. False: a line that makes no sense. */
bool trace_next(FILE *file, struct trace_line *line);

void trace_name(uint64_t seed, const struct trace_token *token, struct uds_record_name *ret_name);

/* How many saves a trace makes (S and V lines). */
unsigned int trace_count_saves(const char *name);

#endif
