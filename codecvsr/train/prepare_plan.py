"""What a training set is to be made of: settings, and a job for every clip and every shot over photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from codecvsr.bitstream.encode import PRESETS
from codecvsr.constants import CELL, SCALE
from codecvsr.datasets.hr_sources import HRSource, find_sources
from codecvsr.errors import InputError
from codecvsr.files import list_images
from codecvsr.train.prepared_set import SUFFIX, piece_bytes

STEP = SCALE * CELL  #: sides of a piece's frames are multiples of it


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
            if size % STEP:
                raise InputError(f"a size of {size} pixels: a multiple of {STEP} was expected.")


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
            size = height // STEP * STEP, width // STEP * STEP
            if not min(size):
                raise InputError(f"{source.path}: frames of {width}x{height}; at least {STEP}x{STEP} were expected.")
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


def _measure(source: HRSource) -> tuple[int, int, int]:
    """Frames, height and width of a clip, without decoding it all."""
    first = next(iter(source.pictures()))
    frames = source.length
    if frames is None:
        with av.open(str(source.path)) as container:
            frames = sum(1 for packet in container.demux(container.streams.video[0]) if packet.size)
    return frames, first.shape[0], first.shape[1]
