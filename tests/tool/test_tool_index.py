#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds create, info, verify and recover, and what stands in the way of opening and saving."""
import json
import os
import struct
import subprocess
import sys

from tool_support import (DAMAGE, FAILED, SEED, SMALL, TOOL, USAGE, Folder, Mounted, Skip, content,
                          data, equal, has, main, name, plain, uds, unprivileged, with_bad_sectors)
import uds_format  # the reader that shares no code with the library

MEGABYTE = 1 << 20


def records(first, end):
    return "".join("%s %s\n" % (name(i), data(i)) for i in range(first, end))


def damage(path, offset, what):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(what)


def create_makes_what_was_asked_for():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        ran = uds("create", "--chapters", 10, "--record-pages", 3, "--page-size", 8192, "--nonce",
                  2**64 - 1, path)
        equal((ran.out, ran.err), ("", ""))
        info = uds("info", "--json", path).json
        wanted = {"page_size": 8192, "record_pages_per_chapter": 3, "chapters_per_volume": 10,
                  "sparse_chapters_per_volume": 0, "records_per_chapter": 768,
                  "newest_chapter": 0, "oldest_chapter": 0, "state": "new", "super_version": 3,
                  "nonce": 2**64 - 1, "extras": True, "extras_state": "current"}
        equal({key: info[key] for key in wanted}, wanted)
        equal(info["size_bytes"] + info["extras_bytes"], os.path.getsize(path))
        equal(info["extras_bytes"] > 0, True)
        uds("create", "--chapters", 10, "--record-pages", 3, "--page-size", 8192, "--no-extras",
            "--force", path)
        bare = uds("info", "--json", path).json
        equal((bare["extras"], bare["extras_state"], bare["extras_bytes"], bare["size_bytes"]),
              (False, "none", 0, info["size_bytes"]))
        has(uds("info", path).out, "extras         none")
        uds("create", "--chapters", 5, "--record-pages", 3, "--page-size", 8192, "--force", path)
        has(uds("info", path).out, "journal        none, as the number of chapters is odd")
        for key in ("volume_nonce", "memory_bytes"):
            equal(isinstance(info[key], int) and info[key] > 0, True, key)


def the_usual_sizes_have_their_geometry():
    with Folder() as folder:
        for memory, pages, chapters in (("256M", 64, 1024), ("512M", 128, 1024),
                                        ("768M", 192, 1024), ("2G", 256, 2048)):
            path = os.path.join(folder, memory)
            uds("create", "--memory", memory, path)
            info = uds("info", "--json", path).json
            equal((info["record_pages_per_chapter"], info["chapters_per_volume"],
                   info["page_size"]), (pages, chapters, 32768), memory)
            os.unlink(path)


def the_state_is_told_in_words_and_for_scripts():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        equal(uds("info", "--json", path).json["state"], "new")
        has(uds("info", path).out, "new", "created")
        uds("post", path, stdin=records(0, 10))
        equal(uds("info", "--json", path).json["state"], "clean")
        has(uds("info", path).out, "clean", "saved")
        uds("post", "--no-save", path, stdin=records(10, 1500))
        equal(uds("info", "--json", path).json["state"], "needs-recovery")
        has(uds("info", path).out, "needs-recovery", "recover", "loads the latest save and reads")
        info = uds("info", "--json", path).json
        equal((info["recovery_chapters"], info["saved_zones"]), (info["newest_chapter"], 1))
        uds("recover", path)
        equal(uds("info", "--json", path).json["state"], "clean")


def info_and_verify_write_nothing():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 1000))
        uds("post", "--no-save", path, stdin=records(1000, 2000))
        before, stamp = content(path), os.stat(path).st_mtime_ns
        for command in ("info", "verify"):
            uds(command, path)
            uds(command, "--json", path)
        uds("info", "--resident", path)
        equal(content(path), before)
        equal(os.stat(path).st_mtime_ns, stamp)


def resident_memory_is_told_before_and_after():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", "--memory", "256M", path)
        info = uds("info", "--resident", "--json", path).json
        equal(0 < info["resident_before_bytes"] < info["resident_after_bytes"], True, info)
        has(uds("info", "--resident", path).out, "before opening", "after")


def recover_saves_and_says_what_it_found():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        uds("post", "--no-save", path, stdin=records(0, 1500))
        ran = uds("recover", path)
        has(ran.out, "recovered")
        equal(ran.err, "")
        has(uds("recover", path).out, "nothing to recover")
        equal(uds("recover", "--json", path).json["recovered"], False)
        equal(len(uds("dump", path).out.splitlines()), 1024)


