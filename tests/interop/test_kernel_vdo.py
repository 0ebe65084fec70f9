#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The real dm-vdo and this library on one index, in a virtual machine (UDS_KERNEL_GUEST); without one, or without the
110 MB that it needs for VDO, the tests are skipped.

The kernel writes to an index that has extras, which it does not know. A VDO volume has no room behind its index, so that
one lies in a file of its own, with the nonce of the volume; what is in front of the extras goes into the volume, the
kernel continues it, and it comes back. The kernel opens an index whose super block and config block were lost and made
again. And an index that was lost is primed: the kernel's own count of advice that proved right, and of data blocks in
use, says whether it deduplicates.

All volumes are made in one boot of the machine, and continued in a second one.
"""
import hashlib
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from test_tool_vdo import page_commands  # noqa: E402
from tool_support import DAMAGE, FAILED, copy_range, equal, uds  # noqa: E402
from vdo_guest import (AT, CHAPTER, STATS, data, form, lose_index, new_volume, run_together, start, stats,  # noqa: E402
                       write)

BLOCKS = 600        # written in the guest
# What uds-vdo(7) tells to look at in a running volume.
RUNNING = "".join("%s >/dev/null && " % " ".join(line) for line in page_commands(("dmsetup",)))
RANDOM = "dd if=/dev/urandom of=/dev/mapper/v0 bs=4096 count=%d oflag=direct 2>/dev/null && " % BLOCKS


def name(number):
    return hashlib.md5(b"%d" % number).hexdigest()


def lines(first, last, data=True):
    return "".join("%s%s\n" % (name(i), " " + name(i) if data else "") for i in range(first, last))


def info(path):
    return uds("info", "--json", "--offset", AT, path).json


def flip(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def page_at(chapter, page):
    """Page of a chapter in a VDO index of the smallest size: 6 index pages, 64 record pages."""
    return AT + 2 * 4096 + (1 + chapter * 70 + page) * 32768


def nonce_of(volume):
    with open(volume, "rb") as file:
        return struct.unpack("<Q", file.read(40)[32:])[0]


def put_index_with_extras(index, volume):
    """One with the nonce of the volume, in place of the volume's. Returns how many records, and its end."""
    # The kernel is to close the second chapter.
    count = 2 * CHAPTER - 200
    uds("create", "--memory", "256M", "--nonce", nonce_of(volume), "--offset", AT, index)
    uds("load", "--offset", AT, index, stdin=lines(0, count))
    made = info(index)
    equal((made["newest_chapter"], made["extras_state"]), (1, "current"))
    end = AT + made["size_bytes"]
    copy_range(index, volume, AT, end)
    return count, end


def make_first_blocks_again(volume):
    """Super block and config block, each after it was lost."""
    with open(volume, "rb") as file:
        file.seek(AT)
        before = file.read(8192)
    # The kernel's seed data are as they are, so they are searched for among all.
    for at, options in ((AT + 4096, ["--nonce", nonce_of(volume)]), (AT, [])):
        with open(volume, "r+b") as file:
            file.seek(at)
            file.write(bytes(4096))
        uds("verify", "--repair", "--offset", AT, *options, volume)
    with open(volume, "rb") as file:
        file.seek(AT)
        after = file.read(8192)
    equal(after[:224] + after[264:312] + after[4096:4096 + 66],
          before[:224] + before[264:312] + before[4096:4096 + 66])
    equal(after[224:264] != before[224:264], True, "other seed data")
    uds("verify", "--offset", AT, volume)


def extras_are_taken_up_again(index, volume, count, end):
    copy_range(volume, index, AT, end)
    after = info(index)
    equal((after["newest_chapter"], after["state"], after["extras_state"]), (2, "clean", "stale"))
    uds("verify", "--offset", AT, index)
    equal(uds("peek", "--offset", AT, index, stdin=lines(0, count, False)).out.splitlines(),
          [name(i) for i in range(count)], "what was stored before")
    uds("load", "--offset", AT, index, stdin=lines(count, count + CHAPTER))
    again = info(index)
    equal((again["newest_chapter"], again["extras_state"]), (3, "current"))
    uds("verify", "--offset", AT, index)
    for chapter, status in ((0, DAMAGE), (1, 0), (2, DAMAGE)):
        # The data of a record: only a checksum can tell, and of the kernel's chapter there is none.
        at = page_at(chapter, 6 + 11) + 40 * 32 + 20
        flip(index, at)
        ran = uds("verify", "--offset", AT, index, status=status)
        equal("chapter %d (slot %d), record page 11: checksum" % (chapter, chapter) in ran.err,
              status == DAMAGE, ran)
        flip(index, at)


def the_kernel_goes_on_with_an_index_in_front_of_extras(folder):
    volume, index = new_volume(folder), os.path.join(folder, "x.uds")
    yield form(disk="extras") + start(disk="extras") + "dmsetup remove v0", {"extras": volume}
    count, end = put_index_with_extras(index, volume)
    after = stats((yield start(disk="extras") + RANDOM + STATS, {"extras": volume}))
    equal(after["index.entriesIndexed"], count + BLOCKS)
    extras_are_taken_up_again(index, volume, count, end)


def the_kernel_goes_on_with_an_index_whose_first_blocks_were_made_again(folder):
    volume = new_volume(folder)
    yield form(disk="first") + start(disk="first") + RANDOM + "dmsetup remove v0", {"first": volume}
    make_first_blocks_again(volume)
    # What was written before is found.
    after = stats((yield start(disk="first") +
                   "dd if=/dev/mapper/v0 of=/tmp/b bs=4096 count=%d 2>/dev/null && " % BLOCKS + write(16384) + STATS,
                   {"first": volume}))
    equal((after["index.entriesIndexed"], after["index.postsFound"]), (BLOCKS, BLOCKS))


def a_lost_index_is_primed_and_the_kernel_deduplicates(folder):
    volume = new_volume(folder)
    before = stats((yield form(disk="lost") + start(disk="lost") + data(BLOCKS) + write() + STATS,
                    {"lost": volume}))
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

    after = stats((yield start(disk="lost") + data(BLOCKS) + write(16384) + RUNNING + STATS, {"lost": volume}))
    equal((after["dataBlocksUsed"], after["hashLock.dedupeAdviceValid"], after["hashLock.dedupeAdviceStale"]),
          (BLOCKS, BLOCKS, 0))


if __name__ == "__main__":
    sys.exit(run_together(the_kernel_goes_on_with_an_index_in_front_of_extras,
                          the_kernel_goes_on_with_an_index_whose_first_blocks_were_made_again,
                          a_lost_index_is_primed_and_the_kernel_deduplicates))
