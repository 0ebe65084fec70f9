/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LVM's text format as a tree: sections, numbers, strings and lists of them, without a meaning.
 * What it takes is bounded by the length of the text. Pure functions but for memory, any thread.
 */
#ifndef LVM_TEXT_H
#define LVM_TEXT_H

#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

/* How deep sections may stand in each other; LVM's own texts need four. */
#define LVM_DEPTH_MAX 16u

enum lvm_kind {
	LVM_SECTION,
	LVM_LIST,
	LVM_STRING,
	LVM_NUMBER,
	LVM_OTHER_NUMBER, /* negative, with a fraction, or larger than 64 bits */
};

struct lvm_node {
	const char *name; /* NULL: an element of a list */
	union {
		const char *string; /* ended by a zero byte */
		uint64_t number;
		const char *digits; /* of another number: in the text, not ended */
		uint64_t count;	    /* of the nodes in a section or list */
	};
	uint32_t next;	/* the next one of the same section or list; 0: none */
	uint32_t child; /* the first one in a section or list; 0: none */
	uint32_t line;
	uint32_t kind; /* enum lvm_kind */
};

struct lvm_tree {
	struct lvm_node *nodes; /* the first is the section of everything */
	uint32_t count, room;
	uint32_t sections, elements; /* how many there are of them */
};

/*
 * Parses a text, and changes it: names and strings of the tree lie in it, each ended by
 * a zero byte.
 *
 * @text: @length bytes, and a zero behind them; a zero byte that ends it may be among them.
 *
 * Returns 0; UDS_ERR_CORRUPT, with the line; or -ENOMEM.
 */
int lvm_tree_parse(char *text, size_t length, const struct uds_env *env, struct lvm_tree *ret_tree,
		   struct uds_message *message);

void lvm_tree_free(struct lvm_tree *tree, const struct uds_env *env);

/* The node of a section with a name, or NULL. */
const struct lvm_node *lvm_tree_find(const struct lvm_tree *tree, const struct lvm_node *section,
				     const char *name);

/* The first one in a section or list, and the one behind another; NULL: none. */
const struct lvm_node *lvm_tree_first(const struct lvm_tree *tree, const struct lvm_node *node);
const struct lvm_node *lvm_tree_next(const struct lvm_tree *tree, const struct lvm_node *node);

#define LVM_FOUND_BYTES 80

/*
 * What a node is, for a sentence about one that should be another: its value, cut after 40
 * characters, or how many nodes a section or list has; "none" for NULL. @found: LVM_FOUND_BYTES.
 * Returns @found.
 */
const char *lvm_node_describe(const struct lvm_node *node, char *found);

#endif
