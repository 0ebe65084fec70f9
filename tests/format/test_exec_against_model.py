#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random requests through `uds exec` get the answers of the model, and leave images without fault.

Between the requests the index is saved and opened again, crashes and is recovered, and changes its
number of zones. Some runs begin with an index that the reference wrote. Every image that the
command leaves goes through uds_check.py.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

import model
import test_model
import uds_check
import uds_format as uds
from support import IN_PART, SCALE, Results, Skip, equal, read_vector, some, token_data, token_name, vectors

TOOL = os.environ.get("UDS_TOOL", "")
COMMAND = {"P": "post", "U": "update", "Q": "query", "N": "peek", "D": "delete"}


def tool(*arguments, data=None):
    done = subprocess.run([TOOL, *arguments], input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        if "not supported" in said:
            raise Skip(said)
        raise AssertionError("uds %s: exit status %d: %s" % (" ".join(arguments), done.returncode,
                                                             said))
    return done.stdout.decode()


def has_command(name, known={}):
    """Whether the command was built with this one."""
    if name not in known:
        known[name] = subprocess.run([TOOL, "help", name], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, check=False).returncode == 0
    return known[name]


class Requests:
    """A random stream of requests: new names, old ones, and ones that collide with old ones."""
    def __init__(self, seed):
        self.random, self.seed = random.Random(seed), seed
        self.next, self.operation = 0, 0

    def one(self):
        self.operation += 1
        dice, kind = self.random.random(), "P"
        if dice < 0.5 or self.next < 10:
            token = "n%d" % self.next
            self.next += 1
        else:
            # Mostly recent names, sometimes any; sometimes one that collides.
            recent = self.random.choice((200, 2000, self.next))
            token = self.random.choice("nnnnvxh") + str(
                self.next - 1 - self.random.randrange(min(recent, self.next)))
            kind = self.random.choice("PPUQNND")
        return kind, token, self.operation


class CraftedRequests(Requests):
    """So many of the names (0 to 1) are made to collide, in the volume index or in chapters."""
    def __init__(self, seed, crafted):
        super().__init__(seed)
        self.crafted = crafted

    def one(self):
        kind, token, operation = super().one()
        if self.random.random() < self.crafted:
            token = self.random.choice("ffvxh") + token[1:]
        return kind, token, operation


def answer_line(kind, found, old):
    if kind == "D":
        return "+" if found else "-"
    return old.hex() if found else "-"


class Run:
    """An index on an image file, and the model of it."""
    def __init__(self, path, index, requests, offset=0):
        self.path, self.index, self.requests, self.offset = path, index, requests, offset
        self.where = ["--offset", str(offset)] if offset else []

    def same_answers(self, command, requests, zones):
        """Gives requests (kind, token, version) to a command and to the model."""
        self.index.load(zones)
        lines, wanted = [], []
        for kind, token, version in requests:
            name, data = token_name(self.requests.seed, token), token_data(token, version)
            words = [COMMAND[kind]] if command[0] == "exec" else []
            words += [name.hex()] + ([data.hex()] if kind in "PU" else [])
            lines.append(" ".join(words) + "\n")
            found, old, _ = self.index.request(kind, name, data)
            wanted.append((answer_line(kind, found, old), "%s %s" % (kind, token)))
        said = tool(*command, "--zones", str(zones), *self.where, self.path,
                    data="".join(lines).encode()).split("\n")[:-1]
        equal(len(said), len(wanted), "answers")
        for i, (found, (answer, request)) in enumerate(zip(said, wanted)):
            equal(found, answer, "%s, request %d of %d, %s, %d zones"
                  % (command[0], i + 1, len(wanted), request, zones))

    def batch(self, kind, count, zones):
        """Many requests of one kind, which the command may carry out together, then a save."""
        requests = [(kind, *self.requests.one()[1:]) for _ in range(count)]
        self.same_answers([COMMAND[kind]], requests, zones)
        self.index.save()

    def execute(self, count, zones, save=True):
        """Requests of all kinds, one after the other; the answers must be equal."""
        self.same_answers(["exec"] + ([] if save else ["--no-save"]),
                          [self.requests.one() for _ in range(count)], zones)
        if save:
            self.index.save()
        self.check()
        if save:
            self.reports()

    def steps(self, zones, steps):
        """(requests, save or crash or recover) one after the other, with changing zones; then
        some requests of each kind. In a sparse index a batch may find more than single requests,
        since it looks first at which chapters all of them need."""
        for i, (count, end) in enumerate(steps):
            self.execute(int(count), zones[i % len(zones)], save=end == "save")
            if end == "recover":
                self.recover()
        if not self.index.geometry.sparse_chapters:
            for kind in "PUNDQ":
                self.batch(kind, 700 if max(count for count, _ in steps) > 1000 else 250, zones[0])
            self.check()
            self.reports()

    def recover(self):
        tool("recover", *self.where, self.path)
        self.index.load(1)
        self.index.save()
        self.check()
        self.reports()

    def check(self):
        with open(self.path, "rb") as file:
            checker = uds_check.Checker(file.read(), self.offset, strict=True)
        findings = checker.run()
        if findings:
            raise AssertionError("\n".join("%s: %s [%s]" % (place, reason, rule)
                                           for rule, place, reason in findings[:20]))
        if self.index.saved:
            equal((checker.newest, checker.oldest), (self.index.newest, self.index.oldest),
                  "newest and oldest of the image")

    def reports(self):
        """What the other commands say of a saved index."""
        about = json.loads(tool("info", "--json", *self.where, self.path))
        index = self.index
        equal((about["newest_chapter"], about["oldest_chapter"], about["state"]),
              (index.newest, index.oldest, "clean"), "info")
        if has_command("verify"):
            tool("verify", *self.where, self.path)
        if index.geometry.sparse_chapters:
            return  # which of the old records are live depends on the cache
        live = {}
        for name in set().union(*(chapter.data for chapter in index.volume.values()),
                                *(zone.live for zone in index.zones)):
            found, data, _ = index.request(model.PEEK, name)
            if found:
                live[name] = data
        dumped = [tuple(map(bytes.fromhex, line.split()))
                  for line in tool("dump", *self.where, self.path).splitlines()]
        equal(len(dumped), len(live), "records in the dump")
        equal(dict(dumped), live, "dump")
        chapters = [index.subs[0].get(name)[1] for name, _ in dumped]
        equal(chapters, sorted(chapters), "the oldest chapter first")


def create(folder, geometry):
    """An index of this geometry in a file."""
    path = os.path.join(folder, "index")
    arguments = ["create", "--chapters", str(geometry.chapters), "--record-pages",
                 str(geometry.record_pages), "--page-size", str(geometry.page_size)]
    if geometry.sparse_chapters:
        arguments += ["--sparse-chapters", str(geometry.sparse_chapters), "--sample-rate",
                      str(geometry.sample_rate)]
    # The model recovers as the format says, by all chapters; with extras it goes by the save.
    tool(*arguments, "--no-extras", "--force", path)
    return path


def new_index(geometry, zones, seed, steps):
    """A new index; steps: (requests, which of the zone counts, save or crash or recover)."""
    with tempfile.TemporaryDirectory(prefix="uds-exec-") as folder:
        index = model.Index(geometry, zones[0], careful=True)
        run = Run(create(folder, geometry), index, Requests(seed))
        run.index.save()
        run.steps(zones, steps)


def convert(run):
    """Makes one chapter less of the index, as the reference can."""
    program = os.path.join(os.environ.get("UDS_BUILDDIR", ""), "tests", "format", "convert_file")
    if not os.access(program, os.X_OK):
        raise Skip("tests/format/convert_file is not built")
    done = subprocess.run([program, run.path, str(run.offset)], stdout=subprocess.PIPE, check=True)
    run.index.load(1)
    run.index.convert()
    run.offset = int(done.stdout)
    run.where = ["--offset", str(run.offset)]


def crafted_index(geometry, zones, seed, converted):
    """Half to nearly all of the names collide; some chapters are read again and again."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="uds-exec-") as folder:
        index = model.Index(geometry, 1, careful=True)
        requests = CraftedRequests(seed, rng.uniform(0.5, 0.99))
        run = Run(create(folder, geometry), index, requests)
        index.save()
        volume = geometry.chapters * geometry.records
        run.execute(rng.randrange(volume // 2, volume * 3 // 2), 1)
        if converted:
            convert(run)
        # So many that each chapter leaves, and the steps of a converted index are gone through.
        for step in range(2 * volume // 1000 + 4):
            save = rng.random() < 0.8
            run.same_answers(["exec"] + ([] if save else ["--no-save"]),
                             [requests.one() for _ in range(1000)], zones)
            if save:
                index.save()
        run.execute(100, zones)


class UnorderedCache(model.SparseCache):
    """Forgets that also a hook whose chapter has left orders the zones."""
    def update(self, vcn, oldest):
        if vcn >= oldest or vcn in self.lists[0]:
            super().update(vcn, oldest)


class UnorderedIndex(model.Index):
    def start(self, zones):
        super().start(zones)
        self.cache = UnorderedCache(self.cache_chapters, zones)


def search_order(geometry, zones, seed, before, after, hook, name):
    """A hook whose chapter has left brings the order in which each zone searches the cache to zone
    0's. The name asked for next is in a chapter that the zone would have searched after another
    one, which has a false hit. @before, @after: requests before and after the conversion."""
    with tempfile.TemporaryDirectory(prefix="uds-exec-") as folder:
        index = model.Index(geometry, 1, careful=True)
        requests = CraftedRequests(seed, random.Random(seed).uniform(0.5, 0.99))
        run = Run(create(folder, geometry), index, requests)
        index.save()
        run.execute(before, 1)
        convert(run)
        index.save()
        unordered = UnorderedIndex(index.geometry, zones, careful=True)
        unordered.saved, unordered.volume = index.saved, dict(index.volume)
        unordered.load(zones)
        last = [requests.one() for _ in range(after)] + [("Q", hook, 0), ("N", name, 0)]
        run.same_answers(["exec"], last, zones)
        for kind, token, version in last:
            found = unordered.request(kind, token_name(seed, token), token_data(token, version))
        equal((found[:2] == index.request("N", token_name(seed, name))[:2]), False,
              "whether the order does not matter")


def no_dense_chapter():
    """A conversion that takes the only dense chapter gives no index: that is said."""
    with tempfile.TemporaryDirectory(prefix="uds-exec-") as folder:
        run = Run(create(folder, uds.Geometry(4096, 1, 10, 9, 4)),
                  model.Index(uds.Geometry(4096, 1, 10, 9, 4), 1), Requests(1))
        tool("exec", run.path, data=b"post %032x %032x\n" % (1, 1))
        run.index.save()
        convert(run)
        for command in "info", "exec", "verify":
            done = subprocess.run([TOOL, command, *run.where, run.path], stdin=subprocess.DEVNULL,
                                  capture_output=True, timeout=120, check=False)
            equal(done.returncode, 3, command)
            if b"sparse chapters 9 are not in the range 0 to 8" not in done.stderr:
                raise AssertionError("%s said %r" % (command, done.stderr))


def golden_index(name, zones, steps):
    """An index that the reference wrote; the model has done the same from its trace."""
    about = json.loads(read_vector("uds", "index", name + ".json"))
    trace = read_vector("uds", "index", name + ".trace.xz").decode().splitlines()
    seed = int(about["name_stream_seed"], 16)
    index = model.Index(test_model.first_geometry(about, trace), int(trace[0].split()[1]),
                        about["cache_chapters"])
    player = test_model.Player(name, index, seed)
    for line in trace:
        player.line(line)
    index.careful = True
    with tempfile.TemporaryDirectory(prefix="uds-exec-") as folder:
        path = os.path.join(folder, "index")
        with open(path, "wb") as file:
            file.write(read_vector("uds", "index", name + ".img.xz"))
        requests = Requests(seed)
        requests.next = 2000  # these names and their neighbours are known to the trace
        run = Run(path, index, requests, about["index_offset_bytes"])
        run.steps(zones, steps)


def main():
    results = Results()
    if not os.access(TOOL, os.X_OK):
        def no_tool():
            raise Skip("the uds command is not built")
        results.run("requests through the command", no_tool)
        return results.finish()
    if not has_command("verify"):
        def no_verify():
            raise Skip("there is no `uds verify`")
        results.run("images that were made are verified", no_verify)
    share = min(SCALE, 1)
    golden = ("dense-wrap", "converted-crash", "sparse-crash", "sparse-1zone", "dense-2page-crash",
              "dense-collisions", "converted-clean")
    steps = [(3000 * SCALE, "save"), (200, "crash"), (2500 * SCALE, "crash"),
             (2000 * share, "recover"), (1500 * share, "save"), (1500 * share, "save")]
    # For what has them all in a longer run only.
    fewer = [(count // 3, end) for count, end in steps]
    if vectors("uds") is not None:
        for i, name in enumerate(some(golden)):
            results.run("golden_index_answers_as_the_model: " + name, golden_index, name, [1],
                        (steps if SCALE >= 2 or i < 3 else fewer)[1:])
    shapes = {
        "dense": (uds.Geometry(4096, 4, 8), ([1], [2], [3, 5], [1, 4, 2])),
        "two index pages": (uds.Geometry(4096, 16, 6), ([1], [4, 2])),
        "smallest": (uds.Geometry(4096, 1, 4), ([1], [3, 5])),
        "sparse": (uds.Geometry(4096, 4, 20, 16, 4), ([1], [2], [1, 4, 2])),
        "two dense chapters": (uds.Geometry(4096, 2, 12, 10, 4), ([1], [4, 2])),
        "one dense chapter": (uds.Geometry(4096, 2, 12, 11, 4), ([1], [3, 5]))}
    crafted = {
        "sparse": uds.Geometry(4096, 1, 16, 12, 4),
        "sparse, rate 8": uds.Geometry(4096, 1, 22, 16, 8),
        "two dense chapters": uds.Geometry(4096, 1, 10, 8, 4),
        "one dense chapter": uds.Geometry(4096, 1, 10, 9, 4),
        "three dense chapters": uds.Geometry(4096, 4, 10, 7, 2)}
    results.run("a_converted_index_without_a_dense_chapter_is_refused", no_dense_chapter)
    for title, geometry, *rest in (
            ("two dense chapters", uds.Geometry(4096, 1, 10, 8, 4), 2, 2, 755, 950, "f103", "f208"),
            ("two dense chapters", uds.Geometry(4096, 1, 10, 8, 4), 3, 2, 755, 1050, "f131",
             "f391"),
            ("four dense chapters", uds.Geometry(4096, 1, 16, 12, 4), 3, 1, 1282, 1200, "h119",
             "f635")):
        results.run("a_hook_of_a_chapter_that_left_orders_the_zones: %s, zones %d"
                    % (title, rest[0]), search_order, geometry, *rest)
    # In a longer run each with each seed; else with one of three seeds; in a shorter run converted or not.
    for i, (title, geometry) in enumerate(some(list(crafted.items()))):
        for converted in (False, True):
            if converted and geometry.chapters - geometry.sparse_chapters == 1:
                continue  # no dense chapter would be left
            if IN_PART and converted != (i % 2 == 1):
                continue
            for seed in range(41, 41 + 3 * int(SCALE)) if SCALE >= 2 else [41 + (i + converted) % 3]:
                zones = (4, 4, 3, 1, 2)[seed % 5]
                results.run("crafted_names_get_the_answers_of_the_model: %s%s, zones %d, seed %d"
                            % ("converted, " if converted else "", title, zones, seed),
                            crafted_index, geometry, zones, seed, converted)
    # The zones change most in the last choice of each; a shorter run leaves out the others.
    for seed in range(11, 11 + max(int(SCALE), 1)):
        for title, (geometry, choices) in some(list(shapes.items())) if IN_PART else shapes.items():
            for zones in choices[-1:] if IN_PART else choices:
                results.run("new_index_answers_as_the_model: %s, zones %s, seed %d"
                            % (title, zones, seed), new_index, geometry, zones, seed,
                            steps if SCALE >= 2 or zones == choices[-1] else fewer)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
