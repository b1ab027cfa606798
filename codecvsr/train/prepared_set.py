"""The prepared training set: a folder of pieces, each a few seconds of one clip with everything training asks of it.

A piece is a safetensors file with the tensors

- ``hr`` (T, 4H, 4W, 3) uint8 RGB, the original,
- ``lr`` (V, T, H, W, 3) uint8 RGB, its V compressed versions as a decoder shows them (or pristine ones),
- ``fields`` (V, T, 4, H/4, W/4) float16, motion to the previous and to the next frame in pixels (x, y, x, y),
- ``priors`` (V, T, 8, H/4, W/4) float16, :func:`codecvsr.models.priors.make_priors`,
- ``is_cut`` (V, T) bool, frames that begin a new scene,

and as metadata under the key ``piece`` a JSON object of ``format``, ``source`` and ``versions``, which says of each version how it
was coded. Nothing is compressed, so that a file is mapped into memory instead of being read. Reversed in time a piece is a piece again: the frames in the other
order, and the two fields exchanged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from codecvsr.constants import CELL, SCALE
from codecvsr.errors import InputError
from codecvsr.files import atomic_file
from codecvsr.models import priors

ABOUT = "piece"  #: the metadata's only key
FORMAT = "codecvsr-training-1"
SUFFIX = ".safetensors"

_TYPES = {"U8": np.uint8, "F16": np.float16, "BOOL": np.bool_}
_LARGEST_HEADER = 1 << 20  # bytes; ours has about a thousand


@dataclass(frozen=True)
class Piece:
    """One piece; shapes are those of the module's description."""

    source: str
    versions: tuple[Mapping[str, Any], ...]
    hr: npt.NDArray[np.uint8]
    lr: npt.NDArray[np.uint8]
    fields: npt.NDArray[np.float16]
    priors: npt.NDArray[np.float16]
    is_cut: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that all tensors speak of the same frames."""
        frames, tall, wide = self.hr.shape[:3]
        versions, height, width = len(self.versions), tall // SCALE, wide // SCALE
        expected = {
            "hr": (frames, height * SCALE, width * SCALE, 3),
            "lr": (versions, frames, height, width, 3),
            "fields": (versions, frames, 4, height // CELL, width // CELL),
            "priors": (versions, frames, priors.CHANNELS, height // CELL, width // CELL),
            "is_cut": (versions, frames),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected shape {shape}, got shape = {getattr(self, name).shape}")


def piece_bytes(frames: int, height: int, width: int, versions: int) -> int:
    """Size of a piece of so many frames of (height, width) high-resolution pixels."""
    pixels = frames * height * width
    cells = pixels // (SCALE * CELL) ** 2
    return 3 * pixels + versions * (3 * pixels // SCALE**2 + 2 * (4 + priors.CHANNELS) * cells)


def write_piece(path: Path, piece: Piece) -> None:
    """Write a piece; it appears under its name when it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(getattr(piece, name)) for name in ("hr", "lr", "fields", "priors", "is_cut")}
    about = {"format": FORMAT, "source": piece.source, "versions": list(piece.versions)}
    with atomic_file(path) as part:
        save_file(tensors, part, metadata={ABOUT: json.dumps(about)})  # one entry: several have no order


def read_piece(path: Path) -> Piece:
    """Map a piece into memory; its pixels are read from the file when they are used, and never written back.

    Raises:
        InputError: the file is unreadable, incomplete or no piece of a training set.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _LARGEST_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(stream.read(length))
        about = json.loads(header.pop("__metadata__", {})[ABOUT])
        if about["format"] != FORMAT:
            raise ValueError(f"its format is {about['format']!r}, {FORMAT!r} was expected")
        tensors: dict[str, Any] = {
            name: np.memmap(
                path, _TYPES[entry["dtype"]], "c", 8 + length + entry["data_offsets"][0], tuple(entry["shape"])
            )
            for name, entry in header.items()
        }
        return Piece(about["source"], tuple(about["versions"]), **tensors)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is no readable piece of a training set ({error}); prepare it with scripts/training/prepare_training.py."
        ) from error


def find_pieces(folder: Path) -> Sequence[Path]:
    """The pieces of a prepared set, sorted by name.

    Raises:
        InputError: there are none.
    """
    found = sorted(p for p in folder.glob(f"*{SUFFIX}") if not p.name.startswith("."))
    if not found:
        raise InputError(
            f"{folder}: holds no prepared training set; make one with scripts/training/prepare_training.py {folder}."
        )
    return found
