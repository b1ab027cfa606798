"""Boxes that FFmpeg's MP4 and MOV writer leaves out, added to the description of the pictures of a finished file.

A file of the ISO base media format (ISO/IEC 14496-12) is a tree of boxes: a size, a type and a payload. FFmpeg writes ``moov``, the
box of all descriptions, last: nothing that a file states by its position comes after it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_TO_ENTRIES = (b"mdia", b"minf", b"stbl", b"stsd")
_HANDLER_AT = 8  # in the payload of hdlr: version and flags, then 4 bytes that are reserved
_STSD_HEAD = 8  # version, flags, number of entries
_MAX_MOOV = 1 << 31


def box(kind: bytes, payload: bytes) -> bytes:
    """Returns a box."""
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def full_box(kind: bytes, payload: bytes) -> bytes:
    """Returns a box of version 0 without flags."""
    return box(kind, bytes(4) + payload)


def add_to_pictures(file: BinaryIO, boxes: bytes) -> None:
    """Adds boxes at the end of the first sample description of the first video track.

    Args:
        file: a finished file, open for reading and writing.
        boxes: that are added.

    Raises:
        ValueError: the file does not end with ``moov``, or has no video track.
    """
    start, moov = _last_box(file)
    path = _path_to_entry(moov)
    sizes = bytearray(moov)
    for at in path:
        struct.pack_into(">I", sizes, at, struct.unpack_from(">I", sizes, at)[0] + len(boxes))
    end = path[-1] + struct.unpack_from(">I", moov, path[-1])[0]
    file.seek(start)
    file.write(bytes(sizes[:end]) + boxes + bytes(sizes[end:]))


def _last_box(file: BinaryIO) -> tuple[int, bytes]:
    """Returns position and bytes of ``moov``."""
    length = file.seek(0, 2)
    at = 0
    while at + 8 <= length:
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            size = struct.unpack(">Q", file.read(8))[0]
        if kind == b"moov" and at + size == length and size < _MAX_MOOV:
            file.seek(at)
            return at, file.read(size)
        if size < 8:
            break
        at += size
    raise ValueError("a file with the box moov at its end was expected")


def _path_to_entry(moov: bytes) -> list[int]:
    """Returns the positions of the boxes from ``moov`` to the first sample description of the first video track."""
    for track, end in _children(moov, 8, len(moov), b"trak"):
        path = [0, track]
        handler = b""
        for kind in _TO_ENTRIES:
            child = next(_children(moov, path[-1] + 8, end, kind), None)
            if child is None:
                break
            if kind == b"mdia":
                for at, _ in _children(moov, child[0] + 8, child[1], b"hdlr"):
                    handler = moov[at + 8 + _HANDLER_AT : at + 12 + _HANDLER_AT]
            path.append(child[0])
            end = child[1]
        if handler == b"vide" and len(path) == 2 + len(_TO_ENTRIES):
            return [*path, path[-1] + 8 + _STSD_HEAD]
    raise ValueError("a file with a video track was expected")


def _children(data: bytes, at: int, stop: int, wanted: bytes) -> Iterator[tuple[int, int]]:
    """Yields begin and end of each box of a type."""
    while at + 8 <= stop:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        if kind == wanted:
            yield at, at + size
        at += size