def images_are_reproducible():
    with Folder() as folder:
        images = []
        for part in ("a", "b"):
            path = os.path.join(folder, part)
            uds("create", *SMALL, "--nonce-data", SEED, "--no-extras", path)
            uds("post", "--save-time", 1000, path, stdin=records(0, 1200))
            uds("exec", "--save-time", 2000, path, stdin="delete %s\n" % name(7))
            images.append(content(path))
        equal(images[0] == images[1], True, "two images made in the same way are equal")
        other = os.path.join(folder, "c")
        uds("create", *SMALL, "--no-extras", other)
        uds("post", "--save-time", 1000, other, stdin=records(0, 1200))
        equal(images[0] == content(other), False, "without --nonce-data an image is unique")
        equal(images[0][24 + 7 * 24 + 32:][:32] == bytes.fromhex(SEED), True,
              "the seed data is in the super block")


def create_refuses_to_write_over_content():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        for offset in (0, 5, 4095, 70000, 300000):
            with open(path, "wb") as file:
                file.truncate(MEGABYTE)
                file.seek(offset)
                file.write(b"\1")
            before = content(path)
            uds("create", *SMALL, path, status=FAILED, says=[path, "byte %d" % offset, "--force"])
            equal(content(path), before)
        uds("create", *SMALL, "--force", path)
        uds("create", *SMALL, path, status=FAILED, says="--force")
        with open(path, "wb") as file:
            file.truncate(MEGABYTE)
        uds("create", *SMALL, path)


def create_passes_over_holes():
    """Where it looks for content. Reading them would fail here."""
    with Folder() as folder:
        path = os.path.join(folder, "x")
        with open(path, "wb") as file:
            file.truncate(3 << 30)
            file.seek(700 * MEGABYTE + 12345)
            file.write(b"\1")
        env = with_bad_sectors(folder, (path, 4 * MEGABYTE, 600 * MEGABYTE))
        words = ["create", "--memory", "256M", "--offset", 4096, plain(path)]
        uds(*words, env=env, status=FAILED, says="byte %d" % (700 * MEGABYTE + 12345))
        with open(path, "r+b") as file:
            file.seek(5 * MEGABYTE)
            file.write(bytes(4096))
        uds(*words, env=env, status=FAILED, says="Input/output error")
        with open(path, "wb") as file:
            file.truncate(3 << 30)
        uds(*words, env=env)


def an_index_may_start_at_an_offset():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        with open(path, "wb") as file:
            file.write(b"in front" * 1024)
        uds("create", *SMALL, "--offset", 8192, path)
        uds("post", "--offset", 8192, path, stdin=records(0, 700))
        equal(uds("peek", "--offset", "8K", path, stdin=name(3)).out, data(3) + "\n")
        equal(uds("verify", "--offset", 8192, path).status, 0)
        equal(content(path)[:8192], b"in front" * 1024)
        uds("info", path, status=FAILED, says=path)


def sparse_indexes_say_what_they_are():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", "--chapters", 20, "--record-pages", 4, "--page-size", 4096,
            "--sparse-chapters", 16, "--sample-rate", 4, path)
        info = uds("info", "--json", path).json
        equal((info["chapters_per_volume"], info["sparse_chapters_per_volume"],
               info["sparse_sample_rate"]), (20, 16, 4))
        has(uds("info", path).out, "sparse: ", "16 of them sparse, sample rate 4")
        uds("post", path, stdin=records(0, 6000))
        uds("verify", path)
        equal(len(uds("dump", path).out.splitlines()) > 512 * 4, True)
        uds("post", "--no-save", path, stdin=records(6000, 7000))
        has(uds("recover", path).out, "recovered")
        uds("create", "--force", "--memory", "256M", "--sparse", path)
        info = uds("info", "--json", path).json
        equal((info["chapters_per_volume"], info["sparse_chapters_per_volume"],
               info["sparse_sample_rate"]), (10240, 9728, 32))


def another_nonce_is_refused_when_one_is_asked_for():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, "--nonce", 41, path)
        uds("post", "--nonce", 41, path, stdin=records(0, 10))
        before = content(path)
        for command in ("exec", "peek", "post", "dump", "load", "recover"):
            uds(command, "--nonce", 42, path, status=FAILED, says=[path, "41", "42"])
        uds("scan", "--index", path, "--nonce", 42, path, status=FAILED, says=[path, "41", "42"])
        equal(content(path), before)
        equal(uds("peek", "--nonce", 41, path, stdin=name(3)).out, data(3) + "\n")


