"""How well motion follows the picture: PSNR of frames warped along it, from one frame to the next and over many.

The pictures to compare are independent of the fields: the decoded frames of the fields, pristine frames, or pristine
frames of ``scale`` times the size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.metrics.psnr import PEAK
from codecvsr.motion import ops
from codecvsr.motion.grid import to_pixels
from codecvsr.motion.types import Array

Direction = Literal["to_prev", "to_next"]
Pictures = Sequence[npt.NDArray[np.uint8]] | Sequence[Array]

DIRECTIONS: tuple[Direction, Direction] = ("to_prev", "to_next")
TRACK_FRAMES = 15  #: frames that a track spans by default
TRACK_STRIDE = 5  #: a track begins at every so many frames
BORDER = 8  #: pixels of the small picture cropped on each side
_MIN_SQUARE = 1 / 12  #: errors below what rounding to 8 bits makes count as that: 58.9 dB
_STEP: dict[Direction, int] = {"to_prev": -1, "to_next": +1}


def neighbour_psnr(
    pictures: Pictures,
    motion: Array,
    direction: Direction,
    *,
    scale: Literal[1, 4] = 1,
    border: int = BORDER,
    is_cut: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float64]:
    """PSNR in dB of each frame's neighbour, warped onto it.

    Args:
        pictures: T lumas (scale * H, scale * W), 0..255.
        motion: (T, 2, h, w) on cells of 4x4 pixels (sampled bilinearly) or (T, 2, H, W) on pixels; in pixels of H x W.
        direction: which neighbour the motion points at.
        scale: size of the pictures over that of the frames the motion belongs to.
        border: pixels of H x W cropped on each side.
        is_cut: (T,) where a new scene begins; pairs across it are skipped.

    Returns:
        (T,), NaN where a frame has no neighbour in its scene.

    Raises:
        ValueError: pictures and motion do not fit each other, or the border leaves nothing.
    """
    size = _check(pictures, motion, scale, border)
    values = np.full(len(pictures), np.nan)
    step = _STEP[direction]
    for t in range(len(pictures)):
        n = t + step
        if 0 <= n < len(pictures) and not _crosses(is_cut, t, n):
            values[t] = _pulled_psnr(pictures[n], pictures[t], on_pixels(motion[t], size), scale, border)
    return values


def track_psnr(
    pictures: Pictures,
    motion: Array,
    direction: Direction,
    *,
    length: int = TRACK_FRAMES,
    stride: int = TRACK_STRIDE,
    scale: Literal[1, 4] = 1,
    border: int = BORDER,
    is_cut: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float64]:
    """PSNR in dB of a frame pulled onto another ``length`` frames away, along that many one-frame fields composed.

    A composed field grows by one frame with ``acc = f + warp(acc, f)``. With motion ``to_prev`` frame t is pulled onto
    frame t + length, with ``to_next`` the reverse. Other arguments are those of
    :func:`neighbour_psnr`; a track begins at every ``stride``-th frame.

    Returns:
        One value per track that stays within a scene; empty where the clip is not longer than ``length``.
    """
    size = _check(pictures, motion, scale, border)
    if length < 1 or stride < 1:
        raise ValueError(f"length = {length}, stride = {stride}; at least 1 expected.")
    values = []
    for t in range(0, len(pictures) - length, stride):
        if not _crosses(is_cut, t, t + length):
            composed = compose(motion, direction, t, length, size)
            source, target = (t, t + length) if direction == "to_prev" else (t + length, t)
            values.append(_pulled_psnr(pictures[source], pictures[target], composed, scale, border))
    return np.array(values, np.float64)


def compose(motion: Array, direction: Direction, start: int, length: int, size: tuple[int, int]) -> Array:
    """One field (2, H, W) over the ``length`` one-frame fields between frames ``start`` and ``start + length``.

    It belongs to the later of the two frames for ``to_prev``, to the earlier for ``to_next``.
    """
    later, earlier = range(start + 1, start + length + 1), range(start + length - 1, start - 1, -1)
    composed: Array | None = None
    for t in later if direction == "to_prev" else earlier:
        step = on_pixels(motion[t], size)
        if composed is None:
            composed = step
        else:
            composed = step + np.stack([ops.table().warp(part, step) for part in composed])
    if composed is None:
        raise ValueError(f"length = {length}; at least 1 expected.")
    return composed


def on_pixels(motion: Array, size: tuple[int, int]) -> Array:
    """One field (2, h, w) on cells, or (2, H, W) already, as (2, H, W) for ``size``; bilinear between cells."""
    if motion.shape[1:] == size:
        return motion
    return to_pixels(motion, smooth=True)[:, : size[0], : size[1]]


@dataclass
class AlignmentTable:
    """Figures of several motions side by side, gathered clip by clip.

    Attributes:
        length: frames a track spans.
        scale: size of the judging pictures over that of the frames.
        border: pixels of the frames left out on each side.
        one_frame: method -> direction -> (frame type, PSNR) of every pair.
        tracks: method -> direction -> PSNR of every track.
    """

    length: int = TRACK_FRAMES
    scale: Literal[1, 4] = 1
    border: int = BORDER
    one_frame: dict[str, dict[Direction, list[tuple[str, float]]]] = field(default_factory=dict)
    tracks: dict[str, dict[Direction, list[float]]] = field(default_factory=dict)

    def add(
        self,
        pictures: Pictures,
        methods: Mapping[str, tuple[Array, Array]],
        types: Sequence[str],
        is_cut: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Measure one clip.

        Args:
            pictures: the T lumas to judge on.
            methods: name -> (to_prev, to_next), see :func:`neighbour_psnr`.
            types: ``"I"``, ``"P"`` or ``"B"`` of each frame.
            is_cut: where a new scene begins.
        """
        for name, motions in methods.items():
            pairs = self.one_frame.setdefault(name, {d: [] for d in DIRECTIONS})
            tracks = self.tracks.setdefault(name, {d: [] for d in DIRECTIONS})
            for direction, motion in zip(DIRECTIONS, motions, strict=True):
                how: dict[str, Any] = {"scale": self.scale, "border": self.border, "is_cut": is_cut}
                values = neighbour_psnr(pictures, motion, direction, **how)
                pairs[direction] += [(t, float(v)) for t, v in zip(types, values, strict=True) if not math.isnan(v)]
                tracks[direction] += track_psnr(pictures, motion, direction, length=self.length, **how).tolist()

    def to_json(self) -> dict[str, Any]:
        """Means in dB: ``one_frame`` by method, direction and type (with the worst frame), ``track`` by direction."""
        one_frame = {
            method: {direction: _by_type(pairs) for direction, pairs in directions.items()}
            for method, directions in self.one_frame.items()
        }
        track = {
            method: {
                **{direction: _mean(values) for direction, values in directions.items()},
                "mean": _mean([value for values in directions.values() for value in values]),
            }
            for method, directions in self.tracks.items()
        }
        counted = max((len(d["to_prev"]) for d in self.tracks.values()), default=0)
        return {
            "unit": "dB, luma",
            "scale": self.scale,
            "border": self.border,
            "one_frame": one_frame,
            "track_frames": self.length,
            "tracks": counted,
            "track": track,
        }


