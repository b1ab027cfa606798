"""Optical flow from the pictures alone: what codec motion is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt


def dis_flows(lumas: Sequence[npt.NDArray[np.uint8]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Dense inverse search flow (Kroeger et al., ECCV 2016; OpenCV's medium preset) between neighbouring frames.

    Args:
        lumas: T pictures (H, W) uint8.

    Returns:
        to_prev and to_next, (T, 2, H, W) float32 in pixels; zero where there is no neighbour.
    """
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    to_prev = np.zeros((len(lumas), 2, *lumas[0].shape), np.float32)
    to_next = np.zeros_like(to_prev)
    for t in range(1, len(lumas)):
        to_prev[t] = _flow(search, lumas[t], lumas[t - 1])
        to_next[t - 1] = _flow(search, lumas[t - 1], lumas[t])
    return to_prev, to_next


def dis_between(lumas: Sequence[npt.NDArray[np.uint8]]) -> Callable[[int, int], npt.NDArray[np.float32]]:
    """The same flow between any two of ``lumas``: a function of two indices, (2, H, W) from the first into the second."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda here, there: _flow(search, lumas[here], lumas[there])


def _flow(
    search: cv2.DISOpticalFlow, current: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float32]:
    unseeded = None  # OpenCV's stubs do not know that no first guess is allowed
    flow = search.calc(current, other, unseeded)  # type: ignore[call-overload]
    return np.asarray(flow, np.float32).transpose(2, 0, 1)
