#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds exec, post, update, query, peek, delete, dump and load: lines in, lines out."""
import os
import random
import shutil
import subprocess
import sys

from tool_support import (FAILED, SMALL, TOOL, Folder, Skip, content, data, equal, main, name, uds)

ROOMY = ["--chapters", "64", "--record-pages", "4", "--page-size", "4096"]


class Index(Folder):
    """A new index in a folder of its own, `with Index() as path`."""
    def __init__(self, shape=SMALL):
        super().__init__()
        self.shape = shape

    def __enter__(self):
        path = os.path.join(super().__enter__(), "index.uds")
        uds("create", *self.shape, path)
        return path


def lines(*items):
    return "".join(item + "\n" for item in items)


def dumped(path):
    return dict(line.split(" ") for line in uds("dump", path).out.splitlines())


def exec_answers_line_by_line():
    with Index() as path:
        n, m = name(1), name(2)
        equal(uds("exec", path, stdin=lines(
            "post %s %s" % (n, data(1)), "post %s %s" % (n, data(2)), "query " + n,
            "update %s %s" % (n, data(3)), "peek " + n, "update %s %s" % (m, data(4)),
            "peek " + m, "delete " + n, "delete " + n, "query " + n, "peek " + name(3))).out,
            lines("-", data(1), data(1), data(1), data(3), "-", data(4), "+", "-", "-", "-"))


def each_kind_of_request_has_its_command():
    with Index() as path:
        n = name(1)
        equal(uds("post", path, stdin=lines(n + " " + data(1), n + " " + data(2))).out,
              lines("-", data(1)))
        equal(uds("query", path, stdin=lines(n, name(2))).out, lines(data(1), "-"))
        equal(uds("update", path, stdin=lines(n + " " + data(3))).out, lines(data(1)))
        equal(uds("peek", path, stdin=lines(n)).out, lines(data(3)))
        equal(uds("delete", path, stdin=lines(n, n)).out, lines("+", "-"))
        equal(uds("peek", path, stdin=lines(n)).out, lines("-"))


def capital_digits_and_blanks_are_understood():
    with Index() as path:
        uds("post", path, stdin="  %s\t %s \n" % (name(1).upper(), data(1).upper()))
        equal(uds("query", path, stdin=name(1)).out, lines(data(1)))


def nothing_in_means_nothing_out():
    with Index() as path:
        for command in ("exec", "post", "query", "load"):
            equal(uds(command, "--quiet", path).out, "")


def malformed_lines_are_named_and_the_lines_before_are_done():
    good = name(1) + " " + data(1)
    for command, bad in (
            ("post", name(2)), ("post", name(2) + " " + data(2)[:-1]), ("post", good[:20]),
            ("post", good + "0"), ("post", good + " x"), ("post", ""), ("post", "x" * 5000),
            ("post", name(2) + data(2)), ("post", "\u00e9" * 40), ("post", good + "\0"),
            ("post", "g" + good[1:]), ("query", good), ("query", "abc"),
            ("exec", "post " + name(2)), ("exec", "store " + good), ("exec", "posts " + good),
            ("exec", ""), ("exec", "query"), ("exec", good), ("load", name(2)), ("load", "")):
        with Index() as path:
            verb = {"exec": "post "}.get(command, "")
            first = name(7) if command == "query" else verb + name(7) + " " + data(7)
            ran = uds(command, path, stdin=lines(first, first, bad, first), status=FAILED,
                      says=["uds %s: " % command, "line 3"])
            if command != "load":
                equal(len(ran.out.splitlines()), 2, "answers to %r" % bad)
            if command != "query":
                equal(dumped(path), {name(7): data(7)}, "what is stored after %r" % bad)
                equal(uds("info", "--json", path).json["state"], "clean")


def no_save_leaves_everything_as_a_crash_would():
    with Index() as path:
        uds("post", path, stdin=lines(name(1) + " " + data(1)))
        before = content(path)
        equal(uds("exec", "--no-save", path, stdin=lines("post %s %s" % (name(2), data(2)))).out,
              "-\n")
        equal(content(path), before, "the file after a chapter that was not closed")
        equal(dumped(path), {name(1): data(1)})
        # Several chapters: now the save is no longer valid, and the open chapter is lost.
        many = lines(*("post %s %s" % (name(i), data(i)) for i in range(10, 1600)))
        uds("exec", "--no-save", path, stdin=many)
        equal(uds("info", "--json", path).json["state"], "needs-recovery")
        found = dumped(path)
        for i in range(10, 10 + 512):
            equal(found.get(name(i)), data(i), "record of a closed chapter")
        equal(len(found) < 1591, True, "records of the open chapter are lost")


