#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The model of an index gives the answers that the reference gave in the golden traces."""
import json
import os
import sys

import model
import uds_format as uds
from support import Results, Skip, equal, read_vector, some, token_data, token_name, vectors

# Their volume index runs out of memory, which depends on how the reference arranges it.
NOT_MODELLED = ("memory-overflow", "does-not-fit")
# The reference missed a record here, because of a page that it should have dropped from its cache.
WRONG = {("converted-crash", 8760): "1 8106 d"}


def first_geometry(about, trace):
    g = about["geometry"]
    chapters = g["chapters_per_volume"]
    if any(line.startswith("V ") for line in trace):
        chapters += 1
    return uds.Geometry(g["bytes_per_page"], g["record_pages_per_chapter"], chapters,
                        g["sparse_chapters_per_volume"], g["sparse_sample_rate"],
                        about["volume_index_mean_delta"])


class Player:
    """Does the lines of a trace, and compares the answers."""
    def __init__(self, name, index, seed):
        self.name, self.index, self.seed, self.operation = name, index, seed, 0

    def answer(self, words):
        kind, token, version = words[0], words[1], int(words[2])
        self.operation += 1
        found, old, location = self.index.request(kind, token_name(self.seed, token),
                                                  token_data(token, version))
        shown = "-"
        if old is not None:
            shown = str(int.from_bytes(old[8:12], "little"))
            equal(old, token_data(token, int(shown)), "data of " + token)
        wanted = WRONG.get((self.name, self.operation), " ".join(words[3:]))
        equal("%d %s %s" % (found, shown, location), wanted,
              "operation %d: %s" % (self.operation, " ".join(words)))

    def line(self, line):
        words, index = line.split(), self.index
        if words[0] == "#":
            if words[1] == "newest":
                self.state(words)
        elif words[0] == "S":
            index.save()
        elif words[0] == "X":
            pass  # what was not saved is gone at the next load
        elif words[0] == "R":
            index.load(int(words[1]))
        elif words[0] == "V":
            index.load(1)
            index.convert()
            equal((index.geometry.chapters, index.geometry.remapped_virtual,
                   index.geometry.remapped_physical), tuple(map(int, words[1:4])),
                  "conversion")
        elif words[0] == "C":
            pass
        else:
            self.answer(words)

    def state(self, words):
        zones = ["%d/%d/%d" % zone.counts() for zone in self.index.zones]
        equal((self.index.newest, self.index.oldest), (int(words[2]), int(words[4])), "state")
        equal(zones, words[6:], "zones")


def replay(name):
    about = json.loads(read_vector("uds", "index", name + ".json"))
    trace = read_vector("uds", "index", name + ".trace.xz").decode().splitlines()
    seed = int(about["name_stream_seed"], 16)
    zones = int(trace[0].split()[1])
    index = model.Index(first_geometry(about, trace), zones, about["cache_chapters"])
    player = Player(name, index, seed)
    for line in trace:
        player.line(line)

    final = read_vector("uds", "index", name + ".final.xz").decode().splitlines()
    words = final[0].split()
    index.load(int(words[words.index("zones") + 1]))
    equal((index.newest, index.oldest), (int(words[words.index("newest") + 1]),
                                         int(words[words.index("oldest") + 1])), "opened")
    player = Player(name + ".final", index, seed)
    for line in final[1:-1]:
        player.line(line)
    words = final[-1].split()
    found = (sum(sub.entries() for sub in index.subs), sum(sub.collisions() for sub in index.subs))
    equal(found, (int(words[2]), int(words[4])), "entries and collisions")


def main():
    results = Results(budget_seconds=60)
    if vectors("uds") is None:
        def no_vectors():
            raise Skip("no vectors")
        results.run("golden traces of the index", no_vectors)
        return results.finish()
    names = [file[:-5] for file in sorted(os.listdir(vectors("uds", "index"))) if file.endswith(".json")]
    for name in some([name for name in names if name not in NOT_MODELLED]):
        results.run("model_answers_as_the_reference: " + name, replay, name)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
