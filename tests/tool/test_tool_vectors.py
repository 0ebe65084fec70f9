#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The command on indexes that the reference wrote: it tells what they are, answers what was
recorded, finds no damage, and makes the same bytes from the same requests."""
import json
import os
import sys

from tool_support import (FAILED, IN_PART, TOOL, Folder, Results, Skip, content, equal, has,
                          read_vector, uds, vectors)
from support import some, token_data, token_name
import uds_format

COMMAND = {"P": "post", "U": "update", "Q": "query", "N": "peek", "D": "delete"}
NAMES = ["minimal", "fresh-saved", "fresh-crash", "dense-wrap", "dense-2page-crash",
         "unsaved-crash", "savedback-crash", "dense-3zone", "dense-rezone-offset",
         "dense-2zone-crash", "dense-collisions", "early-expiry", "memory-overflow",
         "pagesize-32k", "sparse-1zone", "sparse-rezone", "sparse-crash", "converted-clean",
         "converted-used", "converted-crash"]


class Vector:
    def __init__(self, name):
        self.name = name
        self.about = json.loads(read_vector("uds", "index", name + ".json"))
        self.image = read_vector("uds", "index", name + ".img.xz")
        self.seed = int(self.about["name_stream_seed"], 16)
        self.offset = self.about["index_offset_bytes"]
        g = self.about["geometry"]
        self.geometry = uds_format.Geometry(
            g["bytes_per_page"], g["record_pages_per_chapter"], g["chapters_per_volume"],
            g["sparse_chapters_per_volume"], g["sparse_sample_rate"],
            remapped_virtual=g["remapped_virtual"], remapped_physical=g["remapped_physical"])

    def lines(self, kind):
        return read_vector("uds", "index", "%s.%s.xz" % (self.name, kind)).decode().splitlines()

    def request(self, operation, token, version):
        name = token_name(self.seed, token).hex()
        data = " " + token_data(token, int(version)).hex() if operation in "PU" else ""
        return "%s %s%s\n" % (COMMAND[operation], name, data)

    def answer(self, operation, token, found, old):
        if found == "0":
            return "-"
        return "+" if operation == "D" else token_data(token, int(old)).hex()

    def run(self, *arguments, **options):
        """A command that may not know this kind of index yet."""
        ran = uds(*arguments, "--offset", self.offset, status=None, **options)
        if ran.status == FAILED and "not supported" in ran.err:
            raise Skip(ran.err.strip())
        equal(ran.status, 0, ran)
        return ran


class Image(Folder):
    """A copy of a vector's image, `with Image(vector) as path`."""
    def __init__(self, vector):
        super().__init__()
        self.vector = vector

    def __enter__(self):
        path = os.path.join(super().__enter__(), "image")
        with open(path, "wb") as file:
            file.write(self.vector.image)
        return path


def info_tells_what_is_recorded(vector):
    with Image(vector) as path:
        found = vector.run("info", "--json", path).json
        about, g = vector.about, vector.about["geometry"]
        wanted = {"page_size": g["bytes_per_page"], "nonce": int(about["user_nonce"]),
                  "record_pages_per_chapter": g["record_pages_per_chapter"],
                  "chapters_per_volume": g["chapters_per_volume"],
                  "sparse_chapters_per_volume": g["sparse_chapters_per_volume"],
                  "records_per_chapter": g["records_per_chapter"],
                  "super_version": about["super_version"],
                  "volume_nonce": int(about["volume_nonce"]),
                  "size_bytes": 4096 * about["total_blocks"]}
        saves = [save for save in about["saves"] if save]
        if about["clean"]:
            last = max(saves, key=lambda save: int(save["timestamp_ms"]))
            wanted.update(state="clean", newest_chapter=last["newest"],
                          oldest_chapter=last["oldest"])
        elif saves or vector.name != "fresh-crash":
            wanted.update(state="needs-recovery")
        else:
            wanted.update(state="new")
        equal({key: found[key] for key in wanted}, wanted)
        text = vector.run("info", path).out
        kind = "sparse" if g["sparse_chapters_per_volume"] else "dense"
        has(text, kind + (", converted: " if g["chapters_per_volume"] % 2 else ": "))
        equal(content(path) == vector.image, True, "info writes nothing")


def verify_finds_no_damage(vector):
    with Image(vector) as path:
        vector.run("verify", path)
        equal(content(path) == vector.image, True, "verify writes nothing")


