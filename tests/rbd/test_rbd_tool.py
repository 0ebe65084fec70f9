#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The uds command on images of a Ceph cluster: the same bytes as on files, also when OSDs end and start again or the command
is killed meanwhile; and each way in which an image cannot be used."""
import functools
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tool")]
import lvm_image  # noqa: E402
import vdo_image  # noqa: E402
from ceph_cluster import WATCH_SECONDS, Cluster  # noqa: E402
from tool_support import (FAILED, SEED, SMALL, TOOL, Folder, Skip, content, data, equal, has, main, name, sanitized, uds)  # noqa: E402

BUILD = os.environ.get("UDS_BUILDDIR", ".")
MIB = 1 << 20
FIXED = ["--save-time", "1700000000000"]
SIZE = 4 * MIB


@functools.lru_cache(maxsize=None)
def start_cluster():
    try:
        return Cluster(), None
    except Skip as reason:
        return None, str(reason)


def need():
    """The cluster of all tests."""
    cluster, reason = start_cluster()
    if cluster is None:
        raise Skip(reason)
    return cluster


def lines(first, count):
    return "".join("%s %s\n" % (name(i), data(i)) for i in range(first, first + count))


def posts(first, count):
    return "".join("post " + line + "\n" for line in lines(first, count).splitlines())


def create(uri, *options):
    return uds("create", *SMALL, "--nonce", "77", "--nonce-data", SEED, *FIXED, *options, uri)


@functools.lru_cache(maxsize=None)
def index_bytes():
    """How large an index of SMALL is."""
    with Folder() as folder:
        create(os.path.join(folder, "probe"))
        return os.path.getsize(os.path.join(folder, "probe"))


class Exec:
    """A command that goes on: `uds exec`, with what it says in a file."""
    def __init__(self, folder, uri):
        self.said = os.path.join(folder, "said")
        self.answers = os.path.join(folder, "answers")
        with open(self.said, "wb") as errors, open(self.answers, "wb") as output:
            self.process = subprocess.Popen([TOOL, "exec", *FIXED, uri], stdin=subprocess.PIPE, stdout=output, stderr=errors, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def give(self, text):
        try:
            self.process.stdin.write(text)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def messages(self):
        return open(self.said, encoding="utf-8").read()

    def wait_for(self, what, seconds=60):
        for _ in range(seconds * 10):
            if what():
                return
            time.sleep(0.1)
        raise AssertionError(self.messages())

    def answered(self, count):
        """So many requests are done, which are all so far: nothing of it is held back."""
        self.wait_for(lambda: open(self.answers, encoding="ascii").read().count("\n") >= count)

    def says(self, words):
        self.wait_for(lambda: words in self.messages())

    def end(self):
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdin = None
        return self.process.wait(timeout=120)


# ---- the cluster itself ----

# A cluster of one process that does nothing.
PRETENDED = """#!/bin/sh
echo "$1" >>"${0%/*}/said"
case $1 in
start)
	sleep 0.3
	mkdir "$2"
	sleep 1000 &
	echo $! >"$2/pid" ;;
stop)
	kill "$(cat "$2/pid")" ;;
