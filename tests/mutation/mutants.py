# SPDX-License-Identifier: BSD-2-Clause
"""Finds the places in C files where a small fault can be planted, and what the fault looks like.

This reads text, not C: comments, strings and preprocessor lines are blanked, and the code is taken to be in
the style of this tree (a function's braces stand alone in the first column, operators have spaces).
"""
import collections
import hashlib
import os
import re

# begin and end: where in the file's text the replacement goes. first_line: of what is replaced.
Mutant = collections.namedtuple(
    "Mutant", "file function operator first_line begin end replacement key")

_BLANKED = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*',
    re.DOTALL | re.MULTILINE)
_FUNCTION = re.compile(r"^(\w[^;{}=]*?)\n\{\n(.*?)^\}", re.DOTALL | re.MULTILINE)
_STATUS = re.compile(r"-E[A-Z]{2,}\b|\bUDS_ERR_[A-Z_]+\b")
_OTHER_BOUND = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_OTHER_EQUALITY = {"==": "!=", "!=": "=="}


def blank(text):
    """The text with everything that is not code replaced by spaces, lines kept."""
    return _BLANKED.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


def closing(code, opening):
    """The offset of the parenthesis that closes the one at this offset."""
    depth = 0
    for at in range(opening, len(code)):
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        if depth == 0:
            return at
    raise ValueError("parenthesis not closed")


# ---- the operators: each yields (begin, end, replacement) for a function's part of the code ----

def _chooses_one_side(code, found):
    """Whether this comparison is one like "a < b ? a : b"."""
    rest = re.compile(r"([^?;{}]*?) \? ").match(code, found.end())
    if not rest:
        return False
    left = re.search(r"[\w.>\[\]-]+$", code[:found.start()])
    sides = [rest.group(1).strip()] + ([left.group()] if left else [])
    return any(code.startswith(side, rest.end()) for side in sides)


def off_by_one(code, start, end):
    # "r < 0" is left to skipped_check: it is a test for failure, not a bound.
    for found in re.compile(r" (<=?|>=?) (?!0\b)").finditer(code, start, end):
        if not _chooses_one_side(code, found):  # where both are equal either may be chosen
            yield found.start(1), found.end(1), _OTHER_BOUND[found.group(1)]
    for found in re.compile(r" [+-] 1\b(?![.])").finditer(code, start, end):
        yield found.start(), found.end(), ""


def _conditions(code, start, end):
    """Of each "if": where its condition begins and ends, without the parentheses."""
    for found in re.compile(r"\bif \(").finditer(code, start, end):
        yield found.end(), closing(code, found.end() - 1)


def inverted_condition(code, start, end):
    for begin, finish in _conditions(code, start, end):
        yield begin, finish, "!(" + "%s" + ")"
    for found in re.compile(r" (==|!=) ").finditer(code, start, end):
        yield found.start(1), found.end(1), _OTHER_EQUALITY[found.group(1)]


def skipped_check(code, start, end):
    leaves = re.compile(r"\)\s*\{?\s*(return (-E|UDS_ERR|failure|refuse|r;|false)|goto )")
    for begin, finish in _conditions(code, start, end):
        if leaves.match(code, finish):
            yield begin, finish, "0 && (" + "%s" + ")"


def dropped_flush(code, start, end):
    for found in re.compile(r"(?:\b[\w.>-]*)?flush\w*\(").finditer(code, start, end):
        if "flush_from" in found.group() or "flush_table" in found.group():
            continue  # these are not about durability
        yield found.start(), closing(code, found.end() - 1) + 1, "0"


def dropped_step(code, start, end):
    for found in re.compile(r"\br = \w+\(").finditer(code, start, end):
        yield found.start() + 4, closing(code, found.end() - 1) + 1, "0"
    for found in re.compile(r"^\t+(\w+\()", re.MULTILINE).finditer(code, start, end):
        finish = closing(code, found.end() - 1) + 1
        # Locks and conditions of the C library hold nothing that destroying them gives back.
        if code[finish] == ";" and not re.search(r"prefetch|^pthread_\w+_destroy", found.group(1)):
            yield found.start(1), finish, "(void)0"


def swapped_min_max(code, start, end):
    for found in re.compile(r" (<|>) (?!0\b)").finditer(code, start, end):
        if _chooses_one_side(code, found):
            yield found.start(1), found.end(1), "<" if found.group(1) == ">" else ">"


def changed_status(code, start, end):
    for found in _STATUS.finditer(code, start, end):
        if code.endswith("uds_strerror(", 0, found.start()):
            continue  # part of a sentence only
        if found.group().startswith("-"):
            other = "-EIO" if found.group() != "-EIO" else "-EINVAL"
        else:
            other = ("UDS_ERR_CORRUPT" if found.group() != "UDS_ERR_CORRUPT"
                     else "UDS_ERR_BAD_STATE")
        yield found.start(), found.end(), other


def changed_logic(code, start, end):
    for found in re.compile(r" (&&|\|\|)").finditer(code, start, end):
        yield found.start(1), found.end(1), "||" if found.group(1) == "&&" else "&&"


OPERATORS = [off_by_one, inverted_condition, skipped_check, dropped_flush, dropped_step,
             swapped_min_max, changed_status, changed_logic]


# ---- what a source tree offers ----

def apply(text, mutant):
    return text[:mutant.begin] + mutant.replacement + text[mutant.end:]


def _line_at(text, at):
    return text[text.rfind("\n", 0, at) + 1:].split("\n", 1)[0].strip()


def _of_function(file, text, code, found):
    names = re.findall(r"(\w+)\(", found.group(1))
    function = names[0] if names else "?"
    if "prefetch" in function:
        return  # what is fetched early changes no answer
    for operator in OPERATORS:
        for begin, end, replacement in operator(code, found.start(2), found.end(2)):
            if "%s" in replacement:
                replacement = replacement.replace("%s", text[begin:end])
            changed = text[:begin] + replacement + text[end:]
            name = operator.__name__.replace("_", "-")
            key = "%s %s %s: %s => %s" % (
                file, function, name, _line_at(text, begin), _line_at(changed, begin))
            yield Mutant(file, function, name, text.count("\n", 0, begin) + 1, begin, end,
                         replacement, key)


def in_file(top, file):
    with open(os.path.join(top, file), encoding="utf-8") as source:
        text = source.read()
    code = blank(text)
    for found in _FUNCTION.finditer(code):
        if "(" in found.group(1):
            yield from _of_function(file, text, code, found)


def in_tree(top, only=None):
    """All mutants of lib/**/*.c, or of the files whose path has one of the given strings in it."""
    files = []
    for folder, _, names in os.walk(os.path.join(top, "lib")):
        files += [os.path.relpath(os.path.join(folder, name), top)
                  for name in names if name.endswith(".c")]
    for file in sorted(files):
        if not only or any(part in file for part in only):
            yield from in_file(top, file)


def _rank(seed, mutant):
    return hashlib.sha256(("%d %s" % (seed, mutant.key)).encode()).digest()


def sample(mutants, seed, count):
    """Draws mutants, as many of each operator as there are.

    The same ones for the same seed: what changes elsewhere in the sources neither adds nor removes one.
    """
    by_operator = collections.defaultdict(list)
    for mutant in mutants:
        by_operator[mutant.operator].append(mutant)
    for group in by_operator.values():
        group.sort(key=lambda mutant: _rank(seed, mutant))
    drawn = []
    while len(drawn) < count and any(by_operator.values()):
        for operator in sorted(by_operator):
            if by_operator[operator] and len(drawn) < count:
                drawn.append(by_operator[operator].pop(0))
    return drawn
