"""Motion vectors from the package motion-vector-extractor: for cross-checks only.

It bundles FFmpeg 4.1 and decodes with frame threads, which sometimes corrupts vectors of streams with B-frames, and it
stops early where audio comes before video.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from codecvsr.bitstream.frame import VECTOR_DTYPE
from codecvsr.bitstream.mv_sources.csv import VectorTable
from codecvsr.errors import InputError

# The package's array columns -> fields of VECTOR_DTYPE.
_COLUMNS = {
    "source": 0,
    "w": 1,
    "h": 2,
    "dst_x": 5,
    "dst_y": 6,
    "motion_x": 7,
    "motion_y": 8,
    "motion_scale": 9,
}


def video_capture() -> Any:
    """Returns a new reader of the package.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from mvextractor.videocap import VideoCap
    except ImportError as error:
        raise InputError(
            "The extractor 'mvx' needs the package motion-vector-extractor (x86-64 Linux only); install it with "
            "pip install 'codecvsr[mvx]', or use --mv-extractor auto."
        ) from error
    return VideoCap()


def read_mvx_vectors(video: Path) -> VectorTable:
    """Returns vectors by display index, from 0, as VECTOR_DTYPE arrays; frames without vectors have no entry.

    Raises:
        InputError: the package is not installed, or cannot open the file.
    """
    capture = video_capture()
    if not capture.open(str(video)):
        raise InputError(f"{video}: motion-vector-extractor cannot open it.")
    table: VectorTable = {}
    index = 0
    while True:
        done, _, columns, _ = capture.read()
        if not done:
            break
        if len(columns):
            vectors = np.empty(len(columns), VECTOR_DTYPE)
            for name, column in _COLUMNS.items():
                vectors[name] = columns[:, column]
            table[index] = vectors
        index += 1
    capture.release()
    return table
