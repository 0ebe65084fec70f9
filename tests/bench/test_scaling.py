#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/scaling: its numbers fit together, they are what uds-scaling(7) prints, and small real indexes are as its
formulas say. Rates are never compared with anything: they depend on the machine."""
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("UDS_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(SOURCE, "tests", "format"))
from support import IN_PART, Results, Skip, equal  # noqa: E402

PROGRAM = os.path.abspath(os.path.join(os.environ.get("UDS_BUILDDIR", "."), "bench", "scaling"))
SLOTS = 2048


def scaling(*arguments, status=0, **options):
    """Standard output, and standard error."""
    ran = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, **options)
    equal(ran.returncode, status, "bench/scaling %s: %s" % (" ".join(map(str, arguments)), ran.stderr[-1000:]))
    return ran.stdout, ran.stderr


def rows(*arguments):
    return json.loads(scaling("--json", *arguments)[0])["rows"]


def true(condition, *what):
    if not condition:
        raise AssertionError("not so: %r" % (what,))


def shards_of(row):
    return row["logical_indexes"] * row["shards"]


def shards_have_room_for_all_blocks():
    for row in rows():
        equal(row["records"], math.ceil(row["data_bytes"] / row["block_bytes"]), "records")
        true(shards_of(row) * row["shard_records"] >= row["records"] * row["fullest"] * 0.999999, row)
        true(1 <= row["shards"] <= 64, row)


def no_smaller_shards_and_no_fewer_would_do():
    for row in rows():
        needed = row["records"] * row["fullest"] / shards_of(row)
        size = int(row["shard_size"][:-1])
        if row["shard_size"].endswith("G") and size > 1:
            true(row["shard_records"] * (size - 1) / size < needed, row)
        if row["shards"] > 1:
            true(row["shards"] - 1 < row["records"] * row["fullest"] / (row["logical_indexes"] * row["shard_records"]),
                 row)


def sums_are_those_of_the_shards():
    for row in rows():
        for what in ("memory_bytes", "disk_bytes"):
            equal(row[what], shards_of(row) * row["shard_" + what], what)


def a_record_takes_what_the_format_says():
    """A record and its copies: 32 bytes and its part of a chapter's index; an address and the number of a chapter."""
    for row in rows():
        disk = row["shard_disk_bytes"] / row["shard_records"]
        memory = row["shard_memory_bytes"] / row["shard_records"]
        true(32 < disk < 46, disk, row)
        if row["kind"] == "dense":
            true(3.1 < memory < 4.6, memory, row)
        else:
            true(0.3 < memory < 0.5, memory, row)


def more_data_takes_more_and_larger_blocks_less():
    table = {(r["kind"], r["block_bytes"], r["data_bytes"]): r for r in rows()}
    equal(len(table), 40, "rows")
    for (kind, block, size), row in table.items():
        for other in table:
            more = table[other]
            if other[0] == kind and other[1] <= block and other[2] >= size:
                true(more["memory_bytes"] >= row["memory_bytes"] and more["disk_bytes"] >= row["disk_bytes"], row, more)
        if kind == "sparse":
            dense = table["dense", block, size]
            true(row["memory_bytes"] < dense["memory_bytes"] and row["random"]["found"] < dense["random"]["found"], row)
            equal((dense["runs"]["found"], dense["random"]["found"]), (1, 1), "found in a dense index")


def longer_runs_are_found_and_read_better():
    for kind in ("dense", "sparse"):
        before = None
        for length in (1, 8, 64, 512, 4096):
            row = rows("--kind", kind, "--data", "1T", "--block", "4K", "--run", length)[0]
            if length == 1:
                equal(row["runs"], dict(row["random"], requests_per_second=row["runs"]["requests_per_second"]), "runs")
            else:
                true(row["runs"]["found"] >= before["found"] and row["runs"]["pages"] < before["pages"], row)
            before = row["runs"]


