# SPDX-License-Identifier: BSD-2-Clause
"""The UDS index format, as a program that can be read from top to bottom.

This module shares nothing with the library: it was written from the description of the format and
only reads. Its parts stand in the order in which one learns the format: numbers, names, geometry,
delta lists, the pages of a chapter, the mapping of chapters, and the layout of the device with its
saves. Readers here take bytes apart and say what is there; they raise FormatError only where
nothing sensible can be read. What the values have to be is uds_check.py's business.

All integers on disk are little endian. A block has 4096 bytes; a page has as many as the
configuration says. Chapters are counted from the creation of the index ("vcn").
"""
import functools
import struct

BLOCK = 4096
NONE = 2**64 - 1  # "no chapter"
U64 = 2**64 - 1


class FormatError(Exception):
    """These bytes cannot be read as what they should be."""


# ---- numbers ------------------------------------------------------------------------------------

def u16(data, at):
    return struct.unpack_from("<H", data, at)[0]


def u32(data, at):
    return struct.unpack_from("<I", data, at)[0]


def u64(data, at):
    return struct.unpack_from("<Q", data, at)[0]


def bits_per(n):
    """How many binary digits n has; 1 for 0."""
    return max(n.bit_length(), 1)


def ceil_div(a, b):
    return -(-a // b)


def round_up(a, b):
    return ceil_div(a, b) * b


def bit_field(data, at, width):
    """The width bits from bit `at` on; bit b of a string is bit b mod 8 of byte b div 8."""
    chunk = data[at // 8:ceil_div(at + width, 8)]
    return int.from_bytes(chunk, "little") >> at % 8 & (1 << width) - 1


# ---- hashing and nonces -------------------------------------------------------------------------

def murmur3_128(data, seed):
    """MurmurHash3 x64 128; 16 bytes."""
    def rotate(x, n):
        return (x << n | x >> 64 - n) & U64

    def mix(k):
        k = (k ^ k >> 33) * 0xff51afd7ed558ccd & U64
        k = (k ^ k >> 33) * 0xc4ceb9fe1a85ec53 & U64
        return k ^ k >> 33

    c1, c2 = 0x87c37b91114253d5, 0x4cf5ad432745937f
    h1 = h2 = seed
    whole = len(data) // 16 * 16
    padded = data + bytes(-len(data) % 16)
    for at in range(0, len(padded), 16):
        k1 = rotate(u64(padded, at) * c1 & U64, 31) * c2 & U64
        k2 = rotate(u64(padded, at + 8) * c2 & U64, 33) * c1 & U64
        if at < whole:
            h1 = (rotate(h1 ^ k1, 27) + h2) * 5 + 0x52dce729 & U64
            h2 = (rotate(h2 ^ k2, 31) + h1) * 5 + 0x38495ab5 & U64
        else:
            h1, h2 = h1 ^ k1, h2 ^ k2
    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = h1 + h2 & U64
    h2 = h2 + h1 & U64
    h1, h2 = mix(h1), mix(h2)
    h1 = h1 + h2 & U64
    h2 = h2 + h1 & U64
    return struct.pack("<QQ", h1, h2)


def nonce_hash(start, data):
    start &= U64
    return u64(murmur3_128(data, (start ^ start >> 27) & 0xffffffff), 4)


def primary_nonce(seed_data):
    return nonce_hash(0xa1b1e0fc, seed_data)


def volume_nonce(primary, sub_index_start):
    data = struct.pack("<QQ", sub_index_start, 0)
    return nonce_hash(primary + 1, data) or nonce_hash(-primary + 1, data)


def save_nonce(volume, timestamp, version, start):
    return nonce_hash(volume + 1, struct.pack("<QQIIQ", timestamp, 0, version, 0, start))


# ---- names --------------------------------------------------------------------------------------
# Three parts of a name are used as numbers, and these are read big endian.

@functools.lru_cache(maxsize=1 << 16)
def volume_index_bits(name):
    return int.from_bytes(name[0:8], "big")


def chapter_index_bits(name):
    return int.from_bytes(name[8:14], "big")


def sampling_bits(name):
    return int.from_bytes(name[14:16], "big")


# ---- the delta list code ------------------------------------------------------------------------

class DeltaCode:
    """How the distances between the sorted keys of a list are written.

    A small distance takes min_bits bits. A greater one wraps around in the upper part of those
    min_bits bits, and is followed by one zero bit for each time it did and a one bit.
    """
    def __init__(self, mean):
        self.incr_keys = (836158 * mean + 603160) // 1206321
        self.min_bits = bits_per(self.incr_keys + 1)
        self.min_keys = (1 << self.min_bits) - self.incr_keys
        # With such a mean the reference does not follow the code itself: no index may use one.
        self.unusable = self.incr_keys & self.incr_keys + 1 == 0 and mean > 0

    def bits(self, delta):
        if delta < self.min_keys:
            return self.min_bits
        return self.min_bits + 1 + (delta - self.min_keys) // self.incr_keys

    def list_size(self, keys, payload_bits):
        """The bits of a list with these sorted keys; a key that comes again is a collision."""
        size, before = 0, None
        for key in keys:
            if key == before:
                size += payload_bits + self.min_bits + 128
            else:
                size += payload_bits + self.bits(key - (before or 0))
            before = key
        return size


def delta_entries(bits, size, code, payload_bits):
    """The entries of a list, given as the integer of its bits: [(key, value, name, place)].

    name is None for an ordinary entry and the full name for a collision entry; place is the bit at
    which the entry (with its value) begins. The list ends after `size` bits, with an entry.
    """
    entries = []
    value_mask, code_mask = (1 << payload_bits) - 1, (1 << code.min_bits) - 1
    fixed, min_keys, incr_keys = payload_bits + code.min_bits, code.min_keys, code.incr_keys
    window_mask = (1 << fixed + 64) - 1
    key = at = 0
    while at < size:
        place = at
        window = bits >> at & window_mask
        value, delta = window & value_mask, window >> payload_bits & code_mask
        at += fixed
        if delta >= min_keys:
            rest = window >> fixed or bits >> at
            if not rest:
                raise FormatError("the entry at bit %d has no end" % place)
            zeros = (rest & -rest).bit_length() - 1
            delta += zeros * incr_keys
            at += zeros + 1
        key += delta
        name = None
        if delta == 0 and place > 0:
            name = (bits >> at & (1 << 128) - 1).to_bytes(16, "little")
            at += 128
        if at > size:
            raise FormatError("the entry at bit %d ends at bit %d, the list at %d"
                              % (place, at, size))
        entries.append((key, value, name, place))
    return entries


# ---- geometry -----------------------------------------------------------------------------------

def delta_bits(entries, mean, payload_bits):
    return entries * (payload_bits + DeltaCode(mean).min_bits + 1) + entries // 2 & 0xffffffff


CHAPTER_MEAN = 65536


class Geometry:
    """The numbers that follow from the configuration."""
    def __init__(self, page_size, record_pages, chapters, sparse_chapters=0, sample_rate=0,
                 mean_delta=4096, remapped_virtual=0, remapped_physical=0):
        self.page_size, self.record_pages = page_size, record_pages
        self.chapters, self.sparse_chapters = chapters, sparse_chapters
        self.dense_chapters = chapters - sparse_chapters
        self.sample_rate, self.mean_delta = sample_rate, mean_delta
        self.remapped_virtual, self.remapped_physical = remapped_virtual, remapped_physical
        self.reduced = chapters % 2 == 1  # a converted volume gave one chapter away

        self.records_per_page = page_size // 32
        self.records = self.records_per_page * record_pages  # in a chapter
        self.payload_bits = bits_per(record_pages - 1)
        self.list_bits = bits_per(self.records - 1 | 63) - 6  # one list for 64 records
        self.lists = 1 << self.list_bits
        self.address_bits = 16 - self.list_bits + bits_per(self.records - 1)
        need = delta_bits(self.records, CHAPTER_MEAN, self.payload_bits)
        usable = (page_size - 20) * 8 - (19 + need // self.lists)
        self.index_pages = ceil_div(need + self.lists * 19, usable)
        self.chapter_pages = self.index_pages + record_pages
        self.volume_bytes = page_size * (self.chapter_pages * chapters + 1)

        samples = self.records // sample_rate if sparse_chapters and sample_rate else 0
        if sparse_chapters:
            self.sub_indexes = [SubIndex(self, "d", self.records - samples, self.dense_chapters),
                                SubIndex(self, "s", samples, chapters)]
        else:
            self.sub_indexes = [SubIndex(self, "m", self.records, chapters)]

        index_bytes = 8 + sum(sub.save_bytes() for sub in self.sub_indexes)
        index_bytes += 12 if sparse_chapters else 0
        self.volume_blocks = self.volume_bytes // BLOCK
        self.volume_index_blocks = ceil_div(index_bytes, BLOCK) + 16
        self.page_map_blocks = ceil_div(16 + 2 * chapters * (self.index_pages - 1), BLOCK)
        self.open_chapter_blocks = ceil_div(14 + 32 * self.records, BLOCK)
        self.save_blocks = (1 + self.volume_index_blocks + self.page_map_blocks
                            + self.open_chapter_blocks)
        self.total_blocks = 3 + self.volume_blocks + 2 * self.save_blocks

    def chapter_key(self, name):
        """List and address of a name in a chapter index as one number: list above address."""
        return chapter_index_bits(name) & (1 << self.address_bits + self.list_bits) - 1

    def is_sample(self, name):
        return self.sparse_chapters > 0 and sampling_bits(name) % self.sample_rate == 0

    def sub_index_of(self, name):
        return self.sub_indexes[1 if self.is_sample(name) else 0]

    def physical_chapter(self, vcn):
        """The place in the volume that chapter vcn has."""
        if not self.reduced:
            return vcn % self.chapters
        v0, p0 = self.remapped_virtual, self.remapped_physical
        if vcn > v0:
            d = vcn - v0
            return d % self.chapters if d > p0 else d - 1
        if vcn == v0:
            return p0
        d = v0 - vcn
        return self.chapters - d if d < self.chapters else 0

    def chapters_to_expire(self, newest):
        """How many of the oldest chapters leave when chapter newest is opened."""
        v0, p0 = self.remapped_virtual, self.remapped_physical
        if newest < self.chapters:
            return 0
        if p0 > 0 and newest - self.chapters == v0:
            return 2
        if p0 > 0 and newest - self.chapters == v0 + p0:
            return 0
        return 1

    def is_sparse(self, oldest, newest, vcn):
        return (self.sparse_chapters > 0 and newest - oldest + 1 > self.dense_chapters
                and vcn + self.dense_chapters <= newest)

    def faults(self):
        """What makes such a geometry impossible, as sentences."""
        if self.page_size > 65536:
            yield "a page of %d bytes is too large for offsets of 19 bits" % self.page_size
        if self.records > 1 << 23:
            yield "%d records a chapter are more than 2^23" % self.records
        if self.lists > 65535:
            yield "%d lists a chapter do not fit into 16 bits" % self.lists
        for sub in self.sub_indexes:
            if sub.address_bits > 31:
                yield "volume index addresses have %d bits" % sub.address_bits
            if sub.code.unusable or sub.code.incr_keys == 0:
                yield "the mean delta %d of sub-index %s is not usable" % (sub.mean, sub.tag)


class SubIndex:
    """The parameters of a volume index, or of one of the two that a sparse index has."""
    def __init__(self, geometry, tag, records, covered_chapters):
        rounded = covered_chapters + (1 if geometry.reduced else 0)
        self.tag = tag  # of its list entries in a save
        self.lists = max(records * rounded // 256, 256)
        self.address_bits = bits_per(geometry.mean_delta * 256 - 1)
        self.chapter_bits = bits_per(rounded - 1)
        self.chapter_mask = (1 << self.chapter_bits) - 1
        self.chapter_count, self.rounded = covered_chapters, rounded
        total_chapters = rounded + max(rounded // 256, 2)
        self.mean = (self.lists << self.address_bits) // max(records * total_chapters, 1)
        self.code = DeltaCode(self.mean)
        self.chapter_size_bits = delta_bits(records, self.mean, self.chapter_bits)
        expected = self.chapter_size_bits * total_chapters // 8
        self.memory_bytes = expected * 106 // 100
        self.target_free_bytes = expected // 20

    def key(self, name):
        """List and address of a name as one number: list above address."""
        return volume_index_bits(name) % (self.lists << self.address_bits)

    def zone_bytes(self, zones):
        return round_up(self.memory_bytes // zones, 65536)

    def max_zone_bits(self, zones):
        return (zones * self.zone_bytes(zones) - self.target_free_bytes) * 8 // zones

    def zone_of(self, name, zones):
        return (self.key(name) >> self.address_bits) // ceil_div(self.lists, zones)

    def save_bytes(self):
        return 40 + 8 * self.lists + 40 + 9 * self.lists + round_up(self.memory_bytes, 65536)


# ---- the pages of a chapter ---------------------------------------------------------------------

class IndexPage:
    """A page of a chapter index: some of the chapter's delta lists, without gaps.

    u64 volume nonce, u64 vcn, u16 first list, u16 number of lists, then a table of 19-bit offsets,
    one for each list and one for the end, then the lists; seven bytes 0xff end the page. What is
    between the last list and those is undefined. Old writers had the four header fields big endian.
    """
    def __init__(self, page):
        self.page = page
        self.big_endian = False
        self.nonce, self.vcn, self.first, self.count = struct.unpack_from("<QQHH", page)

    def read_big_endian(self):
        self.big_endian = True
        self.nonce, self.vcn, self.first, self.count = struct.unpack_from(">QQHH", self.page)

    def faults(self, nonce):
        """What verification finds wrong, as (rule, sentence); nothing on a good page."""
        bits = 8 * len(self.page)
        if self.nonce != nonce:
            yield "nonce", "nonce %d, the volume has %d" % (self.nonce, nonce)
            return
        if self.count > (bits - 160) // 19:
            yield "count", "%d lists cannot be on a page" % self.count
            return
        offsets = self.offsets()
        if offsets[0] != 160 + 19 * (self.count + 1):
            yield "table-start", "list 0 begins at bit %d" % offsets[0]
        for i in range(self.count):
            if offsets[i] > offsets[i + 1]:
                yield "table-order", "list %d ends before it begins" % (self.first + i)
        if offsets[-1] > bits - 56:
            yield "table-end", "the last list ends at bit %d" % offsets[-1]
        if self.page[-7:] != b"\xff" * 7:
            yield "guard", "the last seven bytes are %s" % self.page[-7:].hex()

    def offsets(self):
        table = bit_field(self.page, 160, 19 * (self.count + 1))
        return [table >> 19 * i & 0x7ffff for i in range(self.count + 1)]

    def lists(self):
        """(list number, first bit on the page, bits as an integer, size) of each list."""
        offsets = self.offsets()
        for i in range(self.count):
            start, size = offsets[i], offsets[i + 1] - offsets[i]
            yield self.first + i, start, bit_field(self.page, start, size), size


def free_bits(page_size, sizes=()):
    """What is left on an index page that holds lists of these sizes."""
    return 8 * page_size - 160 - 19 - 56 - sum(19 + size for size in sizes)


def index_page(page, nonce):
    """Reads an index page in either byte order, the way every reader has to."""
    result = IndexPage(page)
    if any(result.faults(nonce)):
        swapped = IndexPage(page)
        swapped.read_big_endian()
        if not any(swapped.faults(nonce)):
            return swapped
    return result


def heap_order(count):
    """The places of a record page in the order of the sorted names: a walk of the tree."""
    order, stack, node = [], [], 0
    while stack or node < count:
        while node < count:
            stack.append(node)
            node = 2 * node + 1
        node = stack.pop()
        order.append(node)
        node = 2 * node + 2
    return order


def page_records(page):
    """The records of a record page as (name, data), in stored order."""
    return [(page[at:at + 16], page[at + 16:at + 32]) for at in range(0, len(page) - 31, 32)]


def find_on_record_page(page, name):
    """The data of a name, by descending the tree; None if it is not there."""
    node, count = 0, len(page) // 32
    while node < count:
        found = page[32 * node:32 * node + 16]
        if found == name:
            return page[32 * node + 16:32 * node + 32]
        node = 2 * node + (1 if name < found else 2)
    return None


def search_list(entries, key, name):
    """What a search of a delta list for a name finds: its entry, (a hint or exact), or None."""
    for i, entry in enumerate(entries):
        if entry[0] > key:
            return None
        if entry[0] == key:
            for collision in entries[i + 1:]:
                if collision[2] is None:
                    break
                if collision[2] == name:
                    return collision
            return entry
    return None


# ---- parts of a save ----------------------------------------------------------------------------

class OpenChapter:
    """"ALBOC", "02.00", u32 count, then the live records: first of each zone, second of each..."""
    def __init__(self, data):
        self.magic, self.version, self.count = data[0:5], data[5:10], u32(data, 10)
        self.length = 14 + 32 * self.count
        self.records = page_records(data[14:self.length])

    def faults(self, region_bytes):
        if self.magic != b"ALBOC":
            yield "magic", "the magic is %r" % bytes(self.magic)
        elif self.version != b"02.00":
            yield "version", "the version is %r" % bytes(self.version)
        elif self.length > region_bytes:
            yield "count", "%d records do not fit into the region" % self.count


class PageMap:
    """For each physical chapter, the last list on each of its index pages but the last."""
    def __init__(self, data, geometry):
        self.magic, self.last_update = data[0:8], u64(data, 8)
        width = geometry.index_pages - 1
        self.length = 16 + 2 * geometry.chapters * width
        entries = struct.unpack_from("<%dH" % (geometry.chapters * width), data, 16)
        self.rows = [entries[width * c:width * (c + 1)] for c in range(geometry.chapters)]

    def page_of_list(self, physical_chapter, number):
        row = self.rows[physical_chapter]
        return next((page for page, last in enumerate(row) if number <= last), len(row))


class SubStream:
    """What one zone's stream holds of one sub-index."""
    def __init__(self, stream):
        (self.magic, self.nonce, self.low, self.high, self.first,
         self.count) = stream.take("<8sQQQII")
        if self.magic != b"MI5-0005":
            raise FormatError("a sub-index begins with %r" % self.magic)
        self.flush_from = stream.take("<%dQ" % self.count)
        self.at = stream.at
        (self.delta_magic, self.zone, self.zones, self.delta_first, self.delta_count,
         self.records, self.collisions) = stream.take("<8sIIIIQQ")
        if self.delta_magic != b"DI-00002":
            raise FormatError("a delta index begins with %r" % self.delta_magic)
        self.sizes_at = stream.at
        self.sizes = stream.take("<%dH" % self.delta_count)
        self.lists = []  # (tag, bit offset, byte count, list number, where its data begin)
        self.data = stream.data

    def read_lists(self, stream):
        for _ in range(len(self.sizes) - self.sizes.count(0)):
            tag, offset, length, number = stream.take("<cBHI")
            self.lists.append((tag.decode("latin-1"), offset, length, number, stream.at))
            stream.skip(length)

    def bits(self, entry):
        """The bits of a list, as an integer, and its size."""
        tag, offset, length, number, at = entry
        size = self.sizes[number - self.first]
        return bit_field(self.data, 8 * at + offset, size), size


class Stream:
    """Reads fields one after the other and never past the end."""
    def __init__(self, data):
        self.data, self.at = data, 0

    def skip(self, count):
        self.at += count
        if self.at > len(self.data):
            raise FormatError("it ends at byte %d, but goes on to %d" % (len(self.data), self.at))

    def take(self, fields):
        at = self.at
        self.skip(struct.calcsize(fields))
        return struct.unpack_from(fields, self.data, at)


class ZoneStream:
    """The volume index of one zone: header, tables and sizes of each sub-index, then all lists."""
    def __init__(self, data, sparse):
        stream = Stream(data)
        self.sample_rate = None
        if sparse:
            magic, self.sample_rate = stream.take("<8sI")
            if magic != b"MI6-0001":
                raise FormatError("a sparse volume index begins with %r" % magic)
        self.subs = [SubStream(stream) for _ in range(2 if sparse else 1)]
        for sub in self.subs:
            sub.read_lists(stream)
        self.guard_at = stream.at
        self.guard = stream.take("<8s")[0]
        self.length = stream.at


# ---- the layout of the device -------------------------------------------------------------------

HEADER, CONFIG, CONTAINER, SEAL, VOLUME, SAVE = 1, 100, 101, 102, 201, 202
FREE, PAGE_MAP, VOLUME_INDEX, OPEN_CHAPTER = 0, 301, 302, 303
SINGLE = 65535  # the instance of a region of which there is one
REGION_MAGIC = 0x416c6252676e3031


class RegionTable:
    """Begins the super block and each save: (start, blocks, zero, kind, instance) of regions."""
    def __init__(self, block):
        (self.magic, self.blocks, self.type, self.version, count,
         length) = struct.unpack_from("<QQHHHH", block)
        if self.magic != REGION_MAGIC:
            raise FormatError("no region table: the magic is %#x" % self.magic)
        end = 24 + 24 * count
        if end + length > len(block):
            raise FormatError("a table of %d regions does not fit into its block" % count)
        self.regions = [struct.unpack_from("<QQIHH", block, at) for at in range(24, end, 24)]
        self.payload, self.rest = block[end:end + length], block[end + length:]


class SuperBlock:
    def __init__(self, block):
        self.table = RegionTable(block)
        payload = self.table.payload
        if len(payload) < 104:
            raise FormatError("a super block's payload of %d bytes" % len(payload))
        self.label, self.seed_data = payload[0:32], payload[32:64]
        (self.primary_nonce, self.version, self.block_size, self.sub_indexes, self.saves,
         self.zero, self.open_chapter_blocks, self.page_map_blocks) = struct.unpack_from(
             "<QIIHHIQQ", payload, 64)
        self.volume_offset = self.start_offset = 0
        if self.version == 7:
            if len(payload) < 120:
                raise FormatError("a converted super block's payload of %d bytes" % len(payload))
            self.volume_offset, self.start_offset = struct.unpack_from("<QQ", payload, 104)
        self.shift = self.volume_offset - self.start_offset

    def expected_regions(self, first_block):
        """The table that there must be, given the block that the super block was found at and the
        sizes that the table states."""
        first, offset = first_block - self.shift, self.volume_offset
        volume, slot = self.table.regions[3][1], self.table.regions[4][1]
        save = first + 2 + volume + offset
        inside = volume + 2 * slot
        return [(first, 1, 0, HEADER, SINGLE), (first + 1, 1, 0, CONFIG, SINGLE),
                (first + 2, inside, 0, CONTAINER, 0), (first + 2, volume, 0, VOLUME, SINGLE),
                (save, slot, 0, SAVE, 0), (save + slot, slot, 0, SAVE, 1),
                (first + 2 + inside + offset, 1, 0, SEAL, SINGLE)]

    # Where the regions lie on the device; after a conversion the table has the old numbers.
    def config_block(self):
        return self.table.regions[1][0] + self.shift

    def volume_block(self):
        return self.table.regions[3][0] + self.shift

    def save_block(self, slot):
        return self.table.regions[4 + slot][0] - self.start_offset


class Config:
    def __init__(self, block):
        self.magic, self.version = block[0:5], block[5:10]
        (self.record_pages, self.chapters, self.sparse_chapters, self.cache_chapters, self.unused,
         self.mean_delta, self.page_size, self.sample_rate, self.nonce) = struct.unpack_from(
             "<IIIIIIIIQ", block, 10)
        self.remapped_virtual = self.remapped_physical = 0
        self.rest = block[50:]
        if self.version == b"08.02":
            self.remapped_virtual, self.remapped_physical = struct.unpack_from("<QQ", block, 50)
            self.rest = block[66:]

    def geometry(self):
        return Geometry(self.page_size, self.record_pages, self.chapters, self.sparse_chapters,
                        self.sample_rate, self.mean_delta, self.remapped_virtual,
                        self.remapped_physical)


SAVED, UNSAVED = 2, 4


class SaveHeader:
    """The first block of a save slot."""
    def __init__(self, block):
        self.table = RegionTable(block)
        self.zones, self.timestamp = 0, 0
        if self.table.type != SAVED:
            return
        if len(self.table.payload) != 64:
            raise FormatError("a save's payload of %d bytes" % len(self.table.payload))
        (self.timestamp, self.nonce, self.version, self.zero, state_a, state_b, self.newest,
         self.oldest, self.last_save, zero1, zero2) = struct.unpack("<QQIIiiQQQII",
                                                                    self.table.payload)
        self.state, self.zeros = (state_a, state_b), (self.zero, zero1, zero2)
        regions = self.table.regions
        has_free = bool(regions) and regions[-1][3] == FREE
        self.zones = len(regions) - 3 - (1 if has_free else 0)

    def expected_regions(self, start, blocks, super_block):
        """The table of a save that is complete."""
        inside = blocks - 1 - super_block.page_map_blocks - super_block.open_chapter_blocks
        sizes = [(1, HEADER, SINGLE), (super_block.page_map_blocks, PAGE_MAP, SINGLE)]
        sizes += [(inside // self.zones, VOLUME_INDEX, zone) for zone in range(self.zones)]
        sizes += [(super_block.open_chapter_blocks, OPEN_CHAPTER, SINGLE)]
        sizes += [(inside % self.zones, FREE, SINGLE)] if inside % self.zones else []
        regions = []
        for size, kind, instance in sizes:
            regions.append((start, size, 0, kind, instance))
            start += size
        return regions


# ---- finding the chapters after a crash ---------------------------------------------------------

def find_boundaries(geometry, probe):
    """(oldest, newest) of a volume, newest being the chapter that would be open.

    probe(physical chapter) gives its vcn, or NONE when it is not a good chapter.
    """
    limit, span, tries = geometry.chapters, 1, 0
    while limit > 0:
        chapter = 0 if span > limit else limit - span
        if probe(chapter) == NONE:
            limit, tries = chapter, tries + 1
            span *= 2 if tries > 1 else 1
        elif span == 1:
            break
        else:
            span, tries = span // 2, 0
    if limit == 0:
        return 0, 0

    v0, p0 = geometry.remapped_virtual, geometry.remapped_physical
    moved = p0 if p0 > 0 and p0 < geometry.chapters and probe(p0) == v0 else None
    first, left, right = probe(0), 0, limit
    while left < right:
        middle = (left + right) // 2
        if middle == moved:
            middle -= 1
        if first <= probe(middle):
            left = middle + 1
            if left == moved:
                left += 1
        else:
            right = middle
    lowest = probe(0 if left >= limit else left)
    if moved is not None and lowest == v0 + 1:
        lowest = v0
    highest, bad = NONE, 0
    while highest == NONE:
        right = (right + limit - 1) % limit
        if right != moved:
            highest = probe(right)
            bad += highest == NONE
            if bad > 100:
                raise FormatError("more than 100 bad chapters")
    newest = highest + 1
    oldest = max(lowest, newest - geometry.chapters + 1)
    return oldest, newest
