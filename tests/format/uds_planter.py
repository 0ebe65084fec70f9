# SPDX-License-Identifier: BSD-2-Clause
"""Writes what uds_format.py reads, as far as planting faults needs it: lists, pages, fields."""
import struct

import uds_format as uds
from uds_format import BLOCK


def encode_list(entries, code, payload_bits):
    """(bits as an integer, size) of entries [(key, value, name or None)...], sorted by key."""
    bits = at = before = 0
    for key, value, name in (entry[:3] for entry in entries):
        delta = 0 if name is not None else key - before
        before = key
        bits |= value << at
        at += payload_bits
        if delta < code.min_keys:
            bits |= delta << at
            at += code.min_bits
        else:
            rest = delta - code.min_keys
            bits |= rest % code.incr_keys + code.min_keys << at
            at += code.min_bits + rest // code.incr_keys
            bits |= 1 << at
            at += 1
        if name is not None:
            bits |= int.from_bytes(name, "little") << at
            at += 128
    return bits, at


def pack_index_page(size, nonce, vcn, first, lists):
    """An index page of lists [(bits, size)...]."""
    at = 160 + 19 * (len(lists) + 1)
    offset, table, body = at, 0, 0
    for i, (bits, length) in enumerate(lists):
        table |= offset << 19 * i
        body |= bits << offset - at
        offset += length
    table |= offset << 19 * len(lists)
    whole = struct.unpack("<Q", struct.pack("<Q", nonce))[0] | vcn << 64 | first << 128
    whole |= len(lists) << 144 | table << 160 | body << at
    assert offset <= 8 * (size - 7)
    return (whole | (1 << 56) - 1 << 8 * (size - 7)).to_bytes(size, "little")


def pack_record_page(records):
    page = [None] * len(records)
    for record, node in zip(sorted(records), uds.heap_order(len(records))):
        page[node] = record
    return b"".join(name + data for name, data in page)


class Planter:
    """A copy of an image, with the places at which its parts lie."""
    def __init__(self, image, offset, checker):
        self.data, self.offset, self.checker = bytearray(image), offset, checker
        self.super, self.geometry, self.nonce = checker.super, checker.geometry, checker.nonce
        self.newest, self.oldest = checker.newest, checker.oldest

    def put(self, at, fields, *values):
        struct.pack_into(fields, self.data, at, *values)

    def flip(self, at, bits=1):
        self.data[at] ^= bits

    def set_bits(self, at, width, value):
        for i in range(width):
            byte, bit = divmod(at + i, 8)
            self.data[byte] = self.data[byte] & ~(1 << bit) | (value >> i & 1) << bit

    # places, in bytes from the start of the image

    def payload(self):
        return self.offset + 24 + 24 * 7

    def config(self):
        return BLOCK * self.super.config_block()

    def slot(self):
        """The slot of the latest save: its first byte, and its header."""
        for slot in range(2):
            at = BLOCK * self.super.save_block(slot)
            header = uds.SaveHeader(self.data[at:at + BLOCK])
            if header.timestamp == self.checker.latest.timestamp:
                return at, header
        raise AssertionError("no save")

    def save_region(self, kind, instance=uds.SINGLE):
        _, header = self.slot()
        return next(BLOCK * (region[0] - self.super.start_offset)
                    for region in header.table.regions if region[3:] == (kind, instance))

    def open_chapter(self):
        at = self.save_region(uds.OPEN_CHAPTER)
        return at, uds.OpenChapter(bytes(self.data[at:at + 32 * self.geometry.records]))

    def stream(self):
        """The volume index stream of zone 0: its first byte, and what it holds."""
        at = self.save_region(uds.VOLUME_INDEX, 0)
        return at, uds.ZoneStream(bytes(self.data[at:]), self.geometry.sparse_chapters > 0)

    def index_entries(self, wanted):
        """(bit of the value in the image, sub-index, stream, list, entry, the list's entries) of
        the first volume index entry that `wanted` says yes to, as a function of these and vcn."""
        at, stream = self.stream()
        for sub, found in zip(self.geometry.sub_indexes, stream.subs):
            for place in found.lists:
                entries = uds.delta_entries(*found.bits(place), sub.code, sub.chapter_bits)
                for entry in entries:
                    flush = found.flush_from[place[3] - found.first]
                    if flush < found.low:
                        continue
                    vcn = found.low + (entry[1] - found.low & sub.chapter_mask)
                    if wanted(entry, entries, vcn, flush, sub):
                        bit = 8 * (at + place[4]) + place[1] + entry[3]
                        return bit, sub, found, place, entry, vcn
        raise AssertionError("no such entry")

    def page(self, vcn, number):
        """Where a page of a chapter begins."""
        physical = self.geometry.physical_chapter(vcn)
        return BLOCK * self.super.volume_block() + self.geometry.page_size * (
            1 + physical * self.geometry.chapter_pages + number)

    def index_page(self, vcn, number=0):
        at = self.page(vcn, number)
        return at, uds.IndexPage(bytes(self.data[at:at + self.geometry.page_size]))

    def record_page(self, vcn, number):
        at = self.page(vcn, self.geometry.index_pages + number)
        return at, uds.page_records(bytes(self.data[at:at + self.geometry.page_size]))

    def put_record_page(self, vcn, number, records):
        at = self.page(vcn, self.geometry.index_pages + number)
        self.data[at:at + self.geometry.page_size] = pack_record_page(records)

    def lists(self, vcn, number=0):
        """The lists of an index page as entries."""
        _, page = self.index_page(vcn, number)
        code = self.checker.code
        return [uds.delta_entries(bits, size, code, self.geometry.payload_bits)
                for _, _, bits, size in page.lists()]

    def put_lists(self, vcn, lists, number=0, first=None):
        at, page = self.index_page(vcn, number)
        lists = [encode_list(entries, self.checker.code, self.geometry.payload_bits)
                 for entries in lists]
        self.data[at:at + len(page.page)] = pack_index_page(
            len(page.page), self.nonce, vcn, page.first if first is None else first, lists)

    def chapter(self, vcn):
        return self.checker.chapters[self.geometry.physical_chapter(vcn)]

    def fill_name(self, vcn):
        """The name that a chapter holds more than once, and how often."""
        count = {}
        for number in range(self.geometry.record_pages):
            for name, _ in self.record_page(vcn, number)[1]:
                count[name] = count.get(name, 0) + 1
        return max(count.items(), key=lambda item: item[1])

    def chapter_with_fill(self):
        """The vcn, fill name and count of a chapter with at least two copies of the fill record."""
        for vcn in range(self.oldest, self.newest):
            name, times = self.fill_name(vcn)
            if times > 2:
                return vcn, name, times
        raise AssertionError("no chapter with fill records")

    def group(self, size):
        """(vcn, list, place in it) of an ordinary entry with at least `size` collisions."""
        for vcn in range(self.oldest, self.newest):
            for number, entries in enumerate(self.lists(vcn)):
                for i in range(len(entries) - size):
                    if entries[i][2] is None and all(e[2] for e in entries[i + 1:i + 1 + size]):
                        yield vcn, number, i
