"""Where upscaled pictures go: into a video, or into a folder of PNG files."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from codecvsr.errors import InputError, OutputError
from codecvsr.files import IMAGE_SUFFIXES, atomic_file, write_png
from codecvsr.upscaling.checkpoint_dir import WorkFolder
from codecvsr.upscaling.chunks import Shard
from codecvsr.video.mux import assemble
from codecvsr.video.probe import Media, Scan
from codecvsr.video.segments import EncoderOptions, PictureFormat, SegmentWriter, count_frames, sync_folder
from codecvsr.video.stream_mapping import StreamPlan, container_of

_PATTERN = re.compile(r"%0?(\d*)d")


class ShardWriter(Protocol):
    """Takes the pictures of one shard; durable only after :meth:`close`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        """Take picture ``index`` of the video, (H, W, 3) uint8."""

    def close(self) -> None:
        """Make what was taken durable."""


class Target(Protocol):
    """An output that is made shard by shard.

    Attributes:
        is_copied: what the shards hold is written once more in the end.
    """

    is_copied: bool

    def is_done(self, shard: Shard) -> bool:
        """The shard's pictures are there, all of them, from this run or an earlier one."""

    def writer(self, shard: Shard) -> ShardWriter:
        """Begin a shard."""

    def finish(self, shards: Sequence[Shard]) -> None:
        """Put the output together and give it its name."""


class VideoTarget:
    """A video file: one segment per shard, put together at the end."""

    is_copied = True

    def __init__(
        self,
        output: Path,
        work: WorkFolder,
        media: Media,
        scan: Scan,
        options: EncoderOptions,
        form: PictureFormat,
        plans: Sequence[StreamPlan],
        *,
        cut: bool,
    ) -> None:
        """Nothing is written yet."""
        self._output, self._work, self._media, self._scan = output, work, media, scan
        self._options, self._form, self._plans, self._cut = options, form, plans, cut

    def _segment(self, shard: Shard) -> Path:
        return self._work.path / f"{shard.index:06d}.nut"

    def is_done(self, shard: Shard) -> bool:
        """The segment is there and whole."""
        path = self._segment(shard)
        return path.is_file() and count_frames(path) == shard.stop - shard.start

    def writer(self, shard: Shard) -> ShardWriter:
        """Begin the shard's segment."""
        return _VideoShard(SegmentWriter(self._segment(shard), self._options, self._form), self._scan)

    def finish(self, shards: Sequence[Shard]) -> None:
        """Write the video with the source's other streams.

        Raises:
            OutputError: it cannot be written, or a frame is missing.
        """
        segments = [self._segment(shard) for shard in shards]
        container = container_of(self._output)
        with atomic_file(self._output) as part:
            assemble(self._media, self._scan, segments, part, container, self._plans, cut=self._cut)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            self._work.mark_finished(part)


class _VideoShard:
    def __init__(self, segment: SegmentWriter, scan: Scan) -> None:
        self._segment, self._scan = segment, scan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._segment.__exit__(kind, error, trace)

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        self._segment.add(rgb, int(self._scan.pts[index]))

    def close(self) -> None:
        self._segment.close()


class PictureTarget:
    """A folder of PNG files, one per frame."""

    is_copied = False

    def __init__(self, output: Path, work: WorkFolder, names: Sequence[str]) -> None:
        """Nothing is written yet; ``names`` are those of all frames."""
        self._output, self._work, self._names = output, work, names
        self._folder = work.path / "pictures"

    def _note(self, shard: Shard) -> Path:
        return self._work.path / f"{shard.index:06d}.done"

    def is_done(self, shard: Shard) -> bool:
        """The shard was noted as done, and its files are there."""
        names = self._names[shard.start : shard.stop]
        return self._note(shard).is_file() and all((self._folder / name).is_file() for name in names)

    def writer(self, shard: Shard) -> ShardWriter:
        """Begin the shard's files."""
        self._folder.mkdir(exist_ok=True)
        return _PictureShard(self._folder, self._names, self._work, self._note(shard).name)

    def finish(self, shards: Sequence[Shard]) -> None:
        """Give the folder its name.

        Raises:
            OutputError: what stands there already holds other things than pictures.
        """
        check_replaceable(self._output)
        try:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._work.mark_finished(self._folder)
            if self._output.is_dir():
                shutil.rmtree(self._output)
            os.replace(self._folder, self._output)
            sync_folder(self._output.parent)
        except OSError as error:
            raise OutputError(f"{self._output}: cannot be written ({error.strerror or error}).") from error


class _PictureShard:
    def __init__(self, folder: Path, names: Sequence[str], work: WorkFolder, note: str) -> None:
        self._folder, self._names, self._work, self._note = folder, names, work, note
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Files without a note are made again."""

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        path = self._folder / self._names[index]
        write_png(path, rgb)
        self._written.append(path)

    def close(self) -> None:
        for path in self._written:
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(self._folder)
        self._work.mark(self._note)


def check_replaceable(folder: Path) -> None:
    """Refuse to replace what holds anything but pictures.

    Raises:
        OutputError: it does, or is a file.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file, but a folder of PNG frames is to be made; choose another output.")
    other = next((p for p in folder.iterdir() if p.suffix.lower() not in IMAGE_SUFFIXES), None)
    if other is not None:
        raise OutputError(f"{folder}: holds more than pictures ({other.name}); choose another output.")


def split_pattern(output: Path) -> tuple[Path, str | None]:
    """The folder of an output like ``frames/%08d.png`` and the pattern of its names; (output, None) for any other.

    Raises:
        InputError: the pattern does not end in .png, or counts in more than one place.
    """
    if output.suffix.lower() != ".png" and not _PATTERN.search(output.name):
        return output, None  # a percent sign in the name of a video or a folder is only that
    if len(_PATTERN.findall(output.name)) != 1 or output.name.count("%") != 1 or output.suffix.lower() != ".png":
        raise InputError(f"{output}: a pattern of frames is like frames/%08d.png, with one number.")
    return output.parent, output.name


def picture_names(media: Media, frames: int, first: int, pattern: str | None) -> list[str]:
    """Names of the PNG files: by the pattern, those of the frames that came in, or numbers from 0."""
    if pattern is not None:
        return [pattern % i for i in range(frames)]
    if media.pictures:
        return [f"{path.stem}.png" for path in media.pictures[first : first + frames]]
    return [f"{i:08d}.png" for i in range(frames)]
