"""Scoring a folder of super-resolved frames against its originals."""

from __future__ import annotations

import csv
import math
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError
from codecvsr.events import Progress
from codecvsr.files import atomic_file, read_image
from codecvsr.metrics import artifacts as faults
from codecvsr.metrics.artifacts import Artifacts
from codecvsr.metrics.pairs import NAMED, MatchedBy, list_frames, name_some, pair_folders, video_frames
from codecvsr.metrics.planes import comparable
from codecvsr.metrics.psnr import psnr_of_planes
from codecvsr.metrics.ssim import SIGMA, WINDOW, ssim_of_planes

if TYPE_CHECKING:
    from codecvsr.metrics.lpips import Lpips  # with it comes torch, which PSNR and SSIM do without

Rgb = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FrameScore:
    """The scores of one frame; PSNR in dB, ``math.inf`` where the frame equals its original; LPIPS where it was asked for."""

    frame: str
    psnr_rgb: float
    ssim_rgb: float
    psnr_y: float
    ssim_y: float
    lpips: float | None = None
    artifacts: tuple[Artifacts, Artifacts] | None = None  #: of the frame, and of its original


@dataclass(frozen=True)
class EvalResult:
    """The scores of a clip.

    Attributes:
        rows: one :class:`FrameScore` per frame, in order.
        crop_border: pixels that were left out on each side.
        matched_by: how frames were paired: "name", "number" or "order".
    """

    rows: tuple[FrameScore, ...]
    crop_border: int
    matched_by: MatchedBy

    @property
    def frames(self) -> int:
        """How many frames were scored."""
        return len(self.rows)

    @property
    def psnr_rgb(self) -> float:
        """Mean over the frames of the RGB PSNR in dB; ``math.inf`` as soon as one frame is identical."""
        return fmean(row.psnr_rgb for row in self.rows)

    @property
    def ssim_rgb(self) -> float:
        """Mean over the frames of the RGB SSIM."""
        return fmean(row.ssim_rgb for row in self.rows)

    @property
    def psnr_y(self) -> float:
        """Mean over the frames of the luma PSNR in dB; ``math.inf`` as soon as one frame is identical."""
        return fmean(row.psnr_y for row in self.rows)

    @property
    def ssim_y(self) -> float:
        """Mean over the frames of the luma SSIM."""
        return fmean(row.ssim_y for row in self.rows)

    @property
    def lpips(self) -> float | None:
        """Mean over the frames of LPIPS; None where it was not asked for."""
        values = [row.lpips for row in self.rows if row.lpips is not None]
        return fmean(values) if values else None

    @property
    def artifacts(self) -> dict[str, dict[str, float | None]] | None:
        """Means over the frames of the faults of the pictures and of their originals; None where not asked for."""
        pairs = [row.artifacts for row in self.rows if row.artifacts is not None]
        return faults.summary(pairs) if pairs else None

    @property
    def identical_frames(self) -> int:
        """How many frames equal their originals."""
        return sum(math.isinf(row.psnr_rgb) for row in self.rows)

    @property
    def protocol(self) -> dict[str, object]:
        """How the figures were made."""
        return {
            "crop_border": self.crop_border,
            "rounding": "8-bit pixels, as stored",
            "average": "per frame, then over frames",
            "psnr_peak": 255,
            "ssim": f"Gaussian {WINDOW}x{WINDOW}, sigma {SIGMA}, window inside the picture; RGB: mean of the channels",
            "y": "BT.601 16-235 (65.481 R + 128.553 G + 24.966 B + 16 for R, G, B in 0..1), not rounded",
            "matched_by": self.matched_by,
            "identical_frames": self.identical_frames,
            "versions": {"numpy": np.__version__, "opencv": cv2.__version__},
        }

    def summary(self) -> dict[str, object]:
        """What ``codecvsr eval --json`` prints."""
        return {
            "frames": self.frames,
            "psnr_rgb": self.psnr_rgb,
            "ssim_rgb": self.ssim_rgb,
            "psnr_y": self.psnr_y,
            "ssim_y": self.ssim_y,
            **({} if self.lpips is None else {"lpips": self.lpips}),
            **({} if self.artifacts is None else {"artifacts": self.artifacts}),
            "protocol": self.protocol,
        }


