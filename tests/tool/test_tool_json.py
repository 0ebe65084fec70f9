#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""With --json every command prints exactly one document, whatever happens."""
import json
import os
import sys

from tool_support import (DAMAGE, FAILED, GOOD, SMALL, USAGE, Folder, data, equal, has, main, name,
                          uds)

INDEX_COMMANDS = ["info", "verify", "recover", "dump", "load", "exec", "post", "update", "query",
                  "peek", "delete"]
SNAPSHOT_COMMANDS = ["snapshot info", "snapshot list", "snapshot verify"]
DATA_COMMANDS = ["snapshot read", "snapshot write", "snapshot write-origin", "snapshot merge"]


def document(*words, status, stdin="", told=True):
    """Runs a command with --json; checks its one document, and that people are @told as well."""
    ran = uds(*words, status=status, stdin=stdin)
    found = json.loads(ran.out)
    if status != GOOD:
        equal(found["exit_status"], status, ran)
        equal(isinstance(found["error"], str) and len(found["error"]) > 5, True, ran)
        equal(found["messages"][0], found["error"])
        equal("uds" in ran.err, told, ran)
    return found


def make(folder):
    index, cow = os.path.join(folder, "i"), os.path.join(folder, "c")
    origin, junk = os.path.join(folder, "o"), os.path.join(folder, "junk")
    with open(junk, "wb") as file:
        file.write(b"\xa5" * (1 << 20))
    with open(origin, "wb") as file:
        file.write(bytes(1 << 20))
    equal(document("create", "--json", *SMALL, index, status=GOOD), {"exit_status": 0})
    document("snapshot", "create", "--json", "--chunk-size", 4096, "--size", "1M", cow, status=GOOD)
    return index, cow, origin, junk


def every_command_reports_every_failure_as_a_document():
    with Folder() as folder:
        index, cow, origin, junk = make(folder)
        missing = os.path.join(folder, "missing")
        for command in INDEX_COMMANDS + SNAPSHOT_COMMANDS:
            words = command.split()
            document(*words, "--json", missing, status=FAILED)
            document(*words, missing, "--json", status=FAILED)
            document(*words, "--json", junk, status=FAILED) if command != "snapshot verify" else \
                equal(document(*words, "--json", junk, status=DAMAGE, told=False)["damaged"], True)
            document(*words, "--json", "--bogus", index, status=USAGE)
            document(*words, "--bogus", "--json", index, status=USAGE)
            document(*words, "--json", status=USAGE)
            document(*words, "--json", index, index, status=USAGE)
        for command in ["load", "exec", "post", "update", "query", "peek", "delete"]:
            document(command, "--json", index, stdin="what\n", status=FAILED)
        for command in DATA_COMMANDS[1:]:
            offset = ["--offset", 0] if "write" in command else []
            words = command.split() + offset
            document(*words, "--json", "--origin", missing, cow, status=FAILED)
            document(*words, "--json", "--origin", origin, junk, status=FAILED)
            document(*words, "--json", "--origin", cow, cow, status=FAILED)
            document(*words, "--json", cow, status=USAGE)
        document("snapshot", "write", "--json", "--origin", origin, cow, status=USAGE)
        document("create", "--json", *SMALL, junk, status=FAILED)
        document("create", "--json", "--memory", "17Q", missing, status=USAGE)
        document("create", "--json", "--chapters", 1, "--record-pages", 0, missing, status=USAGE)
        document("snapshot", "create", "--json", "--chunk-size", 1000, missing, status=USAGE)
        has(document("snapshot", "create", "--json", "--chunk-size", 4096, junk,
                     status=FAILED)["error"], junk, "not empty")
        document("scan", "--json", "--index", junk, folder, status=FAILED)
        document("scan", "--json", "--block-size", 1000, folder, status=USAGE)
        document("scan", "--json", status=USAGE)
        document("bogus", "--json", status=USAGE)
        document("snapshot", "bogus", "--json", status=USAGE)
        document("snapshot", "--json", status=USAGE)
        document("--json", "info", index, status=USAGE)
        equal(os.path.exists(missing), False)


