"""What a training set is made from: its settings, and a job for every clip and every shot over photographs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

from codecvsr.bitstream.containers import open_input
from codecvsr.bitstream.encode import PRESETS
from codecvsr.constants import CELL, SCALE
from codecvsr.datasets.hr_sources import HRSource, find_sources
from codecvsr.datasets.reds import Split, excluded_clips, reds_folder
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.files import list_images, read_image
from codecvsr.train.camera import min_photo_size
from codecvsr.train.prepared_set import SUFFIX, chunk_bytes

STEP = SCALE * CELL  #: sides of a chunk's frames are multiples of it
_PHOTO_THREADS = 4  # decode photographs at once for the check


@dataclass(frozen=True)
class Preparation:
    """Everything that decides the content of a set, besides its sources. ``set.json`` has these keys.

    Attributes:
        versions: compressed versions of every chunk.
        crf: lowest and highest CRF; each version draws its own.
        presets: x264 presets to draw from.
        ldp: share of versions coded IPPP; the others have the B-frames of their preset.
        clean: share of versions with pristine pixels, and motion from a stream at CRF 12.
        rate_limited: share of compressed versions with a mean bit rate and a buffer (VBV), as streaming services code.
        reencoded: share of compressed versions that were encoded once before, as uploads are.
        kernels: share of versions shrunk by area, bilinear or Lanczos instead of bicubic.
        noise: share of versions with light sensor noise, which the originals don't have.
        frames: maximum length of a chunk; longer clips are split, a remainder below ``shortest`` is skipped.
        shortest: minimum length of a chunk.
        tallest: maximum frame height, a multiple of 16; higher clips are scaled down. 0 for no limit.
        shot_frames: length of a shot over photographs.
        shot_size: width and height of a shot's frames, multiples of 16.
        seed: seed of all random choices.
    """

    versions: int = 2
    crf: tuple[float, float] = (15.0, 35.0)
    presets: tuple[str, ...] = ("veryfast", "faster", "fast", "medium", "slow")
    ldp: float = 0.3
    clean: float = 0.1
    rate_limited: float = 0.0
    reencoded: float = 0.0
    kernels: float = 0.0
    noise: float = 0.0
    frames: int = 100
    shortest: int = 8
    tallest: int = 0
    shot_frames: int = 48
    shot_size: tuple[int, int] = (640, 384)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            InputError: a value is out of range.
        """
        low, high = self.crf
        if not 0 <= low <= high <= 51:
            raise InputError(f"the CRF range {low:g} to {high:g} is not within 0 to 51.")
        if not self.presets or not set(self.presets) <= set(PRESETS):
            raise InputError(
                f"the presets {', '.join(self.presets) or 'none'}: some of {', '.join(PRESETS)} were expected."
            )
        for name in ("ldp", "clean", "rate_limited", "reencoded", "kernels", "noise"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} = {getattr(self, name):g}: a share from 0 to 1 was expected.")
        if min(self.versions, self.shortest, self.frames, self.shot_frames) < 1 or self.shortest > self.frames:
            raise InputError("versions and lengths must be at least 1, and the minimum length at most the maximum.")
        for size in (*self.shot_size, self.tallest):
            if size % STEP:
                raise InputError(f"a size of {size} pixels: a multiple of {STEP} was expected.")


@dataclass(frozen=True)
class Job:
    """A clip, or a shot over photographs; it becomes one chunk or several.

    Attributes:
        name: prefix of the chunks' file names, which end in the number of their first frame.
        sources: the clip, or the photographs (background first).
        frames: number of frames.
        size: height and width of the chunks' frames in pixels.
        is_shot: whether the sources are photographs.
    """

    name: str
    sources: tuple[Path, ...]
    frames: int
    size: tuple[int, int]
    is_shot: bool = False

    def starts(self, settings: Preparation) -> dict[str, range]:
        """Returns the range of frames of every chunk, by file name."""
        cuts = range(0, self.frames, settings.frames)
        parts = [range(start, min(start + settings.frames, self.frames)) for start in cuts]
        return {f"{self.name}-{p.start:06d}{SUFFIX}": p for p in parts if len(p) >= min(settings.shortest, self.frames)}

    def size_in_bytes(self, settings: Preparation) -> int:
        """Returns the size of all chunks in bytes."""
        return sum(chunk_bytes(len(part), *self.size, settings.versions) for part in self.starts(settings).values())


@dataclass(frozen=True)
class Skipped:
    """A source that is not used, or only in part.

    Attributes:
        source: file, folder or name of the job.
        reason: a sentence for the user.
    """

    source: str
    reason: str


