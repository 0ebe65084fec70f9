# SPDX-License-Identifier: BSD-2-Clause
"""Two and three snapshots of one origin, which the library and the real kernel write and merge in turns.

The command writes the origin with all of them named; the kernel opens them together, goes on, merges one
while the others are active; the command reads what it left and merges the next one. Every view is compared
with what it has to hold, each time. A part of test_kernel_guest.py, whose machine it uses.
"""
import hashlib
import os
import random

from cow_format import SECTOR
from guest import Part
from snapshot_peers import TOOL, call, read_file, write_file
from support import Skip, equal, pattern

ORIGIN_SECTORS = 3001  # ends inside a chunk


class Origin:
    """An origin with snapshots, and what each has to hold."""
    def __init__(self, folder, letter, chunks):
        self.folder, self.letter, self.chunks = folder, letter, chunks
        self.random, self.tag = random.Random(len(chunks)), 1000 * len(chunks)
        self.path = os.path.join(folder, letter + ".origin")
        self.cows = [os.path.join(folder, "%s.cow%d" % (letter, i)) for i in range(len(chunks))]
        self.data = bytearray(pattern(0, ORIGIN_SECTORS, 1))
        self.views = [bytearray(self.data) for _ in chunks]
        write_file(self.path, self.data)
        for cow, chunk in zip(self.cows, chunks):
            call(TOOL, "snapshot", "create", "--chunk-size", str(chunk * SECTOR), "--size", "8M", cow)

    def others(self, i):
        return [word for j, cow in enumerate(self.cows) if j != i for word in ("--cow", cow)]

    def a_write(self):
        """Where, how much, and with which tag; aligned to its own length."""
        length = self.random.choice((1, 3, 8, 40, 130))
        self.tag += 1
        return self.random.randrange(ORIGIN_SECTORS // length) * length, length, self.tag

    def write_here(self, count):
        for _ in range(count):
            sector, length, tag = self.a_write()
            data = pattern(sector, length, tag)
            i = self.random.randrange(len(self.cows))
            if self.random.randrange(3) == 0:
                call(TOOL, "snapshot", "write", "--origin", self.path, "--offset",
                     str(sector * SECTOR), self.cows[i], data=data)
                target = self.views[i]
            else:
                call(TOOL, "snapshot", "write-origin", "--origin", self.path, "--offset",
                     str(sector * SECTOR), *self.others(i), self.cows[i], data=data)
                target = self.data
            target[sector * SECTOR:(sector + length) * SECTOR] = data

    def check(self, what):
        equal(read_file(self.path) == self.data, True, what + ": origin")
        for i, cow in enumerate(self.cows):
            view = call(TOOL, "snapshot", "read", "--origin", self.path, cow)
            equal(view == self.views[i], True, "%s: snapshot %d" % (what, i))

    def disks(self):
        pairs = [("o", self.path)] + [("c%d" % i, cow) for i, cow in enumerate(self.cows)]
        return [word for name, path in pairs for word in ("-d", "%s%s=%s" % (self.letter, name, path))]

    def kernel_script(self, count):
        """The kernel shows all, writes the origin and the snapshots, and merges the first one."""
        x, files, lines = self.letter, [], []

        def tell(when, first=0):
            for i in range(first, len(self.cows)):
                lines.append("echo %s-%s%d $(dsha /dev/mapper/%ss%d)" % (when, x, i, x, i))

        def put(name, target):
            sector, length, tag = self.a_write()
            files.append(os.path.join(self.folder, "%s.%d" % (x, tag)))
            write_file(files[-1], pattern(sector, length, tag))
            target[sector * SECTOR:(sector + length) * SECTOR] = pattern(sector, length, tag)
            lines.append("dd if=%s.%d of=/dev/mapper/%s bs=%d count=1 seek=%d oflag=direct "
                         "conv=notrunc 2>/dev/null || echo failed-%s %d"
                         % (x, tag, name, length * SECTOR, sector // length, x, sector))

        for i, chunk in enumerate(self.chunks):
            lines.append("snap %ss%d /dev/%so /dev/%sc%d P %d" % (x, i, x, x, i, chunk))
        lines.append("origin %sb /dev/%so" % (x, x))
        tell("before")
        for _ in range(count):
            i = self.random.randrange(len(self.cows) + 1)
            if i < len(self.cows):
                put("%ss%d" % (x, i), self.views[i])
            else:
                put("%sb" % x, self.data)
        tell("later")
        lines += ["dmsetup remove %ss0" % x, "dmsetup remove %sb" % x,
                  "snapmerge %sm /dev/%so /dev/%sc0 P %d && waitmerge %sm"
                  % (x, x, x, self.chunks[0], x)]
        tell("merged", 1)
        lines.append("dmsetup remove %sm" % x)
        lines += ["dmsetup remove %ss%d" % (x, i) for i in range(1, len(self.cows))]
        return lines, files


def sha(view):
    return hashlib.sha256(view).hexdigest()


def the_kernel_goes_on(origins):
    """What it is asked, for all of them."""
    before = [[sha(view) for view in origin.views] for origin in origins]
    lines, files, disks = [], [], []
    for origin in origins:
        more_lines, more_files = origin.kernel_script(12)
        lines += more_lines
        files += more_files
        disks += origin.disks()

    def judge(said, results):
        for origin, views in zip(origins, before):
            went_on(origin, views, said, results)

    return Part("\n".join(lines), disks, files, (), judge)


def went_on(origin, before, said, results):
    x, title = origin.letter, "%d snapshots" % len(origin.cows)
    origin.data[:] = origin.views[0]  # merged

    def kernel_shows_what_we_wrote():
        equal([said["before-%s%d" % (x, i)] for i in range(len(before))], before)

    def a_merge_leaves_the_others_in_the_kernel():
        equal(said.get("failed-" + x), None, "a write of the kernel failed")
        for i, view in enumerate(origin.views):
            equal(said["later-%s%d" % (x, i)], sha(view), "snapshot %d" % i)
            if i > 0:
                equal(said["merged-%s%d" % (x, i)], sha(view), "snapshot %d after the merge" % i)

    results.run("kernel_shows_what_we_wrote: " + title, kernel_shows_what_we_wrote)
    results.run("a_merge_leaves_the_others_in_the_kernel: " + title,
                a_merge_leaves_the_others_in_the_kernel)
    results.run("we_read_what_the_kernel_left: " + title, origin.check, "after the kernel")


def we_merge_the_next(origin):
    """The last of them; those between stay what they are."""
    last = len(origin.cows) - 1
    call(TOOL, "snapshot", "merge", "--origin", origin.path, *origin.others(last), origin.cows[last])
    origin.data[:] = origin.views[last]
    origin.check("after our merge")


def begin(folder, results):
    """Origins that the command has written."""
    if not os.access(TOOL, os.X_OK):
        raise Skip("the uds command is not built")
    origins = [Origin(folder, "x", (8, 16)), Origin(folder, "y", (16, 1, 64))]
    for origin in origins:
        origin.write_here(25)
        results.run("each_shows_what_it_was: %d snapshots" % len(origin.cows), origin.check, "before")
    return origins


def end(origins, results):
    for origin in origins:
        results.run("we_merge_one_of_several: %d snapshots" % len(origin.cows), we_merge_the_next, origin)