def verify_finds_no_damage_in_good_indexes():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        has(uds("verify", path).out, "no damage")
        uds("post", path, stdin=records(0, 6000))
        has(uds("verify", path).out, "no damage")
        uds("post", "--no-save", path, stdin=records(6000, 7000))
        equal(uds("verify", "--json", path).json,
              {"damaged": False, "findings": [], "findings_count": 0})


def verify_names_what_is_damaged():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 3000))
        image = content(path)
        geometry = uds_format.Geometry(4096, 4, 8)
        # The volume follows super block, config block and its own header page.
        record_page = 8192 + 4096 * (1 + geometry.chapter_pages + geometry.index_pages + 1)
        damage(path, record_page + 16 * 100, b"damage" * 10)
        before = content(path)
        ran = uds("verify", path, status=DAMAGE, says=path)
        has(ran.out, "finding")
        found = uds("verify", "--json", path, status=DAMAGE).json
        equal(found["damaged"], True)
        equal(found["findings_count"], len(found["findings"]))
        has(" ".join(found["findings"]), "chapter")
        equal(content(path), before, "verify writes nothing")
        with open(path, "wb") as file:
            file.write(image)
        uds("verify", path)


CHECKER = os.path.join(os.path.dirname(uds_format.__file__), "uds_check.py")


def a_repair_says_what_is_lost_and_drops_it_when_told_so():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 3000))
        geometry = uds_format.Geometry(4096, 4, 8)
        record_page = 8192 + 4096 * (1 + geometry.chapter_pages + geometry.index_pages + 1)
        damage(path, record_page + 16 * 100, b"damage" * 10)
        before = content(path)
        uds("verify", "--lose-records", path, status=USAGE, says="--repair")
        ran = uds("verify", "--repair", path, status=DAMAGE, says="--lose-records")
        has(ran.err, "record page 1")
        has(ran.err, "lost")
        equal(content(path), before, "nothing is lost without --lose-records")
        found = uds("verify", "--repair", "--lose-records", "--json", path).json
        equal(found["repaired"], True)
        equal(found["findings_count"], 1)
        has(" ".join(found["findings"]), "records of 1 of its 4 record pages are lost")
        equal(uds("verify", "--json", path).json,
              {"damaged": False, "findings": [], "findings_count": 0})
        # A reader that shares no code with the library has nothing to say either.
        checked = subprocess.run([sys.executable, CHECKER, path], capture_output=True,
                                 text=True, check=False)
        equal(checked.returncode, 0, checked.stdout + checked.stderr)
        left = uds("dump", path).out.splitlines()
        equal(len(left), 3000 - geometry.records_per_page)
        equal(uds("verify", "--repair", "--json", path).json,
              {"damaged": False, "findings": [], "findings_count": 0, "repaired": False})


def what_a_repair_writes_for_the_only_chapter_is_no_record():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", "--page-size", 4096, "--record-pages", 1, "--chapters", 8, path)
        uds("post", path, stdin=records(0, 128))
        damage(path, content(path).index(bytes.fromhex(name(0))) // 4096 * 4096, b"damage" * 600)
        has(uds("verify", "--repair", "--lose-records", path).out, "repaired")
        equal(uds("dump", path).out, "")
        # The chapter is read again, and its record entered.
        uds("recover", "--ignore-saves", "--lose-records", path)
        equal(uds("dump", path).out, "")
        equal(uds("verify", path).out, path + ": no damage found\n")


def the_clock_of_a_save_leaves_later_ones():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, "--save-time", 1 << 63, path, status=USAGE, says="--save-time")
        equal(os.path.exists(path), False)
        uds("create", *SMALL, "--save-time", (1 << 63) - 1, path)
        for i in range(3):
            uds("post", path, "--save-time", (1 << 63) - 1, stdin=records(i, i + 1))
        equal(len(uds("dump", path).out.splitlines()), 3)


def a_damaged_config_block_is_made_again_with_the_nonce():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, "--nonce", 77, path)
        uds("post", path, stdin=records(0, 3000))
        before = content(path)
        damage(path, 4096, bytes(4096))
        ran = uds("verify", "--repair", path, status=DAMAGE, says="nonce")
        has(ran.err, "config block")
        equal(content(path)[4096:8192], bytes(4096), "nothing is guessed")
        found = uds("verify", "--repair", "--nonce", 77, "--json", path).json
        equal(found["findings_count"], 1)
        has(found["findings"][0], "nonce 77")
        equal(content(path)[:8192], before[:8192])
        equal(uds("verify", "--json", path).json,
              {"damaged": False, "findings": [], "findings_count": 0})
        equal(len(uds("dump", path).out.splitlines()), 3000)