def _by_type(pairs: Sequence[tuple[str, float]]) -> dict[str, float]:
    everything = [value for _, value in pairs]
    return {
        **{kind: _mean([value for t, value in pairs if t == kind]) for kind in ("P", "B")},
        "all": _mean(everything),
        "worst": min(everything, default=math.nan),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _crosses(is_cut: npt.NDArray[np.bool_] | None, a: int, b: int) -> bool:
    return is_cut is not None and bool(is_cut[min(a, b) + 1 : max(a, b) + 1].any())


def _check(pictures: Pictures, motion: Array, scale: int, border: int) -> tuple[int, int]:
    """The size (H, W) of the frames that the motion belongs to."""
    if len(pictures) != len(motion):
        raise ValueError(f"{len(pictures)} pictures and motion of shape = {motion.shape}; one field each was expected.")
    height, width = pictures[0].shape
    size = height // scale, width // scale
    if (height, width) != (size[0] * scale, size[1] * scale):
        raise ValueError(f"pictures of {width}x{height} are no whole multiple of {scale}.")
    if motion.shape[2:] not in (size, (-(-size[0] // 4), -(-size[1] // 4))):
        raise ValueError(f"motion.shape = {motion.shape} is neither on the pixels nor on the cells of {size}.")
    if 2 * border >= min(size):
        raise ValueError(f"border = {border} leaves nothing of {size[1]}x{size[0]} pixels.")
    return size


def _pulled_psnr(source: npt.NDArray[Any], target: npt.NDArray[Any], flow: Array, scale: int, border: int) -> float:
    if scale != 1:
        height, width = target.shape
        flow = np.stack([cv2.resize(np.ascontiguousarray(part), (width, height)) for part in flow]) * np.float32(scale)
    edge = border * scale
    inside = (slice(edge, target.shape[0] - edge), slice(edge, target.shape[1] - edge))
    difference = ops.table().warp(source.astype(np.float32), flow)[inside] - target.astype(np.float32)[inside]
    return 10.0 * math.log10(PEAK * PEAK / max(float((difference.astype(np.float64) ** 2).mean()), _MIN_SQUARE))
