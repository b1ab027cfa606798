"""The checkpoint folder of one output: finished work, from which a run that was stopped continues.

It is beside the output as ``.NAME.codecvsr/`` and has ``manifest.json`` (input, options and versions), ``survey.npz`` (the
input's scan) and one file per finished chunk. A file gets its name only when it is complete and on the disk, so that a power
cut leaves no file that is named and incomplete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from codecvsr.bitstream.tone_mapping import ToneMapping
from codecvsr.durable import lock, sync_file, sync_folder
from codecvsr.errors import OtherJobError, OutputError
from codecvsr.files import FRAME_NAME, name_beside
from codecvsr.video.scan import Colour, Scan
from codecvsr.video.segments import unique
from codecvsr.video.side_data import SideData
from codecvsr.video.size_changes import SizeChange

FORMAT_VERSION = 2
_MANIFEST, _SCAN, _FINISHED, _LOCK = "manifest.json", "survey.npz", "finished", "lock"
CHUNK_SUFFIXES = (".nut", ".done")  #: of the files of finished chunks
_SAMPLE = 1 << 20  # bytes at both ends of an input that identify it, with its size


def checkpoint_path(output: Path, pattern: str | None = None) -> Path:
    """Returns the checkpoint folder of ``output``; beside the file or folder that a symbolic link leads to.

    PNG files of two patterns in one folder are two outputs.
    """
    if output.is_symlink() or output.name in ("", ".."):
        output = output.resolve()
    if pattern and pattern != FRAME_NAME:
        output = output.with_name(f"{output.name}-{pattern}")
    return name_beside(output, ".", ".codecvsr")


def fingerprint(path: Path) -> dict[str, Any]:
    """Identifies an input by its size and the SHA-256 of its ends; a folder of frames by names and sizes."""
    digest = hashlib.sha256()
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.is_file())
        for file in files:
            digest.update(os.fsencode(f"{file.name}:{file.stat().st_size}\n"))
        return {"files": len(files), "sha256": digest.hexdigest()}
    size = path.stat().st_size
    with path.open("rb") as stream:
        digest.update(stream.read(_SAMPLE))
        stream.seek(max(size - _SAMPLE, 0))
        digest.update(stream.read(_SAMPLE))
    return {"bytes": size, "sha256": digest.hexdigest()}


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Returns, in words, the entries in which two manifests differ."""
    found = []
    for key in sorted({*old, *new}):
        a, b = ("not set" if each.get(key) is None else each[key] for each in (old, new))
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{key} ")
        elif a != b:
            found.append(f"{prefix}{key} was {a}, is {b}")
    return found


