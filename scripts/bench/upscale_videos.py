"""Videos, networks and processes that the measurements of ``bench_upscale.py`` work with."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import torch
from safetensors.torch import save_file

import codecvsr
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.cli import cli
from codecvsr.files import atomic_file, read_image
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.train.data import original_frames
from codecvsr.video.resize import resample

LOOP_SECONDS = 5  # a long video repeats so much of a clip


def run_until(arguments: list[Any], events: int | None, part: float) -> bool:
    """The command in a forked process, which spares loading PyTorch; kill -9 after so many progress events, or never.

    Returns:
        Whether it was killed before it ended.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            cli.main(["upscale", *map(str, arguments)], standalone_mode=False)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    seen, last, step = 0, time.monotonic(), 0.2
    with os.fdopen(read) as lines:
        if events == 0:
            time.sleep(part * step)
            os.kill(child, signal.SIGKILL)
        for line in lines:
            if not line.startswith("{") or json.loads(line)["event"] != "progress":
                continue
            seen, last, step = seen + 1, time.monotonic(), time.monotonic() - last
            if seen == events:
                time.sleep(part * step)
                os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    if os.waitstatus_to_exitcode(status):
        raise click.ClickException(f"upscale {shlex.join(map(str, arguments))} failed")
    return False


def run(source: Path, target: Path, model: str, frames: int, **options: Any) -> Iterator[np.ndarray]:
    """The first frames of a 24 fps clip, upscaled: (H, W, 3) uint8 each."""
    codecvsr.upscale(source, target, model=model, end=(frames - 0.5) / 24, overwrite=True, **options)
    return map(read_image, sorted(target.iterdir()))


def start(arguments: list[Any], **keywords: Any) -> subprocess.Popen[bytes]:
    """Begin ``codecvsr upscale``; its messages go nowhere."""
    command = [sys.executable, "-m", "codecvsr", "upscale", *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, **{"stdout": subprocess.DEVNULL, **keywords})


def looped(
    clips: Path, work: Path, seconds: int, fps: int, width: int, height: int, *,
    name: str | None = None, loop_seconds: float = LOOP_SECONDS,
) -> Path:  # fmt: skip
    """Returns a video of any length: the beginning of a clip, shrunk, coded once and repeated.

    Args:
        clips: folder of clips.
        work: folder for the video.
        seconds: its length.
        fps: its rate.
        width: in pixels.
        height: in pixels.
        name: of the clip; None for the first one.
        loop_seconds: after which the video repeats itself.
    """
    video = work / f"{name or 'video'}_{width}x{height}_{fps}fps_{seconds}s.mp4"
    if video.is_file():
        return video
    count = round(fps * min(loop_seconds, seconds))
    originals = original_frames(clips, name or min(clips.glob("*.mp4")).stem)
    frames = [resample(rgb, height, width) for rgb in itertools.islice(originals, count // 2 + 1)]
    there_and_back = frames + frames[-2:0:-1]
    loop = work / "loop.mp4"
    encode_h264(itertools.islice(itertools.cycle(there_and_back), count), loop, EncodeSettings(25, fps=Fraction(fps)))
    with av.open(str(loop)) as old, atomic_file(video) as part, av.open(str(part), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        packets_of_loop = [packet for packet in old.demux(old.streams.video[0]) if packet.size]
        length = round(Fraction(count, fps) / packets_of_loop[0].time_base)
        for number in range(seconds * fps // count):
            for packet in packets_of_loop:
                again = av.Packet(bytes(packet))
                again.pts, again.dts = packet.pts + number * length, packet.dts + number * length
                again.time_base, again.is_keyframe, again.stream = packet.time_base, packet.is_keyframe, copy
                again.duration = packet.duration
                new.mux(again)
    return video


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """A Ray cluster on this machine, of so many nodes with one core each; yields its address."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(num_cpus=1, include_dashboard=False)
        made.wait_for_nodes()
        yield made.address
    finally:
        ray.shutdown()
        made.shutdown()


def decode(path: Path) -> Iterator[av.VideoFrame]:
    """The decoded pictures of a video."""
    with av.open(str(path)) as container:
        yield from container.decode(container.streams.video[0])


def copied(clip: Path, path: Path, encoder: str, options: dict[str, str]) -> Path:
    """The decoded pictures of a clip, without loss, in another codec."""
    with av.open(str(path), "w") as new:
        stream = new.add_stream(encoder, rate=24, options=options)
        for frame in decode(clip):
            if not stream.codec_context.is_open:
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
            plain.pts, plain.time_base = frame.pts, frame.time_base
            new.mux(stream.encode(plain))
        new.mux(stream.encode(None))
    return path


def tiny_network(work: Path) -> Path:
    """Weights of a network so small that most of the time is spent around it."""
    path = work / "tiny.safetensors"
    if not path.is_file():
        generator = torch.Generator().manual_seed(1)
        state = CodecVSR(channels=8, blocks=1).state_dict()
        state = {k: torch.randn(v.shape, generator=generator) * 0.05 if v.ndim == 4 else v for k, v in state.items()}
        save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    """Times and bytes of a video's coded pictures."""
    with av.open(str(path)) as container:
        return [(p.pts, bytes(p)) for p in container.demux(container.streams.video[0]) if p.size]


def folder_bytes(folder: Path) -> int:
    """Returns the size of a folder while others write to it and remove from it."""
    total = 0
    for path in folder.glob("**/*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def finite(value: float) -> float | str:
    """Returns a PSNR as JSON can store it."""
    return "inf" if math.isinf(value) else round(float(value), 2)
