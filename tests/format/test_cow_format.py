#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The independent model of the exception store agrees with what the kernel did."""
import hashlib
import json
import os
import random
import sys

from cow_format import SECTOR, Store, StoreError, create
from support import SCALE, Results, Skip, equal, pattern, read_vector, vectors

IMAGES = {}


def image(vector, name):
    if (vector, name) not in IMAGES:
        IMAGES[vector, name] = read_vector("snapshot", vector, name + ".img.xz")
    return bytearray(IMAGES[vector, name])


def manifest(vector):
    return json.loads(read_vector("snapshot", vector, "manifest.json"))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def status_for(about, state):
    """The status line that belongs to an image, without its device part."""
    key = {"filled": "reloaded.snap", "merged": "filled-merged.snap-again",
           "crash": "crash.snap"}.get(state, state + ".kernel-reload")
    return " ".join(about["status"][key].split()[3:]) if key in about["status"] else None


def states(vector):
    """(state, origin, COW) of each pair of images."""
    for file in sorted(os.listdir(vectors("snapshot", vector))):
        if file.startswith("cow.") and file.endswith(".img.xz"):
            state = file[4:-7] if file != "cow.img.xz" else ""
            origin = "origin." + (state or "after")
            yield state or "filled", image(vector, origin), image(vector, file[:-7])


def reads_as_the_kernel(vector):
    about = manifest(vector)
    for state, origin, cow in states(vector):
        store, wanted = Store(cow), about["expected"][state]
        equal(store.valid, bool(wanted["header_valid"]), "valid: " + state)
        equal(len(store.exceptions), wanted["exceptions"], "exceptions: " + state)
        if status_for(about, state):
            equal(store.status(), status_for(about, state), "status: " + state)
        if not store.valid:
            continue
        equal((store.current_area, store.committed, store.next_free),
              (wanted["current_area"], wanted["committed_in_area"], wanted["next_free"]), state)
        equal(sha(store.view(origin)), wanted["snapshot_view_sha256"], "view: " + state)
        equal(list(store.faults(len(origin))), [], "faults: " + state)


def middle_states_hold_a_prefix(vector):
    full = Store(image(vector, "cow")).exceptions
    for state, _, cow in states(vector):
        found = Store(cow).exceptions
        equal(found, full[:len(found)], state)


def merges_as_the_kernel(vector):
    for state, origin, cow in states(vector):
        if state != "merged":
            Store(cow).merge(origin)
            equal(origin == image(vector, "origin.merged"), True, "origin after " + state)
            equal(cow == image(vector, "cow.merged"), True, "COW after " + state)


def merges_in_steps(vector):
    for state, origin, cow in states(vector):
        view = bytes(Store(cow).view(origin))
        for step in range(4):
            Store(cow).merge(origin, 61 + step)
            equal(Store(cow).view(origin) == view, True, "view in a merge of " + state)


def writes_as_the_kernel(vector):
    about = manifest(vector)
    geometry = about["geometry"]
    origin, cow = image(vector, "origin.before"), bytearray(geometry["cow_sectors"] * SECTOR)
    create(cow, geometry["chunk_sectors"])
    store = Store(cow)
    invalidates = " PO " not in about["table"]["snapshot"]
    for phase in about["writes"]:
        for line in read_vector("snapshot", vector, phase["file"]).decode().splitlines():
            sector, count, tag = map(int, line.split())
            data = pattern(sector, count, tag)
            if phase["target"] == "snapshot":
                store.write_snapshot(origin, sector * SECTOR, data, invalidates)
            else:
                store.write_origin(origin, sector * SECTOR, data)
    equal(origin == image(vector, "origin.after"), True, "origin")
    equal(cow == image(vector, "cow"), True, "COW")


