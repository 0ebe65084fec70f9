/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing many ordinary entries, two at a time: where an entry begins depends on the lengths of all
 * before it, so writing is a chain, and what two entries take is worked out beside it.
 */
#include "delta/delta_code.h"

/* So many bits go into the word of a settled writer at once. */
#define QUICK_BITS 56u

/* The code of an ordinary entry. */
struct coded_entry {
	uint64_t bits;	/* when it is no longer than QUICK_BITS */
	uint32_t width; /* how many bits */
};

static inline __attribute__((always_inline)) struct coded_entry
code_entry(const struct delta_code *code, uint32_t value, uint32_t delta)
{
	/* Without a branch on the delta, which would be mispredicted at every third entry. */
	const bool has_unary = delta >= code->min_keys;
	const uint32_t steps = has_unary ? delta_code_steps(code, delta - code->min_keys) : 0;
	const uint64_t fixed = delta - steps * code->incr_keys;
	const uint32_t width = code->payload_bits + code->min_bits;

	return (struct coded_entry){
		.bits = value | fixed << code->payload_bits |
			(uint64_t)has_unary << ((width + steps) & 63),
		.width = width + steps + has_unary,
	};
}

/* The writer is settled, before and after. */
static inline __attribute__((always_inline)) void put_entry(struct bit_writer *out,
							    const struct delta_code *code,
							    uint32_t value, uint32_t delta,
							    const struct coded_entry *entry)
{
	if (entry->width <= QUICK_BITS) {
		out->word |= entry->bits << out->fill;
		out->fill += entry->width;
	} else {
		delta_put_value(out, code, value);
		delta_put_key(out, code, delta);
	}
	bit_writer_settle(out);
}

static inline __attribute__((always_inline)) void
put_entries(struct bit_writer *out, const struct delta_code *code, uint32_t key,
	    const uint32_t *keys, const uint32_t *values, uint32_t count)
{
	uint32_t i = 0;

	for (; i + 1 < count; key = keys[i + 1], i += 2) {
		const uint32_t first_delta = keys[i] - key, second_delta = keys[i + 1] - keys[i];
		const struct coded_entry first = code_entry(code, values[i], first_delta);
		const struct coded_entry second = code_entry(code, values[i + 1], second_delta);

		if (first.width + second.width <= QUICK_BITS) {
			out->word |= (first.bits | second.bits << first.width) << out->fill;
			out->fill += first.width + second.width;
			bit_writer_settle(out);
			continue;
		}
		put_entry(out, code, values[i], first_delta, &first);
		put_entry(out, code, values[i + 1], second_delta, &second);
	}
	if (i < count) {
		const struct coded_entry last = code_entry(code, values[i], keys[i] - key);

		put_entry(out, code, values[i], keys[i] - key, &last);
	}
}

static void put_entries_portably(struct bit_writer *out, const struct delta_code *code,
				 uint32_t key, const uint32_t *keys, const uint32_t *values,
				 uint32_t count)
{
	put_entries(out, code, key, keys, values, count);
}

typedef void put_entries_fn(struct bit_writer *out, const struct delta_code *code, uint32_t key,
			    const uint32_t *keys, const uint32_t *values, uint32_t count);

#ifdef __x86_64__
/* Shifts by a variable are one step each then, and not three. */
__attribute__((target("bmi,bmi2"))) static void
put_entries_bmi2(struct bit_writer *out, const struct delta_code *code, uint32_t key,
		 const uint32_t *keys, const uint32_t *values, uint32_t count)
{
	put_entries(out, code, key, keys, values, count);
}
#endif

static void append_by(put_entries_fn *put, struct delta_writer *writer, const uint32_t *keys,
		      const uint32_t *values, uint32_t count)
{
	struct bit_writer out = writer->out;
	const uint8_t *start = out.next;
	const uint32_t before = out.fill;

	bit_writer_settle(&out);
	put(&out, writer->code, writer->key, keys, values, count);
	writer->bits += (uint32_t)(8 * (out.next - start)) + out.fill - before;
	writer->key = count > 0 ? keys[count - 1] : writer->key;
	writer->out = out;
}

void delta_writer_append_many_portably(struct delta_writer *writer, const uint32_t *keys,
				       const uint32_t *values, uint32_t count)
{
	append_by(put_entries_portably, writer, keys, values, count);
}

void delta_writer_append_many(struct delta_writer *writer, const uint32_t *keys,
			      const uint32_t *values, uint32_t count)
{
	put_entries_fn *put = put_entries_portably;

#ifdef __x86_64__
	if (__builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2"))
		put = put_entries_bmi2;
#endif
	append_by(put, writer, keys, values, count);
}
