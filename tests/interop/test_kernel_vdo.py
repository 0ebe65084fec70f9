#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""dm-vdo of the real kernel writes to an index that has extras, which it does not know; and opens one whose super block
and config block were lost and made again.

A VDO volume has no room behind its index, so the index with extras lies in a file of its own, with the nonces of the
volume; what is in front of the extras goes into the volume, the kernel continues it, and it comes back. The kernel runs
in a virtual machine (UDS_KERNEL_GUEST); without one, or without the 110 MB that it needs for VDO, the test is skipped.
"""
import hashlib
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from guest import guest_or_skip, run_guest  # noqa: E402
from tool_support import DAMAGE, Results, Skip, copy_range, equal, uds  # noqa: E402

AT = 4096           # where the index of a VDO volume begins
CHAPTER = 65536     # records, in the smallest index of VDO
BLOCKS = 600        # written in the guest


def guest(script, disk, *options, status=0, timeout=280):
    done = run_guest("--vdo", *options, "-d", "disk=" + disk, script, timeout=timeout)
    equal(done.returncode, status, done.stderr[-500:])
    return done.stdout


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


def start(disk):
    return "vdo v0 /dev/%s 4194304 && waitindex v0" % disk


def make_volumes(*volumes):
    """The kernel makes them, and writes some blocks to the second one."""
    for volume in volumes:
        with open(volume, "wb") as file:
            file.truncate(6 << 30)
    form = "vdoformat --logical-size=2G --slab-bits=13 /dev/%s >/dev/null"
    guest(" && ".join([form % "disk", start("disk"), "dmsetup remove v0", form % "other", start("other"),
                       "dd if=/dev/urandom of=/dev/mapper/v0 bs=4096 count=%d oflag=direct 2>/dev/null" % BLOCKS,
                       "dmsetup remove v0"]), volumes[0], "-d", "other=" + volumes[1])


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


def continue_volumes(*volumes):
    """The kernel writes new blocks to the first one, and to the second what it has already. Returns its counts."""
    out = guest(" && ".join([start("disk"), "dd if=/dev/urandom of=/tmp/b bs=4096 count=%d 2>/dev/null" % BLOCKS,
                             "dd if=/tmp/b of=/dev/mapper/v0 bs=4096 oflag=direct 2>/dev/null",
                             "vdostats v0 | grep index.entriesIndexed", "dmsetup remove v0", "echo --", start("other"),
                             "dd if=/dev/mapper/v0 of=/tmp/b bs=4096 count=%d 2>/dev/null" % BLOCKS,
                             "dd if=/tmp/b of=/dev/mapper/v0 bs=4096 seek=%d oflag=direct 2>/dev/null" % BLOCKS,
                             "vdostats v0 | grep 'index.entriesIndexed\\|index.postsFound'", "dmsetup remove v0"]),
                volumes[0], "-d", "other=" + volumes[1])
    return [sorted(part.split()) for part in out.split("--")]


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


def kernel_goes_on_with_an_index_in_front_of_extras_and_with_one_whose_first_blocks_were_made_again(folder):
    """Both in the same boots."""
    volumes, index = [os.path.join(folder, part) for part in ("v.img", "w.img")], os.path.join(folder, "x.uds")
    make_volumes(*volumes)
    count, end = put_index_with_extras(index, volumes[0])
    make_first_blocks_again(volumes[1])
    first, second = continue_volumes(*volumes)
    equal(first, sorted(["index.entriesIndexed", str(count + BLOCKS)]))
    # What was written before is found.
    equal(second, sorted(["index.entriesIndexed", str(BLOCKS), "index.postsFound", str(BLOCKS)]))
    extras_are_taken_up_again(index, volumes[0], count, end)


def run_with_guest(*tests):
    """Runs each with a folder of its own, where there is a guest. Returns the exit status."""
    results = Results()
    try:
        guest_or_skip("--vdo")
    except Skip as reason:
        print("skipped: kernel guest with VDO: %s" % reason)
        results.skipped += 1
        return results.finish()
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="uds-guest-") as folder:
            results.run(test.__name__, test, folder)
    return results.finish()


def main():
    return run_with_guest(
        kernel_goes_on_with_an_index_in_front_of_extras_and_with_one_whose_first_blocks_were_made_again)


if __name__ == "__main__":
    sys.exit(main())
