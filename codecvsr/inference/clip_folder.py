"""The layout of a benchmark clip folder: ``clip.mp4``, ``lr/%08d.png``, ``codec.npz`` and ``meta.json``."""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError
from codecvsr.files import VIDEO_SUFFIXES, list_images, read_image
from codecvsr.motion import ClipMotion
from codecvsr.motion.grid import grid_shape

FORMAT_VERSION = 1
FRAMES, STREAM, MOTION, META = "lr", "clip.mp4", "codec.npz", "meta.json"

# Stored as float16; raw vectors stay float32, as quarter-pels beyond 512 pixels do not fit into 16 bits.
_FLOAT16 = ("to_prev", "to_next", "confidence", "error")


def numbered_frames(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder in the order of the number at the end of their names, any first number.

    Raises:
        InputError: there are none, a name has no number, a number occurs twice, or one is missing (it is named).
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a folder of PNG or JPEG frames was expected.")
    numbered: dict[int, Path] = {}
    for path in list_images(folder):
        match = re.search(r"(\d+)$", path.stem)
        if match is None:
            raise InputError(
                f"{path}: has no number at the end of its name; frames named like 00000000.png were expected."
            )
        other = numbered.setdefault(int(match[1]), path)
        if other is not path:
            raise InputError(f"{folder}: {other.name} and {path.name} are both frame {int(match[1])}; remove one.")
    if not numbered:
        raise InputError(f"{folder}: holds no PNG or JPEG frames.")
    numbers = sorted(numbered)
    for before, number in itertools.pairwise(numbers):
        if number != before + 1:
            known = numbered[before]
            digits = re.search(r"(\d+)$", known.stem)
            assert digits is not None
            name = f"{known.stem[: digits.start()]}{before + 1:0{len(digits[1])}d}{known.suffix}"
            raise InputError(f"{folder}: frame {name} is missing; frames numbered without gaps were expected.")
    return tuple(numbered[number] for number in numbers)


def find_clip_folders(root: Path, depth: int = 2) -> list[Path]:
    """Returns the clip folders at and up to ``depth`` levels below a folder, in order; hidden folders are passed over."""
    if (root / FRAMES).is_dir():
        return [root]
    if not root.is_dir() or depth == 0:
        return []
    children = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [path for child in children for path in find_clip_folders(child, depth - 1)]


def check_size(path: Path, frame: npt.NDArray[np.uint8], first: Path, size: tuple[int, int]) -> None:
    """Refuse a frame that is not (height, width) = ``size``, the size of ``first``.

    Raises:
        InputError: it is not.
    """
    if frame.shape[:2] != size:
        raise InputError(
            f"{path}: is {frame.shape[1]}x{frame.shape[0]}, but {first.name} is {size[1]}x{size[0]}; "
            "frames of one size were expected."
        )


@dataclass(frozen=True)
class ClipFolder:
    """A clip folder that was checked for its names. A seed-style folder with ``lr/`` alone is one too.

    Attributes:
        path: the folder.
        frames: the pictures of ``lr/`` in order, numbered without gaps.
        stream: the compressed clip they were decoded from, or None.
        meta: what ``meta.json`` says; empty where there is none.
    """

    path: Path
    frames: tuple[Path, ...]
    stream: Path | None
    meta: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> ClipFolder:
        """Open a folder without loading its frames.

        Raises:
            InputError: it is not a clip folder, or frames are missing.
        """
        path = Path(path)
        if not (path / FRAMES).is_dir():
            raise InputError(
                f"{path}: is not a clip folder; a folder with frames in {FRAMES}/, or a folder of such folders, was expected."
            )
        streams = [path / STREAM, *(path / f"clip{suffix}" for suffix in VIDEO_SUFFIXES)]
        return cls(
            path=path,
            frames=numbered_frames(path / FRAMES),
            stream=next((stream for stream in streams if stream.is_file()), None),
            meta=read_meta(path) if (path / META).is_file() else {},
        )

    @property
    def has_motion(self) -> bool:
        """``codec.npz`` is there."""
        return (self.path / MOTION).is_file()

    def load_frames(self) -> npt.NDArray[np.uint8]:
        """All frames, (T, H, W, 3) uint8 RGB.

        Raises:
            InputError: a frame is unreadable or differs in size from the first.
        """
        first = read_image(self.frames[0])
        clip = np.empty((len(self.frames), *first.shape), np.uint8)
        for index, path in enumerate(self.frames):
            frame = first if index == 0 else read_image(path)
            check_size(path, frame, self.frames[0], (first.shape[0], first.shape[1]))
            clip[index] = frame
        return clip

    def load_motion(self) -> ClipMotion:
        """The codec data and motion of ``codec.npz``.

        Raises:
            InputError: the file is missing, unreadable, of another format or of another clip than the frames.
        """
        path = self.path / MOTION
        motion = read_motion(path)
        height, width = read_image(self.frames[0]).shape[:2]
        expected = (len(self.frames), 2, *grid_shape(height, width))
        if motion.to_prev.shape != expected:
            raise InputError(
                f"{path}: holds motion of shape {motion.to_prev.shape}, but the frames of {FRAMES}/ ask for {expected}; "
                "build the clip again with codecvsr benchmark."
            )
        return motion


def write_motion(path: Path, motion: ClipMotion) -> None:
    """Write ``codec.npz``: the fields of :class:`ClipMotion` under their names, and ``format_version``."""
    arrays = {field.name: getattr(motion, field.name) for field in fields(motion)}
    for name in _FLOAT16:
        arrays[name] = arrays[name].astype(np.float16)
    np.savez_compressed(path, format_version=np.int32(FORMAT_VERSION), **arrays)


def read_motion(path: Path) -> ClipMotion:
    """Read ``codec.npz`` (never unpickling anything).

    Raises:
        InputError: the file is missing, unreadable or of another format.
    """
    advice = "build the clip again with codecvsr benchmark."
    if not path.is_file():
        raise InputError(f"{path}: no such file; it holds the clip's motion: {advice}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            version = int(stored["format_version"])
            if version != FORMAT_VERSION:
                raise InputError(f"{path}: has format {version}, format {FORMAT_VERSION} was expected; {advice}")
            arrays = {field.name: stored[field.name] for field in fields(ClipMotion)}
        for name in _FLOAT16:
            arrays[name] = arrays[name].astype(np.float32)
        return ClipMotion(**arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: is not a readable codec.npz ({error}); {advice}") from error


def write_meta(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write ``meta.json``."""
    (folder / META).write_text(json.dumps(meta, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_meta(folder: Path) -> dict[str, Any]:
    """Read ``meta.json``.

    Raises:
        InputError: it is missing or is not a JSON object.
    """
    path = folder / META
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not readable JSON ({error}).") from error
    if not isinstance(meta, dict):
        raise InputError(f"{path}: holds no JSON object.")
    return meta
