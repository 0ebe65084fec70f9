# SPDX-License-Identifier: BSD-2-Clause
"""Volumes of the real dm-vdo in a virtual machine (UDS_KERNEL_GUEST): what its commands are, and how tests run there."""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from guest import guest_or_skip, run_guest  # noqa: E402
from tool_support import Results, Skip, equal  # noqa: E402

AT = 4096           # where the index of a VDO volume begins
CHAPTER = 65536     # records, in the smallest index of VDO
# Writes are acknowledged before they are deduplicated, so this waits for the last of them.
STATS = "i=0; while [ $i -lt 300 ] && ! vdostats v0 | grep -q 'VIOsInProgress 0$'; do usleep 200000; i=$((i + 1)); done; " \
    "vdostats v0 | grep -E 'dataBlocksUsed|dedupeAdvice[VS]|entriesIndexed|postsFound'; dmsetup remove v0"


def guest(script, disk, *options, status=0, timeout=280):
    done = run_guest("--vdo", *options, "-d", "disk=" + disk, script, timeout=timeout)
    equal(done.returncode, status, done.stderr[-500:])
    return done.stdout


def form(options="", disk="disk"):
    """Makes a VDO volume."""
    return "vdoformat --logical-size=2G --slab-bits=13 %s /dev/%s >/dev/null && " % (options, disk)


def start(options="", disk="disk", seconds=""):
    """Starts it as /dev/mapper/v0. Its index has so many seconds to load, unless as many as waitindex gives."""
    return "vdo v0 /dev/%s 4194304 %s && waitindex v0 %s && " % (disk, options, seconds)


def data(count, word="w"):
    """Makes /tmp/b in the guest: so many blocks of text."""
    return "awk 'BEGIN { for (i = 0; i < %d; i++) printf \"%%4096s\", \"%s\" i * 7919 }' >/tmp/b && " % (count, word)


def write(at=0):
    """Writes it to the volume, from block @at on, a multiple of 16."""
    return "dd if=/tmp/b of=/dev/mapper/v0 bs=64k seek=%d oflag=direct conv=notrunc 2>/dev/null && " % (at // 16)


def stats(text):
    return dict((line.split()[0], int(line.split()[1])) for line in text.splitlines() if len(line.split()) == 2)


def new_volume(folder, size=6 << 30):
    path = os.path.join(folder, "v.img")
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def lose_index(path):
    """What dd of zeroes over the start of the index leaves."""
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(bytes(1 << 20))


def skip_all(tests):
    """The exit status where there is no guest; otherwise None."""
    try:
        guest_or_skip("--vdo")
    except Skip as reason:
        results = Results()
        results.skip(tests, reason)
        return results.finish()
    return None


def run_with_guest(*tests):
    """Runs each with a folder of its own, where there is a guest. Returns the exit status."""
    status = skip_all(tests)
    if status is not None:
        return status
    results = Results()
    for test in tests:
        with tempfile.TemporaryDirectory(prefix="uds-guest-") as folder:
            results.run(test.__name__, test, folder)
    return results.finish()


def ask_together(asked):
    """The commands of all, {test: (script, {name of a disk: image})}, in one boot. {test: (status, output)}."""
    script = "".join("( %s )\necho \"== $?\"\ndmsetup remove v0 2>/dev/null\n" % part for part, _ in asked.values())
    disks = [word for _, some in asked.values() for name, path in some.items() for word in ("-d", "%s=%s" % (name, path))]
    done = run_guest("--vdo", *disks, script + "true", timeout=280)
    parts = re.split(r"^== (\d+)\n", done.stdout, flags=re.M)
    equal((done.returncode, len(parts)), (0, 2 * len(asked) + 1), done.stderr[-500:])
    return {test: (int(status), output) for test, status, output in zip(asked, parts[1::2], parts[0::2])}


def next_commands(test, answer):
    """Goes on with a test, which has asked for @answer unless that is None."""
    if answer is None:
        return next(test)
    equal(answer[0], 0, answer[1])
    return test.send(answer[1])


def conclude(error):
    if error:
        raise error


def run_together(*tests):
    """Runs tests that yield commands, with the disks that these need, and get what they print: each boot is for the
    next commands of all. Each test has a folder of its own. Returns the exit status."""
    status = skip_all(tests)
    if status is not None:
        return status
    results = Results()
    with tempfile.TemporaryDirectory(prefix="uds-guest-") as folder:
        running, answers = {}, dict.fromkeys(tests)
        for test in tests:
            own = os.path.join(folder, test.__name__)
            os.mkdir(own)
            running[test] = test(own)
        while answers:
            asked = {}
            for test, answer in answers.items():
                try:
                    asked[test] = next_commands(running[test], answer)
                except StopIteration:
                    results.run(test.__name__, conclude, None)
                except Exception as error:  # told as that of a test that is run alone
                    results.run(test.__name__, conclude, error)
            try:
                answers = ask_together(asked) if asked else {}
            except Exception as error:  # the machine did not run, so none of them goes on
                answers = {}
                for test in asked:
                    results.run(test.__name__, conclude, error)
    return results.finish()
