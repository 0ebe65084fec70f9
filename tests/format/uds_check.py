#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks a UDS index against every rule of its format; shares no code with the library.

usage: uds_check.py [--offset BYTES] [--strict] [--quiet] IMAGE

Prints each fault with its place and the rule that it breaks, then what was seen. --strict also
counts volume index entries whose chapter does not hold such a name as faults; a few of them are
legal, for example after an index was opened with another number of zones.
Exit status: 0 no fault, 1 faults, 2 usage.
"""
import argparse
import collections
import contextlib
import sys

import uds_format as uds
from uds_check_volume import VolumeChecks
from uds_format import BLOCK, FormatError
from uds_rules import RULES


class Checker(VolumeChecks):
    def __init__(self, image, offset=0, strict=False):
        self.image, self.offset, self.strict = image, offset, strict
        self.findings = []  # (rule, place, reason)
        self.seen = collections.Counter()
        self.geometry = self.nonce = None

    def find(self, rule, place, reason):
        assert rule in RULES, rule
        self.findings.append((rule, place, reason))

    def expect(self, condition, rule, place, reason):
        if not condition:
            self.find(rule, place, reason)
        return condition

    @contextlib.contextmanager
    def reading(self, rule, place):
        """Turns bytes that cannot be read into a finding."""
        try:
            yield
        except FormatError as error:
            self.find(rule, place, str(error))

    def blocks(self, start, count):
        data = self.image[BLOCK * start:BLOCK * (start + count)]
        if start < 0 or len(data) < BLOCK * count:
            raise FormatError("blocks %d to %d are not on the device" % (start, start + count - 1))
        return data

    def run(self):
        with self.reading("device", "device"):
            if self.check_super() and self.check_config():
                self.check_sizes()
                headers = [self.check_save_header(slot) for slot in range(2)]
                self.check_volume(headers)
                for slot, header in enumerate(headers):
                    if header is not None:
                        self.check_save(slot, header)
        return self.findings

    # ---- super block and config ----

    def check_super(self):
        place, first = "super block", self.offset // BLOCK
        block = self.blocks(first, 1)
        self.super = None
        with self.reading("super-table", place):
            self.super = uds.SuperBlock(block)
        if self.super is None:
            return False
        sup, table = self.super, self.super.table
        ok = self.expect((table.type, table.version) == (1, 1), "super-table", place,
                         "type %d, version %d" % (table.type, table.version))
        length = {3: 104, 7: 120}.get(sup.version)
        ok &= self.expect(length == len(table.payload), "super-version", place,
                          "version %d with %d bytes" % (sup.version, len(table.payload)))
        ok &= self.expect(len(table.regions) == 7, "super-regions", place,
                          "%d regions" % len(table.regions))
        if not ok:
            return False
        for found, wanted in zip(table.regions, sup.expected_regions(first)):
            ok &= self.expect(found == wanted, "super-regions", place,
                              "region %s, expected %s" % (found, wanted))
        self.expect(table.blocks == 3 + table.regions[2][1], "super-total", place,
                    "%d blocks in all" % table.blocks)
        self.expect(sup.label == b"*ALBIREO*SINGLE*FILE*LAYOUT*001*", "super-label", place,
                    "the label is %r" % sup.label)
        self.expect((sup.block_size, sup.sub_indexes, sup.saves, sup.zero) == (BLOCK, 1, 2, 0),
                    "super-fields", place, "block size %d, %d sub-indexes, %d saves, then %d"
                    % (sup.block_size, sup.sub_indexes, sup.saves, sup.zero))
        primary = uds.primary_nonce(sup.seed_data)
        self.expect(sup.primary_nonce == primary, "super-nonce", place,
                    "primary nonce %d, expected %d" % (sup.primary_nonce, primary))
        self.nonce = uds.volume_nonce(primary, table.regions[2][0])
        return ok

    def check_config(self):
        place = "config block"
        config = self.config = uds.Config(self.blocks(self.super.config_block(), 1))
        if not self.expect(config.magic == b"ALBIC", "config-magic", place,
                           "the magic is %r" % config.magic):
            return False
        wanted = {3: b"06.02", 7: b"08.02"}[self.super.version]
        if not self.expect(config.version == wanted, "config-version", place,
                           "version %r with super block %d" % (config.version, self.super.version)):
            return False
        self.expect(not any(config.rest), "config-rest", place, "not zero behind its fields")
        reason = self.impossible(config)
        if not self.expect(reason is None, "config-limits", place, reason):
            return False
        self.geometry = config.geometry()
        return self.expect(config.remapped_physical < config.chapters, "config-remap", place,
                           "chapter %d remapped to slot %d of %d" % (
                               config.remapped_virtual, config.remapped_physical, config.chapters))

    @staticmethod
    def impossible(config):
        """Why there is no index with this configuration, or None."""
        if config.page_size % BLOCK or not BLOCK <= config.page_size <= 65536:
            return "pages of %d bytes" % config.page_size
        if not 0 < config.record_pages <= 32767:
            return "%d record pages in a chapter" % config.record_pages
        if not config.chapters > config.sparse_chapters:
            return "%d chapters, %d of them sparse" % (config.chapters, config.sparse_chapters)
        if config.sparse_chapters and not config.sample_rate:
            return "sparse chapters with a sample rate of 0"
        if not 0 < config.cache_chapters * config.record_pages <= 32767:
            return "a cache of %d chapters" % config.cache_chapters
        if not 0 < config.mean_delta < 1 << 23:
            return "a mean delta of %d" % config.mean_delta
        return next(iter(config.geometry().faults()), None)

    def check_sizes(self):
        place, geometry, sup = "super block", self.geometry, self.super
        volume, slot = sup.table.regions[3][1], sup.table.regions[4][1]
        self.expect(volume == geometry.volume_blocks, "super-sizes", place,
                    "%d blocks of volume, expected %d" % (volume, geometry.volume_blocks))
        if sup.version == 3:  # a conversion leaves the saves as they were
            wanted = (geometry.save_blocks, geometry.page_map_blocks, geometry.open_chapter_blocks)
            found = (slot, sup.page_map_blocks, sup.open_chapter_blocks)
            self.expect(found == wanted, "super-sizes", place,
                        "save, page map and open chapter of %s blocks, expected %s"
                        % (found, wanted))
        else:
            chapter = geometry.chapter_pages * geometry.page_size // BLOCK
            self.expect(sup.volume_offset == chapter and 0 <= sup.shift, "super-offsets", place,
                        "volume offset %d, start offset %d, a chapter has %d blocks"
                        % (sup.volume_offset, sup.start_offset, chapter))
        self.blocks(sup.save_block(1) + slot, 1)  # the seal is the last block

    # ---- save headers ----

    def check_save_header(self, slot):
        """The header of a save that is complete, or None."""
        place, region = "save %d" % slot, self.super.table.regions[4 + slot]
        header = None
        with self.reading("save-table", place):
            header = uds.SaveHeader(self.blocks(self.super.save_block(slot), 1))
        if header is None:
            return None
        table = header.table
        if not self.expect(table.version == 1 and table.blocks == region[1]
                           and table.type in (uds.SAVED, uds.UNSAVED), "save-table", place,
                           "version %d, type %d, %d blocks" % (table.version, table.type,
                                                               table.blocks)):
            return None
        if table.type == uds.UNSAVED:
            self.check_unsaved(place, region, table)
            return None
        if not self.expect(header.version == 1 and header.state == (-1, 301)
                           and header.timestamp and not any(header.zeros), "save-payload", place,
                           "time stamp %d, version %d, state version %s, zeros %s" % (
                               header.timestamp, header.version, header.state, header.zeros)):
            return None
        if not self.expect(1 <= header.zones <= 16 and table.regions
                           == header.expected_regions(region[0], region[1], self.super),
                           "save-regions", place, "regions %s" % table.regions):
            return None
        nonce = uds.save_nonce(self.nonce, header.timestamp, header.version, region[0])
        if not self.expect(header.nonce == nonce, "save-nonce", place,
                           "nonce %d, expected %d" % (header.nonce, nonce)):
            return None
        newest, oldest = header.newest, header.oldest
        if not self.expect(oldest <= newest < oldest + self.geometry.chapters + 1
                           and header.last_save == (newest - 1) % 2**64, "save-chapters", place,
                           "newest %d, oldest %d, last save %d" % (newest, oldest,
                                                                   header.last_save)):
            return None
        header.open_chapter = self.check_open_chapter(place, header)
        return header

    def check_unsaved(self, place, region, table):
        start, blocks = region[0], region[1]
        header, size = (start, 1, 0, uds.HEADER, uds.SINGLE), self.super.page_map_blocks
        regions = [header, (start + 1, size, 0, uds.PAGE_MAP, uds.SINGLE)]
        if blocks > 1 + size:
            regions.append((start + 1 + size, blocks - 1 - size, 0, uds.FREE, uds.SINGLE))
        self.expect(table.regions == regions, "save-regions", place, "regions %s" % table.regions)
        self.expect(len(table.payload) == 24 and not any(table.payload), "save-payload", place,
                    "an unsaved slot with a payload of %s" % table.payload.hex())

    def region(self, header, kind, instance=uds.SINGLE):
        """The data of a region of a save."""
        for start, blocks, _, found, which in header.table.regions:
            if (found, which) == (kind, instance):
                return self.blocks(start - self.super.start_offset, blocks)
        raise FormatError("no region of kind %d" % kind)

    # ---- open chapter ----

    def check_open_chapter(self, place, header):
        """The open chapter of a save; None when it was wiped or is not right."""
        place += ", open chapter"
        data = self.region(header, uds.OPEN_CHAPTER)
        if not any(data[:BLOCK]):
            self.seen["saves invalidated"] += 1
            return None
        chapter = uds.OpenChapter(data)
        for rule, reason in chapter.faults(len(data)):
            self.find("open-count" if rule == "count" else "open-magic", place, reason)
            return None
        self.expect(chapter.count <= self.geometry.records, "open-count", place,
                    "%d records, a chapter has %d" % (chapter.count, self.geometry.records))
        self.expect(not any(data[chapter.length:uds.round_up(chapter.length, BLOCK)]), "open-rest",
                    place, "not zero behind its %d records" % chapter.count)
        names = collections.Counter(name for name, _ in chapter.records)
        for name, times in names.items():
            self.expect(times == 1, "open-names", place, "%s %d times" % (name.hex(), times))
        share = self.geometry.records // header.zones
        filled = collections.Counter(
            self.geometry.sub_index_of(name).zone_of(name, header.zones) for name in names)
        for zone, count in sorted(filled.items()):
            self.expect(count < share, "open-zone", place,
                        "%d records in zone %d, which has room for %d" % (count, zone, share))
        return chapter

    # ---- saves ----

    def check_save(self, slot, header):
        place = "save %d" % slot
        self.seen["saves"] += 1
        # The older save of a converted volume may have the rows of the volume as it was before.
        if self.super.version == 3 or header is self.latest:
            self.check_page_map(place + ", page map", header)
        zones = []
        for zone in range(header.zones):
            where = "%s, volume index zone %d" % (place, zone)
            data = self.region(header, uds.VOLUME_INDEX, zone)
            with self.reading("index-stream", where):
                zones.append(uds.ZoneStream(data, self.geometry.sparse_chapters > 0))
                self.check_stream_end(where, data, zones[-1])
        if len(zones) == header.zones:
            open_names = header.open_chapter and {name for name, _ in header.open_chapter.records}
            pointed = set()
            for i, sub in enumerate(self.geometry.sub_indexes):
                pointed |= self.check_sub_index("%s, volume index" % place, header, sub,
                                                [stream.subs[i] for stream in zones], open_names)
            for name in sorted((open_names or set()) - pointed):
                self.find("open-entry", place, "%s of the open chapter has no entry" % name.hex())

    def check_page_map(self, place, header):
        geometry, data = self.geometry, self.region(header, uds.PAGE_MAP)
        page_map = None
        with self.reading("map-magic", place):
            if len(data) < 16 + 2 * geometry.chapters * (geometry.index_pages - 1):
                raise FormatError("its region is too small")
            page_map = uds.PageMap(data, geometry)
        if page_map is None or not self.expect(page_map.magic == b"ALBIPM02", "map-magic", place,
                                               "the magic is %r" % page_map.magic):
            return
        wanted = max(header.newest - 1, 0)
        self.expect(page_map.last_update == wanted, "map-update", place,
                    "last update %d, expected %d" % (page_map.last_update, wanted))
        self.expect(not any(data[page_map.length:uds.round_up(page_map.length, BLOCK)]),
                    "map-rest", place, "not zero behind the table")
        for physical, row in enumerate(page_map.rows):
            chapter = self.chapters.get(physical)
            if not geometry.reduced and header.newest <= physical:
                self.expect(not any(row), "map-unused", place, "slot %d: %s" % (physical, row))
            elif chapter and chapter.good and header.oldest <= chapter.vcn < header.newest:
                self.expect(list(row) == chapter.last_lists[:-1], "map-row", place,
                            "slot %d: %s, but the pages end with lists %s"
                            % (physical, list(row), chapter.last_lists[:-1]))

    def check_stream_end(self, place, data, stream):
        self.expect(stream.guard == b"z" + bytes(7), "index-guard", place,
                    "it ends with %s" % stream.guard.hex())
        end = uds.round_up(stream.length, BLOCK)
        self.expect(not any(data[stream.length:end]), "index-rest", place,
                    "not zero behind its %d bytes" % stream.length)
        if stream.sample_rate is not None:
            self.expect(stream.sample_rate == self.geometry.sample_rate, "index-sample", place,
                        "sample rate %d" % stream.sample_rate)

    def check_sub_index(self, place, header, sub, streams, open_names):
        """Checks one sub-index in the streams of all zones. Returns the open chapter's names that
        have an entry for the open chapter."""
        place += "" if sub.tag == "m" else " '%s'" % sub.tag
        if not self.check_shares(place, sub, streams):
            return open_names or set()
        low = max(stream.low for stream in streams)
        high = header.newest
        span = sub.rounded if self.super.version == 7 else sub.chapter_count
        for zone, stream in enumerate(streams):
            self.expect(stream.nonce == self.nonce, "index-nonce", place,
                        "zone %d: nonce %d" % (zone, stream.nonce))
            self.expect(stream.high == high and max(high - span + 1, 0) <= stream.low <= high,
                        "index-window", place, "zone %d: chapters %d to %d, the newest is %d"
                        % (zone, stream.low, stream.high, high))
            need = 7 + sum((7 + size + 7) // 8 for size in stream.sizes)
            self.expect(need <= sub.zone_bytes(len(streams)), "index-fits", place,
                        "zone %d: its lists need up to %d bytes of %d"
                        % (zone, need, sub.zone_bytes(len(streams))))
        records = collisions = 0
        complete = True
        hints = collections.defaultdict(list)  # chapter: [(list and address, name or None)]
        for zone, stream in enumerate(streams):
            where = "%s, zone %d" % (place, zone)
            numbers = [i + stream.first for i, size in enumerate(stream.sizes) if size]
            for number, entry in zip(numbers, stream.lists):
                if not self.check_list_entry(where, sub, stream, number, entry):
                    complete = False
                    continue
                counts = self.check_index_list(where, sub, stream, entry, low, high, hints)
                complete &= counts is not None
                records, collisions = (records + counts[0], collisions + counts[1]) if counts \
                    else (records, collisions)
        if not complete:
            return open_names or set()
        saved = (sum(s.records for s in streams) % 2**64,
                 sum(s.collisions for s in streams) % 2**64)
        self.expect(saved == (records, collisions), "index-counts", place,
                    "%d records and %d collisions, the lists have %d and %d"
                    % (saved + (records, collisions)))
        self.seen["volume index entries"] += records
        return self.check_hints(place, sub, header, hints, open_names)

    def check_shares(self, place, sub, streams):
        share, first = uds.ceil_div(sub.lists, len(streams)), 0
        for zone, stream in enumerate(streams):
            count = min(share, sub.lists - first)
            found = (stream.zone, stream.zones, stream.first, stream.count, stream.delta_first,
                     stream.delta_count)
            if not self.expect(found == (zone, len(streams), first, count, first, count),
                               "index-zones", place, "zone %d: zone, zones, lists are %s"
                               % (zone, found)):
                return False
            first += count
        return True

    def check_list_entry(self, place, sub, stream, number, entry):
        tag, offset, length, found, _ = entry
        size = stream.sizes[number - stream.first]
        return self.expect(found == number and tag == sub.tag and offset < 8
                           and length == (offset + size + 7) // 8, "index-list", place,
                           "list %d of %d bits: tag %r, offset %d, %d bytes, number %d"
                           % (number, size, tag, offset, length, found))

    def check_index_list(self, place, sub, stream, entry, low, high, hints):
        """Checks a list, gathers its entries by chapter; returns the numbers of entries and of
        collision entries, None when it cannot be read."""
        number, mask = entry[3], sub.chapter_mask
        where = "%s, list %d" % (place, number)
        bits, size = stream.bits(entry)
        try:
            entries = uds.delta_entries(bits, size, sub.code, sub.chapter_bits)
        except FormatError as error:
            self.find("index-decode", where, str(error))
            return None
        base, end = number << sub.address_bits, 1 << sub.address_bits
        flush_from = stream.flush_from[number - stream.first]
        self.expect(flush_from <= high, "index-flush", where, "flush_from %d, the newest is %d"
                    % (flush_from, high))
        stale_count = min(max(low - flush_from, 0), mask + 1)
        collisions, group = 0, set()
        for key, value, name, at in entries:
            if name is None:
                group = set()
                if key >= end:
                    self.find("index-key", where, "key %d at bit %d" % (key, at))
            else:
                collisions += 1
                if sub.key(name) != base + key or self.geometry.sub_index_of(name) is not sub:
                    self.find("index-key", where, "%s at bit %d belongs elsewhere"
                              % (name.hex(), at))
                if name in group:
                    self.find("index-twice", where, "%s twice" % name.hex())
                group.add(name)
            if (value - flush_from & mask) < stale_count:
                self.seen["stale volume index entries"] += 1
                continue
            vcn = low + (value - low & mask)
            if vcn > high:
                self.find("index-value", where, "the entry at bit %d is for chapter %d of %d to %d"
                          % (at, vcn, low, high))
            elif vcn < flush_from:
                self.find("index-flush", where, "the entry at bit %d is for chapter %d, before %d"
                          % (at, vcn, flush_from))
            else:
                hints[vcn].append((base + key, name))
        return len(entries), collisions

    def check_hints(self, place, sub, header, hints, open_names):
        """Do the entries lead to chapters that hold such a name?"""
        pointed = set()
        for vcn, entries in sorted(hints.items()):
            names = None
            if vcn == header.newest:
                names = open_names
            elif vcn < header.newest:
                chapter = self.chapters.get(self.geometry.physical_chapter(vcn))
                if chapter and chapter.good and chapter.vcn == vcn:
                    names = chapter.names
            if names is None:
                continue
            keys, sparse = collections.defaultdict(list), len(self.geometry.sub_indexes) > 1
            for name in names:
                if not sparse or self.geometry.sub_index_of(name) is sub:
                    keys[sub.key(name)].append(name)
            exact = {name for _, name in entries if name}
            for key, name in entries:
                if name is None and vcn != header.newest and not exact and key in keys:
                    continue  # by far the most
                here = [name] if name else [n for n in keys.get(key, ()) if n not in exact]
                if not here or name and name not in names:
                    self.seen["false hints"] += 1
                    if self.strict:
                        self.find("index-hint", "%s, list %d" % (place, key >> sub.address_bits),
                                  "chapter %d holds no such name" % vcn)
                elif vcn == header.newest:
                    pointed.update(here[:1])
                    if len(here) > 1:
                        self.seen["open names with a shared hint"] += 1
        return pointed


def main():
    parser = argparse.ArgumentParser(description="Checks a UDS index against its format.")
    parser.add_argument("--offset", type=int, default=0, help="where the index begins, in bytes")
    parser.add_argument("--strict", action="store_true", help="false hints are faults too")
    parser.add_argument("--quiet", action="store_true", help="print faults only")
    parser.add_argument("image")
    arguments = parser.parse_args()
    with open(arguments.image, "rb") as file:
        checker = Checker(file.read(), arguments.offset, arguments.strict)
    findings = checker.run()
    for rule, place, reason in findings:
        print("%s: %s: %s [%s: %s]" % (arguments.image, place, reason, rule, RULES[rule]))
    if not arguments.quiet:
        seen = ", ".join("%d %s" % (count, what) for what, count in checker.seen.items() if count)
        print("%s: %d faults; %s" % (arguments.image, len(findings), seen or "nothing saved"))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
