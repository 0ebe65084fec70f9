#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The real kernel and the library work on the same stores, in turns.

What the library wrote, the kernel opens, reads, continues and merges; what the kernel continued,
the library reads; what the kernel has half merged, the library merges to the end, and the reverse.
Images after a merge are compared byte for byte. The kernel runs in a virtual machine
(UDS_KERNEL_GUEST); without one the tests are skipped. Several stores share a boot, and the tests of several_snapshots.py
and open_device.py share the first.

usage: test_kernel_guest.py [--with-model]

--with-model puts the model of ../format/cow_format.py in the place of the library.
"""
import hashlib
import os
import random
import shutil
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))
import cow_format  # noqa: E402
import open_device  # noqa: E402
import several_snapshots  # noqa: E402
from cow_format import SECTOR  # noqa: E402
from guest import KILLED, guest_or_skip, run_guest  # noqa: E402
from snapshot_peers import (Model, library_peers, play_on_model, read_file,  # noqa: E402
                            write_file)
from support import Results, Skip, equal, pattern  # noqa: E402


def sha(data):
    return hashlib.sha256(data).hexdigest()


# ---- stores -------------------------------------------------------------------------------------

class Case:
    """A store on two image files, and what it has to hold."""
    def __init__(self, folder, peer, letter, chunk, origin_sectors, cow_sectors, writes):
        self.peer, self.letter, self.chunk, self.count = peer, letter, chunk, writes
        self.title = "%s, chunks of %d sectors" % (peer.name, chunk)
        self.origin = os.path.join(folder, letter + ".origin")
        self.cow = os.path.join(folder, letter + ".cow")
        self.random, self.tag = random.Random(chunk + ord(letter)), 100
        self.origin_data = bytearray(pattern(0, origin_sectors, 1))  # what the origin must hold
        self.view = bytearray(self.origin_data)  # what the snapshot must hold
        write_file(self.origin, self.origin_data)
        write_file(self.cow, bytes(cow_sectors * SECTOR))

    def writes(self, count):
        """Some writes, also to runs of chunks; each is aligned to its own length."""
        sectors, result = len(self.view) // SECTOR, []
        for _ in range(count):
            length = self.random.choice((1, self.chunk, self.chunk, 2 * self.chunk))
            sector = self.random.randrange(sectors // length) * length
            self.tag += 1
            result.append((self.random.choice(("snapshot", "origin")), sector, length, self.tag))
        return result

    def expect(self, writes):
        """The views after these writes: a write to one side is not seen on the other."""
        for target, sector, count, tag in writes:
            data = self.view if target == "snapshot" else self.origin_data
            data[sector * SECTOR:(sector + count) * SECTOR] = pattern(sector, count, tag)

    def fill(self):
        writes = self.writes(self.count)
        self.peer.create(self.cow, self.chunk * SECTOR)
        self.peer.play(self.origin, self.cow, writes)
        self.expect(writes)

    def copy(self, suffix):
        shutil.copy(self.origin, self.origin + suffix)
        shutil.copy(self.cow, self.cow + suffix)
        return self.origin + suffix, self.cow + suffix

    def disks(self, suffix=""):
        return ["-d", "%so%s=%s" % (self.letter, suffix, self.origin + suffix),
                "-d", "%sc%s=%s" % (self.letter, suffix, self.cow + suffix)]

    def devices(self, suffix=""):
        return "/dev/%so%s" % (self.letter, suffix), "/dev/%sc%s" % (self.letter, suffix)

    def exceptions(self, suffix=""):
        return len(cow_format.Store(read_file(self.cow + suffix)).exceptions)


class Said(dict):
    """What the commands print: {key: rest of the line}, and all lines."""
    def __init__(self, text):
        self.lines = text.splitlines()
        super().__init__((words[0], " ".join(words[1:])) for words in map(str.split, self.lines) if words)


def guest(script, disks, files=(), kill_on=None, options=()):
    """Runs the commands there."""
    arguments = [*options, *disks, *(word for file in files for word in ("-f", file))]
    arguments += ["--kill-on", kill_on] if kill_on else []
    done = run_guest(*arguments, script)
    if done.returncode != (KILLED if kill_on else 0):
        raise AssertionError("guest: exit status %d:\n%s%s" % (done.returncode, done.stdout, done.stderr))
    return Said(done.stdout)


# ---- what the kernel is asked to do -------------------------------------------------------------

def continue_script(case, writes):
    """Opens the store, tells what it reads, writes on, tells again."""
    (o, c), x = case.devices(), case.letter
    lines = ["snap %ss %s %s P %d" % (x, o, c, case.chunk), "origin %sb %s" % (x, o),
             "echo status-%s $(dmsetup status %ss)" % (x, x),
             "echo view-%s $(dsha /dev/mapper/%ss)" % (x, x)]
    for target, sector, count, tag in writes:
        device = x + ("s" if target == "snapshot" else "b")
        lines.append("dd if=%s.%d of=/dev/mapper/%s bs=%d count=1 seek=%d oflag=direct "
                     "conv=notrunc 2>/dev/null || echo failed-%s %d"
                     % (x, tag, device, count * SECTOR, sector // count, x, sector))
    lines += ["echo later-status-%s $(dmsetup status %ss)" % (x, x),
              "echo later-view-%s $(dsha /dev/mapper/%ss)" % (x, x),
              "dmsetup remove %ss" % x, "dmsetup remove %sb" % x]
    return "\n".join(lines)


def merge_script(case, suffix):
    (o, c), x = case.devices(suffix), case.letter + suffix
    return "\n".join([
        "snap %ss %s %s P %d" % (x, o, c, case.chunk),
        "echo view-%s $(dsha /dev/mapper/%ss)" % (x, x), "dmsetup remove %ss" % x,
        "snapmerge %sm %s %s P %d && waitmerge %sm" % (x, o, c, case.chunk, x),
        "echo status-%s $(dmsetup status %sm)" % (x, x), "dmsetup remove %sm" % x])


def half_merge_script(cases):
    """Starts merges on slow COW devices, and says so when each has done a part."""
    lines = []
    for case in cases:
        (o, c), x = case.devices(".cut"), case.letter
        lines += ['dmsetup create %sd --table "0 $(dsectors %s) delay %s 0 0 %s 0 15"'
                  % (x, c, c, c),
                  "snapmerge %sm %s /dev/mapper/%sd P %d" % (x, o, x, case.chunk)]
    for case in cases:
        half = (2 + case.exceptions() * 2 // 3) * case.chunk
        lines += ["while true; do set -- $(dmsetup status %sm); a=${4%%%%/*}" % case.letter,
                  "[ $a -lt %d ] && break; usleep 5000; done" % half]
    return "\n".join(lines + ["echo HALF-MERGED", "sleep 30"])


# ---- tests --------------------------------------------------------------------------------------

def library_reads_what_it_wrote(case):
    case.fill()
    equal(sha(case.peer.view(case.origin, case.cow)), sha(case.view), "view")
    equal(read_file(case.origin) == case.origin_data, True, "origin")
    equal(list(cow_format.Store(read_file(case.cow)).faults(len(case.view))), [], "faults")
    equal(case.exceptions() > 20, True, "enough exceptions")


def kernel_opens_and_continues(cases, invalid, folder, results, parts):
    """In the same boot it is asked what it thinks of an invalid store, and the parts of other tests."""
    script, files, disks, todo = [make_invalid(invalid)], [], invalid.disks(), {}
    for case in cases:
        todo[case] = case.writes(8)
        case.before = case.peer.status(case.origin, case.cow)
        case.model = read_file(case.origin), read_file(case.cow)
        for _, sector, count, tag in todo[case]:
            files.append(os.path.join(folder, "%s.%d" % (case.letter, tag)))
            write_file(files[-1], pattern(sector, count, tag))
        script.append(continue_script(case, todo[case]))
        disks += case.disks()
    for part in parts:
        script.append("(\n%s\n) || exit" % part.script)
        disks += part.disks
        files += part.files
    said = guest("\n".join(script), disks, files, options=[word for part in parts for word in part.options])
    for part in parts:
        part.judge(said, results)

    def kernel_reads(case):
        x = case.letter
        equal(said["status-" + x].split()[3:], case.before.split(), "status")
        equal(said["view-" + x], sha(case.view), "view")

    def library_reads_on(case):
        x = case.letter
        case.expect(todo[case])
        equal(said.get("failed-" + x), None, "write by the kernel failed")
        equal(said["later-view-" + x], sha(case.view), "view of the kernel")
        equal(case.peer.status(case.origin, case.cow).split(),
              said["later-status-" + x].split()[3:], "status")
        equal(sha(case.peer.view(case.origin, case.cow)), sha(case.view), "view")
        equal(read_file(case.origin) == case.origin_data, True, "origin")

    def same_bytes(case):
        origin, cow = case.model
        store = cow_format.Store(cow)
        play_on_model(store, origin, todo[case])
        equal(cow == read_file(case.cow), True, "COW")

    for case in cases:
        results.run("kernel_reads_what_we_wrote: " + case.title, kernel_reads, case)
        results.run("we_read_what_the_kernel_continued: " + case.title, library_reads_on, case)
        results.run("kernel_appends_as_the_model: " + case.title, same_bytes, case)
    results.run("kernel_knows_an_invalid_store", lambda: (
        equal(invalid.peer.status(invalid.origin, invalid.cow), "Invalid"),
        equal(said["invalid"].split()[3:], ["Invalid"])))


def make_invalid(case):
    """Too many writes to the origin: the store becomes invalid. Returns how the kernel is asked."""
    case.peer.create(case.cow, case.chunk * SECTOR)
    writes = [("origin", i * case.chunk, case.chunk, i + 1) for i in range(case.count)]
    case.peer.play(case.origin, case.cow, writes)
    return "snap s %s %s P %d && echo invalid $(dmsetup status s) && dmsetup remove s" % (
        *case.devices(), case.chunk)


def kernel_merges(cases, results):
    """The kernel merges stores that are full, and stores that we have half merged; the last of all
    it does not come to the end of."""
    script, disks, halves = [], [], []
    for case in cases:
        case.copy(".kernel")
        case.peer.merge(*case.copy(".half"), case.exceptions() // 2)
        halves.append(case.exceptions(".half"))
        for suffix in (".kernel", ".half"):
            script.append(merge_script(case, suffix))
            disks += case.disks(suffix)
    for case in cases:
        case.copy(".cut")
        disks += case.disks(".cut")
    said = guest("\n".join(script) + "\n" + half_merge_script(cases), disks,
                 kill_on="HALF-MERGED")

    def merged_alike(case):
        equal(said["view-%s.kernel" % case.letter], sha(case.view), "view before")
        origin, cow = case.copy(".ours")
        case.peer.merge(origin, cow)
        equal(read_file(origin) == case.view, True, "our merged origin is the view")
        equal(read_file(case.origin + ".kernel") == case.view, True, "the kernel's is the view")
        equal(read_file(cow) == read_file(case.cow + ".kernel"), True, "the COW images are equal")

    def half_merged_by_us(case):
        equal(said["view-%s.half" % case.letter], sha(case.view), "view when half merged")
        equal(read_file(case.origin + ".half") == case.view, True, "origin")
        equal(read_file(case.cow + ".half") == read_file(case.cow + ".kernel"), True, "COW")

    for case, left in zip(cases, halves):
        results.run("merges_are_equal: " + case.title, merged_alike, case)
        results.run("half_merge_leaves_the_rest: " + case.title, equal, left,
                    case.exceptions() - case.exceptions() // 2)
        results.run("kernel_ends_our_merge: " + case.title, half_merged_by_us, case)


def we_end_the_kernels_merge(cases, results):
    middle = [0 < case.exceptions(".cut") < case.exceptions() for case in cases]

    def ended(case):
        origin, cow = case.origin + ".cut", case.cow + ".cut"
        left = case.exceptions(".cut")
        equal(left < case.exceptions(), True, "the kernel has begun")
        equal(sha(case.peer.view(origin, cow)), sha(case.view), "view")
        case.peer.merge(origin, cow)
        equal(read_file(origin) == case.view, True, "origin")
        equal(read_file(cow) == read_file(case.cow + ".kernel"), True, "COW")

    for case in cases:
        results.run("we_end_the_kernels_merge: " + case.title, ended, case)
    results.run("a_merge_was_cut_in_the_middle", equal, any(cut for cut in middle), True)


def begin_others(folder, results):
    """The other tests of the first boot: their parts, and the origins with several snapshots."""
    origins, parts = [], []
    try:
        origins = several_snapshots.begin(folder, results)
        parts.append(several_snapshots.the_kernel_goes_on(origins))
    except Skip as reason:
        results.skip([several_snapshots], reason)
    try:
        parts.append(open_device.begin(folder))
    except Skip as reason:
        results.skip([open_device], reason)
    return origins, parts


def new_cases(folder, peers):
    cases = []
    for peer in peers:
        # chunk, origin (its last chunk cut short), COW, writes; sizes in sectors
        sizes = [(1, 2001, 1024, 120), (8, 4093, 4096, 150), (128, 9000, 10240, 40)]
        for chunk, origin, cow, writes in sizes if peer.name != "command" else sizes[1:2]:
            cases.append(Case(folder, peer, "abcdefgh"[len(cases)], chunk, origin, cow, writes))
    return cases


def main():
    results = Results()
    with_model = "--with-model" in sys.argv
    peers = [Model()] if with_model else library_peers(results)
    if not peers:
        return results.finish()
    try:
        guest_or_skip()
    except Skip as reason:
        print("skipped: kernel guest: %s" % reason)
        results.skipped += 1
        return results.finish()
    with tempfile.TemporaryDirectory(prefix="uds-guest-") as folder:
        cases = new_cases(folder, peers)
        for case in cases:
            results.run("library_reads_what_it_wrote: " + case.title,
                        library_reads_what_it_wrote, case)
        origins, parts = ([], []) if with_model else begin_others(folder, results)
        if not results.failed:
            kernel_opens_and_continues(cases, Case(folder, peers[0], "i", 8, 2048, 512, 80), folder,
                                       results, parts)
            kernel_merges(cases, results)
            we_end_the_kernels_merge(cases, results)
            several_snapshots.end(origins, results)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
