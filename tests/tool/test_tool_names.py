#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Names from outside in what the command prints: no control character of any kind gets through, and
names that differ stay apart."""
import os
import sys
import unicodedata

from test_tool_usage import COMMANDS
from tool_support import SMALL, USAGE, Folder, equal, has, main, uds

ODD = [b"\x1b[31mred", b"\x9b31mred", b"\xc2\x9b31mred", b"bell\x07", b"\x7fdelete", b"back\x08space",
       b"new\nline", b"car\rriage", b"\xc2\x85next", b"\xe2\x80\xaedlrow", b"\xe2\x81\xa6isolate",
       b"\xe2\x80\xa8line", b"\xff\xfe", b"cut\xe2\x80", b"\x01u64:12", b"tab\there", b"\xc0\x9b"]

ALL = os.fsdecode(b".".join(ODD))  # in one word, where each word is a run of the command


def control_characters(output):
    """All that output has, ends of lines apart. Bytes that are not UTF-8 are taken for some too: a
    terminal that reads single bytes would."""
    found = []
    for c in output.decode(errors="surrogateescape"):
        bidi = unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI",
                                                "FSI", "PDI")
        if c != "\n" and (unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or bidi):
            found.append(c)
    return found


def check_clean(ran):
    for output in (ran.out, ran.err):
        equal(control_characters(output), [], ran)


def run(*arguments, **options):
    ran = uds(*arguments, status=None, binary=True, stdin=b"", **options)
    equal(ran.status >= 0, True, ran)
    check_clean(ran)
    return ran


def the_check_for_control_characters_sees_them():
    for odd in ODD:
        equal(control_characters(b"x" + odd + b"y") != [] or odd == b"new\nline", True, odd)
    equal(control_characters("caf\u00e9 \u6f22 \U0001f600\n".encode()), [])


def odd_words_on_the_command_line_are_shown_harmlessly():
    for arguments in ([ALL], ["-" + ALL], ["--" + ALL], ["help", ALL], ["snapshot", ALL],
                      ["help", "snapshot", ALL], [ALL, ALL]):
        equal(run(*arguments).status, USAGE, arguments)
    for odd in map(os.fsdecode, ODD):
        equal(run(odd).status, USAGE)
    for command in COMMANDS:
        for arguments in (["--" + ALL, "x"], ["-" + ALL, "x"], ["--json=" + ALL, "x"],
                          ["--zones", ALL, "x"], ["--origin", ALL, "/nonexistent"],
                          ["/nonexistent/" + ALL], ["/nonexistent/x", ALL]):
            run(*command.split(), *arguments)
    with Folder() as folder:
        for command in COMMANDS:
            run(*command.split(), ALL + ":x", cwd=folder)  # no scheme but a path: `create` makes it


def odd_values_are_shown_harmlessly():
    for option in ("--memory", "--nonce", "--nonce-data", "--size"):
        run("create", option, ALL, "/nonexistent/x")
    for option in ("--index", "--block-size", "--top"):
        run("scan", option, ALL, "/nonexistent/x")
    run("snapshot", "create", "--chunk-size", ALL, "/nonexistent/x")


def odd_names_of_indexes_and_stores_are_shown_harmlessly():
    with Folder() as folder:
        index = os.path.join(folder, ALL)
        run("create", *SMALL, index)
        equal(os.path.exists(index), True)
        run("create", *SMALL, index)
        for command in ("info", "verify", "recover", "load", "exec", "dump"):
            equal(run(command, index).status, 0, command)
        run("query", index, prefix=["sh", "-c", 'echo nonsense | exec "$@"', "sh"])
        cow, origin = index + "cow", index + "origin"
        with open(origin, "wb") as file:
            file.truncate(1 << 20)
        equal(run("snapshot", "create", "--size", "1M", cow).status, 0)
        run("snapshot", "create", "--size", "1M", cow)
        for command in (["info"], ["verify"], ["list"], ["merge", "--origin", origin],
                        ["merge", "--origin", cow], ["read", "--origin", origin, "--length", "0"]):
            run("snapshot", *command, cow)
        with open(index, "r+b") as file:
            file.write(b"\xff" * 70000)
        with open(cow, "r+b") as file:
            file.write(b"SnAp" + b"\xff" * 70000)
        for command in (["info"], ["verify"], ["verify", "--json"], ["scan", "--index", index]):
            run(*command, index)
        for command in ("info", "verify", "list"):
            run("snapshot", command, cow)


def odd_names_in_a_scan_are_shown_harmlessly():
    with Folder() as folder:
        for i, odd in enumerate(ODD):
            place = os.path.join(os.fsencode(folder), odd)
            os.mkdir(place)
            for part in (b"a", b"b"):
                with open(os.path.join(place, part + odd), "wb") as file:
                    file.write(bytes([i + 1]) * 4096)
            os.symlink(b"nowhere", os.path.join(place, b"link"))
        for options in ([], ["--json"]):
            ran = run("scan", "--top", "100", "--first-seen", *options, folder)
            equal(ran.status, 0, ran)
        equal(len(ran.json["top"]), len(ODD))
        odd = os.fsdecode(os.path.join(os.fsencode(folder), ODD[0], b"link"))
        run("scan", odd)


def names_that_are_not_utf8_stay_apart_in_json():
    with Folder() as folder:
        names = [b"a\xff", b"a\xfe", b"a\xef\xbf\xbd", b"a\x80\x80", b"\x01u64:77"]
        for name in names:
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:
                file.write(b"x" * 4096)
        with open(os.path.join(folder, "A"), "wb") as file:
            file.write(b"x" * 4096)
        found = uds("scan", "--json", "--top", 10, "--first-seen", folder).json
        expected = sorted(os.path.join(os.fsencode(folder), name) for name in [*names, b"A"])[1:]

        def exact(row, key="path"):
            if key + "_hex" in row:
                return bytes.fromhex(row[key + "_hex"])
            return row[key].encode()
        equal(sorted(map(exact, found["top"])), expected)
        equal(sorted(map(exact, found["first_seen"])), expected)
        equal({exact(row, "first_path") for row in found["first_seen"]},
              {os.path.join(os.fsencode(folder), names[4])})
        for row in found["top"]:
            equal("path_hex" in row, "\ufffd" in row["path"] and not exact(row).endswith(
                "\ufffd".encode()), row)
        # The first one that is seen has such a name.
        os.unlink(os.path.join(folder, "A"))
        os.unlink(os.path.join(os.fsencode(folder), names[4]))
        found = uds("scan", "--json", "--first-seen", folder).json
        equal({exact(row, "first_path") for row in found["first_seen"]},
              {os.path.join(os.fsencode(folder), b"a\x80\x80")})


def paths_in_text_can_be_told_apart():
    with Folder() as folder:
        for name in (b"a\x1b", b"a\\033"):
            with open(os.path.join(os.fsencode(folder), name), "wb") as file:
                file.write(b"x" * 4096)
        has(uds("scan", "--first-seen", folder).out, "/a\\134033: 4096 bytes", "/a\\033 at 0")


if __name__ == "__main__":
    sys.exit(main([
        the_check_for_control_characters_sees_them,
        odd_words_on_the_command_line_are_shown_harmlessly, odd_values_are_shown_harmlessly,
        odd_names_of_indexes_and_stores_are_shown_harmlessly,
        odd_names_in_a_scan_are_shown_harmlessly, names_that_are_not_utf8_stay_apart_in_json,
        paths_in_text_can_be_told_apart]))
