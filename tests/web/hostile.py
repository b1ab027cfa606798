"""Uploads that mean no good: broken, random, compressed bombs, dimensions and durations that are lies, names with markup."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
from collections.abc import Iterator

NAMES = ("../../etc/passwd", "..\\..\\windows.mp4", "<script>alert(1)</script>.mp4", '"><img src=x onerror=a()>', "a\x00b.mp4",
         "con.mp4", "\u202egpm.exe", "x" * 3000, ".", "", "%2e%2e%2f", "$(reboot).mp4", "a;b|c&d.mp4", "\n\r.mp4")  # fmt: skip


def hostile_uploads(sound: bytes, count: int, seed: int = 1) -> Iterator[tuple[str, bytes]]:
    """``count`` pairs of a name and a content, the same in every run; ``sound`` is a good MP4 that is spoilt in many ways."""
    chance = random.Random(seed)
    isas = (_truncated, _flipped, _noise, _headed_noise, _bomb, _lying_size, _lying_table, _script, _doubled, _swapped)
    for number in range(count):
        content = isas[number % len(isas)](sound, chance)
        yield NAMES[number % len(NAMES)], content


def _truncated(sound: bytes, chance: random.Random) -> bytes:
    return sound[: chance.randrange(1, len(sound))]


def _flipped(sound: bytes, chance: random.Random) -> bytes:
    spoilt = bytearray(sound)
    for _ in range(chance.choice((1, 10, 200))):
        spoilt[chance.randrange(32, len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def _noise(sound: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.randrange(1, 9000))


def _headed_noise(sound: bytes, chance: random.Random) -> bytes:
    heads = (
        sound[:40],
        b"\x1a\x45\xdf\xa3",
        b"RIFF\x00\x10\x00\x00AVI ",
        b"FLV\x01\x05\x00\x00\x00\x09",
        b"\x00\x00\x00\x01\x67",
    )
    return chance.choice(heads) + chance.randbytes(chance.randrange(100, 9000))


def _bomb(sound: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        return gzip.compress(bytes(20_000_000))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("clip.mp4", bytes(20_000_000))
    return packed.getvalue()


def _lying_size(sound: bytes, chance: random.Random) -> bytes:
    """Width and height of the sample entry: up to 65535 each."""
    at = sound.index(b"avc1", 40) + 28
    size = struct.pack(">HH", *chance.choice(((65535, 65535), (1, 1), (0, 0), (30000, 2), (16384, 16384))))
    return sound[:at] + size + sound[at + 4 :]


def _lying_table(sound: bytes, chance: random.Random) -> bytes:
    """Counts and offsets of the tables of samples."""
    at = sound.index(chance.choice((b"stsz", b"stts", b"stsc", b"stco", b"mdhd", b"avcC"))) + chance.choice(
        (4, 8, 12, 16)
    )
    return sound[:at] + struct.pack(">I", chance.choice((0, 0x7FFFFFFF, 0xFFFFFFFF))) + sound[at + 4 :]


def _script(sound: bytes, chance: random.Random) -> bytes:
    return chance.choice(
        (
            b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n",
            b"ffconcat version 1.0\nfile /etc/passwd\n",
            b"<html><script>alert(1)</script></html>",
            b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><MPD>&b;</MPD>',
            b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\n",
        )
    )


def _doubled(sound: bytes, chance: random.Random) -> bytes:
    return sound + sound[chance.randrange(len(sound)) :] * 3


def _swapped(sound: bytes, chance: random.Random) -> bytes:
    """Boxes in a wrong order, cut at random."""
    cut = chance.randrange(40, len(sound) - 8)
    return sound[:32] + sound[cut:] + sound[32:cut]
