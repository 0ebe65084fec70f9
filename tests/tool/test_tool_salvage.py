#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What can still be had of a damaged snapshot, and how much of a write was done."""
import os
import random
import sys
import zlib

from tool_support import (DAMAGE, FAILED, SMALL, Folder, Skip, content, equal, has, main, plain, uds,
                          with_bad_sectors)

CHUNK = 4096


def make(folder, chunks, cow_chunks):
    """The first @chunks chunks of the origin are replaced; returns the content as it was."""
    origin, cow = os.path.join(folder, "o"), os.path.join(folder, "c")
    before = random.Random(chunks).randbytes(1 << 20)
    with open(origin, "wb") as file:
        file.write(before)
    uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "8M", cow)
    uds("snapshot", "write-origin", "--origin", origin, "--offset", 0, cow, binary=True,
        stdin=random.Random(99).randbytes(chunks * CHUNK))
    os.truncate(cow, cow_chunks)
    return origin, cow, before


def a_cut_device_gives_all_that_is_on_it():
    for cut in (100 * CHUNK, 57 * CHUNK + 1536, 3 * CHUNK):
        with Folder() as folder:
            origin, cow, before = make(folder, 125, cut)
            first, last = cut - 2 * CHUNK, 125 * CHUNK
            wanted = before[:first] + bytes(last - first) + before[last:]
            ran = uds("snapshot", "read", "--origin", origin, cow, status=DAMAGE, binary=True)
            equal(ran.out == before[:first], True)
            has(ran.err.decode(), "old chunk %d -> new chunk %d" % (first // CHUNK, cut // CHUNK))
            ran = uds("snapshot", "read", "--salvage", "--origin", origin, cow, status=DAMAGE,
                      binary=True)
            equal(ran.out == wanted, True)
            has(ran.err.decode(), "bytes %d to %d" % (first, last - 1))
            # Into a file, with holes, and a document.
            out = os.path.join(folder, "out")
            found = uds("snapshot", "read", "--salvage", "--sparse", "--json", "--output", out,
                        "--origin", origin, cow, status=DAMAGE).json
            equal(content(out) == wanted, True)
            equal([(m["offset"], m["length"]) for m in found["missing"]], [(first, last - first)])
            equal(found["missing_bytes"], last - first)
            if cut == 3 * CHUNK:
                equal(os.stat(out).st_blocks * 512 < (1 << 20) - 400000, True)
            # A part without what is missing is good.
            ran = uds("snapshot", "read", "--origin", origin, "--length", first, cow, binary=True)
            equal(ran.out == before[:first], True)


def an_origin_that_was_cut_is_not_passed_off_as_whole():
    with Folder() as folder:
        origin, cow, before = make(folder, 125, 8 << 20)
        os.truncate(origin, 50 * CHUNK)
        ran = uds("snapshot", "read", "--origin", origin, cow, status=DAMAGE, binary=True)
        equal(ran.out == before[:50 * CHUNK], True)
        has(ran.err.decode(), "chunk 124")


def a_merge_of_what_can_be_had_lists_the_rest_first():
    for cut in (100 * CHUNK, 57 * CHUNK + 1536):
        with Folder() as folder:
            origin, cow, before = make(folder, 125, cut)
            whole = cut // CHUNK
            first, last = (whole - 2) * CHUNK, 125 * CHUNK
            devices = content(origin), content(cow)
            after = before[:first] + devices[0][first:]
            named = ["entry %d: old chunk %d -> new chunk %d: " % (whole - 2, whole - 2, whole),
                     "which has %d bytes" % cut, "and %d more" % (125 - (whole - 2) - 1),
                     "bytes %d to %d" % (first, last - 1), "--salvage"]
            for dry in ([], ["--dry-run"]):
                words = ["snapshot", "merge", *dry, "--origin", origin]
                uds(*words, cow, status=DAMAGE, says=named)
                found = uds(*words, "--json", cow, status=DAMAGE).json
                equal([(m["offset"], m["length"]) for m in found["missing"]],
                      [(first, last - first)])
                equal((found["exceptions"], found["remaining"]), (0, 125))
                equal((content(origin), content(cow)) == devices, True)
            found = uds(*words, "--salvage", "--json", cow, status=DAMAGE).json
            equal((found["chunks_lost"], found["chunks_copied"], found["remaining"]),
                  (125 - (whole - 2), whole - 2, 0))
            equal((content(origin), content(cow)) == devices, True)
            ran = uds("snapshot", "merge", "--salvage", "--origin", origin, cow, status=DAMAGE,
                      says=named[3])
            has(ran.out, "%d chunks cannot be read and were left out" % (125 - (whole - 2)))
            equal(content(origin) == after, True)
            equal(uds("snapshot", "info", "--json", cow).json["exceptions"], 0)


def sectors_that_cannot_be_read_are_zeros_and_are_listed():
    with Folder() as folder:
        origin, cow, before = make(folder, 125, 8 << 20)
        # Two sectors of one chunk, a whole one, and a sector of the origin where nothing changed.
        lost = [(8 * CHUNK + 512, 1024), (58 * CHUNK, CHUNK), (200 * CHUNK + 1024, 512)]
        env = with_bad_sectors(folder, (cow, 10 * CHUNK + 512, 1024), (cow, 60 * CHUNK, CHUNK),
                               (origin, *lost[2]))
        wanted = bytearray(before)
        for first, length in lost:
            wanted[first:first + length] = bytes(length)
        words = ["snapshot", "read", "--origin", plain(origin)]
        ran = uds(*words, plain(cow), status=FAILED, binary=True, env=env)
        equal(ran.out == before[:lost[0][0]], True)
        has(ran.err.decode(), "Input/output error", "old chunk 8 -> new chunk 10")
        ran = uds(*words, "--salvage", plain(cow), status=DAMAGE, binary=True, env=env)
        equal(ran.out == bytes(wanted), True)
        for first, length in lost:
            has(ran.err.decode(), "bytes %d to %d" % (first, first + length - 1))
        out = os.path.join(folder, "out")
        found = uds(*words, "--salvage", "--json", "--output", out, plain(cow), status=DAMAGE,
                    env=env).json
        equal(content(out) == bytes(wanted), True)
        equal([(m["offset"], m["length"]) for m in found["missing"]], lost)
        equal(found["missing_bytes"], sum(length for _, length in lost))
        # The same command on a device that answers gives everything.
        equal(uds(*words, "--salvage", plain(cow), binary=True).out == before, True)


def a_merge_leaves_out_chunks_that_cannot_be_read():
    with Folder() as folder:
        origin, cow, before = make(folder, 125, 8 << 20)
        changed = content(origin)
        env = with_bad_sectors(folder, (cow, 10 * CHUNK + 512, 1024), (cow, 60 * CHUNK, CHUNK))
        words = ["snapshot", "merge", "--origin", plain(origin)]
        uds(*words, plain(cow), status=FAILED, env=env, says="Input/output error")
        devices = content(origin), content(cow)
        found = uds(*words, "--salvage", "--dry-run", "--json", plain(cow), status=DAMAGE,
                    env=env).json
        equal([(m["offset"], m["length"]) for m in found["missing"]],
              [(8 * CHUNK, CHUNK), (58 * CHUNK, CHUNK)])
        equal((content(origin), content(cow)) == devices, True)
        ran = uds(*words, "--salvage", plain(cow), status=DAMAGE, env=env,
                  says=["bytes %d to %d" % (8 * CHUNK, 9 * CHUNK - 1)])
        has(ran.out, "2 chunks cannot be read and were left out")
        wanted = bytearray(before)
        for chunk in (8, 58):
            wanted[chunk * CHUNK:(chunk + 1) * CHUNK] = changed[chunk * CHUNK:(chunk + 1) * CHUNK]
        equal(content(origin) == bytes(wanted), True)
        equal(uds("snapshot", "info", "--json", cow).json["exceptions"], 0)


def a_list_that_is_cut_is_not_passed_off_as_whole():
    with Folder() as folder:
        origin, cow = os.path.join(folder, "o"), os.path.join(folder, "c")
        with open(origin, "wb") as file:
            file.truncate(64 << 10)
        uds("snapshot", "create", "--chunk-size", 512, "--size", "1M", cow)
        uds("snapshot", "write", "--origin", origin, "--offset", 0, cow, binary=True,
            stdin=b"new" * 8192)
        os.truncate(cow, 34 * 512) # behind the data of area 0, which is full
        says = ["unknown from there on", "entry 32, in area 1", "behind the end"]
        uds("snapshot", "read", "--origin", origin, cow, status=DAMAGE)
        seen = uds("snapshot", "read", "--salvage", "--origin", origin, cow, status=DAMAGE,
                   binary=True)
        equal(seen.out == (b"new" * 8192)[:32 * 512] + bytes((64 << 10) - 32 * 512), True)
        for part in says:
            has(seen.err.decode(), part)
        out = os.path.join(folder, "out")
        found = uds("snapshot", "read", "--salvage", "--json", "--output", out, "--origin", origin,
                    cow, status=DAMAGE).json
        equal((found["list_unknown_from"], found["missing"]), (32, []))
        uds("snapshot", "list", "--salvage", cow, status=DAMAGE, says=says)
        equal(uds("snapshot", "info", "--salvage", "--json", cow).json["list_unknown_from"], 32)
        found = uds("snapshot", "merge", "--salvage", "--json", "--origin", origin, cow,
                    status=DAMAGE).json
        equal((found["list_unknown_from"], found["exceptions"], found["chunks_lost"]), (32, 32, 0))
        equal(content(origin) == seen.out, True)
    with Folder() as folder:
        origin, cow, before = make(folder, 10, 8 << 20)
        os.truncate(cow, CHUNK + 512)  # inside area 0, of which the first sector has the whole list
        uds("snapshot", "read", "--origin", origin, cow, status=DAMAGE, says="area 0")
        out = os.path.join(folder, "out")
        found = uds("snapshot", "read", "--salvage", "--json", "--output", out, "--origin", origin,
                    cow, status=DAMAGE).json
        equal((found["list_unknown_from"], found["missing_bytes"]), (None, 10 * CHUNK))
        wanted = bytearray(before)
        for part in found["missing"]:
            first, length = part["offset"], part["length"]
            wanted[first:first + length] = bytes(length)
        equal(content(out) == bytes(wanted), True)
    with Folder() as folder:
        origin, cow, _ = make(folder, 10, 8 << 20)
        equal(uds("snapshot", "read", "--salvage", "--json", "--output",
                  os.path.join(folder, "out"), "--origin", origin, cow).json["list_unknown_from"],
              None)


def a_write_says_exactly_how_much_went_in():
    with Folder() as folder:
        origin, cow = os.path.join(folder, "o"), os.path.join(folder, "c")
        with open(origin, "wb") as file:
            file.truncate(2 << 20)
        uds("snapshot", "create", "--chunk-size", CHUNK, "--size", "1M", cow)
        new = random.Random(1).randbytes(2 << 20)
        ran = uds("snapshot", "write", "--json", "--origin", origin, "--offset", 0, cow, stdin=new,
                  binary=True, status=FAILED)
        has(ran.err.decode(), "1040384 bytes")
        equal(ran.json["bytes_written"], 254 * CHUNK)
        seen = uds("snapshot", "read", "--origin", origin, cow, binary=True).out
        equal(seen == new[:254 * CHUNK] + bytes((2 << 20) - 254 * CHUNK), True)


def geometry_block(version, start, bio=0, magic=b"dmvdo001"):
    le = lambda n, size: n.to_bytes(size, "little")
    block = magic + le(5, 4) + le(version, 4) + le(0, 4) + le(101 if version == 5 else 93, 8)
    block += bytes(4) + le(4711, 8) + bytes(16) + (le(bio, 8) if version == 5 else b"")
    block += le(0, 4) + le(start, 8) + le(1, 4) + le(start + 5000, 8) + le(0xffffff00, 4)
    block += bytes(5)
    block += le(zlib.crc32(block, 0xffffffff), 4)
    equal(len(block), 101 if version == 5 else 93)
    return block


def a_vdo_volume_says_where_its_index_is():
    with Folder() as folder:
        volume = os.path.join(folder, "v")
        for block, at in ((geometry_block(5, 1), 4096), (geometry_block(4, 1), 4096),
                          (geometry_block(5, 9, 2), 7 * 4096), (geometry_block(4, 300), 1228800),
                          (b"dmvdo001", 4096), (geometry_block(5, 3)[:-1] + b"?", 4096)):
            with open(volume, "wb") as file:
                file.truncate(32 << 20)
            uds("create", "--offset", at, *SMALL, volume)
            with open(volume, "r+b") as file:
                file.write(block)
            for command in ("info", "verify", "recover", "dump", "load", "exec", "peek"):
                uds(command, volume, status=FAILED, says=["VDO volume", "--offset %d)" % at])
            uds("scan", "--index", volume, folder, status=FAILED, says="--offset %d)" % at)
            uds("create", *SMALL, volume, status=FAILED, says="VDO volume")
            uds("info", "--offset", at, volume)


if __name__ == "__main__":
    sys.exit(main([a_cut_device_gives_all_that_is_on_it,
                   an_origin_that_was_cut_is_not_passed_off_as_whole,
                   a_merge_of_what_can_be_had_lists_the_rest_first,
                   sectors_that_cannot_be_read_are_zeros_and_are_listed,
                   a_merge_leaves_out_chunks_that_cannot_be_read,
                   a_list_that_is_cut_is_not_passed_off_as_whole,
                   a_write_says_exactly_how_much_went_in, a_vdo_volume_says_where_its_index_is]))
