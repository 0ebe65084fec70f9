#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds scan: its counts against counts made here, and trees that are not well behaved."""
import os
import random
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

from tool_support import (FAILED, IN_PART, SCALE, SMALL, TOOL, Folder, Skip, content, equal, has, main, uds,
                          unprivileged, with_bad_sectors)
import uds_format  # the hash that shares no code with the command

BLOCK = 4096
KEYS = ["bytes", "blocks", "zero_blocks", "unique_blocks", "duplicate_blocks", "known_blocks",
        "saved_bytes", "ratio", "seconds", "errors"]


class Counts:
    """What a scan should find, counted by comparing the blocks themselves."""
    def __init__(self, block=BLOCK, known=()):
        self.block, self.known, self.seen = block, set(known), set()
        self.files = self.bytes = self.zero = self.unique = self.duplicate = self.old = 0
        self.saved = self.unique_bytes = 0

    def add_file(self, path):
        self.files += 1
        with open(path, "rb") as file:
            while True:
                piece = file.read(self.block)
                if not piece:
                    return
                self.add_block(piece)

    def add_block(self, piece):
        self.bytes += len(piece)
        padded = piece.ljust(self.block, b"\0")
        if not padded.strip(b"\0"):
            self.zero += 1
        elif padded in self.known:
            self.old += 1
            self.saved += len(piece)
        elif padded in self.seen:
            self.duplicate += 1
            self.saved += len(piece)
        else:
            self.unique += 1
            self.unique_bytes += len(piece)
            self.seen.add(padded)

    def add_tree(self, top):
        """In the order of the scan: by name in each folder, hard links once."""
        links = set()

        def walk(folder):
            for entry in sorted(os.listdir(folder)):
                path = os.path.join(folder, entry)
                status = os.lstat(path)
                if stat.S_ISDIR(status.st_mode):
                    walk(path)
                elif stat.S_ISREG(status.st_mode) and status.st_ino not in links:
                    links.add(status.st_ino)
                    self.add_file(path)
        walk(os.fsencode(top))
        return self

    def check(self, found, errors=0):
        equal({key: found[key] for key in KEYS + ["files"] if key not in ("seconds", "ratio")},
              {"files": self.files, "bytes": self.bytes, "zero_blocks": self.zero,
               "blocks": self.zero + self.unique + self.duplicate + self.old,
               "unique_blocks": self.unique, "duplicate_blocks": self.duplicate,
               "known_blocks": self.old, "saved_bytes": self.saved, "errors": errors})
        if self.unique_bytes:
            ratio = (self.unique_bytes + self.saved) / self.unique_bytes
            equal(abs(found["ratio"] - ratio) < 1e-9, True, "ratio %r" % found["ratio"])
        equal(found["estimate"], True)


def write(path, *pieces):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"".join(pieces))
    return path


def block(i):
    return random.Random(i).randbytes(BLOCK)


def some_tree(folder, seed=1):
    """Files with blocks from a small stock, so that there are duplicates of all kinds."""
    r = random.Random(seed)
    stock = [block(i) for i in range(60)] + [b"\0" * BLOCK] * 6
    for i in range(40):
        pieces = [r.choice(stock) for _ in range(r.randrange(12))]
        if i % 3 == 0:
            pieces.append(r.choice(stock)[:r.randrange(1, BLOCK)])
        write(os.path.join(folder, "d%d" % (i % 4), "e%d" % (i % 3), "f%d" % i), *pieces)
    return folder


def write_large(path, megabytes):
    """A file of a repeated megabyte; skips where there is no room for it."""
    stock = b"".join(block(i) for i in range(256))
    try:
        with open(path, "wb") as file:
            for _ in range(megabytes):
                file.write(stock)
    except OSError as error:
        raise Skip("no room for %d megabytes: %s" % (megabytes, error)) from None


def has_open(process, path):
    """Whether the process has a file open; skips where that cannot be seen."""
    folder = "/proc/%d/fd" % process.pid
    try:
        return any(os.path.realpath(os.path.join(folder, one)) == os.path.realpath(path)
                   for one in os.listdir(folder))
    except OSError:
        if not os.path.isdir("/proc/self/fd"):
            raise Skip("no /proc") from None
        return False


