"""Statistics of a stream: its structure, and what the codec says about its motion; no network is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from codecvsr.analysis.stream_stats import StreamStats, StripFrame
from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.encode import EncodeSettings, describe_stream
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import decode_frames, read_video
from codecvsr.bitstream.refusals import check_sizes
from codecvsr.errors import InputError, InterlacedInputError
from codecvsr.events import Progress
from codecvsr.metrics.alignment import BORDER, TRACK_FRAMES, AlignmentTable
from codecvsr.motion import ClipMotion, MotionOptions, estimate_motion
from codecvsr.motion.optical_flow import dis_flows
from codecvsr.motion.types import Array

_CHUNK_PIXELS = 2**26  #: pixels of luma in memory at once; about 20 bytes for each
_CHUNK_FRAMES = (16, 600)  #: fewest and most frames of a chunk
_CONTEXT = 4  #: frames on either side that a chunk overlaps


@dataclass(frozen=True)
class Inspection:
    """The report of ``codecvsr inspect`` on a file; shares are 0..1, a mean of nothing is NaN.

    Attributes:
        video: the file.
        width: in pixels.
        height: in pixels.
        frames: how many were read.
        fps: frames per second on average, as the container says; None where it does not.
        duration_seconds: from the first frame's time to the end of the last one.
        encoder: x264's version and options where the stream has them, else None.
        gop: ``structure`` (types in display order), ``idr`` and ``intra`` (positions), ``mean_length`` (frames per
            IDR), ``b_references`` (B-frames used for reference).
        types: frames by type.
        reference_share: by type, frames that others are predicted from.
        partitions: by type, share of 4x4 cells by the block they lie in; ``none`` has no vector (intra).
        vector_pixels: by list, percentiles and maximum of the vectors' lengths over cells, as coded.
        reference_distance: by list, share of cells with a vector by the frames to the reference it was resolved to.
        qp: by type and ``all``, mean, min and max of the macroblocks' luma QPs.
        scene_cuts: positions of the first frames of new scenes.
        confidence: mean over cells of the repaired motion's confidence, by direction.
        residual: likewise, the mean absolute difference in 8-bit luma steps between a frame and its neighbour moved onto
            it: what the motion leaves to be explained, standing in for the coded residual, which is not exported.
        alignment: see :class:`codecvsr.metrics.alignment.AlignmentTable`; None unless asked for.
        interlaced: frames that are flagged as interlaced.
        field_coded: frames whose vectors are of fields, or may be; they are not read, and neither are QPs. What is said of
            vectors, QPs, confidence and residual is said of the other frames.
        strip: every frame, for drawing; not part of the JSON.
    """

    video: Path
    width: int
    height: int
    frames: int
    fps: float | None
    duration_seconds: float | None
    encoder: str | None
    gop: dict[str, Any]
    types: dict[str, int]
    reference_share: dict[str, float]
    partitions: dict[str, dict[str, float]]
    vector_pixels: dict[str, dict[str, float]]
    reference_distance: dict[str, dict[str, float]]
    qp: dict[str, dict[str, float]]
    scene_cuts: list[int]
    confidence: dict[str, float]
    residual: dict[str, float]
    alignment: dict[str, Any] | None
    interlaced: int = 0
    field_coded: int = 0
    strip: tuple[StripFrame, ...] = field(repr=False, default=())

    def to_json(self) -> dict[str, Any]:
        """Everything but the strip; ``alignment`` where it was measured, facts of fields where there are any."""
        skipped = {"strip"} if self.alignment is not None else {"strip", "alignment"}
        if not self.field_coded:
            skipped |= {"interlaced", "field_coded"}
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in skipped}


def inspect_video(
    path: str | Path, *, alignment: bool = False, allow_damaged: bool = False, progress: Progress | None = None
) -> Inspection:
    """Reads a file once, in chunks of bounded size, and returns its statistics.

    Args:
        path: a file whose vectors can be read.
        alignment: also measure how well each kind of motion follows the decoded frames (much slower).
        allow_damaged: end at the first damaged frame instead of raising.
        progress: wraps the frames to show progress.

    Raises:
        InputError: the errors of ``read_video``, but interlaced coding only with ``alignment``; a clip too small or too short for
            the alignment table.
    """
    path = Path(path)
    try:
        return _inspect(path, read_video(path, allow_damaged=allow_damaged), alignment, progress)
    except InterlacedInputError:
        if alignment:
            raise
    return _inspect(path, check_sizes(path, decode_frames(path, allow_damaged=allow_damaged)), False, progress)


def _inspect(path: Path, frames: Iterable[CodedFrame], alignment: bool, progress: Progress | None) -> Inspection:
    stats = StreamStats()
    table: AlignmentTable | None = None
    for chunk, own in _chunks(frames if progress is None else progress(frames, "reading", None)):
        motion = estimate_motion(chunk)
        stats.add(chunk, motion, own)
        if alignment:
            table = table or AlignmentTable(length=_track_length(path, chunk[own]))
            methods = {name: (p[own], n[own]) for name, (p, n) in motion_methods(chunk, motion).items()}
            frames_own = chunk[own]
            table.add([f.luma for f in frames_own], methods, [f.type for f in frames_own], motion.is_cut[own])
    if not stats.strip:
        raise InputError(f"{path}: holds no frames that can be decoded; at least one was expected.")
    measured = None if table is None else {"judged_on": "decoded frames", **table.to_json()}
    counts = stats.counts()
    fps, duration = _timing(path, counts["frames"], stats.times)
    return Inspection(
        video=path, fps=fps, duration_seconds=duration, encoder=_encoder(path), alignment=measured, **counts
    )


def motion_methods(frames: Sequence[CodedFrame], refined: ClipMotion) -> dict[str, tuple[Array, Array]]:
    """The motions that an alignment table compares, worst first: name -> (to_prev, to_next) of T frames.

    ``zero``; ``raw`` (vectors as they are, P-frames' negated for the future); ``scaled`` (the block's own vector over
    the distance of its reference); ``repaired``; ``refined`` (with sub-pixel steps, as given); ``dis`` (optical flow on
    pixels; all others on cells).
    """

    def fields(**off: bool) -> tuple[Array, Array]:
        motion = estimate_motion(frames, MotionOptions(**off))
        return motion.to_prev, motion.to_next

    return {
        "zero": (np.zeros_like(refined.to_prev), np.zeros_like(refined.to_next)),
        "raw": fields(resolve=False),
        "scaled": fields(invert=False, refine=False),
        "repaired": fields(refine=False),
        "refined": (refined.to_prev, refined.to_next),
        "dis": dis_flows([frame.luma for frame in frames]),
    }


def _chunks(frames: Iterable[CodedFrame]) -> Iterator[tuple[list[CodedFrame], slice]]:
    """Yields chunks of frames that overlap, each with the slice of frames that belong to it alone."""
    chunk: list[CodedFrame] = []
    begin = 0
    size = _CHUNK_FRAMES[1]
    for frame in frames:
        if not chunk:
            size = int(np.clip(_CHUNK_PIXELS // (frame.width * frame.height), *_CHUNK_FRAMES))
        chunk.append(frame)
        if len(chunk) == size:
            yield chunk, slice(begin, size - _CONTEXT)
            chunk, begin = chunk[-2 * _CONTEXT :], _CONTEXT
    if len(chunk) > begin:
        yield chunk, slice(begin, len(chunk))


def _track_length(path: Path, frames: Sequence[CodedFrame]) -> int:
    if len(frames) < 2:
        raise InputError(f"{path}: an alignment table needs at least 2 frames, this video has {len(frames)}.")
    height, width = frames[0].height, frames[0].width
    if min(height, width) < 4 * BORDER:
        raise InputError(
            f"{path}: frames of {width}x{height} are too small for an alignment table, which excludes "
            f"{BORDER} pixels on each side; at least {4 * BORDER}x{4 * BORDER} was expected."
        )
    return min(TRACK_FRAMES, len(frames) - 1)


def _timing(path: Path, frames: int, times: Sequence[float]) -> tuple[float | None, float | None]:
    container, stream = open_video(path)
    with container:
        rate = stream.average_rate or stream.guessed_rate
    fps = float(rate) if rate else None
    one = 1 / fps if fps else 0.0
    if len(times) > 1:
        return fps, max(times) - min(times) + one
    return fps, frames * one if fps else None


def _encoder(path: Path) -> str | None:
    """x264's version and options, from the message it leaves in the stream."""
    try:
        report = describe_stream(path, EncodeSettings(crf=0), "", "", 0.0)
    except (av.FFmpegError, OSError):  # a damaged file, read with allow_damaged
        return None
    return f"x264 {report.x264}: {report.x264_options}" if report.x264 != "unknown" else None