class CheckpointDir:
    """The checkpoint folder, locked by this process while it is open."""

    def __init__(self, output: Path, pattern: str | None = None) -> None:
        """Creates nothing yet; ``pattern`` is that of PNG files, if it was chosen."""
        self.output = output
        self.path = checkpoint_path(output, pattern)
        self._lock: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def exists(self) -> bool:
        """Whether an earlier run left a checkpoint."""
        return (self.path / _MANIFEST).is_file()

    @property
    def has_work(self) -> bool:
        """Whether the folder has a finished chunk, of this run or an earlier one."""
        return any(path.suffix in CHUNK_SUFFIXES for path in self.path.glob("[0-9]*"))

    def _finished_note(self) -> dict[str, Any]:
        try:
            note = json.loads((self.path / _FINISHED).read_text())
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    @property
    def is_finished(self) -> bool:
        """The output is the complete one of this run, which was stopped before it removed this folder."""
        note = self._finished_note()
        try:
            if "pictures" in note:
                return all(self._has_size(name, size) for name, size in note["pictures"].items())
            return bool(note) and note == fingerprint(self.output)
        except OSError:
            return False

    def has_moved(self, name: str) -> bool:
        """The picture ``name`` of this run is complete and in the output folder already."""
        pictures = self._finished_note().get("pictures", {})
        return name in pictures and self._has_size(name, pictures[name])

    def _has_size(self, name: str, size: int) -> bool:
        path = self.output / name
        return path.is_file() and path.stat().st_size == size

    def open(self, manifest: Mapping[str, Any], *, resume: bool) -> bool:
        """Creates the folder, or continues with that of an earlier run.

        Args:
            manifest: decides the result: input, model, options and versions.
            resume: continue with earlier work if there is any; otherwise remove it.

        Returns:
            Whether earlier work is used.

        Raises:
            OutputError: another process makes the same output, the folder cannot be written, or the earlier work is of
                another input or other options.
        """
        manifest = {"format": FORMAT_VERSION, **json.loads(json.dumps(manifest))}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire_lock()
            if self.exists and resume:
                self._check(manifest)
                for part in self.path.glob(".*.part"):  # of runs that were killed
                    part.unlink()
                return True
            for item in self.path.iterdir():
                if item.name != _LOCK:
                    shutil.rmtree(item) if item.is_dir() else item.unlink()
            write_durably(self.path / _MANIFEST, json.dumps(manifest, indent=2).encode() + b"\n")
        except OSError as error:
            if not self.has_work:
                self.remove()
            raise OutputError(
                f"{self.path}: cannot be written ({error.strerror or error}); choose an output in a folder that can be."
            ) from error
        return False

    def _acquire_lock(self) -> None:
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        if not lock(self._lock, self.output):
            os.close(self._lock)
            self._lock = None
            raise OutputError(f"{self.output}: another process is making it; wait for that, or stop it.")

    def _check(self, manifest: Mapping[str, Any]) -> None:
        advice = "use -y to start over, or repeat the earlier command to go on with it"
        try:
            old = json.loads((self.path / _MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.path / _MANIFEST}: cannot be read ({error}); {advice}.") from error
        if not isinstance(old, dict):
            raise OutputError(f"{self.path / _MANIFEST}: has no JSON object; {advice}.")
        found = differences(old, manifest)
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise OtherJobError(
                f"{self.output}: an unfinished run is there, but for another job ({'; '.join(found[:3])}{more}); {advice}."
            )

    def load_scan(self) -> Scan | None:
        """Returns the input's scan, or None if none was saved."""
        path = self.path / _SCAN
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                facts = json.loads(str(stored["facts"]))
                pts = stored["pts"].astype(np.int64)
                keys, starts = (stored[name].astype(np.bool_) for name in ("keys", "starts"))
                side_data = SideData.from_arrays(stored)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None  # made again
        rotation, peak = facts.pop("rotation"), facts.pop("peak", None)
        return Scan(
            pts=pts,
            keys=keys,
            starts=starts,
            colour=Colour(**facts.pop("colour")),
            aspect=Fraction(facts.pop("aspect")),
            rotation=None if rotation is None else tuple(rotation),
            side_data=side_data,
            crop=tuple(facts.pop("crop", (0, 0, 0, 0))),
            tone_mapping=None if peak is None else ToneMapping(peak),
            later_sizes=tuple(SizeChange(*change) for change in facts.pop("later_sizes", ())),
            **facts,
        )

    def save_scan(self, scan: Scan) -> None:
        """Saves the input's scan.

        Raises:
            OSError: it cannot be written.
        """
        facts = {
            "first": scan.first,
            "last_duration": scan.last_duration,
            "height": scan.height,
            "width": scan.width,
            "pixel_format": scan.pixel_format,
            "colour": asdict(scan.colour),
            "aspect": str(scan.aspect),
            "rotation": scan.rotation,
            "concealed": scan.concealed,
            "crop": scan.crop,
            "peak": None if scan.tone_mapping is None else scan.tone_mapping.peak,
            "deinterlaced": scan.deinterlaced,
            "without_vectors": scan.without_vectors,
            "later_sizes": scan.later_sizes,
        }
        part = self.path / f".{_SCAN}.part.npz"
        arrays: dict[str, Any] = scan.side_data.to_arrays()
        arrays["facts"] = np.array(json.dumps(facts))
        np.savez_compressed(part, pts=scan.pts, keys=scan.keys, starts=scan.starts, **arrays)
        _sync_and_rename(part, self.path / _SCAN)

    def mark(self, name: str, text: str = "") -> None:
        """Writes the file ``name``, a note that something is done.

        Raises:
            OSError: it cannot be written.
        """
        write_durably(self.path / name, text.encode())

    def note(self, name: str) -> str:
        """Returns the text of a note that :meth:`mark` wrote; empty if there is none."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return ""

    def mark_finished(self, complete: Path) -> None:
        """Notes that ``complete`` is the whole output, which only lacks its name.

        Raises:
            OSError: the note cannot be written.
        """
        self.mark(_FINISHED, json.dumps(fingerprint(complete)))

    def mark_pictures_finished(self, folder: Path) -> None:
        """Note that ``folder`` has all pictures of the output, unless that was noted before.

        Raises:
            OSError: the note cannot be written.
        """
        if not self._finished_note():
            self.mark(_FINISHED, json.dumps({"pictures": {p.name: p.stat().st_size for p in folder.iterdir()}}))

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def write_durably(path: Path, data: bytes) -> None:
    """Writes a small file so that after a power cut it is complete or absent.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.{unique()}.part")
    part.write_bytes(data)
    _sync_and_rename(part, path)


def _sync_and_rename(part: Path, path: Path) -> None:
    with part.open("rb+") as file:
        sync_file(file.fileno())
    os.replace(part, path)
    sync_folder(path.parent)
