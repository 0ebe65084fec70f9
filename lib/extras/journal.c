/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of the journal, and the chain that counts. */
#include "extras/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/env.h"
#include "base/message.h"

#define MAGIC	      "UDSjourn"
#define MAGIC_BYTES   8u
#define BLOCK_VERSION 1u

#define AT_VERSION	8
#define AT_COUNT	12
#define AT_ID		16
#define AT_NUMBER	24
#define AT_TAIL		32
#define AT_END		40
#define AT_DURABLE	48
#define AT_CHAPTER	56
#define AT_ENTRIES	64
#define AT_OWN_CHECKSUM 4092

#define ENTRY_BYTES (1u + UDS_RECORD_BYTES)

/* How many blocks are read at a time. */
#define READ_BLOCKS 256u

_Static_assert(AT_ENTRIES + JOURNAL_BLOCK_ENTRIES * ENTRY_BYTES <= AT_OWN_CHECKSUM,
	       "the entries fit into a block");

void journal_put_entry(uint8_t block[BLOCK_BYTES], uint32_t i, const struct journal_entry *entry)
{
	uint8_t *at = block + AT_ENTRIES + (size_t)i * ENTRY_BYTES;

	at[0] = entry->kind;
	memcpy(at + 1, &entry->name, UDS_NAME_BYTES);
	at += 1 + UDS_NAME_BYTES;
	if (entry->kind == JOURNAL_STORE) {
		memcpy(at, &entry->data, UDS_DATA_BYTES);
		return;
	}
	memset(at, 0, UDS_DATA_BYTES);
	if (entry->kind == JOURNAL_CARRIED)
		put_le64(at, entry->chapter);
	put_le64(at + 8, entry->save);
}

void journal_get_entry(const uint8_t block[BLOCK_BYTES], uint32_t i,
		       struct journal_entry *ret_entry)
{
	const uint8_t *at = block + AT_ENTRIES + (size_t)i * ENTRY_BYTES;

	ret_entry->kind = at[0];
	memcpy(&ret_entry->name, at + 1, UDS_NAME_BYTES);
	at += 1 + UDS_NAME_BYTES;
	memcpy(&ret_entry->data, at, UDS_DATA_BYTES);
	ret_entry->chapter = get_le64(at);
	ret_entry->save = get_le64(at + 8);
}

void journal_end_block(const struct extras_area *area, const struct journal_head *head,
		       uint8_t block[BLOCK_BYTES])
{
	size_t used = AT_ENTRIES + (size_t)head->count * ENTRY_BYTES;

	memset(block, 0, AT_ENTRIES);
	/*
	 * What a block had before is not carried to the device: the same changes give the same
	 * bytes.
	 */
	memset(block + used, 0, BLOCK_BYTES - used);
	memcpy(block, MAGIC, MAGIC_BYTES);
	put_le32(block + AT_VERSION, BLOCK_VERSION);
	put_le32(block + AT_COUNT, head->count);
	put_le64(block + AT_ID, area->id);
	put_le64(block + AT_NUMBER, head->number);
	put_le64(block + AT_TAIL, head->tail);
	put_le64(block + AT_END, head->end);
	put_le64(block + AT_DURABLE, head->durable);
	put_le64(block + AT_CHAPTER, head->chapter);
	put_le32(block + AT_OWN_CHECKSUM, crc32_add(0, block, AT_OWN_CHECKSUM));
}

/* Numbers that no writer makes come from damage that the checksum let pass, or from a forger. */
static bool is_sound(const struct extras_area *area, uint64_t place,
		     const struct journal_head *head)
{
	return head->number > 0 && head->number < JOURNAL_LIMIT &&
	       head->number % area->journal_blocks == place && head->tail > 0 &&
	       head->tail <= head->number && head->end > head->number &&
	       head->end - head->tail <= area->journal_blocks && head->durable <= head->number &&
	       head->chapter < CHAPTER_LIMIT && head->count <= JOURNAL_BLOCK_ENTRIES;
}

