# SPDX-License-Identifier: BSD-2-Clause
"""Faults that are planted into good images, at least one for each rule of uds_check.py.

Each function below named after a rule breaks that rule, and no other, in the image that it asks
for; where a second rule is broken of necessity, `also` names it.
"""
import struct

import uds_format as uds
from uds_format import BLOCK

FAULTS = []  # (rule, image, function, other rules that must break with it)


def fault(rule, image, also=()):
    def add(function):
        FAULTS.append((rule, image, function, also))
        return function
    return add


# ---- device, super block, config ----------------------------------------------------------------

@fault("device", "dense-wrap")
def short_device(p):
    del p.data[-BLOCK:]


@fault("super-table", "dense-wrap")
def super_block_version(p):
    p.put(p.offset + 18, "<H", 2)


@fault("super-regions", "dense-wrap")
def kind_of_the_seal(p):
    p.put(p.offset + 24 + 24 * 6 + 20, "<H", 103)


@fault("super-total", "dense-wrap")
def one_block_more_in_all(p):
    p.put(p.offset + 8, "<Q", p.super.table.blocks + 1)


@fault("super-sizes", "unsaved-crash")
def one_block_more_for_open_chapters(p):
    p.put(p.payload() + 88, "<Q", p.super.open_chapter_blocks + 1)


@fault("super-label", "dense-wrap")
def label(p):
    p.flip(p.payload() + 5)


@fault("super-version", "dense-wrap")
def longer_payload(p):
    p.put(p.offset + 22, "<H", 120)


@fault("super-nonce", "dense-wrap")
def primary_nonce(p):
    p.flip(p.payload() + 64)


@fault("super-fields", "dense-wrap")
def block_size(p):
    p.put(p.payload() + 76, "<I", 512)


@fault("super-offsets", "converted-used")
def volume_offset(p):
    """One more for both offsets, and everything that depends on them changed with them."""
    p.put(p.payload() + 104, "<QQ", p.super.volume_offset + 1, p.super.start_offset + 1)
    for region in (4, 5, 6):
        p.put(p.offset + 24 + 24 * region, "<Q", p.super.table.regions[region][0] + 1)
    for slot in range(2):
        at = BLOCK * p.super.save_block(slot)
        header = uds.SaveHeader(bytes(p.data[at:at + BLOCK]))
        for i, region in enumerate(header.table.regions):
            p.put(at + 24 + 24 * i, "<Q", region[0] + 1)
        start = header.table.regions[0][0] + 1
        p.put(at + 24 + 24 * len(header.table.regions) + 8, "<Q",
              uds.save_nonce(p.nonce, header.timestamp, 1, start))


@fault("config-magic", "dense-wrap")
def config_magic(p):
    p.flip(p.config())


@fault("config-version", "dense-wrap")
def config_version(p):
    p.data[p.config() + 5:p.config() + 10] = b"08.02"


@fault("config-limits", "dense-wrap")
def no_cache(p):
    p.put(p.config() + 22, "<I", 0)


@fault("config-remap", "converted-used")
def remapped_outside(p):
    p.put(p.config() + 58, "<Q", p.geometry.chapters)


@fault("config-rest", "dense-wrap")
def behind_the_config(p):
    p.flip(p.config() + 200)


# ---- saves --------------------------------------------------------------------------------------

@fault("save-table", "dense-wrap")
def save_type(p):
    p.put(p.slot()[0] + 16, "<H", 3)


@fault("save-payload", "dense-wrap")
def save_version(p):
    at, header = p.slot()
    p.put(at + 24 + 24 * len(header.table.regions) + 16, "<I", 2)


@fault("save-payload", "fresh-crash")
def unsaved_with_a_time(p):
    at = BLOCK * p.super.save_block(0)
    p.put(at + 24 + 24 * 3, "<Q", 1)


@fault("save-regions", "dense-wrap")
def save_region_kind(p):
    p.put(p.slot()[0] + 24 + 24 + 20, "<H", 303)


@fault("save-nonce", "dense-wrap")
def save_time(p):
    at, header = p.slot()
    p.put(at + 24 + 24 * len(header.table.regions), "<Q", header.timestamp + 1)


@fault("save-chapters", "dense-wrap")
def last_save(p):
    at, header = p.slot()
    p.put(at + 24 + 24 * len(header.table.regions) + 48, "<Q", header.newest)


