#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""One index over several: made, filled, shards added and removed, and what does not belong together refused."""
import fcntl
import hashlib
import json
import os
import shutil
import struct
import sys

import vdo_image
from tool_support import DAMAGE, FAILED, SMALL, USAGE, Folder, Skip, equal, has, main, uds

COUNT = 1500


def built():
    if "built without" in uds("shards", "info", "/nowhere", status=FAILED).err:
        raise Skip("built without libuds-shards")


def names(verb="post", first=0, count=COUNT):
    """Lines of requests, each with its data."""
    return "".join("%s %s %032x\n" % (verb, hashlib.md5(b"%d" % i).hexdigest(), i)
                   for i in range(first, first + count))


def answers(first=0, count=COUNT):
    return "".join("%032x\n" % i for i in range(first, first + count))


def make(folder, count=3, *options):
    """Indexes 0.uds and so on in the folder, and a manifest of the first @count."""
    paths = [os.path.join(folder, "%d.uds" % i) for i in range(count + 1)]
    for path in paths:
        uds("create", *SMALL, "--chapters", 32, *options, path)
    manifest = os.path.join(folder, "manifest")
    uds("shards", "create", manifest, *paths[:count])
    return manifest, paths


def requests_find_what_was_stored():
    built()
    with Folder() as folder:
        manifest, _ = make(folder)
        equal(uds("exec", manifest, stdin=names()).out, "-\n" * COUNT)
        equal(uds("exec", manifest, stdin=names()).out, answers())
        peeks = "".join(line.split()[1] + "\n" for line in names().splitlines())
        equal(uds("peek", manifest, stdin=peeks).out, answers())
        # All three have some of them.
        info = uds("shards", "info", "--json", manifest).json
        equal([shard["role"] for shard in info["shards"]], ["member"] * 3)
        equal(sum(shard["slots"] for shard in info["shards"]), 2048)
        has(uds("shards", "info", manifest).out, "3 shards, generation 1")
        records = [uds("info", "--json", shard["uri"]).json["records"] for shard in info["shards"]]
        equal([n > COUNT / 4 for n in records], [True] * 3)
        uds("delete", manifest, stdin=peeks)
        equal(uds("peek", manifest, stdin=peeks).out, "-\n" * COUNT)
        load = "".join(line[5:] + "\n" for line in names().splitlines())
        equal(uds("load", "--json", manifest, stdin=load).json["records"], COUNT)
        equal(uds("peek", manifest, stdin=peeks).out, answers())


def shards_come_and_go_with_their_names():
    built()
    with Folder() as folder:
        manifest, paths = make(folder, 2)
        uds("exec", manifest, stdin=names())
        has(uds("shards", "add", manifest, paths[2]).out, "3 shards, generation 3")
        equal(uds("exec", manifest, stdin=names()).out, answers())
        uds("exec", manifest, stdin=names(first=COUNT))
        equal(uds("shards", "remove", "--json", manifest, paths[0]).json, {"shards": 2, "generation": 5})
        equal(uds("exec", manifest, stdin=names(count=2 * COUNT)).out, answers(count=2 * COUNT))
        # What was removed is an index of its own again, and can come back.
        uds("verify", paths[0])
        uds("shards", "add", manifest, paths[0])
        equal(uds("exec", manifest, stdin=names(count=2 * COUNT)).out, answers(count=2 * COUNT))
        uds("shards", "resume", manifest)
        uds("shards", "verify", manifest)


def a_scan_remembers_in_shards():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        data = os.path.join(folder, "data")
        with open(data, "wb") as file:
            for i in range(400):
                file.write(hashlib.sha512(b"%d" % (i % 300)).digest() * 64)
        first = uds("scan", "--json", "--index", manifest, data).json
        equal((first["blocks"], first["unique_blocks"], first["duplicate_blocks"]), (400, 300, 100))
        # Not even where they lie in what is scanned: the manifest is read, and the fourth index is none of them.
        again = uds("scan", "--json", "--index", manifest, folder).json
        equal((again["known_blocks"], again["index_left_out"]), (400, True))
        equal(again["bytes"], sum(os.path.getsize(path) for path in (data, manifest, paths[3])))
        uds("shards", "remove", manifest, paths[1])
        equal(uds("scan", "--json", "--index", manifest, data).json["known_blocks"], 400)
        # The same time twice: what the shards have taken moves it on.
        uds("scan", "--index", manifest, "--save-time", 1700000000000, data)
        uds("shards", "verify", manifest)