def a_damaged_super_block_is_made_again():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        # Seed data that are found early when they are lost.
        uds("create", *SMALL, "--nonce-data", "85a7000000000000000000000000000000000000000000000000000000000000", path)
        uds("post", path, stdin=records(0, 3000))
        before = content(path)
        for start, length, lost in ((0, 8, False), (224, 40, True), (0, 4096, True)):
            damage(path, start, bytes(length))
            found = uds("verify", "--repair", "--json", path).json
            equal(found["findings_count"], 1)
            equal("seed data are lost" in found["findings"][0], lost)
            after = content(path)
            equal(after[:224] + after[264:8192], before[:224] + before[264:8192])
            equal(uds("verify", "--json", path).json,
                  {"damaged": False, "findings": [], "findings_count": 0})
            checked = subprocess.run([sys.executable, CHECKER, path], capture_output=True,
                                     text=True, check=False)
            equal(checked.returncode, 0, checked.stdout + checked.stderr)
            equal(len(uds("dump", path).out.splitlines()), 3000)


def a_damaged_save_is_not_called_clean_and_recover_saves_anew():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 2000))
        equal(json.loads(uds("info", "--json", path).out)["state"], "clean")
        start = content(path).index(b"MI5-0005")
        damage(path, start + 16, b"\xff" * 8)
        equal(json.loads(uds("info", "--json", path).out)["state"], "needs-recovery")
        has(uds("recover", path).out, "recovered and saved")
        equal(json.loads(uds("info", "--json", path).out)["state"], "clean")


def a_save_of_another_configuration_is_refused_until_told_to_ignore_it():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        uds("create", "--chapters", 20, "--sparse-chapters", 16, "--sample-rate", 4,
            "--record-pages", 2, "--page-size", 4096, path)
        uds("post", path, stdin=records(0, 3000))
        damage(path, content(path).index(b"ALBIC") + 38, (8).to_bytes(4, "little"))
        before = content(path)
        for command in ("exec", "query", "dump", "recover"):
            uds(command, path, status=DAMAGE, says=[path, "sample rate is 4, the index has 8"])
            equal(content(path), before)
        count = json.loads(uds("info", "--json", path).out)["saved_records"]
        equal(count > 0, True)
        uds("recover", "--ignore-saves", path, status=FAILED,
            says=[path, "its save has %d records that are nowhere else" % count, "--lose-records"])
        equal(content(path), before)
        has(uds("recover", "--ignore-saves", "--lose-records", path).out, "recovered and saved")
        equal(json.loads(uds("info", "--json", path).out)["state"], "clean")


def records_that_only_a_damaged_save_has_are_kept_or_given_up_on_request():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 2000))
        count = json.loads(uds("info", "--json", path).out)["saved_records"]
        equal(count > 0, True)
        lines = sorted(uds("dump", path).out.splitlines())
        uds("recover", "--ignore-saves", path, status=FAILED, says=["%d records" % count])
        damage(path, content(path).index(b"MI5-0005") + 16, b"\xff" * 8)
        equal(sorted(uds("dump", path).out.splitlines()), lines)
        damage(path, content(path).index(b"ALBOC02.00") + 2, b"x")
        before = content(path)
        for command in ("exec", "query", "dump", "recover"):
            uds(command, path, status=FAILED,
                says=["up to %d records" % count, "uds recover --lose-records " + path])
            equal(content(path), before)
        uds("verify", path, status=DAMAGE, says=["save"])
        has(uds("recover", "--lose-records", path).out, "recovered and saved")
        equal(len(uds("dump", path).out.splitlines()), 2000 - count)
        equal(uds("verify", path).status, 0)


def what_is_not_an_index_is_named():
    with Folder() as folder:
        path = os.path.join(folder, "x")
        for stuff in (b"", b"short", b"\0" * MEGABYTE, os.urandom(MEGABYTE)):
            with open(path, "wb") as file:
                file.write(stuff)
            for command in ("info", "exec", "peek", "dump", "load", "verify", "recover"):
                uds(command, path, status=FAILED, says=["uds " + command, path, "not a UDS index"])
                equal(content(path), stuff)


