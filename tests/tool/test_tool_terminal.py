#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Progress bars: on a terminal, and nowhere else."""
import os
import pty
import subprocess
import sys
import tempfile

from tool_support import SMALL, TOOL, Folder, equal, main, uds


def on_terminal(*arguments):
    """Runs the command with a terminal as standard error. Returns what it wrote there."""
    ours, theirs = pty.openpty()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([TOOL, *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=theirs)
        os.close(theirs)
        said = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            said += part
        os.close(ours)
        equal(process.wait(), 0)
        return said


def data_file(folder):
    path = os.path.join(folder, "data")
    with open(path, "wb") as file:
        file.write(os.urandom(3 << 20))
    return path


def a_terminal_gets_a_progress_bar_that_is_wiped():
    with Folder() as folder:
        said = on_terminal("scan", data_file(folder))
        for part in (b"scanning", b"[", b"MiB"):
            equal(part in said, True, said)
        equal(said.endswith(b"\r\x1b[K"), True, said)


def quiet_means_no_progress_bar():
    with Folder() as folder:
        path = data_file(folder)
        equal(on_terminal("scan", "--quiet", path), b"")
        equal(on_terminal("scan", "-q", path), b"")


def a_merge_tells_rate_and_remaining_time():
    with Folder() as folder:
        origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        with open(origin, "wb") as file:
            file.truncate(1 << 20)
        uds("snapshot", "create", "--chunk-size", 4096, "--size", "2M", cow)
        uds("snapshot", "write", "--origin", origin, "--offset", 0, cow, stdin="x" * 400000)
        said = on_terminal("snapshot", "merge", "--rate", "400K", "--origin", origin, cow)
        for part in (b"merging", b"[####", b"/s", b" left"):
            equal(part in said, True, said)
        equal(said.endswith(b"\r\x1b[K"), True, said)


def without_a_terminal_there_is_no_progress_bar():
    with Folder() as folder:
        path, index = data_file(folder), os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        for arguments in (("scan", path), ("scan", "--index", index, path), ("verify", index),
                          ("recover", index), ("info", index), ("dump", index)):
            equal(uds(*arguments).err, "", arguments)


if __name__ == "__main__":
    sys.exit(main([a_terminal_gets_a_progress_bar_that_is_wiped, quiet_means_no_progress_bar,
                   a_merge_tells_rate_and_remaining_time,
                   without_a_terminal_there_is_no_progress_bar]))