def a_scan_leaves_out_what_its_shards_lie_in():
    built()
    with Folder() as folder, Folder() as elsewhere:
        whole, part, inside = (os.path.join(folder, name) for name in ("whole", "part", "volume"))
        vdo_image.Volume(inside)
        for path in whole, part:
            with open(path, "wb") as file:
                file.truncate(16 << 20)
        shards = ["file:%s?uring=1" % whole, "file:%s?offset=1M&length=15M" % part, "concat:?part=vdo:" + inside]
        size = ["--page-size", 4096, "--record-pages", 4, "--chapters", 32]
        for shard in shards:
            uds("create", *size, shard)
        manifest = os.path.join(elsewhere, "manifest")
        uds("shards", "create", manifest, *shards)
        with open(os.path.join(folder, "data"), "wb") as file:
            file.write(b"".join(hashlib.sha512(b"%d" % i).digest() * 64 for i in range(100)))
        found = uds("scan", "--json", "--index", manifest, folder).json
        equal((found["files"], found["unique_blocks"], found["index_left_out"]), (1, 100, True))
        # Nor as volumes.
        for shard in shards:
            found = uds("scan", "--json", "--index", manifest, shard, os.path.join(folder, "data")).json
            equal((found["files"], found["known_blocks"], found["index_left_out"]), (1, 100, True))
        found = uds("scan", "--json", "--index", manifest, "file:%s?length=1M" % part).json
        equal((found["files"], found["index_left_out"]), (1, False))
        # What is no shard any more is read.
        uds("shards", "remove", manifest, shards[0])
        equal(uds("scan", "--json", "--index", manifest, folder).json["files"], 2)


def from_one_index_with_records_to_several():
    built()
    with Folder() as folder:
        one, other, manifest = (os.path.join(folder, name) for name in ("one", "other", "manifest"))
        for path in one, other:
            uds("create", *SMALL, "--chapters", 32, path)
        uds("exec", one, stdin=names())
        uds("shards", "create", manifest, other, one, status=FAILED, says=["shard 2", "has records"])
        uds("shards", "create", manifest, one)
        uds("shards", "add", manifest, other)
        equal(uds("exec", manifest, stdin=names()).out, answers())
        # Relative paths are made whole, so the manifest works from anywhere.
        equal([shard["uri"] for shard in uds("shards", "info", "--json", manifest).json["shards"]],
              [os.path.realpath(one), os.path.realpath(other)])


def a_move_that_was_interrupted_goes_on_or_is_given_up():
    built()
    with Folder() as folder:
        manifest, paths = make(folder, 2)
        uds("exec", manifest, stdin=names())
        nonce = uds("info", "--json", paths[2]).json["volume_nonce"]
        with open(manifest, encoding="utf-8") as file:
            text = json.load(file)
        # As a crash leaves it, right after it began.
        text["state"], text["generation"] = "moving", 2
        text["shards"].append({"uri": paths[2], "volume_nonce": "0x%016x" % int(nonce), "role": "joining"})
        with open(manifest, "w", encoding="utf-8") as file:
            json.dump(text, file)
        has(uds("shards", "info", manifest).out, "are moving; to go on: uds shards resume")
        equal(uds("exec", manifest, stdin=names()).out, answers())
        uds("shards", "add", manifest, paths[1], status=FAILED)
        shutil.copy(manifest, manifest + ".moving")
        equal(uds("shards", "resume", "--json", manifest).json, {"shards": 3, "generation": 3})
        equal(uds("exec", manifest, stdin=names()).out, answers())
        # The same, with the new one lost.
        uds("shards", "remove", manifest, paths[2])
        shutil.copy(manifest + ".moving", manifest)
        os.remove(paths[2])
        uds("exec", manifest, status=FAILED, says=[paths[2], "No such file"])
        equal(uds("shards", "resume", "--abandon", "--json", manifest).json, {"shards": 2, "generation": 3})
        equal(uds("exec", manifest, stdin=names()).out, answers())


