/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads get numbers of our own: the system reuses the ids of threads that have ended, and a new
 * thread would find the message of a dead one.
 */
#include "base/failures.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"

struct thread_slot {
	uint64_t thread; /* 0: free */
	uint64_t age;	 /* counts up; the lowest is the oldest */
	int status;
	bool held;

	/* Made when it is first needed, and kept. NULL: there was no memory. */
	struct uds_message *message;
};

struct table {
	struct failures front; /* what the inline functions see; first */
	struct uds_env env;
	pthread_mutex_t lock;
	uint64_t age;
	struct thread_slot slots[FAILURES_MAX];

	/* Of slot 0, so that a program with one thread always gets the whole sentence. */
	struct uds_message first;
};

static struct table *table_of(struct failures *failures)
{
	return (struct table *)failures;
}

static uint64_t this_thread(void)
{
	static _Atomic uint64_t last;
	static _Thread_local uint64_t number;

	/* Relaxed: numbers only have to differ. */
	if (number == 0)
		number = atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
	return number;
}

int failures_make(const struct uds_env *env, struct failures **ret_failures)
{
	struct table *table = env_allocate_zeroed(env, 1, sizeof(*table));

	if (table == NULL)
		return -ENOMEM;
	table->env = *env;
	table->slots[0].message = &table->first;
	pthread_mutex_init(&table->lock, NULL);
	*ret_failures = &table->front;
	return 0;
}

void failures_free(struct failures *failures)
{
	struct table *table = table_of(failures);
	struct uds_env env;

	if (table == NULL)
		return;
	env = table->env;
	/* Slot 0 has its sentence in the table itself. */
	for (unsigned int i = 1; i < FAILURES_MAX; i++)
		env_release(&env, table->slots[i].message);
	pthread_mutex_destroy(&table->lock);
	env_release(&env, table);
}

static struct thread_slot *find_slot(struct table *table, uint64_t thread)
{
	/* A few slots, looked at after failures only. */
	for (unsigned int i = 0; i < FAILURES_MAX; i++) {
		if (table->slots[i].thread == thread)
			return &table->slots[i];
	}
	return NULL;
}

static struct thread_slot *oldest_slot(struct table *table)
{
	struct thread_slot *oldest = &table->slots[0];

	for (unsigned int i = 1; i < FAILURES_MAX; i++) {
		if (table->slots[i].age < oldest->age)
			oldest = &table->slots[i];
	}
	return oldest;
}

static void publish(struct table *table)
{
	uint64_t threads = 0;

	for (unsigned int i = 0; i < FAILURES_MAX; i++) {
		/*
		 * A thread shares its bit with others that are 64 further on: a set bit says
		 * "perhaps", a clear one "surely not".
		 */
		if (table->slots[i].thread != 0)
			threads |= UINT64_C(1) << table->slots[i].thread % 64;
	}
	atomic_store_explicit(&table->front.threads, threads, memory_order_relaxed);
}

void failures_forget(struct failures *failures)
{
	struct table *table = table_of(failures);
	uint64_t thread = this_thread();
	struct thread_slot *slot;

	/* Only the thread itself sets and clears its bit, but for evictions: so this is no race. */
	if ((atomic_load_explicit(&failures->threads, memory_order_relaxed) >> thread % 64 & 1) ==
	    0)
		return;
	pthread_mutex_lock(&table->lock);
	slot = find_slot(table, thread);
	if (slot != NULL) {
		/* The memory of the sentence stays, for the next failure of any thread. */
		slot->thread = 0;
		publish(table);
	}
	pthread_mutex_unlock(&table->lock);
}

/* The thread's slot, or one for it: a free one, else the oldest. With the lock. */
static struct thread_slot *take_slot(struct table *table)
{
	uint64_t thread = this_thread();
	struct thread_slot *slot = find_slot(table, thread);

