#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Plants small faults in copies of lib/, one at a time, and looks whether a test notices.

    tests/mutation/mutation.py                     100 mutants, drawn by seed 1
    tests/mutation/mutation.py --seed 7 --list     says which ones another seed would draw
    tests/mutation/mutation.py --mutant 12         only the twelfth of them, with the difference

A mutant is killed when a test fails or takes too long. A mutant that compiles to the same code does not count.
Every other one that survives is to be listed in tests/mutation/survivors with the reason.
Exit status: 0 when at least 95 % are killed and each survivor has its reason, 1 otherwise.
"""
import argparse
import collections
import difflib
import os
import queue
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import mutants  # pylint: disable=wrong-import-position
import workshop  # pylint: disable=wrong-import-position

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
SURVIVORS = os.path.join(TOP, "tests", "mutation", "survivors")
WANTED_PERCENT = 95

Outcome = collections.namedtuple("Outcome", "kind what")  # kind: killed survived same unbuildable


def known_survivors(path=SURVIVORS):
    """{key: reason}. A key is a line at the margin, its reason the indented lines below it."""
    reasons, key = {}, None
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip() or line.startswith("#"):
                continue
            if not line.startswith("\t"):
                key = line.strip()
                reasons[key] = ""
            elif key is None:
                raise SystemExit("%s:%d: a reason without a mutant" % (path, number))
            else:
                reasons[key] = (reasons[key] + " " + line.strip()).strip()
    empty = [key for key, reason in reasons.items() if not reason]
    if empty:
        raise SystemExit("%s: no reason is given for: %s" % (path, empty[0]))
    return reasons


def try_mutant(shop, coverage, mutant):
    with open(os.path.join(shop.top, mutant.file), encoding="utf-8") as file:
        text = file.read()
    tests = coverage.tests_for(mutant)
    if not tests:
        return Outcome("survived", "no test executes the line")
    library = "lib/libcore.la"
    shop.write_source(mutant.file, text)
    built = shop.make(library)
    if built.returncode != 0:
        return Outcome("unbuildable", "the sources themselves do not build:\n" + built.stdout)
    before = shop.object_digest(mutant.file)
    shop.write_source(mutant.file, mutants.apply(text, mutant))
    try:
        built = shop.make(library)
        if built.returncode != 0:
            return Outcome("unbuildable", "does not compile:\n" + built.stdout)
        if shop.object_digest(mutant.file) == before:
            return Outcome("same", "compiles to the same code")
        for test in tests:
            if not shop.rebuild_for(test):
                return Outcome("unbuildable", "%s does not link" % test)
            verdict = shop.run(test, 20 + 5 * coverage.seconds[test])
            if verdict is not None:
                return Outcome("killed", "%s %s" % (test, verdict))
        return Outcome("survived", "%d tests execute the line" % len(tests))
    finally:
        shop.write_source(mutant.file, text)


def run_all(shops, coverage, chosen):
    """Yields (number, mutant, outcome, seconds) as they come, one thread for each copy of the tree."""
    waiting, done = queue.Queue(), queue.Queue()
    for item in chosen:
        waiting.put(item)

    def work(shop):
        while True:
            try:
                number, mutant = waiting.get_nowait()
            except queue.Empty:
                return
            start = time.monotonic()
            try:
                outcome = try_mutant(shop, coverage, mutant)
            except Exception as error:  # a fault of this script is no mutant's end
                outcome = Outcome("unbuildable", "%s: %s" % (type(error).__name__, error))
            done.put((number, mutant, outcome, time.monotonic() - start))

    for shop in shops:
        threading.Thread(target=work, args=(shop,), daemon=True).start()
    for _ in chosen:
        yield done.get()


def difference(top, mutant):
    with open(os.path.join(top, mutant.file), encoding="utf-8") as file:
        text = file.read()
    return "".join(difflib.unified_diff(
        text.splitlines(True), mutants.apply(text, mutant).splitlines(True),
        mutant.file, mutant.file, n=2))


def report(results, reasons):
    """Prints survivors and totals; returns the exit status."""
    counts = collections.Counter(outcome.kind for _, _, outcome in results)
    unexplained = 0
    for number, mutant, outcome in sorted(results):
        if outcome.kind != "survived":
            continue
        reason = reasons.get(mutant.key)
        unexplained += reason is None
        print("survived: %d %s (%s)\n\t%s" % (number, mutant.key, outcome.what,
                                              reason or "no reason is listed"))
    tried = counts["killed"] + counts["survived"]
    percent = 100.0 * counts["killed"] / tried if tried else 0.0
    print("%d mutants: %d killed, %d survived (%d without a listed reason), %d compile to the same code,"
          " %d do not build: %.1f %% of %d killed" % (
              len(results), counts["killed"], counts["survived"], unexplained, counts["same"],
              counts["unbuildable"], percent, tried))
    return 0 if tried and percent >= WANTED_PERCENT and not unexplained else 1


def arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100, help="how many mutants (100)")
    parser.add_argument("--only", action="append", metavar="FILE",
                        help="only files whose path contains this; may be repeated")
    parser.add_argument("--list", action="store_true", help="list the mutants drawn, run nothing")
    parser.add_argument("--mutant", type=int, action="append", metavar="N",
                        help="only the Nth of the mutants drawn; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="how many at the same time (2)")
    parser.add_argument("--work", default=os.path.join(TOP, "build-mutation"),
                        help="folder for copies and builds (build-mutation)")
    return parser.parse_args()


def choose(top, options, reasons):
    everything = list(mutants.in_tree(top, options.only))
    if not options.only:
        keys = {mutant.key for mutant in everything}
        for key in reasons:
            if key not in keys:
                print("survivors: no such mutant any more: %s" % key)
    drawn = list(enumerate(mutants.sample(everything, options.seed, options.count), 1))
    if options.mutant:
        drawn = [(number, mutant) for number, mutant in drawn if number in options.mutant]
    return drawn


def main():
    options = arguments()
    os.environ.setdefault("UDS_VECTORS", os.path.join(TOP, os.pardir, "shared", "vectors"))
    reasons = known_survivors()
    if options.list:
        for number, mutant in choose(TOP, options, reasons):
            print("%4d %s:%d %s" % (number, mutant.file, mutant.first_line, mutant.key))
        return 0
    sources = os.path.join(options.work, "sources")
    workshop.copy_tree(TOP, sources)
    chosen = choose(sources, options, reasons)
    coverage = workshop.Coverage(sources, os.path.join(options.work, "coverage"))
    coverage.load_or_measure()
    shops = [workshop.Workshop(sources, os.path.join(options.work, "worker-%d" % number), "-O1 -w")
             for number in range(1, min(options.jobs, len(chosen)) + 1)]
    for shop in shops:
        workshop.log("building %s" % shop.build)
        shop.prepare()
    results = []
    for number, mutant, outcome, seconds in run_all(shops, coverage, chosen):
        results.append((number, mutant, outcome))
        workshop.log("[%d/%d] %d %s: %s (%.0f s)\n\t%s" % (
            len(results), len(chosen), number, outcome.kind, outcome.what, seconds, mutant.key))
        if options.mutant:
            workshop.log(difference(sources, mutant))
    return report(results, reasons)


if __name__ == "__main__":
    sys.exit(main())
