"""Interlaced videos for the tests: woven from frames of the double rate, with the flags that encoders and decoders go by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph

CODECS = {  # options that make each encoder code fields
    "libx264": {"flags": "+ildct", "crf": "10", "x264-params": "tff=1:keyint=5:bframes=2:cpu-independent=1"},
    "mpeg2video": {"flags": "+ildct+ilme", "qscale": "2", "g": "5", "bf": "2"},
}


def weave(moments: np.ndarray, *, top_first: bool = True) -> np.ndarray:
    """(T, H, W, 3) frames whose fields are two moments each of (2 * T, H, W, 3)."""
    first, second = moments[0::2], moments[1::2]
    woven = first.copy()
    rows = slice(1, None, 2) if top_first else slice(0, None, 2)
    woven[:, rows] = second[:, rows]
    return woven


def flagged(
    frames: np.ndarray, pixel_format: str, flags: str | Sequence[str], pts: Sequence[int], time_base: Fraction
) -> Iterator[av.VideoFrame]:
    """Pictures that are flagged "tff", "bff" or "prog"; one flag for all of them, or one for each."""
    chains: dict[str, Graph] = {}
    for index, (rgb, time) in enumerate(zip(frames, pts, strict=True)):
        flag = flags if isinstance(flags, str) else flags[index]
        if flag not in chains:
            graph = chains[flag] = Graph()
            buffer = graph.add_buffer(
                width=rgb.shape[1], height=rgb.shape[0], format=av.VideoFormat("yuv444p"), time_base=time_base
            )
            # fields are converted one by one: subsampling would mix the chroma of two moments
            scale = graph.add("scale", interl="0" if flag == "prog" else "1")
            steps = graph.add("format", pix_fmts=pixel_format), graph.add("setfield", mode=flag)
            graph.link_nodes(buffer, scale, *steps, graph.add("buffersink")).configure()
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv444p")
        picture.pts, picture.time_base = time, time_base
        chains[flag].vpush(picture)
        yield chains[flag].vpull()


def encode_fields(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    *,
    flags: str | Sequence[str] = "tff",
    fps: int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Encodes (T, H, W, 3) frames with an encoder of :data:`CODECS`; ``pts`` are in ``time_base``, 1 / fps by default."""
    base = time_base or Fraction(1, fps)
    with av.open(str(path), "w") as container:
        chosen = CODECS.get(codec, {}) if options is None else options
        video = container.add_stream(codec, rate=fps, options=chosen)
        context = video.codec_context
        context.width, context.height, context.pix_fmt = frames.shape[2], frames.shape[1], pixel_format
        context.time_base = base
        for picture in flagged(frames, pixel_format, flags, pts or range(len(frames)), base):
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    return path
