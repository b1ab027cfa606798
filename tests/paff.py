"""H.264 whose pictures are pairs of fields (PAFF), as broadcasters send it and x264 does not code it: written bit by bit.

Every macroblock is I_PCM (ITU-T H.264 clause 7.3.5), so that the samples are in the stream as they are.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def _ue(value: int) -> str:
    """ue(v) of clause 9.1."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code


def _nal(header: int, bits: str, tail: bytes = b"") -> bytes:
    bits += "1" if not tail else ""
    bits += "0" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big") + tail
    payload, zeros = bytearray(), 0
    for byte in data:  # clause 7.4.1: no start code within a unit
        if zeros >= 2 and byte <= 3:
            payload.append(3)
            zeros = 0
        payload.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return b"\x00\x00\x00\x01" + bytes([header]) + bytes(payload)


def _parameter_sets(height: int, width: int) -> bytes:
    sizes = _ue(width // 16 - 1) + _ue(height // 32 - 1)
    # Main profile, level 3; frame_num of 4 bits, order counts of 8; one reference; fields, without MBAFF
    sequence = (
        f"{77:08b}{0:08b}{30:08b}" + _ue(0) + _ue(0) + _ue(0) + _ue(4) + _ue(1) + "0" + sizes + "0" + "0" + "1" + "00"
    )
    picture = _ue(0) * 2 + "00" + _ue(0) * 3 + "000" + _ue(0) * 3 + "100"
    return _nal(0x67, sequence) + _nal(0x68, picture)


def _field(luma: np.ndarray, number: int, place: int, *, is_bottom: bool, is_idr: bool) -> bytes:
    header = _ue(0) + _ue(7) + _ue(0) + f"{number % 16:04b}" + "1" + str(int(is_bottom))
    header += (_ue(0) if is_idr else "") + f"{(2 * number + place) % 256:08b}" + ("00" if is_idr else "0")
    header += _ue(0) + _ue(1)
    macroblocks = [
        luma[y : y + 16, x : x + 16].tobytes() + bytes([128]) * 128
        for y in range(0, luma.shape[0], 16)
        for x in range(0, luma.shape[1], 16)
    ]
    header += _ue(25)
    header += "0" * (-len(header) % 8)
    aligned = (_ue(25) + "0" * (-len(_ue(25)) % 8)).encode()
    start = int(aligned, 2).to_bytes(2, "big")
    return _nal(0x25 if is_idr else 0x21, header, start.join(macroblocks) + b"\x80")


def mux_fields(raw: Path, target: Path, *, rate: int = 25) -> Path:
    """Copies a raw stream of fields into a container; the second field of a frame is half a frame later."""
    base = Fraction(1, 90000)
    with av.open(str(raw)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        copy.time_base = base
        for number, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            packet.time_base = base
            packet.pts = packet.dts = 45000 * number // rate
            packet.duration = 45000 // rate
            packet.stream = copy
            new.mux(packet)
    return target


def write_paff(path: Path, woven: np.ndarray, *, top_first: bool = True) -> Path:
    """Writes (T, H, W) luma as a raw stream; H is a multiple of 32, W of 16, and no sample is 0.

    Two fields, from two moments, make a frame; each is a packet of its own.
    """
    data = bytearray(_parameter_sets(*woven.shape[1:]))
    for number, frame in enumerate(woven):
        for place, is_bottom in enumerate((not top_first, top_first)):
            data += _field(frame[int(is_bottom) :: 2], number, place, is_bottom=is_bottom, is_idr=number == place == 0)
    path.write_bytes(data)
    return path
