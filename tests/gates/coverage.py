#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""coverage.py DIR: which lines and branches of lib/ the tests that ran in DIR, a build with --coverage, have taken.

Prints a line for each folder, then each decoder of bytes from a device that was not taken whole. Exit status: 0 when
the figures below are reached. DIR/coverage.txt names the lines and branches that are missing.

Each test has written its counts below DIR/counts/TEST. A process that may write no more, or is killed, leaves half a
file; in a folder of all tests, what later ones count for that file would be lost as well.
"""
import array
import collections
import json
import os
import struct
import subprocess
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
WANTED_LINES, WANTED_BRANCHES = 99.0, 95.0  # percent of lib/
# What reads the bytes of a device field by field: all lines, all branches.
DECODERS = """
chapter/index_page.c chapter/record_page.c chapter/saved_chapter.c delta/delta_code.c delta/delta_list.c
exceptions/area.c exceptions/store_load.c exceptions/store_verify.c extras/area.c extras/checksums.c extras/journal.c
index/saved_records.c vdo/advice.c vdo/geometry_block.c vdo/super_block.c vdo/volume.c volume/config_block.c
volume/page_check.c volume/page_map.c volume/region_table.c volume/save_header.c volume/super_block.c
volume_index/load.c volume_index/load_lists.c
""".split()

FUNCTION, COUNTERS = 0x01000000, 0x01a10000  # tags in a file of counts


def read_counts(path):
    """The head of a file of counts, the unit of its lengths, and its records: tag and content, of counters their
    values. None when it is not whole: one that was written over in part has no end, which is a tag of 0, or counters
    without a function. Lengths are bytes, or words before gcc 12; a negative one says that all is 0 and not there."""
    with open(path, "rb") as file:
        data = file.read()
    for head, unit in ((16, 1), (12, 4)):
        at, tag, records = head, None, []
        while at + 8 <= len(data):
            before, (tag, length) = tag, struct.unpack_from("<Ii", data, at)
            content = data[at + 8:at + 8 + max(length, 0) * unit]
            if (before == FUNCTION) != (tag == COUNTERS):
                break
            if tag == COUNTERS:
                content = array.array("Q", content or bytes(-length * unit))
            records.append((tag, content))
            at += 8 + max(length, 0) * unit
        if at + 4 == len(data) and data[at:] == bytes(4):
            return data[:head], unit, records
    return None


def add_counts(total, one):
    """Adds the counters of one file to those of another of the same object."""
    for (tag, content), (_, more) in zip(total[2], one[2]):
        if tag == COUNTERS:
            for i, count in enumerate(more):
                content[i] += count


def write_counts(path, counts):
    head, unit, records = counts
    with open(path, "wb") as file:
        file.write(head)
        for tag, content in records:
            content = bytes(content)
            file.write(struct.pack("<Ii", tag, len(content) // unit) + content)
        file.write(bytes(4))


def files_of_counts(folder):
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".gcda"):
                yield os.path.join(place, name)


def gather(folder):
    """Adds up the counts of all tests, and puts them beside the objects. Names the files that were cut off."""
    counts, totals = os.path.join(folder, "counts"), {}
    for test in sorted(os.listdir(counts)):
        one = os.path.join(counts, test)
        for path in files_of_counts(os.path.join(one, folder[1:], "lib")):
            name, found = "/" + os.path.relpath(path, one), read_counts(path)
            if found is None:
                print("cut off: %s" % os.path.relpath(path, counts))
            elif name in totals:
                add_counts(totals[name], found)
            else:
                totals[name] = found
    for name, total in totals.items():
        write_counts(name, total)


def measure(folder):
    """The files of lib/ as gcovr's JSON has them. A failing assert() would be a defect: its branch is none. What a
    processor can do is no input either: one that lacks it takes the other branch, and no test here can."""
    report = os.path.join(folder, "coverage.json")
    subprocess.run(
        ["gcovr", "--root", TOP, "--object-directory", folder, "--filter", os.path.join(TOP, "lib", ""),
         "--exclude-branches-by-pattern", r"\s*assert\(.*|.*__builtin_cpu_supports\(.*",
         "--exclude-unreachable-branches",
         "--gcov-ignore-parse-errors", "--json", report, "-j", "2", os.path.join(folder, "lib")],
        check=True, stdout=subprocess.DEVNULL)
    with open(report, encoding="utf-8") as file:
        return json.load(file)["files"]


class Count:
    """Lines and branches, and how many of them were taken."""

    def __init__(self):
        self.lines = self.lines_taken = self.branches = self.branches_taken = 0

    def add(self, lines):
        for line in lines:
            if line.get("gcovr/noncode") or line.get("gcovr/excluded"):
                continue
            self.lines += 1
            self.lines_taken += line["count"] > 0
            self.branches += len(line["branches"])
            self.branches_taken += sum(branch["count"] > 0 for branch in line["branches"])

    def percent_of_lines(self):
        return 100.0 * self.lines_taken / self.lines if self.lines else 100.0

    def percent_of_branches(self):
        return 100.0 * self.branches_taken / self.branches if self.branches else 100.0

    def whole(self):
        return self.lines == self.lines_taken and self.branches == self.branches_taken

    def __str__(self):
        return "%6.2f %% of %5d lines, %6.2f %% of %5d branches" % (
            self.percent_of_lines(), self.lines, self.percent_of_branches(), self.branches)


def write_missing(files, path):
    """The source of each line that was not taken, or not in every direction."""
    with open(path, "w", encoding="utf-8") as out:
        for file in files:
            with open(os.path.join(TOP, file["file"]), encoding="utf-8") as source:
                text = source.read().split("\n")
            for line in file["lines"]:
                missed = sum(branch["count"] == 0 for branch in line["branches"])
                if line.get("gcovr/noncode") or line["count"] > 0 and not missed:
                    continue
                what = "%d of %d branches" % (missed, len(line["branches"])) if line["count"] else "line"
                out.write("%s:%d: %s: %s\n" % (
                    file["file"], line["line_number"], what, text[line["line_number"] - 1].strip()))


def main():
    folder = os.path.abspath(sys.argv[1])
    gather(folder)
    files = measure(folder)
    total, folders, of = Count(), collections.defaultdict(Count), {}
    for file in files:
        name = os.path.relpath(file["file"], "lib")
        of[name] = Count()
        for count in (total, folders[os.path.dirname(name)], of[name]):
            count.add(file["lines"])
    write_missing(files, os.path.join(folder, "coverage.txt"))
    for name in sorted(folders):
        print("%-14s %s" % (name, folders[name]))
    lacking = [name for name in DECODERS if name not in of or not of[name].whole()]
    for name in lacking:
        print("decoder %-26s %s" % (name, of.get(name, "not measured")))
    results = [
        ("lines", total.percent_of_lines() >= WANTED_LINES, "%s; %g wanted" % (total, WANTED_LINES)),
        ("branches", total.percent_of_branches() >= WANTED_BRANCHES, "%s; %g wanted" % (total, WANTED_BRANCHES)),
        ("decoders", not lacking, "%d of %d taken whole" % (len(DECODERS) - len(lacking), len(DECODERS))),
    ]
    for name, good, text in results:
        print("%s: coverage of %s: %s" % ("passed" if good else "FAILED", name, text))
    failed = sum(not good for _, good, _ in results)
    print("result: %d passed, %d failed, 0 skipped" % (len(results) - failed, failed))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