def case_agrees(case, origin):
    """A COW image written by hand, and what the kernel did with it."""
    table = case["snapshot_table"].split()
    cow = bytearray(read_vector("snapshot", "header-and-synthetic", case["cow_image"]))
    equal(sha(cow), case["cow_sha256"], "image")
    try:
        if not any(cow[:4]) and case["load"] == "ok":
            create(cow, int(table[6]) or 32)  # 0 is the kernel's default
        store = Store(cow)
    except StoreError as error:
        equal(case["load"] != "ok", True, "refused (%s), but the kernel loads it" % error)
        return
    equal(case["load"], "ok", "loaded, but the kernel refuses it")
    if "status" in case:
        equal(store.status(), case["status"], "status")
    if "view_sha256" in case:
        equal(sha(store.view(origin)), case["view_sha256"], "view")
    if "origin_after_merge_sha256" in case:
        merged = bytearray(origin)
        store.merge(merged)
        equal(sha(merged), case["origin_after_merge_sha256"], "origin after the merge")
        equal(store.status(), case["status_after_merge"], "status after the merge")


def faults_of_cases_are_found():
    """The damaged stores among the cases each have the fault that they are named after."""
    wanted = {"dup": "the same old chunk", "beyond": "not on the origin",
              "newbeyond": "not on the device"}
    origin = read_vector("snapshot", "header-and-synthetic", "origin.img.xz")
    for name, text in wanted.items():
        cow = read_vector("snapshot", "header-and-synthetic", name + ".cow.img.xz")
        faults = [reason for _, reason in Store(bytearray(cow)).faults(len(origin))]
        equal(any(text in reason for reason in faults), True, "%s: %s" % (name, faults))


def stale_tail_does_not_come_back():
    origin = bytearray(pattern(0, 512, 1))
    about = manifest("stale-tail")
    for clean, count in ((False, about["exceptions"]["re-opened"]),
                         (True, about["exceptions"]["after append, in memory"])):
        cow = image("stale-tail", "cow")
        store = Store(cow)
        equal(len(store.exceptions), about["exceptions"]["opened"], "opened")
        equal(len(store.stale_tail()), 9, "stale entries")
        if clean:
            store.clean_tail()
        store.write_snapshot(origin, 300 * SECTOR, pattern(300, 1, 5))
        equal(len(Store(cow).exceptions), count, "re-opened, cleaned: %s" % clean)
        if not clean:
            equal(cow == image("stale-tail", "cow.after-kernel-append"), True, "COW")


def any_bytes_are_safe():
    """Whatever the bytes are, reading a store ends, and with nothing but a StoreError."""
    cow = image("c1-manyareas", "cow")
    dice = random.Random(1)
    for _ in range(int(300 * SCALE)):
        damaged = bytearray(cow)
        for _ in range(dice.randint(1, 200)):
            damaged[dice.randrange(4 if dice.random() < 0.01 else 16, 40 * 512)] = dice.choice(
                (0, 1, 2, 255, dice.randrange(256)))
        try:
            store = Store(damaged[:dice.choice((len(damaged), dice.randrange(len(damaged))))])
            list(store.faults(1 << 20))
        except StoreError:
            pass


def main():
    results = Results()
    if vectors("snapshot") is None:
        def no_vectors():
            raise Skip("no vectors")
        results.run("golden vectors of the exception store", no_vectors)
        return results.finish()
    special = ("header-and-synthetic", "stale-tail", "write-order", "README.md")
    for vector in sorted(set(os.listdir(vectors("snapshot"))) - set(special)):
        about, tests = manifest(vector), [reads_as_the_kernel]
        if "cow.img" in about["images"]:
            tests.append(middle_states_hold_a_prefix)
        if "merged" in about["expected"]:  # an invalid store cannot be merged
            tests += [merges_as_the_kernel, merges_in_steps]
        if about["writers_per_device"] == 1:  # of several the order is not known
            tests.append(writes_as_the_kernel)
        for test in tests:
            results.run("%s: %s" % (test.__name__, vector), test, vector)
    cases = json.loads(read_vector("snapshot", "header-and-synthetic", "cases.json"))
    origin = read_vector("snapshot", "header-and-synthetic", "origin.img.xz")
    # Refused for their table line, and a transient store, which has no format.
    table_only = ("param24", "PX", "empty-N")
    for case in cases["cases"]:
        path = vectors("snapshot", "header-and-synthetic", case["cow_image"])
        if case["name"] not in table_only and os.path.exists(path):
            results.run("case_agrees: " + case["name"], case_agrees, case, origin)
    results.run("faults_of_cases_are_found", faults_of_cases_are_found)
    results.run("stale_tail_does_not_come_back", stale_tail_does_not_come_back)
    results.run("any_bytes_are_safe", any_bytes_are_safe)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
