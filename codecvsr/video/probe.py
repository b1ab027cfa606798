"""What ``upscale`` takes in: a video of any codec or a folder of frames, surveyed once before any work is done."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.conceal import ConcealedVideo
from codecvsr.bitstream.decode import open_video, side_data
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_from, read_video
from codecvsr.errors import InputError, UnsupportedInputError
from codecvsr.files import list_images, read_image
from codecvsr.inference.clip_folder import check_size, numbered_frames

Kind = Literal["h264", "other", "pictures"]
#: What becomes of a damaged video: it is refused, used up to its damage, or used with its damage patched and counted.
Damage = Literal["refuse", "stop", "conceal"]

_HDR = {16: "PQ (SMPTE ST 2084)", 18: "HLG (ARIB STD-B67)"}  # ITU-T H.273 TransferCharacteristics
_UNSPECIFIED, _BT601 = 2, 6  # ITU-T H.273 code points
_AS_IT_IS = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)  # the display matrix that changes nothing
_SD_LINES = 720  # below so many lines players take undeclared video for BT.601, from there on for BT.709
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Media:
    """An input that was opened once.

    Attributes:
        path: file or folder.
        kind: "h264" (vectors can be read), "other" (another codec) or "pictures" (a folder of frames).
        codec: name of the codec; "pictures" for a folder.
        time_base: seconds per unit of the timestamps.
        rate: mean frames per second.
        pictures: the frames of a folder, in order.
    """

    path: Path
    kind: Kind
    codec: str
    time_base: Fraction
    rate: Fraction
    pictures: tuple[Path, ...] = ()

    @classmethod
    def open(cls, path: str | Path, fps: Fraction = Fraction(24)) -> Media:
        """Look at an input; ``fps`` is the rate of a folder of frames.

        Raises:
            InputError: it cannot be read, or has no video.
        """
        path = Path(path)
        if path.is_dir():
            return cls(path, "pictures", "pictures", 1 / fps, fps, numbered_frames(path))
        if not path.exists():
            raise InputError(f"{path}: no such file or folder.")
        container, stream = open_video(path)
        with container:
            codec = "av1" if stream.codec_context.name == "libdav1d" else stream.codec_context.name
            rate = stream.average_rate or stream.guessed_rate or Fraction(25)
            time_base = stream.time_base or 1 / rate
        return cls(path, "h264" if codec == "h264" else "other", codec, time_base, rate)

    def frames(self, damage: Damage = "refuse") -> Iterable[CodedFrame]:
        """Decode from the start, in display order.

        Args:
            damage: what becomes of a damaged video.

        Raises:
            InputError: the input cannot be used; UnsupportedInputError or DamagedInputError where that is why.
        """
        if self.kind == "pictures":
            return self._picture_frames()
        if damage == "conceal":
            return ConcealedVideo(self.path)
        if self.kind == "h264":
            return read_video(self.path, backend="pyav", allow_damaged=damage == "stop")
        return VideoPictures(self.path, allow_damaged=damage == "stop").coded()

    def frames_from(self, index: int, pts: int) -> Iterator[CodedFrame]:
        """Decode from a frame on that decoding can begin with; nothing comes where the file does not let it be found.

        Args:
            index: of the frame in the input.
            pts: when it is shown, in units of the time base.
        """
        if self.kind == "pictures":
            return self._picture_frames(index)
        if self.kind == "h264":
            return read_from(self.path, pts)
        return VideoPictures(self.path, begin=pts).coded()

    def _picture_frames(self, first: int = 0) -> Iterator[CodedFrame]:
        size: tuple[int, int] | None = None
        for index, path in enumerate(self.pictures[first:], first):
            rgb = read_image(path)
            size = size or (rgb.shape[0], rgb.shape[1])
            check_size(path, rgb, self.pictures[0], size)
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            yield CodedFrame(index, index, None, "I", False, False, NO_VECTORS, None, picture)


def is_folder_of_frames(path: Path) -> bool:
    """A folder that holds pictures, taken as the frames of one video."""
    return path.is_dir() and bool(list_images(path))


@dataclass(frozen=True)
class Colour:
    """How pixels are meant, in ITU-T H.273 code points; 2 is "unspecified".

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
    """What one decoding pass says of the frames that are wanted.

    Attributes:
        first: index of the first of them in the input.
        pts: (T,) int64, when each is shown, in units of the time base; strictly increasing.
        last_duration: how long the last one is shown, in the same units.
        keys: (T,) bool, frames a scene may begin with (intra pictures).
        starts: (T,) bool, frames that decoding can begin with: nothing shown from there on needs what was before.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        pixel_format: FFmpeg's name of the decoded pictures' format.
        colour: how its pixels are meant.
        aspect: shape of a pixel, width / height.
        rotation: the display matrix, 9 integers, where the container states one.
        concealed: how many frames are damaged and were patched.
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

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def is_turned(self) -> bool:
        """The display matrix does more than leave the pictures as they are."""
        return self.rotation is not None and self.rotation != _AS_IT_IS

    @property
    def end_pts(self) -> int:
        """When the last frame ends."""
        return int(self.pts[-1]) + self.last_duration


def scan(media: Media, *, start: float | None = None, end: float | None = None, damage: Damage = "refuse") -> Scan:
    """Decode an input once, before any work is done: every frame's time, and whether all of it can be decoded.

    Args:
        media: the input.
        start: seconds from the first frame; earlier ones are left out.
        end: seconds from the first frame; ones from there on are left out.
        damage: what becomes of a damaged video.

    Raises:
        InputError: no frame lies between ``start`` and ``end``, or the input cannot be used.
        UnsupportedInputError: it is HDR.
    """
    times: list[int | None] = []
    keys: list[bool] = []
    starts: list[bool] = []
    facts, duration = None, 0
    origin: Fraction | None = None
    frames = media.frames(damage)
    for frame in frames:
        if facts is None:
            facts = _facts(media, frame.picture)
        pts = None if frame.pts_seconds is None else round(Fraction(frame.pts_seconds) / media.time_base)
        if origin is None:
            origin = (pts or 0) * media.time_base
        if end is not None and _seconds(media, pts, frame.index) - origin >= Fraction(end):
            break
        times.append(pts)
        is_key = bool(frame.picture.key_frame) and media.kind == "other"
        keys.append(frame.type == "I" if media.kind == "h264" else is_key)
        starts.append(frame.is_idr or is_key)
        duration = int(frame.picture.duration or 0)
    if facts is None or origin is None:
        raise InputError(f"{media.path}: holds no frames.")
    pts_array = _increasing(media, times)
    first = 0
    if start is not None:
        earliest = (origin + Fraction(start)) / media.time_base
        first = int(np.searchsorted(pts_array, -(-earliest.numerator // earliest.denominator)))
    if first >= len(pts_array):
        shown = float(pts_array[-1] * media.time_base - origin) if len(pts_array) else 0.0
        raise InputError(f"{media.path}: no frame lies in the part asked for; its last one is shown at {shown:.3f} s.")
    concealed = frames.concealed if isinstance(frames, ConcealedVideo) else 0
    if concealed:
        _logger.warning("%s: damaged; %d of its %d frames were patched.", media.path, concealed, len(pts_array))
    usual = round(1 / media.rate / media.time_base) or 1
    if not duration and len(pts_array) > 1:
        duration = int(pts_array[-1] - pts_array[-2])
    return Scan(
        first=first,
        pts=pts_array[first:],
        last_duration=duration or usual,
        keys=np.array(keys[first:]),
        starts=np.array(starts[first:]),
        concealed=concealed,
        **facts,
    )


def _seconds(media: Media, pts: int | None, index: int) -> Fraction:
    return index / media.rate if pts is None else pts * media.time_base


def _increasing(media: Media, times: list[int | None]) -> npt.NDArray[np.int64]:
    """Timestamps that increase: those of the container, mended where it has none or gives one twice."""
    step = max(round(1 / media.rate / media.time_base), 1)
    none_known = all(time is None for time in times)
    result: list[int] = []
    mended = 0
    for index, time in enumerate(times):
        if time is None:
            time = round(index / media.rate / media.time_base) if none_known or not result else result[-1] + step
        if result and time <= result[-1]:
            time, mended = result[-1] + 1, mended + 1
        result.append(time)
    if mended:
        _logger.warning("%s: %d timestamps do not increase and were moved by the least amount.", media.path, mended)
    return np.array(result, np.int64)


def _facts(media: Media, picture: av.VideoFrame) -> dict[str, Any]:
    """What the first picture says of all."""
    name = picture.format.name
    transfer = int(picture.color_trc)
    if transfer in _HDR:
        raise UnsupportedInputError(
            f"{media.path}: is HDR, {_HDR[transfer]}, which the networks were not made for; SDR was expected. "
            "Tone-map it first, for example with ffmpeg's filters zscale and tonemap."
        )
    if any(component.is_alpha for component in picture.format.components):
        _logger.warning("%s: its transparency (%s) is left out.", media.path, name)
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
            matrix = _BT601  # the enlarged picture would be taken for BT.709
    display: Any = side_data(picture).get("DISPLAYMATRIX")
    rotation = None if display is None else tuple(int(v) for v in np.frombuffer(bytes(display), np.int32))
    return {
        "height": picture.height,
        "width": picture.width,
        "pixel_format": name,
        "colour": Colour(matrix, primaries, transfer, full),
        "aspect": _aspect(media),
        "rotation": rotation,
    }


def _aspect(media: Media) -> Fraction:
    if media.kind == "pictures":
        return Fraction(1)
    container, stream = open_video(media.path)
    with container:
        return stream.sample_aspect_ratio or Fraction(1)