def what_does_not_belong_together_is_refused_by_name():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        uds("exec", manifest, stdin=names())
        before = {path: open(path, "rb").read() for path in paths + [manifest]}
        uds("shards", "create", manifest, paths[3], status=FAILED, says="something already")
        os.rename(paths[0], paths[0] + ".away")
        uds("exec", manifest, status=FAILED, says=["shard 1", paths[0], "No such file"])
        equal(uds("shards", "verify", "--json", manifest, status=DAMAGE).json["findings_count"], 1)
        shutil.copy(paths[3], paths[0])
        uds("exec", manifest, status=FAILED, says=["shard 1", "volume nonce"])
        os.remove(paths[0])
        os.rename(paths[1], paths[0])
        os.rename(paths[0] + ".away", paths[1])
        uds("exec", manifest, status=FAILED, says=["shard 1", "index of shard 2", "swapped"])
        os.rename(paths[0], paths[0] + ".away")
        os.rename(paths[1], paths[0])
        os.rename(paths[0] + ".away", paths[1])
        other = os.path.join(folder, "other.uds")
        uds("create", *SMALL, "--chapters", 16, other)
        uds("shards", "add", manifest, other, status=DAMAGE, says="another geometry")
        uds("shards", "remove", manifest, other, status=FAILED, says="not one of its 3 shards")
        uds("shards", "create", manifest + "2", paths[3], paths[3], status=FAILED, says="same index")
        equal({path: open(path, "rb").read() for path in paths + [manifest]}, before)
        for wrong, part in ((before[manifest][:-20], "cut short"),
                            (before[manifest].replace(b'"version": 1', b'"version": 2'), "version 2"),
                            (b"{}", "not a manifest"), (b"", "cut short")):
            with open(manifest, "wb") as file:
                file.write(wrong)
            uds("shards", "info", manifest, status=DAMAGE if part != "version 2" else None, says=part)


def what_is_refused_leaves_all_files_as_they_are():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        other, link = os.path.join(folder, "other.uds"), os.path.join(folder, "link")
        uds("create", *SMALL, "--chapters", 16, other)
        os.symlink(paths[1], link)
        copied = shutil.copy(paths[1], os.path.join(folder, "copy"))
        text = open(manifest, encoding="utf-8").read()
        wrong = os.path.join(folder, "wrong")
        with open(wrong, "w", encoding="utf-8") as file:
            file.write(text.replace(paths[1], paths[0]))

        def contents():
            return {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)}
        # None of the indexes was ever opened to be written: not even a first save is made.
        before = contents()
        new = os.path.join(folder, "new")
        for words, says in (
                (["add", manifest, paths[1]], "%s is the index of shard 2 (%s) already" % (paths[1], paths[1])),
                (["add", manifest, "file:" + paths[1]], "file:%s is the index of shard 2 (%s) already" % (paths[1], paths[1])),
                (["add", manifest, "concat:?part=" + paths[1]], "is the index of shard 2"),
                (["add", manifest, link], "is the index of shard 2"), (["add", manifest, copied], "is the index of shard 2"),
                (["add", manifest, other], "another geometry"), (["add", manifest, other + "x"], "No such file"),
                (["add", manifest, manifest], "not a UDS index"), (["add", wrong, paths[3]], "shards 1 and 2"),
                (["remove", manifest, other], "not one of its 3 shards"), (["remove", wrong, paths[2]], "shards 1 and 2"),
                (["create", new, ""], "the name of shard 1 is empty"), (["create", new, paths[0], ""], "the name of shard 2 is empty"),
                (["create", new, *paths[:1] * 65], "1 to 64 shards are possible, not 65"),
                (["create", new, paths[1], link], "same index"), (["create", new, paths[0], other], "another geometry")):
            uds("shards", *words, status=None, says=says)
            equal(contents() == before, True, words)
        for words in ["exec", wrong], ["scan", "--index", wrong, other], ["recover", wrong]:
            uds(*words, status=DAMAGE, says="shards 1 and 2, %s and %s, are the same index" % (paths[0], paths[0]))
            equal(contents() == before, True, words)


