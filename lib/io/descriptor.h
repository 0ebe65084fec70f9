/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that are never 0, 1 or 2.
 *
 * A program may run with some of its standard descriptors closed. The system gives the lowest
 * free number to the next open; a store that became number 1 would take what the program prints,
 * and as number 0 it would be read as the program's input. So everything that the library opens
 * is opened here.
 */
#ifndef IO_DESCRIPTOR_H
#define IO_DESCRIPTOR_H

/* The first number that no program takes for a standard one. */
#define FIRST_DESCRIPTOR 3

/*
 * Holds the free standard numbers for as long as something is opened, so that it is never seen
 * under one of them, not even by other threads. What holds them can neither be read nor written.
 */
struct standard_hold {
	int held[FIRST_DESCRIPTOR];
	int count;
};

/* Returns 0, or a negated errno; nothing is held then. */
int descriptor_hold_standard(struct standard_hold *ret_hold);
void descriptor_release_standard(struct standard_hold *hold);

/*
 * open(2) with O_CLOEXEC and O_NOCTTY, again after EINTR; a file that is made gets the mode 0600
 * less the umask.
 * Returns 3 or more, or a negated errno.
 */
int descriptor_open(const char *path, int flags);

/*
 * eventfd(2), which does not block, and epoll_create1(2), both closed by exec. Return 3 or more, or
 * a negated errno.
 */
int descriptor_eventfd(void);
int descriptor_epoll(void);

#endif
