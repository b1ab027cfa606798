"""High-resolution sources of a benchmark: finding them, reading them, and their shrunken frames on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.errors import InputError, OutputError
from codecvsr.files import VIDEO_SUFFIXES, list_images, read_image
from codecvsr.inference.clip_folder import check_size, numbered_frames
from codecvsr.video.resize import downsample

Picture = npt.NDArray[np.uint8]


class HRSource:
    """One high-resolution clip: a folder of numbered frames or a video file.

    Attributes:
        name: the clip's name, which becomes its folder's.
        path: the folder or file.
        damage: why the last reading ended early; empty where it did not.
    """

    def __init__(self, name: str, path: Path) -> None:
        """Nothing is read yet."""
        self.name = name
        self.path = path
        self.damage = ""

    @property
    def length(self) -> int | None:
        """Number of frames where that is known without decoding."""
        return len(list_images(self.path)) if self.path.is_dir() else None

    def pictures(self, allow_damaged: bool = False) -> Iterator[Picture]:
        """The frames one by one, (H, W, 3) uint8 RGB.

        Raises:
            InputError: a frame is missing, unreadable or of another size (it is named), or the video is unreadable.
            DamagedInputError: the video is damaged and ``allow_damaged`` is false.
        """
        if not self.path.is_dir():
            video = VideoPictures(self.path, allow_damaged=allow_damaged)
            yield from video
            self.damage = video.damage
            return
        paths = numbered_frames(self.path)
        size = None
        for path in paths:
            picture = read_image(path)
            size = size or (picture.shape[0], picture.shape[1])
            check_size(path, picture, paths[0], size)
            yield picture


def find_sources(root: Path, names: tuple[str, ...] = ()) -> list[HRSource]:
    """Returns the clips of a folder: its sub-folders of pictures and its video files, or itself as one clip.

    Args:
        root: the folder or file.
        names: clips wanted; empty for all.

    Raises:
        InputError: there are none, one that was named is not there, or two have the same name.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder; a folder of HR clips was expected.")
    if root.is_file():
        found = [HRSource(root.stem, root)]
    else:
        found = []
        for path in sorted(p for p in root.iterdir() if not p.name.startswith(".")):
            if path.is_dir() and list_images(path):
                found.append(HRSource(path.name, path))
            elif path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
                found.append(HRSource(path.stem, path))
        if not found and list_images(root):
            found = [HRSource(root.resolve().name.removesuffix("_GT"), root)]
    if not found:
        raise InputError(f"{root}: holds no clips; sub-folders of PNG or JPEG frames, or video files, were expected.")
    by_name: dict[str, HRSource] = {}
    for source in found:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise InputError(
                f"{root}: {other.path.name} and {source.path.name} are both clip {source.name!r}; rename one."
            )
    for name in names:
        if name not in by_name:
            raise InputError(f"{root}: holds no clip {name!r}; its clips are {', '.join(by_name)[:300]}.")
    return [source for source in found if not names or source.name in names]


def shrink_source(source: HRSource, frames: Iterable[Picture], spool: LRSpool, scale: int) -> None:
    """Down-sample the frames of a source into ``spool``.

    Raises:
        InputError: their size is not divisible by ``scale``, or would result in odd LR sizes, which 4:2:0 video cannot represent.
    """
    for frame in frames:
        height, width = frame.shape[:2]
        if not len(spool) and (height % (2 * scale) or width % (2 * scale)):
            step = 2 * scale
            fault = (
                f"is not divisible by the scale {scale}"
                if height % scale or width % scale
                else f"gives LR frames of {width // scale}x{height // scale}, and 4:2:0 video needs multiples of 2"
            )
            raise InputError(
                f"{source.path}: its size {width}x{height} {fault}; a multiple of {step} was expected. Crop the frames to "
                f"{width // step * step}x{height // step * step}."
            )
        spool.append(downsample(frame, scale))


class LRSpool:
    """The pristine LR frames of one clip in a nameless temporary file, so that long clips need no memory."""

    def __init__(self, folder: Path) -> None:
        """Keep the file in ``folder``, where the outputs go, and not in a system folder that may be small.

        Raises:
            OutputError: the file cannot be made there.
        """
        self._folder = folder
        self._count = 0
        self._shape: tuple[int, ...] = ()
        try:
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        except OSError as error:
            raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self._shape[0], self._shape[1]

    def append(self, frame: Picture) -> None:
        """Add a frame.

        Raises:
            InputError: its size differs from the first one's.
            OutputError: the disk is full.
        """
        if self._shape and frame.shape != self._shape:
            raise InputError(f"frame {self._count} differs in size from those before it; one size was expected.")
        self._shape = frame.shape
        try:
            self._file.seek(self._count * frame.size)
            self._file.write(frame.tobytes())
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written ({error.strerror}).") from error
        self._count += 1

    def __getitem__(self, index: int) -> Picture:
        if not 0 <= index < self._count:
            raise IndexError(f"frame {index} of {self._count}")
        size = int(np.prod(self._shape))
        self._file.seek(index * size)
        return np.frombuffer(self._file.read(size), np.uint8).reshape(self._shape)

    def __iter__(self) -> Iterator[Picture]:
        for index in range(self._count):
            yield self[index]