@fault("open-magic", "dense-wrap")
def open_chapter_magic(p):
    p.flip(p.open_chapter()[0] + 2)


@fault("open-count", "dense-wrap")
def open_chapter_count(p):
    p.put(p.open_chapter()[0] + 10, "<I", 1000000)


@fault("open-names", "dense-wrap")
def open_chapter_name_twice(p):
    at, _ = p.open_chapter()
    p.data[at + 14 + 32:at + 14 + 48] = p.data[at + 14:at + 30]


@fault("open-zone", "fresh-saved", also=("open-entry",))
def open_chapter_too_full(p):
    """Names that no volume index knows are needed to fill it: the other rule breaks with it."""
    at, chapter = p.open_chapter()
    for i in range(chapter.count, p.geometry.records):
        p.data[at + 14 + 32 * i:at + 46 + 32 * i] = struct.pack("<QQQQ", i, i, i, i)
    p.put(at + 10, "<I", p.geometry.records)


@fault("open-rest", "dense-wrap")
def behind_the_open_chapter(p):
    at, chapter = p.open_chapter()
    p.flip(at + chapter.length)


@fault("open-entry", "dense-wrap")
def unknown_name_in_the_open_chapter(p):
    p.flip(p.open_chapter()[0] + 14 + 7, 0xff)


@fault("map-magic", "dense-wrap")
def page_map_magic(p):
    p.flip(p.save_region(uds.PAGE_MAP))


@fault("map-update", "dense-wrap")
def page_map_update(p):
    p.put(p.save_region(uds.PAGE_MAP) + 8, "<Q", p.newest)


@fault("map-row", "dense-collisions")
def page_map_row(p):
    p.flip(p.save_region(uds.PAGE_MAP) + 16 + 2 * p.geometry.physical_chapter(p.newest - 1))


@fault("map-unused", "pagesize-32k")
def page_map_of_a_new_slot(p):
    width = p.geometry.index_pages - 1
    p.put(p.save_region(uds.PAGE_MAP) + 16 + 2 * width * (p.geometry.chapters - 1), "<H", 1)


@fault("map-rest", "dense-collisions")
def behind_the_page_map(p):
    p.flip(p.save_region(uds.PAGE_MAP) + BLOCK - 1)


# ---- the volume index ---------------------------------------------------------------------------

@fault("index-stream", "dense-wrap")
def sub_index_magic(p):
    p.flip(p.stream()[0])


@fault("index-stream", "dense-wrap")
def delta_index_magic(p):
    at, stream = p.stream()
    p.flip(at + stream.subs[0].at)


@fault("index-nonce", "dense-wrap")
def index_nonce(p):
    p.flip(p.stream()[0] + 8)


@fault("index-sample", "sparse-1zone")
def index_sample_rate(p):
    p.put(p.stream()[0] + 8, "<I", 8)


@fault("index-zones", "dense-wrap")
def index_zone_number(p):
    at, stream = p.stream()
    p.put(at + stream.subs[0].at + 8, "<I", 1)


@fault("index-window", "dense-wrap")
def index_high(p):
    p.put(p.stream()[0] + 24, "<Q", p.newest + 1)


@fault("index-list", "dense-wrap")
def index_list_tag(p):
    at, stream = p.stream()
    p.flip(at + stream.subs[0].lists[0][4] - 8)


@fault("index-decode", "dense-wrap")
def index_list_one_bit_short(p):
    at, stream = p.stream()
    sub = stream.subs[0]
    _, _, _, number, _ = next(entry for entry in sub.lists
                              if (entry[1] + sub.sizes[entry[3]]) % 8 != 1)
    p.put(at + sub.sizes_at + 2 * number, "<H", sub.sizes[number] - 1)


@fault("index-key", "dense-wrap")
def index_collision_name(p):
    def wanted(entry, entries, vcn, flush, sub):
        return entry[2] and vcn < p.newest
    bit, sub = p.index_entries(wanted)[:2]
    start = bit + sub.chapter_bits + sub.code.min_bits + 8 * 7
    p.set_bits(start, 1, 1 - uds.bit_field(p.data, start, 1))


@fault("index-twice", "pagesize-32k")
def index_collision_twice(p):
    def wanted(entry, entries, vcn, flush, sub):
        at = entries.index(entry)
        follower = entries[at + 1:at + 2]
        return entry[2] and follower and follower[0][2]
    bit, sub, _, _, entry, _ = p.index_entries(wanted)
    size = sub.chapter_bits + sub.code.min_bits + 128
    p.set_bits(bit + 2 * size - 128, 128, int.from_bytes(entry[2], "little"))


