"""The sources of motion vectors that ``--mv-extractor`` names."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.mv_sources.csv import find_program, read_csv_vectors
from codecvsr.bitstream.reader import active_backend, read_video

_READERS = ("auto", "native", "pyav")


def coded_frames(video: Path, extractor: str = "auto") -> Iterator[CodedFrame]:
    """Yields the frames of an H.264 file with vectors from ``extractor``.

    Args:
        video: the file.
        extractor: ``auto``, ``native`` or ``pyav``: readers of :func:`read_video`; ``mvx``: the package
            motion-vector-extractor; anything else: a program that prints extract_mvs CSV. With the last two PyAV reads
            everything but the vectors.

    Raises:
        InputError: the extractor is missing or fails, and whatever :func:`read_video` raises.
    """
    if extractor in _READERS:
        yield from read_video(video, backend=extractor)  # type: ignore[arg-type]
        return
    if extractor == "mvx":
        from codecvsr.bitstream.mv_sources.mvx import read_mvx_vectors

        table = read_mvx_vectors(video)
    else:
        table = read_csv_vectors(extractor, video)
    for frame in read_video(video, backend="pyav"):
        yield dataclasses.replace(frame, vectors=table.get(frame.index, NO_VECTORS))


def check_extractor(extractor: str) -> str:
    """Checks that ``extractor`` is installed; returns what it means on this machine, for ``meta.json``.

    Raises:
        InputError: it is missing.
    """
    if extractor in _READERS:
        return active_backend(extractor)  # type: ignore[arg-type]
    if extractor == "mvx":
        from codecvsr.bitstream.mv_sources.mvx import video_capture

        video_capture()
        return f"motion-vector-extractor {importlib.metadata.version('motion-vector-extractor')}"
    return find_program(extractor)
