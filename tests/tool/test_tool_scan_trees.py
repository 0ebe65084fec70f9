#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds scan: what counts once although it is met twice, what records can hold, and what an index that is
too small does to the numbers."""
import os
import shutil
import subprocess
import sys

from test_tool_scan import BLOCK, TIME, block, write
from tool_support import (FAILED, SMALL, TOOL, USAGE, Folder, Skip, content, equal, has, main, uds)


class Bound:
    """A path shown at another place too, `with Bound(what, where)`; skips where that cannot be."""
    def __init__(self, what, where):
        self.what, self.where = what, where

    def __enter__(self):
        done = subprocess.run(["mount", "--bind", self.what, self.where], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Skip("nothing can be mounted: %s" % " ".join(done.stderr.split()))

    def __exit__(self, *_):
        subprocess.run(["umount", self.where], check=True)


def folders(*parts):
    path = os.path.join(*parts)
    os.makedirs(path)
    return path


def counts(*arguments, status=0):
    found = uds("scan", "--json", *arguments, status=status).json
    return found["files"], found["blocks"], found["duplicate_blocks"], found["errors"]


def directories_seen_through_two_mounts_count_once():
    with Folder() as folder:
        x, y = folders(folder, "x"), folders(folder, "y")
        write(os.path.join(x, "deep", "f"), block(1), block(2))
        with Bound(x, y):
            for options in ([], ["--one-file-system"]):
                equal(counts(*options, folder), (1, 2, 0, 0), options)
                equal(counts(*options, y, x), (1, 2, 0, 0), options)
                equal(counts(*options, folder, y, os.path.join(x, "deep"), x), (1, 2, 0, 0))
                # A part of it, and a link to it.
                equal(counts(*options, os.path.join(y, "deep", "f"), x), (1, 2, 0, 0))
            os.symlink(y, os.path.join(folder, "link"))
            equal(counts(os.path.join(folder, "link"), x, folder), (1, 2, 0, 0))


def files_seen_through_two_mounts_count_once():
    with Folder() as folder:
        for first, second in (("a", "b"), ("d", "c")):
            path = write(os.path.join(folder, first), block(1))
            write(os.path.join(folder, second))
            with Bound(path, os.path.join(folder, second)):
                for options in ([], ["--one-file-system"]):
                    equal(counts(*options, folder), (1, 1, 0, 0), (first, options))
            os.unlink(path)
            os.unlink(os.path.join(folder, second))


def mounts_inside_themselves_end():
    with Folder() as folder:
        inner = folders(folder, "a", "b")
        write(os.path.join(folder, "a", "f"), block(1))
        with Bound(folder, inner):
            deeper = os.path.join(inner, "a", "b")
            with Bound(folder, deeper):
                equal(counts(folder), (1, 1, 0, 0))
                equal(counts("--one-file-system", inner, folder), (1, 1, 0, 0))


def other_file_systems_are_left_out_when_asked_for():
    with Folder() as folder:
        there = folders(folder, "there")
        write(os.path.join(folder, "f"), block(1))
        done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", there], capture_output=True,
                              check=False)
        if done.returncode != 0:
            raise Skip("no tmpfs can be mounted")
        try:
            mounted = write(os.path.join(there, "g"), block(2))
            equal(counts(folder), (2, 2, 0, 0))
            equal(counts("--one-file-system", folder), (1, 1, 0, 0))
            # But for what is named itself, also after it was left out.
            equal(counts("--one-file-system", folder, there), (2, 2, 0, 0))
            write(os.path.join(folder, "one"))
            with Bound(mounted, os.path.join(folder, "one")):
                equal(counts("--one-file-system", folder), (1, 1, 0, 0))
        finally:
            subprocess.run(["umount", there], check=True)


def paths_that_overlap_count_once():
    with Folder() as folder:
        inner = folders(folder, "a", "b")
        path = write(os.path.join(inner, "f"), block(1), block(2))
        write(os.path.join(folder, "a", "g"), block(3))
        a = os.path.join(folder, "a")
        for paths in ([folder, inner], [inner, folder], [path, folder], [folder, path], [a, a],
                      [inner, a, path], [a + "/", a + "/./b/..", inner + "//f"]):
            equal(counts(*paths), (2, 3, 0, 0), paths)


def enter(path, name):
    """Goes down one folder, made where it is not there."""
    try:
        os.mkdir(name, dir_fd=path)
    except FileExistsError:
        pass
    below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=path)
    os.close(path)
    return below


def paths_longer_than_the_system_takes_are_read():
    with Folder() as folder:
        parts, name = [], "n" * 200
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for _ in range(60):
            at = enter(at, name)
            parts.append(name)
        for last in ("f", "g"):
            file = os.open(last, os.O_WRONLY | os.O_CREAT, dir_fd=at)
            os.write(file, block(1))
            os.close(file)
        os.close(at)
        long = "/".join([folder, *parts])
        equal(counts(folder), (2, 2, 1, 0))
        found = uds("scan", "--json", "--first-seen", "--top", 5, folder).json
        equal(found["first_seen"][0]["path"], long + "/g")
        equal(found["first_seen"][0]["first_path"], long + "/f")
        has(uds("scan", "--first-seen", folder).out, long + "/g: 4096 bytes at 0 first seen in " +
            long + "/f at 0\n")
        # Named itself, too.
        for path in (long, long + "/", long + "/f"):
            equal(counts(path)[0], 1 if path.endswith("f") else 2)
        uds("scan", long + "/missing", status=FAILED, says=["/missing: No such file"])
        uds("scan", "x" * 5000, status=FAILED, says="name too long")
        subprocess.run(["rm", "-rf", os.path.join(folder, name)], check=True)


def very_deep_trees_are_walked_with_few_descriptors():
    with Folder() as folder:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        for i in range(2500):
            if i % 100 == 0:
                file = os.open("zfile", os.O_WRONLY | os.O_CREAT, dir_fd=at)
                os.write(file, block(i))
                os.close(file)
            at = enter(at, "d")
        os.close(at)
        found = uds("scan", "--json", folder,
                    prefix=["sh", "-c", 'ulimit -n 120; exec "$@"', "sh"]).json
        equal((found["files"], found["unique_blocks"], found["errors"]), (25, 25, 0))
        subprocess.run(["rm", "-rf", os.path.join(folder, "d")], check=True)


def the_index_in_the_tree_is_left_out():
    with Folder() as folder:
        index = os.path.join(folder, "m.uds")
        write(os.path.join(folder, "a"), block(1))
        write(os.path.join(folder, "z"), block(2))
        uds("create", *SMALL, index)
        os.link(index, os.path.join(folder, "b.uds"))
        for uri in (index, "file:" + index, os.path.join(folder, "b.uds")):
            found = uds("scan", "--json", "--index", uri, folder).json
            equal((found["files"], found["blocks"], found["index_left_out"]), (2, 2, True), uri)
        os.symlink("m.uds", os.path.join(folder, "link"))
        has(uds("scan", "--index", os.path.join(folder, "link"), folder).out,
            "The index itself was left out")
        equal(uds("scan", "--json", "--index", index, os.path.join(folder, "a")).json[
            "index_left_out"], False)
        uds("scan", "--index", index, index, status=FAILED, says="the index itself")
        # Without --index it is a file like others.
        equal(uds("scan", "--json", folder).json["files"], 3)


def lengths_end_where_the_file_ends():
    with Folder() as folder:
        tail = block(9)[:100]
        write(os.path.join(folder, "a"), block(1), block(2), tail)
        write(os.path.join(folder, "b"), block(1), block(2), tail)
        write(os.path.join(folder, "c"), tail)
        write(os.path.join(folder, "d"), tail.ljust(BLOCK, b"\0"), block(5))
        found = uds("scan", "--json", "--first-seen", folder).json
        rows = [(os.path.basename(run["path"]), run["offset"], run["length"], run["first_offset"],
                 run["first_length"]) for run in found["first_seen"]]
        equal(rows, [("b", 0, 2 * BLOCK + 100, 0, 2 * BLOCK + 100), ("c", 0, 100, 2 * BLOCK, 100),
                     ("d", 0, BLOCK, 2 * BLOCK, 100)])
        equal(sum(run["length"] for run in found["first_seen"]), found["duplicate_bytes"])
        has(uds("scan", "--first-seen", folder).out, "b: 8292 bytes at 0", "c: 100 bytes at 0")
        index = os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        for _ in range(2):
            found = uds("scan", "--json", "--first-seen", "--index", index, folder).json
        equal(sum(run["length"] for run in found["first_seen"]),
              found["duplicate_bytes"] + found["known_bytes"])
        equal(all(run["offset"] + run["length"] <= os.path.getsize(run["path"])
                  for run in found["first_seen"]), True)


def offsets_that_records_cannot_hold_are_refused():
    where = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with Folder(where) as folder:
        path, other = os.path.join(folder, "huge"), write(os.path.join(folder, "other"), block(1))
        index = os.path.join(folder, "x.uds")
        far = (600 << 40) - BLOCK
        try:
            with open(path, "wb") as file:
                file.seek(far)
                file.write(block(1))
        except OSError as error:
            raise Skip("no file can be that long here: %s" % error) from None
        uds("create", *SMALL, index)
        for options in (["--index", index], ["--first-seen"]):
            ran = uds("scan", "--json", "--block-size", 512, *options, path, other, status=FAILED,
                      says=["huge", "longer than 562949953421312 bytes", "512"])
            equal((ran.json["files"], ran.json["errors"]), (1, 1))
        # Where no place is kept the numbers are right, and with larger blocks the places are.
        found = uds("scan", "--json", "--block-size", 512, path, other).json
        equal((found["files"], found["duplicate_blocks"], found["bytes"]),
              (2, 8, (600 << 40) + BLOCK))
        uds("scan", "--index", index, "--block-size", 1024, path)
        found = uds("scan", "--json", "--first-seen", "--index", index, "--block-size", 1024, path)
        equal([(run["offset"], run["length"], run["first_offset"])
               for run in found.json["first_seen"]], [(far, BLOCK, far)])
        # The longest file that can be, and one byte more.
        os.truncate(path, 1 << 49)
        equal(counts("--index", index, "--block-size", 512, path)[0], 1)
        os.truncate(path, (1 << 49) + 1)
        equal(counts("--index", index, "--block-size", 512, path, status=FAILED)[0], 0)


def times_that_records_cannot_hold_are_refused():
    first, last = 1577836800000, 1577836800000 + 2**40 - 1
    with Folder() as folder:
        tree, index = write(os.path.join(folder, "f"), block(1)), os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        before = content(index)
        for bad in (1, 5000, first - 1, last + 1, 2840140800000, 2**63, 2**64 - 1):
            uds("scan", "--index", index, "--save-time", bad, tree, status=USAGE,
                says=["--save-time", "2020-01-01", "2054-11-03"])
            equal(content(index) == before, True, bad)
        for good, text in ((first, "2020-01-01T00:00:00.000Z"), (TIME, "2023-11-14T22:13:20.000Z"),
                           (last, "2054-11-03T19:53:47.775Z")):
            uds("create", "--force", *SMALL, index)
            uds("scan", "--index", index, "--save-time", good, tree)
            run = uds("scan", "--json", "--first-seen", "--no-save", "--index", index, tree)
            equal(run.json["first_seen"][0]["first_scan"], text)
        # What the index has taken would move it on to a time that cannot be told.
        uds("scan", "--index", index, "--save-time", last, tree, status=FAILED, says="later than")


def a_clock_that_records_cannot_hold_is_refused():
    source = """
        #include <time.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <unistd.h>
        int clock_gettime(clockid_t id, struct timespec *t)
        {
            long r = syscall(SYS_clock_gettime, id, t);
            if (id == CLOCK_REALTIME) t->tv_sec = atoll(getenv("TEST_CLOCK"));
            return (int)r;
        }"""
    if not shutil.which("cc"):
        raise Skip("no compiler")
    with Folder() as folder:
        library = os.path.join(folder, "clock.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source,
                       text=True, check=True)

        def at(seconds):
            return dict(os.environ, LD_PRELOAD=library, TEST_CLOCK=str(seconds),
                        ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0")
        probe = subprocess.run([TOOL, "--version"], env=at(0), capture_output=True, check=False)
        if probe.returncode != 0:
            raise Skip("the command cannot be given another clock here")
        tree, index = write(os.path.join(folder, "f"), block(1)), os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        for seconds, text in ((100, "1970-01-01T00:01:40Z"), (2840140800, "2060-01-01T00:00:00Z"),
                              (-86400, "1969-12-31T00:00:00Z"), (1577836799, "2019-12-31T23:59:59Z")):
            before = content(index)
            uds("scan", "--index", index, tree, env=at(seconds), status=FAILED,
                says=["the clock says", text, "2020-01-01", "2054-11-03", "--save-time"])
            equal(content(index) == before, True, seconds)
            # Alone, or with a time that is given, the clock does not matter.
            found = uds("scan", "--json", tree, tree, env=at(seconds)).json
            equal((found["unique_blocks"], found["known_blocks"]), (1, 0))
            uds("scan", "--index", index, "--no-save", "--save-time", TIME, tree, env=at(seconds))
        uds("scan", "--index", index, tree, env=at(1700000000))
        run = uds("scan", "--json", "--first-seen", "--index", index, tree).json["first_seen"][0]
        equal(run["first_scan"][:19], "2023-11-14T22:13:20")


def an_index_that_is_too_small_is_told_with_the_size_that_is_not():
    with Folder() as folder:
        path, index = os.path.join(folder, "f"), os.path.join(folder, "x.uds")
        with open(path, "wb") as file:
            blocks = os.urandom(512 * 20000)
            file.write(blocks + blocks[:512 * 2000])  # what has left is not found again
        options = ["--block-size", 512, "--index", index]
        uds("create", *SMALL, index)
        found = uds("scan", "--json", *options, path).json
        kept = len(uds("dump", index).out.splitlines())
        equal((found["unique_blocks"], found["duplicate_blocks"]), (22000, 0))
        equal(found["names_left"], 22000 - kept)
        equal(kept < 4097, True)
        uds("create", "--force", *SMALL, index)
        has(uds("scan", *options, path).out, "Warning: the index is too small",
            "%d names left it" % found["names_left"], "One of %d such chapters"
            % found["needed_chapters"])
        # A second scan: what was there before leaves too.
        other = os.path.join(folder, "g")
        with open(other, "wb") as file:
            file.write(os.urandom(512 * 5000))
        more = uds("scan", "--json", *options, other).json
        equal(more["names_left"], kept + 5000 - len(uds("dump", index).out.splitlines()))
        # The size that is told is enough, and is that of such an index.
        uds("create", "--force", "--chapters", found["needed_chapters"], *SMALL[2:], index)
        equal(os.path.getsize(index), found["needed_bytes"])
        found = uds("scan", "--json", *options, path).json
        equal((found["names_left"], found["unique_blocks"], found["duplicate_blocks"]),
              (0, 20000, 2000))
        equal("too small" in uds("scan", "--block-size", 512, path).out, False)


def an_own_index_is_never_too_small():
    with Folder() as folder:
        path = os.path.join(folder, "f")
        with open(path, "wb") as file:
            file.write(os.urandom(512 * 30000))
        for options in ([], ["--sparse"]):
            equal(uds("scan", "--json", "--block-size", 512, *options, path).json["names_left"], 0)


def a_scan_that_read_nothing_is_an_error():
    with Folder() as folder:
        empty = folders(folder, "empty")
        for paths, says in (([empty], "no file was found"),
                            ([os.path.join(folder, "missing")], "nothing could be read"),
                            ([""], "No such file"),  # as of a variable that is not set
                            ([empty, "/dev/null"], "nothing could be read")):
            ran = uds("scan", *paths, status=FAILED, says=[says, "nothing was scanned"])
            equal(ran.out, "")
            found = uds("scan", "--json", *paths, status=FAILED, says=says).json
            equal((found["files"], found["bytes"]), (0, 0))
        # Empty files are files.
        write(os.path.join(empty, "f"))
        equal(counts(folder), (1, 0, 0, 0))
        has(uds("scan", folder).out, "scanned 1 file, 0 bytes")


if __name__ == "__main__":
    sys.exit(main([
        directories_seen_through_two_mounts_count_once, files_seen_through_two_mounts_count_once,
        mounts_inside_themselves_end, other_file_systems_are_left_out_when_asked_for,
        paths_that_overlap_count_once,
        paths_longer_than_the_system_takes_are_read, very_deep_trees_are_walked_with_few_descriptors,
        the_index_in_the_tree_is_left_out, lengths_end_where_the_file_ends,
        offsets_that_records_cannot_hold_are_refused, times_that_records_cannot_hold_are_refused,
        a_clock_that_records_cannot_hold_is_refused,
        an_index_that_is_too_small_is_told_with_the_size_that_is_not,
        an_own_index_is_never_too_small, a_scan_that_read_nothing_is_an_error]))
