#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds snapshot: on stores of its own against a model, on those that the kernel wrote, and on what
is not well."""
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

from tool_support import (DAMAGE, FAILED, IN_PART, TOOL, USAGE, Folder, Mounted, Results, Skip,
                          content, equal, has, read_vector, uds, unprivileged, vectors)
from cow_format import Store  # the model that shares no code with the library
from support import pattern

KEYS = ["valid", "version", "chunk_size_bytes", "exceptions", "areas", "allocated_sectors",
        "total_sectors", "metadata_sectors", "next_free_chunk", "state"]
VECTORS = ["c8-multiarea", "c16", "c32-default", "c128", "c1-manyareas", "c1-areas-exactly-full",
           "c8-crash-writes"]


class Pair(Folder):
    """An origin of random bytes and an empty store, `with Pair() as (origin, cow)`."""
    def __init__(self, origin_bytes=300000, cow_bytes=1 << 20, chunk=4096, where=None):
        super().__init__(where)
        self.sizes, self.chunk = (origin_bytes, cow_bytes), chunk

    def __enter__(self):
        folder = super().__enter__()
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        with open(origin, "wb") as file:
            file.write(random.Random(4).randbytes(self.sizes[0]))
        uds("snapshot", "create", "--chunk-size", self.chunk, "--size", self.sizes[1], cow)
        return origin, cow


class Golden(Folder):
    """Copies of the images of a vector, `with Golden("c16", "mid-crash") as (origin, cow)`."""
    def __init__(self, name, state="after"):
        super().__init__()
        self.images = ("origin." + state, "cow." + state if state != "after" else "cow")
        self.name = name

    def __enter__(self):
        folder, paths = super().__enter__(), []
        for image in self.images:
            paths.append(os.path.join(folder, image))
            with open(paths[-1], "wb") as file:
                file.write(read_vector("snapshot", self.name, image + ".img.xz"))
        return paths


def manifest(name):
    return json.loads(read_vector("snapshot", name, "manifest.json"))


def states(name):
    """The states of a vector that have both images."""
    for file in sorted(os.listdir(vectors("snapshot", name))):
        if file.startswith("cow.") and file.endswith(".img.xz"):
            yield "after" if file == "cow.img.xz" else file[4:-7]


def view(origin, cow, *options):
    return uds("snapshot", "read", "--origin", origin, *options, cow, stdin=b"", binary=True).out


def info(cow):
    return uds("snapshot", "info", "--json", cow).json


def put(command, origin, cow, offset, what, **options):
    return uds("snapshot", command, "--origin", origin, "--offset", offset, cow, stdin=what,
               binary=True, **options)


def sha(what):
    return hashlib.sha256(what).hexdigest()


# ---- stores of our own --------------------------------------------------------------------------

def a_new_store_is_empty_and_shows_the_origin():
    with Pair() as (origin, cow):
        found = info(cow)
        equal({key: found[key] for key in KEYS},
              {"valid": True, "version": 1, "chunk_size_bytes": 4096, "exceptions": 0, "areas": 1,
               "allocated_sectors": 16, "total_sectors": 2048, "metadata_sectors": 16,
               "next_free_chunk": 2, "state": "empty"})
        has(uds("snapshot", "info", cow).out, "empty: ", "16/2048 16", "4.00 KiB")
        equal(view(origin, cow) == content(origin), True)
        equal(uds("snapshot", "list", cow).out, "")
        has(uds("snapshot", "verify", "--origin", origin, cow).out, "no damage")


def writes_and_merges_agree_with_the_model():
    with Pair() as (origin, cow):
        r = random.Random(8)
        model_origin, model_cow = bytearray(content(origin)), bytearray(content(cow))
        for step in range(40):
            offset, what = r.randrange(295000), r.randbytes(r.randrange(1, 20000))
            what = what[:300000 - offset]
            store = Store(model_cow)
            if step % 2:
                put("write", origin, cow, offset, what)
                store.write_snapshot(model_origin, offset, what)
            else:
                put("write-origin", origin, cow, offset, what)
                store.write_origin(model_origin, offset, what)
        equal(content(origin) == bytes(model_origin), True, "the origin")
        store = Store(model_cow)
        wanted = bytes(store.view(model_origin))
        equal(view(origin, cow) == wanted, True, "the snapshot's content")
        equal(view(origin, cow, "--offset", 12345, "--length", 54321) == wanted[12345:66666], True)
        equal(view(origin, cow, "--offset", 300000), b"")
        listed = [tuple(map(int, line.split()))
                  for line in uds("snapshot", "list", cow).out.splitlines()]
        equal(len(listed), info(cow)["exceptions"])
        mapping = store.mapping()
        equal(sorted(old for old, _ in listed), sorted(mapping))
        ranges = [tuple(map(int, line.split()))
                  for line in uds("snapshot", "list", "--ranges", cow).out.splitlines()]
        equal(sorted((old + i, new + i) for old, new, count in ranges for i in range(count)),
              sorted(listed))
        equal(ranges, sorted(ranges))
        equal([(one["old"], one["new"]) for one in uds("snapshot", "list", "--json", cow).json],
              listed)
        equal(uds("snapshot", "verify", "--origin", origin, cow).status, 0)
        ran = uds("snapshot", "merge", "--json", "--origin", origin, cow)
        equal((ran.json["exceptions"], ran.json["remaining"]), (len(listed), 0))
        equal(content(origin) == wanted, True, "the merged origin")
        equal(info(cow)["state"], "empty")
        equal(view(origin, cow) == wanted, True, "what the empty snapshot shows")


def a_merge_goes_on_where_a_limit_stopped_it():
    with Pair() as (origin, cow):
        for chunk in (3, 9, 4, 30, 31, 32, 7):
            put("write", origin, cow, chunk * 4096, b"%02d" % chunk * 2048)
        wanted = view(origin, cow)
        before = content(origin), content(cow)
        dry = uds("snapshot", "merge", "--dry-run", "--json", "--origin", origin, cow).json
        equal((dry["dry_run"], dry["exceptions"], dry["bytes_copied"]), (True, 7, 7 * 4096))
        equal((content(origin), content(cow)) == before, True, "a dry run writes nothing")
        has(uds("snapshot", "merge", "--dry-run", "--origin", origin, cow).out, "would")
        for left in (5, 3, 1):
            ran = uds("snapshot", "merge", "--limit", 2, "--json", "--origin", origin, cow).json
            equal((ran["exceptions"], ran["remaining"]), (2, left))
            equal(info(cow)["exceptions"], left)
            equal(view(origin, cow) == wanted, True, "the view, %d left" % left)
        has(uds("snapshot", "merge", "--origin", origin, cow).out, "1 exception merged",
            "0 remaining")
        equal(content(origin) == wanted, True)


def equal_chunks_are_skipped_when_asked_for():
    with Pair() as (origin, cow):
        put("write", origin, cow, 0, content(origin)[:8192])
        put("write", origin, cow, 40960, b"x" * 4096)
        ran = uds("snapshot", "merge", "--skip-equal", "--json", "--origin", origin, cow).json
        equal((ran["exceptions"], ran["chunks_equal"], ran["bytes_copied"]), (3, 2, 4096))


def a_merge_keeps_to_its_rate():
    with Pair(cow_bytes=2 << 20) as (origin, cow):
        put("write", origin, cow, 0, b"y" * 204800)
        start = time.monotonic()
        uds("snapshot", "merge", "--rate", "200K", "--origin", origin, cow)
        equal(time.monotonic() - start > 0.5, True, "200 KiB at 200 KiB a second")


def an_interrupted_merge_can_go_on():
    with Pair(cow_bytes=4 << 20, origin_bytes=2 << 20) as (origin, cow):
        put("write", origin, cow, 0, random.Random(5).randbytes(2 << 20))
        wanted = view(origin, cow)
        with subprocess.Popen([TOOL, "snapshot", "merge", "--rate", "256K", "--origin", origin,
                               cow], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            time.sleep(0.7)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        equal(process.returncode, 130, (out, err))
        has(err, "interrupted")
        equal(view(origin, cow) == wanted, True)
        uds("snapshot", "merge", "--origin", origin, cow)
        equal(content(origin) == wanted, True)


def write_needs_an_offset_and_both_need_an_origin():
    for command in ("read", "write", "write-origin", "merge"):
        uds("snapshot", command, "--offset" if "write" in command else "--json",
            *(["0"] if "write" in command else []), "cow", status=USAGE, says="--origin")
    for command in ("write", "write-origin"):
        uds("snapshot", command, "--origin", "o", "cow", status=USAGE, says="--offset")


def a_write_behind_the_end_is_refused():
    with Pair() as (origin, cow):
        before = content(origin), content(cow)
        for command in ("write", "write-origin"):
            put(command, origin, cow, 299000, b"z" * 2000, status=FAILED)
            put(command, origin, cow, 400000, b"z", status=FAILED)
        equal((content(origin), content(cow)) == before, True)
        uds("snapshot", "read", "--origin", origin, "--offset", 300001, cow, status=FAILED,
            says=[cow, "300000"])
        uds("snapshot", "read", "--origin", origin, "--length", 300001, cow, status=FAILED,
            says=[cow, "300000"])


def a_full_store_takes_no_more_and_stays_as_it_is():
    with Pair(cow_bytes=40960) as (origin, cow):
        put("write", origin, cow, 0, b"a" * 8 * 4096)
        found = info(cow)
        equal((found["state"], found["room"]), ("full", 0))
        has(uds("snapshot", "info", cow).out, "full: ")
        wanted = view(origin, cow)
        ran = put("write", origin, cow, 200000, b"b" * 4096, status=FAILED)
        has(ran.err.decode(), cow)
        equal(view(origin, cow) == wanted, True)
        put("write", origin, cow, 4096, b"c" * 4096)  # in place
        equal(view(origin, cow)[4096:8192], b"c" * 4096)


def an_origin_write_that_finds_no_room_makes_the_snapshot_invalid():
    with Pair(cow_bytes=40960) as (origin, cow):
        put("write", origin, cow, 0, b"a" * 8 * 4096)
        ran = put("write-origin", origin, cow, 200000, b"b" * 5000, status=FAILED)
        has(ran.err.decode(), "invalid")
        equal(content(origin)[200000:205000], b"b" * 5000, "the write went through")
        found = info(cow)
        equal((found["valid"], found["state"], found["next_free_chunk"]), (False, "invalid", None))
        has(uds("snapshot", "info", cow).out, "invalid: ")
        before = content(origin), content(cow)
        for command in ("read", "merge"):
            uds("snapshot", command, "--origin", origin, cow, status=FAILED, says=[cow])
        put("write", origin, cow, 0, b"x", status=FAILED)
        uds("snapshot", "list", cow, status=FAILED, says=[cow, "--salvage"])
        equal(len(uds("snapshot", "list", "--salvage", cow).out.splitlines()), 8)
        equal((content(origin), content(cow)) == before, True)


def create_checks_before_it_writes():
    with Folder() as folder:
        cow = os.path.join(folder, "cow")
        for size in ("0", "256", "3000", "2G", "x"):
            uds("snapshot", "create", "--chunk-size", size, "--size", "1M", cow, status=USAGE,
                says=["--chunk-size"])
            equal(os.path.exists(cow), False)
        uds("snapshot", "create", "--chunk-size", "4K", cow, status=FAILED, says=[cow, "No such"])
        uds("snapshot", "create", "--chunk-size", "64K", "--size", "64K", cow, status=FAILED,
            says=[cow])
        equal(os.path.exists(cow), False, "a file that came to nothing is removed")
        for offset in (0, 5000):
            with open(cow, "wb") as file:
                file.truncate(1 << 20)
                file.seek(offset)
                file.write(b"precious")
            before = content(cow)
            uds("snapshot", "create", "--chunk-size", "4K", cow, status=FAILED,
                says=[cow, "--force"])
            uds("snapshot", "create", "--chunk-size", "4K", "--size", "2M", cow, status=FAILED,
                says=[cow])
            equal(content(cow), before)
        uds("snapshot", "create", "--chunk-size", "4K", "--force", cow)
        equal(info(cow)["chunk_size_bytes"], 4096)
        uds("snapshot", "create", "--chunk-size", "4K", cow, status=FAILED, says="--force")


def foreign_content_is_refused_and_never_made_a_store():
    with Folder() as folder:
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        with open(origin, "wb") as file:
            file.write(b"o" * 100000)
        for stuff in (b"", b"tiny", bytes(100000), os.urandom(100000)):
            with open(cow, "wb") as file:
                file.write(stuff)
            for command in ("info", "list"):
                uds("snapshot", command, cow, status=FAILED, says=["uds snapshot " + command, cow])
            for command in ("read", "merge"):
                uds("snapshot", command, "--origin", origin, cow, status=FAILED, says=[cow])
            for command in ("write", "write-origin"):
                put(command, origin, cow, 0, b"x", status=FAILED)
            ran = uds("snapshot", "verify", cow, status=None, says=[cow])
            equal(ran.status in (FAILED, DAMAGE), True, ran)
            equal(content(cow), stuff)
        equal(content(origin), b"o" * 100000)


def origin_and_cow_must_be_two():
    with Pair() as (origin, cow):
        link = cow + "-link"
        os.link(cow, link)
        for other in (cow, link):
            uds("snapshot", "read", "--origin", other, cow, status=FAILED, says=[cow, "origin"])
            uds("snapshot", "merge", "--origin", other, cow, status=FAILED, says=[cow, "origin"])
            uds("snapshot", "verify", "--origin", other, cow, status=FAILED, says=[cow, "origin"])


def an_origin_that_is_too_small_is_refused_before_anything_is_written():
    with Pair() as (origin, cow):
        put("write", origin, cow, 290000, b"x" * 4096)
        for size in (200000, 4096, 1, 0):
            os.truncate(origin, size)
            before = content(origin), content(cow)
            for options in ([], ["--dry-run"], ["--force"]):
                uds("snapshot", "merge", *options, "--origin", origin, cow, status=FAILED,
                    says=[origin, "too small", "2 exceptions"])
            ran = uds("snapshot", "verify", "--json", "--origin", origin, cow, status=DAMAGE)
            equal(ran.json["findings_count"], 2)
            uds("snapshot", "verify", cow)
            for options in ([], ["--salvage"]):
                ran = uds("snapshot", "read", *options, "--origin", origin, cow, status=DAMAGE,
                          stdin=b"", binary=True)
                has(ran.err, b"2 saved chunks lie behind")
                equal(ran.out == before[0], True)
            if size > 0:
                for command in ("write", "write-origin"):
                    has(put(command, origin, cow, 0, b"x", status=DAMAGE).err,
                        b"2 exceptions for chunks behind the end of the origin")
            equal((content(origin), content(cow)) == before, True)


def force_is_not_offered_where_it_does_not_help():
    for size in (1000, 4096 * 2 - 512, 4096 * 2 + 77):
        with Pair(origin_bytes=4096 * 4) as (origin, cow):
            put("write", origin, cow, 0, b"x" * 4096 * 4)
            os.truncate(origin, size)
            behind = 3 - size // 4096
            for options in ([], ["--dry-run"], ["--force"]):
                ran = uds("snapshot", "merge", *options, "--origin", origin, cow, status=FAILED,
                          says="%d exception%s for chunks behind" % (behind, " is" if behind == 1 else "s are"))
                equal("--force" in ran.err, False)


def an_origin_that_ends_inside_a_chunk_is_named_before_it_is_merged():
    for size in (1000, 16384 * 2 + 77, 16384 * 3 - 512):
        with Pair(origin_bytes=size, chunk=16384) as (origin, cow):
            put("write", origin, cow, size - 1, b"x")
            expected, cut = view(origin, cow), 16384 - size % 16384
            before = open(origin, "rb").read(), open(cow, "rb").read()
            merge = ["snapshot", "merge", "--origin", origin]
            drops = [origin, "drops the last %d bytes" % cut]
            if size % 512 != 0:
                uds(*merge, cow, status=FAILED, says=drops + ["--force"])
                uds(*merge, "--dry-run", cow, status=FAILED, says=drops + ["--force"])
                merge.append("--force")
            equal(uds(*merge, "--dry-run", "--json", cow, says=drops).json["bytes_cut"], cut)
            equal((open(origin, "rb").read(), open(cow, "rb").read()), before)
            uds(*merge, cow, says=drops)
            equal(open(origin, "rb").read(), expected)


def wait_until_locked(path):
    """Looking by another command would take a lock for a moment, and the writer could meet that one."""
    inode = ":%d" % os.stat(path).st_ino
    for _ in range(400):
        with open("/proc/locks", encoding="utf-8") as locks:
            if any(" WRITE " in line and line.split()[-3].endswith(inode) for line in locks):
                return
        time.sleep(0.02)
    raise AssertionError("%s is not locked after 8 seconds" % path)


def two_users_at_once_are_refused():
    with Pair() as (origin, cow):
        with subprocess.Popen([TOOL, "snapshot", "write", "--origin", origin, "--offset", "0",
                               cow], stdin=subprocess.PIPE) as process:
            wait_until_locked(cow)
            ran = uds("snapshot", "info", cow, status=FAILED)
            has(ran.err, cow, "open")
            uds("snapshot", "merge", "--origin", origin, cow, status=FAILED, says=[cow, "open"])
            process.stdin.close()
            equal(process.wait(), 0)


def a_closed_file_is_refused():
    prefix = unprivileged()
    with Pair() as (origin, cow):
        os.chmod(os.path.dirname(cow), 0o755)
        os.chmod(cow, 0)
        uds("snapshot", "info", cow, status=FAILED, prefix=prefix, says=[cow, "ermission"])
        os.chmod(cow, 0o444)
        uds("snapshot", "info", cow, prefix=prefix)
        uds("snapshot", "merge", "--origin", origin, cow, status=FAILED, prefix=prefix,
            says=[cow, "ermission"])


def a_mounted_device_is_refused():
    with Folder() as folder:
        image = os.path.join(folder, "image")
        with open(image, "wb") as file:
            file.truncate(8 << 20)
        done = subprocess.run(["mkfs.ext2", "-q", "-F", image], capture_output=True, check=False)
        loop = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0 or loop.returncode != 0:
            raise Skip("no loop device with a file system")
        node, mounted = loop.stdout.strip(), os.path.join(folder, "mounted")
        os.mkdir(mounted)
        try:
            if subprocess.run(["mount", node, mounted], capture_output=True,
                              check=False).returncode != 0:
                raise Skip("the device cannot be mounted")
            try:
                cow = os.path.join(folder, "cow")
                uds("snapshot", "create", "--chunk-size", "4K", "--size", "1M", cow)
                uds("snapshot", "create", "--force", "--chunk-size", "4K", node, status=FAILED,
                    says=[node, "mounted"])
                uds("snapshot", "merge", "--origin", node, cow, status=FAILED,
                    says=[node, "mounted"])
            finally:
                subprocess.run(["umount", mounted], check=False)
        finally:
            subprocess.run(["losetup", "-d", node], check=False)


def output_that_nobody_takes_is_an_error():
    with Pair() as (origin, cow):
        if not os.path.exists("/dev/full"):
            raise Skip("no /dev/full")
        uds("snapshot", "read", "--origin", origin, cow, status=FAILED, says="standard output",
            prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])


def a_full_disk_leaves_the_snapshot_as_it_was():
    with Mounted(2) as folder:
        with Pair(where=folder, cow_bytes=8 << 20) as (origin, cow):
            put("write", origin, cow, 0, b"a" * 40960)
            wanted, filler = view(origin, cow), os.path.join(folder, "filler")
            with open(filler, "wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\1" * 4096)
                except OSError:
                    pass
            for command in ("write", "write-origin"):
                ran = put(command, origin, cow, 100000, b"b" * 100000, status=FAILED)
                has(ran.err.decode(), cow, "No space left")
                equal(view(origin, cow) == wanted, True, "after a failed " + command)
            os.unlink(filler)
            put("write", origin, cow, 100000, b"b" * 100000)
            wanted = wanted[:100000] + b"b" * 100000 + wanted[200000:]
            equal(view(origin, cow) == wanted, True)
            uds("snapshot", "verify", "--origin", origin, cow)


# ---- what the kernel wrote ----------------------------------------------------------------------

def golden_stores_are_read_as_the_kernel_reads_them(name):
    about = manifest(name)
    for state in states(name):
        with Golden(name, state) as (origin, cow):
            key = "filled" if state == "after" else state
            wanted, found = about["expected"][key], info(cow)
            equal((found["valid"], found["exceptions"], found["areas"], found["next_free_chunk"],
                   found["chunk_size_bytes"]),
                  (True, wanted["exceptions"], wanted["current_area"] + 1, wanted["next_free"],
                   512 * about["geometry"]["chunk_sectors"]), state)
            status = about["status"].get({"filled": "reloaded.snap", "crash": "crash.snap",
                                          "merged": "filled-merged.snap-again"}.get(
                                              key, key + ".kernel-reload"))
            if status:
                has(uds("snapshot", "info", cow).out, " %s\n" % " ".join(status.split()[3:]))
                equal("%d/%d %d" % (found["allocated_sectors"], found["total_sectors"],
                                    found["metadata_sectors"]), " ".join(status.split()[3:]))
            equal(sha(view(origin, cow)), wanted["snapshot_view_sha256"], state)
            uds("snapshot", "verify", "--origin", origin, cow)


def golden_stores_merge_to_the_kernels_bytes(name):
    merged = read_vector("snapshot", name, "origin.merged.img.xz")
    merged_cow = read_vector("snapshot", name, "cow.merged.img.xz")
    for state in states(name):
        if state == "crash":
            continue
        with Golden(name, state) as (origin, cow):
            uds("snapshot", "merge", "--origin", origin, cow)
            equal(content(origin) == merged, True, "origin, from " + state)
            equal(content(cow) == merged_cow, True, "COW, from " + state)


def the_kernels_writes_make_the_kernels_bytes():
    if IN_PART:
        raise Skip("some hundred writes: only with UDS_TEST_SCALE of 0.5")
    name = "c16"
    about = manifest(name)
    with Golden(name, "after") as (origin, cow):
        with open(origin, "wb") as file:
            file.write(read_vector("snapshot", name, "origin.before.img.xz"))
        with open(cow, "wb") as file:
            file.truncate(512 * about["geometry"]["cow_sectors"])
        uds("snapshot", "create", "--chunk-size", 512 * about["geometry"]["chunk_sectors"], cow)
        for phase in about["writes"]:
            command = {"snapshot": "write", "snapshot-origin": "write-origin"}[phase["target"]]
            for line in read_vector("snapshot", name, phase["file"]).decode().splitlines():
                if line.startswith("#"):
                    continue
                sector, count, tag = map(int, line.split()[:3])
                put(command, origin, cow, 512 * sector, pattern(sector, count, tag))
        equal(sha(content(origin)), about["images"]["origin.after.img"]["sha256"])
        equal(sha(content(cow)), about["images"]["cow.img"]["sha256"])


def the_kernels_invalid_store_is_invalid():
    with Golden("c8-invalid-overflow") as (origin, cow):
        found = info(cow)
        equal((found["valid"], found["state"], found["exceptions"]), (False, "invalid", 0))
        has(uds("snapshot", "info", cow).out, " Invalid\n")
        uds("snapshot", "read", "--origin", origin, cow, status=FAILED)
        uds("snapshot", "merge", "--origin", origin, cow, status=FAILED)


def stores_that_the_kernel_refuses_are_refused():
    cases = json.loads(read_vector("snapshot", "header-and-synthetic", "cases.json"))["cases"]
    with Folder() as folder:
        cow = os.path.join(folder, "cow")
        for case in cases:
            image = read_vector("snapshot", "header-and-synthetic", case["cow_image"])
            with open(cow, "wb") as file:
                file.write(image)
            ran = uds("snapshot", "info", "--json", cow, status=None)
            if case["name"] in ("badmagic", "badversion", "cs0", "cs3"):
                equal(ran.status in (FAILED, DAMAGE), True, (case["name"], ran))
                has(ran.err, cow)
            elif case["load"] == "ok" and image[:4] == b"SnAp":
                equal(ran.status, 0, (case["name"], ran))
            equal(content(cow) == image, True, case["name"])


def data_of(path):
    """The parts of a file that are no holes: [(offset, bytes)]."""
    parts, at = [], 0
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while at < size:
            try:
                start = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break
            at = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            parts.append((start, os.pread(file.fileno(), at - start, start)))
    return parts, size


def differences_make_one_the_other():
    """Ranges cover all that differs; the sparse file laid over the one is the other."""
    rng = random.Random(8)
    for chunks in ((4096, 8192), (512, 16384), (65536, 512)):
        with Pair(origin_bytes=1000448, cow_bytes=4 << 20, chunk=chunks[0]) as (origin, one):
            two, output = origin + ".two", origin + ".diff"
            older = content(origin)
            for round_ in range(8):
                others = ["--cow", two] if round_ >= 4 else []
                if round_ == 4:
                    uds("snapshot", "create", "--chunk-size", chunks[1], "--size", "4M", two)
                    newer = content(origin)
                data = bytes(rng.randrange(1, 30000)) if round_ % 3 == 0 else rng.randbytes(9000)
                uds("snapshot", "write-origin", "--origin", origin, "--offset",
                    rng.randrange(900000), *others, one, stdin=data, binary=True)
            for to, wanted in (([two], newer), ([], content(origin))):
                for equal_too in ([], ["--equal"]):
                    ran = uds("snapshot", "diff", "--json", "--origin", origin, *equal_too, one, *to)
                    ranges = [(r["offset"], r["length"]) for r in json.loads(ran.out)["ranges"]]
                    said = uds("snapshot", "diff", "--origin", origin, *equal_too, one, *to).out
                    equal([tuple(map(int, line.split())) for line in said.splitlines()], ranges)
                    made = bytearray(older)
                    for offset, length in ranges:
                        made[offset:offset + length] = wanted[offset:offset + length]
                    equal(bytes(made) == wanted, True, "ranges")
                    if os.path.exists(output):
                        os.unlink(output)
                    uds("snapshot", "diff", "--origin", origin, *equal_too, "--output", output, one,
                        *to)
                    parts, size = data_of(output)
                    equal(size, len(older))
                    made = bytearray(older)
                    for offset, data in parts:
                        made[offset:offset + len(data)] = data
                    equal(bytes(made) == wanted, True, "output")
                    equal(sum(len(data) for _, data in parts) < len(older) // 2, True, "holes")
            uds("snapshot", "diff", "--origin", origin, "--output", origin, one, status=FAILED,
                says="the output is the origin")
            uds("snapshot", "diff", "--origin", origin, "--output", two, one, two, status=FAILED,
                says="the output is the origin")
            uds("snapshot", "diff", "--origin", origin, one, one, status=FAILED, says="given twice")


def main():
    results = Results()

    def add(test, *arguments, golden=False):
        def run():
            if not os.access(TOOL, os.X_OK):
                raise Skip("the uds command is not built")
            if golden and vectors("snapshot") is None:
                raise Skip("no vectors")
            test(*arguments)
        results.run(": ".join([test.__name__, *arguments]), run)

    for test in (a_new_store_is_empty_and_shows_the_origin, writes_and_merges_agree_with_the_model,
                 a_merge_goes_on_where_a_limit_stopped_it, equal_chunks_are_skipped_when_asked_for,
                 a_merge_keeps_to_its_rate, an_interrupted_merge_can_go_on,
                 write_needs_an_offset_and_both_need_an_origin, a_write_behind_the_end_is_refused,
                 a_full_store_takes_no_more_and_stays_as_it_is,
                 an_origin_write_that_finds_no_room_makes_the_snapshot_invalid,
                 create_checks_before_it_writes, foreign_content_is_refused_and_never_made_a_store,
                 origin_and_cow_must_be_two,
                 an_origin_that_is_too_small_is_refused_before_anything_is_written,
                 force_is_not_offered_where_it_does_not_help,
                 an_origin_that_ends_inside_a_chunk_is_named_before_it_is_merged,
                 two_users_at_once_are_refused, a_closed_file_is_refused,
                 a_mounted_device_is_refused, output_that_nobody_takes_is_an_error,
                 a_full_disk_leaves_the_snapshot_as_it_was, differences_make_one_the_other):
        add(test)
    for name in VECTORS:
        add(golden_stores_are_read_as_the_kernel_reads_them, name, golden=True)
        add(golden_stores_merge_to_the_kernels_bytes, name, golden=True)
    for test in (the_kernels_writes_make_the_kernels_bytes, the_kernels_invalid_store_is_invalid,
                 stores_that_the_kernel_refuses_are_refused):
        add(test, golden=True)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