bool journal_check_block(const struct extras_area *area, uint64_t place,
			 const uint8_t block[BLOCK_BYTES], struct journal_head *ret_head)
{
	struct journal_head head;

	if (memcmp(block, MAGIC, MAGIC_BYTES) != 0 ||
	    get_le32(block + AT_VERSION) != BLOCK_VERSION || get_le64(block + AT_ID) != area->id ||
	    get_le32(block + AT_OWN_CHECKSUM) != crc32_add(0, block, AT_OWN_CHECKSUM))
		return false;
	head.number = get_le64(block + AT_NUMBER);
	head.tail = get_le64(block + AT_TAIL);
	head.end = get_le64(block + AT_END);
	head.durable = get_le64(block + AT_DURABLE);
	head.chapter = get_le64(block + AT_CHAPTER);
	head.count = get_le32(block + AT_COUNT);
	if (!is_sound(area, place, &head))
		return false;
	for (uint32_t i = 0; i < head.count; i++) {
		uint8_t kind = block[AT_ENTRIES + (size_t)i * ENTRY_BYTES];

		/*
		 * An entry that is not understood cannot be skipped: what follows it may rest on
		 * it.
		 */
		if (kind < JOURNAL_STORE || kind > JOURNAL_CARRIED)
			return false;
	}
	*ret_head = head;
	return true;
}

static uint64_t offset_of(const struct extras_area *area, uint64_t place)
{
	return area->start + (area->journal + place) * BLOCK_BYTES;
}

int journal_write(struct uds_io *io, const struct extras_area *area, uint64_t first,
		  const uint8_t *blocks, uint64_t count, struct uds_message *ret_message)
{
	uint64_t place = first % area->journal_blocks, left = area->journal_blocks - place;
	uint64_t n = count < left ? count : left;
	int r;

	/* A ring: what does not fit before the end goes to the start. */
	r = io_write(io, blocks, (size_t)n * BLOCK_BYTES, offset_of(area, place), ret_message);
	if (r == 0 && n < count)
		r = io_write(io, blocks + (size_t)n * BLOCK_BYTES,
			     (size_t)(count - n) * BLOCK_BYTES, offset_of(area, 0), ret_message);
	return r;
}

int journal_read(struct uds_io *io, const struct extras_area *area, uint64_t first, uint64_t count,
		 uint8_t *blocks, struct uds_message *ret_message)
{
	uint64_t place = first % area->journal_blocks;
	struct journal_head head;
	int r;

	r = io_read(io, blocks, (size_t)count * BLOCK_BYTES, offset_of(area, place), ret_message);
	for (uint64_t i = 0; r == 0 && i < count; i++) {
		if (!journal_check_block(area, place + i, blocks + (size_t)i * BLOCK_BYTES,
					 &head) ||
		    head.number != first + i)
			r = failure(ret_message, UDS_ERR_CORRUPT,
				    "block %" PRIu64 ": it is not what it was before", place + i);
	}
	return r;
}

/* ---- which chain counts ---- */

struct journal_finder {
	struct uds_io *io;
	const struct extras_area *area;
	bool skip_unreadable;
	uint64_t unreadable;
	struct journal_head *heads; /* for each place; number 0: none that is good */
	struct uds_message message;
};

/* Places [@first, @first + @count): together, or, when that fails, each by itself. */
static int read_heads(struct journal_finder *finder, uint64_t first, uint64_t count,
		      uint8_t *blocks)
{
	const struct extras_area *area = finder->area;
	int r;

	r = io_read(finder->io, blocks, (size_t)count * BLOCK_BYTES, offset_of(area, first),
		    &finder->message);
	if (r == 0) {
		for (uint64_t i = 0; i < count; i++)
			journal_check_block(area, first + i, blocks + (size_t)i * BLOCK_BYTES,
					    &finder->heads[first + i]);
		return 0;
	}
	/* It may be the one that counts: as with a save, only the caller can give it up. */
	if (!finder->skip_unreadable)
		return failure_in(&finder->message, r, "extras: journal");
	if (count == 1) {
		finder->unreadable++;
		return 0;
	}
	for (uint64_t i = 0; i < count; i++)
		read_heads(finder, first + i, 1, blocks);
	return 0;
}

static int read_all(struct journal_finder *finder, const struct uds_env *env)
{
	uint64_t blocks = finder->area->journal_blocks, n;
	uint64_t step = blocks < READ_BLOCKS ? blocks : READ_BLOCKS;
	uint8_t *memory = io_allocate_buffer(finder->io, env, step * BLOCK_BYTES);
	int r = 0;

	if (memory == NULL)
		return -ENOMEM;
	for (uint64_t place = 0; place < blocks && r == 0; place += n) {
		n = blocks - place < step ? blocks - place : step;
		r = read_heads(finder, place, n, memory);
	}
	env_release(env, memory);
	return r;
}

