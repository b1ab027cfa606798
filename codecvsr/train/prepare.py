"""From clips and photographs to a prepared training set (:mod:`codecvsr.train.pieces`).

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
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import PRESETS, EncodeSettings, Gop, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import atomic_file, list_images, read_image
from codecvsr.models.priors import make_priors
from codecvsr.motion import estimate_motion
from codecvsr.motion.field import CELL
from codecvsr.pipeline.benchmark import COMPANION_CRF
from codecvsr.pipeline.hr_sources import HRSource, find_sources
from codecvsr.pipeline.resize import downsample, resample
from codecvsr.train.camera import Picture, choose_movement, render_shot
from codecvsr.train.pieces import SCALE, SUFFIX, Piece, piece_bytes, write_piece

SETTINGS = "set.json"  #: what a set was prepared with, in its folder
RATES = (24, 25, 30, 50, 60)  #: frames per second
_STEP = SCALE * CELL  # sides of a piece's frames are multiples of it


@dataclass(frozen=True)
class Preparation:
    """What decides the content of a set, besides its sources.

    Attributes:
        versions: compressed versions of every piece.
        crf: lowest and highest rate factor; every version has its own in between.
        presets: of x264, to choose from.
        ldp: share of the versions that are coded IPPP; the others have the B-frames of their preset.
        clean: share of the versions whose pixels are pristine, with motion from a stream at a CRF of 12.
        frames: longest piece; longer clips are cut, and a rest shorter than ``shortest`` is left out.
        shortest: shortest piece.
        tallest: frames higher than this are shrunk to it, a multiple of 16; 0 for none.
        shot_frames: length of a shot over photographs.
        shot_size: width and height of its frames, multiples of 16.
        seed: of all choices.
    """

    versions: int = 2
    crf: tuple[float, float] = (15.0, 35.0)
    presets: tuple[str, ...] = ("veryfast", "faster", "fast", "medium", "slow")
    ldp: float = 0.3
    clean: float = 0.1
    frames: int = 100
    shortest: int = 8
    tallest: int = 0
    shot_frames: int = 48
    shot_size: tuple[int, int] = (640, 384)
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse bad values before any work is done."""
        low, high = self.crf
        if not 0 <= low <= high <= 51:
            raise InputError(f"the rate factors {low:g} to {high:g} are not a range within 0 to 51.")
        if not self.presets or not set(self.presets) <= set(PRESETS):
            raise InputError(
                f"the presets {', '.join(self.presets) or 'none'}: some of {', '.join(PRESETS)} were expected."
            )
        if min(self.versions, self.shortest, self.frames, self.shot_frames) < 1 or self.shortest > self.frames:
            raise InputError(
                "versions and lengths are at least 1, and the shortest piece is no longer than the longest."
            )
        for size in (*self.shot_size, self.tallest):
            if size % _STEP:
                raise InputError(f"a size of {size} pixels: a multiple of {_STEP} was expected.")


@dataclass(frozen=True)
class Job:
    """A clip, or a shot over photographs; it becomes one piece or several.

    Attributes:
        name: of the pieces, which end in the number of their first frame.
        sources: the clip, or the photographs (background first).
        frames: how many there are.
        size: height and width of the pieces' frames.
        is_shot: photographs.
    """

    name: str
    sources: tuple[Path, ...]
    frames: int
    size: tuple[int, int]
    is_shot: bool = False

    def starts(self, settings: Preparation) -> dict[str, range]:
        """File name of every piece and its frames."""
        cuts = range(0, self.frames, settings.frames)
        parts = [range(start, min(start + settings.frames, self.frames)) for start in cuts]
        return {f"{self.name}-{p.start:06d}{SUFFIX}": p for p in parts if len(p) >= min(settings.shortest, self.frames)}

    def size_in_bytes(self, settings: Preparation) -> int:
        """Room that its pieces take."""
        return sum(piece_bytes(len(part), *self.size, settings.versions) for part in self.starts(settings).values())


def clip_jobs(root: Path, settings: Preparation, without: Sequence[str] = ()) -> Iterator[Job]:
    """A job for every clip of a folder, but for those named in ``without``.

    Raises:
        InputError: there are none, or one is unreadable or too small.
    """
    for source in find_sources(root):
        if source.name not in without:
            frames, height, width = _measure(source)
            if settings.tallest and height > settings.tallest:
                height, width = settings.tallest, round(width * settings.tallest / height)
            size = height // _STEP * _STEP, width // _STEP * _STEP
            if not min(size):
                raise InputError(f"{source.path}: frames of {width}x{height}; at least {_STEP}x{_STEP} were expected.")
            yield Job(f"{root.resolve().name}-{source.name}", (source.path,), frames, size)


def shot_jobs(root: Path, shots: int, settings: Preparation) -> Iterator[Job]:
    """So many shots over every photograph of a folder.

    Raises:
        InputError: there are no photographs.
    """
    photos = list_images(root) if root.is_dir() else []
    if not photos:
        raise InputError(f"{root}: holds no photographs; PNG or JPEG files were expected.")
    width, height = settings.shot_size
    for index, photo in enumerate(photos):
        for number in range(shots):
            others = np.random.default_rng((settings.seed, index, number)).integers(len(photos), size=2)
            sources = (photo, *(photos[int(i)] for i in others))
            name = f"{root.resolve().name}-{photo.stem}-{number:03d}"
            yield Job(name, sources, settings.shot_frames, (height, width), is_shot=True)


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
            crf=COMPANION_CRF if is_clean else crf,
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
        if tall >= height + _STEP:  # shrunk to the tallest allowed
            picture = resample(picture, height, round(wide * height / tall))
        yield np.ascontiguousarray(picture[:height, :width])


def _shot(job: Job, settings: Preparation) -> Iterator[Picture]:
    rng = np.random.default_rng((settings.seed, zlib.crc32(job.name.encode()), 1))
    photos = [read_image(path) for path in job.sources]
    height, width = job.size
    return render_shot(photos, job.frames, height, width, choose_movement(rng, width), rng)


def _measure(source: HRSource) -> tuple[int, int, int]:
    """Frames, height and width of a clip, without decoding it all."""
    first = next(iter(source.pictures()))
    frames = source.length
    if frames is None:
        with av.open(str(source.path)) as container:
            frames = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    return frames, first.shape[0], first.shape[1]


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
