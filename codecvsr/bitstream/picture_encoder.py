"""Encoding RGB pictures into the video stream of an open container: the one place that sets up an encoder of PyAV's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color

#: Pictures that no encoder codes in another order. x265 subtracts a delay from their decoding times that it sets with the third
#: picture and does not initialise: it is whatever its memory contained.
_NEVER_REORDERED = 2


@dataclass(frozen=True)
class VideoFormat:
    """What a stream says about its pictures.

    Attributes:
        height: in pixels.
        width: in pixels.
        rate: frames per second.
        time_base: seconds of one unit of ``pts``; 1 / ``rate`` by default.
        pixel_format: FFmpeg's name.
        matrix: MatrixCoefficients of ITU-T H.273; 6 is BT.601.
        primaries: ColourPrimaries of H.273.
        transfer: TransferCharacteristics of H.273.
        full_range: luma from 0 to 255 instead of 16 to 235.
        pixel_aspect: width / height of a pixel; None to say nothing of it.
    """

    height: int
    width: int
    rate: Fraction
    time_base: Fraction | None = None
    pixel_format: str = "yuv420p"
    matrix: int = 6
    primaries: int = 6
    transfer: int = 6
    full_range: bool = False
    pixel_aspect: Fraction | None = None


class PictureEncoder:
    """Encodes (H, W, 3) uint8 RGB pictures, one after the other.

    Attributes:
        packets: packets written so far; after :meth:`finish` one per picture.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        encoder: str,
        video_format: VideoFormat,
        options: Mapping[str, str],
        *,
        threads: int | None = None,
    ) -> None:
        """Adds a stream to ``container``.

        Args:
            container: an open output without streams.
            encoder: FFmpeg's name, such as "libx264".
            video_format: of the pictures.
            options: of the encoder.
            threads: of the encoder; None for its default.
        """
        self.packets = self._pictures = 0
        self._container, self._format = container, video_format
        self._time_base = video_format.time_base or 1 / video_format.rate
        stream = container.add_stream(encoder, rate=video_format.rate)
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        context = stream.codec_context
        context.width, context.height = video_format.width, video_format.height
        context.pix_fmt = video_format.pixel_format
        context.time_base = self._time_base
        if video_format.pixel_aspect is not None:
            context.sample_aspect_ratio = video_format.pixel_aspect
        if threads is not None:
            context.thread_count = threads
        if video_format.pixel_format.startswith("yuv"):
            context.color_range = 2 if video_format.full_range else 1
            context.colorspace = video_format.matrix
        context.color_primaries, context.color_trc = video_format.primaries, video_format.transfer
        context.options = dict(options)

    def add(self, rgb: npt.NDArray[np.uint8], pts: int) -> None:
        """Encodes a picture that is shown from ``pts`` on.

        Raises:
            av.FFmpegError: it cannot be encoded.
            OSError: the file cannot be written.
        """
        form = self._format
        if form.pixel_format == "bgr0":
            picture = color.convert(av.VideoFrame.from_ndarray(rgb, format="rgb24"), "bgr0")
        else:
            picture = color.from_rgb(rgb, form.pixel_format, matrix=form.matrix, full_range=form.full_range)
        picture.pts, picture.time_base = pts, self._time_base
        self._pictures += 1
        self._write(picture)

    def finish(self) -> None:
        """Writes the pictures that the encoder has delayed; errors as :meth:`add`."""
        self._write(None)

    def _write(self, picture: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(picture):
            if picture is None and self._pictures <= _NEVER_REORDERED:
                packet.dts = packet.pts
            self.packets += 1
            self._container.mux_one(packet)
