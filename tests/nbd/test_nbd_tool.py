#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The uds command on NBD exports: the same bytes as on files, also when the server or the command is killed meanwhile.

Servers are nbdkit's; its cache filter keeps writes in memory until a flush, and loses them when it is killed."""
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tool"))
import lvm_image  # noqa: E402
import vdo_image  # noqa: E402
from tool_support import (FAILED, SEED, SMALL, TOOL, USAGE, Folder, Skip, content, data, equal, has, main,  # noqa: E402
                          name, uds)

BUILD = os.environ.get("UDS_BUILDDIR", ".")
LIBRARIES = os.path.join(BUILD, ".libs")
MIB = 1 << 20
FIXED = ["--save-time", "1700000000000"]
CACHED = ["--filter=cache"], ["cache=writeback"]


@functools.lru_cache(maxsize=None)
def need():
    if not os.path.exists(os.path.join(LIBRARIES, "libuds-nbd.so.0")):
        raise Skip("built without libnbd")
    if not shutil.which("nbdkit"):
        raise Skip("no nbdkit")


class Server:
    """An nbdkit that serves a file, on a Unix socket or on a port of this machine."""
    def __init__(self, path, filters=(), parameters=(), port=None):
        need()
        self.port = port
        self.words = [*filters, "file", "file=" + path, *parameters]
        # A short path: that of a socket has a small limit.
        self.folder = tempfile.mkdtemp(prefix="uds-nbd-", dir="/tmp")
        self.socket = os.path.join(self.folder, "s")
        self.uri = "nbd+unix:///?socket=" + self.socket if port is None else "nbd://localhost:%d/" % port
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        where = ["-U", self.socket] if self.port is None else ["-i", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(["nbdkit", "-f", *where, *self.words], stderr=subprocess.DEVNULL)
        for _ in range(500):
            if self.listens():
                return
            time.sleep(0.01)
        raise AssertionError("nbdkit %s does not start" % self.words)

    def listens(self):
        with socket.socket(socket.AF_UNIX if self.port is None else socket.AF_INET) as probe:
            return probe.connect_ex(self.socket if self.port is None else ("127.0.0.1", self.port)) == 0

    def sockets(self):
        """The inodes of those that the server has: the one that it listens at, and one for each connection."""
        with open("/proc/net/unix") as sockets:
            return set(line.split()[6] for line in sockets if line.rstrip("\n").endswith(" " + self.socket))

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self):
        self.kill()
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def empty(path, size):
    with open(path, "wb") as file:
        file.truncate(size)
    return path


def lines(first, count):
    return "".join("%s %s\n" % (name(i), data(i)) for i in range(first, first + count))


def create(uri, *options):
    return uds("create", *SMALL, "--nonce", "77", "--nonce-data", SEED, *FIXED, *options, uri)


class Pair:
    """A file, and the same file behind a server."""
    def __init__(self, folder, size, server=((), ())):
        self.plain, self.behind = empty(os.path.join(folder, "plain"), size), empty(os.path.join(folder, "behind"), size)
        self.server = Server(self.behind, *server)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def uris(self):
        return self.plain, self.server.uri

    def both(self, act):
        """Does the same on both; the same answer."""
        equal(act(self.server.uri), act(self.plain))

    def same(self):
        equal(content(self.plain) == content(self.behind), True, "the same bytes")


def index_bytes(folder):
    """How large an index of SMALL is."""
    path = os.path.join(folder, "probe")
    create(path)
    size = os.path.getsize(path)
    os.unlink(path)
    return size


# ---- an index ----

