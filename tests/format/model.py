# SPDX-License-Identifier: BSD-2-Clause
"""A model of an index: which answer each request must get, and what a crash or a save leaves.

Everything is in lists and dictionaries; nothing is fast, nothing is packed into bits. Of the delta
lists only the size is computed, because early expiry depends on it. Not modelled: a volume index
that runs out of memory, chapter index lists of more than 65535 bits, and sparse cache entries that
are skipped after 20000 misses.
"""
import bisect
import pickle

import uds_format as uds

POST, UPDATE, QUERY, PEEK, DELETE = "PUQND"


class Zone:
    """One zone's part of the open chapter; a record's number is its place, and is never reused."""
    def __init__(self, capacity):
        self.capacity, self.records, self.live = capacity, [], {}

    def put(self, name, data):
        """Returns how many more records fit."""
        if len(self.records) >= self.capacity:
            return 0
        if name in self.live:
            self.records[self.live[name]] = (name, data)
        else:
            self.live[name] = len(self.records)
            self.records.append((name, data))
        return self.capacity - len(self.records)

    def get(self, name):
        return self.records[self.live[name]][1] if name in self.live else None

    def remove(self, name):
        if name in self.live:
            self.records[self.live.pop(name)] = None

    def counts(self):
        return len(self.records), self.records.count(None), self.capacity


def collate(zones, records):
    """The records of a closed chapter in layout order, holes filled."""
    fill = next(zone.records[-1] for zone in zones if len(zone.records) == zone.capacity)
    result = []
    for r in range(records):
        place, zone = divmod(r, len(zones))
        found = zones[zone].records[place:place + 1]
        result.append(found[0] if found and found[0] else fill)
    return result


def emptied_lists(lists, geometry):
    """Which lists {number: sorted addresses} have to be emptied so that all fit on their pages."""
    code, gone = uds.DeltaCode(uds.CHAPTER_MEAN), set()
    size = [code.list_size(lists.get(i, ()), geometry.payload_bits) for i in range(geometry.lists)]
    first = 0
    for page in range(geometry.index_pages):
        last = page == geometry.index_pages - 1
        while True:
            end, free = first, uds.free_bits(geometry.page_size)
            while end < geometry.lists and 19 + size[end] <= free:
                free -= 19 + size[end]
                end += 1
            if end == geometry.lists or end > first and not last:
                break
            while size[end] == 0:
                end -= 1
            size[end] = 0
            gone.add(end)
        first = end
    return gone


class Chapter:
    """A chapter on the volume; `data` has what its index leads to."""
    def __init__(self, vcn, layout, geometry):
        self.vcn, self.layout, self.data = vcn, layout, dict(layout)
        lists = {}
        for name in self.data:
            number, address = divmod(geometry.chapter_key(name), 1 << geometry.address_bits)
            lists.setdefault(number, []).append(address)
        for addresses in lists.values():
            addresses.sort()
        for number in emptied_lists(lists, geometry):
            for name in [name for name in self.data
                         if geometry.chapter_key(name) >> geometry.address_bits == number]:
                del self.data[name]
        self.keys = {geometry.chapter_key(name) for name in self.data}

    def stored_order(self, records_per_page):
        """The records as they lie on the record pages."""
        for start in range(0, len(self.layout), records_per_page):
            page = [None] * records_per_page
            ordered = sorted(self.layout[start:start + records_per_page])
            for record, node in zip(ordered, uds.heap_order(records_per_page)):
                page[node] = record
            yield from page


