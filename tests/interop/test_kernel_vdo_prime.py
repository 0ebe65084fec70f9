#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The index of a volume that the real dm-vdo made: found, audited, lost, primed, and used by the kernel again.

Two runs of the guest (test_kernel_vdo.py says what it needs). The kernel's own count of advice that proved right, and of
data blocks in use, says whether the primed index deduplicates.
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from test_kernel_vdo import guest, run_with_guest  # noqa: E402
from test_tool_vdo import page_commands  # noqa: E402
from tool_support import FAILED, equal, uds  # noqa: E402

BLOCKS = 400
FORMAT = "vdoformat --logical-size=2G --slab-bits=13 %s /dev/disk >/dev/null && "
START = "vdo v0 /dev/disk 4194304 %s && waitindex v0 && "
# What uds-vdo(7) tells to look at in a running volume.
RUNNING = "".join("%s >/dev/null && " % " ".join(line) for line in page_commands(("dmsetup",)))
# Writes are acknowledged before they are deduplicated, so this waits for the last of them.
STATS = "i=0; while [ $i -lt 300 ] && ! vdostats v0 | grep -q 'VIOsInProgress 0$'; do usleep 200000; i=$((i + 1)); done; " \
    "vdostats v0 | grep -E 'dataBlocksUsed|dedupeAdvice[VS]|entriesIndexed'; dmsetup remove v0"


def data(count, word="w"):
    """Makes /tmp/b in the guest: so many blocks of text."""
    return "awk 'BEGIN { for (i = 0; i < %d; i++) printf \"%%4096s\", \"%s\" i * 7919 }' >/tmp/b && " % (count, word)


def write(at=0):
    """Writes it to the volume, from block @at on, a multiple of 16."""
    return "dd if=/tmp/b of=/dev/mapper/v0 bs=64k seek=%d oflag=direct conv=notrunc 2>/dev/null && " % (at // 16)


def stats(text):
    return dict((line.split()[0], int(line.split()[1])) for line in text.splitlines() if len(line.split()) == 2)


def new_volume(folder, size=6 << 30):
    path = os.path.join(folder, "v.img")
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def lose_index(path):
    """What dd of zeroes over the start of the index leaves."""
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(bytes(1 << 20))


def a_lost_index_is_primed_and_the_kernel_deduplicates(folder):
    volume = new_volume(folder)
    before = stats(guest(FORMAT % "" + START % "" + data(BLOCKS) + write() + STATS, volume))
    equal(before["dataBlocksUsed"], BLOCKS)

    found = uds("find", "--json", volume).json["found"][0]
    equal((found["what"], found["vdo"]["state"], found["index"]["offset"], found["index"]["sparse"],
           found["index"]["nonce"] == found["vdo"]["nonce"]), ("vdo", "clean", 4096, False, True))
    uds("verify", "vdo:" + volume)
    audit = uds("vdo", "audit", "--json", volume).json
    equal((audit["records"], audit["right"], audit["stale"], audit["data_blocks"], audit["duplicate_blocks"]),
          (before["index.entriesIndexed"], before["index.entriesIndexed"], 0, BLOCKS, 0))

    lose_index(volume)
    uds("info", "vdo:" + volume, status=FAILED, says="uds vdo prime --create")
    primed = uds("vdo", "prime", "--create", "--json", volume).json
    equal((primed["records"], primed["data_blocks"], primed["fraction"]), (BLOCKS, BLOCKS, 1))
    audit = uds("vdo", "audit", "--json", volume).json
    equal((audit["right"], audit["stale"], audit["unknown_blocks"]), (BLOCKS, 0, 0))

    after = stats(guest(START % "" + data(BLOCKS) + write(16384) + RUNNING + STATS, volume))
    equal((after["dataBlocksUsed"], after["hashLock.dedupeAdviceValid"], after["hashLock.dedupeAdviceStale"]),
          (BLOCKS, BLOCKS, 0))


def main():
    return run_with_guest(a_lost_index_is_primed_and_the_kernel_deduplicates)


if __name__ == "__main__":
    sys.exit(main())
