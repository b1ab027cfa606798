"""Writes the output of a live stream: codes its pictures as they come, and adds the sound."""

from __future__ import annotations

import io
import os
import time
from fractions import Fraction
from importlib import resources
from typing import Any

import av

from codecvsr.bitstream.containers import TAG_ERRORS
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.errors import OutputError
from codecvsr.streaming.events import LiveEventHandler, Note
from codecvsr.streaming.inputs import no_protocol
from codecvsr.streaming.latencies import Latencies
from codecvsr.streaming.options import OutputOptions
from codecvsr.streaming.session import MadePicture
from codecvsr.streaming.sound import LiveSound
from codecvsr.streaming.targets import PAGE, SEGMENT_SECONDS, LiveTarget
from codecvsr.video.resize import resample
from codecvsr.video.rotation import display_matrix, is_turned
from codecvsr.video.segments import EncoderOptions

_TIME_BASE = Fraction(1, 90000)
_UNSPECIFIED, _BT601 = 2, 6  # ITU-T H.273 code points
_THREADS = 2
_TURNING = ("mp4", "hls", "matroska")  #: containers that can say that pictures are to be turned


class ReaderLeft(Exception):
    """The program that reads standard output has ended."""


class LiveWriter:
    """The output; it is made with the first picture, and nothing is left where there is none.

    Attributes:
        frames: pictures written.
        height: of the output, in pixels; 0 before the first picture.
        width: of the output.
        latencies: of the pictures, from the arrival of a frame to its output.
    """

    def __init__(
        self,
        target: LiveTarget,
        options: OutputOptions,
        sound: LiveSound,
        on_event: LiveEventHandler,
        *,
        pipe: int | None,
        keeps_times: bool,
    ) -> None:
        """Opens nothing yet.

        Args:
            target: where the output goes.
            options: of the encoder.
            sound: of the input.
            on_event: called where the pictures lose something.
            pipe: the open file descriptor of a pipe.
            keeps_times: times are those of the input; otherwise the first picture is at 0.
        """
        self.frames = self.height = self.width = 0
        self.latencies = Latencies()
        self._target, self._options, self._sound, self._pipe = target, options, sound, pipe
        self._on_event = on_event
        self._keeps_times = keeps_times
        self._out: av.container.OutputContainer | None = None
        self._encoder: PictureEncoder | None = None
        self._start, self._last_pts = Fraction(0), -1
        self._has_failed = False

    def write(self, made: MadePicture) -> None:
        """Writes the next picture, and the sound up to it.

        Raises:
            ReaderLeft: nobody reads the pipe any more.
            OutputError: the output cannot be written.
            InputError: the pictures are too large for the encoder.
        """
        try:
            if self._encoder is None:
                self._open(made)
            assert self._encoder is not None and self._out is not None
            seconds = Fraction(made.frame.seconds).limit_denominator(90000)
            pts = max(round((seconds - self._start) / _TIME_BASE), self._last_pts + 1)
            self._encoder.add(resample(made.rgb, self.height, self.width), pts)
            self._last_pts = pts
            self._sound.write(self._out, seconds, self._start)
        except (av.FFmpegError, OSError) as error:
            raise self._explained(error) from error
        self.frames += 1
        self.latencies.add(time.monotonic() - made.frame.arrived)

    def _open(self, made: MadePicture) -> None:
        height, width = made.rgb.shape[:2]
        target, options = self._target, self._options
        self.height, self.width = height - height % 2, width - width % 2
        EncoderOptions(crf=options.crf, preset=options.preset).check_size(self.height, self.width)
        if not self._keeps_times:
            self._start = Fraction(made.frame.seconds).limit_denominator(90000)
        file: Any = (
            _Pipe(self._pipe) if self._pipe is not None else target.name if target.path is None else str(target.path)
        )
        existed = target.path is not None and target.path.exists()
        try:
            out = av.open(file, "w", format=target.container, options=target.options, metadata_errors=TAG_ERRORS)
            self._out = out
            rate = made.frame.section.rate
            key_frames = max(round(rate * SEGMENT_SECONDS), 1)
            parameters = {
                "preset": options.preset,
                "crf": f"{options.crf:g}",
                "tune": "zerolatency",
                "g": str(key_frames),
            }
            form = self._video_format(made, rate)
            self._encoder = PictureEncoder(out, "libx264", form, parameters, threads=_THREADS)
            if target.container in ("mp4", "flv", "hls", "matroska"):
                out.streams.video[0].codec_context.flags |= (
                    1 << 22
                )  # AV_CODEC_FLAG_GLOBAL_HEADER: parameters in the header
            self._turn(out.streams.video[0], made)
            self._sound.declare(out)
        except BaseException:
            self._has_failed = True
            if target.path is not None and not existed:
                target.path.unlink(missing_ok=True)
            raise
        if target.container == "hls" and target.path is not None:
            page = resources.files("codecvsr.streaming").joinpath("player.html").read_text(encoding="utf-8")
            (target.path.parent / PAGE).write_text(page.replace("PLAYLIST", target.path.name), encoding="utf-8")

    def _turn(self, stream: av.video.stream.VideoStream, made: MadePicture) -> None:
        """Carries the rotation of the first picture."""
        matrix = display_matrix(made.frame.coded.picture)
        if not is_turned(matrix):
            return
        if self._target.container in _TURNING:
            stream.set_display_matrix(matrix)
        else:
            self._on_event(
                Note(
                    f"{self._target.title}: its pictures are not turned, as {self._target.container} cannot store the rotation "
                    "of the input; .mp4, .mkv and HLS can."
                )
            )

    def _video_format(self, made: MadePicture, rate: Fraction) -> VideoFormat:
        picture = made.frame.coded.picture
        matrix = int(picture.colorspace)
        return VideoFormat(
            self.height, self.width, rate, time_base=_TIME_BASE,
            matrix=_BT601 if matrix in (_UNSPECIFIED, 0) else matrix,
            primaries=int(picture.color_primaries), transfer=int(picture.color_trc),
            full_range=picture.format.name.startswith("yuvj") or int(picture.color_range) == 2,
            pixel_aspect=made.frame.section.pixel_aspect,
        )  # fmt: skip

    def _explained(self, error: OSError | av.FFmpegError) -> Exception:
        self._has_failed = True
        if self._pipe is not None and isinstance(error, BrokenPipeError):
            return ReaderLeft()
        name = self._target.title
        if isinstance(error, av.error.ProtocolNotFoundError):
            return OutputError(
                f"{name}: {no_protocol(name)}; use -o - and let another program send it, such as "
                f"'| ffmpeg -i - -c copy -f mpegts {name}'."
            )
        return OutputError(f"{name}: cannot be written ({error.strerror or error}); check it and start again.")

    def close(self) -> None:
        """Finishes the output, if there is one.

        Raises:
            OutputError: it cannot be written; ReaderLeft as :meth:`write`.
        """
        out, self._out = self._out, None
        if out is None or self._encoder is None:
            return
        try:
            if self._has_failed:
                return
            self._encoder.finish()
            self._sound.write(out, None, self._start)
        except (av.FFmpegError, OSError) as error:
            raise self._explained(error) from error
        finally:
            try:
                out.close()
            except (av.FFmpegError, OSError) as error:
                if not self._has_failed:
                    raise self._explained(error) from error


class _Pipe(io.RawIOBase):
    """A file descriptor to write to, without a position."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        left = memoryview(data)
        while left:
            left = left[os.write(self._descriptor, left) :]
        return len(data)
