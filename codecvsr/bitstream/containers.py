"""Opens media files with PyAV: the only place that names the protocol and the encoding of their tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

#: Tags need not be UTF-8 (Shift-JIS and Latin-1 are common): other bytes become surrogates, and are written as they were.
TAG_ERRORS = "surrogateescape"


def open_input(path: Path, **keywords: Any) -> av.container.InputContainer:
    """Opens a file for reading; ``keywords`` are those of ``av.open``.

    With the protocol named, no file name can pass for an address.

    Raises:
        av.FFmpegError: it cannot be read.
    """
    return av.open(f"file:{path}", metadata_errors=TAG_ERRORS, **keywords)
