#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A snapshot that the kernel has active, and writes to, is read as it is on the device at that moment.

The kernel's writes to a COW device, and to an origin, pass the page cache of that device, which keeps
what anybody read from it before. In a virtual machine (UDS_KERNEL_GUEST) LVM makes a snapshot; before
and after each round of writes the command must say about it what the kernel says. A COW device that the
kernel has given back, but that somebody kept open, is the same: there a merge would write what is stale.
"""
import sys

from guest import judge, run_lvm
from support import Skip, equal

ROUNDS = 2

LVM = r"""
export LD_LIBRARY_PATH=$PWD
exec 2>/dev/null # or the console shows progress bars
# In LVM's own shell, as a process takes a second to start in an emulated machine.
lvm >/dev/null 2>&1 <<'END'
pvcreate -q /dev/pv0
vgcreate -q vg /dev/pv0
lvcreate -q -y -Wn -Zn -L 12M -n origin vg /dev/pv0
lvcreate -q -y -s -c 4k -L 24M -n snap vg/origin
END
[ -b /dev/mapper/vg-snap-cow ] || { echo not-made; exit 9; }
cow=/dev/mapper/vg-snap-cow; org=/dev/mapper/vg-origin-real
for round in $(seq 1 ROUNDS); do
  echo "status $round $(dmsetup status vg-snap | cut -d' ' -f4-)"
  echo "info $round $(uds snapshot info $cow | sed -n 's/ *device-mapper *//p')"
  echo "list $round $(uds snapshot list $cow | sha256sum)"
  echo "count $round $(uds snapshot list $cow | wc -l)"
  dd if=$cow of=/tmp/copy bs=1M iflag=direct 2>/dev/null
  echo "copy $round $(uds snapshot list /tmp/copy | sha256sum)"
  echo "verify $round $(uds snapshot verify --origin $org $cow)"
  echo "read $round $(uds snapshot read --origin $org $cow | sha256sum)"
  echo "part $round $(uds snapshot read --offset 12345 --length 7777350 --origin $org $cow | sha256sum)"
  dd if=/dev/mapper/vg-snap of=/tmp/view bs=1M iflag=direct 2>/dev/null
  echo "view $round $(sha256sum < /tmp/view)"
  echo "view-part $round $(dd if=/tmp/view bs=12345 skip=1 count=630 2>/dev/null | sha256sum)"
  dd if=$cow of=/dev/null bs=1M 2>/dev/null; dd if=$org of=/dev/null bs=1M 2>/dev/null
  dd if=/dev/urandom of=/dev/mapper/vg-origin bs=4096 count=500 seek=$((round*600)) oflag=direct conv=notrunc 2>/dev/null
  dd if=/dev/urandom of=/dev/mapper/vg-snap bs=4096 count=300 seek=$((round*800+1000)) oflag=direct conv=notrunc 2>/dev/null
done
for pair in "vg-origin-real vg-snap-cow" "vg-origin vg-snap-cow" "vg-origin-real vg-origin-real" "vg-snap vg-snap-cow"; do
  set -- $pair
  echo "pair $1+$2 $(uds snapshot read --length 0 --origin /dev/mapper/$1 /dev/mapper/$2 2>&1)"
done
vgchange -q -an vg >/dev/null
dmsetup create l1 --table "0 4096 linear /dev/pv0 2048"
dmsetup create l2 --table "0 4096 linear /dev/pv0 6000"
dmsetup create l3 --table "0 4096 linear /dev/pv0 6144"
for pair in "l1 l2" "l1 l3" "l2 l3"; do
  set -- $pair
  echo "pair $1+$2 $(uds snapshot read --length 0 --origin /dev/mapper/$1 /dev/mapper/$2 2>&1)"