@dataclass
class Plan:
    """The jobs of a set, and the sources that cannot be used."""

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def extend(self, other: Plan) -> None:
        """Add the jobs and skipped sources of another plan."""
        self.jobs += other.jobs
        self.skipped += other.skipped


def plan_sources(
    settings: Preparation,
    *,
    clips: Sequence[Path] = (),
    photos: Sequence[Path] = (),
    shots: int = 4,
    reds: Path | None = None,
    split: Split = "train",
) -> Plan:
    """Plan a set from several sources.

    Args:
        settings: settings of the set.
        clips: folders of clips.
        photos: folders of photographs.
        shots: number of shots per photograph.
        reds: folder into which REDS was unpacked; REDS4 is excluded.
        split: which clips of REDS.

    Raises:
        InputError: a folder has no clips or photographs.
    """
    plan = Plan()
    for root in clips:
        plan.extend(plan_clips(root, settings))
    if reds is not None:
        plan.extend(plan_clips(reds_folder(reds, split), settings, excluded_clips(split)))
    for root in photos:
        plan.extend(plan_shots(root, shots, settings))
    return plan


def plan_clips(root: Path, settings: Preparation, exclude: Sequence[str] = ()) -> Plan:
    """Plan a job for every clip of a folder, but for those named in ``exclude``.

    Clips that are unreadable, too small or too short are skipped.

    Raises:
        InputError: the folder has no clips.
    """
    plan = Plan()
    for source in find_sources(root):
        if source.name not in exclude:
            try:
                plan.jobs.append(_clip_job(root, source, settings))
            except (CodecVSRError, av.FFmpegError, OSError) as error:
                plan.skipped.append(Skipped(str(source.path), _without_path(error, source.path)))
    return plan


def _clip_job(root: Path, source: HRSource, settings: Preparation) -> Job:
    frames, height, width = _measure(source)
    if settings.tallest and height > settings.tallest:
        height, width = settings.tallest, round(width * settings.tallest / height)
    size = height // STEP * STEP, width // STEP * STEP
    if not min(size):
        raise InputError(f"frames of {width}x{height} pixels; at least {STEP}x{STEP} were expected.")
    if frames < settings.shortest:
        raise InputError(f"{frames} frames; at least {settings.shortest} were expected.")
    return Job(f"{root.resolve().name}-{source.name}", (source.path,), frames, size)


def plan_shots(root: Path, shots: int, settings: Preparation) -> Plan:
    """Plan ``shots`` shots over every photograph of a folder.

    Photographs that cannot be decoded or are too small are skipped.

    Raises:
        InputError: the folder has no photographs.
    """
    found = list_images(root) if root.is_dir() else []
    if not found:
        raise InputError(f"{root}: has no photographs; PNG or JPEG files were expected.")
    width, height = settings.shot_size
    with ThreadPoolExecutor(_PHOTO_THREADS) as pool:
        faults = list(pool.map(lambda path: _photo_fault(path, height, width), found))
    plan = Plan(skipped=[Skipped(str(path), fault) for path, fault in zip(found, faults, strict=True) if fault])
    photos = [path for path, fault in zip(found, faults, strict=True) if not fault]
    for index, photo in enumerate(photos):
        for number in range(shots):
            others = np.random.default_rng((settings.seed, index, number)).integers(len(photos), size=2)
            sources = (photo, *(photos[int(i)] for i in others))
            name = f"{root.resolve().name}-{photo.stem}-{number:03d}"
            plan.jobs.append(Job(name, sources, settings.shot_frames, (height, width), is_shot=True))
    return plan


def _photo_fault(path: Path, height: int, width: int) -> str:
    """Returns why a photograph cannot be used for shots of this size; empty if it can."""
    try:
        tall, wide = read_image(path).shape[:2]
    except InputError as error:
        return _without_path(error, path)
    min_height, min_width = min_photo_size(height, width)
    if tall < min_height or wide < min_width:
        return f"{wide}x{tall} pixels; at least {min_width}x{min_height} were expected for shots of {width}x{height}."
    return ""


def _without_path(error: Exception, path: Path) -> str:
    """Returns the text of an error without the path in front, which :class:`Skipped` has as a field."""
    return str(error).removeprefix(f"{path}: ")


def _measure(source: HRSource) -> tuple[int, int, int]:
    """Returns frames, height and width of a clip; decodes only its first frame."""
    first = next(iter(source.pictures()), None)
    if first is None:
        raise InputError("has no frames.")
    frames = source.length
    if frames is None:
        with open_input(source.path) as container:
            frames = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    return frames, first.shape[0], first.shape[1]
