"""The clips of a comparison: benchmark folders and the originals they were made from."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.datasets.hr_sources import HRSource, find_sources
from codecvsr.errors import InputError
from codecvsr.files import list_images
from codecvsr.inference.clip_folder import FRAMES, META, ClipFolder

_LABEL = re.compile(r"_CRF(none|[0-9.]+)$")
_TOLD = ("encoder_choice", "preset", "gop", "fps", "bit_rate", "lr_psnr", "scale", "lr_size", "hr_size")  # of meta.json


@dataclass(frozen=True, eq=False)
class TestClip:
    """A compressed clip with its original.

    Attributes:
        folder: the clip folder.
        original: the high-resolution clip.
        crf: rate factor; None where the frames are pristine or it is not known.
        label: ``CRF25``, ``CRFnone``, or ``CRF?`` where nothing tells.
    """

    __test__ = False  # for pytest, which collects classes that are called Test...

    folder: ClipFolder = field(repr=False)
    original: HRSource = field(repr=False)
    crf: float | None
    label: str

    @property
    def name(self) -> str:
        """The clip's name."""
        return self.folder.path.resolve().name

    @property
    def benchmark(self) -> str:
        """The name of the folder it lies in."""
        return self.folder.path.resolve().parent.name

    @property
    def key(self) -> str:
        """Which clip of a comparison this is."""
        return f"{self.benchmark}/{self.name}"

    def length(self, most: int = 0) -> int:
        """How many frames are compared when at most so many are wanted; 0 wants all."""
        return min(len(self.folder.frames), most or len(self.folder.frames))

    def originals(self, frames: int) -> Iterator[npt.NDArray[np.uint8]]:
        """The first frames of the original, (H, W, 3) uint8 RGB.

        Raises:
            InputError: there are fewer, or it is unreadable.
        """
        count = 0
        for picture in itertools.islice(self.original.pictures(), frames):
            yield picture
            count += 1
        if count < frames:
            raise InputError(
                f"{self.original.path}: has {count} frames, but {self.folder.path} has {len(self.folder.frames)}; the "
                "originals that the clip was made from were expected."
            )

    def fingerprint(self) -> str:
        """Changes when a file of the clip or of its original does: a digest of names, sizes and times."""
        own = sorted(p for p in self.folder.path.rglob("*") if p.is_file())
        originals = list_images(self.original.path) if self.original.path.is_dir() else [self.original.path]
        digest = hashlib.sha256()
        for path in (*own, *originals):
            stat = path.stat()
            digest.update(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """What a reader has to know of it."""
        told = {name: self.folder.meta[name] for name in _TOLD if name in self.folder.meta}
        return {
            "clip": self.name,
            "benchmark": self.benchmark,
            "crf": crf_value(self.crf, self.label),
            "frames": len(self.folder.frames),
            "folder": str(self.folder.path),
            "original": str(self.original.path),
            **told,
        }


def crf_value(crf: float | None, label: str) -> float | str | None:
    """A rate factor in JSON: a number, "none" for pristine frames, null where it is not known."""
    return crf if crf is not None else "none" if label == "CRFnone" else None


def find_clips(roots: Sequence[Path], gt_root: Path, names: Sequence[str] = ()) -> list[TestClip]:
    """The clip folders at and up to two levels below ``roots``, with their originals, by name and rising CRF.

    Args:
        roots: clip folders, benchmark folders such as ``OUT/val_CRF25``, or what holds those.
        gt_root: originals as ``codecvsr benchmark --hr-root`` takes them: a sub-folder of frames, or a video, of the name
            of every clip; or the original itself, where there is one clip only.
        names: clips wanted; empty for all.

    Raises:
        InputError: a root holds no clips, one has no original, or a named clip is not there.
    """
    folders: dict[Path, Path] = {}  # by where they really are: the same folder twice is one
    for root in roots:
        found = [root] if _is_clip(root) else _below(root)
        if not found:
            raise InputError(
                f"{root}: holds no clip folders (with frames in {FRAMES}/); make them with codecvsr benchmark."
            )
        folders = {path.resolve(): path for path in found} | folders
    have = {path.name for path in folders}
    wanted = [path for place, path in folders.items() if not names or place.name in names]
    if missing := [name for name in names if name not in have]:
        raise InputError(f"No clip is called '{missing[0]}'; there are {', '.join(sorted(have))[:300]}.")
    sources = {source.name: source for source in find_sources(gt_root)}
    is_only = len({path.resolve().name for path in wanted}) == 1 and [s.path for s in sources.values()] == [gt_root]
    clips = []
    for path in wanted:
        source = next(iter(sources.values())) if is_only else sources.get(path.resolve().name)
        if source is None:
            raise InputError(
                f"{gt_root}: holds no original of clip '{path.resolve().name}'; it has {', '.join(sources)[:300]}."
            )
        folder = ClipFolder.open(path)
        crf, label = _rate(folder)
        clips.append(TestClip(folder, source, crf, label))
    return sorted(clips, key=lambda c: (c.name, -1.0 if c.crf is None else c.crf, c.benchmark))


def _is_clip(path: Path) -> bool:
    return (path / FRAMES).is_dir()


def _below(root: Path, depth: int = 2) -> list[Path]:
    if not root.is_dir() or depth == 0:
        return []
    children = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [p for child in children for p in ([child] if _is_clip(child) else _below(child, depth - 1))]


def _rate(folder: ClipFolder) -> tuple[float | None, str]:
    """The CRF of a clip and its label: what ``meta.json`` says, else the name of the benchmark folder."""
    if "crf" in folder.meta:
        crf = folder.meta["crf"]
        if crf is not None and not isinstance(crf, int | float):
            raise InputError(f"{folder.path / META}: crf is {crf!r}; a number or null was expected.")
        return (None, "CRFnone") if crf is None else (float(crf), f"CRF{crf:g}")
    match = _LABEL.search(folder.path.resolve().parent.name)
    if match is None:
        return None, "CRF?"
    return (None, "CRFnone") if match[1] == "none" else (float(match[1]), f"CRF{float(match[1]):g}")
