#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""VDO volumes: found and named, their index opened, audited and primed; what is wrong with one is said, and nothing written."""
import hashlib
import os
import shlex
import subprocess
import sys

import lvm_image
import vdo_image
from tool_support import DAMAGE, FAILED, SMALL, TOOL, Folder, Skip, copy_range, equal, has, main, uds
from vdo_image import BLOCK, BLOCKS, DATA_AT, DEPOT, DIRTY, NONCE, Volume, block_of, compressed, le, map_page

# A library that is not there, for the command.
HIDING = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <string.h>
    void *dlopen(const char *name, int flags)
    {
        void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
        if (name != NULL && (strstr(name, "lz4") || strstr(name, "blkid"))) return NULL;
        return real(name, flags);
    }"""


def without_libraries(folder):
    """The environment of a command that finds neither liblz4 nor libblkid."""
    with open(os.path.join(os.environ.get("UDS_BUILDDIR", "."), "Makefile"), encoding="utf-8") as file:
        if "-fsanitize" in file.read():
            raise Skip("a sanitizer has calls of its own")
    library = os.path.join(folder, "hiding.so")
    try:
        subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=HIDING, text=True, check=True)
    except OSError:
        raise Skip("no compiler") from None
    return dict(os.environ, LD_PRELOAD=library)


def with_lz4():
    """Whether the command can look into compressed blocks here."""
    import ctypes.util
    return ctypes.util.find_library("lz4") is not None or os.path.exists("/usr/lib/x86_64-linux-gnu/liblz4.so.1")


def text_block(number):
    return (b"%08d" % number) * 512


def digest(path):
    """Of what is in the file and not its holes."""
    sum_of = hashlib.md5()
    with open(path, "rb") as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            sum_of.update(b"%d %d" % (at, hole) + os.pread(file.fileno(), hole - at, at))
            at = hole
    return sum_of.hexdigest()


def filled(folder):
    """60 blocks of data (in two slabs), a page of the block map, one compressed block with 3 fragments, and free ones."""
    volume = Volume(os.path.join(folder, "v"))
    for i in range(60):
        volume.store(i, text_block(i))
    volume.store(60, map_page(block_of(60)), 254)
    volume.store(61, compressed([b"x", b"y", b"z"]), 3)
    volume.store(62, text_block(7))       # the same as block 7
    volume.store(63, text_block(999), 0)  # free
    return volume


def copy_region(volume, region):
    """What dd from the first block of the index up to the data leaves."""
    with open(region, "ab") as file:
        file.truncate((DATA_AT - 1) * BLOCK)
    copy_range(volume.path, region, BLOCK, DATA_AT * BLOCK, to=0)


def a_lost_index_is_made_anew_and_filled():
    with Folder() as folder:
        volume = filled(folder)
        front, back = volume.read(0), [volume.read(b) for b in range(DATA_AT, BLOCKS)]
        uds("vdo", "prime", volume.path, status=FAILED,
            says=["not a UDS index", "uds vdo prime --create %s makes it again and fills it" % volume.path])
        primed = uds("vdo", "prime", "--create", "--json", volume.path).json
        fragments = 3 if with_lz4() else 0
        equal((primed["created"], primed["records"], primed["data_blocks"], primed["compressed_blocks"],
               primed["block_map_pages"], primed["fraction"]), (True, 61 + fragments, 61, 1, 1, 1))
        equal(primed["compressed_skipped"], 0 if fragments else 1)
        # Only the index was written.
        equal((volume.read(0), [volume.read(b) for b in range(DATA_AT, BLOCKS)]), (front, back))
        uds("verify", "vdo:" + volume.path)
        equal(uds("info", "--json", "vdo:" + volume.path).json["nonce"], NONCE)
        audit = uds("vdo", "audit", "--json", volume.path).json
        equal((audit["records"], audit["right"], audit["stale"], audit["data_blocks"], audit["unknown_blocks"],
               audit["duplicate_blocks"], audit["duplicate_bytes"]),
              (60 + fragments, 60 + fragments, 0, 62, 1 if fragments else 2, 1, BLOCK))
        # Once more, without --create: nothing changes but the block that the duplicate's record names.
        equal(uds("vdo", "prime", "--json", volume.path).json["created"], False)
        equal(uds("vdo", "audit", "--json", volume.path).json["right"], 60 + fragments)
        # Without counters: also what they call free.
        equal(uds("vdo", "prime", "--all", "--json", volume.path).json["data_blocks"], 62)


def stale_advice_is_counted_by_its_reason():
    with Folder() as folder:
        volume = filled(folder)
        uds("vdo", "prime", "--create", volume.path)
        volume.store(0, text_block(1000))
        volume.store(1, bytes(BLOCK))
        volume.store(2, bytes(BLOCK))
        volume.count(3, 0)
        volume.store(61, compressed([b"x", b"q", b"z"]), 3)
        outside = "0201" + le(block_of(47) + 1, 8).hex() + "00" * 6  # the counters of slab 0
        odd = "0301" + "00" * 14
        records = "".join("%032x %s\n" % (77 + i, advice) for i, advice in enumerate((outside, odd)))
        uds("update", "vdo:" + volume.path, stdin=records)
        audit = uds("vdo", "audit", "--json", volume.path).json
        lz4 = with_lz4()
        equal([audit["stale_" + reason] for reason in ("other_content", "zero_block", "outside", "free", "no_advice")],
              [2 if lz4 else 1, 2, 1, 1, 1])
        equal((audit["right"], audit["compressed_records"]), (60 - 4 + (2 if lz4 else 0), 3 if lz4 else 0))
        equal(audit["right"] + audit["stale"], audit["records"])
        text = uds("vdo", "audit", volume.path).out
        has(text, "2 zero block, 1 outside of the slabs, 1 free by the reference counts, 1 no advice", "  advice  ")
        # A sample leaves out blocks, and says how many records that concerns.
        sample = uds("vdo", "audit", "--json", "--sample", 1000, volume.path).json
        equal((sample["sample"], sample["right"] + sample["stale"] + sample["not_sampled"] + sample["not_checked"]),
              (1000, sample["records"]))


def a_volume_that_was_not_stopped_is_not_written():
    with Folder() as folder:
        volume = filled(folder)
        uds("vdo", "prime", "--create", volume.path)
        volume.set_super(40, le(DIRTY, 4))
        before = digest(volume.path)
        sentence = "%s: super block: state: expected clean or new, found dirty: the volume runs, or was not stopped; start " \
            "and stop it, or add dirty=1 if it does not run anywhere" % volume.path
        uds("vdo", "prime", volume.path, status=FAILED, says=sentence)
        uds("vdo", "prime", "--create", volume.path, status=FAILED, says=sentence)
        uds("post", "vdo:" + volume.path, status=FAILED, says=sentence)
        # Reading is allowed, and says what it may be worth.
        says = "the volume is not stopped (state dirty): if it runs, what is read may be mixed from several moments"
        uds("info", "vdo:" + volume.path, says=says)
        audit = uds("vdo", "audit", "--json", volume.path)
        has(audit.err, says)
        equal((audit.json["counters_are_right"], audit.json["data_blocks"], audit.json["stale"]), (False, 63, 0))
        equal(digest(volume.path), before)
        uds("vdo", "prime", volume.path, status=FAILED, says="%s: for this command that is the option --dirty" % volume.path)
        uds("vdo", "prime", "--dirty", volume.path)
        uds("query", "vdo:%s?dirty=1" % volume.path, stdin="0" * 32 + "\n")


def find_names_what_it_sees_and_how_to_open_it():
    with Folder() as folder:
        volume = filled(folder)
        index, region, store, other = (os.path.join(folder, n) for n in ("index", "region", "store", "other"))
        pv = os.path.join(folder, "pv")
        uds("vdo", "prime", "--create", volume.path)
        uds("create", *SMALL, index)
        uds("snapshot", "create", "--chunk-size", "8K", "--size", "1M", store)
        with open(other, "wb") as file:
            file.write(b"hello\n" * 10000)
        copy_region(volume, region)
        make_pv(pv)
        ran = uds("find", "--json", volume.path, index, region, store, pv)
        found = ran.json["found"]
        equal([(item["what"], item.get("opened_by")) for item in found],
              [("vdo", "uds info vdo:" + volume.path), ("index", "uds info " + index),
               ("vdo-index-region", "uds info vdo:" + region), ("exception-store", "uds snapshot info " + store),
               ("lvm-pv", None)])
        equal([item["path"] for item in found if "wrong" in item], [])
        for item in found[:4]:
            uds(*item["opened_by"].split()[1:])
        vdo = found[0]["vdo"]
        equal((vdo["state"], vdo["nonce"], vdo["uuid"], vdo["index_memory_bytes"], vdo["index_sparse"],
               vdo["physical_blocks"], vdo["slab_count"]),
              ("clean", NONCE, "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf", 256 << 20, False, BLOCKS, 3))
        equal((found[0]["index"]["offset"], found[2]["index"]["offset"], found[3]["chunk_size_bytes"],
               found[3]["valid"]), (4096, 0, 8192, True))
        equal((found[4]["uuid"], found[4]["group"]), (lvm_image.uuid("a"), "vg"))
        text = uds("find", volume.path, pv).out
        has(text, "  what           VDO volume\n", "  opened by      uds info vdo:%s\n" % volume.path,
            "  volume         clean: it was stopped\n", "  index          at byte 4096, ", "  group          vg\n")
        uds("find", other, status=FAILED)
        uds("find", os.path.join(folder, "none"), status=FAILED, says="none: cannot be opened: No such file")
        # Lost, it says how to make it anew; libblkid is not needed for anything else.
        volume.write(1, bytes(2 * BLOCK))
        item = uds("find", "--json", volume.path).json["found"][0]
        equal((item["opened_by"], item["damaged"]), ("uds vdo prime --create " + volume.path, False))
        has(item["wrong"], "not a UDS index")
        has(uds("find", volume.path).out, "  index made by  uds vdo prime --create %s\n" % volume.path)


def a_damaged_block_of_an_index_is_named_with_its_repair():
    with Folder() as folder:
        volume = filled(folder)
        uds("vdo", "prime", "--create", volume.path)
        uri, index = "vdo:" + volume.path, [volume.read(1), volume.read(2)]
        for block, name, options in ((1, "super block", ""), (2, "config block", "--nonce %d " % NONCE)):
            volume.write(block, bytes(BLOCK))
            repair = "uds verify --repair %s%s" % (options, uri)
            item = uds("find", "--json", volume.path, status=DAMAGE).json["found"][0]
            equal((item["what"], item["damaged"], item["damaged_block"], item["repaired_by"], item["opened_by"],
                   item["vdo"]["nonce"]), ("vdo", True, name, repair, "uds vdo prime --create " + volume.path, NONCE))
            has(item["wrong"], name + ": magic: expected")
            has(uds("find", volume.path, status=DAMAGE).out, "VDO volume with an index, its %s damaged\n" % name,
                "  repaired by    %s\n" % repair)
            equal(uds("find", "--json", uri, status=DAMAGE).json["found"][0]["repaired_by"], repair)
            failed = FAILED if block == 1 else DAMAGE
            for command in (("verify",), ("dump",), ("info",), ("query",)):
                uds(*command, uri, status=failed, says="this is a UDS index whose %s is damaged; type: %s\n" % (name, repair))
            for command in (("dump", "--offset", 4096), ("vdo", "audit"), ("vdo", "prime"), ("snapshot", "info")):
                uds(*command, volume.path, status=FAILED if command[0] == "snapshot" else failed,
                    says="this is a VDO volume with an index whose %s is damaged; type: %s\n" % (name, repair))
            equal(volume.read(block), bytes(BLOCK))
            if block == 2:
                uds("verify", "--repair", uri, status=DAMAGE, says="is damaged; type: " + repair)
                subprocess.run([TOOL] + repair.split()[1:], check=True, capture_output=True)
                equal(volume.read(2), index[1])
                uds("verify", uri)
            volume.write(1, index[0] + index[1])
        # It may only look so while the volume runs.
        volume.write(1, bytes(BLOCK))
        volume.set_super(40, le(DIRTY, 4))
        has(uds("find", volume.path, status=DAMAGE).out, "note         the volume is not stopped: if it runs, its index")


def a_damaged_region_of_an_index_is_repaired_where_it_is():
    with Folder() as folder:
        volume, region = filled(folder), os.path.join(folder, "region")
        uds("vdo", "prime", "--create", volume.path)
        copy_region(volume, region)
        with open(region, "r+b") as file:
            file.seek(BLOCK)
            file.write(b"X")
        repair = "uds verify --repair --nonce N 'vdo:%s?region=1'" % region
        item = uds("find", "--json", region, status=DAMAGE).json["found"][0]
        equal((item["what"], item["damaged_block"], item["repaired_by"]), ("vdo-index-region", "config block", repair))
        has(uds("find", region, status=DAMAGE).out, "N is the nonce of the volume, which uds find prints for it")
        uds("verify", region, status=DAMAGE, says="is damaged; type: " + repair)
        uds("verify", "vdo:" + region, status=DAMAGE, says="is damaged; type: " + repair)
        uds("verify", "--repair", "--nonce", NONCE, "vdo:%s?region=1" % region)
        uds("verify", "vdo:" + region)


def damage_file(path, *places):
    """Each (byte, how many): other bytes there."""
    with open(path, "r+b") as file:
        for at, length in places:
            file.seek(at)
            file.write(b"\xa5" * length)


def run_shown(command):
    """A command as find shows it, taken apart as a shell does it."""
    words = shlex.split(command)
    equal(words[0], "uds")
    return subprocess.run([TOOL] + words[1:], capture_output=True, text=True)


def find_names_a_repair_only_if_that_is_carried_out():
    # Without the seed data, which would take a minute to search for: they lie at byte 224 of the super block.
    label, regions, config = (192, 32), (0, 192), (BLOCK, 64)
    cases = (((), None, None), ((regions,), "super block", True), ((config,), "config block", True),
             ((label, config), "super block and config block", False))
    with Folder() as folder:
        volume, region, bare = filled(folder), os.path.join(folder, "region"), os.path.join(folder, "bare")
        uds("vdo", "prime", "--create", volume.path)
        uds("create", *SMALL, bare)
        uds("post", bare, stdin="%032x %032x\n" % (1, 2))
        copy_region(volume, region)
        for what, base, path in (("vdo", BLOCK, volume.path), ("vdo-index-region", 0, region), ("index", 0, bare)):
            for places, block, repairable in cases:
                with open(path, "rb") as file:
                    whole = file.read(base + 2 * BLOCK)
                damage_file(path, *((base + at, length) for at, length in places))
                item = uds("find", "--json", path, status=DAMAGE if places else 0).json["found"][0]
                equal((item.get("damaged_block"), item.get("repairable"), "repaired_by" in item),
                      (block, repairable, bool(repairable)), item)
                # With both gone nothing says any more that it was in a volume, but its own first block.
                equal(item["what"], what, item)
                uri = path if what == "index" else "vdo:" + path
                if repairable:
                    nonce = str(NONCE if what != "index" else 0)
                    ran = run_shown(item["repaired_by"].replace("--nonce N", "--nonce " + nonce))
                    equal(ran.returncode, 0, (item, ran))
                    uds("verify", uri)
                elif block:
                    has(item["wrong"], "super block: label", "it is not made again: there is no good config block either")
                    has(uds("find", path, status=DAMAGE).out, "its super block and config block damaged\n")
                    ran = uds("verify", uri, status=DAMAGE, says="super block and config block are damaged; type: uds ")
                    equal("verify --repair" in ran.err, False, ran)
                    repaired = uri + ("?region=1" if what == "vdo-index-region" else "")
                    uds("verify", "--repair", "--nonce", NONCE, repaired, status=DAMAGE, says="it is not made again")
                with open(path, "r+b") as file:
                    file.write(whole)
        damage_file(volume.path, (BLOCK + label[0], label[1]), (BLOCK + config[0], config[1]))
        uds("verify", "vdo:" + volume.path, status=DAMAGE,
            says="config block are damaged; type: uds vdo prime --create %s (no repair makes it whole)" % volume.path)
        run_shown(uds("find", "--json", volume.path, status=DAMAGE).json["found"][0]["opened_by"])
        uds("verify", "vdo:" + volume.path)


def a_region_that_lost_its_first_block_is_known_by_any_name():
    with Folder() as folder:
        volume, region = filled(folder), os.path.join(folder, "region")
        uds("vdo", "prime", "--create", volume.path)
        copy_region(volume, region)
        damage_file(region, (0, 192))
        repair = "uds verify --repair 'vdo:%s?region=1'" % region
        for uri in region, "vdo:" + region:
            uds("verify", uri, status=FAILED,
                says="%s: this is an index region of a VDO volume whose super block is damaged; type: %s\n" % (region, repair))
        # Block 1 is left from before where another thing was made.
        with open(region, "r+b") as file:
            file.write(b"SnAp" + le(1, 4) + le(1, 4) + le(32, 4))
        item = uds("find", "--json", region).json["found"][0]
        equal((item["what"], item["opened_by"]), ("exception-store", "uds snapshot info " + region))


def make_pv(path):
    """One of a group's two physical volumes."""
    with open(path, "wb") as file:
        file.write(lvm_image.pv_head("a", lvm_image.group_text(lvm_image.VOLUMES)))
        file.truncate(lvm_image.PV_BYTES)


