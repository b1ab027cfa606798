"""Videos for browsers: H.264 in MP4, 4:2:0, index first; and mosaics of several views, which stay synchronous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.picture_encoder import PictureEncoder, VideoFormat
from codecvsr.errors import OutputError

Picture = npt.NDArray[np.uint8]

_BT709 = 1  # ITU-T H.273
_BLOCK = 16  # views are aligned to macroblocks, so that none bleeds into another
_MAXIMUM = 4096  # pixels per side that every browser decodes
_KEY_EVERY = 12  # frames between key frames, for fast seeking


@dataclass(frozen=True)
class Mosaic:
    """Layout of several views in one picture.

    Attributes:
        columns: number of columns.
        cell: (width, height) of a view with its margin, in pixels.
        view: (width, height) of a view in pixels.
        scale: size of a view over its original size; below 1 only if scaled down to what browsers decode.
    """

    columns: int
    cell: tuple[int, int]
    view: tuple[int, int]
    scale: float

    @classmethod
    def of(cls, width: int, height: int, views: int) -> Mosaic:
        """Returns the layout of ``views`` views of ``width`` x ``height`` pixels that is closest to a square."""
        layouts = [(columns, -(-views // columns)) for columns in range(1, views + 1)]
        columns, rows = min(layouts, key=lambda layout: max(layout[0] * width, layout[1] * height))
        cell = _whole(width), _whole(height)
        scale = min(1.0, _MAXIMUM / (columns * cell[0]), _MAXIMUM / (rows * cell[1]))
        if scale == 1.0:
            return cls(columns, cell, (width, height), 1.0)
        view = max(int(width * scale), 2), max(int(height * scale), 2)
        limit = _MAXIMUM // columns // _BLOCK * _BLOCK, _MAXIMUM // rows // _BLOCK * _BLOCK
        view = min(view[0], limit[0]), min(view[1], limit[1])
        return cls(columns, (_whole(view[0]), _whole(view[1])), view, view[0] / width)

    def compose(self, pictures: Sequence[Picture]) -> Picture:
        """Returns one picture of all views, (H, W, 3) uint8."""
        rows = -(-len(pictures) // self.columns)
        sheet = np.zeros((rows * self.cell[1], self.columns * self.cell[0], 3), np.uint8)
        for number, picture in enumerate(pictures):
            if picture.shape[1::-1] != self.view:
                picture = cv2.resize(picture, self.view, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
            right, below = self.cell[0] - self.view[0], self.cell[1] - self.view[1]
            filled = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
            top, left = number // self.columns * self.cell[1], number % self.columns * self.cell[0]
            sheet[top : top + self.cell[1], left : left + self.cell[0]] = filled
        return sheet

    def to_json(self) -> dict[str, Any]:
        """Returns the layout as the page reads it."""
        return {"columns": self.columns, "cell": self.cell, "view": self.view, "scale": self.scale}


class VideoWriter:
    """A context manager that writes an MP4 picture by picture; the file is complete when the block ends.

    Odd sides lose their last line.
    """

    def __init__(self, target: Path, fps: Fraction, *, crf: int = 14) -> None:
        self.target = target
        self._fps, self._crf = fps, crf
        self._count = 0
        self._encoder: PictureEncoder | None = None

    def __enter__(self) -> Self:
        try:
            self._container = av.open(str(self.target), "w", options={"movflags": "faststart"})
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        return self

    def add(self, rgb: Picture) -> None:
        """Encode one more picture, (H, W, 3) uint8.

        Raises:
            OutputError: it cannot be written.
        """
        rgb = rgb[: rgb.shape[0] // 2 * 2, : rgb.shape[1] // 2 * 2]
        try:
            if self._encoder is None:
                self._encoder = self._begin(*rgb.shape[:2])
            self._encoder.add(rgb, self._count)
        except (av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._encoder is not None:
                self._encoder.finish()
            self._container.close()
        except (av.FFmpegError, OSError) as failure:
            if kind is None:
                raise self._failure(failure) from failure

    def _begin(self, height: int, width: int) -> PictureEncoder:
        video_format = VideoFormat(height, width, self._fps, matrix=_BT709, primaries=_BT709, transfer=_BT709)
        options = {"preset": "veryfast", "crf": str(self._crf), "g": str(_KEY_EVERY)}
        return PictureEncoder(self._container, "libx264", video_format, options)

    def _failure(self, error: Exception) -> OutputError:
        return OutputError(f"{self.target.name}: encoding failed ({getattr(error, 'strerror', None) or error}).")


def _whole(length: int) -> int:
    return -(-length // _BLOCK) * _BLOCK
