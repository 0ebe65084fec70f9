/* SPDX-License-Identifier: BSD-2-Clause */
/* Checksums in memory, and to and from checksum blocks. */
#include "extras/checksums.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/env.h"
#include "base/message.h"

#define MAGIC	      "UDSsums"
#define MAGIC_BYTES   8u
#define BLOCK_VERSION 1u

#define AT_VERSION	8
#define AT_PART		12
#define AT_ID		16
#define AT_CHAPTER	24
#define AT_SLOT		32
#define AT_COUNT	36
#define AT_CHECKSUMS	40
#define AT_OWN_CHECKSUM 4092

/* How many checksum blocks are read at a time, and those of one slot more. */
#define READ_BLOCKS 256u

#define WORD_BITS 64u

struct checksums {
	struct uds_env env;
	struct uds_io *io;
	struct extras_area area;
	uint32_t slots;
	uint32_t blocks;	   /* of each chapter */
	uint32_t words;		   /* of @checked, for each slot */
	uint8_t *scratch;	   /* the blocks of a slot */
	_Atomic uint64_t *vcns;	   /* for each slot; NO_CHAPTER: nothing is known */
	uint32_t *values;	   /* @blocks for each slot */
	_Atomic uint64_t *checked; /* a bit for each block */
	uint64_t *on_device;	   /* for each slot the chapter that its blocks there are of */
	bool *suspects;	 /* slots whose blocks could not be read, or only partly written */
	bool *unwritten; /* slots that were set and not written yet */
	uint32_t unwritten_count;
	bool *unflushed;      /* slots that were written, and may not be durable yet */
	_Atomic bool doubted; /* a flush failed since the last write */
};

static uint32_t words_of(const struct geometry *geometry)
{
	return (geometry_chapter_blocks(geometry) + WORD_BITS - 1) / WORD_BITS;
}

uint64_t checksums_bytes(const struct geometry *geometry)
{
	const struct checksums *c = NULL;
	uint64_t slot = sizeof(c->vcns[0]) + sizeof(c->on_device[0]) + sizeof(c->suspects[0]) +
			sizeof(c->unwritten[0]) + sizeof(c->unflushed[0]) +
			geometry_chapter_blocks(geometry) * sizeof(c->values[0]) +
			words_of(geometry) * sizeof(c->checked[0]);

	return sizeof(*c) + (uint64_t)geometry_checksum_blocks(geometry) * BLOCK_BYTES +
	       geometry->chapters_per_volume * slot;
}

