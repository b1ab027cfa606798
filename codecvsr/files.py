"""Reading and writing files so that nothing is ever left half-written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError, OutputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".m4v", ".avi", ".ts", ".m2ts", ".webm", ".flv", ".h264", ".264")


def list_images(folder: Path) -> list[Path]:
    """The PNG and JPEG files of a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read a picture as (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing or is not a picture.
    """
    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if picture is None:
        raise InputError(f"{path}: not a readable PNG or JPEG picture.")
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)


def write_png(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    """Write (H, W, 3) uint8 RGB as a PNG, under a temporary name until it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    done, encoded = cv2.imencode(".png", rgb[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OutputError(f"{path}: the picture could not be encoded as PNG.")
    with atomic_file(path) as part:
        encoded.tofile(part)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``target``; rename it to ``target`` on success, remove it on failure.

    Raises:
        OutputError: the folder cannot be created or the file cannot be written.
    """
    part = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None


@contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``target``; it takes ``target``'s place on success and goes on failure.

    Raises:
        OutputError: ``target`` exists and ``overwrite`` is false, or the folder cannot be written.
    """
    if target.exists() and not overwrite and (not target.is_dir() or any(target.iterdir())):
        raise OutputError(f"{target}: exists already; give -y/--overwrite to replace it, or choose another output.")
    part = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if target.is_dir():
            shutil.rmtree(target)
        elif target.exists():
            target.unlink()
        os.replace(part, target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
