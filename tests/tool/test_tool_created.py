#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Files that the commands make: for their owner alone, and never where a symbolic link leads."""
import os
import stat
import sys

from tool_support import FAILED, SMALL, Folder, equal, main, uds


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def with_umask(mask):
    return ["sh", "-c", 'umask %04o; exec "$@"' % mask, "sh"]


def make_snapshot(folder):
    """An origin and a COW device that is empty: the snapshot's content is the origin's."""
    origin, cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
    with open(origin, "wb") as file:
        file.write(b"secret" * 1000)
    uds("snapshot", "create", "--size", "1M", "--chunk-size", "4096", cow)
    return origin, cow


def stores_are_made_for_their_owner_alone():
    for mask, wanted in ((0o000, 0o600), (0o022, 0o600), (0o077, 0o600), (0o200, 0o400)):
        with Folder() as folder:
            index, cow = os.path.join(folder, "x.uds"), os.path.join(folder, "cow")
            uds("create", *SMALL, index, prefix=with_umask(mask))
            uds("snapshot", "create", "--size", "1M", cow, prefix=with_umask(mask))
            equal((mode_of(index), mode_of(cow)), (wanted, wanted), oct(mask))


def an_output_of_a_snapshot_is_made_for_its_owner_alone():
    with Folder() as folder:
        origin, cow = make_snapshot(folder)
        output = os.path.join(folder, "output")
        uds("snapshot", "read", "--origin", origin, "--output", output, cow,
            prefix=with_umask(0))
        equal(mode_of(output), 0o600)
        # One that is there keeps the mode that its owner gave it.
        os.chmod(output, 0o644)
        uds("snapshot", "read", "--origin", origin, "--output", output, cow)
        equal(mode_of(output), 0o644)
        with open(output, "rb") as file:
            equal(file.read(), b"secret" * 1000)


def nothing_is_created_through_a_symbolic_link():
    with Folder() as folder:
        link, target = os.path.join(folder, "link"), os.path.join(folder, "target")
        os.symlink(target, link)
        for command in (["create", *SMALL], ["create", "--force", *SMALL],
                        ["snapshot", "create", "--size", "1M"],
                        ["snapshot", "create", "--force", "--size", "1M"]):
            uds(*command, link, status=FAILED)
            equal(os.path.lexists(target), False, command)
            with open(target, "wb") as file:
                file.write(bytes(1 << 20))
            uds(*command, link, status=FAILED)
            with open(target, "rb") as file:
                equal(file.read() == bytes(1 << 20), True, command)
            equal(os.path.islink(link), True, command)
            os.unlink(target)


def a_link_says_why_it_is_refused():
    with Folder() as folder:
        link = os.path.join(folder, "link")
        os.symlink("nowhere", link)
        uds("create", *SMALL, link, status=FAILED, says=["uds create: ", link, "symbolic link"])


def no_output_is_made_where_a_link_leads_to_nothing():
    with Folder() as folder:
        origin, cow = make_snapshot(folder)
        link, target = os.path.join(folder, "link"), os.path.join(folder, "target")
        os.symlink(target, link)
        uds("snapshot", "read", "--origin", origin, "--output", link, cow, status=FAILED,
            says=link)
        equal(os.path.lexists(target), False)


def what_is_there_may_be_opened_through_a_link():
    with Folder() as folder:
        index, link = os.path.join(folder, "x.uds"), os.path.join(folder, "link")
        uds("create", *SMALL, index)
        os.symlink("x.uds", link)
        uds("post", link, stdin="%032x %032x\n" % (1, 2))
        uds("verify", link)


if __name__ == "__main__":
    sys.exit(main([
        stores_are_made_for_their_owner_alone, an_output_of_a_snapshot_is_made_for_its_owner_alone,
        nothing_is_created_through_a_symbolic_link, a_link_says_why_it_is_refused,
        no_output_is_made_where_a_link_leads_to_nothing,
        what_is_there_may_be_opened_through_a_link]))