done
"""

GIVEN_BACK = r"""
sleep 1000 < /dev/c & sleep 1000 < /dev/o &
snap s /dev/o /dev/c P 8 && origin b /dev/o
dd if=/dev/urandom of=/dev/mapper/b bs=4096 count=20 seek=30 oflag=direct conv=notrunc 2>/dev/null
dd if=/dev/c of=/dev/null bs=1M 2>/dev/null; dd if=/dev/o of=/dev/null bs=1M 2>/dev/null
dd if=/dev/urandom of=/dev/mapper/b bs=4096 count=400 seek=100 oflag=direct conv=notrunc 2>/dev/null
dd if=/dev/urandom of=/dev/mapper/s bs=4096 count=100 seek=600 oflag=direct conv=notrunc 2>/dev/null
echo "given-status 0 $(dmsetup status s | cut -d' ' -f4-)"
dd if=/dev/mapper/s of=/tmp/given bs=1M iflag=direct 2>/dev/null
dmsetup remove s; dmsetup remove b
echo "given-info 0 $(uds snapshot info /dev/c | sed -n 's/ *device-mapper *//p')"
echo "given-view 0 $(sha256sum < /tmp/given)"
echo "given-read 0 $(uds snapshot read --origin /dev/o /dev/c | sha256sum)"
uds snapshot merge --origin /dev/o /dev/c >/dev/null
dd if=/dev/o of=/tmp/merged bs=1M iflag=direct 2>/dev/null
echo "given-merged 0 $(sha256sum < /tmp/merged)"
"""


def ask_guest(folder):
    """What the commands print, as {(key, round): rest of the line}."""
    output, errors = run_lvm(folder, (("pv0", 64, "pv0"), ("o", 4, "o"), ("c", 8, "c")),
                             LVM.replace("ROUNDS", str(ROUNDS)) + GIVEN_BACK)
    if "not-made" in output:
        raise Skip("the guest could make no LVM snapshot")
    words = [line.split() for line in output.splitlines()]
    said = {(w[0], w[1]): " ".join(w[2:]) for w in words if len(w) > 1}
    if ("given-merged", "0") not in said:
        raise AssertionError(output + errors)
    return said


def figures_are_the_kernels(said):
    for i in map(str, range(1, ROUNDS + 1)):
        equal(said["info", i], said["status", i], "round " + i)
        used = said["status", i].split()
        allocated, metadata = int(used[0].split("/")[0]), int(used[1])
        equal(int(said["count", i]), (allocated - metadata) // 8, "exceptions, round " + i)
    if said["status", "1"] == said["status", str(ROUNDS)]:
        raise AssertionError("nothing was written")


def lists_are_those_of_the_bytes_on_the_device(said):
    for i in map(str, range(1, ROUNDS + 1)):
        equal(said["list", i], said["copy", i], "round " + i)


def content_is_the_kernels_view(said):
    for i in map(str, range(1, ROUNDS + 1)):
        equal(said["read", i], said["view", i], "round " + i)
        equal(said["part", i], said["view-part", i], "round " + i)


def an_active_store_verifies(said):
    for i in map(str, range(1, ROUNDS + 1)):
        equal("no damage found" in said["verify", i], True, said["verify", i])


def a_store_that_was_given_back_is_not_read_from_the_cache(said):
    equal(said["given-info", "0"], said["given-status", "0"])
    equal(said["given-read", "0"], said["given-view", "0"])
    equal(said["given-merged", "0"], said["given-view", "0"])


def devices_with_common_bytes_are_refused(said):
    for pair, common in (("vg-origin-real+vg-snap-cow", False), ("vg-origin+vg-snap-cow", False),
                         ("vg-origin-real+vg-origin-real", True), ("vg-snap+vg-snap-cow", True),
                         ("l1+l2", True), ("l1+l3", False), ("l2+l3", True)):
        equal("bytes in common" in said["pair", pair], common, "%s: %s" % (pair, said["pair", pair]))


TESTS = (figures_are_the_kernels, lists_are_those_of_the_bytes_on_the_device,
         content_is_the_kernels_view, an_active_store_verifies,
         a_store_that_was_given_back_is_not_read_from_the_cache,
         devices_with_common_bytes_are_refused)


if __name__ == "__main__":
    sys.exit(judge(ask_guest, TESTS))