def other_commands_say_what_to_type():
    with Folder() as folder:
        volume = filled(folder)
        store, index, region = (os.path.join(folder, n) for n in ("store", "index", "region"))
        uds("vdo", "prime", "--create", volume.path)
        uds("snapshot", "create", "--chunk-size", "8K", "--size", "1M", store)
        uds("create", *SMALL, index)
        for command in ("verify", "recover", "dump", "load", "exec", "peek"):
            uds(command, volume.path, status=FAILED,
                says="uds %s: %s: this is a VDO volume; type: uds %s vdo:%s" % (command, volume.path, command, volume.path))
        uds("scan", "--index", volume.path, folder, status=FAILED, says="this is a VDO volume; type: uds scan vdo:")
        uds("verify", store, status=FAILED, says="this is an exception store; type: uds snapshot info " + store)
        uds("snapshot", "list", index, status=FAILED, says="this is a UDS index; type: uds info " + index)
        uds("snapshot", "list", volume.path, status=FAILED, says="this is a VDO volume; type: uds info vdo:" + volume.path)
        for command in "audit", "prime":
            uds("vdo", command, "vdo:" + volume.path, status=FAILED,
                says="this is the index of a VDO volume; type: uds vdo %s %s" % (command, volume.path))
        uds("vdo", "audit", store, status=FAILED, says="this is an exception store; type: uds snapshot info " + store)
        pv = os.path.join(folder, "pv")
        make_pv(pv)
        uds("info", pv, status=FAILED, says="this is an LVM physical volume of group vg; uds find")
        copy_region(volume, region)
        uds("verify", region, status=DAMAGE,
            says="this is an index region of a VDO volume; type: uds verify vdo:" + region)
        # Typed so, it works; written only when told to.
        uds("verify", "vdo:" + region)
        uds("post", "vdo:" + region, status=FAILED, says="so it opens read-only; add region=1 to write it")
        uds("post", "vdo:%s?region=1" % region, stdin="%032x %032x\n" % (1, 2))
        equal(uds("peek", "vdo:" + region, stdin="%032x\n" % 1).out, "%032x\n" % 2)
        # A path that a URI would take apart.
        odd = os.path.join(folder, "v?100%")
        os.rename(volume.path, odd)
        uds("verify", odd, status=FAILED, says="type: uds verify vdo:%s/v%%3f100%%25" % folder)
        uds("verify", "vdo:%s/v%%3f100%%25" % folder)


