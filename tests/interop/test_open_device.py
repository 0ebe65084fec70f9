#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Devices that a kernel holds (device-mapper, swap, a partition of theirs) are refused with the holder's name. The kernel
runs in a virtual machine (UDS_KERNEL_GUEST); without one the tests are skipped."""
import os
import re
import struct
import sys

from guest import BUILD, DID_NOT_RUN, guest_or_skip, judge, run_guest
from support import Skip, equal

PROGRAM = os.path.join(BUILD, "tests", "interop", "open_device")
DISKS = ("plain", "mapped", "swap", "disk")

COMMANDS = """
chmod +x ./open_device
part=$(readlink -f /dev/disk)1
./open_device file:/dev/plain?direct=1
# A mapping with sectors of 4096 bytes, which takes no second machine.
dmsetup create large --table "0 8192 crypt cipher_null-ecb - 0 /dev/plain 0 1 sector_size:4096" && ./open_device file:/dev/mapper/large?direct=1
dmsetup remove large
dmsetup create held --table "0 4096 linear /dev/mapped 0"
mkswap /dev/swap >/dev/null && swapon /dev/swap
mkswap $part >/dev/null && swapon $part
./open_device /dev/mapped /dev/swap /dev/disk $part
swapoff $part; swapoff /dev/swap; dmsetup remove held
./open_device /dev/mapped /dev/swap /dev/disk
"""


def ask_guest(folder):
    """What is said, a line each."""
    if not os.access(PROGRAM, os.X_OK):
        raise Skip("not built (no static libraries)")
    guest_or_skip()
    options = []
    for name in DISKS:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.truncate(4 << 20)
            if name == "disk":  # with one partition of 1 MiB from sector 2048 on: the partition table of old, by hand
                file.seek(446)
                file.write(struct.pack("<4x B 3x II 48x H", 0x83, 2048, 2048, 0xaa55))
        options += ["-D", "%s=%s" % (name, path)]
    done = run_guest("--module", "dm-crypt", "--module", "ecb", "--module", "crypto_null", "-f", PROGRAM, *options,
                     COMMANDS)
    if done.returncode >= DID_NOT_RUN:
        raise Skip("the kernel guest did not run: status %d" % done.returncode)
    return done.stdout.splitlines()


def has_line(said, pattern):
    equal(any(re.fullmatch(pattern, line) for line in said), True, "%s in %r" % (pattern, said))


def free_devices_open_with_their_sector_size(said):
    for line in ("/dev/plain: block 512, alignment 512", "/dev/mapper/large: block 4096, alignment 4096",
                 "/dev/mapped: block 1, alignment 1", "/dev/disk: block 1, alignment 1"):
        has_line(said, line)


def devices_held_by_device_mapper_name_the_mapping(said):
    has_line(said, r"/dev/mapped: held by device-mapper's held \(dm-[0-9]*\)")


def devices_used_for_swap_say_so(said):
    has_line(said, "/dev/swap: used as swap space")


def disks_with_a_used_partition_name_it(said):
    has_line(said, "/dev/disk: its partition [a-z]*1 is used as swap space")


TESTS = (free_devices_open_with_their_sector_size, devices_held_by_device_mapper_name_the_mapping,
         devices_used_for_swap_say_so, disks_with_a_used_partition_name_it)


if __name__ == "__main__":
    sys.exit(judge(ask_guest, TESTS))
