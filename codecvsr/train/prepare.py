"""Prepare a training set (:mod:`codecvsr.train.prepared_set`) from clips and photographs.

Every random choice depends only on the seed and the chunk's name: a chunk is the same whatever the order of the work, the other
sources, and interruptions.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.datasets.hr_sources import HRSource
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.events import Progress
from codecvsr.files import atomic_file, read_image
from codecvsr.models.priors import make_priors
from codecvsr.motion import estimate_motion
from codecvsr.train.camera import Picture, choose_movement, render_shot
from codecvsr.train.degradation import degrade, draw_degradation
from codecvsr.train.prepare_plan import STEP, Job, Plan, Preparation, Skipped
from codecvsr.train.prepared_set import Chunk, write_chunk
from codecvsr.video.resize import resample

SETTINGS = "set.json"  #: file of the settings, in the set's folder


@dataclass(frozen=True)
class Prepared:
    """The result of :func:`prepare`.

    Attributes:
        new_chunks: number of chunks written now.
        skipped: sources not used, or only in part.
    """

    new_chunks: int
    skipped: tuple[Skipped, ...]


def _silent(items: Iterable[Any], description: str, total: int | None) -> Iterable[Any]:
    return items


def prepare(
    out: Path,
    plan: Plan,
    settings: Preparation,
    *,
    processes: int = 1,
    limit_bytes: int | None = None,
    progress: Progress = _silent,
) -> Prepared:
    """Write the chunks of a plan that are missing in ``out``.

    Args:
        out: the set's folder; a further call with the same settings continues it, or adds chunks.
        plan: its jobs, with unique names.
        settings: settings of this set.
        processes: number of worker processes; it does not change the chunks.
        limit_bytes: maximum size of all chunks; the first job that does not fit, and all later ones, are skipped.
        progress: wraps the iteration over jobs (items, description, total).

    Raises:
        InputError: the set has other settings, or two jobs have the same name.
        OutputError: the folder cannot be written.
    """
    names = [job.name for job in plan.jobs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"two sources are both called {twice}; rename the folder or the file of one.")
    _check_settings(out / SETTINGS, settings)
    skipped = list(plan.skipped)
    todo = _fitting(plan.jobs, settings, limit_bytes)
    if dropped := len(names) - len(todo):
        reason = f"the size limit is reached; this and all later sources ({dropped} of {len(names)}) are skipped."
        skipped.append(Skipped(names[len(todo)], reason))
    new_chunks = 0
    for job, (count, fault) in progress(_in_parallel(todo, settings, out, processes), "Preparing", len(todo)):
        new_chunks += count
        if fault:
            skipped.append(Skipped(job.name, fault))
    return Prepared(new_chunks, tuple(skipped))


def _fitting(jobs: list[Job], settings: Preparation, limit_bytes: int | None) -> list[Job]:
    """Returns the first jobs, as many as fit into ``limit_bytes``."""
    if limit_bytes is None:
        return jobs
    size = 0
    for index, job in enumerate(jobs):
        size += job.size_in_bytes(settings)
        if size > limit_bytes:
            return jobs[:index]
    return jobs


def _in_parallel(
    jobs: list[Job], settings: Preparation, out: Path, processes: int
) -> Iterator[tuple[Job, tuple[int, str]]]:
    """Yields every job with the result of :func:`work`, in order of completion."""
    if processes <= 1:
        for job in jobs:
            yield job, work(job, settings, out)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=_use_one_thread) as pool:
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
    """Write the missing chunks of one job; returns how many, and the reason if some could not be made."""
    parts = {name: part for name, part in job.starts(settings).items() if not (out / name).is_file()}
    count = 0
    if not parts:
        return count, ""
    try:
        pictures = iter(_shot(job, settings) if job.is_shot else _clip(job))
        at = 0
        for name, part in parts.items():
            for _ in range(part.start - at):
                next(pictures)
            hr = np.stack([next(pictures) for _ in part])
            at = part.stop
            write_chunk(out / name, make_chunk(hr, settings, name, str(job.sources[0].name)))
            count += 1
    except StopIteration:
        return count, f"has fewer frames than the {job.frames} of its file's index; only complete chunks were used."
    except CodecVSRError as error:
        return count, str(error)
    return count, ""


def make_chunk(hr: npt.NDArray[np.uint8], settings: Preparation, name: str, source: str) -> Chunk:
    """Returns the chunk of frames ``hr`` (T, H, W, 3) uint8: downsampled, compressed in several versions, with motion."""
    rng = np.random.default_rng((settings.seed, zlib.crc32(os.fsencode(name))))
    versions, parts = [], []
    for _ in range(settings.versions):
        how = draw_degradation(settings, rng)
        small, frames = degrade(list(hr), how, rng)
        if len(frames) != len(hr):
            raise InputError(f"{name}: {len(frames)} of {len(hr)} frames were decoded again.")
        motion = estimate_motion(frames, threads=1)
        parts.append(
            (
                np.stack(small if how.crf is None else [frame.rgb for frame in frames]),
                np.concatenate([motion.to_prev, motion.to_next], axis=1).astype(np.float16),
                make_priors(motion).astype(np.float16),
                motion.is_cut,
            )
        )
        versions.append(dataclasses.asdict(how))
    lr, fields, priors, is_cut = (np.stack(arrays) for arrays in zip(*parts, strict=True))
    return Chunk(source, tuple(versions), hr, lr, fields, priors, is_cut)


def _clip(job: Job) -> Iterator[Picture]:
    """Yields the clip's frames, scaled down and cropped to the size of its chunks."""
    height, width = job.size
    for picture in HRSource(job.name, job.sources[0]).pictures():
        tall, wide = picture.shape[:2]
        if tall >= height + STEP:  # scaled down to ``settings.tallest``
            picture = resample(picture, height, round(wide * height / tall))
        yield np.ascontiguousarray(picture[:height, :width])


def _shot(job: Job, settings: Preparation) -> Iterator[Picture]:
    rng = np.random.default_rng((settings.seed, zlib.crc32(os.fsencode(job.name)), 1))
    photos = [read_image(path) for path in job.sources]
    height, width = job.size
    return render_shot(photos, job.frames, height, width, choose_movement(rng, width), rng)


def _check_settings(path: Path, settings: Preparation) -> None:
    now: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path}: is not valid JSON ({error}).") from error
        before = {
            **json.loads(json.dumps(dataclasses.asdict(Preparation()))),
            **before,
        }  # of versions with fewer settings
        if other := [key for key in now if before[key] != now[key]]:
            raise InputError(
                f"{path.parent}: was prepared with {', '.join(f'{key} = {before[key]}' for key in other)}; use the same "
                "settings to continue, or another folder."
            )
        return
    with atomic_file(path) as part:
        part.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def _use_one_thread() -> None:
    """Limit OpenCV to one thread: the other workers use the other processors."""
    cv2.setNumThreads(1)
