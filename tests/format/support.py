# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the formats have in common: results, the golden vectors, their names."""
import lzma
import os
import struct
import sys
import time
import traceback

VECTORS = os.environ.get("UDS_VECTORS") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "vectors")
SCALE = float(os.environ.get("UDS_TEST_SCALE") or 1)
IN_PART = SCALE < 0.5   # what is costly and much like something else is left out


def vectors(*parts):
    """The path of a golden vector; None where there are no vectors of this kind."""
    path = os.path.join(VECTORS, *parts)
    return path if os.path.exists(os.path.join(VECTORS, parts[0])) else None


def read_vector(*parts):
    path = vectors(*parts)
    with (lzma.open(path) if path.endswith(".xz") else open(path, "rb")) as file:
        return file.read()


def some(cases):
    """What a run takes of a list of cases of one kind: all, or one in two and less."""
    return cases[::min(4, max(1, int(1 / SCALE)))]


class Skip(Exception):
    """This test cannot run here; says why."""


class Results:
    """Runs test cases, counts, and ends the log with the line that tests/summary adds up."""
    def __init__(self, budget_seconds=None):
        """@budget_seconds: None: any time. A run that is made longer has any time, too."""
        self.passed = self.failed = self.skipped = 0
        self.start, self.budget = time.monotonic(), budget_seconds if SCALE <= 1 else None

    def run(self, name, test, *arguments):
        try:
            if self.budget and time.monotonic() - self.start > self.budget:
                raise Skip("out of time, set UDS_TEST_SCALE to 10 to run it all")
            test(*arguments)
        except Skip as reason:
            self.skipped += 1
            print("skipped: %s: %s" % (name, reason))
        except Exception:  # a failed test must not keep the others from running
            self.failed += 1
            print("FAILED: %s" % name)
            traceback.print_exc(file=sys.stdout)
        else:
            self.passed += 1
            print("passed: %s" % name)
        sys.stdout.flush()

    def skip(self, tests, reason):
        for test in tests:
            print("skipped: %s: %s" % (test.__name__, reason))
        self.skipped += len(tests)

    def finish(self):
        print("result: %d passed, %d failed, %d skipped" % (self.passed, self.failed,
                                                            self.skipped))
        return 1 if self.failed else 0


def equal(found, wanted, what=""):
    if found != wanted:
        raise AssertionError("%s: %r, expected %r" % (what, found, wanted))


# ---- the names of the vectors -------------------------------------------------------------------

def splitmix64(seed, k):
    z = seed + (k + 1) * 0x9e3779b97f4a7c15 & 2**64 - 1
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9 & 2**64 - 1
    z = (z ^ z >> 27) * 0x94d049bb133111eb & 2**64 - 1
    return z ^ z >> 31


def base(seed, i):
    return struct.pack("<QQ", splitmix64(seed, 2 * i), splitmix64(seed, 2 * i + 1))


FAMILIES = 300


def token_name(seed, token, bias=None):
    """The name that a token of a trace stands for. n: ordinary; v, x, h: collides with the n of the
    same number in the volume index, in both indexes, in the chapter index. b: in a given list of
    the chapter index, bias being (list, list bits, address bits). f (not in the vectors): shares
    its place in the chapter index with every FAMILIES-th f, whichever chapters they are in."""
    letter, i = token[0], int(token[1:])
    n = base(seed, i)
    if letter == "f":
        n = base(seed ^ ord(letter) << 56, i)
        return n[:8] + base(seed ^ 0x77 << 56, i % FAMILIES)[8:14] + n[14:]
    if letter == "n":
        return n
    if letter == "b":
        number, list_bits, address_bits = bias
        bits = int.from_bytes(n[8:14], "big")
        bits &= ~(((1 << list_bits) - 1) << address_bits)
        return n[:8] + (bits | number << address_bits).to_bytes(6, "big") + n[14:]
    m = base(seed ^ ord(letter) << 56, i)
    if letter == "v":
        return n[:8] + m[8:]
    if letter == "h":
        return m[:8] + n[8:14] + m[14:]
    return n[:14] + bytes([n[14] ^ 0x5a, n[15] ^ (m[15] | 1)])


def token_data(token, version):
    return struct.pack("<QI", int(token[1:]), version) + token[0].encode() + b"UDS"


# ---- the pattern of the snapshot vectors --------------------------------------------------------

def pattern(first_sector, sectors, tag):
    """The content of sectors written with a tag."""
    result = []
    for sector in range(first_sector, first_sector + sectors):
        z = splitmix64(sector << 20 ^ tag, 0)
        result.append(struct.pack("<I", z & 0xffffffff) * 128)
    return b"".join(result)