def what_is_good_is_one_document_too():
    with Folder() as folder:
        index, cow, origin, _ = make(folder)
        records = "".join("%s %s\n" % (name(i), data(i)) for i in range(5))
        equal(document("load", "--json", index, stdin=records, status=GOOD)["records"], 5)
        found = document("exec", "--json", index, status=GOOD, stdin="query %s\nquery %s\ndelete %s\n"
                         % (name(1), name(77), name(1)))
        equal(found["answers"], [data(1), None, True])
        equal(document("query", "--json", index, status=GOOD)["answers"], [])
        found = document("exec", "--json", index, status=FAILED, stdin="query %s\nno\n" % name(2))
        equal(found["answers"], [data(2)])
        found = document("dump", "--json", index, status=GOOD)["records"]
        equal(sorted(r["data"] for r in found), sorted(data(i) for i in (0, 2, 3, 4)))
        for command in ("info", "verify", "recover"):
            document(command, "--json", index, status=GOOD)
        document("scan", "--json", index, status=GOOD)
        found = document("snapshot", "write", "--json", "--origin", origin, "--offset", 4096, cow,
                         stdin="x" * 9000, status=GOOD)
        equal(found["bytes_written"], 9000)
        for command in SNAPSHOT_COMMANDS:
            document(*command.split(), "--json", cow, status=GOOD)
        document("snapshot", "merge", "--json", "--origin", origin, cow, status=GOOD)


def a_document_beside_data_is_all_of_standard_error():
    with Folder() as folder:
        _, cow, origin, junk = make(folder)
        for words, status in ((("--length", 5), GOOD), (("--offset", 1 << 30), FAILED)):
            ran = uds("snapshot", "read", "--json", "--origin", origin, *words, cow, status=status)
            found = json.loads(ran.err)
            equal(len(ran.out), 5 if status == GOOD else 0)
            equal(found["bytes"] if status == GOOD else found["exit_status"],
                  5 if status == GOOD else 1)
        equal(json.loads(uds("snapshot", "read", "--json", "--origin", origin, junk,
                             status=FAILED).err)["exit_status"], FAILED)
        out = os.path.join(folder, "out")
        found = document("snapshot", "read", "--json", "--output", out, "--origin", origin, cow,
                         status=GOOD)
        equal(found["bytes"], os.path.getsize(out))
        document("snapshot", "read", "--json", "--output", origin, "--origin", origin, cow,
                 status=FAILED)
        equal(os.path.getsize(origin), 1 << 20)


def help_and_version_are_documents_too():
    for words in (["help"], ["help", "info"], ["help", "snapshot"], ["help", "snapshot", "merge"],
                  ["--help"], ["-h"], ["info", "--help"], ["info", "-h"], ["snapshot", "--help"],
                  ["snapshot", "read", "--help"], ["scan", "--help"], ["help", "help"]):
        text = uds(*words).out
        for place in range(1, len(words) + 1):
            if words[0] == "snapshot" and place == 1:
                continue  # the name of a command is not torn apart
            with_json = words[:place] + ["--json"] + words[place:]
            equal(document(*with_json, status=GOOD)["help"], text, with_json)
    equal(document("--version", "--json", status=GOOD)["version"] + "\n", uds("--version").out)
    for words in (["help", "info", "more"], ["--version", "more"], ["help", "nothing"],
                  ["help", "snapshot", "nothing"], ["help", "snapshot", "info", "more"]):
        document(*words, "--json", status=USAGE)


def a_document_that_cannot_be_printed_is_the_commands_failure():
    with Folder() as folder:
        index = make(folder)[0]
        for words, command in ((("info", index), "uds info"), (("dump", index), "uds dump"),
                               (("help",), "uds help"), (("info", "--help"), "uds info")):
            uds(*words, "--json", status=FAILED, says=command + ": standard output: No space",
                prefix=["sh", "-c", 'exec "$@" >/dev/full', "sh"])


def json_is_what_follows_two_dashes_only_as_a_name():
    with Folder() as folder:
        index = make(folder)[0]
        equal(uds("info", "--", "--json", status=FAILED).out, "")
        equal(uds("scan", "--index", "--json", folder, status=FAILED).out, "")
        equal(json.loads(uds("info", "--js", index).out)["state"], "new")


if __name__ == "__main__":
    sys.exit(main([every_command_reports_every_failure_as_a_document,
                   what_is_good_is_one_document_too,
                   a_document_beside_data_is_all_of_standard_error,
                   help_and_version_are_documents_too,
                   a_document_that_cannot_be_printed_is_the_commands_failure,
                   json_is_what_follows_two_dashes_only_as_a_name]))
