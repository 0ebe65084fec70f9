/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of LVM's text format. It goes through the text once and keeps the sections that are
 * open on a stack of fixed depth.
 */
#include "lvm/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"

#define FIRST_ROOM 64u

struct parser {
	const struct uds_env *env;
	struct uds_message *message;
	struct lvm_tree tree;
	char *at, *end;
	uint32_t line;
	unsigned int depth;
	uint32_t open[LVM_DEPTH_MAX + 1]; /* sections, and the list in the last one */
	uint32_t last[LVM_DEPTH_MAX + 1]; /* the last node of each; 0: none yet */
};

static int wrong(struct parser *p, const char *expected, const char *found)
{
	return failure(p->message, UDS_ERR_CORRUPT, "text: line %u: expected %s, found %s", p->line,
		       expected, found);
}

/* The same, with the character that is there. */
static int wrong_here(struct parser *p, const char *expected)
{
	char character[PRINTABLE_BYTES(1)], found[sizeof(character) + 2];

	if (p->at == p->end)
		return wrong(p, expected, "the end of the text");
	snprintf(found, sizeof(found), "'%s'", printable_bytes(p->at, 1, character));
	return wrong(p, expected, found);
}

/* Those of the C locale, as LVM has it. */
static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_blanks(struct parser *p)
{
	bool comment = false;

	for (; p->at < p->end; p->at++) {
		if (*p->at == '\n') {
			p->line++;
			comment = false;
		} else if (*p->at == '#') {
			comment = true;
		} else if (!comment && !is_blank(*p->at)) {
			break;
		}
	}
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("_+.-/@", c) != NULL);
}

