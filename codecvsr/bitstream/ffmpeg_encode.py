"""Compressing with the system's FFmpeg instead of PyAV's libx264; the only module that uses ffmpeg-python."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color
from codecvsr.bitstream.encode import EncodeReport, EncodeSettings, checked_frames, describe_stream
from codecvsr.errors import InputError, OutputError


def encode_h264(frames: Iterable[npt.NDArray[np.uint8]], path: Path, settings: EncodeSettings) -> EncodeReport:
    """:func:`codecvsr.bitstream.encode.encode_h264` by the ``ffmpeg`` program: same pixels in, same parameters.

    Raises:
        InputError: ffmpeg-python or ``ffmpeg`` is missing, or the frames cannot be coded.
        OutputError: ffmpeg failed; the end of its log is in the message.
    """
    try:
        import ffmpeg
    except ImportError as error:
        raise InputError(
            "The encoder 'ffmpeg' needs the package ffmpeg-python; install it with pip install 'codecvsr[ffmpeg]', "
            "or use --encoder pyav."
        ) from error
    if shutil.which("ffmpeg") is None:
        raise InputError("The encoder 'ffmpeg' needs the program ffmpeg on PATH; install it, or use --encoder pyav.")
    started = time.perf_counter()
    sound = checked_frames(frames)
    first = next(sound)
    output = {
        "c:v": "libx264",
        "preset": settings.preset,
        "crf": f"{settings.crf:g}",
        "threads": settings.threads,
        "pix_fmt": "yuv420p",
        "color_range": "tv",
        "colorspace": "smpte170m",
        "color_primaries": "smpte170m",
        "color_trc": "smpte170m",
        "x264-params": settings.x264_parameters,
    }
    size = f"{first.shape[1]}x{first.shape[0]}"
    source = ffmpeg.input("pipe:", format="rawvideo", pix_fmt="yuv420p", s=size, framerate=str(settings.fps))
    job = source.output(str(path), **output).global_args("-v", "error", "-nostdin").overwrite_output()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(job.compile(), stdin=subprocess.PIPE, stderr=log)
        assert process.stdin is not None
        try:
            for rgb in chain([first], sound):
                process.stdin.write(np.ascontiguousarray(color.from_rgb(rgb).to_ndarray()).data)
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None  # ffmpeg ended early: its exit status and log say why
        except BaseException:
            process.kill()
            raise
        finally:
            status = process.wait()
        if status:
            log.seek(0)
            log_end = log.read().decode("utf-8", "replace").strip()[-300:]
            raise OutputError(f"{path}: ffmpeg failed with status {status} ({log_end or 'nothing logged'}).")
    encoder, libavcodec = _versions()
    return describe_stream(path, settings, encoder, libavcodec, time.perf_counter() - started)


def _versions() -> tuple[str, str]:
    """Returns the versions of (program, libavcodec) as ``ffmpeg -version`` states them."""
    output = subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=False).stdout
    program = re.search(r"ffmpeg version (\S+)", output)
    library = re.search(r"libavcodec\s+(\d+)\.\s*(\d+)\.\s*(\d+)", output)
    return f"libx264 (ffmpeg {program[1] if program else '?'})", ".".join(library.groups()) if library else "unknown"
