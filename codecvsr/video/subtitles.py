"""Text with bold, italic and underlined ranges, as SubRip (Matroska) and as 3GPP timed text (``mov_text`` of MP4 and MOV).

A timed-text sample is a 16-bit length, the text in UTF-8, and boxes; the box ``styl`` lists the ranges (3GPP TS 26.245 clauses
5.16, 5.17).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

FACES = {"b": 1, "i": 2, "u": 4}  # TS 26.245 clause 5.16.2, face-style-flags
_TAG = re.compile(r"<\s*(/?)\s*([a-zA-Z][a-zA-Z0-9]*)([^<>]*)>|\{\\[^{}]*\}")
_MAX_BYTES = 0xFFFF
_FONT, _SIZE, _WHITE = 1, 16, 0xFFFFFFFF

#: The encoder of timed text derives its sample description from this.
ASS_HEADER = (
    b"[Script Info]\r\nScriptType: v4.00+\r\nPlayResX: 384\r\nPlayResY: 288\r\n\r\n[V4+ Styles]\r\n"
    b"Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, "
    b"StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, "
    b"Encoding\r\nStyle: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1\r\n\r\n"
    b"[Events]\r\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\r\n"
)


@dataclass(frozen=True)
class StyledText:
    """Text with bold, italic and underlined ranges.

    Attributes:
        text: without any markup.
        faces: for each character the sum of 1 for bold, 2 for italic, 4 for underlined.
        lost: there was other markup.
    """

    text: str
    faces: tuple[int, ...]
    lost: bool = False


def decode(payload: bytes) -> str:
    """Returns the text of a subtitle: UTF-8 as the containers demand, else Windows-1252, which old files have instead."""
    try:
        return payload.decode("utf-8")
    except UnicodeDecodeError:
        return payload.decode("cp1252", "replace")


def join(texts: Sequence[StyledText]) -> StyledText:
    """Returns texts that are shown together, each on lines of its own."""
    text: list[str] = []
    faces: list[int] = []
    for number, each in enumerate(texts):
        text += ["\n"] * bool(number) + [each.text]
        faces += [0] * bool(number) + list(each.faces)
    return StyledText("".join(text), tuple(faces), any(each.lost for each in texts))


def parse_subrip(payload: bytes) -> StyledText:
    """Returns the text of a SubRip packet."""
    source = decode(payload).replace("\r\n", "\n").rstrip("\n")
    text: list[str] = []
    faces: list[int] = []
    depth = dict.fromkeys(FACES, 0)
    lost = "\ufffd" in source
    at = 0

    def add(part: str) -> None:
        text.append(part)
        faces.extend([sum(flag for name, flag in FACES.items() if depth[name] > 0)] * len(part))

    for tag in _TAG.finditer(source):
        add(source[at : tag.start()])
        at = tag.end()
        name = (tag[2] or "").lower()
        if name in FACES:
            depth[name] = max(depth[name] + (-1 if tag[1] else 1), 0)
        else:
            lost = True
    add(source[at:])
    return StyledText("".join(text), tuple(faces), lost)


def write_subrip(styled: StyledText) -> bytes:
    """Returns a SubRip packet."""
    parts: list[str] = []
    opened: list[str] = []  # the innermost last: tags are never interleaved
    for character, face in zip(styled.text + "\0", (*styled.faces, 0), strict=True):
        while any(not face & FACES[name] for name in opened):
            parts.append(f"</{opened.pop()}>")
        for name, flag in FACES.items():
            if face & flag and name not in opened:
                parts.append(f"<{name}>")
                opened.append(name)
        parts.append(character)
    return "".join(parts[:-1]).encode()


def parse_timed_text(payload: bytes) -> StyledText:
    """Returns the text of a timed-text sample; empty for a sample that shows nothing."""
    if len(payload) < 2:
        return StyledText("", (), bool(payload))
    length = struct.unpack_from(">H", payload)[0]
    raw = payload[2 : 2 + length]
    wide = raw[:2] in (b"\xfe\xff", b"\xff\xfe")
    text = raw.decode("utf-16" if wide else "utf-8", "replace")
    faces, lost, at = [0] * len(text), "\ufffd" in text, 2 + length
    while at + 8 <= len(payload):
        size, kind = struct.unpack_from(">I4s", payload, at)
        if kind == b"styl" and at + 10 <= len(payload):
            for number in range(struct.unpack_from(">H", payload, at + 8)[0]):
                place = at + 10 + 12 * number
                if place + 12 > len(payload):
                    lost = True
                    break
                start, stop, _, face, _, colour = struct.unpack_from(">HHHBBI", payload, place)
                faces[start:stop] = [face & 7] * len(faces[start:stop])
                lost |= colour >> 8 != _WHITE >> 8
        else:
            lost = True
        if size < 8:
            break
        at += size
    return StyledText(text, tuple(faces), lost)


def write_timed_text(styled: StyledText) -> bytes:
    """Returns a timed-text sample.

    Raises:
        ValueError: the text is longer than a sample can be.
    """
    raw = styled.text.encode()
    if len(raw) > _MAX_BYTES:
        raise ValueError(f"a subtitle of {len(raw)} bytes; at most {_MAX_BYTES} were expected")
    runs: list[tuple[int, int, int]] = []
    for place, face in enumerate(styled.faces):
        if runs and runs[-1][2] == face and runs[-1][1] == place:
            runs[-1] = (runs[-1][0], place + 1, face)
        elif face:
            runs.append((place, place + 1, face))
    sample = struct.pack(">H", len(raw)) + raw
    if runs:
        records = b"".join(struct.pack(">HHHBBI", a, b, _FONT, face, _SIZE, _WHITE) for a, b, face in runs)
        sample += struct.pack(">I4sH", 10 + len(records), b"styl", len(runs)) + records
    return sample
