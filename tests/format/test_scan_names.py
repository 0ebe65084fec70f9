#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`uds scan` counts and names blocks as computed here: MurmurHash3 of each block, zeros apart."""
import json
import os
import random
import sys
import tempfile

import uds_format as uds
from support import Results, Skip, equal
from test_exec_against_model import TOOL, tool

SEED = 0x62ea60be  # of the names that dm-vdo gives to blocks


def make_tree(folder):
    """Files with what a scan may meet; returns the contents that count, once each."""
    dice, contents = random.Random(4), []

    def put(name, data):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        contents.append(data)

    noise = dice.randbytes(60 * 4096)
    put("noise", noise)
    put("repeats", noise[:8192] * 3 + noise[4096 * 20:4096 * 30])
    put("zeros inside", noise[:4096] + bytes(5 * 4096) + dice.randbytes(4096))
    put("short end", noise[4096 * 5:4096 * 7] + dice.randbytes(904))
    put("same short end", contents[-1])
    put("short end of zeros", noise[4096:8192] + bytes(100))
    put("empty", b"")
    hole = os.path.join(folder, "hole")
    with open(hole, "wb") as file:
        file.seek(1 << 20)
        file.write(noise[-4096:])
    contents.append(bytes(1 << 20) + noise[-4096:])
    os.link(hole, os.path.join(folder, "hard link"))
    os.symlink("noise", os.path.join(folder, "symbolic link"))
    return contents


def blocks_of(contents, size):
    """All blocks, the last one of a file filled up with zeros."""
    for data in contents:
        for at in range(0, len(data), size):
            yield data[at:at + size].ljust(size, b"\0")


def scan_agrees(size):
    with tempfile.TemporaryDirectory(prefix="uds-scan-") as scratch:
        folder, index = os.path.join(scratch, "tree"), os.path.join(scratch, "index")
        os.mkdir(folder)
        contents = make_tree(folder)
        tool("create", "--chapters", "8", "--record-pages", "16", "--page-size", "4096", index)
        more = ["--json", "--block-size", str(size), "--index", index, folder]
        first, second = (json.loads(tool("scan", *more)) for _ in range(2))
        blocks = list(blocks_of(contents, size))
        filled = [block for block in blocks if any(block)]
        unique = set(filled)
        keys = ("bytes", "blocks", "zero_blocks", "unique_blocks", "duplicate_blocks",
                "known_blocks", "errors")
        total = sum(map(len, contents))
        again = len(filled) - len(unique)
        equal([first[key] for key in keys], [total, len(blocks), len(blocks) - len(filled),
                                             len(unique), again, 0, 0], "first scan %s" % (keys,))
        equal([second[key] for key in ("bytes", "blocks", "zero_blocks", "unique_blocks")],
              [total, len(blocks), len(blocks) - len(filled), 0], "second scan")
        equal(second["known_blocks"] + second["duplicate_blocks"], len(filled), "known at last")
        found = {bytes.fromhex(line.split()[0]) for line in tool("dump", index).splitlines()}
        equal(found == {uds.murmur3_128(block, SEED) for block in unique}, True, "names")


def main():
    results = Results()
    if not os.access(TOOL, os.X_OK):
        def no_tool():
            raise Skip("the uds command is not built")
        results.run("scan", no_tool)
        return results.finish()
    for size in (4096, 512, 65536):
        results.run("scan_agrees: blocks of %d bytes" % size, scan_agrees, size)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