def counts_agree_with_an_independent_count():
    with Folder() as folder:
        some_tree(folder)
        for options in ([], ["--readers", 1], ["--readers", 7], ["--zones", 3], ["--sparse"]):
            Counts().add_tree(folder).check(uds("scan", "--json", *options, folder).json)


def every_block_size_is_counted_right():
    with Folder() as folder:
        some_tree(folder)
        for size in (512, 1024, 8192, 65536, 1 << 20):
            Counts(size).add_tree(folder).check(
                uds("scan", "--json", "--block-size", size, folder).json)
        equal(uds("scan", "--json", "--block-size", "64K", folder).json["block_size"], 65536)


def large_files_are_cut_at_no_wrong_place():
    with Folder() as folder:
        r = random.Random(3)
        stock = [block(i) for i in range(300)]
        path = write(os.path.join(folder, "large"),
                     *(r.choice(stock) for _ in range(3000)), b"tail")
        counts = Counts()
        counts.add_file(path)
        counts.check(uds("scan", "--json", path).json)
        counts = Counts(512)
        counts.add_file(path)
        counts.check(uds("scan", "--json", "--block-size", 512, path).json)


def earlier_scans_are_known():
    with Folder() as folder:
        first, second = os.path.join(folder, "first"), os.path.join(folder, "second")
        index = os.path.join(folder, "x.uds")
        some_tree(first, 1)
        some_tree(second, 2)
        write(os.path.join(second, "new"), *(block(i) for i in range(1000, 1010)), block(1000))
        uds("create", "--chapters", 64, "--record-pages", 4, "--page-size", 4096, index)
        one, two = Counts().add_tree(first), None
        one.check(uds("scan", "--json", "--index", index, first).json)
        equal(uds("info", "--json", index).json["state"], "clean")
        two = Counts(known=one.seen).add_tree(second)
        two.check(uds("scan", "--json", "--index", index, second).json)
        again = uds("scan", "--json", "--index", index, "--no-save", second).json
        equal((again["unique_blocks"], again["duplicate_blocks"], again["ratio"]), (0, 0, None))
        equal(again["known_blocks"], two.unique + two.duplicate + two.old)
        has(uds("scan", "--index", index, first).out, "known")


TIME = 1700000000000  # 2023-11-14, in milliseconds


def two_scans_with_one_given_time_are_told_apart():
    with Folder() as folder:
        images = []
        for part in ("a", "b"):
            index = os.path.join(folder, part + ".uds")
            tree = os.path.join(folder, "tree")
            some_tree(tree)
            uds("create", *SMALL, "--nonce-data", "11" * 32, index)
            uds("scan", "--index", index, "--save-time", TIME, tree)
            again = uds("scan", "--json", "--index", index, "--save-time", TIME, tree).json
            equal(again["duplicate_blocks"], 0)
            equal(again["known_blocks"] > 0, True)
            images.append(content(index))
        equal(images[0] == images[1], True, "indexes of the same scans are equal")


def without_index_nothing_is_left_behind():
    with Folder() as folder:
        tree, scratch = os.path.join(folder, "tree"), os.path.join(folder, "scratch")
        some_tree(tree)
        # Large enough for an index in a file.
        with open(os.path.join(tree, "huge"), "wb") as file:
            file.truncate(64 << 30)
            file.write(block(1))
        os.mkdir(scratch)
        before = sorted(os.listdir(folder))
        uds("scan", tree, env=dict(os.environ, TMPDIR=scratch), cwd=scratch)
        equal(os.listdir(scratch), [])
        equal(sorted(os.listdir(folder)), before)


def an_index_that_does_not_fit_in_memory_is_made_in_a_file():
    if SCALE < 0.1:
        raise Skip("two million blocks: not in so short a run")
    where = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with Folder(where) as folder:
        path, scratch = os.path.join(folder, "f"), os.path.join(folder, "scratch")
        write_large(path, 1100)
        os.mkdir(scratch)
        env = dict(os.environ, TMPDIR=scratch)
        found = uds("scan", "--json", "--block-size", 512, path, env=env).json
        equal((found["unique_blocks"], found["duplicate_blocks"]), (2048, 1099 * 2048))
        equal(os.listdir(scratch), [])
        env["TMPDIR"] = os.path.join(folder, "missing")
        uds("scan", "--block-size", 512, path, env=env, status=FAILED, says="missing")


