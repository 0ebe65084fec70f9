# SPDX-License-Identifier: BSD-2-Clause
"""A small LVM volume group on two files, byte by byte as the layout says it, with checksums of its own."""
import os
import zlib

EXTENT, DATA_AT, EXTENTS = 4096, 65536, 100
AREA_AT, AREA = 4096, DATA_AT - 4096
PV_BYTES = DATA_AT + EXTENTS * EXTENT


def le(number, size):
    return number.to_bytes(size, "little")


def checksum(data):
    return le(~zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) & 0xffffffff, 4)


def uuid(letter):
    return "-".join(letter * n for n in (6, 4, 4, 4, 4, 4, 6))


def linear(*segments):
    """(pv, first extent, extents) each."""
    start, parts = 0, []
    for pv, first, count in segments:
        parts.append((start, count, 'type = "striped"\nstripe_count = 1\nstripes = ["%s", %d]' % (pv, first)))
        start += count
    return parts


def striped(sectors, count, *stripes):
    places = ", ".join('"%s", %d' % stripe for stripe in stripes)
    return [(0, count, 'type = "striped"\nstripe_count = %d\nstripe_size = %d\nstripes = [%s]'
             % (len(stripes), sectors, places))]


def of_type(name, count=1):
    return [(0, count, 'type = "%s"' % name)]


def snapshot(origin, cow, chunk_sectors=8, key="cow_store"):
    return [(0, 1, 'type = "snapshot"\nchunk_size = %d\norigin = "%s"\n%s = "%s"'
             % (chunk_sectors, origin, key, cow))]


# origin and stripes have pieces on both, with holes between them; snap and snap2 are of origin, other is of stripes.
VOLUMES = {
    "origin": linear(("pv0", 2, 10), ("pv1", 0, 8), ("pv0", 20, 6)),
    "stripes": striped(4, 16, ("pv0", 30), ("pv1", 10)),
    "plain": linear(("pv0", 40, 2)),
    "snap": linear(("pv1", 20, 20), ("pv0", 90, 10)),
    "snap2": linear(("pv0", 44, 30)),
    "other": linear(("pv1", 50, 20)),
    "mirrored": of_type("mirror"),
    "snapshot0": snapshot("origin", "snap"),
    "snapshot1": snapshot("origin", "snap2"),
    "snapshot2": snapshot("stripes", "other"),
}
HIDDEN = ("snap", "snap2", "other")


def group_text(volumes, seqno=1):
    text = 'vg {\nid = "%s"\nseqno = %d\nextent_size = 8\nphysical_volumes {\n' % (uuid("g"), seqno)
    for name, letter in (("pv0", "a"), ("pv1", "b")):
        text += '%s {\nid = "%s"\ndevice = "/dev/sd%s"\ndev_size = %d\npe_start = %d\npe_count = %d\n}\n' % (
            name, uuid(letter), letter, PV_BYTES // 512, DATA_AT // 512, EXTENTS)
    text += "}\nlogical_volumes {\n"
    for i, (name, segments) in enumerate(volumes.items()):
        status = '"READ", "WRITE"' + ("" if name in HIDDEN else ', "VISIBLE"')
        text += '%s {\nid = "%s"\nstatus = [%s]\nsegment_count = %d\n' % (
            name, uuid(chr(ord("A") + i)), status, len(segments))
        for k, (start, count, rest) in enumerate(segments):
            text += "segment%d {\nstart_extent = %d\nextent_count = %d\n%s\n}\n" % (k + 1, start, count, rest)
        text += "}\n"
    return text + '}\n}\ncontents = "Text Format Volume Group"\nversion = 1\n'


def pv_head(letter, text):
    """What is in front of the data of a physical volume."""
    label = letter.encode() * 32 + le(PV_BYTES, 8) + le(DATA_AT, 8) + le(0, 8) + bytes(16)
    label += le(AREA_AT, 8) + le(AREA, 8) + bytes(16)
    label = le(32, 4) + b"LVM2 001" + label
    label += bytes(512 - 20 - len(label))
    data = text.encode() + b"\0"
    area = b" LVM2 x[5A%r0N*>" + le(1, 4) + le(AREA_AT, 8) + le(AREA, 8)
    area += le(512, 8) + le(len(data), 8) + checksum(data) + le(0, 4)
    area += bytes(508 - len(area))
    head = bytes(512) + b"LABELONE" + le(1, 8) + checksum(label) + label
    head += bytes(AREA_AT - len(head)) + checksum(area) + area + data
    return head + bytes(DATA_AT - len(head))


class Group:
    """Two files a and b in a folder; the volumes hold zeros."""
    def __init__(self, folder, volumes=None):
        self.paths = [os.path.join(folder, name) for name in "ab"]
        for path in self.paths:
            with open(path, "wb") as file:
                file.truncate(PV_BYTES)
        self.write(VOLUMES if volumes is None else volumes)

    def write(self, volumes, seqno=1):
        """Its metadata, anew."""
        for path, letter in zip(self.paths, "ab"):
            with open(path, "r+b") as file:
                file.write(pv_head(letter, group_text(volumes, seqno)))

    def uri(self, volume, order=(0, 1)):
        pvs = "&".join("pv=" + self.paths[i].replace("%", "%25").replace("&", "%26") for i in order)
        return "lvm:vg/%s?%s" % (volume, pvs)

    def bytes(self):
        return [open(path, "rb").read() for path in self.paths]
