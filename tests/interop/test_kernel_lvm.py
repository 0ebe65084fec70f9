#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of an LVM volume group, which LVM and the kernel made: read and merged by the command without either.

A group on two disks, with segments on both, stripes and holes, is made in a virtual machine (UDS_KERNEL_GUEST). There
every command of uds-lvm(7) is run as the page has it, and the kernel says what each volume holds before and after;
then the images are read and merged outside of the machine.
"""
import hashlib
import os
import subprocess
import sys

from guest import BUILD, judge, run_lvm
from support import equal

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man", "uds-lvm.7")
TOOL = os.path.join(BUILD, "uds")

MAKE = r"""
export LD_LIBRARY_PATH=$PWD
exec 2>/tmp/err </dev/null
A='?pv=/dev/sda&pv=/dev/sdb'
run() { "$@" >/tmp/out || { echo "failed $*: $(tr '\n' ' ' < /tmp/err)"; exit 9; }; }
# LVM's own shell, as a process takes a second to start in an emulated machine. It does not say that a command failed.
shell() { lvm >/tmp/out; }
there() { for i; do [ -b /dev/vg/$i ] || { echo "failed: no $i: $(cat /tmp/out /tmp/err | tr '\n' ' ')"; exit 9; }; done; }
fill() { dd if=/dev/urandom of=/dev/vg/$1 bs=4096 seek=$2 count=$3 oflag=direct conv=notrunc; }
tell() { when=$1; shift; for i; do echo "$when-$i $(sha256sum < /dev/vg/$i)"; done; }
gone() { [ -e /dev/vg/$1 ] && echo "left $1"; }
shell <<'END'
vgcreate -q -s 1M vg /dev/sda /dev/sdb
lvcreate -q -y -Wn -Zn -L 3M -n hole1 vg /dev/sda
lvcreate -q -y -Wn -Zn -L 4M -n origin vg /dev/sda
lvcreate -q -y -Wn -Zn -L 1M -n hole2 vg /dev/sda
lvextend -q -y -L +3M vg/origin /dev/sdb
lvcreate -q -y -Wn -Zn -i 2 -I 64k -L 6M -n stripes vg
lvcreate -q -y -Wn -Zn -L 4M -n root vg /dev/sda
lvcreate -q -y -s -c 4k -L 4M -n rsnap vg/root /dev/sdb
lvcreate -q -y -s -c 4k -L 4M -n snap vg/origin /dev/sdb
lvcreate -q -y -s -c 8k -i 2 -I 16k -L 4M -n ssnap vg/stripes
lvremove -q -y vg/hole1 vg/hole2
lvcreate -q -y -s -c 16k -L 6M -n snap2 vg/origin
lvcreate -q -y -s -c 4k -L 1M -n full vg/root
lvcreate -q -y -Wn -Zn -L 2M -n third vg
lvcreate -q -y -s -c 4k -L 2M -n tsnap vg/third
END
there origin stripes root rsnap snap ssnap snap2 full third tsnap; gone hole1; gone hole2
[ $(blockdev --getsize64 /dev/vg/origin) = $((7 << 20)) ] || { echo "failed: origin is not extended"; exit 9; }
fill origin 100 500; fill snap 300 500; fill snap2 1500 200; fill stripes 0 500; fill ssnap 400 300
fill root 0 400; fill rsnap 300 300; fill third 0 200; fill tsnap 100 300
sync
tell view origin snap snap2 stripes ssnap root rsnap tsnap
exec 9</dev/vg/third; run lvconvert --merge vg/tsnap; exec 9<&-
ln -s /dev/sda a.img; ln -s /dev/sdb b.img
"""

# What is between the sections of the page.
REFUSED = r"""
echo "active $(uds snapshot merge "lvm:vg/ssnap$A" 2>&1)"
echo "mixed $(uds snapshot info "lvm:vg/ssnap$A" 2>&1 | head -1)"
"""
INACTIVE = "tell hand root; run vgchange -q -an vg"
READ = r"""
echo "read-snap $(sha256sum < content)"
for i in snap2 ssnap tsnap; do echo "read-$i $(uds snapshot read "lvm:vg/$i$A" | sha256sum)"; done
run uds snapshot merge "lvm:vg/tsnap$A"; run uds snapshot merge --limit 20 "lvm:vg/ssnap$A"
"""
AFTER = r"""
tell merged origin snap2 third ssnap
shell <<'END'
lvconvert --merge vg/ssnap
lvconvert --merge vg/snap2
lvcreate -q -y -s -c 4k -L 1M -n empty vg/stripes
lvconvert --merge vg/empty
END
tell kernel origin stripes
for i in snap snap2 ssnap tsnap empty full; do gone $i; done
lvs --noheadings -a -o lv_name vg | while read i; do echo "lv-$i there"; done
run lvcreate -q -y -s -c 4k -L 4M -n snap vg/origin; fill snap 0 50; fill origin 1000 300
run lvcreate -q -y -s -c 4k -L 2M -n snap3 vg/origin; fill snap3 40 30; sync
tell last origin snap snap3
run vgchange -q -an vg
echo done done
"""


def page_commands():
    """{section: [[command, ...] of each literal block]} of the page."""
    sections, title, block = {}, "", None
    with open(PAGE, encoding="utf-8") as file:
        lines = iter(file.read().splitlines())
    for line in lines:
        if line.startswith(".Ss "):
            title = line[4:]
        elif line.startswith(".Bd -literal"):
            block = []
        elif line == ".Ed":
            equal(bool(block), True, "commands in an example of " + title)
            sections.setdefault(title, []).append(block)
            block = None
        elif block is not None and line[:2] in ("# ", "$ "):
            command = line[2:]
            while command.endswith("\\e"):
                command = command[:-2] + next(lines)
            block.append(command.split("             (")[0])
    return sections


def page_script(blocks):
    """Runs them; one that fails is named."""
    script = ""
    for command in (command for block in blocks for command in block):
        asked = "yes | " if command.startswith("lvremove") else ""
        script += "{ %s%s; } >/tmp/out 2>/tmp/err || echo \"page-failed %s: $(cat /tmp/err)\"\n" % (
            asked, command, command.replace('"', "'").replace("$", "\\$"))
    return script


def script():
    page = page_commands()
    naming, checks, active, hand, merging, invalid, missing = (page.pop(title) for title in (
        "Naming a snapshot", "What to check before writing", "Inspecting the COW volume while it is active",
        "When the rest of the group must stay active", "Merging", "When it is invalid",
        "When a physical volume is missing"))
    equal(list(page), [], "sections of the page that are not run")
    return "\n".join((MAKE, page_script(checks), page_script(active), REFUSED, page_script(hand), INACTIVE,
                      page_script(naming), page_script(missing), READ, page_script(invalid), page_script(merging),
                      AFTER))


def ask_guest(folder):
    """What the commands print, as {key: rest of the line}."""
    path = os.path.join(folder, "script")
    with open(path, "w", encoding="utf-8") as file:
        file.write(script())
    output, errors = run_lvm(folder, (("sda", 40, "a.img"), ("sdb", 40, "b.img")), "-s", path)
    said = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in output.splitlines() if " " in line}
    if "done" not in said:
        raise AssertionError(output + errors)
    said["all"], said["folder"] = output, folder
    return said


def every_command_of_the_page_works(said):
    equal([line for line in said["all"].splitlines() if line.startswith("page-failed")], [])


def an_active_group_is_not_written(said):
    equal("held by device-mapper's vg-" in said["active"], True, said["active"])
    equal("in use: what is read may be mixed" in said["mixed"], True, said["mixed"])


def views_are_the_kernels(said):
    for name in ("snap", "snap2", "ssnap", "tsnap"):
        equal(said["read-" + name], said["view-" + name], name)


def merges_leave_what_the_kernel_had_shown(said):
    for origin, name in (("origin", "snap"), ("third", "tsnap"), ("ssnap", "ssnap"), ("snap2", "snap2")):
        equal(said["merged-" + origin], said["view-" + name], origin)
    equal(said["hand-root"], said["view-rsnap"])


def lvm_is_in_order_afterwards(said):
    equal(said["kernel-origin"], said["view-snap2"], "merged by the kernel after our merge")
    equal(said["kernel-stripes"], said["view-ssnap"], "begun by us, ended by the kernel")
    equal("left" in said, False, said.get("left"))
    equal(sorted(key[3:] for key in said if key.startswith("lv-")), ["origin", "root", "stripes", "third"])


def images_are_read_and_merged_outside(said):
    def uds(*arguments):
        return subprocess.run([TOOL, *arguments], capture_output=True, check=True, cwd=said["folder"]).stdout

    def sha(name):
        return hashlib.sha256(uds("snapshot", "read", "lvm:vg/%s?pv=b.img&pv=a.img" % name)).hexdigest() + "  -"

    found = uds("find", "a.img", "b.img").decode()
    for line in ("  group          vg\n", "  snapshot       snap of origin,", "  snapshot       snap3 of origin,",
                 "  volume         stripes: striped, 6.00 MiB\n", "'lvm:vg/snap?pv=a.img&pv=b.img'"):
        equal(line in found, True, found)
    equal((sha("snap"), sha("snap3")), (said["last-snap"], said["last-snap3"]))
    uds("snapshot", "merge", "lvm:vg/snap?pv=b.img&pv=a.img")
    equal((sha("snap"), sha("snap3")), (said["last-snap"], said["last-snap3"]))
    uds("snapshot", "merge", "lvm:vg/snap3?pv=b.img&pv=a.img")
    equal((sha("snap"), sha("snap3")), (said["last-snap"], said["last-snap3"]))


TESTS = (every_command_of_the_page_works, an_active_group_is_not_written, views_are_the_kernels,
         merges_leave_what_the_kernel_had_shown, lvm_is_in_order_afterwards, images_are_read_and_merged_outside)


if __name__ == "__main__":
    sys.exit(judge(ask_guest, TESTS))