def info_shows_the_volume_and_its_index():
    with Folder() as folder:
        volume = filled(folder)
        uds("vdo", "prime", "--create", volume.path)
        for uri in (volume.path, "vdo:" + volume.path):
            ran = uds("info", "--json", uri).json
            equal((ran["vdo"]["nonce"], ran["nonce"], ran["state"]), (NONCE, NONCE, "clean"))
            has(uds("info", uri).out, "  volume         clean", "  chapters       1024\n")
        equal("vdo" in uds("info", "--json", "--offset", 4096, volume.path).json, False)
        volume.write(1, bytes(BLOCK))
        ran = uds("info", "--json", volume.path, status=FAILED, says="uds vdo prime --create")
        equal(ran.json["vdo"]["nonce"], NONCE)


def what_is_wrong_with_a_volume_is_said_and_nothing_written():
    damages = (
        ("geometry", 33, b"\0", False, "geometry block (block 0): checksum: expected 0x", DAMAGE),
        ("geometry", 12, le(6, 4), True, "geometry block (block 0): version: expected 4.0 or 5.0, found 6.0", FAILED),
        ("geometry", 80, le(BLOCKS + 7, 8), True,
         "super block: expected at block %d, but the device has only %d blocks" % (BLOCKS + 7, BLOCKS), DAMAGE),
        ("super", 61, b"\7", False, "super block (block %d): checksum: expected 0x" % DATA_AT, DAMAGE),
        ("super", 4, le(13, 4), True,
         "super block (block %d): super block: version: expected 12.0, found 13.0" % DATA_AT, FAILED),
        ("super", 100, le(5, 8), True, "super block (block %d): nonce: expected %d, which the geometry block has, found 5"
         % (DATA_AT, NONCE), DAMAGE),
        ("super", 68, le(BLOCKS + 1, 8), True, "super block (block %d): physical blocks: expected at most the %d of the device, "
         "found %d" % (DATA_AT, BLOCKS, BLOCKS + 1), DAMAGE),
        ("super", DEPOT + 64, le(vdo_image.FIRST_SLAB + 100, 8), True,
         "super block (block %d): slab depot: expected whole slabs of 64 blocks, found blocks %d to %d"
         % (DATA_AT, vdo_image.FIRST_SLAB, vdo_image.FIRST_SLAB + 100), DAMAGE),
        ("super", DEPOT + 64, le(vdo_image.FIRST_SLAB + 64 * 4, 8), True,
         "super block (block %d): end of the slabs: expected at most block %d, the end of the volume, found" % (DATA_AT, BLOCKS),
         DAMAGE),
    )
    with Folder() as folder:
        for part, at, content, sealed, sentence, status in damages:
            volume = filled(folder)
            (volume.set_geometry if part == "geometry" else volume.set_super)(at, content, sealed)
            before = digest(volume.path)
            for command in (("vdo", "prime", "--create"), ("vdo", "audit"), ("verify",), ("post",)):
                uri = volume.path if command[0] == "vdo" else "vdo:" + volume.path
                uds(*command, uri, status=status, says="%s: %s" % (volume.path, sentence))
            word = "damaged" if status == DAMAGE else "of a version that is not known"
            has(uds("find", volume.path, status=status).out, "VDO volume, %s\n" % word,
                "  wrong          %s: %s" % (volume.path, sentence))
            equal(digest(volume.path), before, sentence)
        volume = filled(folder)
        with open(volume.path, "r+b") as file:
            file.truncate(DATA_AT * BLOCK)
        uds("vdo", "prime", "--create", volume.path, status=DAMAGE, says="super block: expected at block %d" % DATA_AT)
        # An index of another volume is not filled.
        volume = filled(folder)
        uds("create", "--nonce", 5, "--no-extras", "vdo:" + volume.path)
        before = digest(volume.path)
        uds("vdo", "prime", volume.path, status=FAILED, says="nonce: expected %d, found 5" % NONCE)
        equal(digest(volume.path), before)


