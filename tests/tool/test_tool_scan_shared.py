#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds scan where files share their blocks already: reflinks on XFS and btrfs, snapshots of btrfs."""
import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

from tool_support import SMALL, Folder, Skip, equal, has, main, uds

BLOCK = 4096
FICLONERANGE = 0x4020940D


class FileSystem:
    """One of its own, `with FileSystem("xfs") as path`; skips where there can be none."""
    def __init__(self, kind, options="loop"):
        self.kind, self.options = kind, options

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("only root mounts")
        if not shutil.which("mkfs." + self.kind):
            raise Skip("no mkfs.%s" % self.kind)
        self.folder = tempfile.mkdtemp(prefix="uds-%s-" % self.kind)
        image, self.path = os.path.join(self.folder, "image"), os.path.join(self.folder, "mounted")
        os.mkdir(self.path)
        with open(image, "wb") as file:
            file.truncate(400 << 20)
        subprocess.run(["mkfs." + self.kind, "-q", image], check=True, capture_output=True)
        done = subprocess.run(["mount", "-o", self.options, image, self.path], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            shutil.rmtree(self.folder)
            raise Skip("%s cannot be mounted: %s" % (self.kind, " ".join(done.stderr.split())))
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=True)
        shutil.rmtree(self.folder)


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def clone(source, start, length, target, at):
    """Makes a range of @target share the blocks of one of @source; length 0: up to its end."""
    with open(source, "rb") as old, open(target, "r+b" if os.path.exists(target) else "wb") as new:
        fcntl.ioctl(new, FICLONERANGE, struct.pack("qQQQ", old.fileno(), start, length, at))


def found(*arguments):
    report = uds("scan", "--json", *arguments).json
    equal(report["saved_bytes"],
          report["duplicate_bytes"] + report["known_bytes"] - report["shared_bytes"])
    return tuple(report[key] for key in ("unique_bytes", "duplicate_bytes", "shared_bytes"))


def reflinks_are_not_savings(kind, options="loop"):
    with FileSystem(kind, options) as folder:
        data, a = os.urandom((3 << 20) + 1000), os.path.join(folder, "a")
        n = len(data)
        write(a, data)
        equal(found(folder), (n, 0, 0))
        clone(a, 0, 0, os.path.join(folder, "b"), 0)
        for size in (512, 4096, 65536, 1 << 20):
            equal(found("--block-size", size, folder), (n, n, n), size)
        text = uds("scan", folder).out
        has(text, "shared", "stored once already", "saved        0 bytes, ratio 1.00 : 1")
        rows = uds("scan", "--json", "--first-seen", "--top", 3, folder).json
        equal([(run["length"], run["shared"]) for run in rows["first_seen"]], [(n, True)])
        equal(rows["top"], [])
        # A real copy is one, whichever comes first.
        for copy in ("0copy", "zcopy"):
            write(os.path.join(folder, copy), data)
            equal(found(folder), (n, 2 * n, n), copy)
            os.unlink(os.path.join(folder, copy))
        # Of two pairs, one is stored too much.
        write(os.path.join(folder, "c"), data)
        clone(os.path.join(folder, "c"), 0, 0, os.path.join(folder, "d"), 0)
        equal(found(folder), (n, 3 * n, 2 * n))
        equal(found(os.path.join(folder, "b"), os.path.join(folder, "d")), (n, n, 0))


def xfs_reflinks_are_not_savings():
    reflinks_are_not_savings("xfs")


def btrfs_reflinks_are_not_savings():
    reflinks_are_not_savings("btrfs")


def parts_of_files_are_shared_block_by_block():
    with FileSystem("xfs") as folder:
        a, b = os.path.join(folder, "a"), os.path.join(folder, "b")
        write(a, os.urandom(64 * BLOCK))
        write(b, os.urandom(64 * BLOCK))
        # At another offset, and inside one file.
        clone(a, 8 * BLOCK, 16 * BLOCK, b, 24 * BLOCK)
        equal(found(folder), (112 * BLOCK, 16 * BLOCK, 16 * BLOCK))
        clone(a, 0, 8 * BLOCK, a, 56 * BLOCK)
        equal(found(folder), (104 * BLOCK, 24 * BLOCK, 24 * BLOCK))
        # What is written over is shared no longer.
        with open(b, "r+b") as file:
            file.seek(24 * BLOCK)
            file.write(os.urandom(BLOCK))
            file.flush()
            os.fsync(file.fileno())
        equal(found(folder), (105 * BLOCK, 23 * BLOCK, 23 * BLOCK))
        # The same content again is, but not the same blocks.
        with open(a, "rb") as file:
            file.seek(8 * BLOCK)
            data = file.read(BLOCK)
        with open(b, "r+b") as file:
            file.seek(24 * BLOCK)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        equal(found(folder), (104 * BLOCK, 24 * BLOCK, 23 * BLOCK))