def no_save_and_save_time_are_obeyed_by_each_command():
    with Index() as path:
        uds("post", path, stdin=lines(name(1) + " " + data(1)))
        words = {"exec": "post %s %s" % (name(2), data(2)), "post": name(4) + " " + data(4),
                 "update": name(1) + " " + data(3), "query": name(1), "peek": name(1),
                 "delete": name(1), "load": name(5) + " " + data(5)}
        for command, line in words.items():
            before = content(path)
            uds(command, "--no-save", path, stdin=lines(line))
            equal(content(path), before, command + " --no-save")
        time = 1893456000000
        for i, (command, line) in enumerate(words.items()):
            if command in ("peek", "query"):
                continue  # they change nothing here, so nothing is saved
            uds(command, "--save-time", time + i, path, stdin=lines(line))
            with open(path, "rb") as file:
                equal((time + i).to_bytes(8, "little") in file.read(), True,
                      command + " --save-time")


def answers_come_before_the_next_line_is_needed():
    with Index() as path:
        with subprocess.Popen([TOOL, "exec", path], stdin=subprocess.PIPE, text=True, bufsize=1,
                              stdout=subprocess.PIPE) as process:
            for i in range(20):
                process.stdin.write("post %s %s\n" % (name(i % 10), data(i)))
                process.stdin.flush()
                equal(process.stdout.readline(), "-\n" if i < 10 else data(i - 10) + "\n")
            process.stdin.close()
            equal(process.wait(), 0)


def what_was_done_is_saved_when_nobody_reads_the_answers():
    if not shutil.which("bash"):
        raise Skip("no bash")
    with Index(ROOMY) as path:
        many = lines(*(name(i) + " " + data(i) for i in range(20000)))
        ran = uds("post", path, stdin=many, status=None,
                  prefix=["bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash"])
        equal(ran.out, "-\n")
        equal(ran.status, 141, ran)
        equal(ran.err, "")
        equal(uds("info", "--json", path).json["state"], "clean")
        # What came behind the end of the pipe was not carried out.
        equal(len(dumped(path)) < 19000, True)
        equal(uds("peek", path, stdin=name(0)).out, lines(data(0)))


def requests_agree_with_a_simple_model():
    with Index(ROOMY) as path:
        random.seed(20)
        model, requests, answers = {}, [], []
        for _ in range(6000):
            n, d = name(random.randrange(1500)), data(random.randrange(10**6))
            verb = random.choice(["post", "update", "query", "peek", "delete"])
            before = model.get(n)
            answers.append("-" if before is None else "+" if verb == "delete" else before)
            if verb == "update" or (verb == "post" and before is None):
                model[n] = d
            elif verb == "delete":
                model.pop(n, None)
            requests.append("%s %s %s" % (verb, n, d) if verb in ("post", "update") else
                            "%s %s" % (verb, n))
        for zones, start in ((1, 0), (3, 2000), (2, 4000)):
            ran = uds("exec", "--zones", zones, path, stdin=lines(*requests[start:start + 2000]))
            equal(ran.out.splitlines(), answers[start:start + 2000], "%d zones" % zones)
        equal(dumped(path), model)


def dump_and_load_are_the_reverse_of_each_other():
    with Index(ROOMY) as path, Index(ROOMY) as other:
        uds("post", path, stdin=lines(*(name(i) + " " + data(i) for i in range(3000))))
        uds("delete", path, stdin=lines(*(name(i) for i in range(100, 200))))
        dump = uds("dump", path).out
        equal(len(dump.splitlines()), 2900)
        ran = uds("load", other, stdin=dump)
        equal("2900" in ran.out, True, ran)
        equal(dumped(other), dumped(path))
        equal(uds("load", "--json", other, stdin=dump).json["records"], 2900)
        equal(dumped(other), dumped(path))


def dump_gives_the_oldest_chapter_first():
    with Index(ROOMY) as path:
        uds("post", path, stdin=lines(*(name(i) + " " + data(i) for i in range(2000))))
        order = [int(line.split()[1], 16) - 1 for line in uds("dump", path).out.splitlines()]
        equal(sorted(order), list(range(2000)))
        equal([i // 512 for i in order], sorted(i // 512 for i in order))


def peek_and_dump_write_nothing():
    with Index() as path:
        uds("post", path, stdin=lines(name(1) + " " + data(1)))
        before, stamp = content(path), os.stat(path).st_mtime_ns
        uds("peek", path, stdin=lines(name(1)))
        uds("dump", path)
        equal(content(path), before)
        equal(os.stat(path).st_mtime_ns, stamp)


if __name__ == "__main__":
    sys.exit(main([
        exec_answers_line_by_line, each_kind_of_request_has_its_command,
        capital_digits_and_blanks_are_understood, nothing_in_means_nothing_out,
        malformed_lines_are_named_and_the_lines_before_are_done,
        no_save_leaves_everything_as_a_crash_would,
        no_save_and_save_time_are_obeyed_by_each_command,
        answers_come_before_the_next_line_is_needed,
        what_was_done_is_saved_when_nobody_reads_the_answers, requests_agree_with_a_simple_model,
        dump_and_load_are_the_reverse_of_each_other,
        dump_gives_the_oldest_chapter_first, peek_and_dump_write_nothing]))
