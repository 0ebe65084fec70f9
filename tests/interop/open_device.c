/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open_device URI...: opens each to write and says how that went: "PATH: block N, alignment N" or
 * the sentence of the failure. Linked statically, to be run in a machine that holds nothing else.
 */
#include <stdio.h>

#include <uds/io.h>

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
		struct uds_message message;
		struct uds_io *io;

		options.write = true;
		if (uds_io_open_uri(argv[i], &options, NULL, &message, &io) < 0) {
			printf("%s\n", message.text);
			failed++;
			continue;
		}
		printf("%s: block %u, alignment %u\n", uds_io_name(io), uds_io_block_bytes(io),
		       uds_io_memory_alignment(io));
		uds_io_close(io);
	}
	return failed > 0;
}
