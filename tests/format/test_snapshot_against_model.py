#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random writes and merges: the library leaves the same bytes as the model, on both images.

The model (cow_format.py) agrees byte for byte with what the kernel wrote in the golden vectors.
Each step is a new process, so every step also opens the store again.

usage: test_snapshot_against_model.py [--with-model]

--with-model tries out this test without the library.
"""
import os
import random
import struct
import subprocess
import sys
import tempfile

import cow_format
from cow_format import SECTOR
from snapshot_peers import (TOOL, Model, Tool, library_peers, play_on_model, read_file, write_file)
from support import SCALE, Results, equal, pattern, read_vector, vectors


class Pair:
    """A store on two files, and the model's two images."""
    def __init__(self, folder, peer, chunk, origin_sectors, cow_sectors, seed=0):
        self.peer, self.chunk, self.sectors = peer, chunk, origin_sectors
        self.origin, self.cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        self.random, self.tag = random.Random(1000 * seed + chunk), 1
        self.origin_data = bytearray(pattern(0, origin_sectors, 1))
        self.cow_data = bytearray(cow_sectors * SECTOR)
        write_file(self.origin, self.origin_data)
        write_file(self.cow, self.cow_data)
        peer.create(self.cow, chunk * SECTOR)
        cow_format.create(self.cow_data, chunk)
        self.compare("create")

    def compare(self, what):
        store = cow_format.Store(self.cow_data)
        equal(cow_format.Store(read_file(self.cow)).exceptions, store.exceptions,
              "exceptions after " + what)
        equal(read_file(self.cow) == self.cow_data, True, "COW after " + what)
        equal(read_file(self.origin) == self.origin_data, True, "origin after " + what)
        equal(self.peer.status(self.origin, self.cow), store.status(), "status after " + what)
        if store.valid:
            equal(self.peer.view(self.origin, self.cow) == store.view(self.origin_data), True,
                  "view after " + what)

    def some_writes(self, count):
        """Writes of any length up to three chunks, mostly near each other."""
        result, near = [], self.random.randrange(self.sectors)
        for _ in range(count):
            if self.random.random() < 0.2:
                near = self.random.randrange(self.sectors)
            start = min(max(near + self.random.randrange(-8, 9) * self.chunk, 0), self.sectors - 1)
            if self.random.random() < 0.5:
                start -= start % self.chunk
            length = self.random.choice((1, self.chunk, self.random.randint(1, 3 * self.chunk)))
            self.tag += 1
            result.append((self.random.choice(("snapshot", "origin")), start,
                           min(length, self.sectors - start), self.tag))
        return result

    def play(self, writes):
        self.peer.play(self.origin, self.cow, writes)
        play_on_model(cow_format.Store(self.cow_data), self.origin_data, writes)
        self.compare("writes")

    def merge(self, limit=0):
        self.peer.merge(self.origin, self.cow, limit)
        cow_format.Store(self.cow_data).merge(self.origin_data, limit or None)
        self.compare("merging %s" % (limit or "all"))


