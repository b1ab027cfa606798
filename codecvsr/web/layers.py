"""The layers that the page draws over a clip: vectors, partitions, QP, repaired motion and its confidence.

One JSON object per frame; arrays are base64 of little-endian numbers, which a browser reads without parsing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.constants import CELL
from codecvsr.motion import ClipMotion, stream_motion

_STEPS_PER_PIXEL = 16  # of the stored motion


def write_layers(
    video: Path,
    target: Path,
    *,
    max_frames: int,
    start: float = 0.0,
    end: float | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> int:
    """Write one line per frame of a file; returns the number of lines.

    Args:
        video: the file.
        target: output file, lines of JSON (:func:`frame_layers`).
        max_frames: maximum number of lines.
        start: first time, in seconds from the first frame.
        end: end time, in seconds from the first frame.
        on_frame: called with the number of lines written so far.

    Raises:
        InputError: as ``read_video``.
    """
    count = 0
    origin: float | None = None
    with target.open("w", encoding="utf-8") as file:
        for frame, motion, t in _one_by_one(video):
            seconds = frame.pts_seconds or 0.0
            origin = seconds if origin is None else origin
            if seconds - origin < start - 1e-6:
                continue
            if (end is not None and seconds - origin >= end - 1e-6) or count >= max_frames:
                break
            file.write(json.dumps(frame_layers(frame, motion, t), separators=(",", ":")) + "\n")
            count += 1
            if on_frame is not None:
                on_frame(count)
    return count


def frame_layers(frame: CodedFrame, motion: ClipMotion, t: int) -> dict[str, Any]:
    """Returns the layers of frame ``t`` of ``motion``.

    ``vectors``: int16, seven per vector: x and y of the block's upper left corner, its width and height in pixels, the
    displacement x and y in quarter-pels, and the list (0 past, 1 future). ``qp``: uint8 by macroblock. ``partition``: uint8
    by cell, ``motion.types.BlockField``'s codes, 0 intra. ``motion``: int16 by cell, x then y to the previous frame, in
    sixteenths of a pixel. ``confidence``: uint8 by cell, 0..255.
    """
    vectors = frame.vectors
    table = np.empty((len(vectors), 7), np.int16)
    table[:, 0] = vectors["dst_x"] - vectors["w"].astype(np.int16) // 2
    table[:, 1] = vectors["dst_y"] - vectors["h"].astype(np.int16) // 2
    table[:, 2], table[:, 3] = vectors["w"], vectors["h"]
    scale = np.maximum(vectors["motion_scale"], 1)
    for column, name in ((4, "motion_x"), (5, "motion_y")):
        table[:, column] = np.clip(vectors[name] * 4 // scale, -32768, 32767)
    table[:, 6] = vectors["source"] > 0
    return {
        "type": frame.type,
        "decode_index": frame.decode_index,
        "is_reference": frame.is_reference,
        "is_idr": frame.is_idr,
        "is_cut": bool(motion.is_cut[t]),
        "size": [frame.width, frame.height],
        "grid": [motion.partition.shape[2], motion.partition.shape[1]],
        "cell": CELL,
        "qp_mean": None if frame.qp is None else round(float(frame.qp.mean()), 2),
        "confidence_mean": round(float(motion.confidence[t, 0].mean()), 4),
        "vectors": _packed(table, "<i2"),
        "qp": None if frame.qp is None else _packed(np.clip(frame.qp, 0, 51), "u1"),
        "partition": _packed(motion.partition[t], "u1"),
        "motion": _packed(np.clip(np.round(motion.to_prev[t] * _STEPS_PER_PIXEL), -32768, 32767), "<i2"),
        "confidence": _packed(np.round(motion.confidence[t, 0] * 255), "u1"),
    }


def _one_by_one(video: Path) -> Iterator[tuple[CodedFrame, ClipMotion, int]]:
    for frames, motion in stream_motion(read_video(video)):
        for t, frame in enumerate(frames):
            yield frame, motion, t


def _packed(values: npt.NDArray[np.generic], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(kind)).tobytes()).decode("ascii")