def inputs_do_what_they_say():
    usual = rows("--data", "100T", "--block", "4K")
    far = rows("--data", "100T", "--block", "4K", "--round-trip-us", 250)
    quick = rows("--data", "100T", "--block", "4K", "--reads", 1e9, "--read-us", 1)
    new = rows("--data", "100T", "--block", "4K", "--duplicates", 0)
    small = rows("--data", "100T", "--block", "4K", "--shard-memory", 2, "--shards", 4)
    for i, row in enumerate(usual):
        for what in ("new_microseconds", "old_microseconds"):
            true(abs(far[i][what] - row[what] - 250) < 0.01, what, row, far[i])
        true(quick[i]["random"]["requests_per_second"] > row["random"]["requests_per_second"], row, quick[i])
        equal(new[i]["runs"]["requests_per_second"], new[i]["random"]["requests_per_second"], "rates without old names")
        true(small[i]["shards"] <= 4 and small[i]["shard_size"] in ("1G", "2G", "768M"), small[i])
        true(shards_of(small[i]) * small[i]["shard_records"] >= row["records"], small[i])


def mix(z):
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & 2**64 - 1
    z = (z ^ z >> 27) * 0x94d049bb133111eb & 2**64 - 1
    return z ^ z >> 31


def name(number):
    return "%016x%016x" % (mix(2 * number + 1), mix(2 * number + 2))


