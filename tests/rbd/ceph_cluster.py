# SPDX-License-Identifier: BSD-2-Clause
"""A real Ceph cluster on this machine for tests: one monitor, two OSDs that keep data in memory. Skips where the script that
starts it, or a package, is missing."""
import atexit
import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from tool_support import Skip, parts_of, sanitized  # noqa: E402

SCRIPT = os.environ.get("UDS_CEPH_ONE_NODE", "")
# After so many seconds Ceph gives up a client, so that one that waits on a busy machine, or for a full cluster, is not.
WATCH_SECONDS = 60


class Keeper:
    """A cluster's processes, started and ended by one of a session of its own: so they end with this program, however that
    ends, and also while they start."""
    # It reads to the end of what nobody but this program writes. Its processes would keep pipes of ours open. One that
    # nobody reads ends who writes there: that is a process of its own.
    GUARD = '"$0" start "$1/c" 2 </dev/null >"$1/log" 2>&1; (echo $?); read _; ' \
        '"$0" stop "$1/c" >/dev/null 2>&1; rm -rf "$1"'

    def __init__(self, script):
        # A short path: those of sockets have a small limit.
        self.folder = tempfile.mkdtemp(prefix="uds-ceph-", dir="/tmp")
        self.guard = subprocess.Popen(["sh", "-c", self.GUARD, script, self.folder], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True)

    def started(self):
        """Waits for it. The status and the messages of the script."""
        status = int(self.guard.stdout.readline())
        return status, open(os.path.join(self.folder, "log"), encoding="utf-8").read().strip()

    def end(self):
        self.guard.stdin.close()
        self.guard.wait()


class Monitor:
    """Asks a monitor, by a process that goes on, in the Python that has Ceph's modules: the ceph command takes 0.2 s of a
    processor each time."""
    PYTHON = "/usr/bin/python3"
    PROGRAM = """if True:
        import json, rados, sys
        with rados.Rados(conffile=sys.argv[1]) as cluster:
            for line in sys.stdin:
                status, out, message = cluster.mon_command(line, b"", timeout=60)
                print(json.dumps([status, out.decode(), message]), flush=True)
        """

    def __init__(self, conf):
        self.process = subprocess.Popen([self.PYTHON, "-c", self.PROGRAM, conf], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, command, arguments):
        self.process.stdin.write(json.dumps(dict(prefix=command, **arguments)) + "\n")
        self.process.stdin.flush()
        status, out, message = json.loads(self.process.stdout.readline())
        if status != 0:
            raise AssertionError("%s %s: status %d: %s" % (command, arguments, status, message))
        return out

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Cluster:
    def __init__(self):
        if not os.path.exists(os.path.join(os.environ.get("UDS_BUILDDIR", "."), ".libs", "libuds-rbd.so.0")):
            raise Skip("built without librbd")
        if not os.access(SCRIPT, os.X_OK):
            raise Skip("no ceph-one-node, which starts a cluster")
        if "thread" in sanitized():
            raise Skip("the thread sanitizer does not know what librbd does")
        self.keeper, self.monitor = Keeper(SCRIPT), None
        self.folder = self.keeper.folder
        atexit.register(self.stop)
        status, said = self.keeper.started()
        if status == 71:
            raise Skip(said)
        if status != 0:
            raise AssertionError("ceph-one-node: status %d: %s" % (status, said))
        self.conf = os.path.join(self.folder, "c", "ceph.conf")
        os.environ["CEPH_CONF"] = self.conf
        self.monitor = Monitor(self.conf)
        self.watch(WATCH_SECONDS)
        # One that ends keeps what it has in memory, for its next start.
        self.ceph("config set", who="osd", name="osd_fast_shutdown", value="false")

    def stop(self):
        if self.monitor is not None:
            self.monitor.end()
        self.keeper.end()

    def watch(self, seconds):
        """When clients that open an image from now on are given up."""
        self.ceph("config set", who="osd", name="osd_client_watch_timeout", value=str(seconds))

    @contextlib.contextmanager
    def impatient(self):
        """Clients that are killed meanwhile are given up soon."""
        self.watch(5)
        try:
            yield
        finally:
            self.watch(WATCH_SECONDS)

    def run(self, *words, **options):
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        done = subprocess.run(words, capture_output=True, check=False, timeout=120, **options)
        if done.returncode != 0:
            raise AssertionError("%s: status %d: %s" % (" ".join(words), done.returncode, done.stderr[-500:]))
        return done.stdout

    def ceph(self, command, **arguments):
        """What the monitor answers."""
        return self.monitor.ask(command, arguments)

    def create(self, name, size):
        self.run("rbd", "create", "--size", "%dB" % size, name)
        return "rbd:rbd/" + name

    def bytes(self, name):
        return self.run("rbd", "export", "--no-progress", name, "-")

    def put(self, name, path):
        """An image with the bytes of a file. (rbd import would read its holes.)"""
        size = os.path.getsize(path)
        diff = [b"rbd diff v1\n"]
        with open(path, "rb") as file:
            for at, part in parts_of(file, 0, size, 1 << 16):
                if any(part):
                    diff += struct.pack("<cQQ", b"w", at, len(part)), part
        uri = self.create(name, size)
        self.run("rbd", "import-diff", "--no-progress", "-", name, input=b"".join(diff) + b"e")
        return uri

    def osd(self, number, state):
        """Tells an OSD to end, or starts it again: when it has ended, as only then it has written all that it needs."""
        if state == "up":
            self.wait_for(lambda: self.has_ended(number))
        subprocess.run([SCRIPT, "osd", os.path.join(self.folder, "c"), str(number), state], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def wait_for(self, what, seconds=60):
        for _ in range(seconds * 4):
            if what():
                return
            time.sleep(0.25)
        raise AssertionError("the cluster does not become what it should: %s" % self.ceph("health"))

    def up(self):
        return int(re.search(r"(\d+) up", self.ceph("osd stat")).group(1))

    def has_ended(self, number):
        """Whether an OSD is gone. It is not up any more long before."""
        pid = open(os.path.join(self.folder, "c", "osd%d.pid" % number), encoding="ascii").read().strip()
        return not os.path.exists("/proc/%s/exe" % pid) or self.is_zombie(pid)

    def down(self, *numbers):
        """Ends OSDs, and waits until they have."""
        for number in numbers:
            self.osd(number, "down")
        for number in numbers:
            self.wait_for(lambda number=number: self.has_ended(number))

    @staticmethod
    def is_zombie(pid):
        try:
            return ") Z " in open("/proc/%s/stat" % pid, encoding="ascii").read()
        except OSError:
            return True

    def start(self, *numbers):
        for number in numbers:
            self.osd(number, "up")
        self.wait_for(lambda: self.up() == 2)