int checksums_make(const struct uds_env *env, struct uds_io *io, const struct geometry *geometry,
		   const struct extras_area *area, struct checksums **ret_checksums)
{
	struct checksums *c = env_allocate_zeroed(env, 1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	c->env = *env;
	c->io = io;
	c->area = *area;
	c->slots = geometry->chapters_per_volume;
	c->blocks = geometry_chapter_blocks(geometry);
	c->words = words_of(geometry);
	c->scratch = io_allocate_buffer(io, env, (uint64_t)area->parts * BLOCK_BYTES);
	c->vcns = env_allocate(env, c->slots, sizeof(c->vcns[0]));
	c->on_device = env_allocate(env, c->slots, sizeof(c->on_device[0]));
	c->values = env_allocate_zeroed(env, (uint64_t)c->slots * c->blocks, sizeof(c->values[0]));
	c->checked = env_allocate_zeroed(env, (uint64_t)c->slots * c->words, sizeof(c->checked[0]));
	c->suspects = env_allocate_zeroed(env, c->slots, sizeof(c->suspects[0]));
	c->unwritten = env_allocate_zeroed(env, c->slots, sizeof(c->unwritten[0]));
	c->unflushed = env_allocate_zeroed(env, c->slots, sizeof(c->unflushed[0]));
	if (c->scratch == NULL || c->vcns == NULL || c->values == NULL || c->checked == NULL ||
	    c->on_device == NULL || c->suspects == NULL || c->unwritten == NULL ||
	    c->unflushed == NULL) {
		checksums_free(c);
		return -ENOMEM;
	}
	/* Nothing is known of a slot until its blocks are read, or its chapter is written. */
	for (uint32_t slot = 0; slot < c->slots; slot++) {
		atomic_init(&c->vcns[slot], NO_CHAPTER);
		c->on_device[slot] = NO_CHAPTER;
	}
	*ret_checksums = c;
	return 0;
}

void checksums_free(struct checksums *c)
{
	struct uds_env env;

	if (c == NULL)
		return;
	env = c->env;
	env_release(&env, c->scratch);
	env_release(&env, c->vcns);
	env_release(&env, c->values);
	env_release(&env, c->checked);
	env_release(&env, c->on_device);
	env_release(&env, c->suspects);
	env_release(&env, c->unwritten);
	env_release(&env, c->unflushed);
	env_release(&env, c);
}

static uint32_t *values_of(const struct checksums *c, uint32_t slot)
{
	return c->values + (size_t)slot * c->blocks;
}

/* How many checksums part @part of a slot has. */
static uint32_t part_count(const struct checksums *c, uint32_t part)
{
	uint32_t left = c->blocks - part * CHECKSUMS_PER_BLOCK;

	return left < CHECKSUMS_PER_BLOCK ? left : CHECKSUMS_PER_BLOCK;
}

static void encode_part(const struct checksums *c, uint32_t slot, uint32_t part, uint8_t *block)
{
	const uint32_t *values = values_of(c, slot) + (size_t)part * CHECKSUMS_PER_BLOCK;
	uint32_t count = part_count(c, part);

	memset(block, 0, BLOCK_BYTES);
	memcpy(block, MAGIC, MAGIC_BYTES);
	put_le32(block + AT_VERSION, BLOCK_VERSION);
	put_le32(block + AT_PART, part);
	put_le64(block + AT_ID, c->area.id);
	put_le64(block + AT_CHAPTER, c->vcns[slot]);
	put_le32(block + AT_SLOT, slot);
	put_le32(block + AT_COUNT, count);
	for (uint32_t i = 0; i < count; i++)
		put_le32(block + AT_CHECKSUMS + (size_t)4 * i, values[i]);
	put_le32(block + AT_OWN_CHECKSUM, crc32_add(0, block, AT_OWN_CHECKSUM));
}

/* Returns whether a block is what it should be, and the chapter that it is of. */
static bool decode_part(const struct checksums *c, uint32_t slot, uint32_t part,
			const uint8_t *block, uint64_t *ret_vcn)
{
	uint32_t *values = values_of(c, slot) + (size_t)part * CHECKSUMS_PER_BLOCK;
	uint32_t count = part_count(c, part);

	/* Whatever differs, the slot's checksums are unknown. That is no damage of its chapter. */
	if (memcmp(block, MAGIC, MAGIC_BYTES) != 0 ||
	    get_le32(block + AT_VERSION) != BLOCK_VERSION || get_le32(block + AT_PART) != part ||
	    get_le64(block + AT_ID) != c->area.id || get_le32(block + AT_SLOT) != slot ||
	    get_le32(block + AT_COUNT) != count ||
	    get_le32(block + AT_OWN_CHECKSUM) != crc32_add(0, block, AT_OWN_CHECKSUM))
		return false;
	/*
	 * Taken before the other parts are looked at: without the chapter's number they count for
	 * nothing.
	 */
	for (uint32_t i = 0; i < count; i++)
		values[i] = get_le32(block + AT_CHECKSUMS + (size_t)4 * i);
	*ret_vcn = get_le64(block + AT_CHAPTER);
	return true;
}

/*
 * @blocks: all parts of a slot. A power cut may have left parts of two chapters: both
 *     are unknown then.
 */
static void take_slot(struct checksums *c, uint32_t slot, const uint8_t *blocks)
{
	uint64_t vcn = NO_CHAPTER, other;

	for (uint32_t part = 0; part < c->area.parts; part++) {
		if (!decode_part(c, slot, part, blocks + (size_t)part * BLOCK_BYTES, &other))
			return;
		if (part > 0 && other != vcn)
			return;
		vcn = other;
	}
	c->vcns[slot] = vcn;
	c->on_device[slot] = vcn;
}

/* Slots [@first, @first + @count): reads them together, or, when that fails, each by itself. */
static void read_slots(struct checksums *c, uint32_t first, uint32_t count, uint8_t *memory,
		       uint32_t *unreadable, struct uds_message *message)
{
	size_t slot_bytes = (size_t)c->area.parts * BLOCK_BYTES;
	int r;

	/* The sentence of the first failure stays. */
	r = io_read(c->io, memory, count * slot_bytes, extras_checksum_offset(&c->area, first, 0),
		    *unreadable == 0 ? message : NULL);
	if (r == 0) {
		for (uint32_t i = 0; i < count; i++)
			take_slot(c, first + i, memory + i * slot_bytes);
	} else if (count == 1) {
		c->suspects[first] = true;
		(*unreadable)++;
	} else {
		/* One bad block must not make the checksums of its neighbours unknown. */
		for (uint32_t i = 0; i < count; i++)
			read_slots(c, first + i, 1, memory, unreadable, message);
	}
}

int checksums_read(struct checksums *c, uint32_t *ret_unreadable, struct uds_message *ret_message)
{
	uint32_t step = READ_BLOCKS / c->area.parts + 1, unreadable = 0;
	uint8_t *memory;

	step = c->slots < step ? c->slots : step;
	memory = io_allocate_buffer(c->io, &c->env, (uint64_t)step * c->area.parts * BLOCK_BYTES);
	if (memory == NULL)
		return -ENOMEM;
	for (uint32_t slot = 0; slot < c->slots; slot += step)
		read_slots(c, slot, c->slots - slot < step ? c->slots - slot : step, memory,
			   &unreadable, ret_message);
	env_release(&c->env, memory);
	*ret_unreadable = unreadable;
	return 0;
}

uint64_t checksums_chapter(const struct checksums *c, uint32_t slot)
{
	return c == NULL ? NO_CHAPTER : atomic_load_explicit(&c->vcns[slot], memory_order_acquire);
}

bool checksums_know(const struct checksums *c, uint32_t slot, uint64_t vcn)
{
	/* Acquire, with the release in checksums_set(): with the number its values are seen. */
	return c != NULL && vcn != NO_CHAPTER &&
	       atomic_load_explicit(&c->vcns[slot], memory_order_acquire) == vcn;
}

bool checksums_are_written(const struct checksums *c, uint32_t slot, uint64_t vcn)
{
	return c->on_device[slot] == vcn;
}

bool checksums_are_of_another(const struct checksums *c, uint32_t slot, uint64_t vcn)
{
	/* Forgotten, and perhaps computed again. */
	return c->on_device[slot] == vcn && (!checksums_know(c, slot, vcn) || c->unwritten[slot]);
}

static _Atomic uint64_t *checked_word(const struct checksums *c, uint32_t slot, uint32_t block)
{
	return &c->checked[(size_t)slot * c->words + block / WORD_BITS];
}

bool checksums_were_checked(const struct checksums *c, uint32_t slot, uint32_t first, uint32_t end)
{
	for (uint32_t block = first; block < end; block++) {
		uint64_t word =
			atomic_load_explicit(checked_word(c, slot, block), memory_order_relaxed);

		if ((word >> block % WORD_BITS & 1) == 0)
			return false;
	}
	return true;
}

bool checksums_match(const struct checksums *c, uint32_t slot, uint32_t block, const uint8_t *bytes)
{
	return crc32_add(0, bytes, BLOCK_BYTES) == values_of(c, slot)[block];
}

bool checksums_check(struct checksums *c, uint32_t slot, uint32_t first, const uint8_t *bytes,
		     uint32_t count, struct checksum_damage *ret_damage)
{
	const uint32_t *values = values_of(c, slot);

	for (uint32_t i = 0; i < count; i++) {
		uint32_t block = first + i;
		uint32_t found = crc32_add(0, bytes + (size_t)i * BLOCK_BYTES, BLOCK_BYTES);

		if (found != values[block]) {
			ret_damage->block = block;
			ret_damage->expected = values[block];
			ret_damage->found = found;
			return false;
		}
		/* Relaxed: a bit that is seen late costs one more comparison. */
		atomic_fetch_or_explicit(checked_word(c, slot, block),
					 UINT64_C(1) << block % WORD_BITS, memory_order_relaxed);
	}
	return true;
}

void checksums_set(struct checksums *c, uint32_t slot, uint64_t vcn, const uint8_t *pages)
{
	uint32_t *values = values_of(c, slot);

	for (uint32_t block = 0; block < c->blocks; block++)
		values[block] = crc32_add(0, pages + (size_t)block * BLOCK_BYTES, BLOCK_BYTES);
	/* The pages are new, and none of them was compared yet. */
	for (uint32_t word = 0; word < c->words; word++)
		c->checked[(size_t)slot * c->words + word] = 0;
	atomic_store_explicit(&c->vcns[slot], vcn, memory_order_release);
	if (!c->unwritten[slot])
		c->unwritten_count++;
	c->unwritten[slot] = true;
}

void checksums_forget(struct checksums *c, uint32_t slot)
{
	atomic_store_explicit(&c->vcns[slot], NO_CHAPTER, memory_order_release);
}

/* Writes the blocks of a slot with what is in memory. */
static int write_slot(struct checksums *c, uint32_t slot, struct uds_message *message)
{
	int r;

	for (uint32_t part = 0; part < c->area.parts; part++)
		encode_part(c, slot, part, c->scratch + (size_t)part * BLOCK_BYTES);
	r = io_write(c->io, c->scratch, (size_t)c->area.parts * BLOCK_BYTES,
		     extras_checksum_offset(&c->area, slot, 0), message);
	/*
	 * After a failure some parts may be written: the slot must be written again before its
	 * blocks are trusted.
	 */
	c->suspects[slot] = r < 0;
	c->on_device[slot] = c->vcns[slot];
	return r;
}

int checksums_begin_chapter(struct checksums *c, uint32_t slot, uint64_t vcn,
			    struct uds_message *ret_message)
{
	int r;

	checksums_forget(c, slot);
	/*
	 * Checksums of this very number would be taken for the new chapter's after a power cut, so
	 * they go, durably, before its first page is written.
	 */
	if (c->on_device[slot] != vcn && !c->suspects[slot])
		return 0;
	r = write_slot(c, slot, ret_message);
	return r < 0 ? r : io_flush(c->io, ret_message);
}

void checksums_note_failed_flush(struct checksums *c)
{
	atomic_store(&c->doubted, true);
}

void checksums_note_flush(struct checksums *c)
{
	if (!atomic_load(&c->doubted))
		memset(c->unflushed, 0, c->slots * sizeof(c->unflushed[0]));
}

/* What a failed flush has lost no later flush brings back. */
static void doubt_unflushed(struct checksums *c)
{
	for (uint32_t slot = 0; slot < c->slots; slot++) {
		if (!c->unflushed[slot] || c->unwritten[slot] ||
		    atomic_load_explicit(&c->vcns[slot], memory_order_relaxed) == NO_CHAPTER)
			continue;
		c->unwritten[slot] = true;
		c->unwritten_count++;
	}
}

int checksums_write(struct checksums *c, struct uds_message *ret_message)
{
	int r = 0;

	if (atomic_exchange(&c->doubted, false))
		doubt_unflushed(c);
	/* A slot that fails stays unwritten, and is tried again the next time. */
	for (uint32_t slot = 0; slot < c->slots && c->unwritten_count > 0 && r == 0; slot++) {
		if (!c->unwritten[slot])
			continue;
		r = write_slot(c, slot, ret_message);
		if (r == 0) {
			c->unflushed[slot] = true;
			c->unwritten[slot] = false;
			c->unwritten_count--;
		}
	}
	return r;
}