@fault("index-value", "early-expiry")
def index_chapter_to_come(p):
    def wanted(entry, entries, vcn, flush, sub):
        return vcn < p.newest and entry[2] is None
    bit, sub = p.index_entries(wanted)[:2]
    p.set_bits(bit, sub.chapter_bits, p.newest + 1 & sub.chapter_mask)


@fault("index-flush", "dense-wrap")
def index_flush_from(p):
    at, stream = p.stream()
    place = next(place for place in stream.subs[0].lists if stream.subs[0].sizes[place[3]] > 200)
    p.put(at + 40 + 8 * place[3], "<Q", p.newest)


@fault("index-counts", "dense-wrap")
def index_records(p):
    at, stream = p.stream()
    p.put(at + stream.subs[0].at + 24, "<Q", stream.subs[0].records + 1)


@fault("index-fits", "does-not-fit")
def index_too_large(p):
    """Is so already: the reference crashed when it loaded this one."""


@fault("index-guard", "dense-wrap")
def index_guard(p):
    at, stream = p.stream()
    p.flip(at + stream.guard_at + 3)


@fault("index-rest", "dense-wrap")
def behind_the_stream(p):
    at, stream = p.stream()
    p.flip(at + stream.length)


@fault("index-hint", "dense-wrap")
def index_other_chapter(p):
    def wanted(entry, entries, vcn, flush, sub):
        return entry[2] is None and flush < vcn < p.newest
    bit, sub, _, _, _, vcn = p.index_entries(wanted)
    p.set_bits(bit, sub.chapter_bits, vcn - 1 & sub.chapter_mask)


# ---- chapter index pages ------------------------------------------------------------------------

@fault("page-nonce", "dense-wrap")
def page_nonce(p):
    p.flip(p.page(p.oldest, 0))


@fault("page-count", "dense-wrap")
def page_count(p):
    p.put(p.page(p.oldest, 0) + 18, "<H", 60000)


@fault("page-table-start", "dense-wrap")
def page_table_start(p):
    at, page = p.index_page(p.oldest)
    p.set_bits(8 * at + 160, 19, page.offsets()[0] + 1)


@fault("page-table-order", "dense-wrap")
def page_table_order(p):
    at, page = p.index_page(p.oldest)
    p.set_bits(8 * at + 160 + 19 * 2, 19, page.offsets()[1] - 1)


@fault("page-table-end", "dense-wrap")
def page_table_end(p):
    at, page = p.index_page(p.oldest)
    p.set_bits(8 * at + 160 + 19 * page.count, 19, 8 * (len(page.page) - 7) + 1)


@fault("page-guard", "dense-wrap")
def page_guard(p):
    p.flip(p.page(p.oldest, 1) - 1)


@fault("page-vcn", "dense-collisions")
def page_of_another_chapter(p):
    p.put(p.page(p.oldest, 1) + 8, "<Q", p.oldest + p.geometry.chapters)


@fault("page-first", "dense-collisions")
def page_first_list(p):
    p.put(p.page(p.oldest, 1) + 16, "<H", p.index_page(p.oldest, 1)[1].first + 1)


@fault("page-lists", "dense-wrap")
def page_without_last_list(p):
    p.put_lists(p.oldest, p.lists(p.oldest)[:-1])


@fault("page-packing", "dense-2page-crash")
def page_not_full(p):
    vcn = p.newest - 1
    lists, more = p.lists(vcn), p.lists(vcn, 1)
    p.put_lists(vcn, lists[-1:] + more, 1, first=len(lists) - 1)
    p.put_lists(vcn, lists[:-1])


@fault("list-decode", "dense-wrap")
def list_one_bit_short(p):
    at, page = p.index_page(p.oldest)
    p.set_bits(8 * at + 160 + 19 * page.count, 19, page.offsets()[-1] - 1)


@fault("list-value", "minimal")
def list_value_beyond(p):
    at, page = p.index_page(p.oldest)
    p.set_bits(8 * at + page.offsets()[0], 1, 1)


@fault("list-key", "dense-collisions")
def list_collision_name(p):
    vcn, number, i = next(p.group(1))
    lists = p.lists(vcn)
    key, value, name, at = lists[number][i + 1]
    lists[number][i + 1] = (key, value, name[:13] + bytes([name[13] ^ 1]) + name[14:], at)
    p.put_lists(vcn, lists)