	if (slot == NULL) {
		slot = find_slot(table, 0);
		/*
		 * More threads have failed than there are slots: the one that failed longest ago
		 * loses its sentence.
		 */
		if (slot == NULL)
			slot = oldest_slot(table);
		slot->thread = thread;
		slot->held = false;
		slot->age = ++table->age;
		publish(table);
	}
	/* Without memory the status alone is kept, and failures_get() says what it means. */
	if (slot->message == NULL)
		slot->message = env_allocate(&table->env, 1, sizeof(*slot->message));
	return slot;
}

int failures_keep(struct failures *failures, int status, const struct uds_message *message)
{
	struct table *table = table_of(failures);
	struct thread_slot *slot;

	pthread_mutex_lock(&table->lock);
	slot = take_slot(table);
	/*
	 * A sentence that is held is about the first cause; what fails while cleaning up does not
	 * replace it.
	 */
	if (!slot->held) {
		slot->status = status;
		if (slot->message != NULL)
			*slot->message = *message;
	}
	pthread_mutex_unlock(&table->lock);
	return status;
}

int failures_say(struct failures *failures, int status, const char *format, ...)
{
	struct uds_message message;
	va_list args;

	va_start(args, format);
	vsnprintf(message.text, sizeof(message.text), format, args);
	va_end(args);
	return failures_keep(failures, status, &message);
}

static bool has_sentence(struct failures *failures, int status)
{
	struct table *table = table_of(failures);
	const struct thread_slot *slot;
	bool has;

	pthread_mutex_lock(&table->lock);
	slot = find_slot(table, this_thread());
	/*
	 * Of another status means of an earlier failure: stale, and not reported with this one.
	 */
	has = slot != NULL && slot->status == status &&
	      (slot->message == NULL || slot->message->text[0] != '\0');
	pthread_mutex_unlock(&table->lock);
	return has;
}

void failures_hold(struct failures *failures, int status, const char *format, ...)
{
	struct table *table = table_of(failures);
	struct uds_message message;
	va_list args;

	if (!has_sentence(failures, status)) {
		va_start(args, format);
		vsnprintf(message.text, sizeof(message.text), format, args);
		va_end(args);
		failures_keep(failures, status, &message);
	}
	pthread_mutex_lock(&table->lock);
	take_slot(table)->held = true;
	pthread_mutex_unlock(&table->lock);
}

int failures_end_slowly(struct failures *failures, int status, const char *what, ...)
{
	struct uds_message message;
	va_list args;
	size_t n;

	if (status >= 0) {
		failures_forget(failures);
	} else if (!has_sentence(failures, status)) {
		va_start(args, what);
		/* Half for what was done and half for why, so that neither is lost. */
		vsnprintf(message.text, sizeof(message.text) / 2, what, args);
		va_end(args);
		n = strlen(message.text);
		snprintf(message.text + n, sizeof(message.text) - n, ": %s", uds_strerror(status));
		failures_keep(failures, status, &message);
	}
	return status;
}

int failures_give(struct failures *failures, int status, struct uds_message *message,
		  struct uds_message *ret_message)
{
	if (status >= 0)
		return status;
	if (message->text[0] == '\0')
		snprintf(message->text, sizeof(message->text), "%s", uds_strerror(status));
	if (ret_message != NULL)
		*ret_message = *message;
	return failures_keep(failures, status, message);
}

void failures_get(struct failures *failures, struct uds_message *ret_message)
{
	struct table *table = table_of(failures);
	const struct thread_slot *slot;

	ret_message->text[0] = '\0';
	pthread_mutex_lock(&table->lock);
	slot = find_slot(table, this_thread());
	/* A copy: the slot may be another thread's as soon as the lock is gone. */
	if (slot != NULL && slot->message != NULL)
		*ret_message = *slot->message;
	else if (slot != NULL)
		snprintf(ret_message->text, sizeof(ret_message->text), "%s",
			 uds_strerror(slot->status));
	pthread_mutex_unlock(&table->lock);
}
