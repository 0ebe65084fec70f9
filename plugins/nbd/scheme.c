/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The schemes. What belongs to libnbd in a URI is handed on as it is written; what belongs to the
 * backend is taken out of it.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "common/uri_number.h"
#include "nbd/open.h"

enum { SOCKET, TLS_CERTIFICATES, TLS_PSK_FILE, CONNECTIONS, CONNECT, ANSWER, RECONNECT, UNFLUSHED };

/* Those of libnbd first. */
static const struct uds_io_parameter parameters[] = {
	[SOCKET] = { .name = "socket", .kind = UDS_IO_PARAMETER_TEXT },
	[TLS_CERTIFICATES] = { .name = "tls-certificates", .kind = UDS_IO_PARAMETER_TEXT },
	[TLS_PSK_FILE] = { .name = "tls-psk-file", .kind = UDS_IO_PARAMETER_TEXT },
	[CONNECTIONS] = { .name = "connections", .kind = UDS_IO_PARAMETER_TEXT },
	[CONNECT] = { .name = "connect", .kind = UDS_IO_PARAMETER_TEXT },
	[ANSWER] = { .name = "answer", .kind = UDS_IO_PARAMETER_TEXT },
	[RECONNECT] = { .name = "reconnect", .kind = UDS_IO_PARAMETER_TEXT },
	[UNFLUSHED] = { .name = "unflushed", .kind = UDS_IO_PARAMETER_SIZE },
};

/* The length of a word of the query, up to the next ampersand. */
static size_t word_length(const char *word)
{
	return strcspn(word, "&");
}

static bool is_libnbds(const char *word)
{
	for (int i = SOCKET; i <= TLS_PSK_FILE; i++) {
		size_t n = strlen(parameters[i].name);

		if (strncmp(word, parameters[i].name, n) == 0 && word[n] == '=')
			return true;
	}
	return false;
}

/* The URI with libnbd's parameters only. @ret_uri has room for the text. */
static void strip(const char *text, char *ret_uri)
{
	size_t n = strcspn(text, "?");
	const char *word = text[n] == '?' ? text + n + 1 : NULL;
	char separator = '?';

	memcpy(ret_uri, text, n);
	ret_uri += n;
	while (word != NULL) {
		size_t length = word_length(word);

		if (is_libnbds(word)) {
			*ret_uri++ = separator;
			memcpy(ret_uri, word, length);
			ret_uri += length;
			separator = '&';
		}
		word = word[length] == '&' ? word + length + 1 : NULL;
	}
	*ret_uri = '\0';
}

static int read_number(const struct uds_io_uri *uri, int parameter, uint32_t times,
		       struct uds_message *message, uint32_t *number)
{
	return uri_number(uri, &uri->values[parameter], parameters[parameter].name, times, message,
			  number);
}

static int read_options(const struct uds_io_uri *uri, struct uds_nbd_options *options,
			struct uds_message *message)
{
	int r;

	options->write = uri->options->write;
	if (uri->values[UNFLUSHED].text != NULL)
		options->unflushed_bytes = uri->values[UNFLUSHED].number;
	r = read_number(uri, CONNECTIONS, 1, message, &options->connections);
	if (r == 0)
		r = read_number(uri, CONNECT, 1000, message, &options->connect_ms);
	if (r == 0)
		r = read_number(uri, ANSWER, 1000, message, &options->answer_ms);
	if (r == 0)
		r = read_number(uri, RECONNECT, 1000, message, &options->reconnect_ms);
	return r;
}

static int open_uri(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_nbd_options options = UDS_NBD_OPTIONS_INIT;
	char *stripped;
	int r = read_options(uri, &options, ret_message);

	(void)context;
	if (r < 0)
		return r;
	/* An export is there or not: it cannot be made. */
	if (uri->options->exclusive_create)
		return failure(ret_message, -EEXIST, "%s: the server has it already", uri->text);
	stripped = env_allocate(env, strlen(uri->text) + 1, 1);
	if (stripped == NULL)
		return failure(ret_message, -ENOMEM, "%s: no memory", uri->text);
	strip(uri->text, stripped);
	r = nbd_open_named(uri->text, stripped, &options, env, ret_message, ret_io);
	env_release(env, stripped);
	return r;
}

#define ROW(scheme)                                                                     \
	{                                                                               \
		.size = sizeof(struct uds_io_scheme), .name = scheme, .open = open_uri, \
		.parameters = parameters,                                               \
		.parameter_count = sizeof(parameters) / sizeof(parameters[0]),          \
	}

static const struct uds_io_scheme schemes[] = {
	ROW("nbd"),	  ROW("nbds"),	    ROW("nbd+unix"),
	ROW("nbds+unix"), ROW("nbd+vsock"), ROW("nbds+vsock"),
};

#define SCHEMES (sizeof(schemes) / sizeof(schemes[0]))

UDS_PUBLIC int uds_nbd_register_schemes(struct uds_message *ret_message)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the number */
	static size_t registered;
	int r = 0;

	pthread_mutex_lock(&lock);
	/* From where an earlier call failed. */
	while (registered < SCHEMES && r == 0) {
		r = uds_io_register_scheme(&schemes[registered], ret_message);
		if (r == 0)
			registered++;
	}
	pthread_mutex_unlock(&lock);
	return r;
}
