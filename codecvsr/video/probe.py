"""Inputs of ``upscale``: videos of any codec, folders of frames, single pictures and animations."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np

from codecvsr.bitstream import mpeg
from codecvsr.bitstream.conceal import ConcealedVideo
from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.deinterlace import Deinterlace, Deinterlaced
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import decode_frames
from codecvsr.errors import InputError
from codecvsr.files import read_image
from codecvsr.inference.clip_folder import check_size, numbered_frames
from codecvsr.video import animation
from codecvsr.video.image_files import ImageFile, Pixels, open_image, read_picture
from codecvsr.video.image_metadata import found_in_frames, found_in_image
from codecvsr.video.image_writer import is_image_name, on_white, without_holes
from codecvsr.video.side_data import found_in_stream

_NO_TIMESTAMPS = 0x0080  # AVFMT_NOTIMESTAMPS of libavformat
_MAX_RATE = 1000  # libav's mean of a DV file is its time base, 60000
USUAL_RATE = Fraction(24)  #: frames per second of a folder of frames

Kind = Literal["h264", "mpeg", "other", "pictures"]
#: How a damaged video is treated: refused, used up to the damage, or used with the damage patched and counted.
Damage = Literal["refuse", "stop", "conceal"]


@dataclass(frozen=True)
class Media:
    """An input and its basic properties.

    Attributes:
        path: file or folder.
        kind: "h264", "mpeg" (another codec whose vectors can be read), "other" or "pictures" (image files).
        codec: name of the codec; "pictures" for image files.
        time_base: seconds per unit of the timestamps.
        rate: mean frames per second.
        pictures: the frames of a folder, in order, or a single picture.
        has_own_rate: the rate was chosen for a stream without a container; its own times are not used.
        image: the image file, if the input is a single picture or an animation.
        durations: of the pictures of an animation, in units of the time base.
        is_on_white: partly transparent pixels of a single picture are seen on white, as the output has no transparency.
        deinterlace: which frames are de-interlaced, and how. Rate and time base are those of the frames that come out.
    """

    path: Path
    kind: Kind
    codec: str
    time_base: Fraction
    rate: Fraction
    pictures: tuple[Path, ...] = ()
    has_own_rate: bool = False
    image: ImageFile | None = None
    durations: tuple[int, ...] = ()
    is_on_white: bool = True
    deinterlace: Deinterlace = "auto"

    @classmethod
    def open(cls, path: str | Path, fps: Fraction | None = None, deinterlace: Deinterlace = "auto") -> Media:
        """Opens an input.

        Args:
            path: a video, a folder of frames, or a picture or an animation in an image file.
            fps: rate of a folder of frames (24 if None) or of a raw stream, which has no container (its own if None).
            deinterlace: which frames to de-interlace, and how.

        Raises:
            InputError: it cannot be read, or has no video.
        """
        path = Path(path)
        image = None if path.is_dir() or not path.exists() else open_image(path)
        if (path.is_dir() or image is not None) and deinterlace in ("frame", "field"):
            raise InputError(f"{path}: is no video; only videos can be de-interlaced.")
        if path.is_dir():
            rate = fps or USUAL_RATE
            return cls(path, "pictures", "pictures", 1 / rate, rate, numbered_frames(path))
        if not path.exists():
            raise InputError(f"{path}: no such file or folder.")
        if image is not None:
            return cls._open_image(image, fps)
        container, stream = open_video(path)
        with container:
            codec = "av1" if stream.codec_context.name == "libdav1d" else stream.codec_context.name
            is_raw = bool(container.format.flags & _NO_TIMESTAMPS)
            rates = (
                (fps, stream.guessed_rate, stream.average_rate)
                if is_raw
                else (stream.average_rate, stream.guessed_rate)
            )
            rate = next((r for r in rates if r and r <= _MAX_RATE), Fraction(25))
            time_base = stream.time_base or 1 / rate
        if deinterlace == "field":
            rate, time_base = 2 * rate, time_base / 2
        return cls(
            path,
            "h264" if codec == "h264" else "mpeg" if codec in mpeg.CODECS else "other",
            codec,
            time_base,
            rate,
            has_own_rate=is_raw and fps is not None,
            deinterlace=deinterlace,
        )

    @property
    def has_vectors(self) -> bool:
        """Whether the motion vectors of its codec can be read."""
        return self.kind in ("h264", "mpeg")

    @classmethod
    def _open_image(cls, image: ImageFile, fps: Fraction | None) -> Media:
        if not image.is_animated:
            rate = fps or USUAL_RATE
            return cls(image.path, "pictures", "pictures", 1 / rate, rate, (image.path,), image=image)
        durations = tuple(animation.read_durations(image))
        rate = len(durations) / (sum(durations) * animation.TIME_BASE)
        return cls(image.path, "pictures", "pictures", animation.TIME_BASE, rate, image=image, durations=durations)

    @property
    def is_single_picture(self) -> bool:
        """Whether the input is one picture in an image file."""
        return self.image is not None and not self.image.is_animated

    def for_output(self, output: Path) -> Media:
        """Returns the input as an output of this name needs it: an image file has its transparency added at the end."""
        return replace(self, is_on_white=not is_image_name(output))

    def extras(self) -> set[str]:
        """Returns, in words, what the input has beyond its pictures and streams, as far as its files state it.

        Raises:
            InputError: the input cannot be read.
        """
        if self.image is not None:
            return found_in_image(self.image)
        return found_in_frames(self.pictures) if self.kind == "pictures" else found_in_stream(self.path)

    def frames(self, damage: Damage = "refuse") -> Iterable[CodedFrame]:
        """Decodes from the start, in display order.

        Args:
            damage: how a damaged video is treated.

        Raises:
            InputError: the input cannot be decoded; UnsupportedInputError or DamagedInputError for these reasons.
        """
        if self.kind == "pictures":
            return self._picture_frames()
        if damage == "conceal":
            return self._deinterlaced(ConcealedVideo(self.path))
        if self.has_vectors:
            return self._deinterlaced(decode_frames(self.path, allow_damaged=damage == "stop"))
        return self._deinterlaced(self._video_pictures(allow_damaged=damage == "stop").coded())

    def frames_from(self, index: int, pts: int) -> Iterable[CodedFrame]:
        """Decodes from a frame on that decoding can begin with; yields nothing if the file cannot be searched for it.

        Args:
            index: of the frame in the input.
            pts: when it is shown, in units of the time base.
        """
        if self.kind == "pictures":
            return self._picture_frames(index)
        if self.deinterlace == "field":
            pts //= 2
        if self.has_vectors:
            return self._deinterlaced(decode_frames(self.path, begin=pts))
        return self._deinterlaced(self._video_pictures(begin=pts).coded())

    def _video_pictures(self, *, allow_damaged: bool = False, begin: int | None = None) -> VideoPictures:
        is_off = self.deinterlace == "off"
        return VideoPictures(self.path, allow_damaged=allow_damaged, begin=begin, allow_fields=is_off)

    def _deinterlaced(self, frames: Iterable[CodedFrame]) -> Deinterlaced:
        unit = self.time_base * 2 if self.deinterlace == "field" else self.time_base
        return Deinterlaced(frames, self.deinterlace, unit)

    def _picture_frames(self, first: int = 0) -> Iterator[CodedFrame]:
        if self.durations:
            yield from itertools.islice(self._animation_frames(), first, None)
            return
        size: tuple[int, int] | None = None
        for index, path in enumerate(self.pictures[first:], first):
            rgb = read_image(path) if self.image is None else self._single_picture(self.image)
            size = size or (rgb.shape[0], rgb.shape[1])
            check_size(path, rgb, self.pictures[0], size)
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            yield CodedFrame(index, index, None, "I", False, False, NO_VECTORS, None, picture)

    def _single_picture(self, image: ImageFile) -> Pixels:
        picture = read_picture(image)
        if picture.alpha is None:
            return picture.rgb
        return (on_white if self.is_on_white else without_holes)(picture.rgb, picture.alpha)

    def _animation_frames(self) -> Iterator[CodedFrame]:
        assert self.image is not None
        pts = 0
        for index, rgba in enumerate(animation.read_frames(self.image)):
            is_opaque = rgba[..., 3].min() == 255
            samples = np.ascontiguousarray(rgba[..., :3]) if is_opaque else rgba
            picture = av.VideoFrame.from_ndarray(samples, format="rgb24" if is_opaque else "rgba")
            picture.duration = self.durations[index]
            seconds = float(pts * self.time_base)
            yield CodedFrame(index, index, seconds, "I", False, False, NO_VECTORS, None, picture)
            pts += self.durations[index]


def expected_frames(media: Media) -> int | None:
    """Returns the number of frames that the container states, or that its duration implies; None where it states neither."""
    if media.kind == "pictures":
        return len(media.pictures)
    container, stream = open_video(media.path)
    with container:
        if stream.frames:
            return int(stream.frames)
        if stream.duration and stream.time_base:
            return round(stream.duration * stream.time_base * media.rate) or None
        return round(Fraction(container.duration, 1_000_000) * media.rate) or None if container.duration else None
