# SPDX-License-Identifier: BSD-2-Clause
"""The part of uds_check.py that looks at the volume: slots, index pages, record pages, and whether
the chapter index leads to the records.

Names stand for themselves here: a chapter's records are a dictionary from name to record page. An
index entry is looked up by list and address in one number (uds_format: chapter_key).
"""
import collections

import uds_format as uds
from uds_format import BLOCK, NONE, FormatError


class Chapter:
    """What one physical chapter holds: the names, and the last list on each index page."""
    def __init__(self, vcn):
        self.vcn, self.names, self.last_lists, self.good = vcn, {}, [], True


class VolumeChecks:
    """Functions of the checker; what they use of it: image, geometry, nonce, findings, seen."""

    def page(self, physical, number):
        size = self.geometry.page_size
        at = BLOCK * self.super.volume_block()
        at += size * (1 + physical * self.geometry.chapter_pages + number)
        page = self.image[at:at + size]
        if len(page) < size:
            raise FormatError("page %d of slot %d is not on the device" % (number, physical))
        return page

    def probe(self, physical):
        """The vcn of a chapter whose index pages are good, or NONE."""
        vcn, first = None, 0
        for number in range(self.geometry.index_pages):
            page = uds.index_page(self.page(physical, number), self.nonce)
            if any(page.faults(self.nonce)) or page.first != first or vcn not in (None, page.vcn):
                return NONE
            vcn, first = page.vcn, page.first + page.count
            try:
                for _, _, bits, size in page.lists():
                    if any(entry[1] >= self.geometry.record_pages for entry in uds.delta_entries(
                            bits, size, self.code, self.geometry.payload_bits)):
                        return NONE
            except FormatError:
                return NONE
        return vcn if vcn != NONE and self.geometry.physical_chapter(vcn) == physical else NONE

    def check_volume(self, headers):
        geometry = self.geometry
        self.code = uds.DeltaCode(uds.CHAPTER_MEAN)
        complete = [header for header in headers if header]
        latest = max(complete, key=lambda header: header.timestamp, default=None)
        self.latest = latest
        self.clean = latest is not None and latest.open_chapter is not None
        self.oldest, self.newest = 0, 0
        if self.clean:
            self.oldest, self.newest = latest.oldest, latest.newest
        else:
            known = {}

            def probe(physical):
                if physical not in known:
                    known[physical] = self.probe(physical)
                return known[physical]
            with self.reading("volume-slot", "volume"):
                self.oldest, self.newest = uds.find_boundaries(geometry, probe)

        self.chapters = {}  # by slot
        live = {geometry.physical_chapter(v): v for v in range(self.oldest, self.newest)}
        for physical in range(geometry.chapters):
            if physical in live:
                self.chapters[physical] = self.read_chapter(physical, live[physical])
                self.seen["chapters"] += 1
            else:
                self.check_free_slot(physical)

    def check_free_slot(self, physical):
        """A slot that no live chapter has; what an older save may still refer to is kept."""
        place = "slot %d" % physical
        vcns = set()
        for number in range(self.geometry.index_pages):
            page = uds.index_page(self.page(physical, number), self.nonce)
            if page.nonce == self.nonce:
                vcns.add(page.vcn)
        for vcn in sorted(vcns):
            slot = self.geometry.physical_chapter(vcn)
            self.expect(slot == physical, "volume-slot", place, "chapter %d belongs into slot %d"
                        % (vcn, slot))
            in_flight = not self.clean and vcn == self.newest
            self.expect(vcn < self.newest or in_flight, "volume-beyond", place,
                        "a page of chapter %d, the newest is %d" % (vcn, self.newest))
        if len(vcns) == 1:
            kept, self.findings, seen = self.findings, [], self.seen.copy()
            chapter = self.read_chapter(physical, vcns.pop())
            if not self.findings:
                self.chapters[physical] = chapter
            self.findings, self.seen = kept, seen

    def read_chapter(self, physical, vcn):
        place = "chapter %d (slot %d)" % (vcn, physical)
        chapter = Chapter(vcn)
        before = len(self.findings)
        lists = self.read_index_pages(physical, vcn, place, chapter)
        if lists is None:
            chapter.good = False
            return chapter
        index = self.read_chapter_index(place, lists)
        fill = self.read_record_pages(physical, place, chapter)
        if len(self.findings) == before:
            self.compare_index_with_records(place, lists, index, chapter, fill)
        chapter.good = len(self.findings) == before
        return chapter

    def read_index_pages(self, physical, vcn, place, chapter):
        """All lists of the chapter as (number, bits, size, index page); None if not readable."""
        geometry, lists, first, good = self.geometry, [], 0, True
        left = None  # bits free on the page before
        for number in range(geometry.index_pages):
            where = "%s, index page %d" % (place, number)
            page = uds.index_page(self.page(physical, number), self.nonce)
            faults = list(page.faults(self.nonce))
            for rule, reason in faults:
                self.find("page-" + rule, where, reason)
            if faults:
                good = False
                continue
            self.seen["big-endian pages"] += page.big_endian
            good &= self.expect(page.vcn == vcn, "page-vcn", where, "chapter %d" % page.vcn)
            if good and not self.expect(page.first == first, "page-first", where,
                                        "begins with list %d, expected %d" % (page.first, first)):
                good = False
            sizes = []
            for entry in page.lists():
                sizes.append(entry[3])
                lists.append((entry[0], entry[2], entry[3], number))
            if left is not None and sizes and sizes[0] and good:
                self.expect(19 + sizes[0] > left, "page-packing", where,
                            "list %d would have fit on the page before" % page.first)
            left = uds.free_bits(geometry.page_size, sizes)
            first = page.first + page.count
            chapter.last_lists.append(first - 1)
        if good and not self.expect(first == geometry.lists, "page-lists", place,
                                    "%d lists, expected %d" % (first, geometry.lists)):
            good = False
        return lists if good else None

    def read_chapter_index(self, place, lists):
        """The chapter index as {list and address: [ordinary entry's page, [(name, page)]]}."""
        geometry, index = self.geometry, {}
        end = 1 << geometry.address_bits
        for number, bits, size, _ in lists:
            where, group = "%s, list %d" % (place, number), None
            try:
                entries = uds.delta_entries(bits, size, self.code, geometry.payload_bits)
            except FormatError as error:
                self.find("list-decode", where, str(error))
                continue
            base = number << geometry.address_bits
            for key, value, name, at in entries:
                if value >= geometry.record_pages:
                    self.find("list-value", where, "the entry at bit %d names record page %d"
                              % (at, value))
                if name is None:
                    group = index[base + key] = [value, []]
                    if key >= end:
                        self.find("list-key", where, "key %d at bit %d" % (key, at))
                    continue
                if geometry.chapter_key(name) != base + key:
                    self.find("list-key", where, "%s at bit %d has another key"
                              % (name.hex(), at))
                if any(name == other for other, _ in group[1]):
                    self.find("list-twice", where, "%s twice" % name.hex())
                group[1].append((name, value))
        return index

    def read_record_pages(self, physical, place, chapter):
        """Fills in the chapter's names with their pages; returns the fill record's name."""
        geometry, names = self.geometry, chapter.names
        order = uds.heap_order(geometry.records_per_page)
        copies = {}  # names that occur more than once: [data, pages]
        data_of = {}
        for number in range(geometry.record_pages):
            where = "%s, record page %d" % (place, number)
            records = uds.page_records(self.page(physical, geometry.index_pages + number))
            in_order = [records[node][0] for node in order]
            if in_order != sorted(in_order):
                at = next(i for i in range(len(order)) if in_order[i] > in_order[i + 1])
                self.find("record-order", where, "record %d is not in its place" % order[at])
            for name, data in records:
                if name not in names:
                    names[name], data_of[name] = number, data
                    continue
                if name not in copies:
                    copies[name] = [data_of[name], {names[name]}]
                copies[name][1].add(number)
                self.seen["fill copies"] += 1
                if data != copies[name][0]:
                    self.find("fill-data", where, "two copies of %s differ" % name.hex())
        self.expect(len(copies) <= 1, "fill-names", place, "%d names occur more than once: %s"
                    % (len(copies), ", ".join(sorted(name.hex() for name in copies)[:4])))
        self.seen["records"] += len(names)
        return next(((name, pages) for name, (_, pages) in copies.items()), (None, set()))

    def compare_index_with_records(self, place, lists, index, chapter, fill):
        fill_name, fill_pages = fill
        names, missing = chapter.names, []
        by_key = collections.defaultdict(list)
        for name in names:
            by_key[self.geometry.chapter_key(name)].append(name)
        for key, (ordinary, collisions) in index.items():
            here = by_key.pop(key, [])
            if len(here) == 1 and not collisions and names[here[0]] == ordinary \
                    and here[0] != fill_name:
                continue  # by far the most
            where = "%s, list %d" % (place, key >> self.geometry.address_bits)
            exact = dict(collisions)
            for name, page in collisions:
                if name not in names or page not in (fill_pages if name == fill_name
                                                     else (names[name],)):
                    self.find("list-record", where, "%s is not on record page %d"
                              % (name.hex(), page))
            rest = [name for name in here if name not in exact]
            owner = next((name for name in rest if ordinary in (
                fill_pages if name == fill_name else (names[name],))), None)
            if not self.expect(owner is not None, "list-record", where,
                               "no name with the key %d is on record page %d"
                               % (key % (1 << self.geometry.address_bits), ordinary)):
                continue
            missing += [name for name in rest if name != owner]
            pages = [ordinary] + [page for _, page in reversed(collisions)]
            self.expect(pages == sorted(pages), "list-order", where,
                        "entries of one key for the record pages %s" % pages)
            if fill_name in here:
                self.check_fill(place, ordinary if owner == fill_name else exact.get(fill_name))
        missing += [name for here in by_key.values() for name in here]
        self.seen["records dropped from chapter indexes"] += len(missing)
        if missing:
            self.check_missing(place, lists, names, missing)

    def check_fill(self, place, page):
        """The fill record is the last of a full zone: its position follows from the zones."""
        geometry = self.geometry
        possible = {((geometry.records // zones - 1) * zones + zone) // geometry.records_per_page
                    for zones in range(1, 17) for zone in range(zones)
                    if geometry.records >= zones}
        self.expect(page is None or page in possible, "fill-position", place,
                    "the fill record comes from record page %s" % page)

    def check_missing(self, place, lists, names, missing):
        """Records without an entry: only lists that became too long, or did not fit, lose some."""
        geometry = self.geometry
        keys = collections.defaultdict(list)
        for name in names:
            key = geometry.chapter_key(name)
            keys[key >> geometry.address_bits].append(key & (1 << geometry.address_bits) - 1)
        full = {number: self.code.list_size(sorted(keys[number]), geometry.payload_bits)
                for number, _, _, _ in lists}
        memory = uds.round_up((geometry.index_pages + 1) * geometry.page_size, 65536)
        memory_full = sum((size + 7) // 8 + 1 for size in full.values()) + 7 > memory
        on_page = collections.defaultdict(int)
        for number, _, _, page in lists:
            on_page[page] += 19 + full[number]
        room = uds.free_bits(geometry.page_size)
        for number in sorted({geometry.chapter_key(n) >> geometry.address_bits for n in missing}):
            _, _, size, page = lists[number]
            where = "%s, list %d" % (place, number)
            if full[number] > 65535 or memory_full:
                continue
            if size:
                self.find("record-entry", where, "records without an entry")
            elif 19 + full[number] <= room and not (page == geometry.index_pages - 1
                                                    and on_page[page] > room):
                self.find("record-drop", where, "it is empty, but would have fit")
