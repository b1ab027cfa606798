"""Real encoded streams for the tests: made with PyAV's own libx264, so no system FFmpeg is needed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: a busy but smooth picture, so that motion is visible and survives compression."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for size, weight in ((64, 70.0), (16, 45.0), (6, 25.0)):
        grid = rng.random((height // size + 3, width // size + 3, 3)).astype(np.float32) - 0.5
        picture += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture * 1.6 + 128, 0, 255).astype(np.uint8)


def moving_texture(frames: int, height: int, width: int, dx: int, dy: int, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) uint8: a texture whose content moves (dx, dy) pixels to the right and down each frame.

    Frame t shows at (x, y) what frame 0 shows at (x - t * dx, y - t * dy); so the motion to the previous frame
    (a backward-warping flow) is (-dx, -dy) everywhere.
    """
    pad_x, pad_y = frames * abs(dx), frames * abs(dy)
    big = texture(height + 2 * pad_y, width + 2 * pad_x, seed)
    return np.stack(
        [big[pad_y - t * dy : pad_y - t * dy + height, pad_x - t * dx : pad_x - t * dx + width] for t in range(frames)]
    )


def encode(
    path: Path,
    frames: np.ndarray,
    *,
    codec: str = "libx264",
    fps: int = 24,
    options: dict[str, str] | None = None,
    audio_first: bool = False,
    pixel_format: str = "yuv420p",
) -> Path:
    """Encode (T, H, W, 3) uint8 frames into ``path``; with ``audio_first`` stream 0 is a silent AAC track."""
    options = dict(options or {})
    if codec == "libx264":  # the same stream on every processor and in every run
        options["x264-params"] = ":".join(filter(None, [options.get("x264-params", ""), "cpu-independent=1"]))
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48000) if audio_first else None
        video = container.add_stream(codec, rate=fps, options=options)
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = pixel_format
        video.time_base = Fraction(1, fps)
        if audio is not None:
            for start in range(0, 48000 * len(frames) // fps, 1024):
                silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
                silence.sample_rate, silence.pts = 48000, start
                container.mux(audio.encode(silence))
        for index, rgb in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            picture.pts = index
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None:
            container.mux(audio.encode(None))
    return path


def remux(
    source: Path, target: Path, *, skip: int = 0, stop: int | None = None, options: dict[str, str] | None = None
) -> Path:
    """Copy the video packets ``skip`` to ``stop - 1`` of ``source`` into ``target``; ``options`` are the muxer's."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options or {}) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in old.demux(stream) if packet.size):
            if number >= skip and (stop is None or number < stop):
                packet.stream = copy
                new.mux(packet)
    return target


def sound_track(path: Path) -> Path:
    """A file with 0.1 seconds of silence and no video."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("aac", rate=48000)
        for start in range(0, 4800, 1024):
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 48000, start
            container.mux(track.encode(silence))
        container.mux(track.encode(None))
    return path
