"""Where upscaled pictures go: into a video, or into a folder of PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, check_frame_folder, move_files, write_png
from codecvsr.upscaling.checkpoint_dir import WorkFolder
from codecvsr.upscaling.chunks import Shard
from codecvsr.upscaling.frame_names import is_frame
from codecvsr.video.mux import assemble
from codecvsr.video.probe import Media, Scan
from codecvsr.video.segments import EncoderOptions, PictureFormat, SegmentWriter, count_frames, sync_folder
from codecvsr.video.stream_mapping import StreamPlan, container_of


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
    """A folder of PNG files, one per frame; files of other names in it stay."""

    is_copied = False

    def __init__(self, output: Path, work: WorkFolder, names: Sequence[str], pattern: str) -> None:
        """Checks that no other file in ``output`` would pass for a frame of this run.

        Args:
            output: the folder.
            work: its checkpoint.
            names: of the files of all frames.
            pattern: of the names, empty for the usual ones.

        Raises:
            OutputError: ``output`` is a file, or holds such a file (the message names it).
        """
        self._output, self._work, self._names, self._pattern = output, work, names, pattern
        self._folder = work.path / "pictures"
        self._check()

    def _check(self) -> None:
        check_frame_folder(self._output, set(self._names).__contains__, is_frame=is_frame(self._pattern))

    def _note(self, shard: Shard) -> Path:
        return self._work.path / f"{shard.index:06d}.done"

    def is_done(self, shard: Shard) -> bool:
        """The chunk was noted as done, and its files exist."""
        names = self._names[shard.start : shard.stop]
        return self._note(shard).is_file() and all(
            (self._folder / name).is_file() or self._work.has_moved(name) for name in names
        )

    def writer(self, shard: Shard) -> ShardWriter:
        """Begin the shard's files."""
        self._folder.mkdir(exist_ok=True)
        return _PictureShard(self._folder, self._names, self._work, self._note(shard).name)

    def finish(self, shards: Sequence[Shard]) -> None:
        """Move the files into the output folder.

        Raises:
            OutputError: it cannot be written, or a file of others that would pass for a frame was put there meanwhile.
        """
        self._check()
        try:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._work.mark_pictures_finished(self._folder)
            if self._output.exists() and (self._output.is_symlink() or any(self._output.iterdir())):
                move_files(self._folder, self._output)
                sync_folder(self._output)
            else:
                place = self._output.resolve() if self._output.is_symlink() else self._output
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self._folder, place)
                sync_folder(place.parent)
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
