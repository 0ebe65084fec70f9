#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The exception store of dm-snapshot, as a program that can be read from top to bottom.

It shares nothing with the library: it was written from the description of the format. A store is
worked on in memory, as a bytearray; a model of what the kernel leaves on disk, without any of its
order of writes and flushes.

usage: cow_format.py [--origin ORIGIN] COW

Prints the status line, the number of exceptions, and every rule that the store breaks.
Exit status: 0 no fault, 1 faults, 2 usage.
"""
import argparse
import struct
import sys

SECTOR = 512
MAGIC = 0x70416e53


class StoreError(Exception):
    """This is not a store, or not one that can be used so."""


class Full(Exception):
    """There is no room for another exception."""


def chunk_size_fault(sectors, block_sectors=1):
    """Why chunks cannot have this size, or None."""
    if sectors == 0 or sectors & sectors - 1:
        return "a chunk of %d sectors is not a power of two" % sectors
    if sectors > 1 << 21:
        return "a chunk of %d sectors is larger than 1 GiB" % sectors
    if sectors % block_sectors:
        return "a chunk of %d sectors is smaller than a block of the device" % sectors
    return None


def create(cow, chunk_sectors):
    """An empty store: the header and a zeroed first area."""
    size = chunk_sectors * SECTOR
    if len(cow) < 2 * size:
        raise StoreError("no room for the first area")
    cow[0:2 * size] = struct.pack("<IIII", MAGIC, 1, 1, chunk_sectors) + bytes(2 * size - 16)


class Store:
    """A store and what it says; `cow` is changed in place by writes and merges."""
    def __init__(self, cow):
        self.cow = cow
        if len(cow) < SECTOR:
            raise StoreError("shorter than a sector")
        magic, valid, version, self.chunk_sectors = struct.unpack_from("<IIII", cow)
        if magic != MAGIC:
            raise StoreError("magic %#x" % magic)
        fault = chunk_size_fault(self.chunk_sectors)
        if fault:
            raise StoreError(fault)
        if version != 1:
            raise StoreError("version %d" % version)
        self.valid = valid != 0
        self.overflowed = False
        self.size = self.chunk_sectors * SECTOR  # of a chunk, bytes
        self.per_area = self.size // 16
        self.exceptions = []  # (old, new) in the order of the store
        self.current_area = self.committed = 0
        self.next_free = 2
        if self.valid:
            self.read()

    def area_chunk(self, area):
        return 1 + area * (self.per_area + 1)

    def is_metadata(self, chunk):
        return chunk == 0 or chunk % (self.per_area + 1) == 1

    def chunk(self, number):
        data = self.cow[number * self.size:(number + 1) * self.size]
        if len(data) < self.size:
            raise StoreError("chunk %d is not on the device" % number)
        return data

    def area(self, number):
        return list(struct.iter_unpack("<QQ", self.chunk(self.area_chunk(number))))

    def read(self):
        """Entries count up to the first with new chunk 0; a full area is followed by another."""
        area = 0
        while True:
            entries = self.area(area)
            used = next((i for i, (_, new) in enumerate(entries) if new == 0), self.per_area)
            self.exceptions += entries[:used]
            if used < self.per_area:
                break
            area += 1
        self.current_area, self.committed = area, used
        self.next_free = max([2] + [new + 1 for _, new in self.exceptions])
        self.skip_metadata()

    def skip_metadata(self):
        if self.next_free % (self.per_area + 1) == 1:
            self.next_free += 1

    def mapping(self):
        """Old chunk to new; of two with the same old chunk the first one counts."""
        return dict(reversed(self.exceptions))

    def status(self):
        if not self.valid:
            return "Invalid"
        if self.overflowed:
            return "Overflow"
        return "%d/%d %d" % (self.next_free * self.chunk_sectors, len(self.cow) // SECTOR,
                             (self.current_area + 2) * self.chunk_sectors)

    def view(self, origin):
        """What a reader of the snapshot sees."""
        if not self.valid:
            raise StoreError("the snapshot is invalid")
        view = bytearray(origin)
        for old, new in self.mapping().items():
            start = old * self.size
            data = self.chunk(new)[:max(len(origin) - start, 0)]
            view[start:start + len(data)] = data
        return view

    def stale_tail(self):
        """Entries of the current area behind its terminator that are not zero."""
        return [entry for entry in self.area(self.current_area)[self.committed:] if any(entry)]

    def faults(self, origin_bytes=None):
        """What a store must not have, as (place, sentence)."""
        if not self.valid:
            return
        chunks, olds, news = len(self.cow) // self.size, {}, {}
        for number, (old, new) in enumerate(self.exceptions):
            place = "area %d, index %d (%d to %d)" % (number // self.per_area,
                                                      number % self.per_area, old, new)
            if new >= chunks:
                yield place, "the new chunk is not on the device"
            if self.is_metadata(new):
                yield place, "the new chunk is a metadata chunk"
            if origin_bytes is not None and old * self.size >= origin_bytes:
                yield place, "the old chunk is not on the origin"
            if old in olds:
                yield place, "index %d has the same old chunk" % olds[old]
            if new in news:
                yield place, "index %d has the same new chunk" % news[new]
            olds.setdefault(old, number)
            news.setdefault(new, number)
        if self.stale_tail():
            yield "area %d" % self.current_area, "entries behind the terminator: %s" % (
                self.stale_tail()[:4],)

    # ---- adding exceptions ----

    def invalidate(self):
        self.valid = False
        self.cow[0:self.size] = struct.pack("<IIII", MAGIC, 0, 1, self.chunk_sectors).ljust(
            self.size, b"\0")

    def put_entry(self, area, index, entry):
        at = self.area_chunk(area) * self.size + 16 * index
        self.cow[at:at + 16] = struct.pack("<QQ", *entry)

    def clean_tail(self):
        """What a careful writer does when it opens a store, and the kernel does not."""
        for index in range(self.committed, self.per_area):
            self.put_entry(self.current_area, index, (0, 0))

    def add(self, old, data):
        """A new chunk with this content (cut short at the end of the origin), and its exception."""
        chunks = len(self.cow) // self.size
        new = self.next_free
        fills = self.committed + 1 == self.per_area
        if new >= chunks or fills and self.area_chunk(self.current_area + 1) >= chunks:
            raise Full
        self.next_free += 1
        self.skip_metadata()
        self.cow[new * self.size:new * self.size + len(data)] = data
        if fills:
            start = self.area_chunk(self.current_area + 1) * self.size
            self.cow[start:start + self.size] = bytes(self.size)
        self.put_entry(self.current_area, self.committed, (old, new))
        self.exceptions.append((old, new))
        self.committed += 1
        if fills:
            self.current_area, self.committed = self.current_area + 1, 0
        return new

    def pieces(self, offset, data):
        """A request cut at chunk boundaries: (old chunk, offset in the chunk, data)."""
        at = 0
        while at < len(data):
            old, inside = divmod(offset + at, self.size)
            part = data[at:at + self.size - inside]
            yield old, inside, part
            at += len(part)

    def write_snapshot(self, origin, offset, data, overflow_invalidates=True):
        """Returns whether it was done; a store that is full becomes invalid, or overflows."""
        if not self.valid or self.overflowed:
            return False
        known = self.mapping()
        for old, inside, part in self.pieces(offset, data):
            if old not in known:
                start = old * self.size
                try:
                    known[old] = self.add(old, origin[start:start + self.size])
                except Full:
                    if overflow_invalidates:
                        self.invalidate()
                    else:
                        self.overflowed = True
                    return False
            at = known[old] * self.size + inside
            self.cow[at:at + len(part)] = part
        return True

    def write_origin(self, origin, offset, data):
        """Copies old content out first; the write itself is always done."""
        known = self.mapping() if self.valid else {}
        for old, _, _ in self.pieces(offset, data):
            if self.valid and old not in known:
                start = old * self.size
                try:
                    known[old] = self.add(old, bytes(origin[start:start + self.size]))
                except Full:
                    self.invalidate()
        origin[offset:offset + len(data)] = data

    # ---- merging ----

    def merge(self, origin, limit=None):
        """Copies the newest exceptions back and removes them: all, or `limit` of them."""
        if not self.valid:
            raise StoreError("an invalid store cannot be merged")
        while self.exceptions and limit != 0:
            if self.committed == 0:
                self.current_area, self.committed = self.current_area - 1, self.per_area
            old, new = self.exceptions.pop()
            start = old * self.size
            data = self.chunk(new)[:max(len(origin) - start, 0)]
            origin[start:start + len(data)] = data
            self.committed -= 1
            self.put_entry(self.current_area, self.committed, (0, 0))
            limit = None if limit is None else limit - 1
        self.next_free = max([2] + [new + 1 for _, new in self.exceptions])
        self.skip_metadata()


def main():
    parser = argparse.ArgumentParser(description="Checks an exception store against its format.")
    parser.add_argument("--origin", help="the origin; old chunks must lie on it")
    parser.add_argument("cow")
    arguments = parser.parse_args()
    with open(arguments.cow, "rb") as file:
        cow = bytearray(file.read())
    size = None
    if arguments.origin:
        with open(arguments.origin, "rb") as file:
            size = file.seek(0, 2)
    try:
        store = Store(cow)
        print("%s: %s, %d exceptions in chunks of %d bytes"
              % (arguments.cow, store.status(), len(store.exceptions), store.size))
        faults = list(store.faults(size))
    except StoreError as error:
        faults = [("store", str(error))]
    for place, reason in faults:
        print("%s: %s: %s" % (arguments.cow, place, reason))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
