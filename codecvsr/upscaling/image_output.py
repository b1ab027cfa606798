"""An output that is one picture in an image file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from codecvsr.durable import sync_file, sync_folder
from codecvsr.files import atomic_file
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.outputs import ChunkWriter
from codecvsr.video.image_files import ImageFile
from codecvsr.video.image_writer import write_image

_DONE = "000000.done"


class ImageTarget:
    """An image file: made in the checkpoint folder by the only chunk, and moved to its place."""

    is_copied = False

    def __init__(self, output: Path, checkpoint: CheckpointDir, source: ImageFile) -> None:
        """Writes nothing yet; ``source`` has what the picture has besides its colours."""
        self._output, self._checkpoint, self._source = output, checkpoint, source
        self._made = checkpoint.path / f"picture{output.suffix}"

    def is_done(self, chunk: Chunk) -> bool:
        """Whether the picture was noted as complete, and exists."""
        return (self._checkpoint.path / _DONE).is_file() and self._made.is_file()

    def writer(self, chunk: Chunk) -> ChunkWriter:
        """Begins the picture."""
        return _ImageWriter(self._made, self._output, self._checkpoint, self._source)

    def finish(self, chunks: Sequence[Chunk]) -> None:
        """Moves the picture to its place.

        Raises:
            OutputError: it cannot be written there.
        """
        with atomic_file(self._output) as part:
            shutil.move(self._made, part)
            self._checkpoint.mark_finished(part)


class _ImageWriter:
    def __init__(self, made: Path, output: Path, checkpoint: CheckpointDir, source: ImageFile) -> None:
        self._made, self._output, self._checkpoint, self._source = made, output, checkpoint, source

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leaves the file: without a note it is made again."""

    def add(self, index: int, rgb: npt.NDArray[np.uint8]) -> None:
        write_image(self._made, self._output, rgb, self._source)

    def close(self) -> None:
        with self._made.open("rb+") as file:
            sync_file(file.fileno())
        sync_folder(self._made.parent)
        self._checkpoint.mark(_DONE)