def evaluate(
    sr_dir: Path,
    gt: Path,
    *,
    crop_border: int = 0,
    lpips: Lpips | None = None,
    artifacts: bool = False,
    progress: Progress | None = None,
) -> EvalResult:
    """Score the frames of ``sr_dir`` against a folder of frames or a video.

    Args:
        sr_dir: folder of PNG or JPEG frames.
        gt: folder of originals (paired by name, else by number, else by order), or a video of any codec (by order).
        crop_border: pixels to leave out on each side.
        lpips: measures LPIPS too.
        artifacts: measure invented detail, lines, lattice and specks of colour too (:mod:`codecvsr.metrics.artifacts`).
        progress: wraps the iteration over the frames, called with it, a description and the number of frames.

    Raises:
        InputError: frames are missing, too many, unreadable or of different sizes (it names them), or the border leaves
            too little of them.
    """
    if gt.is_dir():
        pairs = pair_folders(sr_dir, gt)
        matched_by, total = pairs.matched_by, len(pairs.pairs)
        work: Iterator[tuple[Path, Path | Rgb]] = iter(pairs.pairs)
    elif gt.is_file():
        sr = list_frames(sr_dir)
        matched_by, total = "order", len(sr)
        work = _with_video(sr, gt)
    else:
        raise InputError(f"{gt}: no such folder or video.")
    results = _in_order(work, crop_border, lpips, artifacts)
    rows: list[FrameScore] = []
    wrong: list[str] = []
    for result in results if progress is None else progress(results, "scoring", total):
        if isinstance(result, FrameScore):
            rows.append(result)
        else:
            wrong.append(result)
            if len(wrong) > NAMED:
                break
    if wrong:
        more = " and more" if len(wrong) > NAMED else ""
        raise InputError(
            f"{sr_dir}: frames differ in size from their originals: {', '.join(wrong[:NAMED])}{more}; "
            "compare frames of one size."
        )
    return EvalResult(tuple(rows), crop_border, matched_by)


def _with_video(sr: list[Path], video: Path) -> Iterator[tuple[Path, Rgb]]:
    """Pair frames with the pictures of a video, which has to have as many."""
    for index, (path, picture) in enumerate(zip_longest(sr, video_frames(video))):
        if path is None:
            raise InputError(
                f"{video}: has more frames than the {len(sr)} of {sr[0].parent}; "
                f"those after {sr[-1].name} are missing there."
            )
        if picture is None:
            extra = [p.name for p in sr[index:]]
            raise InputError(
                f"{video}: has {index} frames against {len(sr)} in {sr[0].parent}, "
                f"where {name_some(extra)} have no original."
            )
        yield path, picture


def _in_order(
    work: Iterator[tuple[Path, Path | Rgb]], crop_border: int, lpips: Lpips | None, artifacts: bool
) -> Iterator[FrameScore | str]:
    """Score on all cores, a few frames ahead, and yield the results in order."""
    workers = os.cpu_count() or 1
    pending: deque[Future[FrameScore | str]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for sr, gt in work:
                pending.append(pool.submit(_score, sr, gt, crop_border, lpips, artifacts))
                if len(pending) >= 2 * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _score(sr_path: Path, gt: Path | Rgb, crop_border: int, lpips: Lpips | None, artifacts: bool) -> FrameScore | str:
    """The scores of one frame, or what is wrong with its size."""
    sr = read_image(sr_path)
    original = read_image(gt) if isinstance(gt, Path) else gt
    if sr.shape != original.shape:
        return f"{sr_path.name} ({_size(sr)} against {_size(original)})"
    smallest = min(sr.shape[:2]) - 2 * crop_border
    needed = WINDOW if lpips is None else max(WINDOW, lpips.smallest)
    if smallest < needed:
        raise InputError(
            f"{sr_path}: {_size(sr)} with a border of {crop_border} left out is too small to score; "
            f"{needed} pixels or more must remain along each side."
        )
    rgb = comparable(sr, original, channel="rgb", crop_border=crop_border)
    y = comparable(sr, original, channel="y", crop_border=crop_border)
    return FrameScore(
        frame=sr_path.stem,
        psnr_rgb=psnr_of_planes(*rgb),
        ssim_rgb=ssim_of_planes(*rgb),
        psnr_y=psnr_of_planes(*y),
        ssim_y=ssim_of_planes(*y),
        lpips=None if lpips is None else lpips.distance(sr, original, crop_border),
        artifacts=faults.measure(sr, original, crop_border=crop_border) if artifacts else None,
    )


def _size(picture: Rgb) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"


def write_csv(path: Path, result: EvalResult) -> None:
    """Write one line per frame: frame, psnr_rgb, ssim_rgb, psnr_y, ssim_y, and lpips where it was measured.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        names = [
            field.name
            for field in fields(FrameScore)
            if field.name != "artifacts" and (field.name != "lpips" or result.lpips is not None)
        ]
        table.writerow(names)
        for row in result.rows:
            table.writerow([row.frame, *(f"{getattr(row, name):.6f}" for name in names[1:])])
