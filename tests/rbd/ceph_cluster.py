# SPDX-License-Identifier: BSD-2-Clause
"""A real Ceph cluster on this machine for tests: one monitor, two OSDs that keep data in memory. Skips where the script that
starts it, or a package, is missing."""
import atexit
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tool"))
from tool_support import Skip  # noqa: E402

SCRIPT = os.environ.get("UDS_CEPH_ONE_NODE", "")
# After so many seconds Ceph gives up a client, so that one that waits on a busy machine, or for a full cluster, is not.
WATCH_SECONDS = 60


class Cluster:
    def __init__(self):
        if not os.path.exists(os.path.join(os.environ.get("UDS_BUILDDIR", "."), ".libs", "libuds-rbd.so.0")):
            raise Skip("built without librbd")
        if not os.access(SCRIPT, os.X_OK):
            raise Skip("no ceph-one-node, which starts a cluster")
        # A short path: those of sockets have a small limit.
        self.folder = tempfile.mkdtemp(prefix="uds-ceph-", dir="/tmp")
        atexit.register(self.stop)
        # Its processes would keep pipes of ours open.
        with open(os.path.join(self.folder, "log"), "w+", encoding="utf-8") as log:
            done = subprocess.run([SCRIPT, "start", os.path.join(self.folder, "c"), "2"], stdin=subprocess.DEVNULL, stdout=log,
                                  stderr=log, check=False)
            log.seek(0)
            said = log.read()
        if done.returncode == 71:
            raise Skip(said.strip())
        if done.returncode != 0:
            raise AssertionError("ceph-one-node: status %d: %s" % (done.returncode, said))
        self.conf = os.path.join(self.folder, "c", "ceph.conf")
        os.environ["CEPH_CONF"] = self.conf
        self.watch(WATCH_SECONDS)
        # One that ends keeps what it has in memory, for its next start.
        self.ceph("config", "set", "osd", "osd_fast_shutdown", "false")

    def stop(self):
        subprocess.run([SCRIPT, "stop", os.path.join(self.folder, "c")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def watch(self, seconds):
        """When clients that open an image from now on are given up."""
        self.ceph("config", "set", "osd", "osd_client_watch_timeout", str(seconds))

    @contextlib.contextmanager
    def impatient(self):
        """Clients that are killed meanwhile are given up soon."""
        self.watch(5)
        try:
            yield
        finally:
            self.watch(WATCH_SECONDS)

    def run(self, *words, **options):
        done = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=120, **options)
        if done.returncode != 0:
            raise AssertionError("%s: status %d: %s" % (" ".join(words), done.returncode, done.stderr[-500:]))
        return done.stdout

    def ceph(self, *words):
        return self.run("ceph", *words, text=True)

    def create(self, name, size):
        self.run("rbd", "create", "--size", "%dB" % size, name)
        return "rbd:rbd/" + name

    def bytes(self, name):
        return self.run("rbd", "export", "--no-progress", name, "-")

    def put(self, name, path):
        """An image with the bytes of a file."""
        self.run("rbd", "import", "--no-progress", path, name)
        return "rbd:rbd/" + name

    def osd(self, number, state):
        subprocess.run([SCRIPT, "osd", os.path.join(self.folder, "c"), str(number), state], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)

    def wait_for(self, what, seconds=60):
        for _ in range(seconds * 4):
            if what():
                return
            time.sleep(0.25)
        raise AssertionError("the cluster does not become what it should: %s" % self.ceph("health"))

    def up(self):
        return int(re.search(r"(\d+) up", self.ceph("osd", "stat")).group(1))

    def down(self, *numbers):
        """Ends OSDs, and waits until they have."""
        for number in numbers:
            pid = open(os.path.join(self.folder, "c", "osd%d.pid" % number), encoding="ascii").read().strip()
            self.osd(number, "down")
            self.wait_for(lambda pid=pid: not os.path.exists("/proc/%s/exe" % pid) or self.is_zombie(pid))

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
