#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Commands whose standard descriptors are closed: what they need and cannot have is an error, what
they do not need is not missed, and no store is written over or read as input."""
import itertools
import os
import sys

from tool_support import FAILED, GOOD, IN_PART, SMALL, Folder, content, data, equal, has, main, name, uds

CLOSE = {0: "<&-", 1: ">&-", 2: "2>&-"}
SUBSETS = [s for n in range(1, 4) for s in itertools.combinations(range(3), n)]
SAVE_TIME = ["--save-time", "1700000000000"]
RECORDS = 300  # more than stdio's buffer holds when they are printed

# words, what goes in, whether it prints; the files are those of prepare().
INDEX = [
    (["create", *SMALL, "--nonce-data", "ab" * 32, "new"], None, False),
    (["info", "index"], None, True), (["verify", "index"], None, True),
    (["info", "--json", "index"], None, True), (["verify", "--json", "index"], None, True),
    (["dump", "index"], None, True), (["recover", *SAVE_TIME, "index"], None, True),
    (["scan", "--index", "index", "--save-time", "1700000000000", "tree"], None, True),
    (["scan", "tree"], None, True),
    (["load", *SAVE_TIME, "index"], "\n".join("%s %s" % (name(-i), data(i)) for i in range(9)),
     True),
    (["exec", *SAVE_TIME, "index"], "post %s %s\n" % (name(-1), data(1)), True),
    (["post", *SAVE_TIME, "index"], "%s %s\n" % (name(-1), data(1)), True),
    (["update", *SAVE_TIME, "index"], "%s %s\n" % (name(-1), data(1)), True),
    (["query", *SAVE_TIME, "index"], name(1) + "\n", True),
    (["peek", "index"], name(1) + "\n", True),
    (["delete", *SAVE_TIME, "index"], name(1) + "\n", True),
]
SNAPSHOT = [
    (["snapshot", "create", "--chunk-size", "4096", "--size", "1M", "new"], None, False),
    (["snapshot", "info", "cow"], None, True), (["snapshot", "list", "cow"], None, True),
    (["snapshot", "list", "--json", "cow"], None, True),
    (["snapshot", "verify", "--origin", "origin", "cow"], None, True),
    (["snapshot", "read", "--origin", "origin", "cow"], None, True),
    (["snapshot", "merge", "--origin", "origin", "--dry-run", "cow"], None, True),
    (["snapshot", "merge", "--origin", "origin", "cow"], None, True),
    (["snapshot", "write", "--origin", "origin", "--offset", "8192", "cow"], "x" * 5000, False),
    (["snapshot", "write-origin", "--origin", "origin", "--offset", "8192", "cow"], "x" * 5000,
     False),
]


def prepare(folder):
    """The files that the commands work on."""
    os.chdir(folder)
    os.mkdir("tree")
    with open("tree/file", "wb") as file:
        file.write(os.urandom(4096) * 3)
    uds("create", *SMALL, "--nonce-data", "cd" * 32, "index")
    uds("post", *SAVE_TIME, "index",
        stdin="".join("%s %s\n" % (name(i), data(i)) for i in range(RECORDS)))
    with open("origin", "wb") as file:
        file.write(os.urandom(1 << 20))
    uds("snapshot", "create", "--chunk-size", "4096", "--size", "1M", "cow")
    uds("snapshot", "write", "--origin", "origin", "--offset", "4096", "cow", stdin="y" * 40960)


def stores():
    return {path: content(path) for path in ("index", "cow", "origin", "new")
            if os.path.exists(path)}


def restore(saved):
    for path in ("index", "cow", "origin", "new"):
        if path not in saved:
            if os.path.exists(path):
                os.unlink(path)
            continue
        with open(path, "wb") as file:
            file.write(saved[path])


def with_closed(subset, words, text, **options):
    prefix = ["sh", "-c", 'exec "$@" ' + " ".join(CLOSE[n] for n in subset), "sh"]
    return uds(*words, stdin=text or "", prefix=prefix, **options)


def check(saved, done, subset, words, text, prints):
    restore(saved)
    lacks_input, lacks_output = 0 in subset and text is not None, 1 in subset and prints
    ran = with_closed(subset, words, text, status=None)
    equal(ran.status, FAILED if lacks_input or lacks_output else GOOD, "%s %s" % (subset, ran))
    after = stores()
    if after not in (saved, done):
        # A command that fails may save without its records: the index is as good as before.
        equal({k: v for k, v in after.items() if k != "index"},
              {k: v for k, v in saved.items() if k != "index"}, "%s %s" % (subset, words))
        uds("verify", "index")
        has(uds("dump", "index").out, "%s %s" % (name(7), data(7)))
    elif not lacks_input:
        equal(after == done, True, "%s %s: done" % (subset, words))
    if 2 in subset:
        equal(ran.err, "", words)
    elif lacks_input:
        has(ran.err, "standard input", "Bad file descriptor")
    elif lacks_output:
        equal(ran.err.count("Bad file descriptor"), 1, repr(ran))
        has(ran.err, "standard output: Bad file descriptor")


def every_command(commands):
    with Folder() as folder:
        prepare(folder)
        saved = stores()
        # A part of all takes another third of them for each command.
        step = 3 if IN_PART else 1
        for number, (words, text, prints) in enumerate(commands):
            restore(saved)
            uds(*words, stdin=text or "")
            done = stores()
            for subset in SUBSETS[number % step::step]:
                check(saved, done, subset, words, text, prints)
        os.chdir("/")


def index_commands_keep_the_index():
    every_command(INDEX)


def snapshot_commands_keep_origin_and_store():
    every_command(SNAPSHOT)


def messages_and_help_have_nowhere_to_go():
    for subset in SUBSETS:
        for words in (["help"], ["--version"], ["info", "--help"], ["help", "snapshot"]):
            with_closed(subset, words, None, status=FAILED if 1 in subset else GOOD)
        with_closed(subset, ["nonsense"], None, status=2)
        with_closed(subset, [], None, status=2)
        with_closed(subset, ["info", "/nowhere"], None, status=FAILED)


def bad_requests_write_no_message_into_the_store():
    with Folder() as folder:
        prepare(folder)
        for _ in range(3):
            with_closed((2,), ["exec", "index"], "nonsense\n", status=FAILED)
        uds("verify", "index")
        before = content("cow"), content("origin")
        with_closed((2,), ["snapshot", "write-origin", "--origin", "origin", "--offset", "10M",
                           "cow"], "x" * 8192, status=FAILED)
        equal((content("cow"), content("origin")), before)
        os.chdir("/")


if __name__ == "__main__":
    sys.exit(main([index_commands_keep_the_index, snapshot_commands_keep_origin_and_store,
                   messages_and_help_have_nowhere_to_go,
                   bad_requests_write_no_message_into_the_store]))
