/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `uds snapshot serve`: becomes nbdkit with the plugin of plugins/nbdkit, for NBD clients
 * on a socket.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "snapshot_group.h"
#include "snapshot_target.h"

/* nbdkit, -f, -U, socket, plugin, origin, show, write, salvage, and the stores. */
#define MOST_WORDS (16 + MAX_TEXTS)
#define WORD_ROOM  ((size_t)16) /* without the values of the command line */

struct serve {
	struct snapshot_target target;
	const char *socket, *plugin;
	bool show_origin, write;
	char *words[MOST_WORDS];
	size_t count;
	char *text; /* what the words are written to */
	size_t used, room;
};

/* Adds "key=value", or the value alone. */
static void add_word(struct serve *serve, const char *key, const char *value)
{
	char *word = serve->text + serve->used;

	serve->used += (size_t)snprintf(word, serve->room - serve->used, "%s%s", key, value) + 1;
	serve->words[serve->count++] = word;
}

/* The plugin that is installed with this command; else nbdkit looks for it where its own are. */
static const char *plugin_of(const struct serve *serve)
{
	if (serve->plugin != NULL)
		return serve->plugin;
	return access(NBDKIT_PLUGIN, R_OK) == 0 ? NBDKIT_PLUGIN : "uds";
}

static void add_words(struct serve *serve)
{
	add_word(serve, "", "nbdkit");
	add_word(serve, "", "--foreground");
	add_word(serve, "", "--unix");
	add_word(serve, "", serve->socket);
	add_word(serve, "", serve->plugin);
	add_word(serve, "origin=", serve->target.origin_uri);
	add_word(serve, "cow=", serve->target.cow_uri);
	for (size_t i = 0; i < serve->target.other_uris.count; i++)
		add_word(serve, "cow=", serve->target.other_uris.items[i]);
	add_word(serve, "show=", serve->show_origin ? "origin" : "snapshot");
	add_word(serve, "write=", serve->write ? "true" : "false");
	add_word(serve, "salvage=", serve->target.salvage ? "true" : "false");
}

/* Bytes that all words take at most. */
static size_t words_room(const struct serve *serve)
{
	size_t room = MOST_WORDS * WORD_ROOM + strlen(serve->socket) + strlen(serve->plugin) +
		      strlen(serve->target.origin_uri) + strlen(serve->target.cow_uri);

	for (size_t i = 0; i < serve->target.other_uris.count; i++)
		room += strlen(serve->target.other_uris.items[i]);
	return room;
}

static int become_nbdkit(struct serve *serve)
{
	const struct command *command = serve->target.command;

	serve->plugin = plugin_of(serve);
	serve->room = words_room(serve);
	serve->text = malloc(serve->room);
	if (serve->text == NULL)
		return failed(command, serve->socket, -ENOMEM, NULL);
	add_words(serve);
	execvp(serve->words[0], serve->words);
	if (errno == ENOENT)
		complain(command, "there is no nbdkit here (Debian: package nbdkit)");
	else
		complain(command, "nbdkit cannot be started: %s", strerror(errno));
	free(serve->text);
	return EXIT_FAILED;
}

int snapshot_serve_run(const struct command *command, int argc, char **argv)
{
	struct serve serve = { 0 };
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	snapshot_options(&serve.target, &options, true);
	snapshot_other_options(&serve.target, &options);
	options_text(&options, "socket", &serve.socket);
	options_text(&options, "plugin", &serve.plugin);
	options_flag(&options, "show-origin", &serve.show_origin);
	options_flag(&options, "write", &serve.write);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	status = snapshot_set(&serve.target, &options, arguments[0], true);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		return misused(command, "--json: there is nothing to report while it serves");
	if (serve.socket == NULL)
		return misused(command, "--socket is missing");
	if (serve.write && serve.target.salvage)
		return misused(command, "--write and --salvage: what is salvaged can only be read");
	status = group_complete(&serve.target, serve.show_origin && serve.write);
	if (status != EXIT_GOOD)
		return status;
	status = become_nbdkit(&serve);
	group_release(&serve.target);
	return status;
}