def an_index_has_the_bytes_that_it_has_on_a_file():
    with Folder() as folder, Pair(folder, index_bytes(folder), CACHED) as pair:
        pair.both(lambda uri: create(uri).out)
        pair.same()
        pair.both(lambda uri: uds("post", *FIXED, uri, stdin=lines(0, 3000)).out)
        pair.both(lambda uri: uds("update", *FIXED, uri, stdin=lines(100, 50)).out)
        pair.both(lambda uri: uds("delete", *FIXED, uri, stdin="".join("%s\n" % name(i) for i in range(0, 3000, 7))).out)
        pair.both(lambda uri: uds("exec", *FIXED, uri, stdin="post %s %s\nquery %s\npeek %s\n" % (
            name(9999), data(1), name(9999), name(3))).out)
        pair.same()
        pair.both(lambda uri: uds("dump", uri).out)
        pair.both(lambda uri: uds("verify", uri).status)
        infos = [uds("info", "--json", uri).json for uri in pair.uris()]
        equal(*[{key: value for key, value in info.items() if key not in ("path", "uri", "index")} for info in infos])


def a_scan_keeps_its_index_there():
    with Folder() as folder, Pair(folder, index_bytes(folder)) as pair:
        create(pair.server.uri)
        with open(os.path.join(folder, "data"), "wb") as file:
            file.write(os.urandom(MIB))
        scans = [uds("scan", "--json", "--index", pair.server.uri, file.name).json for _ in range(2)]
        equal([scan["known_blocks"] for scan in scans], [0, 256])


def an_export_is_scanned_as_the_file_behind_it():
    with Folder() as folder, Pair(folder, 8 * MIB) as pair:
        block = os.urandom(4096)
        for path in pair.plain, pair.behind:
            with open(path, "r+b") as file:
                for at in 0, 3 * MIB, 3 * MIB + 4096, 5 * MIB + 8192:
                    file.seek(at)
                    file.write(block + b"%08192d" % at)
        index = os.path.join(folder, "index")
        create(index)
        for options in [], ["--block-size", "512"], ["--block-size", "1M"], ["--index", index, "--no-save"]:
            scans = [uds("scan", "--json", *options, uri).json for uri in pair.uris()]
            equal(*[{key: value for key, value in scan.items() if "second" not in key} for scan in scans])
            equal(scans[0]["unique_blocks"] > 0, True)
        # It is read once; a range of it is something else.
        once = uds("scan", "--json", pair.server.uri, pair.server.uri).json
        equal((once["files"], once["bytes"]), (1, 8 * MIB))
        part = uds("scan", "--json", pair.server.uri + "&offset=3M&length=64K").json
        equal((part["bytes"], part["unique_blocks"], part["duplicate_blocks"]), (65536, 3, 1))
        table = uds("scan", "--top", "3", "--first-seen", pair.server.uri)
        has(table.out, "%s: 4096 bytes at 8192 first seen in %s at 4096" % (pair.server.uri, pair.server.uri),
            " 24.00 KiB    0.3 %  " + pair.server.uri)


def holes_of_an_export_are_not_read():
    with Folder() as folder:
        log = os.path.join(folder, "log")
        with Pair(folder, 64 * MIB, (["--filter=log"], ["logfile=" + log])) as pair:
            with open(pair.behind, "r+b") as file:
                file.seek(40 * MIB)
                file.write(os.urandom(MIB))
            found = uds("scan", "--json", pair.server.uri).json
            equal((found["unique_blocks"], found["zero_blocks"]), (256, 63 * 256))
            with open(log, encoding="utf-8") as file:
                reads = [line for line in file if " Read " in line and "offset=" in line]
            places = [int(line.split("offset=")[1].split()[0], 16) for line in reads]
            equal(len(places) > 0 and all(40 * MIB <= at < 41 * MIB for at in places), True, reads[:5])


