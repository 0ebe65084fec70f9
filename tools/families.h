/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands' entry points, for the tables in commands.c. */
#ifndef TOOLS_FAMILIES_H
#define TOOLS_FAMILIES_H

#include "tool.h"

int create_run(const struct command *command, int argc, char **argv);
int find_run(const struct command *command, int argc, char **argv);
int info_run(const struct command *command, int argc, char **argv);
int scan_run(const struct command *command, int argc, char **argv);
int verify_run(const struct command *command, int argc, char **argv);
int recover_run(const struct command *command, int argc, char **argv);
int dump_run(const struct command *command, int argc, char **argv);
int load_run(const struct command *command, int argc, char **argv);

/* exec, post, update, query, peek and delete: the command's name says which. */
int requests_run(const struct command *command, int argc, char **argv);

int vdo_audit_run(const struct command *command, int argc, char **argv);
int vdo_prime_run(const struct command *command, int argc, char **argv);

int shards_create_run(const struct command *command, int argc, char **argv);
int shards_info_run(const struct command *command, int argc, char **argv);
int shards_verify_run(const struct command *command, int argc, char **argv);

/* add, remove and resume: the command's name says which. */
int shards_move_run(const struct command *command, int argc, char **argv);

#endif
