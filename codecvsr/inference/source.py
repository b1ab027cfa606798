"""The input of a network: the frames of a clip folder or a video, and their motion."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.deinterlace import Deinterlaced, describe_deinterlacing
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.bitstream.reader import read_video
from codecvsr.bitstream.refusals import check_sizes
from codecvsr.constants import CELL
from codecvsr.errors import InputError, InterlacedInputError, UnsupportedInputError
from codecvsr.files import FRAME_NAME
from codecvsr.inference.clip_folder import ClipFolder
from codecvsr.inference.proxy_encode import is_mpeg_intra, proxy
from codecvsr.inference.tiles import BLOCK
from codecvsr.motion import ClipMotion, MotionOptions, estimate_motion, motion_fields
from codecvsr.motion.confidence import with_fields
from codecvsr.motion.grid import pad_to_cells, to_cells
from codecvsr.motion.optical_flow import dis_between, dis_flows
from codecvsr.motion.types import FULL_REPAIR, unknown_motion

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """A clip in memory.

    Attributes:
        names: T file names for the outputs.
        frames: (T, H, W, 3) uint8 RGB.
        motion: codec data and fields on cells.
        dense: to_prev and to_next (T, 2, H, W) where the motion was estimated per pixel, None where it is the cells'.
        pairwise: estimates the flow (2, H, W) from one frame into any other, by their indices; None where it cannot be.
        is_raw: the motion is the stream's vectors, unrepaired.
        has_motion_jitter: the motion gets jitter in long windows (:mod:`codecvsr.inference.motion_jitter`).
    """

    names: tuple[str, ...]
    frames: npt.NDArray[np.uint8]
    motion: ClipMotion
    dense: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None = None
    pairwise: Callable[[int, int], npt.NDArray[np.float32]] | None = None
    is_raw: bool = False
    has_motion_jitter: bool = False

    def cut(self, start: int, stop: int) -> Source:
        """Frames ``start`` to ``stop - 1`` alone."""
        dense = None if self.dense is None else (self.dense[0][start:stop], self.dense[1][start:stop])
        estimate = self.pairwise
        return replace(
            self,
            names=self.names[start:stop],
            frames=self.frames[start:stop],
            motion=self.motion.cut(start, stop),
            dense=dense,
            pairwise=None if estimate is None else lambda here, there: estimate(here + start, there + start),
        )

    def crop(self, rows: slice, columns: slice) -> Source:
        """A part of every frame; it begins at whole macroblocks (16 pixels)."""
        place = (..., rows, columns)
        cut: dict[str, npt.NDArray[Any]] = {}
        for field in fields(self.motion):
            values = getattr(self.motion, field.name)
            if values.ndim >= 3:
                cell = BLOCK if field.name == "qp" else CELL
                cut[field.name] = np.ascontiguousarray(values[..., _cell_part(rows, cell), _cell_part(columns, cell)])
        dense, estimate = self.dense, self.pairwise
        return replace(
            self,
            frames=np.ascontiguousarray(self.frames[:, rows, columns]),
            motion=replace(self.motion, **cut),
            dense=None if dense is None else (dense[0][place], dense[1][place]),
            pairwise=None if estimate is None else lambda here, there: estimate(here, there)[place],
        )


def _cell_part(pixels: slice, cell: int) -> slice:
    return slice(pixels.start // cell, -(-pixels.stop // cell))


def load_source(
    path: Path, options: MotionOptions = FULL_REPAIR, *, needs_vectors: bool = True, allow_damaged: bool = False
) -> Source:
    """Load a clip folder of ``codecvsr benchmark``, or a video.

    Args:
        path: the folder or file.
        options: parts of the motion repair to leave out.
        needs_vectors: refuse a clip that has none; otherwise its codec data is unknown.
        allow_damaged: use the frames before the damage of a damaged video.

    Raises:
        InputError: the clip cannot be used; UnsupportedInputError where that is for its codec.
        DamagedInputError: the video is damaged and ``allow_damaged`` is false.
    """
    if path.is_dir():
        return _load_folder(path, options, needs_vectors)
    try:
        return _load_video(path, options, allow_damaged)
    except InterlacedInputError:
        return _load_without_vectors(path, options, allow_damaged, by_proxy=needs_vectors)
    except UnsupportedInputError:
        if needs_vectors:
            raise
    return _load_without_vectors(path, options, allow_damaged, by_proxy=False)


def _load_without_vectors(path: Path, options: MotionOptions, allow_damaged: bool, *, by_proxy: bool) -> Source:
    """Loads a video of any codec; frames that are flagged as interlaced are de-interlaced, one for one.

    Args:
        path: the file.
        options: parts of the motion repair to leave out.
        allow_damaged: use the frames before the damage of a damaged video.
        by_proxy: take the motion from a proxy encode; otherwise it is unknown.
    """
    decoded = VideoPictures(path, allow_damaged=allow_damaged).coded()
    frames = list(check_sizes(path, Deinterlaced(decoded)))
    if made := sum(frame.is_deinterlaced for frame in frames):
        _logger.info("%s: %s.", path, describe_deinterlacing(made, len(frames), "auto"))
    pixels = np.stack([frame.rgb for frame in frames])
    names = tuple(FRAME_NAME % i for i in range(len(frames)))
    if not by_proxy:
        return Source(names, pixels, unknown_motion(*pixels.shape[:3]))
    with tempfile.TemporaryDirectory() as folder:
        coded = proxy(frames, _rate(path), Path(folder) / "proxy.mp4")
    return Source(names, pixels, estimate_motion(coded, options))


def _rate(path: Path) -> Fraction:
    container, stream = open_video(path)
    with container:
        return stream.average_rate or stream.guessed_rate or Fraction(25)


def _load_folder(path: Path, options: MotionOptions, needs_vectors: bool) -> Source:
    folder = ClipFolder.open(path)
    frames = folder.load_frames()
    if folder.has_motion and options == FULL_REPAIR:
        motion = folder.load_motion()
    elif folder.stream is not None:
        motion = motion_fields(folder.stream, options)
    elif needs_vectors:
        raise InputError(
            f"{path}: has no clip.mp4 to read motion from{' again' if folder.has_motion else ' and no codec.npz'}; make "
            "the clip with codecvsr benchmark, or add --motion dis."
        )
    else:
        motion = unknown_motion(*frames.shape[:3])
    if len(motion) != len(frames):
        raise InputError(
            f"{path}: {len(frames)} frames in lr/, but {len(motion)} in {folder.stream}; build the clip again."
        )
    return Source(tuple(f"{p.stem}.png" for p in folder.frames), frames, motion)


def _load_video(path: Path, options: MotionOptions, allow_damaged: bool) -> Source:
    pixels: list[npt.NDArray[np.uint8]] = []
    intra: list[bool] = []

    def seen(frame: CodedFrame) -> CodedFrame:
        pixels.append(frame.rgb)
        intra.append(is_mpeg_intra(frame))
        return frame

    motion = estimate_motion(map(seen, read_video(path, allow_damaged=allow_damaged)), options)
    if len(intra) > 1 and all(intra):
        return _load_without_vectors(path, options, allow_damaged, by_proxy=True)
    return Source(tuple(FRAME_NAME % i for i in range(len(pixels))), np.stack(pixels), motion)


def with_dis(source: Source) -> Source:
    """The same clip with DIS optical flow for its motion."""
    lumas = [luma_of(frame) for frame in source.frames]
    return replace(with_flows(source, *dis_flows(lumas)), pairwise=dis_between(lumas))


def with_flows(source: Source, to_prev: npt.NDArray[np.float32], to_next: npt.NDArray[np.float32]) -> Source:
    """The same clip with dense flows, (T, 2, H, W) in pixels, for its motion; matching errors are measured anew."""
    lumas = [pad_to_cells(luma_of(frame)) for frame in source.frames]
    cells = [np.stack([_cells(field) for field in flow]) for flow in (to_prev, to_next)]
    return replace(
        source, motion=with_fields(source.motion, cells[0], cells[1], lumas), dense=(to_prev, to_next), pairwise=None
    )


def without_motion(source: Source) -> Source:
    """The same clip with no motion at all."""
    zero = np.zeros_like(source.motion.to_prev)
    lumas = [pad_to_cells(luma_of(frame)) for frame in source.frames]
    return replace(source, motion=with_fields(source.motion, zero, zero, lumas), dense=None, pairwise=None)


def luma_of(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The luma (H, W) of an RGB picture, BT.601 weights, full range."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _cells(flow: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = flow.shape[1:]
    padded = np.pad(flow, ((0, 0), (0, -height % 4), (0, -width % 4)), mode="edge")
    return np.stack([to_cells(np.ascontiguousarray(part)) for part in padded])