def one_file_by_two_names_is_named():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        text = open(manifest, encoding="utf-8").read()
        wrong, link, hard = (os.path.join(folder, name) for name in ("wrong", "link", "hard"))
        os.symlink(paths[0], link)
        os.link(paths[0], hard)
        for name in os.path.join(folder, ".", "0.uds"), "file:" + paths[0], link, hard:
            with open(wrong, "w", encoding="utf-8") as file:
                file.write(text.replace(paths[1], name))
            says = "shard 2 (%s): this is the same file or device as shard 1 (%s)" % (name, paths[0])
            uds("exec", wrong, status=DAMAGE, says=says)
            uds("peek", wrong, status=DAMAGE, says=says)
            uds("shards", "verify", wrong, status=DAMAGE, says=says)
            uds("shards", "info", wrong, status=DAMAGE, says=says)
            has(uds("find", wrong, status=DAMAGE).out, says)


def parts_of_one_file_are_told_apart():
    built()
    with Folder() as folder:
        whole, manifest = (os.path.join(folder, name) for name in ("whole", "manifest"))
        with open(whole, "wb") as file:
            file.truncate(64 << 20)
        parts = ["file:%s?offset=%dM&length=16M" % (whole, at) for at in (0, 8, 40)]
        for part in parts:
            uds("create", "--page-size", 4096, "--record-pages", 4, "--chapters", 32, part)
        uds("shards", "create", manifest, parts[2], *parts[:2], status=FAILED,
            says="shards 2 and 3, %s and %s, have bytes in common" % (parts[0], parts[1]))
        equal(os.path.exists(manifest), False)
        # These have not, but there is one lock for both.
        uds("shards", "create", manifest, parts[0], parts[2])
        equal(uds("peek", manifest, stdin="00" * 16 + "\n").out, "-\n")
        uds("exec", manifest, status=FAILED, says=[parts[0], parts[2], "which is locked as a whole"])


