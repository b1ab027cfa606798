"""From clips and photographs to a prepared training set (:mod:`codecvsr.train.prepared_set`).

Every random choice follows from the seed and the piece's name, so that neither the order of the work, nor what else is in
the set, nor an interruption changes a piece.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from fractions import Fraction
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import PROXY_CRF, EncodeSettings, Gop, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.constants import SCALE
from codecvsr.datasets.hr_sources import HRSource
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import atomic_file, read_image
from codecvsr.models.priors import make_priors
from codecvsr.motion import estimate_motion
from codecvsr.train.camera import Picture, choose_movement, render_shot
from codecvsr.train.prepare_plan import STEP, Job, Preparation
from codecvsr.train.prepared_set import Piece, write_piece
from codecvsr.video.resize import downsample, resample

SETTINGS = "set.json"  #: what a set was prepared with, in its folder
RATES = (24, 25, 30, 50, 60)  #: frames per second


def prepare(
    out: Path,
    jobs: Sequence[Job],
    settings: Preparation,
    *,
    processes: int = 1,
    limit_bytes: int | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Make the pieces of ``out`` that are not there yet.

    Args:
        out: the set's folder; another call with the same settings goes on, or adds pieces.
        jobs: what to make them of; names are unique.
        settings: of this set.
        processes: how many work side by side; the pieces are the same with any.
        limit_bytes: the most room all pieces may take; jobs from the first that does not fit on are left out.
        note: is told of every job done.

    Returns:
        What failed or was left out, a line for each; the rest is done all the same.

    Raises:
        InputError: the set was prepared with other settings, or two jobs have the same name.
        OutputError: the folder cannot be written.
    """
    names = [job.name for job in jobs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two sources are both called {twice}; rename the folder or the file of one.")
    _check_settings(out / SETTINGS, settings)
    problems = []
    room = float("inf") if limit_bytes is None else limit_bytes
    todo: list[Job] = []
    for job in jobs:
        room -= job.size_in_bytes(settings)
        if room < 0:
            problems.append(f"{job.name} and what follows ({len(jobs) - len(todo)} of {len(jobs)}): no room is left.")
            break
        todo.append(job)
    for done, (job, (made, problem)) in enumerate(_side_by_side(todo, settings, out, processes), 1):
        note(f"{done}/{len(todo)} {job.name}: {made} new pieces")
        if problem:
            problems.append(f"{job.name}: {problem}")
    return problems


def _side_by_side(
    jobs: Sequence[Job], settings: Preparation, out: Path, processes: int
) -> Iterator[tuple[Job, tuple[int, str]]]:
    """What :func:`work` says of every job, in the order in which they end."""
    if processes <= 1:
        for job in jobs:
            yield job, work(job, settings, out)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_alone) as pool:
        waiting: dict[Future[tuple[int, str]], Job] = {}
        queue = iter(jobs)
        while True:
            for job in islice(queue, 2 * processes - len(waiting)):
                waiting[pool.submit(work, job, settings, out)] = job
            if not waiting:
                return
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()


def work(job: Job, settings: Preparation, out: Path) -> tuple[int, str]:
    """Make the pieces of one job that are not there yet; how many that were, and what went wrong."""
    parts = {name: part for name, part in job.starts(settings).items() if not (out / name).is_file()}
    made = 0
    if not parts:
        return made, ""
    try:
        pictures = iter(_shot(job, settings) if job.is_shot else _clip(job))
        at = 0
        for name, part in parts.items():
            for _ in range(part.start - at):
                next(pictures)
            hr = np.stack([next(pictures) for _ in part])
            at = part.stop
            write_piece(out / name, make_piece(hr, settings, name, str(job.sources[0].name)))
            made += 1
    except StopIteration:
        return made, f"it has fewer than the {job.frames} frames its file speaks of; those before the gap were used."
    except CodecVSRError as error:
        return made, str(error)
    return made, ""


def make_piece(hr: npt.NDArray[np.uint8], settings: Preparation, name: str, source: str) -> Piece:
    """Shrink, compress in several ways, decode, and read the motion of (T, H, W, 3) frames."""
    rng = np.random.default_rng((settings.seed, zlib.crc32(name.encode())))
    pristine = [downsample(frame, SCALE) for frame in hr]
    versions, parts = [], []
    for _ in range(settings.versions):
        is_clean = bool(rng.random() < settings.clean)
        gop: Gop = "ldp" if rng.random() < settings.ldp else "default"
        crf = round(float(rng.uniform(*settings.crf)), 2)
        encoding = EncodeSettings(
            crf=PROXY_CRF if is_clean else crf,
            preset=settings.presets[int(rng.integers(len(settings.presets)))],
            gop=gop,
            fps=Fraction(RATES[int(rng.integers(len(RATES)))]),
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "clip.mp4"
            encode_h264(pristine, path, encoding)
            frames = list(read_video(path))
        if len(frames) != len(pristine):
            raise InputError(f"{name}: {len(frames)} of {len(pristine)} frames came back from the encoder.")
        motion = estimate_motion(frames, threads=1)
        parts.append(
            (
                np.stack(pristine if is_clean else [frame.rgb for frame in frames]),
                np.concatenate([motion.to_prev, motion.to_next], axis=1).astype(np.float16),
                make_priors(motion).astype(np.float16),
                motion.is_cut,
            )
        )
        versions.append(
            {"crf": None if is_clean else crf, "preset": encoding.preset, "gop": gop, "fps": int(encoding.fps)}
        )
    lr, fields, priors, is_cut = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return Piece(source, tuple(versions), hr, lr, fields, priors, is_cut)


def _clip(job: Job) -> Iterator[Picture]:
    """The clip's frames, shrunk and cut to the size of its pieces."""
    height, width = job.size
    for picture in HRSource(job.name, job.sources[0]).pictures():
        tall, wide = picture.shape[:2]
        if tall >= height + STEP:  # shrunk to the tallest allowed
            picture = resample(picture, height, round(wide * height / tall))
        yield np.ascontiguousarray(picture[:height, :width])


def _shot(job: Job, settings: Preparation) -> Iterator[Picture]:
    rng = np.random.default_rng((settings.seed, zlib.crc32(job.name.encode()), 1))
    photos = [read_image(path) for path in job.sources]
    height, width = job.size
    return render_shot(photos, job.frames, height, width, choose_movement(rng, width), rng)


def _check_settings(path: Path, settings: Preparation) -> None:
    now: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: is not readable JSON ({error}).") from error
        if other := [key for key in now if before.get(key) != now[key]]:
            raise InputError(
                f"{path.parent}: was prepared with {', '.join(f'{key} = {before.get(key)}' for key in other)}; give the same "
                "settings to go on, or another folder."
            )
        return
    with atomic_file(path) as part:
        part.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def _alone() -> None:
    """A worker has one processor: its neighbours have the others."""
    cv2.setNumThreads(1)