/* Whether all blocks of the chain that ends with this one are there. */
static bool is_complete(const struct journal_finder *finder, const struct journal_head *last)
{
	const struct extras_area *area = finder->area;

	/*
	 * Only the last block of one write has its end behind itself; and what the headers call
	 * old is not replayed.
	 */
	if (last->number + 1 != last->end || last->tail < area->journal_from)
		return false;
	for (uint64_t number = last->tail; number < last->number; number++) {
		const struct journal_head *head = &finder->heads[number % area->journal_blocks];

		if (head->number != number || head->tail != last->tail ||
		    head->chapter != last->chapter)
			return false;
	}
	return true;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Numbers that the headers of the area know of are used, also when no block of theirs is left. */
static uint64_t first_unused(const struct extras_area *area)
{
	uint64_t next = higher(1, area->journal_from);

	for (unsigned int i = 0; i < EXTRAS_SAVES; i++)
		next = higher(next, area->save_journal[i]);
	if (area->intent.slot < EXTRAS_SAVES)
		next = higher(next, area->intent.journal);
	next = higher(next, area->again_end);
	return next < JOURNAL_LIMIT ? next : JOURNAL_LIMIT;
}

static void choose_chain(const struct journal_finder *finder, struct journal_found *found)
{
	const struct extras_area *area = finder->area;

	found->next = first_unused(area);
	found->durable = area->journal_from;
	found->tail = found->end = area->journal_from;
	for (uint64_t place = 0; place < area->journal_blocks; place++) {
		const struct journal_head *head = &finder->heads[place];

		if (head->number == 0)
			continue;
		found->next = higher(found->next, head->end);
		/* Of an earlier lap, which a save has made void; its number is used even so. */
		if (head->number < area->journal_from)
			continue;
		found->durable = higher(found->durable, head->durable);
		/*
		 * The longest chain that is whole: a longer one that was torn was never promised.
		 */
		if (head->end <= found->end || !is_complete(finder, head))
			continue;
		found->tail = head->tail;
		found->end = head->end;
		found->chapter = head->chapter;
	}
	/* What cannot be read now, and can be later, must not be of a number that is used then. */
	if (finder->unreadable > 0)
		found->next += area->journal_blocks;
	found->unreadable = finder->unreadable;
	if (found->end > found->tail && found->end <= area->again_end)
		found->chapter = higher(found->chapter, area->again_chapter);
}

uint64_t journal_lost_blocks(const struct journal_found *found)
{
	return found->durable > found->end ? found->durable - found->end : 0;
}

int journal_find(struct uds_io *io, const struct uds_env *env, const struct extras_area *area,
		 bool skip_unreadable, struct uds_message *ret_message,
		 struct journal_found *ret_found)
{
	struct journal_finder finder = { .io = io,
					 .area = area,
					 .skip_unreadable = skip_unreadable };
	struct journal_found found = { 0 };
	int r;

	finder.heads = env_allocate_zeroed(env, area->journal_blocks, sizeof(finder.heads[0]));
	r = finder.heads == NULL ? -ENOMEM : read_all(&finder, env);
	if (r == 0)
		choose_chain(&finder, &found);
	env_release(env, finder.heads);
	if (r < 0) {
		if (ret_message != NULL)
			*ret_message = finder.message;
		return r;
	}
	*ret_found = found;
	return 0;
}

int journal_find_headless(struct uds_io *io, const struct uds_env *env, struct extras_area *area,
			  uint64_t *ret_blocks, uint64_t *ret_chapter)
{
	uint64_t blocks = 0, chapter = 0, bytes = 0;
	struct journal_head head;
	uint8_t *block;
	int r;

	r = uds_io_size(io, &bytes);
	if (r < 0)
		return r;
	block = io_allocate_buffer(io, env, BLOCK_BYTES);
	if (block == NULL)
		return -ENOMEM;
	for (uint64_t place = 0; place < area->journal_blocks; place++) {
		if (offset_of(area, place) + BLOCK_BYTES > bytes)
			break;
		if (io_read(io, block, BLOCK_BYTES, offset_of(area, place), NULL) < 0)
			continue;
		/*
		 * Without a header the id of the area is not known: each block is taken at its
		 * word, and must be right in all else.
		 */
		area->id = get_le64(block + AT_ID);
		if (!journal_check_block(area, place, block, &head))
			continue;
		blocks++;
		chapter = higher(chapter, head.chapter);
	}
	env_release(env, block);
	*ret_blocks = blocks;
	*ret_chapter = chapter;
	return 0;
}