def errors_of_an_export_are_told_with_their_place():
    with Folder() as folder:
        flag = os.path.join(folder, "flag")
        server = (["--filter=error"], ["error-pread=EIO", "error-pread-rate=100%", "error-file=" + flag])
        with Pair(folder, 4 * MIB, server) as pair:
            with open(pair.behind, "r+b") as file:
                file.write(os.urandom(4 * MIB))
            with open(flag, "w", encoding="ascii"):
                pass
            ran = uds("scan", "--json", pair.server.uri, pair.plain, status=FAILED,
                      says=["%s: at byte " % pair.server.uri, ": Input/output error"])
            equal((ran.json["errors"], ran.json["files"], ran.json["bytes"]), (1, 2, 4 * MIB))
            os.unlink(flag)
            equal(uds("scan", "--json", pair.server.uri).json["unique_blocks"], 1024)
    missing = "nbd+unix:///?socket=/nowhere/s"
    uds("scan", missing, status=FAILED, says=[missing, "No such file", "nothing was scanned"])


def an_index_on_an_export_is_left_out():
    with Folder() as folder, Pair(folder, index_bytes(folder)) as pair:
        create(pair.server.uri)
        with open(os.path.join(folder, "data"), "wb") as file:
            file.write(os.urandom(MIB))
        found = uds("scan", "--json", "--index", pair.server.uri, file.name, pair.server.uri).json
        equal((found["index_left_out"], found["files"]), (True, 1))


