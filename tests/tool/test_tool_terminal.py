#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Progress bars: on a terminal, and nowhere else."""
import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata

from tool_support import FAILED, SMALL, TOOL, Folder, Skip, equal, main, uds


def on_terminal(*arguments, columns=0, status=0, seen=None, prefix=(), env=None, stdin=""):
    """Runs the command with a terminal as standard error. Returns what it wrote there. @seen: is
    given each part of it as it comes."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as given:
        given.write(stdin.encode())
        given.seek(0)
        process = subprocess.Popen([*prefix, TOOL, *arguments], stdin=given, stdout=out,
                                   stderr=theirs, env=env)
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
            if seen:
                seen(process, said)
        os.close(ours)
        equal(process.wait(), status, said)
        return said


def data_file(folder):
    path = os.path.join(folder, b"data" if isinstance(folder, bytes) else "data")
    with open(path, "wb") as file:
        file.write(os.urandom(3 << 20))
    return path


def a_terminal_gets_a_progress_bar_that_is_wiped():
    with Folder() as folder:
        said = on_terminal("scan", data_file(folder))
        for part in (b"scanning", b"[", b"MiB"):
            equal(part in said, True, said)
        equal(said.endswith(b"\r\x1b[K"), True, said)


def lines_of(said):
    """The lines that were shown one over the other, messages apart."""
    return [line for line in re.split("\r|\x1b\\[K", said.decode()) if line.strip()]


def columns_of(line):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def a_scan_shows_where_it_counts_from_its_start():
    with Folder() as folder:
        # Nothing but folders, so that no file is there to be shown.
        for i in range(40):
            os.makedirs(os.path.join(folder, "tree", "folder%02d" % i))
        path = data_file(os.path.join(folder, "tree"))
        index = os.path.join(folder, "x.uds")
        uds("create", *SMALL, index)
        for options in ([], ["--index", index]):
            lines = lines_of(on_terminal("scan", *options, os.path.join(folder, "tree"),
                                         columns=200))
            equal(lines[0].startswith("counting 0 files"), True, lines)
            equal(folder in lines[0], True, lines)
            equal(any(line.startswith("scanning") for line in lines), True, lines)
        said = on_terminal("scan", path, columns=200)
        equal(("counting 0 files  %s" % path).encode() in said, True, said)


def a_scan_that_cannot_go_on_has_shown_where_it_is():
    """Where the first folder takes two seconds to be read, the line comes before that."""
    if not shutil.which("strace"):
        raise Skip("no strace to delay a call with")
    prefix = ["strace", "-f", "-qq", "-o", "/dev/null", "-e",
              "inject=getdents64:delay_enter=2000000:when=1"]
    probe = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        raise Skip("strace cannot delay calls here")
    with Folder() as folder:
        os.mkdir(os.path.join(folder, "empty"))
        times = []

        def seen(_process, said):
            if not times and ("counting 0 files  " + folder).encode() in said:
                times.append(time.monotonic())
        said = on_terminal("scan", folder, columns=200, status=FAILED, seen=seen, prefix=prefix,
                           env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0"))
        equal(len(times), 1, said)
        equal(time.monotonic() - times[0] > 1.5, True, said)
        equal(b"no file was found: nothing was scanned" in said, True, said)


def progress_is_cut_to_the_width_of_the_terminal():
    with Folder() as folder:
        tree = os.path.join(folder, "\u6f22\u5b57" * 20, "e\u0301t\u00e9" * 20, "long" * 50)
        os.makedirs(tree)
        data_file(tree)
        for columns in (1, 2, 5, 20, 40, 79, 80, 81, 200):
            lines = lines_of(on_terminal("scan", tree, columns=columns))
            for line in lines:
                equal(columns_of(line) < columns, True, (columns, line))
            if columns >= 40:
                equal(max(map(columns_of, lines)) >= columns - 2, True, (columns, lines))
        # No size: that of most terminals.
        lines = lines_of(on_terminal("scan", tree))
        equal(max(map(columns_of, lines)) in (78, 79), True, lines)


def odd_names_do_nothing_to_the_line_of_progress():
    with Folder() as folder:
        path = os.path.join(os.fsencode(folder), b"\x1b[31m\n\xc2\x9b\xff")
        os.mkdir(path)
        data_file(path)
        said = on_terminal("scan", path, columns=300)
        equal(b"\\033[31m\\012\\302\\233\\377" in said, True, said)
        equal({c for c in said.replace(b"\r", b"").replace(b"\x1b[K", b"") if not 32 <= c < 127},
              set(), said)


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
    sys.exit(main([a_terminal_gets_a_progress_bar_that_is_wiped,
                   a_scan_shows_where_it_counts_from_its_start,
                   a_scan_that_cannot_go_on_has_shown_where_it_is,
                   progress_is_cut_to_the_width_of_the_terminal,
                   odd_names_do_nothing_to_the_line_of_progress, quiet_means_no_progress_bar,
                   a_merge_tells_rate_and_remaining_time,
                   without_a_terminal_there_is_no_progress_bar]))
