#!/usr/bin/env python3
"""Measure motion from the vectors of MPEG-1, MPEG-2 and MPEG-4 Part 2 against a proxy encode, DIS and no motion.

    python scripts/training/fetch_clips.py clips
    python scripts/bench/bench_mpeg_motion.py --clips clips/val

The clips are coded at low resolution with libavcodec's encoders at fixed quantiser scales; fields come from the decoded frames and
are judged on pristine ones, as in bench_motion.py. Measurements that the results file already has for the same code are not
repeated, so the command can be stopped and run again.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
from bench_motion import fingerprint
from motion_measurements import Clip, mean, one_frame, tracks
from results_files import with_this_command, write_results

from codecvsr.bitstream import color
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import CodecVSRError
from codecvsr.files import atomic_file
from codecvsr.inference.proxy_encode import proxy
from codecvsr.motion import MotionOptions, estimate_motion
from codecvsr.motion.optical_flow import dis_flows
from codecvsr.versions import versions

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "scripts" / "results" / "mpeg_motion.json"
#: Stream -> encoder, file ending, options.
STREAMS: dict[str, tuple[str, str, dict[str, str]]] = {
    "MPEG-1, 2 B-frames": ("mpeg1video", "mpg", {"bf": "2", "g": "15"}),
    "MPEG-2, 2 B-frames": ("mpeg2video", "mpg", {"bf": "2", "g": "15"}),
    "MPEG-4": ("mpeg4", "avi", {"g": "120", "flags": "+mv4"}),
    "MPEG-4, quarter-pels": ("mpeg4", "avi", {"g": "120", "flags": "+mv4+qpel"}),
    "MPEG-4, 2 B-frames": ("mpeg4", "mp4", {"bf": "2", "g": "120", "flags": "+mv4"}),
}


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), required=True, help="Folder of HR clips.")
@click.option("--names", default="", help="Comma-separated clips; all by default.")
@click.option("--scales", default="4,10", show_default=True, help="Quantiser scales, comma-separated.")
@click.option("--frames", type=int, default=21, show_default=True, help="Only so many of each clip; 0: all.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Streams.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
def main(clips: Path, names: str, scales: str, frames: int, work: Path, results: Path) -> None:
    """Measures what is missing."""
    cv2.setNumThreads(1)
    code = fingerprint()
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": []}
    cells = {cell["key"]: cell for cell in stored["cells"] if cell["key"].endswith(code)}
    for path in sorted(clips.glob("*.mp4")):
        if names and path.stem not in names.split(","):
            continue
        clip = Clip(clips, path.stem, frames)
        for stream in STREAMS:
            for scale in map(int, scales.split(",")):
                key = f"{path.stem} {stream} {scale} {frames} {code}"
                if key in cells:
                    continue
                begun = time.monotonic()
                about = {"clip": path.stem, "stream": stream, "scale": scale}
                cells[key] = {"key": key} | about | measure(clip, stream, scale, work / "mpeg" / key.replace(" ", "_"))
                click.echo(f"{key}: {time.monotonic() - begun:.0f} s", err=True)
                save(results, list(cells.values()), stored)
    save(results, list(cells.values()), stored)


def measure(clip: Clip, stream: str, scale: int, path: Path) -> dict[str, Any]:
    """PSNR over one frame and over 15, and what the fields cost in processor time, by kind of motion."""
    codec, ending, options = STREAMS[stream]
    path = path.with_suffix(f".{ending}")
    if not path.is_file():
        _encode(clip, path, codec, {**options, "qmin": str(scale), "qmax": str(scale)})
    coded = list(read_video(path, backend="pyav"))
    begun = time.process_time()
    motion = estimate_motion(coded, threads=1)
    spent = {"codec": time.process_time() - begun}
    begun = time.process_time()
    other = estimate_motion(proxy(coded, Fraction(24), path.with_name("proxy.mp4")), threads=1)
    spent["proxy"] = time.process_time() - begun
    begun = time.process_time()
    flows = dis_flows([frame.luma for frame in coded])
    spent["dis"] = time.process_time() - begun
    alone = estimate_motion(coded, MotionOptions(invert=False, refine=False), threads=1)
    methods = {
        "zero": (np.zeros_like(motion.to_prev), np.zeros_like(motion.to_next)),
        "scaled": (alone.to_prev, alone.to_next),
        "codec": (motion.to_prev, motion.to_next),
        "proxy": (other.to_prev, other.to_next),
        "dis": flows,
    }
    small, large = clip.lumas()
    return {
        "frames": len(coded),
        "structure": "".join(frame.type for frame in coded),
        "one_frame": {name: mean(np.concatenate(one_frame(small, fields, motion))) for name, fields in methods.items()},
        "track": {name: tracks(large, fields, motion)["mean"] for name, fields in methods.items()},
        "processor_ms_per_frame": {name: round(1000 * value / len(coded), 2) for name, value in spent.items()},
    }


def _encode(clip: Clip, path: Path, codec: str, options: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {"mpg": "mpeg"}.get(path.suffix[1:], path.suffix[1:])
    with atomic_file(path) as part, av.open(str(part), "w", format=form) as container:
        video: Any = container.add_stream(codec, rate=24, options=options)
        for index, rgb in enumerate(clip.small_frames()):
            if not index:
                video.width, video.height, video.pix_fmt = rgb.shape[1], rgb.shape[0], "yuv420p"
            picture = color.from_rgb(rgb)
            picture.pts, picture.time_base = index, Fraction(1, 24)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))


def save(results: Path, cells: list[dict[str, Any]], stored: dict[str, Any]) -> None:
    """Write the results file; commands of the one before stay."""
    content = {
        "commands": with_this_command(stored.get("commands", [])),
        "protocol": (
            "PSNR of luma on pristine pictures, fields from decoded ones: one_frame and track as in motion.json; "
            "scaled: vectors divided by the distance of their reference and nothing else; libavcodec's encoders at 24 fps, "
            "the quantiser scale fixed"
        ),
        "machine": f"{platform.machine()}, fields on one thread; other programs ran meanwhile",
        "versions": versions(),
        "cells": cells,
    }
    write_results(results, content)


if __name__ == "__main__":
    try:
        main()
    except CodecVSRError as error:
        sys.exit(f"bench_mpeg_motion: {error}")