def files_in_many_pieces_are_looked_at_whole():
    with FileSystem("xfs") as folder:
        sources = [os.path.join(folder, name) for name in "ab"]
        for source in sources:
            write(source, os.urandom(700 * BLOCK))
        dice, mixed = random.Random(5), os.path.join(folder, "mixed")
        for i in range(700):
            clone(dice.choice(sources), dice.randrange(700) * BLOCK, BLOCK, mixed, i * BLOCK)
        equal(found(folder), (1400 * BLOCK, 700 * BLOCK, 700 * BLOCK))
        equal(found("--block-size", 512, folder), (1400 * BLOCK, 700 * BLOCK, 700 * BLOCK))
        # Larger blocks over several pieces: the same pieces are the same place.
        clone(mixed, 0, 0, os.path.join(folder, "too"), 0)
        size = os.path.getsize(mixed)
        equal(found("--block-size", 65536, mixed, os.path.join(folder, "too")), (size, size, size))


def snapshots_and_compressed_files_share_too():
    with FileSystem("btrfs", "loop,compress=zstd") as folder:
        if not shutil.which("btrfs"):
            raise Skip("no btrfs command")
        part = os.path.join(folder, "part")
        subprocess.run(["btrfs", "subvolume", "create", part], check=True, capture_output=True)
        text = b"".join(b"line %d\n" % i for i in range(200000))
        noise = os.urandom(1 << 20)
        write(os.path.join(part, "text"), text)
        write(os.path.join(part, "copy"), text)
        write(os.path.join(part, "noise"), noise)
        both = len(text) + len(noise)
        equal(found(part), (both, len(text), 0))
        for name in ("one", "two"):
            subprocess.run(["btrfs", "subvolume", "snapshot", part, os.path.join(folder, name)],
                           check=True, capture_output=True)
        os.sync()
        snapshots = 2 * (both + len(text))
        equal(found(folder), (both, len(text) + snapshots, snapshots))
        equal(found("--block-size", 65536, folder), (both, len(text) + snapshots, snapshots))


def what_an_earlier_scan_knows_is_not_promised():
    with FileSystem("xfs") as mounted, Folder() as folder:
        a, b, index = (os.path.join(mounted, "a"), os.path.join(mounted, "b"),
                       os.path.join(folder, "x.uds"))
        write(a, os.urandom(100 * BLOCK))
        clone(a, 0, 0, b, 0)
        uds("create", *SMALL, index)
        uds("scan", "--index", index, a)
        report = uds("scan", "--json", "--index", index, b).json
        equal((report["known_blocks"], report["shared_blocks"], report["saved_bytes"]), (100, 100, 0))
        # Not unlink(): XFS gives the blocks of a removed file back when it has time.
        os.truncate(a, 0)
        report = uds("scan", "--json", "--index", index, b).json
        equal((report["known_blocks"], report["shared_blocks"]), (100, 0))


def without_sharing_nothing_is_shared():
    with Folder() as folder:
        for name in ("a", "b"):
            write(os.path.join(folder, name), b"x" * BLOCK * 10)
        report = uds("scan", "--json", folder).json
        equal((report["duplicate_blocks"], report["shared_blocks"], report["shared_bytes"]),
              (19, 0, 0))
        equal("shared" in uds("scan", folder).out, False)


if __name__ == "__main__":
    sys.exit(main([
        xfs_reflinks_are_not_savings, btrfs_reflinks_are_not_savings,
        parts_of_files_are_shared_block_by_block, files_in_many_pieces_are_looked_at_whole,
        snapshots_and_compressed_files_share_too, what_an_earlier_scan_knows_is_not_promised,
        without_sharing_nothing_is_shared]))
