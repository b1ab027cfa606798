"""What ``bench_live.py look-ahead`` measures: PSNR of a stream's frames against the frames that are seen ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_video
from codecvsr.constants import SCALE
from codecvsr.engine.plan import make_plan
from codecvsr.inference.ablations import NO_ABLATIONS
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.sliding import SlidingNetwork, without_graphs
from codecvsr.inference.source import Source
from codecvsr.inference.windows import Window
from codecvsr.metrics.psnr import psnr
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.zoo import load_model
from codecvsr.motion import estimate_motion
from codecvsr.motion.motion_stream import MotionStream
from codecvsr.motion.types import FULL_REPAIR

_FIRST = 8  # frames before the scored ones, in which the states of the past grow
_AFTER = 24  # frames after them, so that the file mode sees its future


def measured_table(
    root: Path,
    gt_root: Path,
    names: Sequence[str],
    model: str,
    ahead: Sequence[int],
    scored: int,
    crop: tuple[int, int],
) -> dict[str, Any]:
    """Returns mean PSNR in dB: of bicubic, of the file mode, and by look-ahead."""
    network, plan = load_model(model), without_graphs(make_plan("cpu"))
    sums: dict[str, list[float]] = {}
    for name in names:
        frames = list(read_video(root / name / "clip.mp4"))[: _FIRST + scored + _AFTER]
        rows, columns = _middle(frames[0].height, crop[0]), _middle(frames[0].width, crop[1])
        pixels = np.stack([frame.rgb for frame in frames])
        whole = _source(pixels, estimate_motion(frames)).crop(rows, columns)
        wanted = range(_FIRST, _FIRST + scored)
        truth = list(_originals(gt_root / f"{name}.mp4", wanted, rows, columns))

        def score(kind: str, pictures: Sequence[np.ndarray], truth: Sequence[np.ndarray] = truth) -> None:
            sums.setdefault(kind, []).extend(psnr(a, b) for a, b in zip(pictures, truth, strict=True))

        score("bicubic", [_bicubic(frame) for frame in whole.frames[_FIRST : _FIRST + scored]])
        window = Window(0, len(frames), _FIRST, _FIRST + scored)
        score("file", list(upscale_frames(network, whole, NO_ABLATIONS, MemoryLimits(len(frames), 0), plan, [window])))
        for count in ahead:
            sliding, stream = SlidingNetwork(network, plan), MotionStream(FULL_REPAIR, None)
            pictures: list[np.ndarray] = []
            read = 0
            for t in range(wanted.stop):
                while read <= t + count:
                    stream.add(frames[read])
                    read += 1
                motion = stream.advance(ended=True, final=t + 1)
                assert motion is not None
                part = _source(pixels[t:read], motion).crop(rows, columns)
                pictures += sliding.upscale(part.frames, part.motion, 1)
            score(str(count), pictures[_FIRST:])
    return {"clips": list(names), "psnr": {kind: round(float(np.mean(values)), 4) for kind, values in sums.items()}}


def _source(pixels: np.ndarray, motion: Any) -> Source:
    return Source(tuple(map(str, range(len(pixels)))), pixels, motion)


def _middle(side: int, length: int) -> slice:
    begin = max((side - length) // 2 // 16 * 16, 0)
    return slice(begin, min(begin + length, side))


def _originals(path: Path, wanted: range, rows: slice, columns: slice) -> Iterator[np.ndarray]:
    place = tuple(slice(SCALE * part.start, SCALE * part.stop) for part in (rows, columns))
    for index, picture in enumerate(VideoPictures(path)):
        if index >= wanted.stop:
            return
        if index in wanted:
            yield np.ascontiguousarray(picture[place])


def _bicubic(frame: np.ndarray) -> np.ndarray:
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(frame)).permute(2, 0, 1).float() / 255
    return Bicubic()(pixels[None, None])[0, 0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