def sparse_files_have_zero_blocks_in_their_holes():
    with Folder() as folder:
        path = os.path.join(folder, "sparse")
        with open(path, "wb") as file:
            for at in (3, 100, 101, 2000, 12000):
                file.seek(at * BLOCK)
                file.write(block(at % 7))
            file.truncate(12100 * BLOCK + 17)
        for size in (BLOCK, 65536, 1 << 20):
            counts = Counts(size)
            counts.add_file(path)
            counts.check(uds("scan", "--json", "--block-size", size, folder).json)
        empty = os.path.join(folder, "empty")
        with open(empty, "wb") as file:
            file.truncate(BLOCK * 10 + 1)
        found = uds("scan", "--json", empty).json
        equal((found["blocks"], found["zero_blocks"], found["ratio"]), (11, 11, 1.0))


def hard_links_are_counted_once():
    with Folder() as folder:
        path = write(os.path.join(folder, "a", "f"), block(1), block(2))
        os.link(path, os.path.join(folder, "a", "g"))
        os.mkdir(os.path.join(folder, "b"))
        os.link(path, os.path.join(folder, "b", "h"))
        found = uds("scan", "--json", folder).json
        equal((found["files"], found["blocks"], found["duplicate_blocks"]), (1, 2, 0))
        found = uds("scan", "--json", folder, os.path.join(folder, "b"), path, path).json
        equal((found["files"], found["blocks"], found["duplicate_blocks"]), (1, 2, 0))
        # A copy is not a link.
        shutil.copy(path, os.path.join(folder, "copy"))
        equal(uds("scan", "--json", folder).json["duplicate_blocks"], 2)


def symbolic_links_are_not_followed():
    with Folder() as folder:
        tree = os.path.join(folder, "tree")
        write(os.path.join(tree, "f"), block(1))
        elsewhere = write(os.path.join(folder, "elsewhere", "g"), block(2), block(3))
        os.symlink("../elsewhere", os.path.join(tree, "folder"))
        os.symlink(elsewhere, os.path.join(tree, "file"))
        os.symlink("nowhere", os.path.join(tree, "dangling"))
        os.symlink(".", os.path.join(tree, "loop"))
        found = uds("scan", "--json", tree).json
        equal((found["files"], found["blocks"], found["errors"]), (1, 1, 0))
        # But for one that is named itself.
        equal(uds("scan", "--json", os.path.join(tree, "file")).json["blocks"], 2)
        uds("scan", os.path.join(tree, "dangling"), status=FAILED, says="dangling")


