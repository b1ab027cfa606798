"""Versions of what decides a measured figure."""

from __future__ import annotations

import platform

import av
import cv2
import numpy as np
import torch

import codecvsr


def versions() -> dict[str, str]:
    """Returns versions by name: this package, Python, and the libraries that compute and code."""
    return {
        "codecvsr": codecvsr.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "av": av.__version__,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
