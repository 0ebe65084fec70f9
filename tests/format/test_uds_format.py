#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The independent reader and checker of the UDS format: do they agree with the golden vectors, and
does the checker notice every fault?"""
import csv
import io
import json
import os
import sys

import uds_check
import uds_faults
import uds_format as uds
import uds_planter
from support import SCALE, Results, Skip, equal, read_vector, some, token_data, token_name, vectors
from uds_rules import RULES


def table(name):
    return list(csv.DictReader(io.StringIO(read_vector("uds", "unit", name).decode())))


def text(name):
    return [line.split() for line in read_vector("uds", "unit", name).decode().splitlines()]


# ---- numbers ------------------------------------------------------------------------------------

def geometry_agrees():
    for row in table("geometry.csv"):
        # Rows with a selector may be converted sizes; the numbers follow from the rest of the row.
        g = uds.Geometry(int(row["bytes_per_page"]), int(row["record_pages"]),
                         int(row["chapters"]), int(row["sparse_chapters"]),
                         int(row["sample_rate"]))
        found = {
            "records_per_page": g.records_per_page, "records_per_chapter": g.records,
            "records_per_volume": g.records * g.chapters, "chapter_payload_bits": g.payload_bits,
            "chapter_delta_list_bits": g.list_bits, "delta_lists_per_chapter": g.lists,
            "chapter_address_bits": g.address_bits, "index_pages_per_chapter": g.index_pages,
            "pages_per_chapter": g.chapter_pages, "pages_per_volume": g.chapter_pages * g.chapters,
            "bytes_per_volume": g.volume_bytes, "volume_index_save_blocks": g.volume_index_blocks,
            "page_map_blocks": g.page_map_blocks, "open_chapter_blocks": g.open_chapter_blocks,
            "total_blocks": g.total_blocks}
        for prefix, sub in zip(("nonhook_", "hook_"), g.sub_indexes):
            values = {"lists": sub.lists, "address_bits": sub.address_bits,
                      "chapter_bits": sub.chapter_bits, "chapter_count": sub.chapter_count,
                      "min_bits": sub.code.min_bits, "min_keys": sub.code.min_keys,
                      "incr_keys": sub.code.incr_keys, "zone_bytes": sub.zone_bytes(1),
                      "max_zone_bits": sub.max_zone_bits(1),
                      "chapter_bits_size": sub.chapter_size_bits}
            found.update((prefix + key, value) for key, value in values.items())
        for key, value in found.items():
            if row[key] != "":
                equal(value, int(row[key]), "%s of %s" % (key, dict(row)))


def name_bits_agree():
    # Memory sizes 256M and 1G, a small geometry, and the volume indexes of 256M dense and sparse.
    shapes = {"P64": uds.Geometry(32768, 64, 1024), "P256": uds.Geometry(32768, 256, 1024),
              "B4096P4": uds.Geometry(4096, 4, 8)}
    dense, sparse = shapes["P64"], uds.Geometry(32768, 64, 10240, 9728, 32)
    for row in table("name_bits.csv"):
        name = bytes.fromhex(row["name"])
        found = {}
        for shape, g in shapes.items():
            key = g.chapter_key(name)
            found["chapter_list_" + shape] = key >> g.address_bits
            found["chapter_addr_" + shape] = key & (1 << g.address_bits) - 1
        for slots in (4096, 262144, 1048576):
            found["slot_mod_%d" % slots] = uds.chapter_index_bits(name) % slots
        sub = dense.sub_indexes[0]
        found["vi256_list"] = sub.key(name) >> sub.address_bits
        found.update(("zone_of_%d" % z, sub.zone_of(name, z)) for z in (3, 16))
        found["sparse256_is_sample"] = int(sparse.is_sample(name))
        sub = sparse.sub_index_of(name)
        found["sparse256_list"] = sub.key(name) >> sub.address_bits
        found.update(("sparse256_zone_of_%d" % z, sub.zone_of(name, z)) for z in (3, 7))
        for key, value in found.items():
            equal(value, int(row[key]), "%s of %s" % (key, row["name"]))


def hashes_agree():
    stream = b"".join(token_name(0x5eed0001 + 40, "n%d" % i) for i in range(600))
    for row in table("murmur3.csv"):
        found = uds.murmur3_128(stream[:int(row["length"])], int(row["seed_hex"], 16))
        equal(found.hex(), row["output_hex"], "hash of %s bytes" % row["length"])


def chapter_mapping_agrees():
    for row in table("chapter_map.csv"):
        g = uds.Geometry(4096, 4, int(row["chapters"]),
                         remapped_virtual=int(row["remapped_virtual"]),
                         remapped_physical=int(row["remapped_physical"]))
        vcn = int(row["vcn"])
        equal((g.physical_chapter(vcn), g.chapters_to_expire(vcn)),
              (int(row["physical"]), int(row["expire_when_opened"])), str(row))


# ---- delta lists and pages ----------------------------------------------------------------------

def delta_code_agrees():
    for row in table("delta_code.csv"):
        code = uds.DeltaCode(int(row["mean_delta"]))
        equal((code.min_bits, code.min_keys, code.incr_keys),
              (int(row["min_bits"]), int(row["min_keys"]), int(row["incr_keys"])), str(row))


def change_list(entries, operation, key, value, name):
    """Applies an insertion or removal to entries [(key, value, name)], as the format says."""
    at = next((i for i, entry in enumerate(entries) if entry[0] >= key), len(entries))
    if operation == "I":
        entries.insert(at, (key, value, None))
    elif operation == "C":
        entries.insert(at + 1, (key, value, name))
    elif at < len(entries):
        removed = entries.pop(at)
        if at < len(entries) and entries[at][0] == removed[0]:
            entries[at] = (removed[0], entries[at][1], None)  # a collision entry loses its name


def delta_lists_agree():
    entries, code, payload, seed, count = [], None, 0, 0, 0
    for words in text("delta_lists.txt"):
        if not words or words[0] == "#":
            continue
        if words[0] == "seed":
            seed = int(words[1], 16)
        elif words[0] == "L":
            entries, code, payload = [], uds.DeltaCode(int(words[1])), int(words[2])
        elif words[0] == "D":
            change_list(entries, "D", int(words[1]), None, None)
        elif words[0] in "IC":
            if words[4] == "0":
                change_list(entries, words[0], int(words[1]), int(words[2]),
                            token_name(seed, words[3]))
        else:
            count += 1
            size, data = int(words[1]), bytes.fromhex(words[2])
            found = uds.delta_entries(uds.bit_field(data, 0, size), size, code, payload)
            equal([entry[:3] for entry in found], entries, "entries of list %d" % count)
            equal(uds_planter.encode_list(entries, code, payload),
                  (uds.bit_field(data, 0, size), size), "bits of list %d" % count)
            equal(code.list_size([entry[0] for entry in entries], payload), size,
                  "size of list %d" % count)
    if count == 0:
        raise AssertionError("%d lists" % count)


def read_page_text(name):
    """The parameters of a page vector, its lines R and its lines P."""
    parameters, records, pages = {}, [], []
    for words in text(name):
        if words[0] == "R":
            records.append(words[1:])
        elif words[0] == "P":
            pages.append(words[1:])
        elif words[0] != "#" and len(words) == 2:
            parameters[words[0]] = int(words[1], 0)
    return parameters, records, pages


def index_pages_agree(name, file=None):
    p, records, pages = read_page_text(name + ".txt")
    data = read_vector("uds", "unit", file or name + ".bin")
    g = uds.Geometry(p["bytes_per_page"], p["record_pages"], 10)
    equal((g.lists, g.address_bits, g.payload_bits),
          (p["lists"], p["address_bits"], p["payload_bits"]), "geometry")
    lists, code = {}, uds.DeltaCode(uds.CHAPTER_MEAN)
    for i, words in enumerate(pages[:len(data) // g.page_size]):
        page = uds.index_page(data[i * g.page_size:(i + 1) * g.page_size], p["nonce"])
        equal(list(page.faults(p["nonce"])), [], "page %d" % i)
        equal((page.vcn, page.first, page.count), (p["vcn"], int(words[2]), int(words[4])))
        equal(page.big_endian, file is not None, "byte order")
        for number, _, bits, size in page.lists():
            lists[number] = uds.delta_entries(bits, size, code, g.payload_bits)
    expected = {number: [] for number in lists}
    for token, page, number, address, result in records:
        bias = (p["bias_list"], g.list_bits, g.address_bits)
        name_bytes = token_name(p["seed"], token, bias)
        equal(g.chapter_key(name_bytes), int(number) << g.address_bits | int(address), token)
        if result == "ok" and int(number) in expected:
            entries = expected[int(number)]
            twice = any(entry[0] == int(address) for entry in entries)
            change_list(entries, "C" if twice else "I", int(address), int(page), name_bytes)
    for number, entries in lists.items():
        if entries:  # an empty list with records was emptied to make the rest fit
            equal([entry[:3] for entry in entries], expected[number], "list %d" % number)


def record_page_agrees(name):
    p, records, _ = read_page_text(name + ".txt")
    data = read_vector("uds", "unit", name + ".bin")
    pairs = [(token_name(p["seed"], token), token_data(token, int(version)))
             for token, version in records]
    equal(uds_planter.pack_record_page(pairs), data, "page")
    for pair in pairs:
        equal(uds.find_on_record_page(data, pair[0]), pair[1], "search")
    equal(uds.find_on_record_page(data, bytes(16)), None, "search for a name that is not there")


# ---- images -------------------------------------------------------------------------------------

IMAGES = {}


def image(name):
    """(bytes, JSON, a checker that has run) of a golden image."""
    if name not in IMAGES:
        about = json.loads(read_vector("uds", "index", name + ".json"))
        data = read_vector("uds", "index", name + ".img.xz")
        checker = uds_check.Checker(data, about["index_offset_bytes"], strict=True)
        checker.run()
        IMAGES[name] = data, about, checker
    return IMAGES[name]


def image_has_no_fault(name):
    _, about, checker = image(name)
    expected = {"index-fits"} if name == "does-not-fit" else set()
    if {rule for rule, _, _ in checker.findings} != expected:
        raise AssertionError("\n".join("%s: %s [%s]" % (place, reason, rule)
                                       for rule, place, reason in checker.findings))
    equal(checker.clean, about["clean"], "clean")
    equal(checker.nonce, int(about["volume_nonce"]), "volume nonce")
    equal((checker.super.version, checker.super.volume_offset, checker.super.start_offset,
           checker.super.table.blocks, checker.config.nonce),
          (about["super_version"], about["volume_offset_blocks"], about["start_offset_blocks"],
           about["total_blocks"], int(about["user_nonce"])), "super block")
    for slot, save in enumerate(about["saves"]):
        header = uds.SaveHeader(checker.blocks(checker.super.save_block(slot), 1))
        if save is None:
            equal(header.table.type, uds.UNSAVED, "slot %d" % slot)
        else:
            equal((header.zones, header.timestamp, header.nonce, header.newest, header.oldest,
                   header.last_save),
                  (save["zones"], int(save["timestamp_ms"]), int(save["save_nonce"]),
                   save["newest"], save["oldest"], int(save["last_save"])), "slot %d" % slot)
    first = read_vector("uds", "index", name + ".final.xz").split(b"\n")[0].decode().split()
    if "newest" in first and name != "does-not-fit":
        state = (int(first[first.index("newest") + 1]), int(first[first.index("oldest") + 1]))
        equal((checker.newest, checker.oldest), state, "newest and oldest")


def saves_agree(name, region):
    """The decoded volume index and the sizes in regions.json."""
    _, about, checker = image(name)
    latest, decoded, g = checker.latest, [], checker.geometry
    equal(latest.open_chapter.count, region["open_chapter_records"], "records")
    streams = [uds.ZoneStream(checker.region(latest, uds.VOLUME_INDEX, zone),
                              g.sparse_chapters > 0) for zone in range(latest.zones)]
    for stream, zone in zip(streams, region["volume_index"]):
        equal(stream.length, zone["stream_bytes"], "stream of zone %d" % zone["zone"])
    for i, sub in enumerate(g.sub_indexes):
        wanted = region["sub_indexes"][sub.tag]
        subs = [stream.subs[i] for stream in streams]
        found = {"lists": sub.lists, "address_bits": sub.address_bits, "mean_delta": sub.mean,
                 "chapter_bits": sub.chapter_bits, "low": [s.low for s in subs],
                 "high": [s.high for s in subs],
                 "entries": sum(s.records for s in subs) % 2**64,
                 "collisions": sum(s.collisions for s in subs) % 2**64}
        equal(found, {key: wanted[key] for key in found}, "sub-index " + sub.tag)
        for stream in subs:
            entries = {place[3]: place for place in stream.lists}
            for number in range(stream.first, stream.first + stream.count):
                size = stream.sizes[number - stream.first]
                decoded.append("list %s %d flush_from %d bits %d" % (
                    sub.tag, number, stream.flush_from[number - stream.first], size))
                if size:
                    decoded += ["%d %d%s" % (key, value, " " + found.hex() if found else "")
                                for key, value, found, _ in uds.delta_entries(
                                    *stream.bits(entries[number]), sub.code, sub.chapter_bits)]
    wanted = read_vector("uds", "regions", name + ".volume-index.decoded.xz").decode().split("\n")
    wanted = [line for line in wanted if line]
    order = {}  # by tag and number, whatever the order of sub-indexes in the file
    for lines, side in ((decoded, 0), (wanted, 1)):
        for line in lines:
            if line.startswith("list"):
                key = tuple(line.split()[1:3])
            order.setdefault(key, ([], []))[side].append(line)
    for key, (ours, theirs) in order.items():
        equal(ours, theirs, "list %s" % (key,))


# ---- faults -------------------------------------------------------------------------------------

def fault_is_found(rule, name, plant, also):
    data, about, checker = image(name)
    planter = uds_planter.Planter(data, about["index_offset_bytes"], checker)
    plant(planter)
    again = uds_check.Checker(bytes(planter.data), about["index_offset_bytes"],
                              strict=rule == "index-hint")
    found = {finding[0] for finding in again.run()}
    equal(found, {rule} | set(also), "rules that were found broken")


def every_rule_has_a_fault():
    planted = {rule for rule, _, _, _ in uds_faults.FAULTS}
    equal(sorted(set(RULES) - planted), [], "rules without a planted fault")


def any_bytes_are_safe(name):
    """Damage all over the metadata: the checker says so, and never fails itself."""
    data, about, _ = image(name)
    state = 1
    for _ in range(int(20 * SCALE)):
        damaged = bytearray(data)
        for _ in range(5):
            state = state * 6364136223846793005 + 1442695040888963407 & 2**64 - 1
            damaged[(state >> 20) % len(damaged)] = state >> 56
        uds_check.Checker(bytes(damaged), about["index_offset_bytes"]).run()


def main():
    results = Results(budget_seconds=60)
    results.run("every_rule_has_a_fault", every_rule_has_a_fault)
    if vectors("uds") is None:
        def no_vectors():
            raise Skip("no vectors")
        results.run("golden vectors of the index format", no_vectors)
        return results.finish()
    for test in (geometry_agrees, name_bits_agree, hashes_agree, chapter_mapping_agrees,
                 delta_code_agrees, delta_lists_agree):
        results.run(test.__name__, test)
    for file in sorted(os.listdir(vectors("uds", "unit"))):
        name = file[:-4]
        if file.startswith("cidx-") and file.endswith(".txt"):
            results.run("index_pages_agree: " + name, index_pages_agree, name)
        if file.startswith("cidx-") and file.endswith(".bigendian.bin"):
            results.run("index_pages_agree: " + name, index_pages_agree, name[:-10], file)
        if file.startswith("rpage-") and file.endswith(".txt"):
            results.run("record_page_agrees: " + name, record_page_agrees, name)
    for file in some(sorted(file for file in os.listdir(vectors("uds", "index")) if file.endswith(".json"))):
        results.run("image_has_no_fault: " + file[:-5], image_has_no_fault, file[:-5])
    for region in json.loads(read_vector("uds", "regions", "regions.json")):
        results.run("saves_agree: " + region["index"], saves_agree, region["index"], region)
    for rule, name, plant, also in some(uds_faults.FAULTS):
        results.run("fault_is_found: %s (%s)" % (rule, plant.__name__), fault_is_found, rule, name,
                    plant, also)
    for name in ("dense-wrap", "converted-used", "sparse-1zone"):
        results.run("any_bytes_are_safe: " + name, any_bytes_are_safe, name)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
