"""The settings of a benchmark, and how its CRFs are read and written."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from codecvsr.bitstream.encode import PROXY_CRF, EncodeSettings, Gop
from codecvsr.errors import InputError


@dataclass(frozen=True)
class BenchmarkSettings:
    """How the clips of a benchmark are made.

    Attributes:
        crfs: CRFs; None means pristine frames with motion from a proxy encode.
        scale: HR size / LR size.
        gop, preset, fps: see :class:`EncodeSettings`.
        extractor: see :func:`codecvsr.bitstream.mv_sources.extractors.coded_frames`.
        encoder: libx264 inside PyAV, or the system's FFmpeg.
        allow_damaged: use the frames before the damage of a truncated source.
    """

    crfs: tuple[float | None, ...]
    scale: int = 4
    gop: Gop = "default"
    preset: str = "medium"
    fps: Fraction = Fraction(24)
    extractor: str = "auto"
    encoder: Literal["pyav", "ffmpeg"] = "pyav"
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        """Raises InputError for values that no clip can be made with."""
        if not self.crfs:
            raise InputError("no CRF was given; numbers from 0 to 51 or 'none' were expected.")
        if self.scale < 1:
            raise InputError(f"the scale {self.scale} is not a positive whole number.")
        for crf in self.crfs:
            self.encoding(crf)

    def encoding(self, crf: float | None) -> EncodeSettings:
        """Returns how the stream of a clip at ``crf`` is encoded."""
        return EncodeSettings(PROXY_CRF if crf is None else crf, self.preset, self.gop, self.fps)


def parse_crfs(text: str) -> tuple[float | None, ...]:
    """Parses ``"15,25,none"`` into (15.0, 25.0, None), each once.

    Raises:
        InputError: an item is neither a number nor ``none``.
    """
    crfs: list[float | None] = []
    for item in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            crf = None if item == "none" else float(item)
        except ValueError:
            raise InputError(f"the CRF {item!r} is neither a number from 0 to 51 nor 'none'.") from None
        if crf not in crfs:
            crfs.append(crf)
    return tuple(crfs)


def crf_label(crf: float | None) -> str:
    """Returns the end of a benchmark folder's name: ``CRF25``, ``CRF22.5``, ``CRFnone``."""
    return "CRFnone" if crf is None else f"CRF{crf:g}"


def stream_facts(settings: BenchmarkSettings) -> dict[str, object]:
    """Returns what all clips of one folder must agree in, by the keys of ``meta.json``."""
    return {
        "scale": settings.scale,
        "gop": settings.gop,
        "preset": settings.preset,
        "fps": str(settings.fps),
        "encoder_choice": settings.encoder,
    }
