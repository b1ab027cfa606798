r"""Text of ASS and SSA subtitles, the form in which FFmpeg's decoders give text subtitles of every codec.

An event in Matroska is ``ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text``. Override blocks in braces change the
style inside of a text; ``\p`` begins a drawing, whose commands are no text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from codecvsr.video.subtitles import FACES, StyledText, decode

_TEXT_FIELD, _STYLE_FIELD = 8, 2
_TOKEN = re.compile(r"\\[Nnh{}]|\{[^{}]*\}")
_CHARACTERS = {"\\N": "\n", "\\n": " ", "\\h": "\u00a0", "\\{": "{", "\\}": "}"}
_ARGUMENTS = re.compile(r"\([^()]*(?:\([^()]*\)[^()]*)*\)")
_SWITCH = re.compile(r"\s*([biu])(-?\d*)\s*")
_DRAWING = re.compile(r"\s*p(\d+)\s*")
_RESET = re.compile(r"\s*r(.*)")
_BOLD_WEIGHT = 600  # a \b of more than 1 is a weight


def read_styles(header: bytes) -> dict[str, int]:
    """Returns the faces of each style: the sum of 1 for bold, 2 for italic, 4 for underlined."""
    styles: dict[str, int] = {}
    names: list[str] = []
    for line in decode(header).splitlines():
        kind, _, rest = line.partition(":")
        fields = [part.strip() for part in rest.split(",")]
        if kind == "Format" and "Fontname" in fields:
            names = [name.lower() for name in fields]
        elif kind == "Style" and names:
            values = dict(zip(names, fields, strict=False))
            faces = (("bold", 1), ("italic", 2), ("underline", 4))
            styles[values.get("name", "").lstrip("*")] = sum(
                flag for name, flag in faces if values.get(name, "0") not in ("0", "")
            )
    return styles


@dataclass
class _Faces:
    """Bold, italic and underlined at one place of a text."""

    style: int
    now: int
    is_drawing: bool = False
    lost: bool = False

    def apply(self, block: str, styles: dict[str, int]) -> None:
        """Applies an override block, without its braces."""
        for tag in _ARGUMENTS.sub("()", block).split("\\")[1:]:
            if switch := _SWITCH.fullmatch(tag):
                flag, value = FACES[switch[1]], switch[2]
                is_on = bool(self.style & flag) if value == "" else value == "1" or int(value) >= _BOLD_WEIGHT
                self.now = self.now | flag if is_on else self.now & ~flag
            elif drawing := _DRAWING.fullmatch(tag):
                self.is_drawing = drawing[1] != "0"
                self.lost |= self.is_drawing
            elif reset := _RESET.fullmatch(tag):
                self.now = styles.get(reset[1].strip(), self.style)
            else:
                self.lost = True


def parse_event(event: bytes, styles: dict[str, int]) -> StyledText:
    """Returns the text of an event.

    Args:
        event: as in Matroska.
        styles: of :func:`read_styles`.
    """
    fields = decode(event.rstrip(b"\r\n\0")).split(",", _TEXT_FIELD)
    if len(fields) <= _TEXT_FIELD:
        return StyledText("", (), bool(event))
    style = styles.get(fields[_STYLE_FIELD].strip().lstrip("*"), 0)
    source = fields[_TEXT_FIELD]
    faces = _Faces(style, style)
    text: list[str] = []
    flags: list[int] = []
    at = 0
    for token in (*_TOKEN.finditer(source), None):
        plain = source[at : token.start() if token else len(source)]
        shown = plain + (_CHARACTERS.get(token[0], "") if token else "")
        if not faces.is_drawing:
            text.append(shown)
            flags += [faces.now] * len(shown)
        if token:
            at = token.end()
            if token[0][0] == "{":
                faces.apply(token[0][1:-1], styles)
    return StyledText("".join(text), tuple(flags), faces.lost or "\ufffd" in source)
