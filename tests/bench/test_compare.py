#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""bench/compare: answers are checked, what fails or is not there is said, nothing is left behind. Rates are never
compared with anything: they depend on the machine."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ.get("UDS_SRCDIR") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.insert(0, os.path.join(SOURCE, "tests", "format"))
from support import Results, Skip, equal  # noqa: E402

BUILD = os.path.abspath(os.environ.get("UDS_BUILDDIR", "."))
PROGRAM = os.path.join(BUILD, "bench", "compare")
FAKE = os.path.join(BUILD, "tests", "bench", ".libs", "fake_peer.so")
RECORDS = 20000
SHORT = ("--records", RECORDS, "--runs", 1, "--seconds", 5, "--operations", 3000)
READS = ("misses", "hits", "peeks")
ALL = ("fill", "steady", "duplicates", "misses", "hits", "peeks")


def true(condition, *what):
    if not condition:
        raise AssertionError("not so: %r" % (what,))


def run(*arguments, status=0, fake=None, program=PROGRAM, **options):
    """Standard output, and standard error."""
    env = dict(options.pop("env", os.environ))
    if fake:
        env["UDS_FAKE_PEER"] = fake
    ran = subprocess.run([program, *map(str, arguments)], stdout=options.pop("stdout", subprocess.PIPE),
                         stderr=subprocess.PIPE, text=True, check=False, env=env, **options)
    equal(ran.returncode, status, "bench/compare %s: %s" % (" ".join(map(str, arguments)), ran.stderr[-1500:]))
    return ran.stdout, ran.stderr


@contextlib.contextmanager
def place():
    """A folder in which nothing is left behind, and one for what is made on purpose."""
    with tempfile.TemporaryDirectory(prefix="uds-compare-") as folder:
        work, results = os.path.join(folder, "work"), os.path.join(folder, "results")
        os.mkdir(work)
        os.mkdir(results)
        yield work, results
        equal(os.listdir(work), [], "what is left")


def compare(*arguments, at="%s", **options):
    """What was measured, as JSON, and the table and the messages."""
    with place() as (work, results):
        path = os.path.join(results, "json")
        out, messages = run("--at", at % work, "--json", path, *arguments, **options)
        with open(path, encoding="utf-8") as file:
            return json.load(file), out, messages


def select(data, **members):
    return [row for row in data["rows"] if all(row.get(k) == v for k, v in members.items())]