def pipes_and_sockets_are_left_out():
    with Folder() as folder:
        write(os.path.join(folder, "f"), block(1))
        os.mkfifo(os.path.join(folder, "pipe"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(folder, "socket"))
            found = uds("scan", "--json", folder).json
        equal((found["files"], found["errors"]), (1, 0))
        uds("scan", os.path.join(folder, "pipe"), status=FAILED, says="pipe", timeout=20)
        uds("scan", "/dev/null", status=FAILED, says="/dev/null")


def the_state_of_the_system_is_left_out():
    with Folder() as folder:
        write(os.path.join(folder, "f"), block(1))
        proc = os.path.join(folder, "proc")
        os.mkdir(proc)
        done = subprocess.run(["mount", "-t", "proc", "proc", proc], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise Skip("no proc can be mounted: %s" % " ".join(done.stderr.split()))
        try:
            found = uds("scan", "--json", folder, timeout=60).json
            equal((found["files"], found["errors"]), (1, 0))
        finally:
            subprocess.run(["umount", proc], check=False)


def odd_names_do_not_break_lines_or_json():
    with Folder() as folder:
        for odd in (b"new\nline", b"\x1b[31mred", b"not\xffutf8", b" blank ", b"back\\slash",
                    b"-rf", b"\xc3\xa9t\xc3\xa9", b"%s%n", b"\"quote"):
            os.mkdir(os.path.join(os.fsencode(folder), odd))
            for i in range(2):
                with open(os.path.join(os.fsencode(folder), odd, b"f%d" % i + odd), "wb") as file:
                    file.write(block(hash(odd) % 97) + block(5))
        ran = uds("scan", "--top", 100, "--first-seen", folder)
        equal("\x1b" in ran.out, False)
        has(ran.out, "new\\012line", "\\033[31mred", "not\\377utf8", "back\\134slash",
            "\u00e9t\u00e9")
        table = ran.out.splitlines()[ran.out.splitlines().index(
            "files with the most duplicate bytes:") + 1:]
        found = uds("scan", "--json", "--top", 100, "--first-seen", folder).json
        equal(len(table), len(found["top"]))
        equal(any("\u00e9t\u00e9" in row["path"] for row in found["top"]), True)


def deep_trees_are_walked():
    with Folder() as folder:
        path = folder
        for _ in range(300):
            path = os.path.join(path, "deeper")
            os.mkdir(path)
        write(os.path.join(path, "f"), block(1))
        equal(uds("scan", "--json", folder).json["blocks"], 1)


def more_small_files_than_may_be_open_are_read():
    with Folder() as folder:
        for i in range(3000):
            write(os.path.join(folder, "f%04d" % i), b"%d" % (i % 1000))
        found = uds("scan", "--json", folder,
                    prefix=["sh", "-c", 'ulimit -n 150; exec "$@"', "sh"]).json
        equal((found["files"], found["unique_blocks"], found["duplicate_blocks"], found["errors"]),
              (3000, 1000, 2000, 0))


def unreadable_files_and_folders_are_told_and_the_rest_is_scanned():
    prefix = unprivileged()
    with Folder() as folder:
        os.chmod(folder, 0o755)
        write(os.path.join(folder, "a"), block(1))
        os.chmod(write(os.path.join(folder, "closed-file"), block(2)), 0)
        write(os.path.join(folder, "closed-folder", "f"), block(3))
        os.chmod(os.path.join(folder, "closed-folder"), 0)
        write(os.path.join(folder, "z"), block(1))
        ran = uds("scan", "--json", folder, prefix=prefix, status=FAILED,
                  says=["closed-file: Permission", "closed-folder: Permission"])
        found = ran.json
        equal((found["files"], found["blocks"], found["duplicate_blocks"], found["errors"]),
              (2, 2, 1, 2))
        has(uds("scan", folder, prefix=prefix, status=FAILED).out, "2 files or directories")


def what_is_not_there_is_told_and_the_rest_is_scanned():
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), block(1))
        ran = uds("scan", "--json", os.path.join(folder, "missing"), path, status=FAILED,
                  says=["missing", "No such file"])
        equal((ran.json["blocks"], ran.json["errors"]), (1, 1))


def files_that_change_while_they_are_read_do_no_harm():
    with Folder() as folder:
        stop = threading.Event()

        def restless():
            r = random.Random(9)
            while not stop.is_set():
                path = os.path.join(folder, "f%03d" % r.randrange(300))
                try:
                    if r.random() < 0.4:
                        os.unlink(path)
                    elif r.random() < 0.5:
                        os.truncate(path, r.randrange(500000))
                    else:
                        write(path, block(r.randrange(9)) * r.randrange(120))
                except OSError:
                    pass
        for i in range(300):
            write(os.path.join(folder, "f%03d" % i), block(i % 9) * 50)
        thread = threading.Thread(target=restless)
        thread.start()
        try:
            end = time.monotonic() + (1 if IN_PART else 3)
            while time.monotonic() < end:
                ran = uds("scan", "--json", folder, status=None)
                equal(ran.status, FAILED if ran.json["errors"] else 0, ran)
                equal(len(ran.err.splitlines()), ran.json["errors"], ran)
                for line in ran.err.splitlines():
                    equal("vanished" in line or "shorter" in line, True, line)
        finally:
            stop.set()
            thread.join()