static int make_room(struct parser *p)
{
	struct lvm_tree *tree = &p->tree;
	/*
	 * Nodes are numbered, not pointed to, since they move here. Twice as many cannot overflow:
	 * a node takes a byte of text at least, and LVM_TEXT_MAX bounds that.
	 */
	uint32_t room = tree->room == 0 ? FIRST_ROOM : 2 * tree->room;
	struct lvm_node *nodes;

	if (tree->count < tree->room)
		return 0;
	nodes = env_allocate(p->env, room, sizeof(*nodes));
	if (nodes == NULL)
		return failure(p->message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	if (tree->count > 0)
		memcpy(nodes, tree->nodes, tree->count * sizeof(*nodes));
	env_release(p->env, tree->nodes);
	tree->nodes = nodes;
	tree->room = room;
	return 0;
}

/* Puts a node behind the others of what is open. */
static int add_node(struct parser *p, const struct lvm_node *node)
{
	uint32_t number = p->tree.count;
	int r = make_room(p);

	if (r < 0)
		return r;
	p->tree.nodes[number] = *node;
	p->tree.nodes[number].line = p->line;
	p->tree.count++;
	if (number == 0)
		return 0;
	/* 0 stands for none: that number has the whole text, which is the child of no node. */
	if (p->last[p->depth] == 0)
		p->tree.nodes[p->open[p->depth]].child = number;
	else
		p->tree.nodes[p->last[p->depth]].next = number;
	p->tree.nodes[p->open[p->depth]].count++;
	p->last[p->depth] = number;
	return 0;
}

/* Adds a section or list, and goes into it. */
static int open_node(struct parser *p, const char *name, enum lvm_kind kind)
{
	struct lvm_node node = { .name = name, .kind = kind };
	uint32_t number = p->tree.count;
	int r;

	if (p->depth == LVM_DEPTH_MAX)
		return wrong(p, "at most 16 sections in each other", "a 17th");
	r = add_node(p, &node);
	if (r < 0)
		return r;
	p->depth++;
	p->open[p->depth] = number;
	p->last[p->depth] = 0;
	if (kind == LVM_SECTION)
		p->tree.sections++;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, so that a text with very many names takes no longer than it must. */
static int check_names(struct parser *p, const struct lvm_node *section)
{
	const char **names = env_allocate(p->env, section->count + 1, sizeof(*names));
	const struct lvm_node *node;
	size_t count = 0;
	int r = 0;

	if (names == NULL)
		return failure(p->message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (node = lvm_tree_first(&p->tree, section); node != NULL;
	     node = lvm_tree_next(&p->tree, node))
		names[count++] = node->name;
	sort_elements(names, count, sizeof(*names), compare_names);
	for (size_t i = 1; r == 0 && i < count; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			r = failure(p->message, UDS_ERR_CORRUPT,
				    "text: section '%.100s' (line %u): expected each name once, "
				    "found '%.100s' twice",
				    section->name != NULL ? section->name : "", section->line,
				    names[i]);
	}
	env_release(p->env, names);
	return r;
}

static int close_section(struct parser *p)
{
	int r;

	if (p->depth == 0)
		return wrong(p, "a name", "'}' of no section");
	r = check_names(p, &p->tree.nodes[p->open[p->depth]]);
	p->depth--;
	p->at++;
	return r;
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

/*
 * What stands in quotes. Between double ones a backslash escapes a quote or a backslash, and
 * nothing else; between single ones nothing does.
 *
 * @ret_end: its end, where a zero byte is not yet: it may be that of what follows.
 */
static int read_quoted(struct parser *p, char **ret_start, char **ret_end)
{
	const char quote = *p->at++;
	char *to = p->at, *start = to;

	/*
	 * Decoded in place: what an escape drops only makes it shorter, and names and strings need
	 * no memory.
	 */
	for (; p->at < p->end && *p->at != quote; p->at++) {
		if (quote == '"' && *p->at == '\\' && p->at + 1 < p->end &&
		    (p->at[1] == '"' || p->at[1] == '\\'))
			p->at++;
		if (*p->at == '\n')
			p->line++;
		*to++ = *p->at;
	}
	if (p->at >= p->end)
		return wrong(p, "the end of a string", "the end of the text");
	p->at++;
	*ret_start = start;
	*ret_end = to; /* over the quote, or before it */
	return 0;
}

static int add_string(struct parser *p, const char *name)
{
	struct lvm_node node = { .name = name, .kind = LVM_STRING };
	char *start = NULL, *end = NULL;
	int r = read_quoted(p, &start, &end);

	if (r < 0)
		return r;
	*end = '\0';
	node.string = start;
	return add_node(p, &node);
}

/* A value without quotes, up to a blank. Only a key has one: in a list LVM does not take it. */
static int add_bare_string(struct parser *p, const char *name)
{
	struct lvm_node node = { .name = name, .string = p->at, .kind = LVM_STRING };
	uint32_t lines = 0;
	int r;

	while (p->at < p->end && !is_blank(*p->at) && strchr("\"'#,=[]{}", *p->at) == NULL)
		p->at++;
	if (p->at == node.string || (p->at < p->end && !is_blank(*p->at)))
		return wrong_here(p, "a value");
	if (p->at < p->end) {
		lines = *p->at == '\n';
		*p->at++ = '\0';
	}
	r = add_node(p, &node);
	p->line += lines;
	return r;
}

static bool is_digit(const struct parser *p)
{
	return p->at < p->end && *p->at >= '0' && *p->at <= '9';
}

static int add_number(struct parser *p, const char *name)
{
	struct lvm_node node = { .name = name, .kind = LVM_NUMBER };
	const char *start = p->at;
	bool other = *p->at == '-' || *p->at == '+';

	if (other)
		p->at++;
	if (!is_digit(p))
		return wrong_here(p, "a value");
	for (; is_digit(p) || (p->at < p->end && *p->at == '.'); p->at++) {
		uint64_t digit = (uint64_t)(*p->at - '0');

		/*
		 * Signed, broken and huge numbers are values, too: keys that are not used
		 * may have them.
		 */
		other = other || *p->at == '.' || node.number > (UINT64_MAX - digit) / 10;
		if (!other)
			node.number = 10 * node.number + digit;
	}
	if (other) {
		node.kind = LVM_OTHER_NUMBER;
		node.digits = start;
	}
	return add_node(p, &node);
}

static int add_scalar(struct parser *p, const char *name)
{
	return p->at < p->end && is_quote(*p->at) ? add_string(p, name) : add_number(p, name);
}

static int add_list(struct parser *p, const char *name)
{
	int r = open_node(p, name, LVM_LIST);

	p->at++;
	skip_blanks(p);
	/* A comma may stand behind the last element, too. */
	while (r == 0 && (p->at == p->end || *p->at != ']')) {
		if (p->at == p->end)
			return wrong_here(p, "a value");
		r = add_scalar(p, NULL);
		p->tree.elements++;
		skip_blanks(p);
		if (r < 0)
			return r;
		if (p->at == p->end || (*p->at != ',' && *p->at != ']'))
			return wrong_here(p, "',' or ']'");
		if (*p->at == ',')
			p->at++;
		skip_blanks(p);
	}
	if (r < 0)
		return r;
	p->at++;
	p->depth--;
	return 0;
}

/* A name, which may stand in quotes. @ret_end: as read_quoted() says. */
static int read_name(struct parser *p, char **ret_name, char **ret_end)
{
	char *name = p->at, *end = name;
	int r;

	if (p->at < p->end && is_quote(*p->at)) {
		r = read_quoted(p, &name, &end);
		if (r < 0)
			return r;
	} else {
		while (p->at < p->end && is_name_character(*p->at))
			p->at++;
		end = p->at;
		if (end == name)
			return wrong_here(p, "a name");
	}
	/* In quotes, too: LVM has no name with others, and what is printed is harmless. */
	for (const char *c = name; c == name || c < end; c++) {
		if (c == end || !is_name_character(*c))
			return wrong(p, "a name", "something else in quotes");
	}
	*ret_name = name;
	*ret_end = end;
	return 0;
}

/* name { or name = value */
static int add_named(struct parser *p)
{
	char *name = NULL, *name_end = NULL;
	char what;
	int r = read_name(p, &name, &name_end);

	if (r < 0)
		return r;
	skip_blanks(p);
	if (p->at == p->end || (*p->at != '{' && *p->at != '='))
		return wrong_here(p, "'{' or '='");
	what = *p->at++;
	*name_end = '\0'; /* what was there has been read */
	if (what == '{')
		return open_node(p, name, LVM_SECTION);
	skip_blanks(p);
	if (p->at == p->end)
		return wrong_here(p, "a value");
	if (*p->at == '[')
		return add_list(p, name);
	if (is_quote(*p->at) || is_digit(p) || *p->at == '-' || *p->at == '+')
		return add_scalar(p, name);
	return add_bare_string(p, name);
}

static int parse(struct parser *p)
{
	struct lvm_node all = { .kind = LVM_SECTION };
	int r = add_node(p, &all);

	while (r == 0) {
		skip_blanks(p);
		if (p->at == p->end)
			break;
		r = *p->at == '}' ? close_section(p) : add_named(p);
	}
	/* A text that was cut off must not pass for a group with fewer volumes. */
	if (r == 0 && p->depth > 0)
		r = wrong(p, "'}'", "the end of the text: it is cut off");
	return r < 0 ? r : check_names(p, &p->tree.nodes[0]);
}

int lvm_tree_parse(char *text, size_t length, const struct uds_env *env, struct lvm_tree *ret_tree,
		   struct uds_message *message)
{
	struct parser parser = { .env = env, .message = message, .at = text, .line = 1 };
	int r;

	/* LVM counts the zero byte behind the text, others may not. */
	if (length > 0 && text[length - 1] == '\0')
		length--;
	parser.end = text + length;
	r = parse(&parser);
	if (r < 0)
		lvm_tree_free(&parser.tree, env);
	else
		*ret_tree = parser.tree;
	return r;
}

void lvm_tree_free(struct lvm_tree *tree, const struct uds_env *env)
{
	env_release(env, tree->nodes);
	tree->nodes = NULL;
}

const struct lvm_node *lvm_tree_first(const struct lvm_tree *tree, const struct lvm_node *node)
{
	return node->child == 0 ? NULL : &tree->nodes[node->child];
}

const struct lvm_node *lvm_tree_next(const struct lvm_tree *tree, const struct lvm_node *node)
{
	return node->next == 0 ? NULL : &tree->nodes[node->next];
}

const struct lvm_node *lvm_tree_find(const struct lvm_tree *tree, const struct lvm_node *section,
				     const char *name)
{
	const struct lvm_node *node = lvm_tree_first(tree, section);

	while (node != NULL && strcmp(node->name, name) != 0)
		node = lvm_tree_next(tree, node);
	return node;
}

const char *lvm_node_describe(const struct lvm_node *node, char *found)
{
	size_t length;

	if (node == NULL)
		return strcpy(found, "none");
	switch (node->kind) {
	case LVM_SECTION:
		snprintf(found, LVM_FOUND_BYTES, "a section of %" PRIu64, node->count);
		break;
	case LVM_LIST:
		snprintf(found, LVM_FOUND_BYTES, "a list of %" PRIu64, node->count);
		break;
	case LVM_STRING:
		snprintf(found, LVM_FOUND_BYTES, "the string '%.40s'", node->string);
		break;
	case LVM_NUMBER:
		snprintf(found, LVM_FOUND_BYTES, "the number %" PRIu64, node->number);
		break;
	default:
		/* Up to where the parser read it. */
		length = *node->digits == '-' || *node->digits == '+';
		length += strspn(node->digits + length, "0123456789.");
		snprintf(found, LVM_FOUND_BYTES, "%.*s", length < 40 ? (int)length : 40,
			 node->digits);
	}
	return found;
}
