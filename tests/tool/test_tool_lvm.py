#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of LVM volume groups on images, and what `uds find` says about physical volumes."""
import fcntl
import os
import shlex
import sys

from lvm_image import EXTENT, VOLUMES, Group, group_text, linear, pv_head, snapshot, uuid
from tool_support import DAMAGE, FAILED, USAGE, Folder, Results, equal, has, uds

ORIGIN_BYTES = 24 * EXTENT


def blob(seed, count):
    return bytes((seed * 31 + i // 512 * 7 + i) & 0xff for i in range(count))


class Filled(Group):
    """With three stores of which the two of origin differ, as does the origin from both."""
    def __init__(self, folder):
        super().__init__(folder)
        for name in ("snap", "snap2", "other"):
            uds("snapshot", "create", "--chunk-size", "4K", self.uri(name))
        self.write_to("write-origin", "snap", 0, blob(1, ORIGIN_BYTES))
        self.write_to("write", "snap", 3 * EXTENT, blob(2, 3 * EXTENT))
        self.write_to("write", "snap2", 9 * EXTENT, blob(3, 2 * EXTENT))

    def write_to(self, command, name, offset, data, **options):
        return uds("snapshot", command, "--offset", offset, self.uri(name), stdin=data, binary=True, **options)

    def read(self, name, *options):
        return uds("snapshot", "read", *options, self.uri(name), binary=True).out

    def origin(self):
        """The origin by the rules of the layout."""
        a, b = self.bytes()
        cut = lambda data, first, count: data[65536 + first * EXTENT:65536 + (first + count) * EXTENT]
        return cut(a, 2, 10) + cut(b, 0, 8) + cut(a, 20, 6)


def changed(data, offset, new):
    return data[:offset] + new + data[offset + len(new):]


def a_snapshot_finds_its_origin():
    with Folder() as folder:
        group = Filled(folder)
        given = ("--origin", group.uri("origin"))
        equal(group.origin(), blob(1, ORIGIN_BYTES))
        equal(group.read("snap"), changed(bytes(ORIGIN_BYTES), 3 * EXTENT, blob(2, 3 * EXTENT)))
        equal(group.read("snap2"), changed(bytes(ORIGIN_BYTES), 9 * EXTENT, blob(3, 2 * EXTENT)))
        equal(group.read("snap"), group.read("snap", *given))
        before = group.bytes()
        for words in (("diff",), ("diff", "--equal"), ("verify",), ("merge", "--dry-run")):
            equal(uds("snapshot", *words, group.uri("snap")).out,
                  uds("snapshot", *words, *given, group.uri("snap")).out)
        equal(uds("snapshot", "diff", "--equal", group.uri("snap"), group.uri("snap2")).out,
              "%d %d\n%d %d\n" % (3 * EXTENT, 3 * EXTENT, 9 * EXTENT, 2 * EXTENT))
        equal(uds("snapshot", "list", group.uri("snap2")).out.count("\n"), 24)
        info = uds("snapshot", "info", "--json", group.uri("snap2")).json
        equal((info["origin"], info["merging"], info["exceptions"]), ("origin", False, 24))
        equal("  LVM                snapshot of origin\n" in uds("snapshot", "info", group.uri("snap")).out, True)
        equal(group.bytes(), before)


def a_merge_keeps_the_other_snapshots_of_the_origin():
    with Folder() as folder:
        group = Filled(folder)
        snap, snap2 = group.read("snap"), group.read("snap2")
        heads = [data[:65536] for data in group.bytes()]
        group.write_to("write-origin", "snap2", 5 * EXTENT, blob(4, EXTENT))
        ran = uds("snapshot", "merge", group.uri("snap", order=(1, 0)))
        equal(group.uri("origin", order=(1, 0)) in ran.out, True)
        equal("\n  LVM still lists it, empty: vgchange -ay vg; lvremove vg/snap (see uds-lvm(7))\n" in ran.out, True)
        equal((group.origin(), group.read("snap"), group.read("snap2")), (snap, snap, snap2))
        equal(uds("snapshot", "info", "--json", group.uri("snap")).json["exceptions"], 0)
        equal([data[:65536] for data in group.bytes()], heads)
        # Named by hand, in another order, it is the same.
        uds("snapshot", "merge", "--origin", group.uri("origin", order=(1, 0)), "--cow",
            group.uri("snap", order=(1, 0)), group.uri("snap2"))
        equal((group.origin(), group.read("snap")), (snap2, snap))


def a_snapshot_that_is_lost_is_in_no_ones_way():
    with Folder() as folder:
        group = Filled(folder)
        # The magic, and then no "valid".
        with open(group.paths[0], "r+b") as file:
            file.seek(65536 + 44 * EXTENT + 4)
            file.write(bytes(4))
        equal(uds("snapshot", "info", "--json", group.uri("snap2")).json["state"], "invalid")
        snap = group.read("snap")
        uds("snapshot", "merge", group.uri("snap"))
        equal(group.origin(), snap)
        uds("snapshot", "merge", group.uri("snap2"), status=FAILED, says="invalid")


def another_origin_can_be_named():
    with Folder() as folder:
        group = Filled(folder)
        path = os.path.join(folder, "elsewhere")
        with open(path, "wb") as file:
            file.write(blob(5, ORIGIN_BYTES))
        before = group.bytes()
        uds("snapshot", "create", "--chunk-size", "4K", "--force", group.uri("snap"))
        equal(group.read("snap", "--origin", path), blob(5, ORIGIN_BYTES))
        group.write_to("write", "snap", 0, blob(6, EXTENT))
        uds("snapshot", "merge", "--origin", path, group.uri("snap"))
        with open(path, "rb") as file:
            equal(file.read(), changed(blob(5, ORIGIN_BYTES), 0, blob(6, EXTENT)))
        # Neither the group's own origin nor its other snapshot had a part in it.
        equal(group.origin(), blob(1, ORIGIN_BYTES))
        equal([a[65536 + 44 * EXTENT:65536 + 74 * EXTENT] for a in (group.bytes()[0], before[0])].count(
            before[0][65536 + 44 * EXTENT:65536 + 74 * EXTENT]), 2)


def the_store_of_another_snapshot_is_no_origin():
    """Snapshots have the names of their stores: to merge into one would overwrite it."""
    with Folder() as folder:
        group = Filled(folder)
        group.write_to("write", "snap", 0, blob(6, EXTENT))
        before = group.bytes()
        for origin in (group.uri("snap2"), group.uri("snap2", order=(1, 0)), group.uri("other")):
            for words in (["merge"], ["merge", "--dry-run"], ["read"], ["diff"], ["verify"]):
                uds("snapshot", *words, "--origin", origin, group.uri("snap"), status=FAILED,
                    says=[origin, "is no origin", "COW device of a snapshot of"])
            uds("snapshot", "write-origin", "--offset", 0, "--origin", origin, group.uri("snap"), stdin="x",
                status=FAILED, says="is no origin")
        equal(group.bytes(), before)


def a_volume_without_origin_is_said_to_have_none():
    with Folder() as folder:
        group = Filled(folder)
        uds("snapshot", "create", "--chunk-size", "4K", group.uri("plain"))
        for words in (("read",), ("merge",), ("diff",)):
            uds("snapshot", *words, group.uri("plain"), status=FAILED,
                says="is no snapshot of its group, which names no origin for it; --origin does")
        uds("snapshot", "verify", group.uri("plain"))
        equal("origin" in uds("snapshot", "info", "--json", group.uri("plain")).json, False)
        uds("snapshot", "read", os.path.join(folder, "a"), status=USAGE, says="--origin is missing")
        uds("snapshot", "read", "lvm:vg/snap", status=FAILED, says="expected lvm:GROUP/VOLUME?pv=URI")
        uds("snapshot", "read", group.uri("nothing"), status=FAILED, says="found none of that name")
        uds("snapshot", "read", "--origin", group.uri("mirrored"), group.uri("snap"), status=FAILED,
            says="found mirror, which is not read")


def what_lvm_is_merging_comes_first():
    with Folder() as folder:
        group = Filled(folder)
        volumes = dict(VOLUMES, snapshot1=snapshot("origin", "snap2", key="merging_store"))
        group.write(volumes, seqno=2)
        before = group.bytes()
        uds("snapshot", "merge", group.uri("snap"), status=FAILED,
            says="the group says that 'snap2' is being merged into the origin 'origin': merge that one first")
        group.write_to("write-origin", "snap2", 0, b"x", status=FAILED)
        uds("snapshot", "write-origin", "--offset", 0, group.uri("snap"), status=FAILED, says="merge that one first")
        equal(group.bytes(), before)
        snap, snap2 = group.read("snap"), group.read("snap2")
        equal(uds("snapshot", "info", "--json", group.uri("snap2")).json["merging"], True)
        ran = uds("snapshot", "merge", "--limit", 10, group.uri("snap2"))
        equal("LVM" in ran.out, False)
        equal((group.read("snap2"), group.read("snap")), (snap2, snap))
        ran = uds("snapshot", "merge", group.uri("snap2"))
        equal("\n  LVM still lists it, empty: vgchange -ay vg ends the merge (see uds-lvm(7))\n" in ran.out, True)
        equal((group.origin(), group.read("snap")), (snap2, snap))


def nothing_is_written_unless_all_is_there_and_free():
    with Folder() as folder:
        group = Filled(folder)
        before = group.bytes()
        one = "lvm:vg/snap2?pv=" + group.paths[0]
        uds("snapshot", "info", one)
        uds("snapshot", "read", one, status=FAILED, says="expected physical volume 'pv1'")
        uds("snapshot", "write", "--offset", 0, "--origin", os.devnull, one, stdin="x", status=FAILED,
            says="to write, expected all 2 physical volumes, found 1: 'pv1'")
        uds("snapshot", "merge", one, status=FAILED)
        for path in group.paths:
            with open(path, "r+b") as held:
                fcntl.lockf(held, fcntl.LOCK_EX)
                for words in (("merge",), ("write-origin", "--offset", 0)):
                    uds("snapshot", *words, group.uri("snap"), status=FAILED,
                        says="%s: locked by process %d" % (path, os.getpid()))
        equal(group.bytes(), before)


def what_is_served_has_its_origin():
    with Folder() as folder:
        group = Filled(folder)
        fake = os.path.join(folder, "nbdkit")
        with open(fake, "w", encoding="utf-8") as file:
            file.write('#!/bin/sh\nprintf "%s\\n" "$@"\n')
        os.chmod(fake, 0o755)
        env = dict(os.environ, PATH=folder + ":" + os.environ["PATH"])
        words = uds("snapshot", "serve", "--socket", "s", group.uri("snap"), env=env).out.split("\n")
        equal([w for w in words if w.startswith(("origin=", "cow="))],
              ["origin=" + group.uri("origin"), "cow=" + group.uri("snap")])
        words = uds("snapshot", "serve", "--socket", "s", "--show-origin", "--write", group.uri("snap"),
                    env=env).out.split("\n")
        equal([w for w in words if w.startswith(("origin=", "cow="))],
              ["origin=" + group.uri("origin"), "cow=" + group.uri("snap"), "cow=" + group.uri("snap2")])


def find_names_the_volumes_of_a_group():
    with Folder() as folder:
        group = Filled(folder)
        volumes = dict(VOLUMES, snapshot1=snapshot("origin", "snap2", 16, key="merging_store"))
        group.write(volumes, seqno=2)
        a, b = group.paths
        plain = os.path.join(folder, "plain file")
        with open(plain, "wb") as file:
            file.write(b"hello\n" * 10000)
        found = uds("find", "--json", a, plain, b, status=FAILED).json["found"]
        equal([(item["what"], item.get("group"), "volume_group" in item) for item in found],
              [("lvm-pv", "vg", True), (found[1]["what"], None, False), ("lvm-pv", "vg", False)])
        vg = found[0]["volume_group"]
        equal((vg["uuid"], vg["seqno"], vg["extent_size_bytes"], vg["physical_volumes"], vg["missing"]),
              (uuid("g"), 2, EXTENT, 2, []))
        equal([(v["name"], v["type"], v["size_bytes"] // EXTENT, v.get("origin"), v.get("merging"),
                v.get("chunk_size_bytes")) for v in vg["volumes"]],
              [("mirrored", "mirror", 1, None, None, None), ("origin", "linear", 24, None, None, None),
               ("other", "linear", 20, "stripes", False, 4096), ("plain", "linear", 2, None, None, None),
               ("snap", "linear", 30, "origin", False, 4096), ("snap2", "linear", 30, "origin", True, 8192),
               ("stripes", "striped", 16, None, None, None)])
        opened = [v.get("opened_by") for v in vg["volumes"]]
        equal(opened[0], None)
        equal(opened[4], "uds snapshot info 'lvm:vg/snap?pv=%s&pv=%s'" % (a, b))
        equal(opened[1], "uds find 'lvm:vg/origin?pv=%s&pv=%s'" % (a, b))
        for words in opened[2], opened[4], opened[5]:
            uds(*shlex.split(words)[1:])
        equal(uds("find", "--json", group.uri("snap")).json["found"][0]["what"], "exception-store")
        # With one of two, it says what is missing, and opens what lies on the other.
        only = uds("find", "--json", b).json["found"][0]["volume_group"]
        equal(only["missing"], [{"name": "pv0", "uuid": uuid("a"), "device": "/dev/sda"}])
        equal([(v["name"], "opened_by" in v, v["missing"]) for v in only["volumes"]],
              [("mirrored", False, False), ("origin", False, True), ("other", True, False), ("plain", False, True),
               ("snap", False, True), ("snap2", False, True), ("stripes", False, True)])
        text = uds("find", b, a).out
        has(text, "  group          vg\n", "  volumes        see %s\n" % b, "  volume         stripes: striped, 64.00 KiB\n",
            "  snapshot       snap2 of origin, being merged into it, chunks of 8.00 KiB, COW store: linear, 120.00 KiB\n",
            "    opened by    uds snapshot info 'lvm:vg/snap?pv=%s&pv=%s'\n" % (b, a))
        has(uds("find", a).out, "  missing        pv1 (%s), which LVM saw last as /dev/sdb\n" % uuid("b"))


def find_quotes_what_a_shell_would_take_apart():
    with Folder() as folder:
        odd = os.path.join(folder, "it's 100%&more")
        os.mkdir(odd)
        group = Filled(odd)
        for volume in uds("find", "--json", *group.paths).json["found"][0]["volume_group"]["volumes"]:
            if "origin" in volume:
                uds(*shlex.split(volume["opened_by"])[1:])


def what_is_in_a_volume_is_opened_by_what_find_says():
    with Folder() as folder:
        odd = os.path.join(folder, "two words")
        os.mkdir(odd)
        group = Filled(odd)
        for uri in (group.uri("snap"), "concat:?part=" + group.uri("snap").replace("&", "%26")):
            item = uds("find", "--json", uri).json["found"][0]
            equal((item["what"], shlex.split(item["opened_by"])), ("exception-store", ["uds", "snapshot", "info", uri]))
            uds(*shlex.split(item["opened_by"])[1:])
            ran = uds("verify", uri, status=FAILED, says="this is an exception store; type: uds snapshot info '")
            uds(*shlex.split(ran.err.split("type: ")[1])[1:])
        uds("snapshot", "info", group.paths[0], status=FAILED,
            says="this is an LVM physical volume of group vg; uds find '%s' says more" % group.paths[0])


def find_says_what_is_wrong_with_physical_volumes_together():
    with Folder() as folder:
        group = Group(folder)
        # Each is whole, and the second, of the first one's group by its uuid, has the metadata of another.
        write_texts(group, group_text(VOLUMES), group_text(VOLUMES).replace("vg {", "vg2 {").replace(uuid("g"), uuid("h")))
        sentence = "group: expected 'vg' (%s), which %s is of, found 'vg2' (%s)" % (uuid("g"), group.paths[0], uuid("h"))
        found = uds("find", "--json", *group.paths, status=DAMAGE).json["found"]
        equal([item["damaged"] for item in found], [True, True])
        has(found[0]["wrong"], group.paths[1] + ": " + sentence)
        has(uds("find", *group.paths, status=DAMAGE).out, "  wrong          %s: %s" % (group.paths[1], sentence))
        for path in group.paths:
            uds("find", path)


def find_says_what_is_wrong_with_a_physical_volume():
    with Folder() as folder:
        group = Group(folder)
        with open(group.paths[0], "r+b") as file:
            file.seek(5000)
            file.write(b"?")
        item = uds("find", "--json", group.paths[0], status=DAMAGE).json["found"][0]
        equal((item["what"], item["damaged"], item["group"]), ("lvm-pv", True, ""))
        has(item["wrong"], "checksum: expected 0x")
        # Another copy is whole.
        found = uds("find", "--json", *reversed(group.paths), status=DAMAGE).json["found"]
        equal((found[0]["group"], found[0]["volume_group"]["missing"]), ("vg", []))
        with open(group.paths[1], "r+b") as file:
            file.seek(600)
            file.write(b"?")
        has(uds("find", group.paths[1], status=DAMAGE).out, "  what           LVM physical volume, damaged\n",
            "  wrong          ", "label (sector 1): checksum: expected 0x")


def write_texts(group, *texts):
    for path, letter, text in zip(group.paths, "ab", texts):
        with open(path, "r+b") as file:
            file.write(pv_head(letter, text))


def what_is_wrong_with_a_group_is_said_and_nothing_written():
    good = group_text(VOLUMES)
    deep = "x {" * 20 + "}" * 20

    def text_with(**volumes):
        return group_text(dict(VOLUMES, **volumes))

    cases = (
        (good[:len(good) // 2],) * 2 + ("line ",),
        (good.replace("physical_volumes {", deep + "\nphysical_volumes {"),) * 2
        + ("expected at most 16 sections in each other, found a 17th",),
        (text_with(snapshot0=snapshot("snap", "snap")),) * 2
        + ("origin: expected a volume that is no snapshot, found 'snap', which is one",),
        (text_with(snapshot1=snapshot("origin", "snap")),) * 2
        + ("COW store: expected one of its own, found 'snap', which another snapshot has",),
        (good.replace("segment_count = 3", "segment_count = 4294967295"),) * 2
        + ("segment_count: expected 3, as many as there are, found 4294967295",),
        (good.replace("extent_count = 10", "extent_count = 18446744073709551615", 1),) * 2
        + ("found 18446744073709551615",),
        (good.replace(uuid("b"), uuid("a")),) * 2
        + ("physical volumes 'pv0' and 'pv1': id: expected one of its own for each, found '%s' twice" % uuid("a"),),
        (good.replace("plain {", "origin {"),) * 2 + ("expected each name once, found 'origin' twice",),
        (text_with(plain=linear(("pv0", 99, 2))),) * 2
        + ("expected to end by extent 100 of 'pv0', found 2 extents from 99 on",),
        (text_with(plain=linear(("pv0", 5, 2))),) * 2 + ("extent 5: expected in one segment, found in one of logical volume",),
        (good, good.replace(uuid("g"), uuid("h")), "group: expected 'vg' (%s)" % uuid("g")),
    )
    with Folder() as folder:
        group = Filled(folder)
        for first, second, sentence in cases:
            write_texts(group, first, second)
            before = group.bytes()
            for words in (("info",), ("read",), ("merge",), ("write-origin", "--offset", 0)):
                ran = uds("snapshot", *words, group.uri("snap"), status=None, stdin="x")
                equal(ran.status in (FAILED, DAMAGE), True, ran)
                has(ran.err, sentence, "uds snapshot %s: " % words[0])
                equal(group.paths[0] in ran.err or group.paths[1] in ran.err, True, ran)
            equal(group.bytes() == before, True, sentence)
        # The same physical volume twice, by two names.
        write_texts(group, good, good)
        other, hard = os.path.join(folder, "again"), os.path.join(folder, "hard")
        os.symlink(group.paths[0], other)
        os.link(group.paths[0], hard)
        for again in (group.paths[0], other, hard, "%s/./%s" % os.path.split(group.paths[0])):
            uri = "%s&pv=%s" % (group.uri("snap"), again)
            uds("snapshot", "merge", uri, status=FAILED, says="%s is the same file or device as %s" % (again, group.paths[0]))
            uds("snapshot", "read", uri, status=FAILED,
                says=["is the same file or device as %s: expected physical volume %s once" % (group.paths[0], uuid("a"))])


def what_lvm_marked_as_missing_is_warned_of_and_not_written():
    with Folder() as folder:
        group = Group(folder)
        text = group_text(VOLUMES).replace('device = "/dev/sda"', 'device = "/dev/sda"\nflags = ["MISSING"]')
        write_texts(group, text, text)
        says = "group 'vg': physical volume 'pv0' (%s) on %s is marked as missing" % (uuid("a"), group.paths[0])
        has(uds("find", *group.paths).out, "  warning        " + says)
        equal(len(uds("find", "--json", *group.paths).json["found"][0]["volume_group"]["warnings"]), 1)
        uds("snapshot", "info", group.uri("snap"), status=FAILED, says=[says, "no exception store"])
        before = group.bytes()
        uds("snapshot", "merge", group.uri("snap"), status=FAILED, says=[says, "vgextend --restoremissing"])
        equal(group.bytes() == before, True)


def two_texts_of_one_seqno_are_named_and_not_written_by():
    good = group_text(VOLUMES)
    other = group_text(dict(VOLUMES, snap=linear(("pv1", 20, 20), ("pv0", 85, 10))))
    with Folder() as folder:
        group = Filled(folder)
        places = ["group 'vg': metadata of seqno 1: expected one text, found two: "] + [
            "%s, area at byte 4096 (checksum 0x" % path for path in group.paths]
        content = group.read("snap")
        write_texts(group, good, other)
        before = group.bytes()
        ran = uds("snapshot", "read", group.uri("snap"), binary=True)
        equal(ran.out == content, True)
        has(os.fsdecode(ran.err), "the first one is read, and may be the wrong one", *places)
        for words in (("merge",), ("write-origin", "--offset", 0), ("write", "--offset", 0)):
            for more in ("", "&missing=1"):
                uds("snapshot", *words, group.uri("snap") + more, status=DAMAGE, stdin="x",
                    says=places + ["nothing is written by either"])
        equal(group.bytes() == before, True)
        # Nothing says which of them is right, and so what a volume is.
        found = uds("find", "--json", *group.paths, status=DAMAGE).json["found"]
        equal([item["damaged"] for item in found], [True, True])
        equal(len(found[0]["volume_group"]["warnings"]), 1)
        has(found[0]["volume_group"]["warnings"][0], *places)
        has(uds("find", *group.paths, status=DAMAGE).out, "  warning        " + places[0])
        equal(uds("find", "--json", group.paths[0]).json["found"][0]["damaged"], False)
        # A later change, on either, decides.
        write_texts(group, good, group_text(VOLUMES, seqno=2))
        uds("snapshot", "write", "--offset", 0, group.uri("snap"), stdin="x")
        equal(uds("find", "--json", *group.paths).json["found"][0]["volume_group"]["warnings"], [])


def main():
    results = Results()
    for test in (a_snapshot_finds_its_origin, a_merge_keeps_the_other_snapshots_of_the_origin,
                 a_snapshot_that_is_lost_is_in_no_ones_way, another_origin_can_be_named,
                 the_store_of_another_snapshot_is_no_origin,
                 a_volume_without_origin_is_said_to_have_none, what_lvm_is_merging_comes_first,
                 nothing_is_written_unless_all_is_there_and_free, what_is_served_has_its_origin,
                 find_names_the_volumes_of_a_group, find_quotes_what_a_shell_would_take_apart, what_is_in_a_volume_is_opened_by_what_find_says,
                 find_says_what_is_wrong_with_a_physical_volume,
                 find_says_what_is_wrong_with_physical_volumes_together,
                 what_is_wrong_with_a_group_is_said_and_nothing_written,
                 what_lvm_marked_as_missing_is_warned_of_and_not_written, two_texts_of_one_seqno_are_named_and_not_written_by):
        results.run(test.__name__, test)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