class Loop:
    """A loop device, `with Loop(image) as node`; skips where none can be had."""
    def __init__(self, image):
        self.image = image

    def __enter__(self):
        made = subprocess.run(["losetup", "-f", "--show", self.image], capture_output=True,
                              text=True, check=False)
        if made.returncode != 0:
            raise Skip("no loop device: %s" % made.stderr.strip())
        self.node = made.stdout.strip()
        return self.node

    def __exit__(self, *_):
        subprocess.run(["losetup", "-d", self.node], check=False)


def block_devices_are_scanned():
    with Folder() as folder:
        path = os.path.join(folder, "image")
        write(path, block(1), block(2), block(1), b"\0" * BLOCK * 5, block(1))
        with Loop(path) as node:
            counts = Counts()
            counts.add_file(path)
            counts.check(uds("scan", "--json", node).json)
            link = os.path.join(folder, "link")
            os.symlink(node, link)
            counts.check(uds("scan", "--json", link).json)


# Runs a command for which the kernel has no io_uring.
WITHOUT_IO_URING = """
import ctypes, os, struct, sys
IO_URING_SETUP, LOAD, EQUAL, RETURN, ALLOW, ENOSYS = 425, 0x20, 0x15, 0x06, 0x7fff0000, 38
rules = [(LOAD, 0, 0, 0), (EQUAL, 0, 1, IO_URING_SETUP), (RETURN, 0, 0, 0x50000 | ENOSYS),
         (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = struct.pack("H6xP", len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, program, 0, 0) != 0:
    sys.exit("no filter: %s" % os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[1], sys.argv[1:])
"""


def without_io_uring():
    prefix = [sys.executable, "-c", WITHOUT_IO_URING]
    probe = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        raise Skip("system calls cannot be taken away here: %s" % probe.stderr.strip())
    return prefix


def what_is_read_with_and_without_io_uring_is_the_same():
    with Folder() as folder:
        some_tree(folder)
        # Around the size from which files are read through io_uring, and in several batches.
        for i, size in enumerate([262143, 262144, 262145, (1 << 20) - 1, (1 << 20) + 1, 5000000]):
            write(os.path.join(folder, "large%d" % i),
                  b"".join(block(j % 90) for j in range(size // BLOCK)), block(7)[:size % BLOCK])
        counts = Counts().add_tree(folder)
        options = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        for readers in 1, 3:
            counts.check(uds("scan", "--json", "--readers", readers, folder).json)
            counts.check(uds("scan", "--json", "--readers", readers, folder, env=options,
                             prefix=without_io_uring()).json)


def the_place_of_a_read_error_of_a_device_is_told():
    with Folder() as folder:
        path = write(os.path.join(folder, "image"), *(block(i) for i in range(768)))
        with Loop(path) as node:
            # A loop device cannot read what its file has no more.
            os.truncate(path, (2 << 20) + BLOCK)
            ran = uds("scan", "--json", node, status=FAILED,
                      says=[node, "at byte %d" % ((2 << 20) + BLOCK), "Input/output error"])
            equal((ran.json["errors"], ran.json["unique_blocks"], ran.json["bytes"]),
                  (1, 513, (2 << 20) + BLOCK))


def read_errors_are_told_with_their_place():
    if not shutil.which("strace"):
        raise Skip("no strace to make reads fail with")
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), *(block(i) for i in range(768)))
        small = write(os.path.join(folder, "s"), *(block(i) for i in range(1000, 1020)))
        options = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        probe = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e",
                                "inject=pread64:error=EIO:when=100", "true"],
                               capture_output=True, check=False)
        if probe.returncode != 0:
            raise Skip("strace cannot make calls fail here")
        # The second megabyte cannot be read; the first and the third count.
        ran = uds("scan", "--json", "--readers", 1, path, status=FAILED, env=options,
                  prefix=[*without_io_uring(), "strace", "-f", "-qq", "-o", "/dev/null", "-P", path, "-e",
                          "inject=pread64:error=EIO:when=2"],
                  says=[path, "at byte 1048576", "Input/output error"])
        equal((ran.json["errors"], ran.json["unique_blocks"], ran.json["bytes"]),
              (1, 512, 2 << 20))
        # Of a file that is read by its descriptor, too.
        ran = uds("scan", "--json", "--readers", 1, folder, status=FAILED, env=options,
                  prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-P", small, "-e",
                          "inject=pread64:error=EIO:when=1"],
                  says=[small, "at byte 0", "Input/output error"])
        equal((ran.json["errors"], ran.json["unique_blocks"], ran.json["bytes"]),
              (1, 768, 3 << 20))


