# SPDX-License-Identifier: BSD-2-Clause
"""A virtual machine with a real kernel, for the tests that need one: the program that UDS_KERNEL_GUEST names.

Where it is emulated, more than half of its start would be that the kernel unpacks itself. So it is unpacked here, once,
in the folder of the build, and started as it is then.
"""
import fcntl
import glob
import lzma
import os
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))
from support import Results, Skip  # noqa: E402

GUEST = os.environ.get("UDS_KERNEL_GUEST", "")
BUILD = os.environ.get("UDS_BUILDDIR", ".")
KILLED = 76         # its status after --kill-on
DID_NOT_RUN = 64    # and more: it was not the commands that failed


class Part:
    """What one of several tests asks the same machine, whose start takes longer than most of what is asked."""
    def __init__(self, script, disks, files, options, judge):
        self.script, self.disks, self.files, self.options = script, disks, files, options
        self.judge = judge  # judge(said, results)


def guest_or_skip(*kinds):
    """Raises Skip where there is no guest with what these options ask for (--lvm, --vdo)."""
    if not GUEST or not os.access(GUEST, os.X_OK):
        raise Skip("no kernel guest (UDS_KERNEL_GUEST)")
    for option in ("--check", "--fetch-only"):
        done = ask(*kinds, option)
        if done.returncode:
            lines = done.stderr.strip().splitlines()
            raise Skip(lines[0] if lines else "kernel guest: status %d" % done.returncode)


def ask(*arguments):
    return subprocess.run([GUEST, *arguments], capture_output=True, text=True, errors="replace", timeout=600,
                          check=False)


def packed_kernel(image):
    """What a bzImage has in it, unpacked; None where it is packed in a way that is not known here."""
    at = (image[0x1f1] + 1) * 512 + struct.unpack_from("<I", image, 0x248)[0]
    packed = image[at:at + struct.unpack_from("<I", image, 0x24c)[0]]
    if packed.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(packed)
    if packed.startswith(b"\x28\xb5\x2f\xfd"):
        # What follows the packed kernel is its size.
        return subprocess.run(["zstd", "-dcq"], input=packed, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              check=False).stdout
    return None


def starts_unpacked(kernel):
    """Whether it has the note that says where an emulator may enter it."""
    return kernel and any(struct.pack("<III4s", 4, size, 18, b"Xen\0") in kernel for size in (4, 8))


def unpack(cache, folder):
    """A folder for --kernel-dir with the kernel of the cache unpacked, or None."""
    os.makedirs(os.path.join(folder, "boot"), exist_ok=True)
    with open(os.path.join(folder, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for image in glob.glob(os.path.join(cache, "boot", "vmlinuz-*")):
            unpacked = os.path.join(folder, "boot", os.path.basename(image))
            if os.path.exists(unpacked):
                return folder
            with open(image, "rb") as file:
                kernel = packed_kernel(file.read())
            if not starts_unpacked(kernel):
                return None
            with open(unpacked + ".new", "wb") as file:
                file.write(kernel)
            if not os.path.islink(os.path.join(folder, "lib")):
                os.symlink(os.path.join(cache, "lib"), os.path.join(folder, "lib"))
            os.rename(unpacked + ".new", unpacked)
            return folder
    return None


def kernel_options(vdo):
    """Options for the unpacked kernel; none where it cannot be had, or where starting is quick anyway."""
    if "accelerator: tcg" not in ask("--check").stdout:
        return []
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.environ.get("HOME", "/tmp"), ".cache")
    cache = os.environ.get("KERNEL_GUEST_CACHE") or os.path.join(home, "kernel-guest")
    cache = os.path.join(cache, "kernel-vdo" if vdo else "kernel")
    try:
        folder = unpack(cache, os.path.join(BUILD, "tests", "interop", "kernels", os.path.basename(cache)))
    except (OSError, struct.error, lzma.LZMAError):
        return []
    if not folder:
        return []
    # With a kernel of one's own it takes no modules and tools along for VDO.
    return ["--kernel-dir", folder] + (["--module", "dm-vdo", "--tool", os.path.join(cache, "vdoformat")] if vdo else [])


def run_guest(*arguments, timeout=240, **options):
    """Runs it. It may take @timeout seconds. What subprocess.run() returns, with text."""
    return subprocess.run([GUEST, "-q", "--timeout", str(timeout), *kernel_options("--vdo" in arguments), *arguments],
                          capture_output=True, text=True, errors="replace", timeout=timeout + 60, check=False,
                          **options)


def tool():
    """The command without libtool's wrapper, and the libraries that go with it (run_lvm() sets LD_LIBRARY_PATH so that
    what these need is found and taken along)."""
    inner = os.path.join(BUILD, ".libs", "uds")
    libraries = [path for name in ("libuds", "libuds-shards")  # by their sonames
                 for path in glob.glob(os.path.join(BUILD, ".libs", name + ".so.[0-9]"))]
    if os.path.exists(inner) and libraries:
        return ["--tool", inner, *(word for path in libraries for word in ("-f", path))]
    return ["--tool", os.path.join(BUILD, "uds")]


def lvm_or_skip():
    """Raises Skip where there is no guest with LVM's commands, or no command to take along."""
    if not os.access(os.path.join(BUILD, "uds"), os.X_OK):
        raise Skip("the uds command is not built")
    guest_or_skip("--lvm")


def run_lvm(folder, disks, *arguments):
    """The command and LVM's on new disks: (name, MiB, image in @folder). What was printed, and the errors."""
    lvm_or_skip()
    options = []
    for name, size, image in disks:
        path = os.path.join(folder, image)
        with open(path, "wb") as file:
            file.truncate(size << 20)
        options += ["-d", "%s=%s" % (name, path)]
    done = run_guest("--lvm", "--mem", "768", *tool(), *options, *arguments, timeout=300,
                     env=dict(os.environ, LD_LIBRARY_PATH=os.path.join(BUILD, ".libs")))
    if done.returncode >= DID_NOT_RUN:
        raise Skip("the kernel guest did not run: status %d: %s" % (done.returncode, done.stderr[-300:]))
    return done.stdout, done.stderr


def judge(ask_for, tests):
    """A program's main(): what one run of the guest says (ask_for(folder), which may raise Skip), each of @tests judges."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="uds-guest-") as folder:
        try:
            said = ask_for(folder)
        except Skip as reason:
            results.skip(tests, reason)
            return results.finish()
        for test in tests:
            results.run(test.__name__, test, said)
    return results.finish()