@fault("list-twice", "dense-collisions")
def list_collision_twice(p):
    for vcn, number, i in p.group(1):
        lists = p.lists(vcn)
        if number == len(lists) - 1:
            continue
        lists[number].insert(i + 1, lists[number][i + 1])
        try:
            p.put_lists(vcn, lists)
            return
        except AssertionError:
            continue
    raise AssertionError("no page with room for another entry")


@fault("list-order", "dense-collisions")
def list_collision_first(p):
    """The later of two records takes the ordinary entry, the earlier one the collision entry."""
    for vcn, number, i in p.group(1):
        lists, names = p.lists(vcn), p.chapter(vcn).names
        key, first, _, _ = lists[number][i]
        later, more = lists[number][i + 1], lists[number][i + 2:i + 3]
        if later[1] == first or more and more[0][2]:
            continue
        other = next(name for name in names if name != later[2] and names[name] == first
                     and p.geometry.chapter_key(name) == p.geometry.chapter_key(later[2]))
        lists[number][i:i + 2] = [(key, later[1], None), (key, first, other)]
        p.put_lists(vcn, lists)
        return
    raise AssertionError("no collision across two pages")


@fault("list-record", "dense-wrap")
def list_other_page(p):
    lists = p.lists(p.oldest)
    key, value, name, _ = lists[0][0]
    lists[0][0] = (key, value ^ 1, name)
    p.put_lists(p.oldest, lists)


# ---- records ------------------------------------------------------------------------------------

@fault("record-order", "dense-wrap")
def records_swapped(p):
    at = p.page(p.oldest, p.geometry.index_pages)
    p.data[at:at + 64] = p.data[at + 32:at + 64] + p.data[at:at + 32]


@fault("record-entry", "dense-wrap")
def list_without_an_entry(p):
    lists = p.lists(p.oldest)
    del lists[0][-1]
    p.put_lists(p.oldest, lists)


@fault("record-drop", "dense-wrap")
def list_emptied(p):
    lists = p.lists(p.oldest)
    lists[3] = []
    p.put_lists(p.oldest, lists)


def replace_copies(p, vcn, fill, record, most):
    """Puts another record in the place of up to `most` copies of the fill record."""
    own = p.chapter(vcn).names[record[0]]
    for number in range(p.geometry.record_pages):
        records = p.record_page(vcn, number)[1]
        for i in range(len(records)):
            last = number == p.geometry.record_pages - 1
            keep = last and sum(name == fill for name, _ in records) == 1
            if records[i][0] == fill and not keep and most and (number != own or most > 1):
                records[i] = record
                most -= 1
        p.put_record_page(vcn, number, records)


@fault("fill-names", "dense-3zone")
def two_names_repeated(p):
    vcn, fill, _ = p.chapter_with_fill()
    record = next(record for record in p.record_page(vcn, 0)[1] if record[0] != fill)
    replace_copies(p, vcn, fill, record, 1)


@fault("fill-data", "dense-3zone")
def fill_copies_differ(p):
    vcn, fill, _ = p.chapter_with_fill()
    number = p.geometry.record_pages - 1
    at, records = p.record_page(vcn, number)
    p.flip(at + 32 * [name for name, _ in records].index(fill) + 20)


@fault("fill-position", "dense-3zone")
def fill_from_the_first_page(p):
    vcn, fill, times = p.chapter_with_fill()
    record = next(record for record in p.record_page(vcn, 0)[1] if record[0] != fill)
    replace_copies(p, vcn, fill, record, times - 1)


# ---- slots --------------------------------------------------------------------------------------

def copy_chapter(p, vcn, slot):
    size = p.geometry.page_size * p.geometry.chapter_pages
    start = BLOCK * p.super.volume_block() + p.geometry.page_size
    source = p.page(vcn, 0)
    p.data[start + slot * size:start + (slot + 1) * size] = p.data[source:source + size]
    return start + slot * size


@fault("volume-slot", "savedback-crash")
def chapter_in_a_wrong_slot(p):
    copy_chapter(p, p.oldest, p.geometry.chapters - 1)


@fault("volume-beyond", "savedback-crash")
def chapter_after_the_save(p):
    slot = p.geometry.chapters - 1
    at = copy_chapter(p, p.oldest, slot)
    p.put(at + 8, "<Q", slot)