def the_table_has_the_most_duplicated_files_first():
    with Folder() as folder:
        write(os.path.join(folder, "a", "base"), *(block(i) for i in range(20)))
        write(os.path.join(folder, "b", "most"), *(block(i) for i in range(12)), block(90))
        write(os.path.join(folder, "b", "some"), *(block(i) for i in range(5)))
        write(os.path.join(folder, "c", "some"), *(block(i) for i in range(8)))
        write(os.path.join(folder, "c", "none"), *(block(i) for i in range(50, 60)))

        def rows(*options):
            found = uds("scan", "--json", *options, folder).json["top"]
            return [(os.path.relpath(row["path"], folder), row["duplicate_bytes"] // BLOCK,
                     row["bytes"] // BLOCK) for row in found]
        equal(rows("--top", 10), [("b/most", 12, 13), ("c/some", 8, 8), ("b/some", 5, 5)])
        equal(rows("--top", 1), [("b/most", 12, 13)])
        equal(rows("--top", 10, "--directories"), [("b", 17, 18), ("c", 8, 18)])
        has(uds("scan", "--top", 2, folder).out, "92.3 %", "b/most", "100.0 %", "c/some")


def where_a_block_was_first_seen_is_told():
    with Folder() as folder:
        tree, index = os.path.join(folder, "tree"), os.path.join(folder, "x.uds")
        write(os.path.join(tree, "a"), *(block(i) for i in range(10)))
        write(os.path.join(tree, "b"), block(50), block(51), *(block(i) for i in range(3, 7)),
              block(1), block(0)[:100])
        found = uds("scan", "--json", "--first-seen", tree).json["first_seen"]
        short = [(os.path.basename(run["path"]), run["offset"] // BLOCK, run["length"] / BLOCK,
                  os.path.basename(run["first_path"]), run["first_offset"] // BLOCK)
                 for run in found]
        equal(short, [("b", 2, 4.0, "a", 3), ("b", 6, 1.0, "a", 1)])
        has(uds("scan", "--first-seen", tree).out,
            "b: 16384 bytes at 8192 first seen in %s/a at 12288\n" % tree)
        uds("create", *SMALL, index)
        uds("scan", "--index", index, tree)
        run = uds("scan", "--json", "--first-seen", "--index", index,
                  os.path.join(tree, "a")).json["first_seen"]
        equal(len(run), 1)
        equal((run[0]["length"], run[0]["first_offset"], run[0]["first_inode"]),
              (10 * BLOCK, 0, os.stat(os.path.join(tree, "a")).st_ino))
        has(run[0]["first_scan"], time.strftime("%Y-", time.gmtime()))


def names_and_data_are_what_the_manual_says():
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), block(1), b"\0" * BLOCK, block(2), b"end")
        index = os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        begun = time.time()
        uds("scan", "--index", index, path)
        found = dict(line.split() for line in uds("dump", index).out.splitlines())
        wanted = {}
        for number, piece in ((0, block(1)), (2, block(2)), (3, b"end".ljust(BLOCK, b"\0"))):
            name = uds_format.murmur3_128(piece, 0x62ea60be)
            wanted[bytes(name).hex()] = number
        equal(sorted(found), sorted(wanted))
        for name, record in found.items():
            record = bytes.fromhex(record)
            equal(record[0], 12 - 9, "block size and device")
            when = int.from_bytes(record[1:6], "little") / 1000 + 1577836800
            equal(abs(when - begun) < 60, True, "time of the scan")
            equal(int.from_bytes(record[6:11], "little"), os.stat(path).st_ino, "inode")
            equal(int.from_bytes(record[11:], "little"), wanted[name], "block number")


def the_report_calls_itself_an_estimate():
    with Folder() as folder:
        has(uds("scan", some_tree(folder)).out, "estimate", "saved", "ratio", "duplicate",
            "unique", "zero")


def an_interrupted_scan_ends_in_order():
    where = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with Folder(where) as folder:
        index = os.path.join(folder, "x.uds")
        large = os.path.join(folder, "large")
        write_large(large, 1000)
        uds("create", *SMALL, index)
        with subprocess.Popen([TOOL, "scan", "--json", "--block-size", "512", "--index", index,
                               "--readers", "1", large], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as process:
            while process.poll() is None and not has_open(process, large):
                time.sleep(0.001)
            process.terminate()
            out, err = process.communicate(timeout=60)
        if process.returncode == 0:
            raise Skip("it was done before it could be interrupted")
        equal(process.returncode, 143, (out, err))
        equal("interrupted" in err, True, err)
        equal(uds("info", "--json", index).json["state"], "clean")


def volumes_are_scanned_by_uri():
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), block(1), b"\0" * BLOCK, block(2), block(1), block(3)[:100])
        os.truncate(path, 3 << 20)

        def scan(*names, **options):
            return {key: value for key, value in uds("scan", "--json", *names, **options).json.items()
                    if "second" not in key}
        for options in [], ["--block-size", 512], ["--block-size", "1M"], ["--readers", 3]:
            equal(scan(*options, "file:" + path), scan(*options, path))
        for uri in "file:%s?direct=auto&uring=1" % path, "concat:?part=file:" + path:
            equal(scan(uri), scan(path))
        # What is one thing by any name is read once; what only shows a part of it is another one.
        for names in [path, "file:" + path], ["file:" + path, path], ["file:" + path] * 2:
            equal((scan(*names)["files"], scan(*names)["unique_blocks"]), (1, 3))
        for uri in ("file:%s?length=8K" % path, "file:%s?offset=8K" % path, "concat:?part=%s&part=mem:%%3Fsize=1M" % path,
                    "concat:?part=%s&part=%s" % (path, path)):
            for names in [path, uri], [uri, path]:
                equal(scan(*names)["files"], 2)
        equal(scan("file:%s?offset=4K&length=12K" % path)["unique_blocks"], 2)
        memory = scan("mem:?size=1G")
        equal((memory["zero_blocks"], memory["unique_blocks"], memory["bytes"]), (1 << 18, 0, 1 << 30))
        has(uds("scan", "--top", 2, "file:" + path).out, "  file:" + path)


