"""Scan of an input: one decoding pass, before any work, that finds its frames and their times."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.clock import has_restarts
from codecvsr.bitstream.conceal import ConcealedVideo
from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.deinterlace import Deinterlaced
from codecvsr.bitstream.tone_mapping import HLG, PQ, USUAL_PEAK, ToneMapping
from codecvsr.errors import HdrInputError, InputError
from codecvsr.video.matroska import Crop, read_crop
from codecvsr.video.probe import Damage, Media
from codecvsr.video.rotation import display_matrix, is_turned
from codecvsr.video.side_data import SideData, SideDataCollector
from codecvsr.video.size_changes import FrameSize, SizeChange, size_changes
from codecvsr.video.timeline import display_times

_HDR = {PQ: "PQ (SMPTE ST 2084)", HLG: "HLG (ARIB STD-B67)"}  # ITU-T H.273 TransferCharacteristics
_UNSPECIFIED, _BT601 = 2, 6  # ITU-T H.273 code points
_SD_LINES = 720  # players assume BT.601 for undeclared video of fewer lines, else BT.709

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Colour:
    """Colour description, in ITU-T H.273 code points; 2 is "unspecified".

    Attributes:
        matrix: MatrixCoefficients.
        primaries: ColourPrimaries.
        transfer: TransferCharacteristics.
        full_range: luma from 0 to 255.
    """

    matrix: int
    primaries: int
    transfer: int
    full_range: bool


@dataclass(frozen=True)
class Scan:
    """Result of one decoding pass over the selected frames.

    Attributes:
        first: index of the first of them in the input.
        pts: (T,) int64, display times in units of the time base; strictly increasing.
        last_duration: duration of the last frame, in the same units.
        keys: (T,) bool, frames a scene may begin with (intra pictures).
        starts: (T,) bool, frames that decoding can begin with: no later frame depends on an earlier one. All False if the
            times are not those of the file, as frames are sought by their times.
        height: of the first frame, in pixels.
        width: of the first frame, in pixels.
        pixel_format: FFmpeg's name of the decoded pictures' format.
        colour: description of its pixels.
        aspect: shape of a pixel, width / height.
        rotation: the display matrix, 9 integers, where the container states one.
        concealed: number of damaged frames that were patched.
        side_data: what the input has beyond its pictures and streams.
        crop: pixels that the container hides at the top, bottom, left and right.
        deinterlaced: number of frames that were made by de-interlacing.
        tone_mapping: how HDR pictures become SDR; None for SDR.
        without_vectors: number of frames that were coded as fields or made from fields: they have no vectors of whole pictures.
        later_sizes: where the size of the frames changes.
    """

    first: int
    pts: npt.NDArray[np.int64]
    last_duration: int
    keys: npt.NDArray[np.bool_]
    starts: npt.NDArray[np.bool_]
    height: int
    width: int
    pixel_format: str
    colour: Colour
    aspect: Fraction
    rotation: tuple[int, ...] | None
    concealed: int = 0
    side_data: SideData = field(default_factory=SideData)
    crop: Crop = (0, 0, 0, 0)
    deinterlaced: int = 0
    tone_mapping: ToneMapping | None = None
    without_vectors: int = 0
    later_sizes: tuple[SizeChange, ...] = ()

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def shown_height(self) -> int:
        """Height in pixels without the rows that the container hides."""
        return self.height - self.crop[0] - self.crop[1]

    @property
    def shown_width(self) -> int:
        """Width in pixels without the columns that the container hides."""
        return self.width - self.crop[2] - self.crop[3]

    def without_hidden(self, rgb: npt.NDArray[np.uint8], scale: int = 1) -> npt.NDArray[np.uint8]:
        """Returns a picture, enlarged ``scale`` times, without what the container hides of pictures of the first size."""
        if rgb.shape[:2] != (self.height * scale, self.width * scale):
            return rgb
        top, bottom, left, right = (side * scale for side in self.crop)
        return rgb[top : rgb.shape[0] - bottom, left : rgb.shape[1] - right]

    @property
    def is_turned(self) -> bool:
        """Whether the display matrix changes the pictures."""
        return is_turned(self.rotation)

    @property
    def end_pts(self) -> int:
        """End of the last frame, in units of the time base."""
        return int(self.pts[-1]) + self.last_duration


def scan(
    media: Media,
    *,
    start: float | None = None,
    end: float | None = None,
    damage: Damage = "refuse",
    on_frames: Callable[[int], None] | None = None,
    tonemap: bool = False,
) -> Scan:
    """Decodes an input once: finds the time of every frame, and whether all frames can be decoded.

    Args:
        media: the input.
        start: seconds from the first frame; earlier frames are skipped.
        end: seconds from the first frame; frames from there on are skipped.
        damage: how a damaged video is treated.
        on_frames: called with the number of frames that were read so far.
        tonemap: convert HDR to SDR.

    Raises:
        InputError: no frame lies between ``start`` and ``end``, or the input cannot be used.
        HdrInputError: it is HDR, and ``tonemap`` is not set.
    """
    times: list[int | None] = []
    collector = SideDataCollector(media.extras())
    keys: list[bool] = []
    starts: list[bool] = []
    deinterlaced: list[bool] = []
    fields: list[bool] = []
    sizes: list[FrameSize] = []
    facts, duration = None, 0
    origin: Fraction | None = None
    frames = media.frames(damage)
    for frame in frames:
        if facts is None:
            facts = _facts(media, frame.picture, tonemap=tonemap)
        pts = (
            None
            if frame.pts_seconds is None or media.has_own_rate
            else round(Fraction(frame.pts_seconds) / media.time_base)
        )
        if origin is None:
            origin = (pts or 0) * media.time_base
        if end is not None and _seconds(media, pts, frame.index) - origin >= _exact(end):
            break
        times.append(pts)
        if on_frames is not None:
            on_frames(len(times))
        collector.add(frame)
        is_key = bool(frame.picture.key_frame) and media.kind in ("mpeg", "other")
        keys.append(frame.type == "I" if media.has_vectors else is_key)
        is_second = media.deinterlace == "field" and frame.index % 2 == 1
        starts.append((frame.is_idr or is_key) and not is_second)
        deinterlaced.append(frame.is_deinterlaced)
        fields.append(frame.is_field_coded or frame.is_deinterlaced)
        sizes.append(FrameSize(frame.height, frame.width, float(frame.pixel_aspect or 1)))
        duration = int(frame.picture.duration or 0)
    if facts is None or origin is None:
        raise InputError(f"{media.path}: has no frames.")
    pts_array = _increasing(media, times)
    if pts_array.tolist() != times or (media.kind != "pictures" and has_restarts(media.path)):
        starts = [False] * len(starts)
    first = 0
    if start is not None:
        earliest = (origin + _exact(start)) / media.time_base
        first = int(np.searchsorted(pts_array, -(-earliest.numerator // earliest.denominator)))
    if first >= len(pts_array):
        shown = float(pts_array[-1] * media.time_base - origin) if len(pts_array) else 0.0
        raise InputError(f"{media.path}: no frame lies in the part asked for; its last one is shown at {shown:.3f} s.")
    source = frames.source if isinstance(frames, Deinterlaced) else frames
    concealed = source.concealed if isinstance(source, ConcealedVideo) else 0
    if concealed:
        _logger.warning("%s: damaged; %d of its %d frames were patched.", media.path, concealed, len(pts_array))
    usual = round(1 / media.rate / media.time_base) or 1
    if not duration and len(pts_array) > 1:
        duration = int(pts_array[-1] - pts_array[-2])
    extras, tone_mapping, transfer = collector.result(first), None, facts.pop("hdr")
    if transfer:
        tone_mapping = ToneMapping(extras.peak_light() or USUAL_PEAK if transfer == PQ else USUAL_PEAK)
        extras = extras.without_hdr()
        _logger.info(
            "%s: HDR, %s, of at most %.0f cd/m2, is converted to SDR (BT.709) by BT.2390.",
            media.path, _HDR[transfer], tone_mapping.peak,
        )  # fmt: skip
    elif tonemap:
        _logger.info("%s: is SDR; --tonemap changes nothing.", media.path)
    height, width, _ = sizes[first]
    return Scan(
        first=first,
        height=height,
        width=width,
        later_sizes=size_changes(sizes[first:]),
        pts=pts_array[first:],
        last_duration=duration or usual,
        keys=np.array(keys[first:]),
        starts=np.array(starts[first:]),
        concealed=concealed,
        side_data=extras,
        tone_mapping=tone_mapping,
        crop=(0, 0, 0, 0) if media.kind == "pictures" else read_crop(media.path),
        deinterlaced=sum(deinterlaced[first:]),
        without_vectors=sum(fields[first:]),
        **facts,
    )


def _exact(seconds: float) -> Fraction:
    """Returns the time that a user wrote: 0.04 is 1/25, which no binary number is."""
    return Fraction(seconds).limit_denominator(10**6)


def _seconds(media: Media, pts: int | None, index: int) -> Fraction:
    return index / media.rate if pts is None else pts * media.time_base


def _increasing(media: Media, times: list[int | None]) -> npt.NDArray[np.int64]:
    """Returns increasing timestamps: those of the container, corrected where they are missing or do not increase."""
    if all(time is None for time in times):
        return np.array([round(i / media.rate / media.time_base) for i in range(len(times))], np.int64)
    result = display_times(times, max(round(1 / media.rate / media.time_base), 1))
    moved = sum(time is not None and time != new for time, new in zip(times, result, strict=True))
    if moved:
        _logger.warning("%s: %d timestamps do not increase and were corrected.", media.path, moved)
    return np.array(result, np.int64)


def _facts(media: Media, picture: av.VideoFrame, *, tonemap: bool) -> dict[str, Any]:
    """Returns the properties that the first picture has for all."""
    name = picture.format.name
    transfer = int(picture.color_trc)
    hdr = transfer if transfer in _HDR else 0
    if hdr and not tonemap:
        raise HdrInputError(
            f"{media.path}: is HDR, {_HDR[transfer]}, which the networks were not made for; SDR was expected. "
            "--tonemap converts it."
        )
    if picture.format.components[0].bits > 8:
        _logger.info(
            "%s: %d bits per sample are rounded to 8, which the networks work in.",
            media.path,
            picture.format.components[0].bits,
        )
    matrix, primaries = int(picture.colorspace), int(picture.color_primaries)
    if picture.format.is_rgb:
        matrix, primaries, transfer, full = 1, 1, 13, False  # sRGB, to be coded as BT.709
    else:
        full = name.startswith("yuvj") or int(picture.color_range) == 2
        if matrix == _UNSPECIFIED and picture.height < _SD_LINES:
            matrix = _BT601  # the enlarged picture would be displayed as BT.709
    return {
        "hdr": hdr,
        "pixel_format": name,
        "colour": Colour(1, 1, 1, False) if hdr else Colour(matrix, primaries, transfer, full),
        "aspect": _aspect(media),
        "rotation": display_matrix(picture),
    }


def _aspect(media: Media) -> Fraction:
    if media.kind == "pictures":
        return Fraction(1)
    container, stream = open_video(media.path)
    with container:
        return stream.sample_aspect_ratio or Fraction(1)
