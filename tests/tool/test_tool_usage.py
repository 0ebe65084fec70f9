#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command line of uds: help, versions, and what is refused before anything is touched."""
import os
import re
import sys

from tool_support import (FAILED, GOOD, SMALL, USAGE, Folder, content, equal, has, main, uds)

INDEX_COMMANDS = ["create", "info", "scan", "exec", "post", "update", "query", "peek", "delete",
                  "verify", "recover", "dump", "load"]
SNAPSHOT_COMMANDS = ["snapshot " + command for command in (
    "create", "info", "list", "read", "write", "write-origin", "merge", "verify")]
COMMANDS = INDEX_COMMANDS + SNAPSHOT_COMMANDS


def version_is_told():
    ran = uds("--version")
    if not re.fullmatch(r"uds \(libuds\) \d+\.\d+\.\d+\n", ran.out):
        raise AssertionError(ran)
    equal(ran.err, "")


def help_lists_every_command():
    for arguments in (["help"], ["--help"], ["-h"]):
        has(uds(*arguments).out, *("\n  %s " % command for command in COMMANDS))


def every_command_has_help():
    for command in COMMANDS:
        long = uds(*command.split(), "--help")
        equal(long.err, "")
        has(long.out, "usage: uds %s" % command, "--help")
        equal(uds(*command.split(), "-h").out, long.out)
        equal(uds("help", *command.split()).out, long.out)


def help_of_nothing_known_is_a_wrong_use():
    uds("help", "nonsense", status=USAGE, says="nonsense")


def no_command_is_a_wrong_use():
    has(uds(status=USAGE).err, "create", "scan")


def the_snapshot_family_lists_its_commands():
    for arguments in (["help", "snapshot"], ["snapshot", "--help"]):
        has(uds(*arguments).out, *("\n  %s " % command for command in SNAPSHOT_COMMANDS))
    has(uds("snapshot", status=USAGE).err, "snapshot merge")
    uds("snapshot", "nonsense", status=USAGE, says="'snapshot nonsense'")


def unknown_commands_are_refused():
    uds("creat", status=USAGE, says="unknown command 'creat'")
    uds("--nonsense", status=USAGE, says="unknown option '--nonsense'")


def unknown_options_are_refused_by_every_command():
    with Folder() as folder:
        for command in COMMANDS:
            path = os.path.join(folder, "x")
            words = command.split()
            uds(*words, "--nonsense", path, status=USAGE, says=["uds " + command, "--nonsense"])
            uds(*words, "-Z", path, status=USAGE, says=["uds " + command, "-Z"])
            equal(os.listdir(folder), [], command)


def missing_and_superfluous_arguments_are_refused():
    for command in COMMANDS:
        uds(*command.split(), status=USAGE, says="missing")
        if command != "scan":
            uds(*command.split(), "a", "b", status=USAGE, says="'b'")
    uds("create", "--chapters", status=USAGE, says="--chapters")
    uds("info", "--json=yes", "x", status=USAGE, says="--json")


def zones_outside_the_range_are_refused_with_it():
    for command in INDEX_COMMANDS:
        for zones in ("0", "17", "-1", "two", ""):
            uds(command, "--zones", zones, "x", status=USAGE, says=["--zones", "1 to 16"])


def offsets_must_be_whole_blocks():
    for command in INDEX_COMMANDS:
        uds(command, "--offset", "1000", "x", status=USAGE, says=["--offset", "4096"])
        uds(command, "--offset", "17X", "x", status=USAGE, says="--offset")
    with Folder() as folder:
        path = os.path.join(folder, "x")
        uds("create", *SMALL, "--offset", (1 << 64) - 4096, path, status=FAILED,
            says="offset: expected at most")
        equal(os.listdir(folder), [])


def impossible_geometries_are_refused_with_the_range():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        for arguments, says in (
                (["--chapters", "1"], ["2"]),
                (["--chapters", "0"], ["2"]),
                (["--chapters", "8", "--page-size", "1000"], ["4096"]),
                (["--chapters", "8", "--page-size", "128K"], ["65536"]),
                (["--chapters", "8", "--record-pages", "0"], ["1"]),
                (["--chapters", "8", "--record-pages", "1000000"], []),
                (["--chapters", "8", "--sparse-chapters", "8"], []),
                (["--chapters", "8", "--sparse-chapters", "4", "--sample-rate", "0"], []),
                (["--chapters", "4294967296"], ["4294967295"]),
                (["--record-pages", "4"], ["--chapters"]),
                (["--chapters", "8", "--sample-rate", "4"], ["--sparse-chapters"]),
                (["--chapters", "8", "--memory", "256M"], ["--memory"]),
                (["--memory", "257M"], ["256M", "512M", "768M", "1G"]),
                (["--memory", "0G"], ["1G"]),
                (["--memory", "1025G"], ["1024G"]),
                (["--nonce", "18446744073709551616"], ["--nonce"]),
                (["--nonce-data", "00"], ["--nonce-data", "64"]),
                (["--nonce-data", "g" * 64], ["--nonce-data"])):
            uds("create", *arguments, path, status=USAGE, says=says)
            equal(os.path.exists(path), False, "file made by %s" % arguments)


def an_impossible_geometry_leaves_an_existing_file_alone():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        with open(path, "wb") as file:
            file.write(b"precious")
        uds("create", "--force", "--chapters", "1", path, status=USAGE)
        equal(content(path), b"precious")


def block_sizes_outside_the_range_are_refused():
    for size in ("256", "2M", "3000", "0"):
        uds("scan", "--block-size", size, "/dev/null", status=USAGE, says="--block-size")


def options_about_an_index_need_one():
    with Folder() as folder:
        for option in (["--no-save"], ["--nonce", "0"], ["--offset", "4096"]):
            uds("scan", *option, folder, status=USAGE, says=[option[0], "--index"])
        uds("scan", "--directories", folder, status=USAGE, says="--top")
        uds("scan", "--sparse", "--index", "x", folder, status=USAGE, says="--index")


def options_may_follow_arguments():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", path, *SMALL)
        equal(uds("info", path, "--json").json["chapters_per_volume"], 8)
        uds("info", "--", path)
        uds("info", "--", "--json", status=FAILED, says="--json")


def output_that_cannot_be_written_is_an_error():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", path, *SMALL)
        if not os.path.exists("/dev/full"):
            return
        uds("info", path, status=FAILED, says="standard output",
            prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])


def messages_name_the_command_and_the_file():
    uds("info", "/nonexistent/x.uds", status=FAILED,
        says=["uds info: ", "/nonexistent/x.uds", "No such file"])
    uds("scan", "/nonexistent", status=FAILED, says=["uds scan: ", "/nonexistent"])


if __name__ == "__main__":
    assert GOOD == 0
    sys.exit(main([
        version_is_told, help_lists_every_command, every_command_has_help,
        help_of_nothing_known_is_a_wrong_use, no_command_is_a_wrong_use,
        the_snapshot_family_lists_its_commands, unknown_commands_are_refused,
        unknown_options_are_refused_by_every_command,
        missing_and_superfluous_arguments_are_refused, zones_outside_the_range_are_refused_with_it,
        offsets_must_be_whole_blocks, impossible_geometries_are_refused_with_the_range,
        an_impossible_geometry_leaves_an_existing_file_alone,
        block_sizes_outside_the_range_are_refused, options_about_an_index_need_one,
        options_may_follow_arguments,
        output_that_cannot_be_written_is_an_error, messages_name_the_command_and_the_file]))
