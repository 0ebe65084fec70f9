# SPDX-License-Identifier: BSD-2-Clause
"""Devices that a kernel holds (device-mapper, swap, a partition of theirs) are refused with the holder's name. A part
of test_kernel_guest.py, whose machine it uses."""
import os
import re
import struct

from guest import BUILD, Part
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


def begin(folder):
    """What the kernel is asked."""
    if not os.access(PROGRAM, os.X_OK):
        raise Skip("not built (no static libraries)")
    disks = []
    for name in DISKS:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.truncate(4 << 20)
            if name == "disk":  # with one partition of 1 MiB from sector 2048 on: the partition table of old, by hand
                file.seek(446)
                file.write(struct.pack("<4x B 3x II 48x H", 0x83, 2048, 2048, 0xaa55))
        disks += ["-D", "%s=%s" % (name, path)]
    modules = "--module", "dm-crypt", "--module", "ecb", "--module", "crypto_null"
    return Part(COMMANDS + "true", disks, [PROGRAM], modules, judge)


def has_line(lines, pattern):
    equal(any(re.fullmatch(pattern, line) for line in lines), True, "%s in %r" % (pattern, lines))


def free_devices_open_with_their_sector_size(lines):
    for line in ("/dev/plain: block 512, alignment 512", "/dev/mapper/large: block 4096, alignment 4096",
                 "/dev/mapped: block 1, alignment 1", "/dev/disk: block 1, alignment 1"):
        has_line(lines, line)


def devices_held_by_device_mapper_name_the_mapping(lines):
    has_line(lines, r"/dev/mapped: held by device-mapper's held \(dm-[0-9]*\)")


def devices_used_for_swap_say_so(lines):
    has_line(lines, "/dev/swap: used as swap space")


def disks_with_a_used_partition_name_it(lines):
    has_line(lines, "/dev/disk: its partition [a-z]*1 is used as swap space")


TESTS = (free_devices_open_with_their_sector_size, devices_held_by_device_mapper_name_the_mapping,
         devices_used_for_swap_say_so, disks_with_a_used_partition_name_it)


def judge(said, results):
    for test in TESTS:
        results.run(test.__name__, test, said.lines)
