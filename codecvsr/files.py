"""Reading files, and writing them so that no incomplete file is left."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from codecvsr.errors import InputError, OutputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
VIDEO_SUFFIXES = (
    ".mp4", ".mkv", ".mov", ".m4v", ".avi", ".ts", ".m2ts", ".mts", ".m2t", ".webm", ".flv", ".f4v", ".h264", ".264",
    ".mpg", ".mpeg", ".m2v", ".vob", ".wmv", ".asf", ".3gp", ".3g2", ".ogv", ".mxf", ".divx", ".rm", ".rmvb", ".dv",
)  # fmt: skip


_MAX_NAME = 255  # bytes of a file name, on nearly every file system
FRAME_NAME = "%08d.png"  #: of frame number i: ``FRAME_NAME % i``


def refuse_existing(*targets: Path | None, overwrite: bool, choose: str = "another output") -> None:
    """Raises OutputError if one of the outputs exists already and may not be replaced.

    Args:
        targets: files or folders to be written; None for an output that is not made.
        overwrite: they may be replaced.
        choose: what the message names as the other choice.
    """
    for target in targets:
        if target is not None and target.exists() and not overwrite:
            raise OutputError(f"{target}: exists already; use -y/--overwrite to replace it, or choose {choose}.")


def check_writable(path: Path) -> None:
    """Creates the folder of an output and checks that files can be made there, before hours of work.

    Raises:
        OutputError: they cannot.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error}); choose another path.") from error


def is_empty_folder(path: Path) -> bool:
    """Returns whether ``path`` is a folder with nothing in it."""
    return path.is_dir() and not any(path.iterdir())


def list_images(folder: Path) -> list[Path]:
    """Returns the PNG and JPEG files of a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Reads a picture as (H, W, 3) uint8 RGB.

    Raises:
        InputError: the file is missing or is not a picture.
    """
    import cv2  # not at the top: commands check paths before they import large libraries
    import numpy as np

    try:
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    picture = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if picture is None:
        raise InputError(f"{path}: not a readable PNG or JPEG picture.")
    return np.ascontiguousarray(picture[:, :, ::-1]).astype(np.uint8, copy=False)


def write_png(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    """Writes (H, W, 3) uint8 RGB as a PNG, under a temporary name until it is complete.

    Raises:
        OutputError: the file cannot be written.
    """
    import cv2

    done, encoded = cv2.imencode(".png", rgb[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise OutputError(f"{path}: the picture could not be encoded as PNG.")
    with atomic_file(path) as part:
        encoded.tofile(part)


def is_image_name(name: str) -> bool:
    """Returns whether :func:`list_images` lists a file of this name: a PNG or JPEG that is not hidden."""
    return Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def check_frame_folder(
    folder: Path, is_made: Callable[[str], bool], *, is_frame: Callable[[str], bool] = is_image_name
) -> None:
    """Checks that a folder contains no foreign file that could be mistaken for a frame of this run.

    Args:
        folder: where the frames go; it may not exist.
        is_made: whether this run writes a file of that name.
        is_frame: whether a file of that name could be mistaken for a frame.

    Raises:
        OutputError: the folder is a file, or has such a file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file; a folder of PNG frames was expected. Choose another output.")
    for path in sorted(folder.iterdir()):
        if is_frame(path.name) and (path.is_dir() or not is_made(path.name)):
            raise OutputError(
                f"{folder}: has {path.name}, which this run does not make and which would pass for one of its frames. "
                "Move it away, or choose another output."
            )


def move_files(source: Path, target: Path) -> None:
    """Moves every file below ``source`` to the same place below ``target``; other files there stay.

    Files of sub-folders go first: the presence of a file in ``target`` itself says that its sub-folders are complete.

    Raises:
        OSError: a file cannot be moved.
    """
    files = sorted(path for path in source.rglob("*") if path.is_file())
    for path in sorted(files, key=lambda path: path.parent == source):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(place))
        shutil.move(path, place)


def name_beside(path: Path, prefix: str, suffix: str) -> Path:
    """Returns a path beside ``path`` named ``PREFIX NAME SUFFIX``; a NAME too long for that ends in a digest instead."""
    name = f"{prefix}{path.name}{suffix}"
    if len(os.fsencode(name)) > _MAX_NAME:
        digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
        room = _MAX_NAME - len(os.fsencode(f"{prefix}-{digest}{suffix}"))
        start = os.fsencode(path.name)[:room].decode("utf-8", "ignore")
        name = f"{prefix}{start}-{digest}{suffix}"
    return path.with_name(name)


def _link_target(path: Path) -> Path:
    """Returns the target of a symbolic link, or any other path unchanged."""
    return path.resolve() if path.is_symlink() else path


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``target``; renames it to ``target`` on success, removes it on failure.

    A symbolic link is followed: its target is replaced.

    Raises:
        OutputError: the folder cannot be created or the file cannot be written.
    """
    place = _link_target(target)
    part = name_beside(place.with_suffix(""), ".", f".part{place.suffix}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        yield part
        os.replace(part, place)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        part.unlink(missing_ok=True) if part.parent.is_dir() else None


@contextmanager
def atomic_folder(target: Path, *, overwrite: bool = False, is_private: bool = False) -> Iterator[Path]:
    """Yields a temporary folder beside ``target``; on success its files move into ``target``, on failure it is removed.

    Files in ``target`` of other names stay.

    Args:
        target: the folder, or a symbolic link to one.
        overwrite: replace files that exist.
        is_private: ``target`` belongs to the caller alone: replace the whole folder.

    Raises:
        OutputError: ``target`` is a file, or has files and ``overwrite`` is false, or cannot be written.
    """
    place = _link_target(target)
    if place.exists() and not place.is_dir():
        raise OutputError(f"{target}: is a file; a folder was expected. Choose another output.")
    if not is_empty_folder(place):
        refuse_existing(target, overwrite=overwrite)
    part = name_beside(place, ".", ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        yield part
        if is_private and place.is_dir():
            shutil.rmtree(place)
        if place.is_dir() and any(place.iterdir()):
            move_files(part, place)
        else:
            os.replace(part, place)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