esac
"""


def a_cluster_ends_with_the_test_also_when_that_is_killed():
    with Folder() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w", encoding="ascii") as file:
            file.write(PRETENDED)
        os.chmod(script, 0o755)
        begin = "import os, sys; from ceph_cluster import Keeper; " \
            "keeper = Keeper(sys.argv[1]); print(keeper.folder, flush=True); "
        for end in "", "keeper.started(); ", "assert keeper.started()[0] == 0; keeper.end(); ":
            where = subprocess.run([sys.executable, "-c", begin + end + "os.kill(os.getpid(), 9)", script], stdout=subprocess.PIPE,
                                   text=True, check=False, env=dict(os.environ, PYTHONPATH=HERE)).stdout.strip()
            equal(os.path.dirname(where), "/tmp")
            for _ in range(600):
                if not os.path.exists(where):
                    break
                time.sleep(0.1)
            equal((os.path.exists(where), content(os.path.join(folder, "said"))), (False, b"start\nstop\n"))
            os.unlink(os.path.join(folder, "said"))


# ---- the library ----

def the_library_does_what_it_says():
    need()
    program = os.path.join(BUILD, "tests", "rbd", "test_rbd")
    if not os.path.exists(program):
        raise Skip("tests/rbd/test_rbd is not built")
    ran = subprocess.run([program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    print(ran.stdout.replace("result:", "tests/rbd/test_rbd:"), end="")
    equal(ran.returncode, 0, ran.stdout + ran.stderr)


# ---- an index ----

def an_index_has_the_bytes_that_it_has_on_a_file():
    cluster = need()
    with Folder() as folder:
        plain = os.path.join(folder, "plain")
        with open(plain, "wb") as file:
            file.truncate(index_bytes())
        uris = plain, cluster.create("same", index_bytes())

        def both(act):
            equal(*[act(uri) for uri in reversed(uris)])
        both(lambda uri: create(uri).out)
        both(lambda uri: uds("post", *FIXED, uri, stdin=lines(0, 3000)).out)
        both(lambda uri: uds("update", *FIXED, uri, stdin=lines(100, 50)).out)
        both(lambda uri: uds("delete", *FIXED, uri, stdin="".join("%s\n" % name(i) for i in range(0, 3000, 7))).out)
        both(lambda uri: uds("exec", *FIXED, uri, stdin="post %s %s\nquery %s\npeek %s\n" % (
            name(9999), data(1), name(9999), name(3))).out)
        equal(cluster.bytes("same") == content(plain), True, "the same bytes")
        both(lambda uri: uds("dump", uri).out)
        both(lambda uri: uds("verify", uri).status)
        infos = [uds("info", "--json", uri).json for uri in uris]
        equal(*[{key: value for key, value in info.items() if key not in ("path", "uri", "index")} for info in infos])


def a_scan_keeps_its_index_there():
    cluster = need()
    with Folder() as folder:
        uri = cluster.create("scanned", index_bytes())
        create(uri)
        with open(os.path.join(folder, "data"), "wb") as file:
            file.write(os.urandom(MIB))
        scans = [uds("scan", "--json", "--index", uri, file.name).json for _ in range(2)]
        equal([scan["known_blocks"] for scan in scans], [0, 256])


def an_image_is_scanned_as_the_file_that_it_was():
    cluster = need()
    with Folder() as folder:
        path = os.path.join(folder, "file")
        with open(path, "wb") as file:
            for at in 0, 5 * MIB + 4096, 21 * MIB:
                file.seek(at)
                file.write(os.urandom(MIB) + b"x" * 8192)
            file.truncate(40 * MIB)
        uri = cluster.put("plain", path)
        scans = [uds("scan", "--json", where).json for where in (path, uri)]
        equal(*[{key: value for key, value in scan.items() if "second" not in key} for scan in scans])
        equal(scans[1]["unique_blocks"], 3 * 256 + 1)
        both = uds("scan", "--json", path, uri, uri).json
        equal((both["files"], both["unique_blocks"]), (2, 3 * 256 + 1))
        uds("scan", "rbd:rbd/none", status=FAILED, says=["rbd:rbd/none", "nothing was scanned"])


def an_image_that_is_too_small_is_named():
    cluster = need()
    uri = cluster.create("small", index_bytes() // 2 // 4096 * 4096)
    ran = uds("create", *SMALL, "--no-extras", uri, status=FAILED)
    has(ran.err, uri, "the index needs ", "there are %d" % (index_bytes() // 2 // 4096 * 4096))
    equal(cluster.bytes("small") == bytes(index_bytes() // 2 // 4096 * 4096), True, "nothing was written, and it has its size")
    # Who allows it gets a larger one.
    create(uri + "?resize=1")
    uds("verify", uri)


def create_image_makes_one_of_the_right_size():
    cluster = need()
    uri = "rbd:rbd/made"
    uds("create", *SMALL, uri, status=FAILED, says="the pool rbd has no image made")
    create(uri, "--create-image")
    equal(len(cluster.bytes("made")), index_bytes())
    before = cluster.bytes("made")
    uds("create", *SMALL, "--create-image", "--force", uri, status=FAILED, says=[uri, "the image is there already"])
    equal(cluster.bytes("made") == before, True)
    uds("snapshot", "create", "--chunk-size", "4K", "--create-image", "--size", "2M", "rbd:rbd/madecow")
    equal(len(cluster.bytes("madecow")), 2 * MIB)
    uds("create", *SMALL, "--create-image", "--size", 4096, "rbd:rbd/stays", status=FAILED, says="rbd:rbd/stays: it was made, and stays")


def a_namespace_is_a_place_of_its_own():
    cluster = need()
    cluster.run("rbd", "namespace", "create", "--pool", "rbd", "--namespace", "apart")
    uri = "rbd:rbd/inside?namespace=apart&id=admin&conf=" + cluster.conf
    create(uri, "--create-image")
    uds("post", uri, stdin=lines(0, 5))
    equal(uds("peek", uri, stdin="%s\n" % name(3)).out, data(3) + "\n")
    uds("info", "rbd:rbd/inside", status=None, says="has no image inside")
    uds("verify", "rbd:rbd/inside?namespace=other", status=None, says="the namespace other")


# ---- snapshots ----

class Pair:
    """An origin and a store: files, or images with the bytes of such files."""
    number = 0

    def __init__(self, folder, origin_there, cow_there):
        Pair.number += 1
        self.names = ["o%d" % Pair.number, "c%d" % Pair.number]
        self.paths = [os.path.join(folder, word) for word in self.names]
        self.there = [origin_there, cow_there]
        for path, pattern in zip(self.paths, (bytes(range(256)), bytes(256))):
            with open(path, "wb") as file:
                file.write(pattern * (SIZE // 256))
        self.uris = [need().put(word, path) if there else path for word, path, there in zip(self.names, self.paths, self.there)]

    def run(self, *words, **options):
        return uds("snapshot", words[0], "--origin", self.uris[0], *words[1:], self.uris[1], **options)

    def bytes(self):
        return [need().bytes(word) if there else content(path) for word, path, there in zip(self.names, self.paths, self.there)]

    def fill(self):
        uds("snapshot", "create", "--chunk-size", "4K", self.uris[1])
        for offset, length, letter in ((5000, 60000, b"a"), (2 * MIB, 300000, b"b"), (SIZE - 9000, 9000, b"c")):
            self.run("write", "--offset", offset, stdin=letter * length, binary=True)
        self.run("write-origin", "--offset", MIB, stdin=b"o" * 200000, binary=True)
        return self


def snapshots_have_the_bytes_that_they_have_on_files():
    need()
    with Folder() as folder:
        plain = Pair(folder, False, False).fill()
        reads = plain.run("read", binary=True).out, plain.run("diff").out
        listed = uds("snapshot", "list", plain.uris[1]).out
        written = plain.bytes()
        plain.run("merge")
        for mix in ((True, False), (False, True), (True, True)):
            pair = Pair(folder, *mix).fill()
            equal(pair.bytes() == written, True, mix)
            equal((pair.run("read", binary=True).out, pair.run("diff").out) == reads, True, mix)
            pair.run("verify")
            equal(uds("snapshot", "list", pair.uris[1]).out == listed, True)
            pair.run("merge")
            equal(pair.bytes() == plain.bytes(), True, "merged, %s" % (mix,))


def the_same_image_is_not_both():
    cluster = need()
    uri = cluster.create("both", SIZE)
    uds("snapshot", "create", "--chunk-size", "4K", uri)
    before = cluster.bytes("both")
    uds("snapshot", "merge", "--origin", uri, uri, status=None, says="in common")
    equal(cluster.bytes("both") == before, True)


def a_snapshot_is_served():
    need()
    plugin = os.path.join(BUILD, "plugins", "nbdkit", ".libs", "nbdkit-uds-plugin.so")
    if not shutil.which("nbdkit") or not shutil.which("nbdcopy") or not os.path.exists(plugin):
        raise Skip("no nbdkit, its header, or nbdcopy")
    with Folder() as folder:
        pair = Pair(folder, True, True).fill()
        want = pair.run("read", binary=True).out
        # Its own folder of libraries, as the command's.
        subprocess.run(["nbdkit", "-U", "-", plugin, "origin=" + pair.uris[0], "cow=" + pair.uris[1], "--run", 'nbdcopy "$uri" got'],
                       cwd=folder, check=True, env=dict(os.environ, LD_LIBRARY_PATH=os.path.abspath(os.path.join(BUILD, ".libs"))))
        equal(content(os.path.join(folder, "got")) == want, True)


# ---- URIs in others ----

def physical_volumes_and_vdo_volumes_are_images():
    cluster = need()
    with Folder() as folder:
        group = lvm_image.Group(folder)
        snap = group.uri("snap")
        for name_of in "snap", "snap2":
            uds("snapshot", "create", "--chunk-size", "4K", group.uri(name_of))
        uds("snapshot", "write", "--offset", "4096", snap, stdin="x" * 9000)
        want = uds("snapshot", "read", snap).out
        pvs = [cluster.put("pv%d" % i, path) for i, path in enumerate(group.paths)]
        equal(uds("snapshot", "read", "lvm:vg/snap?pv=%s&pv=%s" % (group.paths[0], pvs[1])).out == want, True)
        uds("snapshot", "merge", "lvm:vg/snap?pv=%s&pv=%s" % tuple(pvs))
        uds("snapshot", "merge", snap)
        equal([cluster.bytes("pv%d" % i) for i in range(2)] == group.bytes(), True, "merged")
        volume = vdo_image.Volume(os.path.join(folder, "vdo"))
        uri = cluster.put("vdo", volume.path)
        says = [uds("info", "vdo:" + where, status=None) for where in (volume.path, uri)]
        equal(says[0].status, says[1].status)
        equal(says[1].err.replace(uri, "X"), says[0].err.replace(volume.path, "X"))


# ---- OSDs that end ----

def requests_wait_for_an_osd_and_go_on():
    cluster = need()
    with Folder() as folder:
        plain, uri = os.path.join(folder, "plain"), cluster.create("osd", index_bytes())
        for where in (plain, uri):
            create(where)
        uds("exec", *FIXED, plain, stdin=posts(0, 6000))
        with Exec(folder, uri) as session:
            session.give(posts(0, 1500))
            cluster.osd(1, "down")
            session.give(posts(1500, 2000))
            cluster.wait_for(lambda: cluster.up() == 1)
            session.give(posts(3500, 1500))
            cluster.osd(1, "up")
            session.give(posts(5000, 1000))
            cluster.wait_for(lambda: cluster.up() == 2)
            # And in the middle of the save.
            cluster.osd(1, "down")
            equal(session.end(), 0, session.messages())
        cluster.start(1)
        equal(cluster.bytes("osd") == content(plain), True, "the same bytes")
        uds("verify", uri)


def a_merge_waits_for_an_osd_and_goes_on():
    cluster = need()
    with Folder() as folder:
        plain, pair = Pair(folder, False, False).fill(), Pair(folder, True, True).fill()
        with subprocess.Popen([TOOL, "snapshot", "merge", "--quiet", "--rate", "200K", "--origin", *pair.uris]) as process:
            time.sleep(0.5)
            cluster.osd(1, "down")
            time.sleep(0.7)
            equal(process.poll(), None, "it is not over yet")
            cluster.start(1)
            equal(process.wait(timeout=120), 0)
        plain.run("merge")
        equal(pair.bytes() == plain.bytes(), True)


def without_any_osd_there_is_an_error_in_time():
    cluster = need()
    with Folder() as folder:
        uri = cluster.create("alone", index_bytes())
        create(uri)
        with cluster.impatient(), Exec(folder, uri + "?answer=2") as session:
            session.give(posts(0, 1000))
            session.answered(1000)
            cluster.down(0, 1)
            session.give(posts(1000, 3000))
            equal(session.end(), FAILED, session.messages())
            has(session.messages(), "timed out", "not saved")
        # Nor can it be opened: that ends by itself, and says why.
        ran = uds("verify", uri + "?timeout=2", status=FAILED)
        has(ran.err, "the cluster does not answer")
        cluster.start(0, 1)
        uds("recover", uri)
        uds("verify", uri)
        answers = uds("peek", uri, stdin="".join("%s\n" % name(i) for i in range(4000))).out.split()
        equal(set(answers[i] for i in range(4000)) <= set(data(i) for i in range(4000)) | {"-"}, True)


# ---- who writes ----

def address(cluster, image):
    """That of the client with the lock."""
    return re.search(r"(\d+\.\d+\.\d+\.\d+:\d+/\d+)", cluster.run("rbd", "lock", "ls", image, text=True)).group(1)


def a_second_writer_and_a_reader_are_refused():
    cluster = need()
    with Folder() as folder:
        uri = cluster.create("used", index_bytes())
        create(uri)
        with Exec(folder, uri) as session:
            session.give(posts(0, 10))
            session.answered(10)
            started = time.monotonic()
            for command in "post", "recover", "peek", "verify":
                ran = uds(command, uri, status=FAILED)
                has(ran.err, uri, address(cluster, "used"), "has the exclusive lock: it is being written")
            has(ran.err, "a snapshot of it")
            equal(time.monotonic() - started < WATCH_SECONDS, True, "not by waiting")
            cluster.run("rbd", "snap", "create", "--no-progress", "used@now")
            equal(session.end(), 0)
        equal(uds("peek", uri, stdin="%s\n" % name(3)).out, data(3) + "\n")
        uds("info", uri + "@now")
        uds("post", uri + "@now", status=FAILED, says="a snapshot cannot be written")


def a_client_that_locks_by_habit_is_not_robbed():
    cluster = need()
    uri = cluster.create("habit", index_bytes())
    create(uri)
    with subprocess.Popen(["rbd", "bench", "--io-type", "write", "--io-size", "4K", "--io-threads", "1", "--io-total", "1G",
                           "habit"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        other.stdout.readline()
        other.stdout.readline()
        uds("post", uri, status=FAILED, says="has the exclusive lock")
        equal(other.poll(), None, "it goes on")
        other.kill()


def a_command_that_is_killed_leaves_what_can_be_recovered():
    cluster = need()
    with Folder() as folder:
        uri = cluster.create("killed", index_bytes())
        create(uri)
        with cluster.impatient(), Exec(folder, uri) as session:
            session.give(posts(0, 3000))
            session.answered(2900)
            owner = address(cluster, "killed")
        # Its watch ends later; a reader need not wait for that, as it does not answer.
        equal(uds("info", "--json", uri).json["state"], "needs-recovery")
        ran = uds("recover", uri)
        has(ran.err, owner, "does not answer: waiting until Ceph has given it up")
        has(cluster.ceph("osd blocklist ls"), owner)
        uds("verify", uri)
        answers = uds("peek", uri, stdin="".join("%s\n" % name(i) for i in range(3000))).out.split()
        equal(set(answers[i] for i in range(3000)) <= set(data(i) for i in range(3000)) | {"-"}, True)
        equal(sum(answer != "-" for answer in answers) >= 512, True, "whole chapters are there")


def a_merge_that_is_killed_goes_on_later():
    cluster = need()
    with Folder() as folder:
        plain, pair = Pair(folder, False, False).fill(), Pair(folder, True, True).fill()
        with cluster.impatient(), subprocess.Popen([TOOL, "snapshot", "merge", "--quiet", "--rate", "200K", "--origin", *pair.uris]) as process:
            time.sleep(0.7)
            equal(process.poll(), None, "it is not over yet")
            process.kill()
        pair.run("merge")
        plain.run("merge")
        equal(pair.bytes() == plain.bytes(), True)


def a_writer_that_lost_the_lock_writes_nothing_more():
    cluster = need()
    with Folder() as folder:
        uri = cluster.create("lost", index_bytes())
        create(uri)
        with Exec(folder, uri) as session:
            session.give(posts(0, 1000))
            session.answered(1000)
            # What Ceph does with a client whose lock is given away.
            cluster.ceph("osd blocklist", blocklistop="add", addr=address(cluster, "lost"))
            before = cluster.bytes("lost")
            session.give(posts(1000, 3000))
            equal(session.end(), FAILED, session.messages())
            has(session.messages(), uri, "the exclusive lock is lost (Ceph keeps this client out): nothing is written any more",
                "not saved")
        equal(cluster.bytes("lost") == before, True, "as it was")
        uds("recover", uri)
        uds("verify", uri)


# ---- a full cluster ----

RATIOS = ("nearfull", "backfillfull", "full")


def set_ratios(cluster, *values):
    for which, value in values:
        cluster.ceph("osd set-%s-ratio" % which, ratio=value)


def a_full_cluster_is_said():
    cluster = need()
    with Folder() as folder:
        index, store, origin = cluster.create("full", index_bytes()), cluster.create("store", 64 * MIB), os.path.join(folder, "origin")
        create(index)
        uds("snapshot", "create", "--chunk-size", "4K", store)
        with open(origin, "wb") as file:
            file.write(os.urandom(40 * MIB))
        cluster.put("filler", origin)
        write = ["snapshot", "write", "--origin", origin, "--offset", "0"]
        with Exec(folder, index) as session:
            session.give(posts(0, 10))
            session.answered(10)
            try:
                set_ratios(cluster, *zip(RATIOS, (0.001, 0.0015, 0.002)))
                cluster.wait_for(lambda: "pool(s) full" in cluster.ceph("health"))
                # More than the pipe takes.
                giving = threading.Thread(target=session.give, args=(posts(10, 3000),))
                giving.start()
                # The reason, as configured, and in the same words what was configured.
                uds(*write, store + "?full=error", stdin="x" * (9 * MIB), status=FAILED, says=[store, "No space left on device"])
                session.says("pool(s) full")
                has(session.messages(), index, "requests wait: no answer for ")
                equal(session.process.poll(), None, "it waits")
                # Opening to write is a write, too, and ends in time.
                uds(*write, store + "?timeout=2", status=FAILED, says=["the cluster does not answer", "pool(s) full"])
            finally:
                set_ratios(cluster, *zip(reversed(RATIOS), (0.95, 0.9, 0.85)))
            giving.join()
            equal(session.end(), 0, session.messages())
            has(session.messages(), "requests wait")
        uds("verify", index)
        uds("snapshot", "verify", store)
        uds(*write, store, stdin="x" * MIB)
        equal(uds("snapshot", "read", "--origin", origin, "--length", MIB, store).out == "x" * MIB, True)


# ---- what is not there ----

def what_is_not_there_is_named():
    cluster = need()
    cluster.create("there", MIB)
    cluster.run("rbd", "create", "--size", "1M", "--image-feature", "layering", "unlocked")
    with Folder() as folder:
        nowhere, secret = os.path.join(folder, "nowhere.conf"), os.path.join(folder, "secret.conf")
        with open(nowhere, "w", encoding="ascii") as file:
            file.write("[global]\nmon host = 127.0.0.1:1\n")
        with open(secret, "w", encoding="ascii") as file:
            file.write(open(cluster.conf, encoding="ascii").read().replace("auth client required = none",
                                                                          "auth client required = cephx"))
        for uri, words in (("rbd:rbd/nothing", "the pool rbd has no image nothing"),
                           ("rbd:nothing/x", "the pool nothing: the cluster has none of that name"),
                           ("rbd:rbd/there@never", "the image there has no snapshot never"),
                           ("rbd:there", "expected POOL/IMAGE"), ("rbd:rbd/a/b", "two slashes"), ("rbd:rbd/a@", "empty name"),
                           ("rbd:rbd/there?conf=/nowhere", "the configuration /nowhere cannot be read: No such file"),
                           ("rbd:rbd/there?conf=%s&timeout=1" % nowhere, "no monitor of the cluster has answered within 1 seconds"),
                           ("rbd:rbd/there?conf=%s&id=nobody" % secret, "the cluster does not let client.nobody in"),
                           ("rbd:rbd/there?timeout=x", "timeout: 'x' is no number"), ("rbd:rbd/there?speed=9", "unknown parameter"),
                           ("rbd:rbd/there?full=maybe", "full"), ("rbd:rbd/there?timeout=0", "no time to connect")):
            uds("verify", uri, status=None, says=[uri, words])
        # None can be made any more: its header is.
        old = os.path.join(folder, "old")
        with open(old, "wb") as file:
            file.write(b"<<< Rados Block Device Image >>>\n".ljust(40, b"\0") + b"rb.0.1".ljust(24, b"\0") + b"RBD\0" + b"001.005\0" +
                       bytes([22, 0, 0, 0]) + struct.pack("<QQIIQ", MIB, 0, 0, 0, 0))
        cluster.run("rados", "--pool", "rbd", "put", "old.rbd", old)
        for command in ("verify",), ("create", *SMALL):
            uds(*command, "rbd:rbd/old", status=FAILED, says="rbd:rbd/old: it has RBD's old image format 1")
        uds("create", *SMALL, "rbd:rbd/unlocked", status=FAILED, says="does not have the feature exclusive-lock")
        equal(cluster.bytes("unlocked") == bytes(MIB), True, "nothing was written")
        equal(cluster.bytes("there") == bytes(MIB), True, "nothing was written")


def a_library_that_is_not_there_is_named():
    libraries = os.path.join(BUILD, ".libs")
    if not os.path.exists(os.path.join(libraries, "uds")):
        raise Skip("the command is linked statically")
    with Folder() as folder:
        for library in os.listdir(libraries):
            if library.startswith("libuds.so"):
                os.symlink(os.path.abspath(os.path.join(libraries, library)), os.path.join(folder, library))
        ran = subprocess.run([os.path.join(libraries, "uds"), "info", "rbd:rbd/x"], capture_output=True, text=True, check=False,
                             env=dict(os.environ, LD_LIBRARY_PATH=folder))
        if "is brought by" not in ran.stderr:
            raise Skip("a libuds-rbd is installed")
        has(ran.stderr, "rbd:rbd/x", "is brought by libuds-rbd.so.0, which cannot be loaded (Debian: package libuds-rbd0)")


TESTS = [a_cluster_ends_with_the_test_also_when_that_is_killed, the_library_does_what_it_says,
         an_index_has_the_bytes_that_it_has_on_a_file, a_scan_keeps_its_index_there,
         an_image_is_scanned_as_the_file_that_it_was, an_image_that_is_too_small_is_named,
         create_image_makes_one_of_the_right_size, a_namespace_is_a_place_of_its_own,
         snapshots_have_the_bytes_that_they_have_on_files, the_same_image_is_not_both, a_snapshot_is_served,
         physical_volumes_and_vdo_volumes_are_images, requests_wait_for_an_osd_and_go_on,
         a_merge_waits_for_an_osd_and_goes_on, without_any_osd_there_is_an_error_in_time,
         a_second_writer_and_a_reader_are_refused, a_client_that_locks_by_habit_is_not_robbed,
         a_command_that_is_killed_leaves_what_can_be_recovered, a_merge_that_is_killed_goes_on_later,
         a_writer_that_lost_the_lock_writes_nothing_more, a_full_cluster_is_said, what_is_not_there_is_named,
         a_library_that_is_not_there_is_named]
# Where the command loads librbd, the address sanitizer does not know how C++ throws.
IN_SANITIZED_BUILDS = [the_library_does_what_it_says]


if __name__ == "__main__":
    sys.exit(main(TESTS, only=IN_SANITIZED_BUILDS if sanitized() else None))
