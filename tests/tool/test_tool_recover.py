#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""uds recover on a device with places that cannot be read."""
import os
import sys

from tool_support import (FAILED, SMALL, Folder, content, data, equal, main, name, plain, uds,
                          with_bad_sectors)

IN_CHAPTER = 512  # records of SMALL


def make(folder, count, *options):
    path = os.path.join(folder, "x.uds")
    uds("create", *SMALL, path)
    uds("post", "--quiet", *options, path,
        stdin="".join("%s %s\n" % (name(i), data(i)) for i in range(count)))
    return path


def place_of(path, i):
    """Where the record of a name lies."""
    image, key = content(path), bytes.fromhex(name(i))
    equal(image.count(key), 1)
    return image.index(key)


def found(path, count):
    """The numbers of the names that are found, each with its data."""
    answers = uds("peek", path, stdin="".join("%s\n" % name(i) for i in range(count))).out.split("\n")
    for i in range(count):
        equal(answers[i] in (data(i), "-"), True, answers[i])
    return [i for i in range(count) if answers[i] != "-"]


def check_refused(path, env, *options):
    """Without the option it fails, and changes nothing."""
    before = content(path)
    uds("recover", *options, plain(path), status=FAILED, env=env, says=[path, "Input/output error"])
    equal(content(path) == before, True)


def a_chapter_that_cannot_be_read_is_given_up_alone():
    with Folder() as folder:
        path = make(folder, 4 * IN_CHAPTER, "--no-save")
        env = with_bad_sectors(folder, (path, place_of(path, IN_CHAPTER + 5) // 512 * 512, 512))
        check_refused(path, env)
        report = uds("recover", "--skip-unreadable", "--json", plain(path), env=env).json
        equal((report["recovered"], report["entries"]), (True, 3 * IN_CHAPTER))
        # Also now that everything can be read again: it was given up for good.
        equal(found(path, 4 * IN_CHAPTER),
              [i for i in range(4 * IN_CHAPTER) if i // IN_CHAPTER != 1])
        equal(uds("info", "--json", path).json["state"], "clean")


def bytes_of_two_chapters_give_up_both():
    with Folder() as folder:
        path = make(folder, 6 * IN_CHAPTER, "--no-save")
        bad = [(path, place_of(path, chapter * IN_CHAPTER), 3) for chapter in (0, 4)]
        env = with_bad_sectors(folder, *bad)
        check_refused(path, env)
        check_refused(path, env, "--ignore-saves")
        ran = uds("recover", "--skip-unreadable", plain(path), env=env)
        equal("recovered and saved" in ran.out, True, ran)
        equal(ran.err != "", True, "what was given up is told")
        equal(found(path, 6 * IN_CHAPTER),
              [i for i in range(6 * IN_CHAPTER) if i // IN_CHAPTER not in (0, 4)])


def a_save_with_records_that_cannot_be_read_is_given_up_only_when_told_so():
    with Folder() as folder:
        count = 2 * IN_CHAPTER + 100
        path = make(folder, count)
        # The last records are in the open chapter, which only the save has.
        env = with_bad_sectors(folder, (path, place_of(path, count - 1), 1))
        check_refused(path, env)
        before = content(path)
        uds("recover", "--skip-unreadable", plain(path), status=FAILED, env=env,
            says="--lose-records")
        equal(content(path) == before, True)
        report = uds("recover", "--skip-unreadable", "--lose-records", "--json", plain(path),
                     env=env).json
        equal((report["recovered"], report["entries"]), (True, 2 * IN_CHAPTER))
        equal(found(path, count), list(range(2 * IN_CHAPTER)))


def a_volume_index_that_cannot_be_read_loses_no_records():
    with Folder() as folder:
        count = 2 * IN_CHAPTER + 100
        path = make(folder, count)
        env = with_bad_sectors(folder, (path, content(path).index(b"DI-00002"), 1))
        check_refused(path, env)
        report = uds("recover", "--skip-unreadable", "--json", plain(path), env=env).json
        equal((report["recovered"], report["entries"]), (True, count))
        equal(found(path, count), list(range(count)))


def with_everything_readable_the_option_changes_nothing():
    with Folder() as folder:
        count = 2 * IN_CHAPTER + 100
        path = make(folder, count)
        before = content(path)
        equal(uds("recover", "--skip-unreadable", "--json", path).json["recovered"], False)
        equal(content(path) == before, True)
        equal(found(path, count), list(range(count)))


if __name__ == "__main__":
    sys.exit(main([a_chapter_that_cannot_be_read_is_given_up_alone,
                   bytes_of_two_chapters_give_up_both, a_save_with_records_that_cannot_be_read_is_given_up_only_when_told_so,
                   a_volume_index_that_cannot_be_read_loses_no_records,
                   with_everything_readable_the_option_changes_nothing]))
