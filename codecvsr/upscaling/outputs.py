"""Where upscaled pictures go: into a video, or into a folder of PNG files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from codecvsr.durable import sync_file, sync_folder
from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, check_frame_folder, move_files, write_png
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.frame_names import is_frame
from codecvsr.video.mux import assemble
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.segments import EncoderOptions, PictureFormat, SegmentWriter, count_frames
from codecvsr.video.stream_mapping import StreamPlan, container_of, is_raw
from codecvsr.video.y4m import write_y4m


class ChunkWriter(Protocol):
    """Writes the pictures of one chunk; they are durable after :meth:`close`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        """Writes picture ``index`` of the video, (H, W, 3) uint8."""

    def close(self) -> None:
        """Makes the pictures durable."""


class Target(Protocol):
    """An output that is made chunk by chunk.

    Attributes:
        is_copied: ``finish`` writes the data of the chunks a second time.
    """

    is_copied: bool

    def is_done(self, chunk: Chunk) -> bool:
        """Whether all pictures of the chunk exist, from this run or an earlier one."""

    def writer(self, chunk: Chunk) -> ChunkWriter:
        """Begins a chunk."""

    def finish(self, chunks: Sequence[Chunk]) -> None:
        """Makes the output from the chunks."""


class VideoTarget:
    """A video file: one segment per chunk, joined at the end."""

    is_copied = True

    def __init__(
        self,
        output: Path,
        checkpoint: CheckpointDir,
        media: Media,
        scan: Scan,
        options: EncoderOptions,
        form: PictureFormat,
        plans: Sequence[StreamPlan],
        *,
        cut: bool,
    ) -> None:
        """Writes nothing yet."""
        self._output, self._checkpoint, self._media, self._scan = output, checkpoint, media, scan
        self._options, self._form, self._plans, self._cut = options, form, plans, cut

    def _segment(self, chunk: Chunk) -> Path:
        return self._checkpoint.path / f"{chunk.index:06d}.nut"

    def is_done(self, chunk: Chunk) -> bool:
        """Whether the segment exists and is complete."""
        path = self._segment(chunk)
        return path.is_file() and count_frames(path) == chunk.stop - chunk.start

    def writer(self, chunk: Chunk) -> ChunkWriter:
        """Begins the segment of a chunk."""
        return _VideoChunk(SegmentWriter(self._segment(chunk), self._options, self._form), self._scan)

    def finish(self, chunks: Sequence[Chunk]) -> None:
        """Writes the video with the source's other streams.

        Raises:
            OutputError: it cannot be written, or a frame is missing.
        """
        segments = [self._segment(chunk) for chunk in chunks]
        container = container_of(self._output)
        with atomic_file(self._output) as part:
            if is_raw(self._output):
                write_y4m(self._media, self._scan, segments, part, self._form.aspect)
            else:
                assemble(self._media, self._scan, segments, part, container, self._plans, cut=self._cut)
            with part.open("rb+") as file:
                sync_file(file.fileno())
            self._checkpoint.mark_finished(part)


class _VideoChunk:
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

    def __init__(self, output: Path, checkpoint: CheckpointDir, names: Sequence[str], pattern: str) -> None:
        """Checks that no other file in ``output`` would pass for a frame of this run.

        Args:
            output: the folder.
            checkpoint: of the output.
            names: of the files of all frames.
            pattern: of the names, empty for the usual ones.

        Raises:
            OutputError: ``output`` is a file, or has such a file (the message names it).
        """
        self._output, self._checkpoint, self._names, self._pattern = output, checkpoint, names, pattern
        self._folder = checkpoint.path / "pictures"
        self._check()

    def _check(self) -> None:
        check_frame_folder(self._output, set(self._names).__contains__, is_frame=is_frame(self._pattern))

    def _note(self, chunk: Chunk) -> Path:
        return self._checkpoint.path / f"{chunk.index:06d}.done"

    def is_done(self, chunk: Chunk) -> bool:
        """The chunk was noted as done, and its files exist."""
        names = self._names[chunk.start : chunk.stop]
        return self._note(chunk).is_file() and all(
            (self._folder / name).is_file() or self._checkpoint.has_moved(name) for name in names
        )

    def writer(self, chunk: Chunk) -> ChunkWriter:
        """Begins the files of a chunk."""
        self._folder.mkdir(exist_ok=True)
        return _PictureChunk(self._folder, self._names, self._checkpoint, self._note(chunk).name)

    def finish(self, chunks: Sequence[Chunk]) -> None:
        """Moves the files into the output folder.

        Raises:
            OutputError: it cannot be written, or a file of others that would pass for a frame was put there meanwhile.
        """
        self._check()
        try:
            self._output.parent.mkdir(parents=True, exist_ok=True)
            self._checkpoint.mark_pictures_finished(self._folder)
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


class _PictureChunk:
    def __init__(self, folder: Path, names: Sequence[str], checkpoint: CheckpointDir, note: str) -> None:
        self._folder, self._names, self._checkpoint, self._note = folder, names, checkpoint, note
        self._written: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keeps the files: without a note they are made again."""

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        path = self._folder / self._names[index]
        write_png(path, rgb)
        self._written.append(path)

    def close(self) -> None:
        for path in self._written:
            with path.open("rb+") as file:
                sync_file(file.fileno())
        sync_folder(self._folder)
        self._checkpoint.mark(self._note)
