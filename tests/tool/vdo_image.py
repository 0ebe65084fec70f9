# SPDX-License-Identifier: BSD-2-Clause
"""A small VDO volume in a file, byte by byte as the layout says it, to be damaged and filled at will."""
import struct
import zlib

BLOCK = 4096
NONCE = 0x0123456789abcdef
DATA_AT = 680000     # block of the super block: the smallest index fits in front
FIRST_SLAB = DATA_AT + 8
SLABS, SLAB_BLOCKS, SLAB_DATA, SLAB_REFERENCES = 3, 64, 48, 2
BLOCKS = FIRST_SLAB + SLABS * SLAB_BLOCKS + 4
CLEAN, DIRTY = 2, 0
DEPOT = 309          # in the super block: the numbers of the slab depot


def le(number, size):
    return number.to_bytes(size, "little")


def header(number, major, size):
    return le(number, 4) + le(major, 4) + le(0, 4) + le(size, 8)


def seal(block, at):
    """The block with its checksum at that place."""
    return block[:at] + le(zlib.crc32(bytes(block[:at]), 0xffffffff), 4) + block[at + 4:]


def geometry(version=5, memory=0xffffff00, sparse=0):
    block = b"dmvdo001" + header(5, version, 101 if version == 5 else 93) + bytes(4) + le(NONCE, 8)
    block += bytes(range(0xa0, 0xb0)) + (bytes(8) if version == 5 else b"")
    block += le(0, 4) + le(1, 8) + le(1, 4) + le(DATA_AT, 8) + le(memory, 4) + bytes(4) + bytes([sparse])
    return seal(block + bytes(BLOCK - len(block)), len(block))


def super_block(state=CLEAN):
    block = header(0, 12, 418) + bytes(4) + struct.pack("<4I", 67, 0, 41, 0) + le(state, 4) + bytes(16)
    block += struct.pack("<5Q", 1000, BLOCKS, SLAB_BLOCKS, 16, 4) + le(NONCE, 8)
    block += header(1, 3, 117) + bytes(16) + bytes([4]) + bytes(100)
    block += header(2, 7, 24) + struct.pack("<3Q", 1, 10, 1)
    block += header(3, 2, 73) + struct.pack("<9Q", SLAB_BLOCKS, SLAB_DATA, SLAB_REFERENCES,
                                            SLAB_BLOCKS - SLAB_DATA - SLAB_REFERENCES, 4, 5, 6, FIRST_SLAB,
                                            FIRST_SLAB + SLABS * SLAB_BLOCKS) + b"\1"
    block += header(4, 2, 32) + bytes(32)
    assert len(block) == 434
    return seal(block + bytes(BLOCK - len(block)), 434)


def compressed(letters):
    """A compressed block whose fragments are blocks of one letter each, as LZ4 would make them."""
    parts = [b"\x1f" + c + b"\1\0" + b"\xff" * 15 + b"\xf6\x50" + c * 5 for c in letters]
    sizes = [len(part) for part in parts] + [0] * (14 - len(parts))
    block = struct.pack("<II14H", 1, 0, *sizes) + b"".join(parts)
    return block + bytes(BLOCK - len(block))


def map_page(block):
    """A page of the block map that lies in block @block."""
    page = struct.pack("<IIQQ", 4, 1, NONCE, block) + b"\1" * 16
    return page + bytes(BLOCK - len(page))


def block_of(number):
    """The n-th data block of all slabs."""
    return FIRST_SLAB + number // SLAB_DATA * SLAB_BLOCKS + number % SLAB_DATA


def set_slabs(count, blocks=64, data=48, references=2):
    """Volumes that are made from now on have these."""
    global SLABS, SLAB_BLOCKS, SLAB_DATA, SLAB_REFERENCES, BLOCKS
    SLABS, SLAB_BLOCKS, SLAB_DATA, SLAB_REFERENCES = count, blocks, data, references
    BLOCKS = FIRST_SLAB + count * blocks + 4


class Volume:
    """A volume without an index."""
    def __init__(self, path, version=5, state=CLEAN):
        self.path = path
        with open(path, "wb") as file:
            file.truncate(BLOCKS * BLOCK)
        self.write(0, geometry(version))
        self.write(DATA_AT, super_block(state))

    def write(self, block, content, at=0):
        with open(self.path, "r+b") as file:
            file.seek(block * BLOCK + at)
            file.write(content)

    def read(self, block):
        with open(self.path, "rb") as file:
            file.seek(block * BLOCK)
            return file.read(BLOCK)

    def set_super(self, at, content, sealed=True):
        block = bytearray(self.read(DATA_AT))
        block[at:at + len(content)] = content
        self.write(DATA_AT, seal(bytes(block), 434) if sealed else bytes(block))

    def set_geometry(self, at, content, sealed=True):
        block = bytearray(self.read(0))
        block[at:at + len(content)] = content
        self.write(0, seal(bytes(block), 97) if sealed else bytes(block))

    def count(self, number, references):
        """The reference counter of a data block."""
        slab, inside = divmod(number, SLAB_DATA)
        self.write(FIRST_SLAB + slab * SLAB_BLOCKS + SLAB_DATA, bytes([references]),
                   inside // 504 * 512 + 8 + inside % 504)

    def store(self, number, content, references=1):
        self.write(block_of(number), content)
        self.count(number, references)
