/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading the golden vectors: opening them, comma separated lines by column name, hexadecimal
 * bytes, and the names and data that their tokens stand for.
 */
#ifndef TESTS_VECTOR_FILE_H
#define TESTS_VECTOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <uds/geometry.h>
#include <uds/record.h>

/* Opens uds/unit/@name for reading; NULL where there are no vectors: then skip. */
FILE *open_unit_vector(const char *name);

/* The bytes of uds/unit/@name; NULL where there are no vectors. Freed by the caller. */
uint8_t *read_unit_vector(const char *name, size_t *ret_bytes);

#define CSV_COLUMNS 64

struct csv {
	FILE *file;
	char head[2048];
	char line[2048];
	char *names[CSV_COLUMNS];
	char *fields[CSV_COLUMNS];
	int columns;
};

/* False where there are no vectors. */
bool csv_open(struct csv *csv, const char *name);
/* False at the end; closes the file then. */
bool csv_next(struct csv *csv);
/* The field of a column of the present line; a missing column fails the test. */
const char *csv_text(const struct csv *csv, const char *column);
uint64_t csv_number(const struct csv *csv, const char *column);
bool csv_is_empty(const struct csv *csv, const char *column);

/* Returns the number of bytes, or -1 for anything but pairs of hexadecimal digits. */
int parse_hex(const char *text, uint8_t *ret_bytes, size_t room);

/* splitmix64 with random access. */
uint64_t splitmix(uint64_t seed, uint64_t k);

/*
 * What a token like n12 or x7 stands for. b tokens are made from n ones by the test. (In x tokens
 * the last byte is changed by the bitwise "or" of m[15] and 1.)
 */
void token_name(uint64_t seed, const char *token, struct uds_record_name *ret_name);
void token_data(const char *token, uint32_t version, struct uds_record_data *ret_data);

/* What the JSON file of a recorded index says, as far as tests of single layers need it. */
struct recorded_index {
	struct uds_configuration configuration; /* with the user's nonce */
	uint64_t volume_nonce;
	uint64_t name_stream_seed;
	uint64_t offset_bytes; /* of the index on its device */
	uint64_t image_bytes;
};

/* False where there are no vectors, or no such index. */
bool recorded_index_read(const char *name, struct recorded_index *ret_index);

/* Unpacks uds/@path into memory; freed by the caller. NULL where it is not there. */
uint8_t *read_packed_vector(const char *path, size_t *ret_bytes);

#endif