def indexes_are_left_out_by_any_name():
    with Folder() as folder:
        index, other = os.path.join(folder, "index"), write(os.path.join(folder, "other"), block(1))
        uds("create", *SMALL, index)
        for by in index, "file:" + index:
            for names in [index, other], ["file:" + index, other], [folder]:
                found = uds("scan", "--json", "--no-save", "--index", by, *names).json
                equal((found["files"], found["index_left_out"], found["bytes"]), (1, True, BLOCK))


def what_an_index_is_a_part_of_is_left_out():
    with Folder() as folder:
        paths = [os.path.join(folder, name) for name in ("a", "b")]
        other = write(os.path.join(folder, "other"), block(1))
        for path in paths:
            write(path, b"\0" * BLOCK)
            os.truncate(path, 2 << 20)
        last = "file:%s?offset=1M&length=1M" % paths[0]
        uds("create", *SMALL, last)

        def scan(index, *names):
            found = uds("scan", "--json", "--no-save", "--index", index, *names).json
            return found["files"], found["index_left_out"], found["bytes"]
        # A part of a file: what has its bytes is left out, another part of that file is not.
        for names in [paths[0], other], ["file:" + paths[0], other], [last, other], ["file:%s?offset=1M" % paths[0], other], \
                ["file:%s?length=1028K" % paths[0], other], ["concat:?part=%s&part=%s" % tuple(reversed(paths)), other]:
            equal(scan(last, *names), (1, True, BLOCK))
        equal(scan(last, folder), (2, True, BLOCK + (2 << 20)))
        equal(scan(last, "file:%s?length=1M" % paths[0]), (1, False, 1 << 20))
        # On two files: neither is read.
        both = "concat:?part=file:%s%%3Foffset=1996K&part=file:%s" % tuple(paths)
        uds("create", "--force", *SMALL, both)
        equal(scan(both, folder), (1, True, BLOCK))
        equal(scan(both, paths[1], other), (1, True, BLOCK))
        equal(scan(both, "file:%s?length=1996K" % paths[0]), (1, False, 1996 << 10))


