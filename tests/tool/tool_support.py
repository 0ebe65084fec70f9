# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the uds command have in common: running it as a user would, and places to
work in."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))
from support import IN_PART, SCALE, Results, Skip, equal, read_vector, vectors  # noqa: E402,F401

# A test run in the background has these ignored, and so would every command that it starts.
for _ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    if signal.getsignal(_ignored) == signal.SIG_IGN:
        signal.signal(_ignored, signal.SIG_DFL)

TOOL = os.environ.get("UDS_TOOL") or shutil.which("uds") or ""
GOOD, FAILED, USAGE, DAMAGE = 0, 1, 2, 3
SMALL = ["--chapters", "8", "--record-pages", "4", "--page-size", "4096"]
SEED = "00112233445566778899aabb00112233445566778899aabb0011223344556677"


class Ran:
    """What came of a command."""
    def __init__(self, process, arguments):
        self.status, self.arguments = process.returncode, arguments
        self.out, self.err = process.stdout, process.stderr

    @property
    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return "uds %s: status %d, output %r, messages %r" % (
            " ".join(map(str, self.arguments)), self.status, self.out[-500:], self.err[-500:])


def uds(*arguments, stdin="", status=GOOD, prefix=(), says=None, binary=False, **options):
    """Runs the command. It must end with @status; @says: a part, or parts, of its messages."""
    process = subprocess.run([*prefix, TOOL, *map(str, arguments)], input=stdin,
                             capture_output=True, check=False,
                             **(options if binary else dict(text=True, errors="surrogateescape",
                                                            **options)))
    ran = Ran(process, arguments)
    if status is not None and ran.status != status:
        raise AssertionError("%r, expected status %d" % (ran, status))
    for part in [says] if isinstance(says, str) else says or []:
        if part not in ran.err:
            raise AssertionError("%r, expected the message to have %r" % (ran, part))
    return ran


class Folder:
    """An empty folder for one test; `with Folder() as path`."""
    def __init__(self, where=None):
        self.where = where

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="uds-tool-", dir=self.where)
        return self.path

    def __exit__(self, *_):
        subprocess.run(["chmod", "-R", "u+rwx", self.path], check=False)
        shutil.rmtree(self.path, ignore_errors=True)


class Mounted:
    """A file system of its own, `with Mounted(megabytes) as path`; skips where none can be."""
    def __init__(self, megabytes):
        self.megabytes = megabytes

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="uds-mount-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dm" % self.megabytes, "tmpfs",
                               self.path], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            os.rmdir(self.path)
            raise Skip("no tmpfs can be mounted: %s" % " ".join(done.stderr.split()))
        return self.path

    def __exit__(self, *_):
        subprocess.run(["umount", self.path], check=False)
        os.rmdir(self.path)


def unprivileged():
    """How to run a command as nobody; skips where that cannot be."""
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        raise Skip("no setpriv to drop privileges with")
    prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    probe = subprocess.run([*prefix, TOOL, "--version"], capture_output=True, check=False)
    if probe.returncode != 0:
        raise Skip("the command cannot be run by another user here")
    return prefix


BAD_SECTORS = """
    #define _GNU_SOURCE
    #include <errno.h>
    #include <stdlib.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <unistd.h>
    /* TEST_BAD: "inode:first-last,inode:first-last,...", bytes that cannot be read. */
    static int is_bad(int fd, unsigned long long offset, size_t length)
    {
        const char *at = getenv("TEST_BAD");
        struct stat st;
        if (at == NULL || fstat(fd, &st) != 0) return 0;
        while (*at != '\\0') {
            char *end;
            unsigned long long inode = strtoull(at, &end, 10);
            unsigned long long first = strtoull(end + 1, &end, 10);
            unsigned long long last = strtoull(end + 1, &end, 10);
            if (inode == st.st_ino && offset <= last && first < offset + length) return 1;
            at = *end == ',' ? end + 1 : end;
        }
        return 0;
    }
    ssize_t pread(int fd, void *buffer, size_t length, off_t offset)
    {
        if (is_bad(fd, (unsigned long long)offset, length)) { errno = EIO; return -1; }
        return syscall(SYS_pread64, fd, buffer, length, offset);
    }
    ssize_t pread64(int fd, void *buffer, size_t length, off64_t offset)
    {
        return pread(fd, buffer, length, offset);
    }"""


def sanitized():
    """With which sanitizers the command was built, as the compiler calls them; an empty string for none."""
    with open(os.path.join(os.environ.get("UDS_BUILDDIR", "."), "Makefile"), encoding="utf-8") as file:
        found = re.search(r"-fsanitize=([a-z,]+)", file.read())
    return found.group(1) if found else ""


def with_bad_sectors(folder, *bad):
    """The environment of a command for which these ranges (path, first, length) cannot be read."""
    if not shutil.which("cc") or sys.maxsize < 1 << 32:
        raise Skip("no compiler, or a system call of another shape")
    if sanitized():
        raise Skip("a sanitizer has read calls of its own")
    library = os.path.join(folder, "bad.so")
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=BAD_SECTORS,
                   text=True, check=True)
    return dict(os.environ, LD_PRELOAD=library,
                TEST_BAD=",".join("%d:%d-%d" % (os.stat(path).st_ino, first, first + length - 1)
                                  for path, first, length in bad))


def plain(path):
    """To be read by the calls that can be made to fail."""
    return "file:%s?direct=0&uring=0" % path


def name(i):
    """The i-th of some evenly spread names."""
    import hashlib
    return hashlib.md5(b"%d" % i).hexdigest()


def data(i):
    return "%032x" % (i + 1)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def parts_of(file, start, end, length=1 << 20):
    """What is in bytes of a sparse file, and not its holes: where, and at most so many bytes at a time."""
    while start < end:
        try:
            start = os.lseek(file.fileno(), start, os.SEEK_DATA)
        except OSError:  # nothing but a hole up to the end
            return
        hole = min(os.lseek(file.fileno(), start, os.SEEK_HOLE), end)
        while start < hole:
            part = os.pread(file.fileno(), min(length, hole - start), start)
            yield start, part
            start += len(part)


def copy_range(source, target, start, end, to=None):
    """Copies what is in bytes of a sparse file; to byte @to, or to where it was. The rest of the target stays."""
    shift = 0 if to is None else to - start
    with open(source, "rb") as file, open(target, "r+b") as other:
        for at, part in parts_of(file, start, end):
            os.pwrite(other.fileno(), part, at + shift)


def has(text, *parts):
    for part in parts:
        if part not in text:
            raise AssertionError("%r is not in %r" % (part, text[-2000:]))


def forgotten(tests):
    """Functions of the program that nothing calls and that are no tests: tests left off the list."""
    functions = {name: value for name, value in vars(sys.modules["__main__"]).items()
                 if getattr(value, "__module__", "") == "__main__" and hasattr(value, "__code__")}
    codes, used = [value.__code__ for value in functions.values()], set()
    while codes:
        code = codes.pop()
        used.update(code.co_names)
        codes += [part for part in code.co_consts if hasattr(part, "co_names")]
    return [name for name, value in functions.items() if value not in tests and name not in used]


def main(tests, budget_seconds=None, only=None):
    """Runs the functions @tests, each named after a behaviour; or @only some of them."""
    results = Results(budget_seconds)
    if forgotten(tests):
        raise AssertionError("never called: " + ", ".join(forgotten(tests)))
    for test in only or tests:
        def run(test=test):
            if not os.access(TOOL, os.X_OK):
                raise Skip("the uds command is not built")
            test()
        results.run(test.__name__, run)
    return results.finish()