def every_answer_is_right_in_every_mode():
    data, out, _ = compare("--peers", "uds", "--peer", FAKE, *SHORT, "--batch", "7,1,256,4096", "--threads", "1,2",
                           "--in-flight", 16, "--runs", 2)
    for row in data["rows"]:
        equal(row["wrong"], 0, row)
        count = RECORDS if row["workload"] == "fill" else min(3000, RECORDS // 8) if row["workload"] == "hits" else 3000
        equal(row["operations"], 2 * count, row)
        for what in ("per_second", "processor_seconds"):
            s = row[what]
            equal(len(s["values"]), 2, row)
            true(s["lowest"] <= s["quartile"] <= s["median"] <= s["third_quartile"] <= s["highest"], row)
            true(s["lowest"] == min(s["values"]) and s["highest"] == max(s["values"]), row)
    for threads in (1, 2):
        for peer in ("uds", "fake"):
            equal([r["batch"] for r in select(data, peer=peer, threads=threads, workload="fill")], [7], "fills")
            for workload in ALL[1:]:
                rows = select(data, peer=peer, threads=threads, workload=workload)
                equal(sorted(r["batch"] for r in rows if "batch" in r), [1, 7, 256, 4096], workload)
                equal([r["in_flight"] for r in rows if "in_flight" in r], [16] if peer == "uds" else [], workload)
    true("WRONG" not in out and "FAILED" not in out and "one by one, 16 in flight" in out, out)
    equal(data["failures"], [], "failures")


def names_that_are_evicted_are_not_asked_for():
    """Also those that a workload itself evicts. Posts of several times the records, and old names that are in use again between."""
    for threads, batches in ((1, "512,1,2,3,5,8,64,4096"), (3, "512,1,2,3,5,8,64,1024")):
        data, _, _ = compare("--peers", "uds", "--records", RECORDS, "--runs", 1, "--batch", batches, "--seconds", 100,
                             "--workloads", "steady,duplicates,hits,stream", "--threads", threads)
        equal([row for row in data["rows"] if row["wrong"]], [], "wrong answers")
        equal(len(data["rows"]), 33, "rows")


def workloads_without_names_are_left_out_and_named():
    """Of an index so small as what threads may be behind each other, nothing is sure to be there."""
    data, _, messages = compare("--peers", "uds", *SHORT, "--batch", 4096, "--threads", 6)
    equal({row["workload"] for row in data["rows"]}, {"fill", "steady", "misses"}, "workloads")
    true("hits: left out, too few old names are sure to be there" in messages, messages)


def only_the_chosen_workloads_run():
    data, _, _ = compare("--peers", "", "--peer", FAKE, *SHORT, "--workloads", "misses")
    equal([row["workload"] for row in data["rows"]], ["fill", "misses"], "workloads")


def what_a_store_takes_is_measured():
    data, _, _ = compare("--peers", "uds", "--peer", FAKE, *SHORT)
    taken = {t["peer"]: t for t in data["taken"]}
    # A record has 32 bytes on the disk of the index, 33 in a table that has eight times as many places.
    true(32 * RECORDS < taken["uds"]["disk_bytes"] < 200 * RECORDS, taken)
    true(33 * 8 * RECORDS / 2 < taken["fake"]["memory_bytes"] and taken["fake"]["disk_bytes"] < 8192, taken)


def wrong_answers_are_reported():
    for fake, wrong in (("stray", {"misses"}), ("forget", {"duplicates", "hits", "peeks"}),
                        ("data", {"duplicates", "hits", "peeks"})):
        data, out, messages = compare("--peers", "", "--peer", FAKE, "--records", RECORDS, "--runs", 1, "--seconds", 5,
                                      "--operations", 6000, status=1, fake=fake)
        equal({row["workload"] for row in data["rows"] if row["wrong"]}, wrong, fake)
        for row in select(data):
            count = 6000 // 4 if row["workload"] == "hits" else 0
            if row["workload"] in wrong & set(READS):
                equal(row["wrong"], row["operations"], (fake, count))
        if "duplicates" in wrong:  # a run of new names, and what was begun of a run of old ones
            equal(select(data, workload="duplicates")[0]["wrong"], min(6000, RECORDS // 4) - 4096, fake)
        true("WRONG: " in out and "answers were wrong" in messages, out, messages)


def a_call_that_fails_is_reported_and_the_others_go_on():
    for fake, why in (("open", "open: the fake's open"), ("attach", "open: the fake's attach"),
                      ("second", "open: the fake's attach"), ("run", "fill: the fake's run"),
                      ("flush", "fill: the fake's flush"), ("close", "close: the fake's close"),
                      ("mute", "fill: it failed without a sentence"),
                      ("exit", "the process ended with status 3"), ("abort", "the process was ended by signal 6")):
        data, out, messages = compare("--peers", "uds", "--peer", FAKE, *SHORT, "--threads", 2, status=1, fake=fake)
        equal([f["why"] for f in data["failures"]], [why], fake)
        true("FAILED: fake, run 1, " in out and "bench/compare: fake: " + why in messages, out, messages)
        equal({row["workload"] for row in select(data, peer="uds")}, set(ALL), fake)


def a_place_is_handed_over():
    data, _, _ = compare("--peers", "", "--peer", FAKE, *SHORT, "--memory", 77, "--threads", 5, at="file:%s?direct=1&x=2",
                         status=1, fake="place")
    equal([f["why"] for f in data["failures"]], ["open: [direct=1&x=2] 1 5 threads, %d bytes" % (77 << 20)], "place")
    data, _, _ = compare("--peers", "", "--peer", FAKE, *SHORT, status=1, fake="place")
    equal([f["why"] for f in data["failures"]],
          ["open: [] 0 1 threads, %d bytes" % (4 * RECORDS + (64 << 20))], "place")
    data, _, _ = compare("--peers", "uds", *SHORT, at="file:%s?nothing=1", status=1)
    true("nothing" in data["failures"][0]["why"], data["failures"])
    data, _, _ = compare("--peers", "uds", *SHORT, at="%s?map=1")
    equal(select(data)[0]["options"], "map=1", "options")


def a_place_that_is_none_is_reported():
    out = run("--at", "/proc/nothing/here", "--peers", "uds", *SHORT, status=1)[0]
    true("FAILED: uds" in out and "No such file" in out, out)


def a_file_that_is_no_peer_is_refused():
    with place() as (work, results):
        text = os.path.join(results, "text.so")
        with open(text, "w", encoding="ascii") as file:
            file.write("no shared object\n" * 100)
        with open("/proc/self/maps", encoding="ascii") as maps:
            library = next(line.split()[-1] for line in maps if "/libc.so" in line or "/libc-" in line)
        for path, why in ((text, "invalid ELF header"), (os.path.join(results, "none.so"), "cannot open"),
                          ("libc.so.6", "cannot open"), (library, "it has no function bench_peer()")):
            out, messages = run("--at", work, "--peers", "uds", "--peer", path, *SHORT, status=2)
            true(out == "" and "--peer " + path in messages and why in messages, path, messages)
        for fake, why in (("null", "returned NULL"), ("version", "another version"), ("hollow", "function is missing"),
                          ("nameless", "no name")):
            messages = run("--at", work, "--peer", FAKE, *SHORT, status=2, fake=fake)[1]
            true(FAKE in messages and why in messages, fake, messages)


def what_was_not_built_is_named():
    with place() as (_, results):
        program = os.path.join(results, "compare")
        shutil.copy(PROGRAM, program)
        data, out, messages = compare("--peer", FAKE, *SHORT, program=program)
        for name in ("uds", "lmdb", "rocksdb", "sqlite"):
            true("left out: %s: " % name in messages and "%s: left out: " % name in out, messages, out)
            true(os.path.join(results, "peers/.libs/%s.so" % name) in messages, messages)
        equal([p["name"] for p in data["peers"] if "left_out" not in p], ["fake"], "peers")
        true("liblmdb-dev" in messages, messages)
        messages = run("--at", results, *SHORT, program=program, status=2)[1]
        true("nothing to measure" in messages, messages)


def two_builds_of_a_peer_have_two_names():
    data, _, _ = compare("--peers", "", "--peer", FAKE, "--peer", FAKE, *SHORT)
    equal([p["name"] for p in data["peers"]], ["fake", "fake-2"], "names")
    equal({row["peer"] for row in data["rows"]}, {"fake", "fake-2"}, "rows")
    with tempfile.TemporaryDirectory(prefix="uds-compare-") as folder:
        other = os.path.join(folder, "other.so")
        shutil.copy(os.path.join(BUILD, "bench", "peers", ".libs", "uds.so"), other)
        data, _, _ = compare("--peers", "uds", "--peer", other, *SHORT)
    equal([(p["name"], p["file"] == other) for p in data["peers"]], [("uds", False), ("uds-2", True)], "names")
    equal([len(select(data, peer=peer, wrong=0)) for peer in ("uds", "uds-2")], [len(ALL)] * 2, "rows")


def peers_take_turns_in_beginning():
    _, _, messages = compare("--peers", "uds", "--peer", FAKE, *SHORT, "--runs", 3)
    order = [line.strip() for line in messages.splitlines() if line.startswith("  ") and line[2] != " "]
    equal(order, ["uds", "fake", "fake", "uds", "uds", "fake"], "order")


def bad_options_are_refused():
    for arguments in ((), ("--at",), ("--at", ""), ("--at", "?direct=1"), ("--at", "/a%20b"), ("--what",), ("argument",),
                      ("--records", "0"), ("--records", "16383"), ("--records", "1M,"), ("--records", "1X"),
                      ("--batch", "0"), ("--batch", "4097"), ("--batch", "1,,2"), ("--threads", "0"),
                      ("--threads", "65"), ("--in-flight", "0"), ("--in-flight", "2049"), ("--workloads", "nothing"),
                      ("--workloads", "fill,stead"), ("--peers", "uds,mine"), ("--runs", "0"), ("--runs", "33"),
                      ("--seconds", "0"), ("--seconds", "nan"), ("--operations", "0"), ("--memory", "1"),
                      ("--batch", ",".join(map(str, range(1, 17))), "--in-flight", "2"),
                      ("--batch", ",".join(map(str, range(1, 18))))):
        if "--at" not in arguments:
            arguments += ("--at", "/nowhere") if arguments else ()
        equal(run(*arguments, status=2)[0], "", "output of %r" % (arguments,))
    true("nothing" in run("--at", "/nowhere", "--workloads", "nothing", status=2)[1], "the word is named")


def a_report_has_the_table_and_images():
    with place() as (work, results):
        tools, report = os.path.join(results, "bin"), os.path.join(results, "report")
        os.mkdir(tools)
        arguments = ("--at", work, "--at", work + "?map=1", "--peers", "uds", "--peer", FAKE, "--records", "17K,20K",
                     "--batch", "64,1", "--threads", "1,2", "--runs", 1, "--operations", 1000, "--report", report)
        out, messages = run(*arguments, status=1, env={"PATH": tools})
        true("gnuplot is not installed" in messages, messages)
        with open(os.path.join(tools, "gnuplot"), "w", encoding="ascii") as file:
            file.write("#!/bin/sh\nwhile read -r line; do case $line in \"set output\"*) "
                       "name=${line#*\\'}; echo made >\"${name%\\'}\";; esac; done <\"$1\"\n")
        os.chmod(os.path.join(tools, "gnuplot"), 0o755)
        out, _ = run(*arguments, env={"PATH": tools})
        with open(os.path.join(report, "index.html"), encoding="utf-8") as file:
            page = file.read()
        true(out.replace("&", "&amp;").replace("<", "&lt;") in page, page)
        for image in ("size", "batch", "threads"):
            for number in (1, 2):
                name = "%s-%d.svg" % (image, number)
                true('<img src="%s"' % name in page and os.path.exists(os.path.join(report, name)), name, page)
        with open(os.path.join(report, "size-2.svg.dat"), encoding="ascii") as file:
            curves = [curve.splitlines() for curve in file.read().strip().split("\n\n\n")]
        equal([[line.split()[0] for line in curve] for curve in curves], [["17000", "20000"]] * 12, "curves")
        with open(os.path.join(report, "results.json"), encoding="utf-8") as file:
            row = select(json.load(file), peer="uds", workload="fill", options="map=1", threads=1, records=17000)[0]
        true(abs(float(curves[0][0].split()[1]) * row["per_second"]["median"] / 1e6 - 1) < 1e-3, curves[0], row)
        run("--at", work, "--peers", "uds", *SHORT, "--report", os.path.join(results, "none", "r"), status=1)
        run("--at", work, "--peers", "uds", *SHORT, "--report", os.path.join(results, "it's"), status=1)


def real_gnuplot_makes_the_images():
    if shutil.which("gnuplot") is None:
        raise Skip("gnuplot is not installed")
    with place() as (work, results):
        report = os.path.join(results, "r")
        _, messages = run("--at", work, "--peers", "uds", "--peer", FAKE, *SHORT, "--batch", "256,1", "--report", report)
        with open(os.path.join(report, "batch-1.svg"), encoding="utf-8") as file:
            text = file.read()
        true("<svg" in text and "peeks at random stored names" in text and "arning" not in messages, messages)


def output_that_cannot_be_written_is_an_error():
    with place() as (work, results):
        with open("/dev/full", "w", encoding="ascii") as full:
            true("standard output" in run("--at", work, "--peers", "uds", *SHORT, status=1, stdout=full)[1], "full")
        for path in (os.path.join(results, "none", "j"), "/dev/full"):
            true(path in run("--at", work, "--peers", "uds", *SHORT, "--json", path, status=1)[1], path)


def a_signal_leaves_nothing_behind():
    with place() as (work, _):
        with subprocess.Popen([PROGRAM, "--at", work, "--peers", "uds", "--records", "1M", "--seconds", "60"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            until = time.monotonic() + 60
            while not any(os.listdir(os.path.join(work, name)) for name in os.listdir(work)):
                true(time.monotonic() < until and process.poll() is None, "it does not begin")
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, messages = process.communicate(timeout=60)
        equal((process.returncode, out), (1, ""), messages)
        true("stopped" in messages, messages)


def real_peers_give_right_answers():
    built = [name for name in ("lmdb", "rocksdb", "sqlite")
             if os.path.exists(os.path.join(BUILD, "bench", "peers", ".libs", name + ".so"))]
    if not built:
        raise Skip("no other peer is built: make bench-programs")
    data, _, _ = compare("--peers", ",".join(built), *SHORT, "--batch", "256,1", "--operations", 300, "--threads", 2)
    equal({row["peer"] for row in data["rows"]}, set(built), "peers")
    equal([row for row in data["rows"] if row["wrong"]], [], "wrong answers")


def main():
    results = Results()
    for test in (every_answer_is_right_in_every_mode, names_that_are_evicted_are_not_asked_for,
                 workloads_without_names_are_left_out_and_named,
                 only_the_chosen_workloads_run, what_a_store_takes_is_measured, wrong_answers_are_reported,
                 a_call_that_fails_is_reported_and_the_others_go_on, a_place_is_handed_over,
                 a_place_that_is_none_is_reported, a_file_that_is_no_peer_is_refused, what_was_not_built_is_named,
                 two_builds_of_a_peer_have_two_names, peers_take_turns_in_beginning, bad_options_are_refused,
                 a_report_has_the_table_and_images, real_gnuplot_makes_the_images,
                 output_that_cannot_be_written_is_an_error, a_signal_leaves_nothing_behind,
                 real_peers_give_right_answers):
        results.run(test.__name__, test)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
