# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the tree that mutants are built and tested in, and which tests execute which lines.

The sources are copied, so nothing here changes the tree itself. A coverage build tells which tests run the line of a
mutant; only those are tried, the fastest first.
"""
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

MEMORY_BYTES = 8 << 30
LONGEST_SECONDS = 120  # for one test program, without a mutant
# These take long and test other things than the code of the library.
LEFT_OUT = ("tests/install/", "tests/mutation/", "tests/interop/", "tests/format/test_trace_replay",
            "tests/unit/test_snapshot_vectors")
# By autoreconf, which runs in the copy.
GENERATED = ("configure", "aclocal.m4", "Makefile.in", "config.h.in")


def log(text):
    print(text, flush=True)


def _limits(cpu_seconds):
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    os.setpgrp()


def source_files(top):
    """The files that belong to the tree, relative to it; what is built in it is left out."""
    for folder, folders, names in os.walk(top):
        relative = os.path.relpath(folder, top)
        if relative == ".":
            folders[:] = [name for name in folders
                          if not name.startswith((".", "build", "autom4te"))]
            names = [name for name in names if name not in GENERATED]
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield os.path.normpath(os.path.join(relative, name))


def copy_tree(top, copy):
    """A fresh copy of the sources: from now on the tree may change without harm."""
    shutil.rmtree(copy, ignore_errors=True)
    for file in source_files(top):
        os.makedirs(os.path.dirname(os.path.join(copy, file)), exist_ok=True)
        shutil.copy2(os.path.join(top, file), os.path.join(copy, file))


class Workshop:
    """A copy of the sources in FOLDER/src and a build of it in FOLDER/build."""

    def __init__(self, top, folder, cflags):
        self.top, self.cflags = top, cflags
        self.src, self.build = os.path.join(folder, "src"), os.path.join(folder, "build")
        self.scratch = os.path.join(folder, "tmp")

    def sync(self):
        """Copies what differs, so that make builds no more than it must."""
        for file in source_files(self.top):
            os.makedirs(os.path.dirname(os.path.join(self.src, file)), exist_ok=True)
            self._sync_file(file)

    def _sync_file(self, relative):
        source, copy = os.path.join(self.top, relative), os.path.join(self.src, relative)
        with open(source, "rb") as file:
            content = file.read()
        if os.path.exists(copy):
            with open(copy, "rb") as file:
                if file.read() == content:
                    return
        shutil.copyfile(source, copy)
        shutil.copymode(source, copy)

    def prepare(self):
        self.sync()
        os.makedirs(self.build, exist_ok=True)
        if not os.path.exists(os.path.join(self.build, "config.status")):
            if not os.path.exists(os.path.join(self.src, "configure")):
                subprocess.run(["autoreconf", "-fi"], cwd=self.src, check=True,
                               capture_output=True)
            subprocess.run([os.path.join(os.pardir, "src", "configure"), "-q", "--disable-shared",
                            "CFLAGS=" + self.cflags], cwd=self.build, check=True,
                           capture_output=True)
        built = self.make("all", "check", "TESTS=")
        if built.returncode != 0:
            raise SystemExit("%s: does not build:\n%s" % (self.build, built.stdout[-3000:]))

    def make(self, *targets):
        return subprocess.run(["make", "-s", *targets], cwd=self.build, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              env={**os.environ, "MAKEFLAGS": ""})

    def tests(self):
        shown = subprocess.run(
            ["make", "-s", "-f", "-", "print-tests"], cwd=self.build, text=True, check=True,
            input="include Makefile\nprint-tests:\n\t@echo $(TESTS)\n", capture_output=True)
        return [test for test in shown.stdout.split() if not test.startswith(LEFT_OUT)]

    def is_program(self, test):
        return not os.path.exists(os.path.join(self.src, test))

    def rebuild_for(self, test):
        """Links what a test runs: itself, or for a script the command and the examples."""
        return self.make(test if self.is_program(test) else "all").returncode == 0

    def _environment(self):
        return {**os.environ, "UDS_TOOL": os.path.join(self.build, "uds"),
                "UDS_SRCDIR": self.src, "UDS_BUILDDIR": self.build, "TMPDIR": self.scratch,
                "PYTHON3": os.environ.get("PYTHON3", "python3"),
                "UDS_SCENARIO_STATES": os.environ.get("UDS_SCENARIO_STATES", "300"),
                "CK_DEFAULT_TIMEOUT": os.environ.get("CK_DEFAULT_TIMEOUT", "300")}

    def run(self, test, seconds):
        """Returns None where the test passes, or in a word how it failed.

        An endless loop ends after so many seconds of processor time, so that a busy machine is not
        taken for one; a thread that waits for ever, after many more seconds of the clock.
        """
        path = os.path.join(self.build if self.is_program(test) else self.src, test)
        command = [path]
        if test.endswith(".py"):
            command = [os.path.join(self.src, "tests/format/run-python"), path]
        shutil.rmtree(self.scratch, ignore_errors=True)
        os.makedirs(self.scratch)
        with tempfile.TemporaryFile() as nothing, open(
                os.path.join(self.build, "mutant.log"), "wb") as output:
            process = subprocess.Popen(command, cwd=self.build, env=self._environment(),
                                       stdin=nothing, stdout=output, stderr=output,
                                       preexec_fn=lambda: _limits(int(seconds) + 1))
            try:
                return None if process.wait(300 + 10 * seconds) == 0 else "fails"
            except subprocess.TimeoutExpired:
                return "takes too long"
            finally:
                try:  # whatever the test has started
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()

    def object_digest(self, file):
        folder, name = os.path.split(os.path.splitext(file)[0])
        path = os.path.join(self.build, folder, f"libcore_la-{name}.o")
        with open(path, "rb") as built:
            return hashlib.sha256(built.read()).hexdigest()

    def write_source(self, file, text):
        with open(os.path.join(self.src, file), "w", encoding="utf-8") as source:
            source.write(text)


class Coverage:
    """Which tests execute which lines of lib/, and how long each test takes."""

    def __init__(self, top, folder):
        self.shop = Workshop(top, folder, "-O1 -w --coverage")
        self.saved = os.path.join(folder, "coverage.json")
        self.seconds, self.lines = {}, {}

    def _digest(self):
        digest = hashlib.sha256()
        for part in ("lib", "tests", "tools", "include"):
            for folder, folders, names in os.walk(os.path.join(self.shop.top, part)):
                folders[:] = sorted(f for f in folders if f not in ("mutation", "__pycache__"))
                for name in sorted(names):
                    with open(os.path.join(folder, name), "rb") as file:
                        digest.update(name.encode() + b"\0" + file.read())
        return digest.hexdigest()

    def load_or_measure(self):
        digest = self._digest()
        try:
            with open(self.saved, encoding="utf-8") as file:
                kept = json.load(file)
        except (OSError, ValueError):
            kept = {}
        if kept.get("digest") != digest:
            kept = {"digest": digest, "seconds": {}, "lines": {}}
            self._measure(kept)
            with open(self.saved, "w", encoding="utf-8") as file:
                json.dump(kept, file)
        self.seconds, self.lines = kept["seconds"], kept["lines"]

    def _measure(self, kept):
        log("building for coverage")
        self.shop.prepare()
        for test in self.shop.tests():
            self._take_counts()
            start = time.monotonic()
            verdict = self.shop.run(test, LONGEST_SECONDS)
            seconds = time.monotonic() - start
            if verdict is not None:
                log("not used: %s %s without a mutant" % (test, verdict))
                continue
            kept["seconds"][test] = seconds
            kept["lines"][test] = self._take_counts()
            log("%6.1f s  %s" % (seconds, test))

    def _take_counts(self):
        """{file: lines executed} since the last time."""
        counts = []
        for folder, _, names in os.walk(self.shop.build):
            counts += [os.path.relpath(os.path.join(folder, name), self.shop.build)
                       for name in names if name.endswith(".gcda")]
        lines = {}
        library = [name for name in counts if name.startswith("lib/")]
        if library:
            shown = subprocess.run(["gcov", "--json-format", "--stdout", *library],
                                   cwd=self.shop.build, check=True, capture_output=True)
            for document in shown.stdout.splitlines():
                self._add_lines(json.loads(document), lines)
        for name in counts:
            os.unlink(os.path.join(self.shop.build, name))
        return lines

    def _add_lines(self, document, lines):
        for entry in document["files"]:
            path = os.path.normpath(os.path.join(self.shop.build, entry["file"]))
            file = os.path.relpath(path, self.shop.src)
            if file.startswith("lib/") and file.endswith(".c"):
                hit = [line["line_number"] for line in entry["lines"] if line["count"] > 0]
                lines[file] = sorted(set(lines.get(file, [])) | set(hit))

    def tests_for(self, mutant):
        """The tests that execute the mutant's line, programs first, the fastest first."""
        # A statement's later lines may have no count of their own.
        found = [test for test in self.seconds
                 if any(line in self.lines[test].get(mutant.file, ())
                        for line in range(mutant.first_line, mutant.first_line - 3, -1))]
        return sorted(found, key=lambda test: (not self.shop.is_program(test),
                                               self.seconds[test]))
