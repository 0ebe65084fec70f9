#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The completions offer what the command has: all of it, and nothing else. So does the manual."""
import functools
import os
import re
import shutil
import subprocess
import sys

from tool_support import Skip, equal, main, uds

SOURCE = os.environ.get("UDS_SRCDIR") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..")


@functools.lru_cache(maxsize=None)
def commands():
    """All commands, from the help."""
    return re.findall(r"^  ([a-z]+(?: [a-z-]+)?)  ", uds("help").out, re.MULTILINE)


@functools.lru_cache(maxsize=None)
def options(command):
    return sorted(set(re.findall(r"^  (--[a-z-]+)", uds("help", *command.split()).out,
                                 re.MULTILINE)))


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def completed(*words):
    """What bash offers for the last of the words."""
    if not shutil.which("bash"):
        raise Skip("no bash")
    script = 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _uds; ' \
        'printf "%s\\n" "${COMPREPLY[@]}"'
    ran = subprocess.run(["bash", "-c", script, "bash",
                          os.path.join(SOURCE, "completions", "uds.bash"), *words],
                         capture_output=True, text=True, check=True)
    return sorted(ran.stdout.split())


def bash_offers_every_command():
    words = set(command.split()[0] for command in commands())
    equal(completed("uds", ""), sorted(words | {"help", "--help", "--version"}))
    equal(completed("uds", "help", ""), sorted(words))
    equal(completed("uds", "ver"), ["verify"])
    equal(completed("uds", "snapshot", "wr"), ["write", "write-origin"])


def bash_offers_every_option():
    for command in commands():
        equal(completed("uds", *command.split(), "--"), options(command), command)


def bash_offers_files():
    equal(completed("uds", "info", os.path.join(SOURCE, "completions", "uds.b")),
          [os.path.join(SOURCE, "completions", "uds.bash")])
    equal(completed("uds", "scan", "--zones", ""), [])


def zsh_knows_every_command_and_option():
    text = read("completions", "_uds")
    for command in commands():
        if "'%s:" % command.split()[-1] not in text:
            raise AssertionError("no %s" % command)
        for option in options(command):
            if not re.search(re.escape(option) + r"[\[}'\\,]", text):
                raise AssertionError("%s: no %s" % (command, option))
    for option in re.findall(r"'(--[a-z-]+)", text):
        if not any(option in options(command) for command in commands()):
            raise AssertionError("there is no %s" % option)
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", os.path.join(SOURCE, "completions", "_uds")], check=True)


def the_manual_has_every_command_and_option():
    text = read("man", "uds.1")
    for command in commands():
        words = command.split()
        if not re.search(r"\.Cm (%s\b|.*\| %s\b)" % (command, words[-1]), text):
            raise AssertionError("no %s" % command)
        for option in options(command):
            if "Fl Fl " + option[2:] not in text:
                raise AssertionError("%s: no %s" % (command, option))
    for option in re.findall(r"Fl Fl ([a-z-]+)", text):
        if option != "version" and not any("--" + option in options(command)
                                           for command in commands()):
            raise AssertionError("there is no --%s" % option)


def the_manual_has_no_faults_of_form():
    if not shutil.which("mandoc"):
        raise Skip("no mandoc")
    ran = subprocess.run(["mandoc", "-T", "lint", "-W", "warning",
                          os.path.join(SOURCE, "man", "uds.1")], capture_output=True, text=True,
                         check=False)
    equal(ran.stdout + ran.stderr, "")


if __name__ == "__main__":
    sys.exit(main([bash_offers_every_command, bash_offers_every_option, bash_offers_files,
                   zsh_knows_every_command_and_option, the_manual_has_every_command_and_option,
                   the_manual_has_no_faults_of_form]))