class SubIndex:
    """A volume index: lists of entries [key, vcn, name or None], sorted by key."""
    def __init__(self, parameters, zones):
        self.parameters = parameters
        self.lists = [[] for _ in range(parameters.lists)]
        # Of each list: the lowest chapter that can still have an entry in it.
        self.swept = [0] * parameters.lists
        self.low, self.high = [0] * zones, [0] * zones
        self.share = uds.ceil_div(parameters.lists, zones)
        self.expired_early = 0

    def set_zones(self, zones):
        self.low, self.high = [max(self.low)] * zones, [self.high[0]] * zones
        self.share = uds.ceil_div(self.parameters.lists, zones)

    def zone_of(self, name):
        return (self.parameters.key(name) >> self.parameters.address_bits) // self.share

    def place(self, name):
        number, key = divmod(self.parameters.key(name), 1 << self.parameters.address_bits)
        return self.lists[number], key

    @staticmethod
    def find(entries, key):
        """Where the first entry with this or a greater key is."""
        return bisect.bisect_left(entries, [key])  # less than any entry of that key

    @staticmethod
    def cut(entries, at):
        """Removes an entry; a collision entry that loses its ordinary one takes its place."""
        removed = entries.pop(at)
        if removed[2] is None and at < len(entries) and entries[at][2] is not None:
            entries[at][2] = None

    def peek(self, name):
        """The entry that a search finds: exact if it has a name, else a hint; None."""
        entries, key = self.place(name)
        at = self.find(entries, key)
        if at == len(entries) or entries[at][0] != key:
            return None
        first = entries[at]
        for entry in entries[at + 1:]:
            if entry[2] is None:
                break
            if entry[2] == name:
                return entry
        return first

    def get(self, name):
        """As peek, after the entries of chapters that left were dropped from the list."""
        number = self.parameters.key(name) >> self.parameters.address_bits
        low = self.low[number // self.share]
        if self.swept[number] < low:
            self.swept[number] = low
            entries, at = self.lists[number], 0
            while at < len(entries):
                if entries[at][1] < low:
                    self.cut(entries, at)
                else:
                    at += 1
        return self.peek(name)

    def put(self, name, vcn):
        entries, key = self.place(name)
        number = self.parameters.key(name) >> self.parameters.address_bits
        self.swept[number] = min(self.swept[number], vcn)
        at = self.find(entries, key)
        if at < len(entries) and entries[at][0] == key:
            entries.insert(at + 1, [key, vcn, name])
        else:
            entries.insert(at, [key, vcn, None])

    def remove(self, name, entry):
        entries = self.place(name)[0]
        self.cut(entries, next(i for i, e in enumerate(entries) if e is entry))

    def set_open_chapter(self, vcn):
        p, zones = self.parameters, len(self.low)
        for zone in range(zones):
            self.high[zone] = vcn
            self.low[zone] = max(vcn - p.chapter_count + 1, 0)
            used = sum(p.code.list_size([entry[0] for entry in entries], p.chapter_bits)
                       for entries in self.lists[zone * self.share:(zone + 1) * self.share])
            if used > p.max_zone_bits(zones):
                self.expired_early += 1
                n = 1 + (used - p.max_zone_bits(zones)) // (p.chapter_size_bits // zones)
                self.low[zone] = self.low[zone] + n if n == 1 or self.low[zone] + n < vcn else vcn

    def entries(self):
        return sum(map(len, self.lists))

    def collisions(self):
        return sum(entry[2] is not None for entries in self.lists for entry in entries)


class SparseCache:
    """Which chapter indexes are cached: the chapters in the order in which each zone searches."""
    def __init__(self, size, zones):
        self.lists = [[None] * size for _ in range(zones)]

    def update(self, vcn, oldest):
        for chapters in self.lists:
            if vcn in chapters:  # the same in all zones
                chapters.remove(vcn)
                chapters.insert(0, vcn)
        if vcn in self.lists[0]:
            return
        first = self.lists[0]
        dead = [c for c in first if c is None or c < oldest]
        order = [c for c in first if c not in dead] + dead
        if vcn >= oldest:
            order = [vcn] + order[:-1]
        self.lists = [list(order) for _ in self.lists]


class Index:
    """An index; requests are done one after the other.

    careful: some things are done better than in the reference. Records that find no room at a load
    with another number of zones lose their volume index entries too, where it leaves false hints.
    A rebuild passes over the copies of the fill record, where it makes a second entry for that
    name, so that the name is still found when it has been deleted. The two newest closed chapters
    are searched even where they are sparse. The oldest chapter of a converted index that was
    rebuilt does not lag behind.
    """
    def __init__(self, geometry, zones=1, cache_chapters=7, careful=False):
        self.careful = careful
        self.geometry, self.cache_chapters = geometry, cache_chapters
        self.volume = {}  # by slot
        self.newest = self.oldest = 0
        self.subs = [SubIndex(p, zones) for p in geometry.sub_indexes]
        self.saved = None  # what the latest save holds, as long as it is valid
        self.start(zones)

    def start(self, zones):
        self.zone_count = zones
        self.zones = self.empty_zones()
        self.closing = self.empty_zones()
        self.cache = SparseCache(self.cache_chapters, zones)
        for sub in self.subs:
            sub.set_zones(zones)

    def empty_zones(self):
        return [Zone(self.geometry.records // self.zone_count) for _ in range(self.zone_count)]

    # ---- requests ----

    def request(self, kind, name, data=None):
        """(found, old data or None, location: one of o, d, s, -)."""
        sub = self.subs[1 if self.geometry.is_sample(name) else 0]
        zone = sub.zone_of(name)
        self.triage(sub, zone, name)
        entry = sub.get(name)
        old = self.look(zone, name, entry[1]) if entry else None
        location = self.location(entry[1]) if entry else "-"
        if kind == DELETE:
            return self.delete(sub, zone, name, entry, old, location)
        overflow = entry is not None and entry[2] is not None and old is None
        if old is not None:
            if kind != PEEK and entry[1] != self.newest:
                entry[1] = self.newest
                self.put(zone, name, data if kind == UPDATE else old)
            elif kind == UPDATE:
                self.put(zone, name, data)
            return True, old, location
        if not overflow:
            old = self.search_cache(sub, zone, name)
            if old is not None:
                if kind != PEEK:
                    sub.put(name, self.newest)
                    self.put(zone, name, data if kind == UPDATE else old)
                return True, old, "s"
        if kind in (POST, UPDATE):
            if not overflow:
                sub.put(name, self.newest)
                self.put(zone, name, data)
            elif entry[1] != self.newest:
                entry[1] = self.newest
                self.put(zone, name, data)
            elif kind == UPDATE:
                self.put(zone, name, data)
        return False, None, "-"

    def delete(self, sub, zone, name, entry, old, location):
        if entry is None or entry[2] is None and old is None:
            return False, None, "-"
        sub.remove(name, entry)
        if entry[1] == self.newest:
            self.zones[zone].remove(name)
        return True, None, location

    def location(self, vcn):
        if vcn == self.newest:
            return "o"
        return "s" if self.geometry.is_sparse(self.oldest, self.newest, vcn) else "d"

    def look(self, zone, name, vcn):
        """The data of a name in a chapter."""
        if vcn == self.newest:
            return self.zones[zone].get(name)
        if vcn == self.newest - 1 and self.closing[zone].records:
            return self.closing[zone].get(name)
        chapter = self.volume.get(self.geometry.physical_chapter(vcn))
        return chapter.data.get(name) if chapter and chapter.vcn == vcn else None

    def triage(self, sub, zone, name):
        """Stale entries are looked at too; the few bits that are stored may name a later chapter."""
        entry = sub.peek(name) if self.geometry.is_sample(name) else None
        if entry:
            low = sub.low[zone]
            vcn = low + (entry[1] - low & sub.parameters.chapter_mask)
            if vcn <= sub.high[zone] and self.geometry.is_sparse(self.oldest, self.newest, vcn):
                self.cache.update(vcn, self.oldest)

    def search_cache(self, sub, zone, name):
        if not self.geometry.sparse_chapters or self.geometry.is_sample(name):
            return None
        recent = self.search_recent(zone, name) if self.careful else None
        key, chapters = self.geometry.chapter_key(name), self.cache.lists[zone]
        for vcn in chapters:
            if vcn is None or vcn < self.oldest:
                continue
            chapter = self.volume[self.geometry.physical_chapter(vcn)]
            if key in chapter.keys:
                chapters.remove(vcn)
                chapters.insert(0, vcn)
                return recent or chapter.data.get(name)
        return recent

    def search_recent(self, zone, name):
        """The data of a name in the newest closed chapters, as far as these are sparse."""
        for vcn in (self.newest - 1, self.newest - 2):
            if vcn >= self.oldest and self.geometry.is_sparse(self.oldest, self.newest, vcn):
                data = self.look(zone, name, vcn)
                if data is not None:
                    return data
        return None

    def put(self, zone, name, data):
        if self.zones[zone].put(name, data) == 0:
            self.close_chapter()

    def close_chapter(self):
        self.saved = None
        layout = collate(self.zones, self.geometry.records)
        slot = self.geometry.physical_chapter(self.newest)
        self.volume[slot] = Chapter(self.newest, layout, self.geometry)
        self.closing, self.zones = self.zones, self.empty_zones()
        self.newest += 1
        self.oldest += self.geometry.chapters_to_expire(self.newest)
        if self.careful:
            self.oldest = max(self.oldest, self.newest - self.geometry.chapters + 1)
        for sub in self.subs:
            sub.set_open_chapter(self.newest)

    # ---- saves and crashes ----

    def open_records(self):
        """The live records of the open chapter, in the order in which they are saved."""
        for place in range(max(len(zone.records) for zone in self.zones)):
            for zone in self.zones:
                if place < len(zone.records) and zone.records[place]:
                    yield zone.records[place]

    def save(self):
        self.saved = pickle.dumps((list(self.open_records()), self.subs, self.newest, self.oldest))

    def load(self, zones):
        """What a reader of the device does after a save or a crash."""
        if self.saved is None:
            self.rebuild(zones)
            return
        records, self.subs, self.newest, self.oldest = pickle.loads(self.saved)
        self.start(zones)
        full = set()
        for name, data in records:
            sub = self.subs[1 if self.geometry.is_sample(name) else 0]
            zone = sub.zone_of(name)
            if zone not in full:
                if self.zones[zone].put(name, data) <= 1:
                    full.add(zone)
            elif self.careful:
                sub.remove(name, sub.get(name))

    def rebuild(self, zones):
        geometry = self.geometry

        def probe(slot):
            return self.volume[slot].vcn if slot in self.volume else uds.NONE
        self.oldest, self.newest = uds.find_boundaries(geometry, probe)
        self.subs = [SubIndex(p, zones) for p in geometry.sub_indexes]
        self.start(zones)
        for vcn in range(self.oldest, self.newest):
            for sub in self.subs:
                sub.set_open_chapter(vcn)
            hooks_only = geometry.is_sparse(self.oldest, self.newest, vcn)
            chapter = self.volume[geometry.physical_chapter(vcn)]
            seen = set()
            for name, _ in chapter.stored_order(geometry.records_per_page):
                if self.careful and name in seen:
                    continue
                seen.add(name)
                if not hooks_only or geometry.is_sample(name):
                    self.replay(name, vcn)
        for sub in self.subs:
            sub.set_open_chapter(self.newest)

    def replay(self, name, vcn):
        sub = self.subs[1 if self.geometry.is_sample(name) else 0]
        entry = sub.get(name)
        if entry is None:
            sub.put(name, vcn)
        elif entry[2] is not None:
            entry[1] = vcn
        elif entry[1] == vcn:
            sub.put(name, vcn)
        else:
            chapter = self.volume.get(self.geometry.physical_chapter(entry[1]))
            if chapter and chapter.vcn == entry[1] and name in chapter.data:
                entry[1] = vcn
            else:
                sub.put(name, vcn)

    def convert(self):
        """Gives the first chapter's room away (in a saved index): slot 0 moves, the rest follow."""
        even = self.geometry
        if self.newest - self.oldest > even.chapters - 2:
            self.oldest += 1
        v, p = self.newest - self.newest % even.chapters, (self.newest + 1) % even.chapters
        if p == 0:
            v, p = v + even.chapters, 1
        elif v != self.newest and 0 in self.volume:
            self.volume[p] = self.volume[0]
        self.volume = {slot - 1: chapter for slot, chapter in self.volume.items() if slot > 0}
        self.geometry = uds.Geometry(even.page_size, even.record_pages, even.chapters - 1,
                                     even.sparse_chapters, even.sample_rate, even.mean_delta,
                                     v, p - 1)
        for sub, parameters in zip(self.subs, self.geometry.sub_indexes):
            sub.parameters = parameters
        self.save()
