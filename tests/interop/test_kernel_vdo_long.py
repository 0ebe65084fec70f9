#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""dm-vdo and this library on one index, at length: killed in the middle, full chapters, sparse, several zones, a crash of ours.

Some ten minutes of the guest, so only with UDS_TEST_SCALE=10 or more, as check-long sets it. test_kernel_vdo.py has what is quick.
"""
import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from guest import KILLED  # noqa: E402
from tool_support import SCALE, Results, Skip, equal, uds  # noqa: E402
from vdo_guest import (CHAPTER, STATS, data, form, guest, lose_index, new_volume, run_with_guest, start, stats,  # noqa: E402
                       write)

ZONES = "deduplication on compression off hash 2 logical 2 physical 2"


def names(first, last):
    return "".join("%s %s\n" % ((hashlib.md5(b"%d" % i).hexdigest(),) * 2) for i in range(first, last))


def audited(volume):
    return uds("vdo", "audit", "--json", volume).json


def a_volume_that_is_killed_has_right_advice_and_is_taken_up_again(folder):
    volume, count = new_volume(folder), CHAPTER + 8000
    guest(form() + start() + data(count) + write() + "sync && echo killed-now && sleep 60", volume,
          "--kill-on", "killed-now", status=KILLED, timeout=900)
    info = uds("info", "--json", volume).json
    equal((info["vdo"]["state"], info["state"]), ("dirty", "needs-recovery"))
    # A whole chapter, and nothing of the open one. What the kernel could not look up in time is not in its index.
    audit = audited(volume)
    equal((audit["records"] % CHAPTER, audit["right"], audit["stale"]), (0, audit["records"], 0))
    if audit["records"] == 0:
        raise Skip("this machine is too slow: the kernel left out %d of %d blocks" % (count - CHAPTER, count))
    uds("recover", "vdo:%s?dirty=1" % volume)
    uds("verify", "vdo:" + volume)
    equal((uds("info", "--json", volume).json["state"], audited(volume)["right"]), ("clean", CHAPTER))
    after = stats(guest(start() + data(1000) + write(count - count % 16 + 16) + STATS, volume, timeout=600))
    equal((after["hashLock.dedupeAdviceValid"] > 0, after["hashLock.dedupeAdviceStale"]), (True, 0))


def a_sparse_index_is_primed(folder):
    volume = new_volume(folder, size=40 << 30)
    guest(form("--uds-sparse") + start() + data(400) + write() + STATS, volume, timeout=600)
    info = uds("info", "--json", volume).json
    equal((info["vdo"]["index_sparse"], info["sparse_chapters_per_volume"] > 0, info["state"]), (True, True, "clean"))
    equal((audited(volume)["right"], audited(volume)["stale"]), (info["records"], 0))
    lose_index(volume)
    equal(uds("vdo", "prime", "--create", "--json", volume).json["records"], 400)
    after = stats(guest(start() + data(400) + write(16384) + STATS, volume, timeout=600))
    equal((after["dataBlocksUsed"], after["hashLock.dedupeAdviceValid"]), (400, 400))


def several_zones_of_the_volume_use_one_index(folder):
    volume = new_volume(folder)
    guest(form() + start(ZONES) + data(2000) + write() + STATS, volume, "--cpus", "2", timeout=600)
    audit = audited(volume)
    equal((audit["right"], audit["stale"], audit["records"] > 0), (audit["records"], 0, True))
    uds("vdo", "prime", "--zones", 3, volume)
    equal(audited(volume)["right"], 2000)
    after = stats(guest(start(ZONES) + data(2000) + write(16384) + STATS, volume, "--cpus", "2", timeout=600))
    equal((after["dataBlocksUsed"], after["hashLock.dedupeAdviceValid"]), (2000, 2000))


def the_kernel_rebuilds_what_we_left_as_by_a_crash(folder):
    volume = new_volume(folder)
    guest(form() + start() + data(400) + write() + STATS, volume)
    uds("vdo", "prime", "--create", volume)
    # A chapter is closed behind the save; what is in the open one is lost.
    uds("load", "--no-save", "vdo:" + volume, stdin=names(0, CHAPTER + 100))
    equal(uds("info", "--json", volume).json["state"], "needs-recovery")
    after = stats(guest(start(seconds=300) + data(400) + write(16384) + STATS, volume,
                        timeout=900))
    equal((after["dataBlocksUsed"], after["hashLock.dedupeAdviceValid"]), (400, 400))
    uds("verify", "vdo:" + volume)
    known = CHAPTER - 400
    answers = uds("peek", "vdo:" + volume, stdin="".join(line.split()[0] + "\n" for line in names(0, known).splitlines())).out
    equal(answers.split(), [line.split()[0] for line in names(0, known).splitlines()])
    audit = audited(volume)
    equal((audit["right"], audit["stale_no_advice"]), (400, known))


def main():
    if SCALE < 10:
        results = Results()
        print("skipped: dm-vdo at length: takes ten minutes, set UDS_TEST_SCALE to 10 to run it")
        results.skipped += 1
        return results.finish()
    return run_with_guest(several_zones_of_the_volume_use_one_index, the_kernel_rebuilds_what_we_left_as_by_a_crash,
                          a_sparse_index_is_primed, a_volume_that_is_killed_has_right_advice_and_is_taken_up_again)


if __name__ == "__main__":
    sys.exit(main())