def info_looks_at_each_shard():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        states = [shard["state"] for shard in uds("shards", "info", "--json", manifest).json["shards"]]
        equal(states, ["new"] * 3)
        uds("exec", manifest, stdin=names())
        uds("exec", "--no-save", paths[1], stdin=names())
        before = {path: open(path, "rb").read() for path in paths + [manifest]}
        found = uds("shards", "info", "--json", manifest).json["shards"]
        equal([(shard["state"], shard["in_use"], "wrong" in shard) for shard in found],
              [("clean", False, False), ("needs-recovery", False, False), ("clean", False, False)])
        out = uds("shards", "info", manifest).out.splitlines()
        equal([line.split()[5] for line in out[1:]], ["clean", "needs-recovery", "clean"])
        with open(paths[2], "r+b") as held:
            fcntl.fcntl(held, fcntl.F_OFD_SETLK, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
            found = uds("shards", "info", "--json", manifest).json["shards"]
            equal([(shard["state"], shard["in_use"]) for shard in found],
                  [("clean", False), ("needs-recovery", False), ("clean", True)])
            has(uds("shards", "info", manifest).out, "clean           %s (in use)\n" % paths[2])
        equal({path: open(path, "rb").read() for path in paths + [manifest]}, before)
        # Missing, damaged, another one: each is named, also beside the others.
        os.remove(paths[0])
        with open(paths[1], "r+b") as file:
            file.write(bytes(4096))
        shutil.copy(paths[3], paths[2])
        says = ["shard 1 (%s)" % paths[0], "No such file", "shard 2 (%s)" % paths[1], "not a UDS index", "shard 3 (%s)" % paths[2], "volume nonce"]
        out = uds("shards", "info", manifest, status=DAMAGE, says=says).out.splitlines()
        equal([line.split()[5] for line in out[1:]], ["wrong"] * 3)
        ran = uds("shards", "info", "--json", manifest, status=DAMAGE)
        equal((ran.err, ["wrong" in shard for shard in ran.json["shards"]]), ("", [True] * 3))
        equal(["state" in shard for shard in ran.json["shards"]], [False, False, True])


def find_knows_a_manifest_and_its_shards():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        text = open(manifest, "rb").read()

        def found(status=None):
            return uds("find", "--json", manifest, status=status or 0).json["found"][0]

        def wrong(*parts, status=DAMAGE, count=1):
            here, out = found(status), uds("find", manifest, status=status).out
            has(here["wrong"], *parts)
            has(out, "shards manifest", *parts)
            equal("opened by" in out, False)
            equal((here["what"], "opened_by" in here), ("shards-manifest", False))
            equal(len(here["manifest"]["findings"]) if count else "manifest" in here, count)

        has(uds("find", manifest).out, "what           shards manifest\n", "3, generation 1",
            "opened by      uds info %s" % manifest)
        equal(found()["manifest"], {"shards": 3, "generation": 1, "state": "stable", "findings": []})
        equal((found()["what"], found()["damaged"], found()["opened_by"]),
              ("shards-manifest", False, "uds info " + manifest))
        uds("snapshot", "info", manifest, status=FAILED, says="this is a shards manifest; type: uds info")
        os.rename(paths[0], paths[0] + ".away")
        wrong("shard 1", paths[0], "No such file")
        shutil.copy(paths[3], paths[0])
        wrong("shard 1", "volume nonce")
        os.rename(paths[1], paths[0])
        wrong("shard 1", "swapped", count=2)
        os.rename(paths[0], paths[1])
        os.rename(paths[0] + ".away", paths[0])
        for bad, part, status in ((text[:-20], "cut short", DAMAGE), (text[:60], "cut short", DAMAGE),
                                  (text.replace(b"generation", b"generatiom"), "members are missing", DAMAGE),
                                  (text.replace(b'"version": 1', b'"version": 2'), "version 2", FAILED)):
            with open(manifest, "wb") as file:
                file.write(bad)
            wrong(part, status=status, count=False)
        has(uds("find", manifest, status=FAILED).out, "of a version that is not known")
        # Also while names move, and where a shard is in use.
        with open(manifest, "w", encoding="utf-8") as file:
            moving = json.loads(text)
            moving["state"], moving["generation"] = "moving", 2
            moving["shards"][2]["role"] = "leaving"
            json.dump(moving, file)
        with open(paths[0], "rb+") as shard:
            fcntl.lockf(shard, fcntl.LOCK_EX)
            uds("shards", "verify", manifest, status=DAMAGE)
            has(uds("find", manifest).out, "moving         names of ", "of 2048 slots")
        equal(found()["manifest"]["state"], "moving")


def all_commands_take_a_manifest():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        uds("exec", manifest, stdin=names())
        # All records of all of them, each once.
        dumped = uds("dump", manifest).out.splitlines()
        equal(sorted(dumped), sorted(line[5:] for line in names().splitlines()))
        equal(sorted(dumped), sorted(line for path in paths[:3] for line in uds("dump", path).out.splitlines()))
        equal(len(uds("dump", "--json", manifest).json["records"]), COUNT)
        for options in [], ["--json"]:
            equal(uds("info", *options, manifest).out, uds("shards", "info", *options, manifest).out)
        equal(uds("verify", manifest).out, "%s: no damage found\n" % manifest)
        equal(uds("verify", "--json", manifest).json, {"damaged": False, "findings_count": 0, "findings": []})
        for verb in "info", "verify", "dump", "recover":
            for option in ["--offset", 4096], ["--nonce", 1]:
                if (verb, option[0]) != ("info", "--nonce"):
                    uds(verb, *option, manifest, status=USAGE, says="are for one index; %s is a manifest of shards" % manifest)
        uds("info", "--resident", manifest, status=USAGE, says="--resident is for one index")
        uds("verify", "--repair", "--offset", 4096, manifest, status=USAGE)


def shards_are_recovered_together():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        # As with a single index, a new one counts as one that was never saved.
        equal(uds("recover", "--json", manifest).json, {"recovered": True, "shards": 3, "recovered_shards": 3, "entries": 0})
        equal(uds("recover", "--json", manifest).json, {"recovered": False, "shards": 3, "recovered_shards": 0, "entries": 0})
        uds("exec", "--no-save", manifest, stdin=names(count=2000))
        found = uds("recover", "--json", manifest).json
        equal((found["recovered"], found["shards"], found["recovered_shards"]), (True, 3, 3))
        equal(found["entries"] > 0, True)
        equal([uds("info", "--json", path).json["state"] for path in paths[:3]], ["clean"] * 3)
        # Of what was not saved, whole chapters are there.
        found = list(zip(uds("exec", manifest, stdin=names()).out.split(), answers().split()))
        equal([pair for pair in found if pair[0] not in ("-", pair[1])], [])
        equal(sum(pair[0] == pair[1] for pair in found) >= 3 * 400, True)
        # Records that only a save has are not given up unasked.
        saved = sum(uds("info", "--json", path).json["saved_records"] for path in paths[:3])
        equal(saved > 0, True)
        uds("recover", "--ignore-saves", manifest, status=FAILED, says="its save has %d records that are nowhere else" % saved)
        has(uds("recover", manifest).out, "nothing to recover; 3 shards, of which 0 needed it")
        has(uds("recover", "--ignore-saves", "--lose-records", manifest).out, "recovered and saved; 3 shards")
        os.rename(paths[1], paths[1] + ".away")
        uds("recover", manifest, status=FAILED, says=[paths[1], "No such file"])


def shards_are_repaired_each():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        uds("exec", manifest, stdin=names())
        uds("exec", manifest, stdin=names(first=COUNT, count=4 * COUNT))

        def damage(path):
            with open(path, "r+b") as file:
                file.seek(4096 * 4 + 100)
                file.write(os.urandom(2000))
        damage(paths[0])
        damage(paths[2])
        found = uds("verify", "--json", manifest, status=DAMAGE).json
        equal(found["findings_count"] >= 2, True)
        equal([sum(path in finding for finding in found["findings"]) > 0 for path in paths[:3]], [True, False, True])
        repaired = uds("verify", "--repair", "--lose-records", "--json", manifest).json
        equal((repaired["repaired"], repaired["findings_count"] >= 2), (True, True))
        equal([sum(finding.startswith(path) for finding in repaired["findings"]) > 0 for path in paths[:3]], [True, False, True])
        equal(uds("verify", manifest).out, "%s: no damage found\n" % manifest)
        equal(uds("exec", manifest, stdin=names(first=9 * COUNT)).out, "-\n" * COUNT)
        # The others are repaired when one is missing; what is not the shard is not touched.
        damage(paths[2])
        os.rename(paths[1], paths[1] + ".away")
        uds("verify", "--repair", "--lose-records", manifest, status=FAILED, says=[paths[1], "No such file"])
        uds("verify", paths[2])
        shutil.copy(paths[3], paths[1])
        damage(paths[1])
        before = open(paths[1], "rb").read()
        uds("verify", "--repair", "--lose-records", manifest, status=DAMAGE,
            says=["%s: volume nonce: expected 0x" % paths[1], "another index, which is not touched"])
        equal(open(paths[1], "rb").read() == before, True)


def wrong_uses_are_refused():
    built()
    with Folder() as folder:
        manifest, paths = make(folder)
        uds("shards", "create", manifest, status=USAGE)
        uds("shards", "add", manifest, status=USAGE)
        uds("shards", "resume", manifest, paths[0], status=USAGE)
        uds("shards", "info", paths[0], status=DAMAGE, says="not a manifest")
        uds("exec", "--offset", 4096, manifest, status=USAGE, says="--offset and --nonce are for one index")
        uds("exec", "--nonce", 1, manifest, status=USAGE)


if __name__ == "__main__":
    sys.exit(main([requests_find_what_was_stored, shards_come_and_go_with_their_names,
                   a_scan_remembers_in_shards, a_scan_leaves_out_what_its_shards_lie_in,
                   from_one_index_with_records_to_several, a_move_that_was_interrupted_goes_on_or_is_given_up,
                   what_does_not_belong_together_is_refused_by_name, what_is_refused_leaves_all_files_as_they_are,
                   one_file_by_two_names_is_named, parts_of_one_file_are_told_apart, info_looks_at_each_shard,
                   find_knows_a_manifest_and_its_shards, all_commands_take_a_manifest,
                   shards_are_recovered_together, shards_are_repaired_each, wrong_uses_are_refused]))