def damaged_and_foreign_indexes_are_named():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        uds("post", path, stdin=records(0, 3000))
        image = content(path)
        payload = 24 + 7 * 24  # of the super block, behind the region table

        def refused(change, statuses, says, cut=None):
            offset, what = change
            changed = bytearray(image)
            changed[offset:offset + len(what)] = what
            with open(path, "wb") as file:
                file.write(changed[:cut])
            before = content(path)
            for command in ("info", "exec", "dump", "recover"):
                ran = uds(command, path, status=None, says=[path, *says])
                if ran.status not in statuses:
                    raise AssertionError(ran)
                equal(content(path), before, "nothing is written by an open that fails")

        refused((0, b"damaged!"), (FAILED,), [])
        refused((18, struct.pack("<H", 9)), (FAILED, DAMAGE), ["version"])
        refused((payload + 40, b"\1"), (FAILED, DAMAGE), ["nonce"])
        refused((payload + 72, struct.pack("<I", 5)), (FAILED,), ["version", "5"])
        refused((payload + 64, b"12345678"), (FAILED, DAMAGE), ["nonce"])
        refused((payload + 76, struct.pack("<I", 512)), (FAILED, DAMAGE), ["512"])
        refused((4096, b"XXXXX"), (FAILED, DAMAGE), [])
        refused((4096 + 5, b"09.09"), (FAILED, DAMAGE), ["09.09"])
        refused((4096 + 34, struct.pack("<I", 12345)), (FAILED, DAMAGE), ["12345"])
        refused((0, b""), (FAILED, DAMAGE), [], cut=20000)


def a_directory_is_refused():
    with Folder() as folder:
        for command in ("create", "info", "exec", "verify", "recover", "dump", "load"):
            uds(command, folder, status=FAILED, says=[folder])
        uds("scan", "--index", folder, "/dev/null", status=FAILED, says=[folder])
        equal(os.listdir(folder), [])


def a_file_without_permission_is_refused():
    prefix = unprivileged()
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        os.chmod(folder, 0o755)
        os.chmod(path, 0o400)
        for command in ("info", "exec", "verify", "dump"):
            uds(command, path, status=FAILED, prefix=prefix, says=[path, "ermission"])
        uds("create", *SMALL, os.path.join(folder, "new"), status=FAILED, prefix=prefix,
            says=["new", "ermission"])
        # May be read, but not written.
        os.chmod(path, 0o444)
        uds("info", path, prefix=prefix)
        uds("dump", path, prefix=prefix)
        uds("post", path, status=FAILED, prefix=prefix, says=[path, "ermission"])


def a_place_that_is_too_small_is_refused():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, "--size", "64K", path, status=FAILED, says=[path, "65536"])
        equal(os.path.exists(path), False, "a file that came to nothing is removed")
        device = os.path.join(folder, "device")
        with open(device, "wb") as file:
            file.truncate(65536)
        loop = subprocess.run(["losetup", "-f", "--show", device], capture_output=True, text=True,
                              check=False)
        if loop.returncode != 0:
            raise Skip("the size limit was tested; no loop device for the rest: %s"
                       % loop.stderr.strip())
        try:
            node = loop.stdout.strip()
            uds("create", *SMALL, node, status=FAILED, says=[node, "65536"])
        finally:
            subprocess.run(["losetup", "-d", node], check=False)
        equal(content(device), b"\0" * 65536)


def an_index_lives_on_a_block_device():
    with Folder() as folder:
        device = os.path.join(folder, "device")
        with open(device, "wb") as file:
            file.truncate(4 * MEGABYTE)
        loop = subprocess.run(["losetup", "-f", "--show", device], capture_output=True, text=True,
                              check=False)
        if loop.returncode != 0:
            raise Skip("no loop device: %s" % loop.stderr.strip())
        try:
            node = loop.stdout.strip()
            uds("create", *SMALL, node)
            uds("post", node, stdin=records(0, 3000))
            equal(len(uds("dump", node).out.splitlines()), 3000)
            uds("verify", node)
            equal(uds("info", "--json", node).json["state"], "clean")
        finally:
            subprocess.run(["losetup", "-d", node], check=False)


