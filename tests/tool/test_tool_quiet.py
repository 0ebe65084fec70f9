#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""--quiet: on success nothing on standard error, of any command, not even on a terminal."""
import os
import sys

from test_tool_terminal import on_terminal
from test_tool_usage import COMMANDS
from tool_support import SMALL, Folder, content, data, equal, has, main, name, uds

CHUNK = 4096
OPENED = ["recover", "dump", "load", "exec", "post", "update", "query", "peek", "delete"]


class Places:
    """An index, an origin and a COW device, as they were, for each command anew."""
    @staticmethod
    def records(first, last):
        return "".join("%s %s\n" % (name(i), data(i)) for i in range(first, last))

    def __init__(self, folder):
        self.folder, self.images = folder, {}
        self.index, self.cow, self.origin, self.new, self.out = (
            os.path.join(folder, each) for each in ("index", "cow", "origin", "new", "out"))
        uds("create", *SMALL, self.index)
        uds("post", "--quiet", self.index, stdin=self.records(0, 1500))
        with open(self.origin, "wb") as file:
            file.write(os.urandom(1 << 20))
        uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "4M", self.cow)
        uds("snapshot", "write", "--origin", self.origin, "--offset", 0, self.cow, binary=True,
            stdin=os.urandom(CHUNK * 100))
        self.keep(self.index, self.cow, self.origin)

    def keep(self, *paths):
        for path in paths:
            self.images[path] = content(path)

    def restore(self):
        for path, image in self.images.items():
            with open(path, "wb") as file:
                file.write(image)
        for path in (self.new, self.out):
            if os.path.exists(path):
                os.unlink(path)

    def words(self, command):
        """What the command is given, and its input."""
        origin = ["--origin", self.origin]
        name_lines = "".join("%s\n" % name(i) for i in range(0, 1500, 7))
        words, stdin = {
            "create": ([*SMALL, self.new], ""),
            "scan": (["--index", self.index, self.origin], ""),
            "exec": ([self.index], "".join("query %s\n" % name(i) for i in range(9))),
            "post": ([self.index], self.records(1400, 1600)),
            "update": ([self.index], self.records(1400, 1600)),
            "query": ([self.index], name_lines),
            "peek": ([self.index], name_lines),
            "delete": ([self.index], name_lines),
            "load": ([self.index], self.records(1400, 1600)),
            "snapshot create": (["--chunk-size", CHUNK, "--size", "4M", self.new], ""),
            "snapshot info": ([self.cow], ""),
            "snapshot list": ([self.cow], ""),
            "snapshot read": ([*origin, "--output", self.out, self.cow], ""),
            "snapshot write": ([*origin, "--offset", "8192", self.cow], "x" * 30000),
            "snapshot write-origin": ([*origin, "--offset", "8192", self.cow], "x" * 30000),
            "snapshot merge": ([*origin, self.cow], ""),
            "snapshot verify": ([*origin, self.cow], ""),
        }.get(command, ([self.index], ""))
        return command.split() + list(map(str, words)), stdin


def say(places, command, *options):
    """What the command says on a standard error that is a terminal, and on one that is a file."""
    words, stdin = places.words(command)
    places.restore()
    said = on_terminal(*words, *options, stdin=stdin)
    places.restore()
    ran = uds(*words, *options, stdin=stdin)
    return said.decode() + ran.err, ran.out


def no_command_says_anything_when_it_is_quiet():
    with Folder() as folder:
        places = Places(folder)
        for command in COMMANDS:
            for option in "--quiet", "-q":
                equal(say(places, command, option)[0], "", command)


def quiet_takes_no_result_away():
    with Folder() as folder:
        places = Places(folder)
        for command in COMMANDS:
            if command in ("create", "load", "scan"):  # random, a note, and a time
                continue
            equal(say(places, command, "--quiet")[1], say(places, command)[1], command)


def warnings_are_left_out():
    with Folder() as folder:
        places = Places(folder)
        image = bytearray(content(places.index))
        # A damaged saved volume index: the index is recovered, with a warning.
        image[image.index(b"DI-00002") + 12] ^= 0x40
        with open(places.index, "wb") as file:
            file.write(image)
        places.keep(places.index)
        for command in OPENED:
            has(say(places, command)[0], "the index is recovered from its chapters")
            equal(say(places, command, "--quiet")[0], "", command)


def failures_are_told_all_the_same():
    with Folder() as folder:
        for command in COMMANDS:
            words = {"create": ["--chapters", 3], "snapshot create": ["--chunk-size", 4096],
                     "snapshot read": ["--origin", folder], "snapshot merge": ["--origin", folder],
                     "snapshot write": ["--origin", folder, "--offset", 0],
                     "snapshot write-origin": ["--origin", folder, "--offset", 0]}.get(command, [])
            ran = uds(*command.split(), "--quiet", *words, os.path.join(folder, "not", "there"),
                      status=None)
            equal((ran.status != 0, "uds %s: " % command in ran.err), (True, True), ran)


if __name__ == "__main__":
    sys.exit(main([no_command_says_anything_when_it_is_quiet, quiet_takes_no_result_away,
                   warnings_are_left_out, failures_are_told_all_the_same]))
