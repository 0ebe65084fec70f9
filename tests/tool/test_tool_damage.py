#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Damaged images, at random: every command ends in order, and those that only read write nothing.

UDS_TEST_SCALE makes it as long as one likes."""
import os
import random
import subprocess
import sys

from tool_support import SCALE, SMALL, TOOL, Folder, content, data, equal, main, name, uds

RUNS = max(1, int(12 * SCALE))


def run(*arguments, stdin=b""):
    """Runs a command that may find anything, but must not crash, hang or fail silently."""
    process = subprocess.run([TOOL, *map(str, arguments)], input=stdin, capture_output=True,
                             timeout=60, check=False)
    equal(process.returncode in (0, 1, 3), True, "%s: exit status %d, %s" % (
        arguments, process.returncode, process.stderr[-2000:]))
    if process.returncode:
        equal(process.stderr != b"", True, "a message of %s" % (arguments,))
    return process


def damaged(r, image):
    """The image with a few bytes, bits or blocks changed, or cut."""
    image = bytearray(image)
    for _ in range(r.choice((1, 1, 3, 20))):
        # Mostly where the structure is: early, or near something that is not zero.
        at = r.choice((r.randrange(len(image)), r.randrange(min(len(image), 12288))))
        for _ in range(50):
            if image[at]:
                break
            at = r.randrange(len(image))
        kind = r.random()
        if kind < 0.3:
            image[at] ^= 1 << r.randrange(8)
        elif kind < 0.5:
            image[at:at + 8] = r.choice((bytes(8), b"\xff" * 8, r.randbytes(8)))[:len(image) - at]
        elif kind < 0.7:
            image[at] = r.randrange(256)
        elif kind < 0.8:
            start, other = at // 512 * 512, r.randrange(len(image) // 512) * 512
            image[start:start + 512] = image[other:other + 512]
        elif kind < 0.9:
            start = at // 4096 * 4096
            image[start:start + 4096] = bytes(len(image[start:start + 4096]))
        elif len(image) > 20000:
            del image[r.randrange(len(image) // 2, len(image)):]
    return bytes(image)


def damaged_indexes_do_no_harm():
    r = random.Random(51)
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        requests = "".join("%s %s\n" % (name(i), data(i)) for i in range(3000)).encode()
        images = []
        for shape, save in ((SMALL, []), (SMALL, ["--no-save"]),
                            ([*SMALL, "--sparse-chapters", "4", "--sample-rate", "4"], [])):
            uds("create", *shape, "--force", path)
            run("post", *save, path, stdin=requests)
            images.append(content(path))
        for _ in range(RUNS):
            image = damaged(r, r.choice(images))
            with open(path, "wb") as file:
                file.write(image)
            for command in ("info", "verify", "dump"):
                run(command, path)
            run("peek", path, stdin=b"".join(b"%s\n" % name(i).encode() for i in range(0, 3000, 7)))
            equal(content(path) == image, True, "commands that only read")
            run("exec", "--zones", r.randrange(1, 5), path, stdin=b"".join(
                b"%s %s\n" % (r.choice((b"query", b"delete")), name(i).encode())
                for i in range(0, 3000, 11)))
            run("post", path, stdin=requests)
            run("verify", path)


def damaged_snapshots_do_no_harm():
    r = random.Random(52)
    with Folder() as folder:
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        images = []
        for chunk in (512, 4096):
            if os.path.exists(cow):
                os.unlink(cow)
            with open(origin, "wb") as file:
                file.write(r.randbytes(200000))
            uds("snapshot", "create", "--chunk-size", chunk, "--size", "512K", cow)
            for _ in range(4):
                run("snapshot", "write", "--origin", origin, "--offset", r.randrange(190000), cow,
                    stdin=r.randbytes(9000))
            images.append(content(cow))
        before = content(origin)
        for _ in range(RUNS):
            image = damaged(r, r.choice(images))
            with open(cow, "wb") as file:
                file.write(image)
            for command in ("info", "list", "verify"):
                run("snapshot", command, cow)
            run("snapshot", "list", "--ranges", "--salvage", cow)
            run("snapshot", "read", "--origin", origin, cow)
            run("snapshot", "merge", "--dry-run", "--origin", origin, cow)
            equal(content(cow) == image and content(origin) == before, True,
                  "commands that only read")
            run("snapshot", "write", "--origin", origin, "--offset", 50000, cow,
                stdin=r.randbytes(5000))
            run("snapshot", "merge", "--origin", origin, cow)
            with open(origin, "wb") as file:
                file.write(before)


if __name__ == "__main__":
    sys.exit(main([damaged_indexes_do_no_harm, damaged_snapshots_do_no_harm]))