def a_second_opener_is_told():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path)
        with subprocess.Popen([TOOL, "exec", path], stdin=subprocess.PIPE, text=True, bufsize=1,
                              stdout=subprocess.PIPE) as process:
            process.stdin.write("post %s %s\n" % (name(1), data(1)))
            process.stdin.flush()
            equal(process.stdout.readline(), "-\n")
            for command in ("exec", "post", "load", "recover", "dump", "info", "verify"):
                uds(command, path, status=FAILED, says=[path, "open"])
            uds("create", "--force", *SMALL, path, status=FAILED, says=[path, "open"])
            process.stdin.close()
            equal(process.wait(), 0)
        equal(uds("peek", path, stdin=name(1)).out, data(1) + "\n")


def a_full_disk_in_a_chapter_is_told_and_what_was_readable_stays():
    with Mounted(2) as folder:
        path = os.path.join(folder, "x.uds")
        # The file is sparse at first: larger than the disk once it is written.
        uds("create", "--chapters", 64, "--record-pages", 16, "--page-size", 4096, path)
        uds("post", path, stdin=records(0, 3000))
        ran = uds("post", path, stdin=records(3000, 100000), status=FAILED,
                  says=[path, "No space left"])
        done = len(ran.out.splitlines())
        equal(3000 < done < 97000, True, "requests before the disk was full: %d" % done)
        found = uds("peek", path, stdin="".join(name(i) + "\n" for i in range(2048))).out
        equal(found, "".join(data(i) + "\n" for i in range(2048)))
        uds("verify", path)


def a_full_disk_in_a_save_is_told_and_what_was_readable_stays():
    with Mounted(2) as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", "--chapters", 64, "--record-pages", 16, "--page-size", 4096, path)
        uds("post", path, stdin=records(0, 3000))
        with open(os.path.join(folder, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\1" * 4096)
            except OSError:
                pass
        # Not enough for a chapter; the other save slot has no room on the disk.
        uds("post", path, stdin=records(3000, 3010), status=FAILED,
            says=[path, "No space left", "not saved"])
        found = uds("peek", path, stdin="".join(name(i) + "\n" for i in range(2048))).out
        equal(found, "".join(data(i) + "\n" for i in range(2048)))
        os.unlink(os.path.join(folder, "filler"))
        uds("post", path, stdin=records(3000, 3010))
        uds("verify", path)


def create_on_a_full_disk_leaves_nothing():
    with Mounted(1) as folder:
        with open(os.path.join(folder, "filler"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\1" * 4096)
            except OSError:
                pass
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, path, status=FAILED, says=[path, "No space left"])
        equal(os.listdir(folder), ["filler"])


def an_index_may_be_named_by_uri():
    with Folder() as folder:
        path = os.path.join(folder, "x.uds")
        uds("create", *SMALL, "file:" + path)
        uds("post", "file:%s?direct=auto" % path, stdin=records(0, 700))
        equal(uds("peek", path, stdin=name(5)).out, data(5) + "\n")
        uds("info", "nonsense:" + path, status=FAILED, says="nonsense")


if __name__ == "__main__":
    assert USAGE == 2
    sys.exit(main([
        create_makes_what_was_asked_for, the_usual_sizes_have_their_geometry,
        the_state_is_told_in_words_and_for_scripts, info_and_verify_write_nothing,
        resident_memory_is_told_before_and_after, recover_saves_and_says_what_it_found,
        images_are_reproducible, create_refuses_to_write_over_content, create_passes_over_holes,
        an_index_may_start_at_an_offset, sparse_indexes_say_what_they_are,
        another_nonce_is_refused_when_one_is_asked_for,
        verify_finds_no_damage_in_good_indexes,
        verify_names_what_is_damaged,
        a_repair_says_what_is_lost_and_drops_it_when_told_so,
        what_a_repair_writes_for_the_only_chapter_is_no_record, the_clock_of_a_save_leaves_later_ones,
        a_damaged_config_block_is_made_again_with_the_nonce,
        a_damaged_super_block_is_made_again,
        a_damaged_save_is_not_called_clean_and_recover_saves_anew,
        a_save_of_another_configuration_is_refused_until_told_to_ignore_it,
        records_that_only_a_damaged_save_has_are_kept_or_given_up_on_request,
        what_is_not_an_index_is_named,
        damaged_and_foreign_indexes_are_named, a_directory_is_refused,
        a_file_without_permission_is_refused, a_place_that_is_too_small_is_refused,
        an_index_lives_on_a_block_device, a_second_opener_is_told,
        a_full_disk_in_a_chapter_is_told_and_what_was_readable_stays,
        a_full_disk_in_a_save_is_told_and_what_was_readable_stays,
        create_on_a_full_disk_leaves_nothing, an_index_may_be_named_by_uri]))
