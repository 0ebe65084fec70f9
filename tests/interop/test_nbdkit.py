#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""NBD clients of others on what the plugin for nbdkit serves: nbdcopy, qemu-img, qemu-io, and fio with verification.

Skipped where nbdkit or the client is not there.
"""
import errno
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "format"), os.path.join(HERE, "..", "tool")]
import lvm_image  # noqa: E402
from snapshot_peers import TOOL, call, read_file, write_file  # noqa: E402
from support import Results, Skip, equal  # noqa: E402

PLUGIN = os.path.join(os.environ.get("UDS_BUILDDIR", "."), "plugins", "nbdkit", ".libs",
                      "nbdkit-uds-plugin.so")
MIB = 1 << 20
SIZE = 24 * MIB + 512  # ends inside a chunk


def need(*programs):
    for program in ("nbdkit",) + programs:
        if not shutil.which(program):
            raise Skip("no %s" % program)
    if not os.path.exists(PLUGIN):
        raise Skip("built without nbdkit's header")


class World:
    """An origin with data and holes, a store with exceptions, and what each shows."""
    def __init__(self, folder, chunk=16384):
        self.folder, self.random = folder, random.Random(chunk)
        self.origin, self.cow = os.path.join(folder, "origin"), os.path.join(folder, "cow")
        self.data = bytearray(SIZE)
        for start in (0, 5 * MIB + 1000, SIZE - 70000):
            self.data[start:start + 70000] = self.random.randbytes(70000)
        with open(self.origin, "wb") as file:
            file.truncate(SIZE)
            for start in (0, 5 * MIB + 1000, SIZE - 70000):
                file.seek(start)
                file.write(self.data[start:start + 70000])
        call(TOOL, "snapshot", "create", "--chunk-size", str(chunk), "--size", "48M", self.cow)
        self.view = bytearray(self.data)
        for start, length in ((100, 9), (6 * MIB, 3 * MIB), (SIZE - 1000, 1000)):
            data = self.random.randbytes(length)
            call(TOOL, "snapshot", "write", "--origin", self.origin, "--offset", str(start), self.cow,
                 data=data)
            self.view[start:start + length] = data

    def path(self, name):
        return os.path.join(self.folder, name)

    def nbdkit(self, parameters, run, good=True):
        """Runs a shell command with $uri while the plugin serves; what it and nbdkit printed."""
        done = subprocess.run(["nbdkit", "-U", "-", PLUGIN, "origin=" + self.origin,
                               "cow=" + self.cow, *parameters, "--run", run], cwd=self.folder,
                              capture_output=True, text=True, timeout=120, check=False)
        equal(done.returncode == 0, good, "%s\n%s%s" % (run, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def shows(self):
        """What the command says that snapshot and origin hold."""
        out = self.path("shown")
        call(TOOL, "snapshot", "read", "--origin", self.origin, "--output", out, self.cow)
        shown = read_file(out)
        os.unlink(out)
        return shown, read_file(self.origin)

    def is_whole(self):
        call(TOOL, "snapshot", "verify", "--origin", self.origin, self.cow)


def in_world(test, *arguments):
    with tempfile.TemporaryDirectory(prefix="uds-nbdkit-") as folder:
        test(World(folder), *arguments)


def copies_are_equal(w):
    need("nbdcopy")
    w.nbdkit([], 'nbdcopy "$uri" got')
    equal(read_file(w.path("got")) == bytes(w.view), True, "the snapshot")
    # What reads as zero and is a hole is not copied.
    equal(os.stat(w.path("got")).st_blocks * 512 < 6 * MIB, True, "holes are left")
    w.nbdkit(["show=origin"], 'nbdcopy "$uri" got')
    equal(read_file(w.path("got")) == bytes(w.data), True, "the origin")


def qemu_sees_the_same(w):
    need("qemu-img")
    write_file(w.path("want"), w.view)
    said = w.nbdkit([], 'qemu-img compare -f raw -F raw "$uri" want; '
                        'qemu-img map -f raw --output=json "$uri"; '
                        'qemu-img convert -f raw -O qcow2 "$uri" got.qcow2')
    equal("identical" in said and '"zero": true' in said, True, said)
    subprocess.run(["qemu-img", "convert", "-O", "raw", w.path("got.qcow2"), w.path("got")],
                   check=True)
    equal(read_file(w.path("got")) == bytes(w.view), True, "as qcow2 and back")


def writes_go_where_they_belong(w, show):
    need("qemu-io")
    shown = w.view if show == "snapshot" else w.data
    words = ['-c "write -P 7 %d %d"' % place for place in ((512, 1000448), (9 * MIB, MIB))]
    words += ['-c "write -z 6M 1M"', '-c "write -z -u 20M 1M"', '-c "write -f -P 9 23M 4k"', '-c flush']
    w.nbdkit(["show=" + show, "write=true"], 'qemu-io -f raw %s "$uri"' % " ".join(words))
    shown[512:512 + 1000448] = b"\7" * 1000448
    shown[9 * MIB:10 * MIB] = b"\7" * MIB
    shown[6 * MIB:7 * MIB] = shown[20 * MIB:21 * MIB] = bytes(MIB)
    shown[23 * MIB:23 * MIB + 4096] = b"\t" * 4096
    equal(w.shows() == (bytes(w.view), bytes(w.data)), True, "what both show")
    w.is_whole()


def fio_reads_what_it_wrote(w, show):
    need("fio")
    job = "fio --name=%s --ioengine=nbd --uri=$uri --rw=%s --bsrange=512-64k --size=16M --iodepth=16 " \
        "--verify=crc32c --verify_fatal=1 --loops=2 --norandommap=0 --random_generator=lfsr"
    w.nbdkit(["show=" + show, "write=true"], " && ".join(
        job % ("job%d" % i, rw) for i, rw in enumerate(("randwrite", "write"))))
    w.is_whole()
    shown = w.shows()
    if show == "origin":
        equal(shown[0] == bytes(w.view), True, "the snapshot is what it was")
    else:
        equal(shown[1] == bytes(w.data), True, "the origin is what it was")


def what_is_read_only_is_not_written(w):
    need("qemu-io")
    before = read_file(w.cow), read_file(w.origin)
    for parameters in ([], ["show=origin"], ["salvage=true"]):
        w.nbdkit(parameters, 'qemu-io -f raw -c "write 0 4k" "$uri"', good=False)
    equal((read_file(w.cow), read_file(w.origin)) == before, True, "nothing was written")


def a_full_store_says_so(w):
    need("qemu-io")
    small = w.path("small")
    call(TOOL, "snapshot", "create", "--chunk-size", "16384", "--size", "256K", small)
    w.cow = small
    said = w.nbdkit(["write=true", "keep-on-overflow=true"],
                    'qemu-io -f raw -c "write -P 3 0 1M" "$uri"; qemu-io -f raw -r -c "read 0 4k" "$uri"')
    equal("No space left" in said and "read 4096/4096" in said, True, said)


def wrong_uses_are_refused(w):
    need()
    for parameters, words in ((["origin=again"], "there is one already"), (["show=both"], "snapshot or origin"),
                              (["speed=9"], "unknown parameter: speed"), (["write=perhaps"], "perhaps"),
                              (["write=1", "salvage=1"], "can only be read"),
                              (["cow=" + w.cow], "in common"), (["cow=nowhere"], "nowhere: cannot be opened"),
                              (["cow="], "cow= is empty"),
                              # By another name, and where it is locked by the server itself.
                              (["cow=./cow", "write=1"], "./cow: has bytes in common with %s: is given twice" % w.cow),
                              (["cow=./origin", "write=1", "show=origin"], "./origin: has bytes in common with %s" % w.origin)):
        said = w.nbdkit(parameters, "true", good=False)
        equal(words in said, True, "%s: %s" % (parameters, said))
    done = subprocess.run(["nbdkit", "-U", "-", PLUGIN, "cow=x", "--run", "true"], capture_output=True,
                          text=True, check=False)
    equal(done.returncode != 0 and "origin= is missing" in done.stderr, True, done.stderr)


def a_path_with_a_colon_is_found(w):
    """Also by a server in the background, which has another working directory."""
    need("nbdinfo")
    for name in "origin", "cow":
        os.rename(w.path(name), w.path(name + ":1"))
    pid = w.path("pid")
    done = subprocess.run(["nbdkit", "-U", w.path("s"), "-P", pid, PLUGIN, "origin=./origin:1", "cow=./cow:1"],
                          cwd=w.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          timeout=60, check=False)
    equal(done.returncode, 0)
    # The file is there when clients can connect.
    end = time.monotonic() + 30
    while not os.path.exists(pid) and time.monotonic() < end:
        time.sleep(0.02)
    equal(os.path.exists(pid), True, "no server")
    try:
        equal(call("nbdinfo", "--size", "nbd+unix:///?socket=" + w.path("s")), b"%d\n" % SIZE)
    finally:
        os.kill(int(read_file(pid)), signal.SIGTERM)


def a_client_that_disappears_harms_nobody(w):
    need("qemu-io", "nbdcopy")
    w.nbdkit(["write=true"], 'for i in 1 2 3; do timeout -s KILL 0.2 qemu-io -f raw -c "write -P 5 1M 20M" '
                             '-c "sleep 5000" "$uri"; done; nbdcopy "$uri" got')
    w.is_whole()
    got = read_file(w.path("got"))
    equal(got[:MIB] == bytes(w.view[:MIB]) and got[21 * MIB:] == bytes(w.view[21 * MIB:]), True, "the rest")


def served(words, path, act):
    """Runs @act while `uds snapshot serve` serves."""
    server = subprocess.Popen([TOOL, "snapshot", "serve", *words, "--socket", path, "--plugin", PLUGIN])
    try:
        for _ in range(200):
            if os.path.exists(path):
                break
            time.sleep(0.05)
        act("nbd+unix:///?socket=" + path)
    finally:
        server.send_signal(signal.SIGTERM)
        equal(server.wait(30), 0, "its end")


class RawClient:
    """An NBD client that asks for whatever it likes; the clients of others check it first."""
    READ, WRITE, TRIM, ZEROES, MAGIC = 0, 1, 4, 6, 0x25609513

    def __init__(self, uri):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(uri.split("socket=")[1])
        equal(self.get(16), b"NBDMAGICIHAVEOPT")
        self.get(2)
        self.socket.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 1, 0))
        self.size = struct.unpack(">QH", self.get(10))[0]

    def get(self, count):
        data = b""
        while len(data) < count:
            data += self.socket.recv(count - len(data)) or self.gone()
        return data

    @staticmethod
    def gone():
        raise AssertionError("the server hung up")

    def ask(self, kind, offset, length):
        """Returns the error, and what was read."""
        self.socket.sendall(struct.pack(">IHHQQI", self.MAGIC, 0, kind, 7, offset, length) +
                            (b"x" * length if kind == self.WRITE else b""))
        magic, error, cookie = struct.unpack(">IIQ", self.get(16))
        equal((magic, cookie), (0x67446698, 7))
        return error, self.get(length) if error == 0 and kind == self.READ else b""


def requests_beyond_the_end_are_errors(w):
    need()
    before = w.shows()

    def act(uri):
        client = RawClient(uri)
        equal(client.size, SIZE)
        for kind in client.READ, client.WRITE, client.TRIM, client.ZEROES:
            for offset, length in ((SIZE, 1), (SIZE - 4096, 4097), (SIZE + MIB, 4096), (1 << 63, 512), ((1 << 64) - 512, 512)):
                error = client.ask(kind, offset, length)[0]
                equal(error in (errno.EINVAL, errno.ENOSPC), True, "%d at %d: %d" % (kind, offset, error))
        # The connection and what is served are as before.
        equal(client.ask(client.READ, SIZE - 4096, 4096) == (0, bytes(w.view[-4096:])), True)
        client.socket.close()

    served(["--write", "--origin", w.origin, w.cow], w.path("socket"), act)
    equal(w.shows() == before, True, "nothing was written")


def serve_runs_it(w):
    need("nbdcopy")
    served(["--origin", w.origin, w.cow], w.path("socket"), lambda uri: call("nbdcopy", uri, w.path("got")))
    equal(read_file(w.path("got")) == bytes(w.view), True, "the snapshot")


def page_examples():
    """The lines of each example of uds-nbdkit(1) for a user."""
    source = os.environ.get("UDS_SRCDIR") or os.path.join(HERE, "..", "..")
    examples, inside = [], False
    with open(os.path.join(source, "plugins", "nbdkit", "uds-nbdkit.1"), encoding="utf-8") as file:
        for line in file.read().splitlines():
            if line.startswith(".Bd"):
                examples.append([])
                inside = True
            elif line.startswith(".Ed"):
                inside = False
            elif inside and line.startswith("$ "):
                examples[-1].append(line[2:])
    return [example for example in examples if example]


def the_examples_of_the_page_work(w):
    """As they are, one right after the other."""
    need("nbdcopy", "qemu-img")
    os.rename(w.origin, w.path("origin.img"))
    os.rename(w.cow, w.path("cow.img"))
    serving, alone = page_examples()
    equal((len(serving), len(alone)), (3, 1))
    script = "\n".join(["set -m"] + serving + alone)
    script = script.replace("uds snapshot serve", "%s snapshot serve --plugin %s" % (os.path.abspath(TOOL), os.path.abspath(PLUGIN)))
    script = script.replace("nbdkit -U - uds ", "nbdkit -U - %s " % os.path.abspath(PLUGIN))
    ran = subprocess.run(["bash", "-e", "-c", script], cwd=w.folder, capture_output=True, text=True, timeout=120, check=False)
    equal(ran.returncode, 0, ran.stderr)
    subprocess.run(["qemu-img", "convert", "-O", "raw", w.path("snapshot.qcow2"), w.path("got")], check=True)
    equal(read_file(w.path("got")) == bytes(w.view), True, "the qcow2 image")
    equal(read_file(w.path("snapshot.img")) == bytes(w.view), True, "the copy")


def volumes_of_a_group_are_served(w):
    need("nbdcopy", "qemu-io")
    group = lvm_image.Group(w.folder)
    snap, snap2 = (group.uri(name) for name in ("snap", "snap2"))
    data, new = w.random.randbytes(2 * 4096), w.random.randbytes(4096)
    for cow in snap, snap2:
        call(TOOL, "snapshot", "create", "--chunk-size", "4K", cow)
    call(TOOL, "snapshot", "write", "--offset", "4096", snap2, data=data)
    view, view2 = (call(TOOL, "snapshot", "read", cow) for cow in (snap, snap2))
    subprocess.run(["nbdkit", "-U", "-", PLUGIN, "cow=" + snap2, "--run", 'nbdcopy "$uri" got'], cwd=w.folder, check=True)
    equal(read_file(w.path("got")) == view2, True, "the snapshot")
    with open(w.path("new"), "wb") as file:
        file.write(new)

    def write(uri):
        call("qemu-io", "-f", "raw", "-c", "write -s %s 16384 4096" % w.path("new"), uri)

    served(["--write", snap], w.path("s1"), write)
    view = view[:16384] + new + view[20480:]
    equal([call(TOOL, "snapshot", "read", cow) for cow in (snap, snap2)] == [view, view2], True, "written")
    served(["--write", "--show-origin", snap], w.path("s2"), write)
    equal([call(TOOL, "snapshot", "read", cow) for cow in (snap, snap2)] == [view, view2], True, "origin written")
    ranges = call(TOOL, "snapshot", "diff", "--equal", snap2).decode()
    equal(ranges, "4096 8192\n16384 4096\n")
    done = subprocess.run(["nbdkit", "-U", "-", PLUGIN, "cow=" + group.uri("plain"), "--run", "true"],
                          capture_output=True, text=True, check=False)
    equal("is no snapshot of a group: origin= is missing" in done.stderr, True, done.stderr)


def main():
    results = Results()
    for test in (copies_are_equal, qemu_sees_the_same, what_is_read_only_is_not_written, a_full_store_says_so,
                 wrong_uses_are_refused, a_path_with_a_colon_is_found,
                 a_client_that_disappears_harms_nobody, requests_beyond_the_end_are_errors, serve_runs_it,
                 the_examples_of_the_page_work, volumes_of_a_group_are_served):
        results.run(test.__name__, in_world, test)
    for show in ("snapshot", "origin"):
        results.run("writes_go_where_they_belong: " + show, in_world, writes_go_where_they_belong, show)
        results.run("fio_reads_what_it_wrote: " + show, in_world, fio_reads_what_it_wrote, show)
    return results.finish()


if __name__ == "__main__":
    sys.exit(main())