def final_queries_get_the_recorded_answers(vector):
    lines = vector.lines("final")
    head = lines[0].split()
    equal(head[:3], ["#", "opened", "zones"])
    queries = [line.split() for line in lines if not line.startswith("#")]
    with Image(vector) as path:
        ran = vector.run("exec", "--no-save", "--zones", head[3], path,
                         stdin="".join(vector.request(*query[:3]) for query in queries))
        found = ran.out.splitlines()
        equal(len(found), len(queries))
        for i, (operation, token, _, was, old, _) in enumerate(queries):
            wanted = vector.answer(operation, token, was, old)
            # Where the reference ran out of memory, more may be known, but nothing wrong.
            if vector.name in ("memory-overflow", "early-expiry") and wanted == "-":
                continue
            equal(found[i], wanted, "query %d, %s %s" % (i, operation, token))


def masked(vector, image):
    """The image without what may differ: filler of index pages, and volume index regions (their
    lists are compared by the tests of the index)."""
    g, image = vector.geometry, bytearray(image)
    volume = vector.offset + 8192 + g.page_size
    nonce = int(vector.about["volume_nonce"])
    for chapter in range(g.chapters):
        for page in range(g.index_pages):
            at = volume + g.page_size * (chapter * g.chapter_pages + page)
            header = uds_format.IndexPage(bytes(image[at:at + g.page_size]))
            if header.nonce == nonce:
                end = at + header.offsets()[-1] // 8
                image[end:at + g.page_size - 7] = bytes(at + g.page_size - 7 - end)
    for slot in range(2):
        at = (vector.offset + 8192 + g.volume_bytes
              + 4096 * (slot * g.save_blocks + 1 + g.page_map_blocks))
        # The open chapter follows the zones' shares, whose number follows from the save.
        save = vector.about["saves"][slot]
        if save is None:
            continue
        share = (g.save_blocks - 1 - g.page_map_blocks - g.open_chapter_blocks) // save["zones"]
        end = at + 4096 * share * save["zones"]
        image[at:end] = bytes(end - at)
    return bytes(image)


def the_trace_makes_the_same_bytes(vector):
    lines = vector.lines("trace")
    if any(line.startswith("V") for line in lines):
        raise Skip("the command does not convert volumes")
    about, g = vector.about, vector.geometry
    with Folder() as folder:
        path = os.path.join(folder, "image")
        shape = ["--chapters", g.chapters, "--record-pages", g.record_pages, "--page-size",
                 g.page_size]
        if g.sparse_chapters:
            shape += ["--sparse-chapters", g.sparse_chapters, "--sample-rate", g.sample_rate]
        vector.run("create", *shape, "--nonce", about["user_nonce"], "--nonce-data",
                   about["nonce_seed_data"], path)
        requests, answers, zones, saves = [], [], 1, 0
        for line in lines:
            words = line.split()
            if words[0] in ("C", "R"):
                zones, requests, answers = words[1], [], []
            elif words[0] in ("S", "X"):
                end = ["--no-save"]
                if words[0] == "S":
                    end = ["--save-time", about["saves"][saves % 2]["timestamp_ms"]]
                    saves += 1
                ran = vector.run("exec", "--zones", zones, *end, path, stdin="".join(requests))
                if vector.name not in ("memory-overflow", "early-expiry"):
                    equal(ran.out.splitlines() == answers, True, "answers of the trace")
            elif words[0] in COMMAND:
                requests.append(vector.request(*words[:3]))
                answers.append(vector.answer(words[0], words[1], words[3], words[4]))
        found, wanted = masked(vector, content(path)), masked(vector, vector.image)
        end = vector.offset + 4096 * about["total_blocks"] - 4096  # the seal is never written
        for at in range(0, end, 4096):
            equal(found[at:at + 4096] == wanted[at:at + 4096], True, "bytes of block %d" %
                  (at // 4096))


def main():
    results = Results()
    for test in (info_tells_what_is_recorded, verify_finds_no_damage,
                 final_queries_get_the_recorded_answers, the_trace_makes_the_same_bytes):
        for name in some(NAMES) if IN_PART else NAMES:
            def run(test=test, name=name):
                if not os.access(TOOL, os.X_OK):
                    raise Skip("the uds command is not built")
                if vectors("uds") is None:
                    raise Skip("no vectors")
                vector = Vector(name)
                if test is the_trace_makes_the_same_bytes and name in ("memory-overflow",
                                                                      "early-expiry"):
                    raise Skip("an index with more memory keeps more: its pages may differ")
                test(vector)
            results.run("%s: %s" % (test.__name__, name), run)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
