"""The clips of a comparison: benchmark clip folders with their originals."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.constants import SCALE
from codecvsr.datasets.hr_sources import HRSource, find_sources
from codecvsr.errors import InputError
from codecvsr.files import list_images, read_image
from codecvsr.inference.clip_folder import FRAMES, META, ClipFolder, find_clip_folders

_LABEL = re.compile(r"_CRF(none|[0-9.]+)$")
_META_KEYS = (
    "encoder_choice",
    "preset",
    "gop",
    "fps",
    "bit_rate",
    "lr_psnr",
    "scale",
    "lr_size",
    "hr_size",
)  # copied from meta.json


@dataclass(frozen=True, eq=False)
class TestClip:
    """A compressed clip with its original.

    Attributes:
        folder: the clip folder.
        original: the high-resolution clip.
        crf: constant rate factor; None if the frames are pristine or the CRF is unknown.
        label: ``CRF25``, ``CRFnone``, or ``CRF?`` if unknown.
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
        """The name of its benchmark folder."""
        return self.folder.path.resolve().parent.name

    @property
    def key(self) -> str:
        """Identifies the clip within a comparison."""
        return f"{self.benchmark}/{self.name}"

    def length(self, limit: int = 0) -> int:
        """Returns the number of frames to compare: at most ``limit``, or all if it is 0."""
        return min(len(self.folder.frames), limit or len(self.folder.frames))

    def originals(self, frames: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yields the first ``frames`` frames of the original, (H, W, 3) uint8 RGB.

        Raises:
            InputError: there are fewer, or one is unreadable.
        """
        count = 0
        for picture in itertools.islice(self.original.pictures(), frames):
            yield picture
            count += 1
        if count < frames:
            raise self._too_few(count)

    def check(self, frames: int) -> None:
        """Checks, on the first frame, that the original has the size and at least ``frames`` frames.

        Raises:
            InputError: it does not, or the first frame of either is unreadable. The length of a video is not checked.
        """
        height, width = (SCALE * side for side in read_image(self.folder.frames[0]).shape[:2])
        first = next(self.original.pictures(), None)
        length = self.original.length
        if first is None or (length is not None and length < frames):
            raise self._too_few(length or 0)
        if first.shape[:2] != (height, width):
            raise InputError(
                f"{self.original.path}: is {first.shape[1]}x{first.shape[0]}, but the frames of {self.folder.path} need "
                f"{width}x{height}; use the originals of this clip."
            )

    def _too_few(self, count: int) -> InputError:
        return InputError(
            f"{self.original.path}: has {count} frames, but {self.folder.path} has {len(self.folder.frames)}; the "
            "clip's own originals were expected."
        )

    def fingerprint(self) -> str:
        """Returns a digest of names, sizes and times of all files of the clip and its original."""
        own = sorted(p for p in self.folder.path.rglob("*") if p.is_file())
        originals = list_images(self.original.path) if self.original.path.is_dir() else [self.original.path]
        digest = hashlib.sha256()
        for path in (*own, *originals):
            stat = path.stat()
            digest.update(os.fsencode(f"{path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n"))
        return digest.hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Returns the clip's entry in the report."""
        known = {name: self.folder.meta[name] for name in _META_KEYS if name in self.folder.meta}
        return {
            "clip": self.name,
            "benchmark": self.benchmark,
            "crf": crf_value(self.crf, self.label),
            "frames": len(self.folder.frames),
            "folder": str(self.folder.path),
            "original": str(self.original.path),
            **known,
        }


def crf_value(crf: float | None, label: str) -> float | str | None:
    """Returns a CRF for JSON: a number, "none" for pristine frames, or None (null) if unknown."""
    return crf if crf is not None else "none" if label == "CRFnone" else None


def find_clips(roots: Sequence[Path], gt_root: Path, names: Sequence[str] = ()) -> list[TestClip]:
    """Finds clip folders at and up to two levels below ``roots``; returns them by name and rising CRF.

    Args:
        roots: clip folders, benchmark folders such as ``OUT/val_CRF25``, or a folder of those.
        gt_root: originals as for ``codecvsr benchmark --hr-root``: a sub-folder of frames, or a video, named like each
            clip; or the original itself, if there is one clip only.
        names: clips wanted; empty for all.

    Raises:
        InputError: a root has no clips, a clip has no original, or a named clip is missing.
    """
    folders: dict[Path, Path] = {}  # by resolved path: links to one folder count once
    for root in roots:
        found = find_clip_folders(root)
        if not found:
            raise InputError(
                f"{root}: has no clip folders (with frames in {FRAMES}/); make them with codecvsr benchmark."
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
                f"{gt_root}: has no original of clip '{path.resolve().name}'; it has {', '.join(sources)[:300]}."
            )
        folder = ClipFolder.open(path)
        crf, label = _rate(folder)
        clips.append(TestClip(folder, source, crf, label))
    return sorted(clips, key=lambda c: (c.name, -1.0 if c.crf is None else c.crf, c.benchmark))


def _rate(folder: ClipFolder) -> tuple[float | None, str]:
    """Returns a clip's CRF and label from ``meta.json``, else from the name of the benchmark folder."""
    if "crf" in folder.meta:
        crf = folder.meta["crf"]
        if crf is not None and not isinstance(crf, int | float):
            raise InputError(f"{folder.path / META}: crf is {crf!r}; a number or null was expected.")
        return (None, "CRFnone") if crf is None else (float(crf), f"CRF{crf:g}")
    match = _LABEL.search(folder.path.resolve().parent.name)
    if match is None:
        return None, "CRF?"
    return (None, "CRFnone") if match[1] == "none" else (float(match[1]), f"CRF{float(match[1]):g}")
