/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Record names and data that are a function of a seed and a number, for tests and benchmarks: the
 * golden vectors' README defines them on top of splitmix64.
 */
#ifndef TESTS_NAMES_H
#define TESTS_NAMES_H

#include <stdint.h>
#include <string.h>

#include <uds/record.h>

#include "base/bytes.h"

/* Output number @k (from 0) of splitmix64 started at @seed. */
static inline uint64_t splitmix64(uint64_t seed, uint64_t k)
{
	uint64_t z = seed + (k + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z ^= z >> 30;
	z *= UINT64_C(0xbf58476d1ce4e5b9);
	z ^= z >> 27;
	z *= UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Name number @i of a stream: the tokens "n" of the vectors. */
static inline void make_name(uint64_t seed, uint64_t i, struct uds_record_name *ret_name)
{
	put_le64(ret_name->bytes, splitmix64(seed, 2 * i));
	put_le64(ret_name->bytes + 8, splitmix64(seed, 2 * i + 1));
}

/* The data of name number @i in a version: what the vectors store. */
static inline void make_data(char letter, uint64_t i, uint32_t version,
			     struct uds_record_data *ret_data)
{
	put_le64(ret_data->bytes, i);
	put_le32(ret_data->bytes + 8, version);
	ret_data->bytes[12] = (uint8_t)letter;
	memcpy(ret_data->bytes + 13, "UDS", 3);
}

#endif
