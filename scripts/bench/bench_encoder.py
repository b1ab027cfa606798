#!/usr/bin/env python3
"""Measure what the encoder of `upscale` costs: conversion to YUV and x264, by preset and threads; write scripts/results/encoder.json.

    python scripts/bench/bench_encoder.py work/off.mp4      # a video that bench_skipping.py made

Times are the processor's, of all threads, and by the clock; PSNR is that of the coded pictures against those that were coded. Both
are at the same CRF, so that presets are compared by bytes and PSNR together.
"""

from __future__ import annotations

import io
import itertools
import os
import statistics
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import numpy.typing as npt
from results_files import with_this_command, write_results
from speed_subjects import run_facts

from codecvsr.bitstream import color
from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.bitstream.reader import read_video
from codecvsr.metrics.psnr import psnr
from codecvsr.video.segments import EncoderOptions

RESULTS = Path(__file__).resolve().parents[1] / "results" / "encoder.json"
_PRESETS = ("ultrafast", "veryfast", "faster", "medium")
_THREADS = (1, 2, 4)


@click.command(help=__doc__)
@click.argument("video", type=click.Path(path_type=Path, exists=True))
@click.option("--frames", default=24, show_default=True, help="Of the video.")
@click.option("--crf", default=18.0, show_default=True, help="Of x264.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(video: Path, frames: int, crf: float, results: Path) -> None:
    pictures = [frame.rgb for frame in itertools.islice(read_video(video), frames)]
    begun = time.process_time()
    for picture in pictures:
        color.from_rgb(picture)
    yuv_ms = (time.process_time() - begun) * 1e3 / len(pictures)
    coded = []
    for preset, threads in itertools.product(_PRESETS, _THREADS):
        coded.append({"preset": preset, "threads": threads, **_encode(pictures, preset, threads, crf)})
        click.echo(str(coded[-1]), err=True)
    height, width, _ = pictures[0].shape
    content = {**run_facts(), "commands": with_this_command([])}
    write_results(
        results, {**content, "size": [height, width], "crf": crf, "to_yuv_ms": round(yuv_ms, 2), "x264": coded}
    )


def _encode(pictures: list[npt.NDArray[np.uint8]], preset: str, threads: int, crf: float) -> dict[str, Any]:
    """Returns milliseconds per frame, conversion included, bytes and PSNR of pictures that x264 codes."""
    height, width, _ = pictures[0].shape
    file = io.BytesIO()
    parameters = EncoderOptions(crf=crf, preset=preset).parameters
    with av.open(file, "w", format="nut") as container:
        begun, wall = os.times(), time.monotonic()
        encoder = PictureEncoder(
            container, "libx264", VideoFormat(height, width, Fraction(24)), parameters, threads=threads
        )
        for index, picture in enumerate(pictures):
            encoder.add(picture, index)
        encoder.finish()
        ended, wall = os.times(), time.monotonic() - wall
    size = file.tell()
    file.seek(0)
    with av.open(file) as container:
        made = [color.to_rgb(picture) for picture in container.decode(video=0)]
    return {
        "ms": round((ended.user - begun.user) * 1e3 / len(pictures), 1),
        "clock_ms": round(wall * 1e3 / len(pictures), 1),
        "bytes": size,
        "psnr_db": round(statistics.fmean(psnr(a, b) for a, b in zip(made, pictures, strict=True)), 3),
    }


if __name__ == "__main__":
    main()
