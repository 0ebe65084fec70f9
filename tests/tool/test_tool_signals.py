#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Signals end work in order, or ask how far it is."""
import os
import signal
import subprocess
import sys
import time

from tool_support import SMALL, TOOL, Folder, content, data, equal, has, main, name, uds

ENDINGS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


def started(*arguments, **options):
    return subprocess.Popen([TOOL, *map(str, arguments)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def index_in(folder):
    index = os.path.join(folder, "i")
    uds("create", *SMALL, index)
    return index


def answered(process, line):
    """Sends a request and waits for its answer: the handlers are in place, and it waits again."""
    process.stdin.write(line)
    process.stdin.flush()
    return process.stdout.readline()


def a_signal_while_waiting_for_requests_saves_what_was_done():
    for number, status in ENDINGS.items():
        with Folder() as folder:
            index = index_in(folder)
            with started("exec", index) as process:
                equal(answered(process, "post %s %s\n" % (name(1), data(1))), "-\n")
                time.sleep(0.1)
                process.send_signal(number)
                process.wait(60)
                err = process.stderr.read()
            equal(process.returncode, status, err)
            has(err, "interrupted", "the lines before were carried out")
            equal(uds("info", "--json", index).json["state"], "clean")
            equal(uds("peek", index, stdin=name(1)).out, data(1) + "\n")


def what_becomes_of_the_lines_before_is_told():
    for words, line, says in ((["exec"], "query " + name(1), "are being saved"),
                              (["query"], name(1), "are being saved"),
                              (["exec", "--no-save"], "query " + name(1), "are not saved"),
                              (["peek"], name(1), "nothing is changed"),
                              (["peek", "--no-save"], name(1), "nothing is changed")):
        with Folder() as folder:
            with started(*words, index_in(folder)) as process:
                answered(process, line + "\n")
                time.sleep(0.1)
                process.send_signal(signal.SIGINT)
                process.wait(60)
                has(process.stderr.read(), "the lines before were carried out, and " + says)


def what_is_ignored_at_the_start_stays_ignored():
    for number in ENDINGS: # SIGHUP under nohup, SIGINT in a background job
        with Folder() as folder:
            index = index_in(folder)
            with started("exec", index, preexec_fn=lambda n=number: signal.signal(
                    n, signal.SIG_IGN)) as process:
                answered(process, "post %s %s\n" % (name(1), data(1)))
                process.send_signal(number)
                time.sleep(0.1)
                out, err = process.communicate("query %s\n" % name(1), timeout=60)
            equal((process.returncode, out, err), (0, data(1) + "\n", ""))


def a_request_for_progress_is_answered_without_a_terminal():
    with Folder() as folder:
        index = index_in(folder)
        for quiet in ([], ["--quiet"]):
            with started("exec", *quiet, index) as process:
                answered(process, "post %s %s\n" % (name(1), data(1)))
                time.sleep(0.1)
                process.send_signal(signal.SIGUSR1)
                line = process.stderr.readline()
                has(line, "uds exec: carrying out 1 requests")
                equal(answered(process, "query %s\n" % name(1)), data(1) + "\n")
                out, err = process.communicate(timeout=60)
            equal((process.returncode, out, err), (0, "", ""))


def many_requests_for_progress_disturb_nothing():
    with Folder() as folder:
        index, cow = index_in(folder), os.path.join(folder, "c")
        origin, large = os.path.join(folder, "o"), os.path.join(folder, "large")
        with open(large, "wb") as file:
            file.write(os.urandom(24 << 20))
        with open(origin, "wb") as file:
            file.truncate(8 << 20)
        uds("snapshot", "create", "--chunk-size", 4096, "--size", "12M", cow)
        with open(large, "rb") as file:
            subprocess.run([TOOL, "snapshot", "write", "--origin", origin, "--offset", "0", cow],
                           input=file.read(8 << 20), check=True)
        for words in (["scan", "--index", index, large], ["dump", index], ["verify", index],
                      ["snapshot", "merge", "--rate", "8M", "--origin", origin, cow]):
            plain_err = ""
            with subprocess.Popen([TOOL, *words], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as process:
                time.sleep(0.4) # it must have begun
                while process.poll() is None:
                    process.send_signal(signal.SIGUSR1)
                    time.sleep(0.01)
                plain_err = process.stderr.read()
            equal(process.returncode, 0, (words, plain_err))
            for line in plain_err.splitlines():
                has(line, "uds %s: " % " ".join(w for w in words[:2 if words[0] == "snapshot"
                                                               else 1]))
            if words[0] == "snapshot":
                has(plain_err, "merging")


def reading_that_is_interrupted_says_where():
    with Folder() as folder:
        cow, origin = os.path.join(folder, "c"), os.path.join(folder, "o")
        with open(origin, "wb") as file:
            file.truncate(64 << 20)
        uds("snapshot", "create", "--chunk-size", 4096, "--size", "1M", cow)
        with started("snapshot", "read", "--origin", origin, cow) as process:
            process.stdout.read(1)
            process.send_signal(signal.SIGINT)
            time.sleep(0.2)
            _, err = process.communicate(timeout=60)
        if process.returncode != 0:
            equal(process.returncode, 130, err)


def a_file_that_becomes_too_large_is_an_error():
    with Folder() as folder:
        index, origin, tree = index_in(folder), os.path.join(folder, "o"), os.path.join(folder, "t")
        records = "".join("%s %s\n" % (name(i), data(i)) for i in range(3000))
        requests = "".join("post " + line + "\n" for line in records.splitlines())
        with open(origin, "wb") as file:
            file.write(bytes(1 << 20))
        os.mkdir(tree)
        with open(os.path.join(tree, "file"), "wb") as file:
            file.write(os.urandom(3000 * 512))
        before = content(index)
        new, cow = os.path.join(folder, "new"), os.path.join(folder, "c")
        uds("snapshot", "create", "--chunk-size", 4096, "--size", "1M", cow)
        for words, text, place in (
                (["create", *SMALL, new], "", new), (["load", index], records, index),
                (["exec", index], requests, index), (["update", index], records, index),
                (["scan", "--block-size", 512, "--index", index, tree], "", index),
                (["snapshot", "create", "--chunk-size", 4096, "--size", "1M", new], "", new),
                (["snapshot", "write", "--origin", origin, "--offset", 0, cow], "x" * 99999, cow)):
            ran = uds(*words, stdin=text, prefix=["sh", "-c", 'ulimit -f 40; exec "$@"', "sh"],
                      status=1, says=["File too large", place])
            equal(os.path.exists(new), False, ran)
            # It is not damaged, and goes on when it may be written.
            if place == index:
                uds("verify", index)
                uds("load", index, stdin=records)
                with open(index, "wb") as file:
                    file.write(before)
        uds("snapshot", "verify", cow)


if __name__ == "__main__":
    sys.exit(main([a_signal_while_waiting_for_requests_saves_what_was_done,
                   what_becomes_of_the_lines_before_is_told,
                   what_is_ignored_at_the_start_stays_ignored,
                   a_request_for_progress_is_answered_without_a_terminal,
                   many_requests_for_progress_disturb_nothing,
                   reading_that_is_interrupted_says_where,
                   a_file_that_becomes_too_large_is_an_error]))