def the_fullest_shard_is_no_fuller_than_that():
    """Placed as libuds_shards(3) says, with other nonces each time: the mean of the fullest."""
    chance = random.Random(12)
    slots = [mix(s + 0x9e3779b97f4a7c15 & 2**64 - 1) for s in range(SLOTS)]
    for shards in (2, 8, 64):
        # So much that this number of the smallest shards is needed.
        row = next(r for r in (rows("--kind", "dense", "--shard-memory", 1, "--block", "4K", "--data",
                                    int(268173312 * 4096 * shards / f))[0] for f in (1.02, 1.1, 1.13, 1.49, 1.51))
                   if r["shards"] == shards and r["logical_indexes"] == 1)
        seen = []
        for _ in range(64 // shards + 3):
            nonces, counts = [chance.getrandbits(64) for _ in range(shards)], [0] * shards
            for slot in slots:
                weights = [mix(nonce ^ slot) for nonce in nonces]
                counts[weights.index(max(weights))] += 1
            seen.append(max(counts) * shards / SLOTS)
        mean = sum(seen) / len(seen)
        true(1 < mean <= row["fullest"] < 1.25 * mean, shards, mean, row)


def real_indexes_are_as_the_formulas_say():
    with tempfile.TemporaryDirectory(prefix="uds-scaling-") as folder:
        path = os.path.join(folder, "index")
        out = json.loads(scaling("--measure", path, "--json", "--data", "1T", "--block", "4K")[0])
        equal(os.listdir(folder), [], "what is left")
    true(len(out["checks"]) > 25, out["checks"])
    for check in out["checks"]:
        true(check["least"] <= check["measured"] / check["formula"] <= check["most"] and check["good"], check)
    for kind in ("dense", "sparse"):
        true(all(rate > 0 for rate in out["inputs"]["rates"][kind].values()), out["inputs"])


def a_formula_that_is_wrong_is_an_error():
    if IN_PART:
        raise Skip("measures again: only with UDS_TEST_SCALE of 0.5")
    with tempfile.TemporaryDirectory(prefix="uds-scaling-") as folder:
        out, messages = scaling("--measure", os.path.join(folder, "index"), "--chapters", 32, "--tolerance", 0,
                                "--data", "1T", "--json", status=1)
    wrong = {check["name"] for check in json.loads(out)["checks"] if not check["good"]}
    true("dense, a save, bytes" in wrong and "dense, file size, bytes" not in wrong, wrong)
    equal(set(re.findall("the formula is wrong: (.*)", messages)), wrong, "messages")


def a_file_that_is_there_is_kept():
    with tempfile.NamedTemporaryFile(prefix="uds-scaling-") as file:
        file.write(b"mine")
        file.flush()
        out, messages = scaling("--measure", file.name, status=1)
        true(file.name in messages and out == "", messages)
        with open(file.name, "rb") as again:
            equal(again.read(), b"mine", "the file")


def bad_options_are_refused():
    for arguments in (("--data", "0"), ("--data", "1Q"), ("--data", "1T,"), ("--block", "16"), ("--kind", "thin"),
                      ("--duplicates", "1.5"), ("--run", "0"), ("--shard-memory", "1025"), ("--shards", "65"),
                      ("--rates", "1,2"), ("--read-us", "nan"), ("--chapters", "8"), ("--what",), ("argument",)):
        equal(scaling(*arguments, status=2)[0], "", "output of %r" % (arguments,))


def plot_is_made_by_gnuplot():
    with tempfile.TemporaryDirectory(prefix="uds-scaling-") as folder:
        image, tools = os.path.join(folder, "p.svg"), os.path.join(folder, "bin")
        os.mkdir(tools)
        messages = scaling("--plot", image, status=1, env={"PATH": tools})[1]
        true("gnuplot is not installed" in messages and image + ".gnuplot" in messages, messages)
        with open(image + ".dat", encoding="ascii") as file:
            curves = [curve.splitlines() for curve in file.read().strip().split("\n\n\n")]
        equal([len(curve) for curve in curves], [5] * 10, "a title and four sizes for each curve")
        row = rows("--kind", "sparse", "--block", "64K", "--data", "1E")[0]
        last = next(curve for curve in curves if curve[0] == '"sparse, 64 KiB"')[-1].split()
        equal(last[:3], ["%g" % row[what] for what in ("data_bytes", "memory_bytes", "disk_bytes")], "a line")
        with open(os.path.join(tools, "gnuplot"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nread -r line <\"$1\" && echo \"$line\" >'%s'\n" % image)
        os.chmod(os.path.join(tools, "gnuplot"), 0o755)
        scaling("--plot", image, env={"PATH": tools})
        with open(image, encoding="ascii") as file:
            true(file.read().startswith("set terminal svg"), "what gnuplot was given")
        with open(os.path.join(tools, "gnuplot"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nexit 3\n")
        true("failed" in scaling("--plot", image, status=1, env={"PATH": tools})[1], "a gnuplot that fails")
        scaling("--plot", os.path.join(folder, "none", "p.svg"), status=1)


def real_gnuplot_makes_an_image():
    with tempfile.TemporaryDirectory(prefix="uds-scaling-") as folder:
        try:
            subprocess.run(["gnuplot", "--version"], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Skip("gnuplot is not installed") from error
        image = os.path.join(folder, "p.svg")
        scaling("--plot", image)
        with open(image, encoding="utf-8") as file:
            text = file.read()
        true("<svg" in text and "sparse, 64 KiB" in text, text[:200])


def every_example_of_the_page_is_computed_again():
    """The examples of uds-scaling(7): a command, and what it prints."""
    with open(os.path.join(SOURCE, "man", "uds-scaling.7"), encoding="utf-8") as file:
        examples = re.findall(r"^\.Bd -literal[^\n]*\n\$ (bench/scaling[^\n]*)\n(.*?)^\.Ed", file.read(), re.M | re.S)
    compared = 0
    for command, printed in examples:
        if "--measure" in command:
            continue
        command, keep = (command.split(" | ") + [""])[:2]
        out = scaling(*command.split()[1:])[0].splitlines()
        if keep:
            match = re.fullmatch(r"tail -n (\d+)", keep)
            out = out[-int(match.group(1)):]
        equal(printed.splitlines(), out, command)
        compared += 1
    true(compared >= 4, examples)


def numbers_between_the_examples_are_so():
    """What the sentences of uds-scaling(7) say in words or digits, beside the program and the library."""
    with open(os.path.join(SOURCE, "man", "uds-scaling.7"), encoding="utf-8") as file:
        page = file.read()
    with open(os.path.join(SOURCE, "lib", "volume", "lookup_flight.h"), encoding="utf-8") as file:
        flight = re.search(r"LOOKUP_FLIGHT_SOME (\d+)u", file.read()).group(1)
    out = json.loads(scaling("--json")[0])
    table = {(r["kind"], r["block_bytes"], r["data_bytes"]): r for r in out["rows"]}
    dense, sparse = (table[kind, 4096, 10 ** 14] for kind in ("dense", "sparse"))
    for said, number in (
            (r"has (\d+) bytes each way", dense["request_bytes"] // 2),
            (r"(\d+) GB if not given", out["inputs"]["largest_shard_gb"]),
            (r"has up to (\d+) in flight for each call", int(flight)),
            (r"placed by (\d+) slots", SLOTS),
            (r"one name in (\d+) of the others", round(1 / sparse["random"]["found"])),
            (r"A hit on a single name reads (two) pages", "two" if round(dense["random"]["pages"], 1) == 2 else "other")):
        found = re.search(said, page)
        true(found is not None and found.group(1) == str(number), said, number)
    # "A sparse index takes about a tenth of the memory for the same records."
    for (kind, block, size), row in table.items():
        if kind == "sparse":
            small, large = (r["shard_memory_bytes"] / r["shard_records"] for r in (row, table["dense", block, size]))
            true(0.08 < small / large < 0.12, row)
    # "Memory, disk and requests are inversely proportional to the block size": as far as shards have sizes in GB.
    for kind in ("dense", "sparse"):
        small, large = table[kind, 4096, 10 ** 18], table[kind, 65536, 10 ** 18]
        for what in ("memory_bytes", "disk_bytes"):
            true(0.9 < small[what] / large[what] / 16 < 1.15, kind, what)


def a_lost_shard_is_replaced_as_the_page_says():
    """The commands of uds, with small indexes; 1.uds is lost before the last two."""
    tool = os.environ.get("UDS_TOOL", "")
    if not os.access(tool, os.X_OK):
        raise Skip("the uds command is not built")
    if "built without" in subprocess.run([tool, "shards", "info", "/nowhere"], capture_output=True, text=True,
                                         check=False).stderr:
        raise Skip("built without libuds-shards")
    with open(os.path.join(SOURCE, "man", "uds-scaling.7"), encoding="utf-8") as file:
        text = file.read().replace("\\e", "\\")
    commands = re.findall(r"^\$ ((?:for |uds )[^\n]*)$", text, re.M)
    equal(len(commands), 5, "commands")
    with tempfile.TemporaryDirectory(prefix="uds-scaling-") as folder:
        os.mkdir(os.path.join(folder, "bin"))
        os.symlink(os.path.abspath(tool), os.path.join(folder, "bin", "uds"))
        env = dict(os.environ, PATH=os.path.join(folder, "bin") + ":" + os.environ["PATH"])

        def run(command, status=0):
            ran = subprocess.run(["sh", "-c", command.replace("--memory 4G", "--chapters 8 --record-pages 4")],
                                 cwd=folder, env=env, capture_output=True, text=True, check=False)
            equal(ran.returncode, status, "%s: %s" % (command, ran.stderr))
            return ran.stderr

        def peek():
            names = "".join("%s\n" % name(n) for n in range(300))
            ran = subprocess.run(["uds", "peek", "store.shards"], input=names, cwd=folder, env=env,
                                 capture_output=True, text=True, check=True)
            return sum(line != "-" for line in ran.stdout.splitlines())

        for command in commands[:3]:
            run(command)
        posts = "".join("%s %032x\n" % (name(n), n) for n in range(300))
        subprocess.run(["uds", "post", "store.shards"], input=posts, cwd=folder, env=env, capture_output=True,
                       text=True, check=True)
        equal(peek(), 300, "found")
        os.remove(os.path.join(folder, "1.uds"))
        true("1.uds" in run("echo %s | uds peek store.shards" % name(0), status=1), "the missing shard is named")
        for command in commands[3:]:
            run(command)
        true(0 < peek() < 300, "found of the other two")


def main():
    results = Results()
    for test in (shards_have_room_for_all_blocks, no_smaller_shards_and_no_fewer_would_do, sums_are_those_of_the_shards,
                 a_record_takes_what_the_format_says, more_data_takes_more_and_larger_blocks_less,
                 longer_runs_are_found_and_read_better, inputs_do_what_they_say,
                 the_fullest_shard_is_no_fuller_than_that, real_indexes_are_as_the_formulas_say,
                 a_formula_that_is_wrong_is_an_error, a_file_that_is_there_is_kept, bad_options_are_refused,
                 plot_is_made_by_gnuplot, real_gnuplot_makes_an_image, every_example_of_the_page_is_computed_again,
                 numbers_between_the_examples_are_so,
                 a_lost_shard_is_replaced_as_the_page_says):
        results.run(test.__name__, test)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
