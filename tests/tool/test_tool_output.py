#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where `uds snapshot read` puts the content: never on what it reads or what somebody uses, and how
much of it went there is told exactly."""
import fcntl
import json
import os
import random
import subprocess
import sys

from tool_support import (DAMAGE, FAILED, GOOD, SMALL, Folder, Skip, content, equal, has, main, plain, uds,
                          with_bad_sectors)

SIZE, CHUNK = 1 << 20, 4096


def make(folder):
    origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
    with open(origin, "wb") as file:
        file.write(os.urandom(SIZE))
    uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "1M", cow)
    uds("snapshot", "write", "--origin", origin, "--offset", CHUNK, cow, stdin="y" * 9 * CHUNK)
    return origin, cow


def shell(redirection):
    return ["sh", "-c", 'exec "$@" %s' % redirection, "sh"]


class Loop:
    """A loop device on a file, `with Loop(path) as node`."""
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        ran = subprocess.run(["losetup", "-f", "--show", self.path], capture_output=True, text=True,
                             check=False)
        if ran.returncode != 0:
            raise Skip("no loop device: %s" % ran.stderr.strip())
        self.node = ran.stdout.strip()
        return self.node

    def __exit__(self, *_):
        subprocess.run(["losetup", "-d", self.node], check=False)


def an_output_is_never_an_input():
    with Folder() as folder:
        origin, cow = make(folder)
        before = content(origin), content(cow)
        os.link(cow, cow + "-link")
        os.symlink("origin", origin + "-link")
        for names in ((origin, cow), ("file:" + origin, "file:" + cow),
                      ("file:%s?direct=auto" % origin, "file:%s?direct=0" % cow)):
            words = ["snapshot", "read", "--origin", names[0], names[1]]
            for output in (origin, cow, cow + "-link", origin + "-link"):
                for more in ([], ["--sparse"], ["--salvage"]):
                    uds(*words, *more, "--output", output, status=FAILED,
                        says="the output is the origin or the COW device itself")
                uds(*words, prefix=shell(">>" + output), status=FAILED,
                    says="the output is the origin or the COW device itself")
                uds(*words, prefix=shell("1<>" + output), status=FAILED,
                    says="the output is the origin or the COW device itself")
            equal((content(origin), content(cow)) == before, True, names)


def neither_is_a_device_on_an_input_nor_the_file_below_one():
    with Folder() as folder:
        origin, cow = make(folder)
        before = content(origin), content(cow)
        for path in (origin, cow):
            with Loop(path) as node:
                uds("snapshot", "read", "--origin", origin, "--output", node, cow, status=FAILED,
                    says="the output is the origin or the COW device itself")
                names = [node if path == origin else origin, node if path == cow else cow]
                uds("snapshot", "read", "--origin", names[0], "--output", path, names[1],
                    status=FAILED, says="the output is the origin or the COW device itself")
            equal((content(origin), content(cow)) == before, True, path)


def what_somebody_uses_is_not_written():
    with Folder() as folder:
        origin, cow = make(folder)
        image, mounted = os.path.join(folder, "image"), os.path.join(folder, "mounted")
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        if subprocess.run(["mkfs.ext2", "-q", "-F", image], capture_output=True,
                          check=False).returncode != 0:
            raise Skip("no mkfs.ext2")
        before = content(image)
        os.mkdir(mounted)
        words = ["snapshot", "read", "--origin", origin, cow, "--output"]
        with Loop(image) as node:
            uds(*words, image, status=FAILED, says=[image, node])
            if subprocess.run(["mount", "-r", node, mounted], capture_output=True,
                              check=False).returncode != 0:
                raise Skip("the device cannot be mounted")
            try:
                uds(*words, node, status=FAILED, says=[node, "mounted"])
            finally:
                subprocess.run(["umount", mounted], check=False)
        equal(content(image) == before, True)
        with Loop(image) as node:
            uds(*words, node)
            equal(content(node)[:SIZE], content(image)[:SIZE])
        equal(content(image)[SIZE:] == before[SIZE:], True)


def what_another_process_has_locked_is_not_emptied():
    with Folder() as folder:
        origin, cow = make(folder)
        other = os.path.join(folder, "other")
        uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "1M", other)
        before = content(other)
        with open(other, "r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            uds("snapshot", "read", "--origin", origin, "--output", other, cow, status=FAILED,
                says=other)
        equal(content(other) == before, True)


def what_went_out_is_told_exactly():
    with Folder() as folder:
        origin, cow = make(folder)
        wanted = uds("snapshot", "read", "--origin", origin, cow, stdin=b"", binary=True).out
        words = ["snapshot", "read", "--json", "--origin", origin, cow]
        out = os.path.join(folder, "out")
        for blocks in (0, 1, 7, 100):  # of 512 bytes: where the system ends a file
            limit = ["sh", "-c", "ulimit -f %d; exec \"$@\"" % blocks, "sh"]
            for more in ([], ["--sparse"]):
                ran = uds(*words, *more, "--output", out, prefix=limit, status=FAILED,
                          says="File too large").json
                size = os.path.getsize(out)
                equal(ran["bytes"], size)
                equal(content(out) == wanted[:size], True)
                os.unlink(out)
        ran = uds(*words, prefix=shell(">/dev/full"), status=FAILED)
        equal(json.loads(ran.err)["bytes"], 0)
        for offset, length in ((5, 9000), (CHUNK - 1, 2), (SIZE - 3, 3), (SIZE, 0)):
            ran = uds(*words, "--offset", offset, "--length", length, "--output", out, status=GOOD)
            equal((ran.json["offset"], ran.json["bytes"]), (offset, length))
            equal(content(out) == wanted[offset:offset + length], True)


def at_the_limit_of_file_sizes_a_command_fails_in_order():
    """The system sends a signal for it, which ends a process that does not ask for the error."""
    limit = ["sh", "-c", 'ulimit -f 20; exec "$@"', "sh"]
    with Folder() as folder:
        origin, cow = make(folder)
        new, before = os.path.join(folder, "new"), (content(origin), content(cow))
        for words in (["create", *SMALL], ["snapshot", "create", "--size", "1M"]):
            ran = uds(*words, "--json", new, prefix=limit, status=FAILED, says="too large")
            equal(ran.json["exit_status"], FAILED)
            equal(os.path.exists(new), False, "a file that came to nothing is removed")
        for words in (["write"], ["write-origin"]):
            uds("snapshot", *words, "--origin", origin, "--offset", 0, cow, stdin="x" * 50000,
                prefix=limit, status=FAILED, says="too large")
            equal((content(origin), content(cow)) == before, True, words)
        uds("snapshot", "merge", "--origin", origin, cow, prefix=limit, status=FAILED,
            says="too large")
        uds("snapshot", "verify", "--origin", origin, cow)
        ran = uds("snapshot", "list", "--json", cow, status=FAILED,
                  prefix=["sh", "-c", 'ulimit -f 0; exec "$@" >%s' % new, "sh"])
        has(ran.err, "standard output", "too large")


def a_reader_that_goes_leaves_a_document():
    with Folder() as folder:
        origin, cow = make(folder)
        ran = uds("snapshot", "read", "--json", "--origin", origin, cow, status=GOOD,
                  prefix=["bash", "-c", '"$@" | head -c 1000 >/dev/null; exec echo ${PIPESTATUS[0]}',
                          "bash"])
        equal(ran.out, "141\n")
        found = json.loads(ran.err)
        equal(found["exit_status"], 141)
        equal(found["bytes"] < SIZE, True)
        has(found["error"], "reader")
        os.truncate(cow, 5 * CHUNK)
        ran = uds("snapshot", "read", "--json", "--salvage", "--origin", origin, cow,
                  prefix=shell(">/dev/null"), status=DAMAGE)
        equal(json.loads(ran.err)["bytes"], SIZE)


def data_ranges(path):
    """[(first, end)] of what is no hole."""
    ranges, at = [], 0
    with open(path, "rb") as file:
        while at < os.fstat(file.fileno()).st_size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            ranges.append((start, at))
    return ranges


def holes_of_the_devices_are_not_read():
    k = 1024
    # Data of the origin; between them holes of 4 KiB, 60 KiB, 64 KiB, 1 MiB and 12 MiB, and one at the end.
    data = [(0, 64 * k), (68 * k, 132 * k), (192 * k, 196 * k), (260 * k, 320 * k), (1344 * k, 1348 * k),
            (14 << 20, 20 << 20)]
    size = (24 << 20) + 512
    with Folder() as folder:
        origin, cow, out = (os.path.join(folder, name) for name in ("origin", "cow", "out"))
        with open(origin, "wb") as file:
            file.truncate(size)
            for first, end in data:
                file.seek(first)
                file.write(random.Random(first).randbytes(end - first))
        if data_ranges(origin) != data:
            raise Skip("a file system with other holes")
        uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "8M", cow)
        for chunk in (3, 5, 40, 1000, 1001, 4000):
            uds("snapshot", "write", "--origin", origin, "--offset", chunk * CHUNK, cow, stdin="z" * CHUNK)
        whole = uds("snapshot", "read", "--origin", origin, cow, stdin=b"", binary=True).out
        # What is long enough to be passed over cannot be read: reading it fails.
        holes = [(196 * k, 64 * k), (320 * k, 1024 * k), (1348 * k, (14 << 20) - 1348 * k), (20 << 20, (4 << 20) + 512)]
        env = with_bad_sectors(folder, *((origin, *hole) for hole in holes))
        words = ["snapshot", "read", "--origin", plain(origin), "--output", out, plain(cow)]
        uds(*words, status=FAILED, env=env, says="Input/output error")
        for more in ([], ["--salvage"]):
            os.remove(out)
            document = uds(*words, "--sparse", "--json", *more, env=env).json
            equal((document["bytes"], document["missing_bytes"]), (size, 0))
            equal(content(out) == whole, True)
            equal([end - first for first, end in data_ranges(out)][-2:], [2 * CHUNK, 6 << 20])
        # Parts that begin and end in holes, and that are nothing else.
        for offset, length in ((400 * k + 7, 15 << 20), (2 << 20, 1 << 20), (size - 70000, 70000)):
            os.remove(out)
            uds(*words, "--sparse", "--offset", offset, "--length", length, env=env)
            equal(content(out) == whole[offset:offset + length], True)


if __name__ == "__main__":
    sys.exit(main([
        an_output_is_never_an_input, neither_is_a_device_on_an_input_nor_the_file_below_one,
        what_somebody_uses_is_not_written, what_another_process_has_locked_is_not_emptied,
        what_went_out_is_told_exactly, holes_of_the_devices_are_not_read,
        at_the_limit_of_file_sizes_a_command_fails_in_order,
        a_reader_that_goes_leaves_a_document]))
