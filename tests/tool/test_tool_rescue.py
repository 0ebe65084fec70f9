#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds-rescue(7): each situation is made, and the commands of its section are run as the page has them.

A command that the page has and no test expects is an error, and so is a section without a test."""
import os
import random
import re
import subprocess
import sys

import vdo_image
from lvm_image import EXTENT, Group, group_text, linear, pv_head, snapshot
from tool_support import (DAMAGE, FAILED, GOOD, SMALL, TOOL, Folder, content, data, equal, has, main, name, uds,
                          with_bad_sectors)

SOURCE = os.environ.get("UDS_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CHUNK, COUNT, IN_CHAPTER = 4096, 1600, 512


def page_sections():
    """{title: [command, ...]} of the page."""
    sections, title, literal = {}, "", False
    with open(os.path.join(SOURCE, "man", "uds-rescue.7"), encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith(".Ss "):
                title = line[4:]
            elif line.startswith((".Bd", ".Ed")):
                literal = line.startswith(".Bd")
            elif literal:
                equal(line[:2], "$ ", "a line of an example in " + title)
                sections.setdefault(title, []).append(line[2:])
    return sections


PAGE = page_sections()


class Section:
    """The commands of a section in order, to be run in a folder."""
    def __init__(self, title, folder, env=None, **names):
        self.commands, self.folder, self.names = PAGE.pop(title), folder, names
        os.mkdir(os.path.join(folder, "bin"))
        os.symlink(os.path.abspath(TOOL), os.path.join(folder, "bin", "uds"))
        self.env = dict(env or os.environ)
        self.env["PATH"] = os.path.join(folder, "bin") + ":" + self.env["PATH"]

    def run(self, start, status=GOOD, says=()):
        """Runs the next one, which begins so. Returns what it printed."""
        command = self.commands.pop(0)
        equal(command[:len(start)], start, "the next command of the page")
        for name_of, other in self.names.items():
            command = re.sub(r"(?<!\S)" + re.escape(name_of.replace("_", ".")) + r"(?!\S)", other, command)
        ran = subprocess.run(["sh", "-c", command], cwd=self.folder, env=self.env, capture_output=True, text=True,
                             errors="surrogateescape", check=False)
        equal(ran.returncode, status, "%s: %s" % (command, ran.stderr[-1000:]))
        has(ran.stderr, *([says] if isinstance(says, str) else says))
        return ran.stdout

    def end(self):
        equal(self.commands, [], "commands of the page that were not run")


def make_index(folder, *options):
    path = os.path.join(folder, "index.uds")
    uds("create", *SMALL, path)
    uds("post", *options, path, stdin="".join("%s %s\n" % (name(i), data(i)) for i in range(COUNT)))
    return path


def known(path):
    return sum(line != "-" for line in
               uds("peek", path, stdin="".join("%s\n" % name(i) for i in range(COUNT))).out.splitlines())


def flip(path, what):
    """Damages the byte where @what is in the file for the first time."""
    at = content(path).index(what)
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(bytes([what[0] ^ 1]))
    return at


def make_snapshot(folder, chunks=125, size="8M", status=GOOD):
    """Of the origin the first @chunks chunks are replaced; returns its content before and after."""
    origin, cow = os.path.join(folder, "disk.img"), os.path.join(folder, "cow.img")
    before, new = random.Random(1).randbytes(1 << 20), random.Random(2).randbytes(chunks * CHUNK)
    with open(origin, "wb") as file:
        file.write(before)
    uds("snapshot", "create", "--chunk-size", CHUNK, "--size", size, cow)
    uds("snapshot", "write-origin", "--origin", origin, "--offset", 0, cow, binary=True, stdin=new, status=status)
    return before, new + before[len(new):]


def files(folder, *names):
    return [content(os.path.join(folder, name)) for name in names]


def what_is_there_is_seen_and_copied_first():
    with Folder() as folder:
        make_index(folder)
        make_snapshot(folder)
        before = files(folder, "index.uds", "disk.img", "cow.img")
        page = Section("Before anything is written", folder)
        has(page.run("uds find"), "UDS index", "exception store")
        has(page.run("uds info"), "clean")
        has(page.run("uds snapshot info"), "active")
        page.run("cp")
        page.run("cp")
        page.end()
        equal(files(folder, "index.uds", "disk.img", "cow.img") == before, True)
        equal(files(folder, "disk.copy", "cow.copy") == before[1:], True)


def a_vdo_volume_that_lost_its_index_gets_it_again():
    with Folder() as folder:
        volume = vdo_image.Volume(os.path.join(folder, "v"))
        for i in range(20):
            volume.store(i, b"%04096d" % i)
        page = Section("The index of a VDO volume is lost or damaged", folder)
        page.commands = [line.replace("/dev/vdb", "v") for line in page.commands]
        has(page.run("uds vdo prime --create"), "20 records")
        page.run("uds verify")
        has(page.run("uds vdo audit"), "  right          20\n")
        page.end()


def records_come_from_a_dump_or_another_scan():
    with Folder() as folder:
        path = make_index(folder)
        os.mkdir(os.path.join(folder, "images"))
        with open(os.path.join(folder, "images", "i"), "wb") as file:
            file.write(random.Random(3).randbytes(40 * 4096))
        page = Section("Another index is lost", folder)
        page.run("uds dump")
        with open(path, "r+b") as file:
            file.write(bytes(2 * 4096))
        uds("verify", "--repair", "--nonce", 0, path, status=FAILED, says="it is not made again")
        page.run("uds create new.uds")
        page.run("uds load new.uds")
        equal(known(os.path.join(folder, "new.uds")), COUNT)
        has(page.run("uds scan"), "unique")
        equal(len(uds("dump", os.path.join(folder, "new.uds")).out.splitlines()), COUNT + 40)
        page.end()


def pages_are_repaired_and_records_lost_only_when_told():
    with Folder() as folder:
        path = make_index(folder)
        page = Section("Pages of an index are damaged", folder)
        flip(path, bytes.fromhex(name(700)))
        before = content(path)
        page.run("uds verify index.uds", DAMAGE, "chapter 1 (slot 1), record page 1: checksum")
        page.run("uds verify --repair index.uds", DAMAGE, ["the up to 128 records", "nothing was changed"])
        equal(content(path) == before, True)
        page.run("uds verify --repair --lose-records")
        page.end()
        equal(known(path), COUNT - 128)
        uds("verify", path)


def the_first_blocks_are_made_again():
    with Folder() as folder:
        path = make_index(folder)
        page = Section("The first blocks of an index are damaged", folder)
        flip(path, b"10ngRblA")
        has(page.run("uds find", DAMAGE), "UDS index, its super block damaged", "repaired by    uds verify --repair index.uds\n")
        page.run("uds verify index.uds", FAILED, "whose super block is damaged; type: uds verify --repair index.uds")
        page.run("uds verify --repair index.uds")
        equal(known(path), COUNT)
        flip(path, b"ALBIC")
        repair = "uds verify --repair --nonce N " + path
        uds("verify", path, status=DAMAGE, says=["config block: magic", "whose config block is damaged; type: " + repair])
        uds("verify", "--repair", path, status=DAMAGE, says=["has to be given", "0 unless the index was made with another"])
        has(uds("find", path, status=DAMAGE).out, "its config block damaged\n", "  repaired by    %s\n" % repair, "N is the user nonce")
        # One that was cut off is not repaired by that.
        with open(os.path.join(folder, "cut"), "wb") as file:
            file.write(content(path).replace(b"albic", b"ALBIC").replace(b"@LBIC", b"ALBIC")[:100 * 1024])
        cut = uds("find", "--json", os.path.join(folder, "cut"), status=DAMAGE).json["found"][0]
        equal(("repaired_by" in cut, "damaged_block" in cut), (False, False))
        has(cut["wrong"], "the index needs the device up to block")
        page.run("uds verify --repair --nonce 0")
        page.end()
        equal(known(path), COUNT)
        uds("verify", path)


def a_save_is_made_again_from_the_chapters():
    with Folder() as folder:
        path = make_index(folder)
        whole = content(path)
        page = Section("The save of an index is damaged", folder)
        flip(path, b"ALBOC")
        before = content(path)
        page.run("uds recover index.uds", FAILED, "a recovery loses the up to 64 records")
        equal(content(path) == before, True)
        page.run("uds recover --lose-records")
        page.end()
        equal(known(path), 3 * IN_CHAPTER)
        # Only its volume index: nothing is lost.
        with open(path, "wb") as file:
            file.write(whole)
        flip(path, b"DI-00002")
        uds("recover", path)
        equal(known(path), COUNT)


def unreadable_sectors_cost_their_chapter():
    with Folder() as folder:
        path = make_index(folder)
        image = content(path)
        places = [image.index(bytes.fromhex(name(i))) // 512 * 512 for i in (600, COUNT - 1)]
        env = with_bad_sectors(folder, *((path, at, 512) for at in places))
        page = Section("Sectors of an index cannot be read", folder, env=env,
                       index_uds="'file:index.uds?direct=0&uring=0'")
        page.run("uds recover index.uds", FAILED, "Input/output error")
        page.run("uds recover --skip-unreadable index.uds", FAILED, "--lose-records")
        equal(content(path) == image, True)
        page.run("uds recover --skip-unreadable --lose-records")
        page.end()
        equal(known(path), 2 * IN_CHAPTER)


def an_invalid_snapshot_is_read_as_far_as_it_is_known():
    with Folder() as folder:
        before, after = make_snapshot(folder, size="256K", status=FAILED)
        page = Section("A snapshot is invalid", folder)
        page.run("uds snapshot read")
        has(page.run("uds snapshot list"), "0")
        has(page.run("uds snapshot merge"), "would be merged")
        page.end()
        saved = len(uds("snapshot", "list", "--salvage", os.path.join(folder, "cow.img")).out.splitlines()) * CHUNK
        equal(0 < saved < 125 * CHUNK, True)
        wanted = before[:saved] + after[saved:]
        equal(files(folder, "content", "disk.img") == [wanted, after], True)


def of_a_cut_cow_device_the_rest_is_read_and_merged():
    with Folder() as folder:
        before, after = make_snapshot(folder)
        os.truncate(os.path.join(folder, "cow.img"), 100 * CHUNK)
        first, end = 98 * CHUNK, 125 * CHUNK
        lost = "bytes %d to %d" % (first, end - 1)
        page = Section("A COW device was cut short", folder)
        page.run("uds snapshot read", DAMAGE, lost)
        page.run("uds snapshot merge --salvage --dry-run", DAMAGE, lost)
        equal(files(folder, "content", "disk.img") ==
              [before[:first] + bytes(end - first) + before[end:], after], True)
        page.run("uds snapshot merge --salvage --origin", DAMAGE, lost)
        page.end()
        equal(files(folder, "disk.img") == [before[:first] + after[first:]], True)


def of_chunks_that_cannot_be_read_the_rest_is_kept():
    with Folder() as folder:
        before, after = make_snapshot(folder)
        cow = os.path.join(folder, "cow.img")
        env = with_bad_sectors(folder, (cow, 10 * CHUNK + 512, 1024))
        first, end = 8 * CHUNK + 512, 8 * CHUNK + 1536
        page = Section("Chunks of a COW device cannot be read", folder, env=env,
                       cow_img="'file:cow.img?direct=0&uring=0'", disk_img="'file:disk.img?direct=0&uring=0'")
        page.run("uds snapshot read --origin", FAILED, "old chunk 8 -> new chunk 10")
        equal(files(folder, "content") == [before[:first]], True)
        page.run("uds snapshot read --salvage", DAMAGE, "bytes %d to %d" % (first, end - 1))
        equal(files(folder, "content") == [before[:first] + bytes(end - first) + before[end:]], True)
        page.run("uds snapshot merge --salvage --dry-run", DAMAGE)
        equal(files(folder, "disk.img") == [after], True)
        page.run("uds snapshot merge --salvage --origin", DAMAGE)
        page.end()
        equal(files(folder, "disk.img") ==
              [before[:8 * CHUNK] + after[8 * CHUNK:9 * CHUNK] + before[9 * CHUNK:]], True)


def an_interrupted_merge_goes_on():
    with Folder() as folder:
        before, after = make_snapshot(folder)
        origin, cow = (os.path.join(folder, name) for name in ("disk.img", "cow.img"))
        uds("snapshot", "merge", "--limit", 40, "--origin", origin, cow)
        equal(content(origin) in (before, after), False)
        page = Section("A merge was interrupted", folder)
        page.run("uds snapshot verify")
        page.run("uds snapshot read")
        equal(files(folder, "content") == [before], True)
        page.run("uds snapshot merge")
        page.end()
        equal(content(origin) == before, True)


def with_a_missing_physical_volume_the_rest_is_read():
    with Folder() as folder:
        # The snapshot other is of gone, which is on the volume that will be missing, and then of near, which is not.
        volumes = {"near": linear(("pv1", 0, 24)), "gone": linear(("pv0", 0, 24)), "other": linear(("pv1", 50, 40)),
                   "snapshot0": snapshot("near", "other")}
        group = Group(folder, volumes)
        for path in group.paths:
            os.rename(path, path + ".img")
        both = "lvm:vg/other?pv=%s.img&pv=%s.img" % tuple(group.paths)
        before, new = random.Random(4).randbytes(24 * EXTENT), random.Random(5).randbytes(5 * EXTENT)
        b = group.paths[1] + ".img"
        with open(b, "r+b") as file:
            file.seek(65536)
            file.write(before)
        uds("snapshot", "create", "--chunk-size", CHUNK, both)
        uds("snapshot", "write-origin", "--offset", 3 * CHUNK, both, binary=True, stdin=new)
        os.remove(group.paths[0] + ".img")
        page = Section("A physical volume is missing", folder)
        has(page.run("uds find"), "missing        pv0", "other of near")
        has(page.run("uds snapshot info"), "snapshot of near")
        page.run("uds snapshot read")
        equal(files(folder, "content") == [before], True)
        os.remove(os.path.join(folder, "content"))
        page.run("truncate")
        has(page.run("uds snapshot list"), "3 ")
        page.run("uds snapshot read --origin blank.img")
        blank = bytearray(24 * EXTENT)
        blank[3 * CHUNK:8 * CHUNK] = before[3 * CHUNK:8 * CHUNK]
        equal(files(folder, "content") == [bytes(blank)], True)
        uds("snapshot", "merge", "lvm:vg/other?pv=" + b, status=FAILED, says="to write, expected all 2 physical volumes")
        page.run("uds snapshot merge")
        page.end()
        equal(content(b)[65536:65536 + 24 * EXTENT] == before, True)
        # With the origin among what is missing, it is named, and the saved chunks are had all the same.
        with open(b, "r+b") as file:
            volumes["snapshot0"] = snapshot("gone", "other")
            file.write(pv_head("b", group_text(volumes, 2)))
        uds("snapshot", "read", "lvm:vg/other?pv=" + b, status=FAILED, says="expected physical volume 'pv0'")
        uds("snapshot", "read", "--origin", os.path.join(folder, "blank.img"), "lvm:vg/other?pv=" + b, binary=True)


def of_an_origin_that_was_cut_the_saved_chunks_are_had():
    with Folder() as folder:
        before, after = make_snapshot(folder)
        os.truncate(os.path.join(folder, "disk.img"), 50 * CHUNK)
        cow = content(os.path.join(folder, "cow.img"))
        page = Section("The origin was cut, or is the wrong one", folder)
        page.run("uds snapshot verify", DAMAGE, "the origin has only 50 chunks")
        has(page.run("uds snapshot info"), "at least %d bytes" % (124 * CHUNK + 1))
        uds("snapshot", "merge", "--origin", os.path.join(folder, "disk.img"), os.path.join(folder, "cow.img"),
            status=FAILED, says="too small")
        page.run("cp")
        page.run("truncate")
        page.run("uds snapshot read")
        equal(files(folder, "content") == [before[:125 * CHUNK] + bytes((1 << 20) - 125 * CHUNK)], True)
        has(page.run("uds snapshot list"), "0 2 125")
        # Nothing that is equal is listed: all saved chunks differ from what is there now.
        equal(page.run("uds snapshot diff"), "0 %d\n" % (125 * CHUNK))
        has(page.run("uds snapshot merge --dry-run"), "125 exceptions would be merged")
        page.end()
        equal(files(folder, "disk.img", "cow.img") == [after[:50 * CHUNK], cow], True)


def no_section_of_the_page_is_without_a_test():
    with open(os.path.abspath(__file__), encoding="utf-8") as file:
        named = file.read()
    equal([title for title in page_sections() if 'Section("%s"' % title not in named], [])


if __name__ == "__main__":
    sys.exit(main([what_is_there_is_seen_and_copied_first, a_vdo_volume_that_lost_its_index_gets_it_again,
                   records_come_from_a_dump_or_another_scan, pages_are_repaired_and_records_lost_only_when_told,
                   the_first_blocks_are_made_again, a_save_is_made_again_from_the_chapters,
                   unreadable_sectors_cost_their_chapter, an_invalid_snapshot_is_read_as_far_as_it_is_known,
                   of_a_cut_cow_device_the_rest_is_read_and_merged, of_chunks_that_cannot_be_read_the_rest_is_kept,
                   an_interrupted_merge_goes_on, with_a_missing_physical_volume_the_rest_is_read,
                   of_an_origin_that_was_cut_the_saved_chunks_are_had, no_section_of_the_page_is_without_a_test]))
