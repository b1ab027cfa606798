"""The request to enlarge a whole video, and the options of ``upscale`` that it means."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast, get_args

from codecvsr.bitstream.deinterlace import MODES, Deinterlace
from codecvsr.models.model_names import QUALITIES
from codecvsr.upscaling.default_output import default_output, named_output
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.segments import Codec
from codecvsr.video.stream_mapping import CONTAINERS
from codecvsr.web.checks import ParameterError, check_number, check_object

_STEM_LENGTH = 100  # characters of a download's name


@dataclass(frozen=True)
class Enlargement:
    """Options of a whole video, as in a request.

    Attributes:
        quality: a key of :data:`QUALITIES`, which chooses the model.
        scale: output pixels per input pixel, 1 to 4; less if the server's limit of output pixels needs it.
        codec: of the output.
        crf: constant rate factor of the output.
        deinterlace: as ``upscale --deinterlace``.
        strength: as ``upscale --strength``.
        skip_static: as ``upscale --skip-static``, which is ``auto`` without this.
        tonemap: as ``upscale --tonemap``; without effect on SDR.
        conceal: as ``upscale --conceal``.
    """

    quality: str = "balanced"
    scale: int = 4
    codec: Codec = "h264"
    crf: float = 18.0
    deinterlace: Deinterlace = "auto"
    strength: float = 1.0
    skip_static: bool = False
    tonemap: bool = True
    conceal: bool = False

    @classmethod
    def from_json(cls, value: object, models: Mapping[str, Mapping[str, Any]]) -> Enlargement:
        """Read the field ``upscale`` of a request.

        Raises:
            ParameterError: a field is unknown, of a wrong type or out of range, or its model is not installed.
        """
        asked = check_object(value, {field.name for field in fields(cls)}, "upscale")
        usual = cls()
        quality = _choice(asked, "quality", tuple(QUALITIES), usual.quality)
        if QUALITIES[quality] not in models:
            raise ParameterError(f"upscale.quality: the weights of {QUALITIES[quality]} are not installed.")
        scale = check_number(asked.get("scale", usual.scale), "upscale.scale", 1, 4)
        if scale != int(scale):
            raise ParameterError("upscale.scale: 1, 2, 3 or 4 was expected.")
        return cls(
            quality=quality,
            scale=int(scale),
            codec=cast(Codec, _choice(asked, "codec", get_args(Codec), usual.codec)),
            crf=check_number(asked.get("crf", usual.crf), "upscale.crf", 0, 51),
            deinterlace=cast(Deinterlace, _choice(asked, "deinterlace", tuple(MODES), usual.deinterlace)),
            strength=check_number(asked.get("strength", usual.strength), "upscale.strength", 0, 1),
            skip_static=_flag(asked, "skip_static", usual.skip_static),
            tonemap=_flag(asked, "tonemap", usual.tonemap),
            conceal=_flag(asked, "conceal", usual.conceal),
        )

    @property
    def model(self) -> str:
        """Name of the model."""
        return QUALITIES[self.quality]

    def options(self, width: int, height: int, device: str, output_pixels: int) -> UpscaleOptions:
        """Returns the options of ``upscale`` for frames of ``width`` x ``height`` and at most ``output_pixels`` per frame."""
        values = asdict(self)
        del values["quality"]
        values["skip_static"] = "frames" if self.skip_static else "auto"
        if width * height * self.scale**2 > output_pixels:
            values["height"] = max(int(math.sqrt(output_pixels * height / width)) // 2 * 2, 2)
        return UpscaleOptions(model=self.model, device=device, **values)


def output_suffix(clip: Path, name: str, options: UpscaleOptions) -> str:
    """Returns the suffix of the output: that of the upload's name where it can be written, as on the command line."""
    suffix = Path(name).suffix.lower()
    if options.codec == "ffv1":
        return ".mkv"
    return suffix if suffix in CONTAINERS else default_output(clip, options).suffix


def download_name(name: str, options: UpscaleOptions, suffix: str) -> str:
    """Returns the name of the output for its user, such as ``holiday_4x.mp4`` for ``holiday.mov``."""
    return f"{named_output(stem_of(name), options)}{suffix}"


def stem_of(name: str) -> str:
    """Returns the name of an upload without its suffix, for names of downloads."""
    return (Path(name).stem.strip(". ") or "video")[:_STEM_LENGTH]


def _choice(asked: Mapping[str, Any], name: str, known: tuple[str, ...], usual: str) -> str:
    value = asked.get(name, usual)
    if not isinstance(value, str) or value not in known:
        raise ParameterError(f"upscale.{name}: one of {', '.join(known)} was expected.")
    return value


def _flag(asked: Mapping[str, Any], name: str, usual: bool) -> bool:
    value = asked.get(name, usual)
    if not isinstance(value, bool):
        raise ParameterError(f"upscale.{name}: true or false was expected.")
    return value