def the_file_of_a_loop_device_with_an_index_is_left_out():
    with Folder() as folder:
        image, other = os.path.join(folder, "image"), write(os.path.join(folder, "other"), block(1))
        write(image, b"\0" * BLOCK)
        os.truncate(image, 2 << 20)
        with Loop(image) as node:
            uds("create", *SMALL, "file:%s?offset=64K" % node)
            for index in node, "file:%s?offset=64K" % node:
                offset = ["--offset", "64K"] if index == node else []
                for name in folder, node:
                    found = uds("scan", "--json", "--no-save", "--index", index, *offset, name, other).json
                    equal((found["files"], found["index_left_out"], found["bytes"]), (1, True, BLOCK))


def volumes_that_cannot_be_read_are_named():
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), block(1))
        for uri, words in (("file:" + folder + "/none", "No such file"), ("mem:?size=x", "size"), ("vdo:" + path, "not a VDO"),
                           ("file:%s?offset=1M" % path, "expected to end")):
            ran = uds("scan", "--json", uri, path, status=FAILED, says=words)
            equal((ran.json["files"], ran.json["errors"], ran.json["unique_blocks"]), (1, 1, 1))
            uds("scan", uri, status=FAILED, says=[words, "nothing could be read: nothing was scanned"])
        # Other schemes are names of files.
        os.chdir(folder)
        write(os.path.join(folder, "backup:1"), block(2))
        write(os.path.join(folder, "mem:"), block(3))
        equal(uds("scan", "--json", "backup:1", "./mem:").json["unique_blocks"], 2)
        os.chdir("/")


def read_errors_of_volumes_are_told_with_their_place():
    with Folder() as folder:
        path = write(os.path.join(folder, "f"), *(block(i) for i in range(20)))
        env = with_bad_sectors(folder, (path, 5 * BLOCK + 100, 10))
        ran = uds("scan", "--json", "file:" + path, env=env, status=FAILED,
                  says="file:%s: at byte %d: Input/output error" % (path, 5 * BLOCK))
        equal((ran.json["unique_blocks"], ran.json["bytes"], ran.json["errors"]), (5, 5 * BLOCK, 1))


if __name__ == "__main__":
    sys.exit(main([
        counts_agree_with_an_independent_count, every_block_size_is_counted_right,
        large_files_are_cut_at_no_wrong_place, earlier_scans_are_known,
        two_scans_with_one_given_time_are_told_apart, without_index_nothing_is_left_behind,
        an_index_that_does_not_fit_in_memory_is_made_in_a_file,
        sparse_files_have_zero_blocks_in_their_holes, hard_links_are_counted_once,
        symbolic_links_are_not_followed, pipes_and_sockets_are_left_out,
        the_state_of_the_system_is_left_out,
        odd_names_do_not_break_lines_or_json, deep_trees_are_walked,
        more_small_files_than_may_be_open_are_read,
        unreadable_files_and_folders_are_told_and_the_rest_is_scanned,
        what_is_not_there_is_told_and_the_rest_is_scanned,
        files_that_change_while_they_are_read_do_no_harm, block_devices_are_scanned,
        what_is_read_with_and_without_io_uring_is_the_same,
        the_place_of_a_read_error_of_a_device_is_told,
        read_errors_are_told_with_their_place, the_table_has_the_most_duplicated_files_first,
        where_a_block_was_first_seen_is_told, names_and_data_are_what_the_manual_says,
        volumes_are_scanned_by_uri, indexes_are_left_out_by_any_name,
        what_an_index_is_a_part_of_is_left_out, the_file_of_a_loop_device_with_an_index_is_left_out,
        volumes_that_cannot_be_read_are_named,
        read_errors_of_volumes_are_told_with_their_place,
        the_report_calls_itself_an_estimate, an_interrupted_scan_ends_in_order]))