def an_export_that_is_too_small_is_named():
    with Folder() as folder:
        size = index_bytes(folder)
        with Pair(folder, size // 2 // 4096 * 4096) as pair:
            ran = uds("create", *SMALL, "--no-extras", pair.server.uri, status=None)
            equal(ran.status in (FAILED, USAGE), True, ran)
            has(ran.err, pair.server.uri, str(size // 2 // 4096 * 4096))
            equal(any(content(pair.behind)), False, "nothing was written")


def a_command_that_is_killed_leaves_what_can_be_recovered():
    with Folder() as folder, Pair(folder, index_bytes(folder)) as pair:
        create(pair.server.uri)
        with subprocess.Popen([TOOL, "post", pair.server.uri], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, text=True) as killed:
            killed.stdin.write(lines(0, 3000))
            killed.stdin.flush()
            time.sleep(0.5)
            killed.kill()
            killed.stdin = None
        equal(uds("info", "--json", pair.server.uri).json["state"], "needs-recovery")
        uds("recover", pair.server.uri)
        uds("verify", pair.server.uri)
        answers = uds("peek", pair.server.uri, stdin="".join("%s\n" % name(i) for i in range(3000))).out.split()
        equal(set(answers[i] for i in range(3000)) <= set(data(i) for i in range(3000)) | {"-"}, True)
        equal(sum(answer != "-" for answer in answers) >= 512, True, "whole chapters are there")


def while_killed(servers, pause, act):
    """Does something while servers are killed, one after the other, and started again. Returns its result, and how
    often that was. A server may end with the thread that started it, so that has to be this one. None is killed before
    it was connected to: that a command finds no server when it begins is another test's."""
    results, times, seen = [], 0, set()
    before, last = {server: server.sockets() for server in servers}, {server: set() for server in servers}

    def run():
        try:
            results.append(act())
        except Exception as error:  # told by the main thread
            results.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while True:
        thread.join(pause if len(seen) == len(servers) else 0.02)
        if not thread.is_alive():
            break
        ready = len(seen) == len(servers)
        for server in servers:
            # A connection that was there a moment ago has said what it is for.
            now = server.sockets() - before[server] - {"0"}
            if now & last[server]:
                seen.add(server)
            last[server] = now
        # Not before the next pause: a command opens several connections to a server, one after the other.
        if ready:
            servers[times % len(servers)].restart()
            times += 1
    if isinstance(results[0], Exception):
        raise results[0]
    return results[0], times


SLOW = ["--filter=cache", "--filter=delay"], ["cache=writeback", "delay-read=2ms", "delay-write=4ms"]


def servers_that_are_killed_lose_nothing():
    with Folder() as folder, Pair(folder, index_bytes(folder), SLOW) as pair:
        for uri in pair.uris():
            create(uri)
        uds("post", *FIXED, pair.plain, stdin=lines(0, 4000))
        ran, times = while_killed([pair.server], 0.15, lambda: uds("post", *FIXED, pair.server.uri, stdin=lines(0, 4000)))
        equal(times > 0, True, "no server was killed")
        has(ran.err, "the connection is lost")
        pair.both(lambda uri: uds("dump", uri).out)
        uds("verify", pair.server.uri)
        pair.same()


def a_server_with_another_size_ends_the_command():
    with Folder() as folder, Pair(folder, index_bytes(folder), SLOW) as pair:
        create(pair.server.uri)
        with subprocess.Popen([TOOL, "exec", pair.server.uri], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:
            process.stdin.write("post %s %s\n" % (name(1), data(1)))
            process.stdin.flush()
            time.sleep(0.5)
            pair.server.kill()
            other = empty(os.path.join(folder, "other"), 64 * MIB)
            pair.server.words[pair.server.words.index("file=" + pair.behind)] = "file=" + other
            pair.server.start()
            process.stdin.close()
            process.stdin = None
            messages = process.stderr.read()
        equal(process.returncode, FAILED, messages)
        has(messages, "another size now", "given up")
        equal(any(content(other)), False, "nothing was written there")


def errors_of_the_server_are_named():
    with Folder() as folder:
        flag = os.path.join(folder, "flag")
        filters = ["--filter=error"], ["error=EIO", "error-pwrite-rate=100%", "error-file=" + flag]
        with Pair(folder, index_bytes(folder), filters) as pair:
            create(pair.server.uri)
            uds("post", pair.server.uri, stdin=lines(0, 600))
            empty(flag, 0)
            uds("post", pair.server.uri, stdin=lines(600, 1500), status=FAILED, says=["Input/output error", pair.server.uri])
            os.unlink(flag)
            uds("recover", pair.server.uri)
            uds("verify", pair.server.uri)
            equal(uds("peek", pair.server.uri, stdin="%s\n" % name(5)).out, data(5) + "\n")


def a_read_only_export_is_read_and_not_written():
    with Folder() as folder:
        path = os.path.join(folder, "index")
        create(path)
        uds("post", path, stdin=lines(0, 10))
        before = content(path)
        with Server(path, ["-r"]) as server:
            uds("post", server.uri, stdin=lines(0, 1), status=FAILED, says="the server exports it read-only")
            uds("verify", server.uri)
            equal(uds("peek", server.uri, stdin="%s\n" % name(3)).out, data(3) + "\n")
        equal(content(path) == before, True)


# ---- snapshots ----

SIZE = 4 * MIB


class Snapshot:
    """An origin and a store as files, and as what a command is given: any mix of files and exports."""
    def __init__(self, folder, label, origin_served, cow_served, server=((), ())):
        self.origin, self.cow = (empty(os.path.join(folder, "%s-%s" % (label, kind)), SIZE) for kind in ("origin", "cow"))
        self.servers = []
        self.uris = [self.serve(path, server) if served else path
                     for path, served in ((self.origin, origin_served), (self.cow, cow_served))]

    def serve(self, path, server):
        self.servers.append(Server(path, *server))
        return self.servers[-1].uri

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers:
            server.__exit__()

    def run(self, *words, **options):
        return uds("snapshot", words[0], "--origin", self.uris[0], *words[1:], self.uris[1], **options)

    def bytes(self):
        return content(self.origin), content(self.cow)


def fill(snapshot):
    """Gives it content and exceptions."""
    with open(snapshot.origin, "r+b") as file:
        file.write(bytes(range(256)) * (SIZE // 512))
    uds("snapshot", "create", "--chunk-size", "4K", snapshot.uris[1])
    for offset, length, letter in ((5000, 60000, b"a"), (2 * MIB, 300000, b"b"), (SIZE - 9000, 9000, b"c")):
        snapshot.run("write", "--offset", offset, stdin=letter * length, binary=True)
    snapshot.run("write-origin", "--offset", MIB, stdin=b"o" * 200000, binary=True)


def snapshots_have_the_bytes_that_they_have_on_files():
    with Folder() as folder, Snapshot(folder, "plain", False, False) as plain:
        fill(plain)
        reads = plain.run("read", binary=True).out, plain.run("diff").out
        written = plain.bytes()
        plain.run("merge")
        for mix in ((True, False), (False, True), (True, True)):
            with Snapshot(folder, "served", *mix, CACHED) as served:
                fill(served)
                equal(served.bytes() == written, True, mix)
                equal((served.run("read", binary=True).out, served.run("diff").out) == reads, True, mix)
                served.run("verify")
                equal(uds("snapshot", "list", served.uris[1]).out == uds("snapshot", "list", served.cow).out, True)
                served.run("merge")
                equal(served.bytes() == plain.bytes(), True, "merged, %s" % (mix,))


class Logged:
    """A server's log of requests, and what it prefers."""
    def __init__(self, folder, prefers):
        self.path, self.prefers = os.path.join(folder, "log"), prefers
        self.server = (["--filter=log", "--filter=blocksize-policy"],
                       ["logfile=" + self.path, "blocksize-minimum=512", "blocksize-preferred=%d" % prefers,
                        "blocksize-maximum=32M"])

    def forget(self):
        os.truncate(self.path, 0)

    def ranges(self, verb, begin=0, end=1 << 62):
        """Offset and length of each request that begins in that range, in order; then they are forgotten."""
        with open(self.path, encoding="utf-8") as file:
            lines = [line.split("offset=")[1].split() for line in file if " %s " % verb in line]
        self.forget()
        found = {(int(words[0], 16), int(words[1].split("=")[1], 16)) for words in lines}
        return sorted(one for one in found if begin <= one[0] < end)

    def check(self, verb, begin, end=1 << 62, least=6):
        """One run from @begin on: the first is short, and all others begin at multiples."""
        found = self.ranges(verb, begin, end)
        equal((found[0][0], len(found) > least), (begin, True), (verb, found))
        for (offset, count), (behind, _) in zip(found, found[1:]):
            equal((offset + count, behind % self.prefers), (behind, 0), (verb, found))


def transfers_end_where_the_server_prefers():
    begin, end = MIB + 300 * 1024, 12 * MIB

    with Folder() as folder:
        log = Logged(folder, MIB // 2)
        with Snapshot(folder, "served", True, False, log.server) as served:
            os.truncate(served.origin, end)
            served.servers[0].restart()
            uds("snapshot", "create", "--chunk-size", "4K", served.uris[1])
            equal(len(served.run("read", "--offset", begin, binary=True).out), end - begin)
            log.check("Read", begin)
            os.truncate(served.cow, 32 * MIB)
            served.run("write-origin", "--offset", begin, stdin=os.urandom(end - begin), binary=True)
            log.check("Write", begin, least=2)
            # Zeroes that are no hole: a hole would be passed over.
            with open(served.origin, "r+b") as file:
                file.write(bytes(end))
            log.forget()
            create(served.uris[0], "--chapters", "256", "--offset", str(begin))
            log.check("Read", begin)


def what_is_written_to_a_snapshot_is_cut_between_chunks():
    """Only of the first chunk and the last is there anything to be read from the origin."""
    chunk, begin, end = 64 << 10, MIB + 5000, 11 * MIB + 7000

    with Folder() as folder:
        log = Logged(folder, 4096)
        with Snapshot(folder, "served", True, False, log.server) as served:
            os.truncate(served.origin, 12 * MIB)
            os.truncate(served.cow, 32 * MIB)
            served.servers[0].restart()
            uds("snapshot", "create", "--chunk-size", chunk, served.uris[1])
            log.forget()
            written = os.urandom(end - begin)
            served.run("write", "--offset", begin, stdin=written, binary=True)
            chunks = {at // chunk for offset, count in log.ranges("Read") for at in range(offset, offset + count, 512)}
            equal(chunks, {begin // chunk, end // chunk})
            equal(served.run("read", "--offset", begin, "--length", end - begin, binary=True).out == written, True)


def a_volume_is_walked_where_the_server_prefers():
    """The first slab begins in the middle of what the server prefers."""
    data = 1900
    with Folder() as folder:
        vdo_image.set_slabs(1, 2048, data, 1)
        try:
            volume = vdo_image.Volume(os.path.join(folder, "volume"))
            log, begin = Logged(folder, MIB), vdo_image.FIRST_SLAB * vdo_image.BLOCK
            for i in range(data):
                volume.store(i, b"block %d" % i)
        finally:
            vdo_image.set_slabs(3)
        with Server(volume.path, *log.server) as server:
            uds("vdo", "prime", "--create", volume.path)
            log.forget()
            audits = [uds("vdo", "audit", "--json", device).json for device in (server.uri, volume.path)]
            equal(begin % MIB != 0, True)
            log.check("Read", begin, begin + data * vdo_image.BLOCK)
            for audit in audits:
                for key in list(audit):
                    if "seconds" in key or key in ("device", "index", "volume"):
                        del audit[key]
            equal(audits[0], audits[1])
            # The same sample, too.
            audits = [uds("vdo", "audit", "--json", "--sample", 3, device).json for device in (server.uri, volume.path)]
            equal([audits[0][key] for key in ("not_sampled", "right")], [audits[1][key] for key in ("not_sampled", "right")])
            equal(0 < audits[0]["right"] < data // 2, True, audits[0])


def the_same_export_is_not_both():
    with Folder() as folder, Snapshot(folder, "one", False, True) as one:
        uds("snapshot", "create", "--chunk-size", "4K", one.uris[1])
        before = content(one.cow)
        uds("snapshot", "merge", "--origin", one.uris[1], one.uris[1], status=None, says="in common")
        equal(content(one.cow) == before, True)


def merged(folder):
    """What a merge on files leaves."""
    with Snapshot(folder, "plain", False, False) as plain:
        fill(plain)
        before = plain.bytes()
        plain.run("merge")
        return before, content(plain.origin)


def a_merge_goes_on_when_servers_are_killed():
    with Folder() as folder:
        before, after = merged(folder)
        with Snapshot(folder, "served", True, True, SLOW) as served:
            fill(served)
            equal(served.bytes() == before, True)
            ran, times = while_killed(served.servers, 0.2, lambda: served.run("merge", "--rate", "400K"))
            equal(times > 0, True, "no server was killed")
            has(ran.err, "the connection is lost")
            equal(content(served.origin) == after, True)


def a_merge_that_is_killed_goes_on_later():
    with Folder() as folder:
        after = merged(folder)[1]
        with Snapshot(folder, "served", True, True, CACHED) as served:
            fill(served)
            for wait in (0.2, 0.35, 0.5):
                with subprocess.Popen([TOOL, "snapshot", "merge", "--quiet", "--rate", "300K", "--origin", *served.uris],
                                      stderr=subprocess.DEVNULL) as process:
                    time.sleep(wait)
                    process.kill()
            served.run("verify")
            served.run("merge")
            equal(content(served.origin) == after, True)


def a_snapshot_on_exports_is_served_again():
    if not shutil.which("nbdcopy"):
        raise Skip("no nbdcopy")
    plugin = os.path.join(BUILD, "plugins", "nbdkit", ".libs", "nbdkit-uds-plugin.so")
    if not os.path.exists(plugin):
        raise Skip("built without nbdkit's header")
    with Folder() as folder, Snapshot(folder, "served", True, True) as served:
        fill(served)
        want = served.run("read", binary=True).out
        subprocess.run(["nbdkit", "-U", "-", plugin, "origin=" + served.uris[0], "cow=" + served.uris[1], "--run",
                        'nbdcopy "$uri" got'], cwd=folder, check=True)
        equal(content(os.path.join(folder, "got")) == want, True)


# ---- URIs in others ----

def physical_volumes_are_exports():
    with Folder() as folder:
        group = lvm_image.Group(folder)
        snap = group.uri("snap")
        for name_of in "snap", "snap2":
            uds("snapshot", "create", "--chunk-size", "4K", group.uri(name_of))
        uds("snapshot", "write", "--offset", "4096", snap, stdin="x" * 9000)
        want = uds("snapshot", "read", snap).out
        with Server(group.paths[0]) as one, Server(group.paths[1]) as two:
            served = "lvm:vg/snap?pv=%s&pv=%s" % (one.uri, two.uri)
            equal(uds("snapshot", "read", served).out == want, True)
            mixed = "lvm:vg/snap?pv=%s&pv=%s" % (group.paths[0], two.uri)
            equal(uds("snapshot", "read", mixed).out == want, True)
            for path in group.paths:
                shutil.copy(path, path + ".served")
            with Server(group.paths[0] + ".served") as three, Server(group.paths[1] + ".served") as four:
                uds("snapshot", "merge", "lvm:vg/snap?pv=%s&pv=%s" % (three.uri, four.uri))
        uds("snapshot", "merge", snap)
        equal([content(path + ".served") for path in group.paths] == group.bytes(), True, "merged")


def a_vdo_volume_is_an_export():
    with Folder() as folder:
        volume = vdo_image.Volume(os.path.join(folder, "vdo"))
        with Server(volume.path) as server:
            # The first question mark ends the path of the outer one.
            inner = server.uri.replace("?", "%3F")
            says = [uds("info", "vdo:" + uri, status=None) for uri in (volume.path, inner)]
            equal(says[0].status, says[1].status)
            texts = [says[0].err.replace(volume.path, "X"), says[1].err.replace(inner, "X").replace(server.uri, "X")]
            equal(texts[1], texts[0])
            has(texts[1], "the volume has no index that can be used")
            equal(says[1].out.replace(inner, "X"), says[0].out.replace(volume.path, "X"))
            # What to type names the volume as it is by itself.
            uds("vdo", "prime", "vdo:" + inner, status=None, says="type: uds vdo prime '%s'" % server.uri)


# ---- certificates ----

def make_certificates(folder, label):
    """An authority with a certificate for a server on this machine; the folder as libnbd and nbdkit want it."""
    place = os.path.join(folder, label)
    os.mkdir(place)
    ca, key = ["-CA", "ca-cert.pem", "-CAkey", "ca-key.pem", "-CAcreateserial"], ["-newkey", "rsa:2048", "-nodes"]
    with open(os.path.join(place, "names"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for words in (["req", "-x509", *key, "-keyout", "ca-key.pem", "-out", "ca-cert.pem", "-days", "2", "-subj", "/CN=" + label],
                  ["req", *key, "-keyout", "server-key.pem", "-out", "server.csr", "-subj", "/CN=localhost"],
                  ["x509", "-req", "-in", "server.csr", *ca, "-days", "2", "-extfile", "names", "-out", "server-cert.pem"]):
        done = subprocess.run(["openssl", *words], cwd=place, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skip("openssl makes no certificate: %s" % done.stderr[-200:])
    return place


def free_port():
    with socket.socket(socket.AF_INET) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def a_wrong_certificate_is_refused():
    need()
    if not shutil.which("openssl"):
        raise Skip("no openssl")
    with Folder() as folder:
        good, wrong = (make_certificates(folder, label) for label in ("good", "wrong"))
        path = empty(os.path.join(folder, "index"), index_bytes(folder))
        # By TCP: on a Unix socket libnbd checks no certificate.
        with Server(path, ["--tls=require", "--tls-certificates=" + good], port=free_port()) as server:
            secure = server.uri.replace("nbd:", "nbds:") + "?tls-certificates="
            for uri, words in (secure + wrong, "certificate"), (server.uri, "TLS"):
                ran = uds("create", *SMALL, uri, status=FAILED)
                has(ran.err, server.uri[4:], words)
                equal(any(content(path)), False, "nothing was written")
            create(secure + good)
            uds("post", secure + good, stdin=lines(0, 10))
            uds("verify", secure + good)
        uds("verify", path)


# ---- what is not there ----

def servers_that_are_not_there_are_named():
    need()
    for uri, words in (("nbd+unix:///?socket=/nowhere/s", "No such file"), ("nbd://127.0.0.1:1/x", "refused"),
                       ("nbd://h/?speed=9", "unknown parameter 'speed'")):
        uds("info", uri, status=None, says=[uri, words])
        uds("verify", uri, status=None, says=[uri, words])


def a_server_that_is_silent_is_named_after_one_attempt():
    need()
    with Folder() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.join(folder, "s"))
        server.listen()
        server.settimeout(0)
        uri = "nbd+unix:///?socket=%s/s&connect=1" % folder
        for command in ["info"], ["info", "--json"], ["verify"], ["snapshot", "info"], ["find"]:
            uds(*command, uri, status=FAILED, says="the server does not answer")
            server.accept()[0].close()
            try:
                server.accept()
                raise AssertionError("%s tries twice" % command)
            except BlockingIOError:
                pass


def a_library_that_is_not_there_is_named():
    if not os.path.exists(os.path.join(LIBRARIES, "uds")):
        raise Skip("the command is linked statically")
    with Folder() as folder:
        for library in os.listdir(LIBRARIES):
            if library.startswith("libuds.so"):
                os.symlink(os.path.abspath(os.path.join(LIBRARIES, library)), os.path.join(folder, library))
        env = dict(os.environ, LD_LIBRARY_PATH=folder)
        for uri in "nbd+unix:///?socket=s", "concat:?part=nbd://h/x", "nbds://h/x":
            ran = subprocess.run([os.path.join(LIBRARIES, "uds"), "info", uri], env=env, capture_output=True, text=True,
                                 check=False)
            if "No such file" in ran.stderr and "is brought by" not in ran.stderr:
                raise Skip("a libuds-nbd is installed")
            equal(ran.returncode != 0, True)
            has(ran.stderr, uri, "is brought by libuds-nbd.so.0, which cannot be loaded (Debian: package libuds-nbd0)")
        # What is only named like it needs none.
        plain = os.path.join(folder, "nbd:x")
        subprocess.run([os.path.join(LIBRARIES, "uds"), "create", *SMALL, plain], env=env, check=True)
        ran = subprocess.run([os.path.join(LIBRARIES, "uds"), "info", "file:%s?a=nbd:x" % plain], env=env,
                             capture_output=True, text=True, check=False)
        has(ran.stderr, "unknown parameter 'a'")


if __name__ == "__main__":
    sys.exit(main([an_index_has_the_bytes_that_it_has_on_a_file, a_scan_keeps_its_index_there,
                   an_export_is_scanned_as_the_file_behind_it, holes_of_an_export_are_not_read,
                   errors_of_an_export_are_told_with_their_place, an_index_on_an_export_is_left_out,
                   an_export_that_is_too_small_is_named, a_command_that_is_killed_leaves_what_can_be_recovered,
                   servers_that_are_killed_lose_nothing, a_server_with_another_size_ends_the_command,
                   errors_of_the_server_are_named, a_read_only_export_is_read_and_not_written,
                   snapshots_have_the_bytes_that_they_have_on_files,
                   transfers_end_where_the_server_prefers, what_is_written_to_a_snapshot_is_cut_between_chunks,
                   a_volume_is_walked_where_the_server_prefers, the_same_export_is_not_both,
                   a_merge_goes_on_when_servers_are_killed, a_merge_that_is_killed_goes_on_later,
                   a_snapshot_on_exports_is_served_again, physical_volumes_are_exports, a_vdo_volume_is_an_export, a_wrong_certificate_is_refused,
                   servers_that_are_not_there_are_named,
                   a_server_that_is_silent_is_named_after_one_attempt, a_library_that_is_not_there_is_named]))