def an_index_with_less_room_keeps_the_last_blocks():
    vdo_image.set_slabs(8)
    try:
        with Folder() as folder:
            volume, blocks = Volume(os.path.join(folder, "v")), 8 * vdo_image.SLAB_DATA
            for i in range(blocks):
                volume.store(i, text_block(i))
            uds("create", "--chapters", 2, "--record-pages", 1, "--page-size", 4096, "--nonce", NONCE, "--no-extras",
                "vdo:" + volume.path)
            for arguments in ((), ("--all",)):
                primed = uds("vdo", "prime", "--json", *arguments, volume.path).json
                capacity = primed["capacity"]
                equal((capacity < blocks, round(primed["fraction"], 6)), (True, round(capacity / blocks, 6)))
                # Without the counters all blocks are read, and the index evicts the first ones itself.
                equal(primed["records"], blocks if arguments else capacity)
                audit = uds("vdo", "audit", "--json", volume.path).json
                equal((audit["stale"], audit["right"] >= capacity // 2, audit["right"] <= capacity), (0, True, True))
                # The last blocks are known.
                known = [int.from_bytes(bytes.fromhex(line.split()[1])[2:10], "little")
                         for line in uds("dump", "vdo:" + volume.path).out.splitlines()]
                equal(sorted(known), [block_of(i) for i in range(blocks - len(known), blocks)])
            has(uds("vdo", "prime", volume.path).out, " % of the data fits, the last blocks of the volume")
    finally:
        vdo_image.set_slabs(3)


def without_liblz4_compressed_records_are_counted_as_not_checked():
    with Folder() as folder:
        environment = without_libraries(folder)
        if not with_lz4():
            raise Skip("liblz4 is not there anyway")
        volume = filled(folder)
        uds("vdo", "prime", "--create", volume.path)
        audit = uds("vdo", "audit", "--json", volume.path, env=environment).json
        equal((audit["records"], audit["right"], audit["not_checked"], audit["stale"]), (63, 60, 3, 0))
        has(uds("vdo", "audit", volume.path, env=environment).out, "3 compressed: liblz4 is not there")
        primed = uds("vdo", "prime", "--create", volume.path, env=environment)
        has(primed.out, "1 compressed blocks were left out: liblz4 is not there")
        uds("find", volume.path, env=environment)


def page_commands(first_words):
    """The command lines of uds-vdo(7) that begin with one of the words, in their order."""
    source = os.environ.get("UDS_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    with open(os.path.join(source, "man", "uds-vdo.7"), encoding="utf-8") as file:
        lines = [line[2:].split() for line in file.read().splitlines() if line.startswith("# ")]
    unknown = [line for line in lines if line[0] not in ("uds", "dd", "dmsetup")]
    equal(unknown, [])
    return [line for line in lines if line[0] in first_words]


def every_command_of_the_page_works():
    with Folder() as folder:
        volume, region = filled(folder), os.path.join(folder, "region.img")
        uds("vdo", "prime", "--create", volume.path)
        lines = page_commands(("uds", "dd"))
        equal(len(lines) >= 11, True)
        for line in lines:
            words = [word.replace("/dev/vdb", volume.path).replace("region.img", region) for word in line]
            if words[0] == "uds":
                uds(*words[1:])
            else:
                # Nearly all of it are holes, which need not be read.
                subprocess.run([word if not word.startswith("count=") else "count=1000" for word in words],
                               check=True, stderr=subprocess.DEVNULL)
                copy_region(volume, region)


if __name__ == "__main__":
    sys.exit(main([every_command_of_the_page_works, a_lost_index_is_made_anew_and_filled, stale_advice_is_counted_by_its_reason,
                   a_volume_that_was_not_stopped_is_not_written, find_names_what_it_sees_and_how_to_open_it,
                   other_commands_say_what_to_type, info_shows_the_volume_and_its_index,
                   a_damaged_block_of_an_index_is_named_with_its_repair,
                   a_damaged_region_of_an_index_is_repaired_where_it_is,
                   find_names_a_repair_only_if_that_is_carried_out,
                   a_region_that_lost_its_first_block_is_known_by_any_name,
                   what_is_wrong_with_a_volume_is_said_and_nothing_written,
                   an_index_with_less_room_keeps_the_last_blocks,
                   without_liblz4_compressed_records_are_counted_as_not_checked]))
