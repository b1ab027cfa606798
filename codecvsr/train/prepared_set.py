"""The prepared training set: a folder of chunks, each a few seconds of one clip with everything that training needs.

A chunk is a safetensors file with the tensors

- ``hr`` (T, 4H, 4W, 3) uint8 RGB, the original,
- ``lr`` (V, T, H, W, 3) uint8 RGB, its V versions as decoded (or pristine),
- ``fields`` (V, T, 4, H/4, W/4) float16, motion to the previous and to the next frame in pixels (x, y, x, y),
- ``priors`` (V, T, 8, H/4, W/4) float16, :func:`codecvsr.models.priors.make_priors`,
- ``is_cut`` (V, T) bool, frames that begin a new scene,

and as metadata under the key ``piece`` a JSON object of ``format``, ``source`` and ``versions``, with the coding parameters of each
version. Tensors are not compressed, so that a file can be mapped into memory. A chunk reversed in time is a valid chunk: reverse the
frames and exchange the two fields.
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

METADATA = "piece"  #: the only key of the metadata
FORMAT = "codecvsr-training-1"
SUFFIX = ".safetensors"

_TYPES = {"U8": np.uint8, "F16": np.float16, "BOOL": np.bool_}
_MAX_HEADER = 1 << 20  # bytes; a real one has about a thousand


@dataclass(frozen=True)
class Chunk:
    """One chunk; see the module's docstring for the shapes."""

    source: str
    versions: tuple[Mapping[str, Any], ...]
    hr: npt.NDArray[np.uint8]
    lr: npt.NDArray[np.uint8]
    fields: npt.NDArray[np.float16]
    priors: npt.NDArray[np.float16]
    is_cut: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Check that the shapes of all tensors agree.

        Raises:
            ValueError: they do not.
        """
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


def chunk_bytes(frames: int, height: int, width: int, versions: int) -> int:
    """Returns the size in bytes of a chunk of ``frames`` frames of (height, width) high-resolution pixels."""
    pixels = frames * height * width
    cells = pixels // (SCALE * CELL) ** 2
    return 3 * pixels + versions * (3 * pixels // SCALE**2 + 2 * (4 + priors.CHANNELS) * cells)


def write_chunk(path: Path, chunk: Chunk) -> None:
    """Write a chunk; the file appears only when it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    tensors = {name: np.ascontiguousarray(getattr(chunk, name)) for name in ("hr", "lr", "fields", "priors", "is_cut")}
    params = {"format": FORMAT, "source": chunk.source, "versions": list(chunk.versions)}
    with atomic_file(path) as part:
        save_file(tensors, part, metadata={METADATA: json.dumps(params)})  # one key: the order of several is not stable


def read_chunk(path: Path) -> Chunk:
    """Map a chunk into memory, copy-on-write.

    Raises:
        InputError: the file is unreadable, incomplete, or not a chunk of a training set.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _MAX_HEADER:
                raise ValueError("its header is too long")
            header = json.loads(stream.read(length))
        params = json.loads(header.pop("__metadata__", {})[METADATA])
        if params["format"] != FORMAT:
            raise ValueError(f"its format is {params['format']!r}, {FORMAT!r} was expected")
        tensors: dict[str, Any] = {
            name: np.memmap(
                path, _TYPES[entry["dtype"]], "c", 8 + length + entry["data_offsets"][0], tuple(entry["shape"])
            )
            for name, entry in header.items()
        }
        return Chunk(params["source"], tuple(params["versions"]), **tensors)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is not a readable chunk of a training set ({error}); make it with codecvsr prepare."
        ) from error


def find_chunks(folder: Path) -> Sequence[Path]:
    """Returns the files of a prepared set, sorted by name.

    Raises:
        InputError: there are none.
    """
    found = sorted(p for p in folder.glob(f"*{SUFFIX}") if not p.name.startswith("."))
    if not found:
        raise InputError(f"{folder}: has no prepared training set; make one with codecvsr prepare {folder}.")
    return found
