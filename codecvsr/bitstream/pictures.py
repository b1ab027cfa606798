"""Pictures of videos of any codec FFmpeg decodes, without motion vectors: high-resolution sources, and inputs of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.bitstream.damage import SoundFrames, cut_short, end_of_stream
from codecvsr.bitstream.decode import VideoDecoder
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.refusals import check_is_frame

_Timed = tuple[av.VideoFrame, float | None, Fraction | None]


class VideoPictures:
    """The pictures of a video file as (H, W, 3) uint8 RGB; can be iterated more than once.

    Attributes:
        path: the file.
        damage: after an iteration, why it ended early; empty where the video is whole.
    """

    def __init__(
        self, path: Path, *, allow_damaged: bool = False, begin: int | None = None, allow_fields: bool = False
    ) -> None:
        """Opens nothing yet.

        Args:
            path: the file.
            allow_damaged: end at the first damaged picture instead of raising.
            begin: begin at the key picture shown at this time, in units of the stream's time base, and skip pictures that
                are coded after it but shown before; yields nothing where the key picture cannot be found.
            allow_fields: HEVC whose pictures are single fields is used field by field.
        """
        self.path = path
        self.damage = ""
        self._allow_damaged = allow_damaged
        self._begin, self._allow_fields = begin, allow_fields

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Decodes from the start.

        Raises:
            InputError: the file cannot be opened, or holds no pictures.
            DamagedInputError: it is truncated or corrupt and ``allow_damaged`` is false.
        """
        self.damage = ""
        yield from map(color.to_rgb, self._sound())

    def coded(self) -> Iterator[CodedFrame]:
        """Decodes from the start into frames with pixels and times, without vectors, QPs or types.

        Raises:
            InputError: the file cannot be opened, or holds no pictures.
            DamagedInputError: it is truncated or corrupt and ``allow_damaged`` is false.
        """
        self.damage = ""
        for index, (picture, seconds, aspect) in enumerate(self._timed()):
            yield CodedFrame(
                index, index, seconds, "I", False, False, NO_VECTORS, None, picture,
                is_field_coded=bool(picture.interlaced_frame), pixel_aspect=aspect,
            )  # fmt: skip

    def _sound(self) -> Iterator[av.VideoFrame]:
        for picture, _, _ in self._timed():
            yield picture

    def _timed(self) -> Iterator[_Timed]:
        """Yields sound pictures, the seconds they are shown at and the shape of their pixels."""
        sound: SoundFrames[_Timed] = SoundFrames()
        broken = None
        with VideoDecoder(self.path, export=False, begin=self._begin) as decoder:
            packets = decoder.packets
            for picture in decoder:
                if not self._allow_fields:
                    check_is_frame(self.path, decoder.codec, picture)
                number = picture.pts if picture.pts is not None and 0 <= picture.pts < len(packets) else None
                seconds = decoder.shown_at(picture)
                first = packets[0].pts_seconds
                if self._begin is not None and seconds is not None and first is not None and seconds < first:
                    continue
                if picture.is_corrupt:
                    decoder.damage, broken = decoder.damage or "a picture cannot be decoded in full", number
                    break
                yield from sound.add((picture, seconds, decoder.pixel_aspect(picture)), number, seconds)
        if self._begin is not None and not packets:
            return
        if decoder.damage and broken is None:
            broken = len(packets) - 1
        self.damage = decoder.damage or cut_short(self.path)
        yield from end_of_stream(self.path, sound, self.damage, broken, allow_damaged=self._allow_damaged)