def random_use(peer, chunk, origin_sectors, cow_sectors, seed):
    """Writes to both sides, merges of a part, writes again, a merge of all."""
    with tempfile.TemporaryDirectory(prefix="uds-cow-") as folder:
        pair = Pair(folder, peer, chunk, origin_sectors, cow_sectors, seed)
        for _ in range(3):
            pair.play(pair.some_writes(40))
            left = len(cow_format.Store(pair.cow_data).exceptions)
            pair.merge(pair.random.randint(1, max(left // 2, 1)))
        pair.play(pair.some_writes(20))
        pair.merge()
        pair.play(pair.some_writes(5))


def full_store(peer, chunk, cow_chunks):
    """Writes to new chunks until there is no room: then it is invalid, with the same bytes."""
    with tempfile.TemporaryDirectory(prefix="uds-cow-") as folder:
        pair = Pair(folder, peer, chunk, chunk * (cow_chunks + 8), chunk * cow_chunks)
        writes = [("origin", i * chunk, chunk, i + 2) for i in range(cow_chunks + 2)]
        for start in range(0, len(writes), 16):
            pair.play(writes[start:start + 16])
        equal(cow_format.Store(pair.cow_data).valid, False, "still valid")


def stale_tail_is_cleaned(peer):
    with tempfile.TemporaryDirectory(prefix="uds-cow-") as folder:
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        write_file(origin, pattern(0, 512, 1))
        write_file(cow, read_vector("snapshot", "stale-tail", "cow.img.xz"))
        peer.play(origin, cow, [("snapshot", 300, 1, 5)])
        store = cow_format.Store(read_file(cow))
        equal((len(store.exceptions), store.stale_tail()), (11, []), "exceptions and tail")


# ---- damage -------------------------------------------------------------------------------------

def entry_at(index, old=None, new=None):
    """Changes an exception of area 0 of a store with chunks of 8 sectors."""
    def change(cow):
        at = 4096 + 16 * index
        before = struct.unpack_from("<QQ", cow, at)
        struct.pack_into("<QQ", cow, at, before[0] if old is None else old,
                         before[1] if new is None else new)
    return change


def header_word(index, value):
    def change(cow):
        struct.pack_into("<I", cow, 4 * index, value)
    return change


def cut(cow):
    del cow[4096 + 2048:]


DAMAGE = {
    "new chunk beyond the device": entry_at(3, new=100000),
    "new chunk is the area": entry_at(3, new=1),
    "new chunk is another area": entry_at(3, new=258),
    "old chunk beyond the origin": entry_at(3, old=1 << 40),
    "old chunk twice": entry_at(3, old=0),
    "new chunk twice": entry_at(3, new=2),
    "entries behind the terminator": entry_at(200, old=5, new=60),
    "magic": header_word(0, 0x12345678),
    "version": header_word(2, 2),
    "chunk size 0": header_word(3, 0),
    "chunk size 24": header_word(3, 24),
    "huge chunk size": header_word(3, 1 << 23),
    "cut short in the first area": cut,
}


def damage_is_found(change):
    """`verify` ends with status 3 (1 where it is no store at all), says why, writes nothing."""
    with tempfile.TemporaryDirectory(prefix="uds-cow-") as folder:
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        data, origin_data = bytearray(512 * 4096), bytearray(pattern(0, 8 * 400, 1))
        cow_format.create(data, 8)
        store = cow_format.Store(data)
        for i in range(40):
            store.write_snapshot(origin_data, i * 4096, pattern(8 * i, 8, 7))
        write_file(origin, origin_data)
        write_file(cow, data)

        def verify():
            return subprocess.run([TOOL, "snapshot", "verify", "--origin", origin, cow],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                                  check=False)
        equal(verify().returncode, 0, "a good store")
        change(data)
        write_file(cow, data)
        try:
            faults = list(cow_format.Store(data).faults(len(origin_data)))
            equal(faults != [], True, "the model finds it")
            wanted = (3,)
        except cow_format.StoreError:
            wanted = (1, 3)
        done = verify()
        equal(done.returncode in wanted, True, "status %d: %r" % (done.returncode, done.stdout))
        equal(len(done.stdout) > 0, True, "a reason is given")
        equal(read_file(cow) == data and read_file(origin) == origin_data, True, "unchanged")


def main():
    results = Results(budget_seconds=90)
    peers = [Model()] if "--with-model" in sys.argv else library_peers(results)
    for peer in peers:
        if isinstance(peer, Tool):
            for name, change in DAMAGE.items():
                results.run("damage_is_found: " + name, damage_is_found, change)
        # chunk, origin (mostly with a short last chunk), COW, all in sectors
        shapes = [(1, 700, 600), (2, 1001, 2048), (8, 8189, 4096), (128, 9000, 16384)]
        for chunk, origin, cow in shapes if peer.name != "command" else shapes[2:3]:
            for seed in range(max(int(2 * SCALE), 1)):
                results.run("random_use: %s, chunks of %d sectors, seed %d"
                            % (peer.name, chunk, seed), random_use, peer, chunk, origin, cow, seed)
        # A store that is full inside an area, at its end, and where the next area has no room.
        for chunks in (3, 20, 34, 35, 36, 67, 68) if peer.name != "command" else (34,):
            results.run("full_store: %s, %d chunks" % (peer.name, chunks), full_store, peer, 1,
                        chunks)
        if vectors("snapshot") and not isinstance(peer, Model):
            results.run("stale_tail_is_cleaned: " + peer.name, stale_tail_is_cleaned, peer)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
