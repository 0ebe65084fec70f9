# SPDX-License-Identifier: BSD-2-Clause
"""Who can work on exception stores in files: the library, through a small program or through the
command, and the model. All have the same functions, so that tests can put one in the place of
another."""
import os
import subprocess

import cow_format
from cow_format import SECTOR
from support import Skip, pattern

DRIVER = os.path.join(os.environ.get("UDS_BUILDDIR", "."), "tests", "interop", "snapshot_driver")
TOOL = os.environ.get("UDS_TOOL", "")


def read_file(path):
    with open(path, "rb") as file:
        return bytearray(file.read())


def write_file(path, data):
    with open(path, "wb") as file:
        file.write(data)


def call(*arguments, data=None):
    done = subprocess.run(arguments, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False)
    if done.returncode:
        raise AssertionError("%s: exit status %d: %s" % (" ".join(map(str, arguments)),
                                                        done.returncode, done.stderr.decode()))
    return done.stdout


class Driver:
    """The library, through a small program."""
    name = "library"

    def create(self, cow, chunk_bytes):
        call(DRIVER, "create", cow, str(chunk_bytes))

    def play(self, origin, cow, writes):
        lines = "".join("%s %d %d %d\n" % write for write in writes)
        call(DRIVER, "play", origin, cow, data=lines.encode())

    def view(self, origin, cow):
        return call(DRIVER, "read", origin, cow)

    def status(self, origin, cow):
        return call(DRIVER, "status", origin, cow).decode().strip()

    def merge(self, origin, cow, limit=0):
        call(DRIVER, "merge", origin, cow, str(limit))


class Tool:
    """The library, through the uds command."""
    name = "command"

    def create(self, cow, chunk_bytes):
        call(TOOL, "snapshot", "create", "--chunk-size", str(chunk_bytes), cow)

    def play(self, origin, cow, writes):
        for target, sector, count, tag in writes:
            command = "write" if target == "snapshot" else "write-origin"
            try:
                call(TOOL, "snapshot", command, "--origin", origin, "--offset",
                     str(sector * SECTOR), cow, data=pattern(sector, count, tag))
            except AssertionError:
                # A write that makes the store invalid, or finds it so, says it and ends with 1.
                if cow_format.Store(read_file(cow)).valid:
                    raise

    def view(self, origin, cow):
        return call(TOOL, "snapshot", "read", "--origin", origin, cow)

    def status(self, origin, cow):
        return cow_format.Store(read_file(cow)).status()

    def merge(self, origin, cow, limit=0):
        more = ["--limit", str(limit)] if limit else []
        call(TOOL, "snapshot", "merge", "--origin", origin, *more, cow)


class Model:
    """The model, to try out this test without the library."""
    name = "model"

    def create(self, cow, chunk_bytes):
        data = read_file(cow)
        cow_format.create(data, chunk_bytes // SECTOR)
        write_file(cow, data)

    def change(self, origin, cow, change):
        origin_data, cow_data = read_file(origin), read_file(cow)
        change(cow_format.Store(cow_data), origin_data)
        write_file(origin, origin_data)
        write_file(cow, cow_data)

    def play(self, origin, cow, writes):
        self.change(origin, cow, lambda store, data: play_on_model(store, data, writes))

    def view(self, origin, cow):
        return cow_format.Store(read_file(cow)).view(read_file(origin))

    def status(self, origin, cow):
        return cow_format.Store(read_file(cow)).status()

    def merge(self, origin, cow, limit=0):
        self.change(origin, cow, lambda store, data: store.merge(data, limit or None))


def play_on_model(store, origin, writes):
    for target, sector, count, tag in writes:
        data = pattern(sector, count, tag)
        if target == "snapshot":
            store.write_snapshot(origin, sector * SECTOR, data)
        else:
            store.write_origin(origin, sector * SECTOR, data)


def library_peers(results):
    """Those that are built; the others are reported as skipped."""
    def skip(reason):
        raise Skip(reason)

    found = []
    if os.access(DRIVER, os.X_OK):
        found.append(Driver())
    else:
        results.run("exception stores of the library", skip, "snapshot_driver is not built")
    if TOOL and os.access(TOOL, os.X_OK) and subprocess.run(
            [TOOL, "snapshot", "create", "--help"], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, check=False).returncode == 0:
        found.append(Tool())
    else:
        results.run("exception stores of the command", skip, "no `uds snapshot` command")
    return found
