#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sections of uds-format(5) and uds-cow(5) that comments refer to: each of them exists.

A reference is a number, or the id of a defect or an invariant, in parentheses of its own, "(13.2, R13)", or behind the
name of a page, "(uds-cow, 6.4)". Without a name lib/exceptions, lib/snapshot and their headers mean uds-cow, other
folders uds-format; tests may mean either."""
import os
import re
import sys

SRC = os.environ.get("UDS_SRCDIR", ".")
PAGES = ("uds-format", "uds-cow")
COW_PLACES = ("lib/exceptions/", "lib/snapshot/", "include/uds/exception_store.h",
              "include/uds/snapshot.h")
WORDS = {"and", "to", "section", "sections", "rule", "step", "steps", "Search", "Insert", "Remove",
         "Triage", "PO", "duplicates", "table", "of"}
NUMBER = re.compile(r"\d{1,2}(\.\d{1,2})?$")
ID = re.compile(r"[RSDI]\d{1,2}$")


def sections(page):
    """The numbers of a page's sections, and the ids in its tables and lists."""
    with open(os.path.join(SRC, "man", page + ".5"), encoding="utf-8") as file:
        text = file.read()
    numbers = {m.rstrip(".") for m in re.findall(r"^\.S[hs] (\d+(?:\.\d+)?\.?) ", text, re.M)}
    return numbers | set(re.findall(r"^([RSDI]\d+)\b", text, re.M))


def comments(text):
    """Each comment in one line, and the line that it begins in."""
    for match in re.finditer(r"/\*.*?\*/", text, re.S):
        plain = re.sub(r"\s*\n[ \t]*\*? ?", " ", match.group(0))
        yield text.count("\n", 0, match.start()) + 1, plain


def references(comment):
    """Pairs of a page, or None, and what is referred to in it."""
    for match in re.finditer(r"(?<![\w)])\(([^()]*)\)", comment):
        page, found = None, []
        for token in re.split(r"[,;:\s]+", match.group(1).strip()):
            if token.split("(")[0] in PAGES:
                page = token
            elif NUMBER.match(token) or ID.match(token):
                # Behind these words stands the number of an item, not of a section.
                if not found or found[-1][1] not in ("rule", "step", "steps"):
                    found.append((page, token))
                else:
                    found.append((page, None))
            elif token in WORDS:
                found.append((page, token))
            else:
                found = []
                break
        yield from ((p, what) for p, what in found if what is not None and what not in WORDS)


def meant(path, page):
    if page is not None:
        return (page,)
    if path.startswith("tests/"):
        return PAGES
    return ("uds-cow",) if path.startswith(COW_PLACES) else ("uds-format",)


def check(path, text, known):
    """What is wrong with the references of a file, and how many there are."""
    wrong, count = [], 0
    for line, comment in comments(text):
        for page, what in references(comment):
            # A plain number that no section can have is a figure.
            if page is None and what.isdigit() and not 1 <= int(what) <= 22:
                continue
            count += 1
            if not any(what in known[p] for p in meant(path, page)):
                wrong.append("%s:%d: %s is no section of %s" %
                             (path, line, what, " or ".join(meant(path, page))))
    return wrong, count


def sources():
    for top in ("lib", "include", "tests"):
        for folder, _, names in os.walk(os.path.join(SRC, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    yield os.path.relpath(os.path.join(folder, name), SRC)


def main():
    known = {page: sections(page) for page in PAGES}
    passed, failures = 0, []

    def case(good, what):
        nonlocal passed
        passed += bool(good)
        if not good:
            failures.append(what)

    case({"1", "4.2", "20.2", "R13", "S7"} <= known["uds-format"], "sections of uds-format")
    case({"1", "6.4", "13", "D17", "I3"} <= known["uds-cow"], "sections of uds-cow")
    # What is wrong is found, and what is no reference is none.
    for text, expected in (("/* as it was (14.9) */", 1), ("/* at once (13.2, R99) */", 1),
                           ("/* first\n * (uds-cow,\n * 99.1) */", 1),
                           ("/* (13.2), open(2), (64), f(3), (2023), (5, Search) */", 0),
                           ("/* (uds-cow, 5, rule 7; 13, D20) */", 0), ("int a = (14.9);", 0)):
        case(len(check("lib/index/x.c", text, known)[0]) == expected, text)
    case(check("lib/snapshot/x.c", "/* (14.2) */", known)[0], "a section of the other page")
    total = 0
    for path in sources():
        with open(os.path.join(SRC, path), encoding="utf-8") as file:
            wrong, count = check(path, file.read(), known)
        total += count
        case(not wrong, "\n".join(wrong))
    case(total > 300, "only %d references were found" % total)
    for failure in failures:
        print("FAILED:", failure)
    print("result: %d passed, %d failed, 0 skipped" % (passed, len(failures)))
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
