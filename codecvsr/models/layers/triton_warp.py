"""The bilinear warp of ``channels_last`` features on a GPU as one Triton kernel, against PyTorch's ``grid_sample``.

``grid_sample`` needs the grid as a tensor and float32 features, and returns planes that have to be turned into pixels again.
This reads the flow itself and rows of channels in their own type, fp16 and bf16 included; positions and sums
are float32. Not differentiable: training goes through ``grid_sample``.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_BLOCK = 64  # pixels of a program
_TOLERANCE = 0.02  # of the features' range, against grid_sample, in fp16

log = logging.getLogger(__name__)
_checked: dict[tuple[torch.dtype, int, str], bool] = {}  # by kind of features: whether the kernel is right


def is_supported(features: Tensor, flow: Tensor) -> bool:
    """Whether the kernel supports these: on a GPU, pixel by pixel in memory, without gradients, with Triton installed."""
    return (
        features.device.type == "cuda"
        and features.dtype in (torch.float32, torch.float16, torch.bfloat16)
        and features.is_contiguous(memory_format=torch.channels_last)
        and not features.is_contiguous()
        and not (torch.is_grad_enabled() and (features.requires_grad or flow.requires_grad))
        and not torch.compiler.is_compiling()
        and kernel() is not None
    )


def warp_or_none(features: Tensor, flow: Tensor, padding: str, plain: Callable[[], Tensor]) -> Tensor | None:
    """The warp by the kernel, or None where it cannot be trusted; checked once for each kind of features.

    Args:
        features: (N, C, H, W), supported (:func:`is_supported`).
        flow: (N, 2, H, W) in pixels.
        padding: ``border`` or ``zeros``.
        plain: makes the same by ``grid_sample``.
    """
    kind = features.dtype, features.shape[1], padding
    if kind not in _checked:
        if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():
            return None  # nothing can be compiled or compared within a capture
        _checked[kind] = _is_right(features, flow, padding, plain())
    return run(features, flow, padding) if _checked[kind] else None


def _is_right(features: Tensor, flow: Tensor, padding: str, expected: Tensor) -> bool:
    try:
        made = run(features, flow, padding)
        difference = float((made.float() - expected.float()).abs().max())
        limit = _TOLERANCE * max(1.0, float(features.float().abs().max()))
        why = "" if difference <= limit else f"its results differ by {difference:.3g}"
    except Exception as error:  # compilers raise many kinds
        if isinstance(error, torch.OutOfMemoryError):
            raise
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if why:
        log.warning("The Triton warp is not used (%s): grid_sample is used.", why)
    return not why


def run(features: Tensor, flow: Tensor, padding: str) -> Tensor:
    """The kernel itself: (N, C, H, W) ``channels_last`` features along (N, 2, H, W) flow."""
    launch = kernel()
    assert launch is not None
    count, channels, height, width = features.shape
    flow = flow.float().contiguous()
    output = torch.empty_like(features, memory_format=torch.channels_last)
    pixels = count * height * width
    launch[(-(-pixels // _BLOCK),)](
        features,
        flow,
        output,
        pixels,
        height,
        width,
        channels,
        IS_ZERO_OUTSIDE=padding == "zeros",
        BLOCK=_BLOCK,
        CHANNELS=max(16, 1 << (channels - 1).bit_length()),
    )
    return output


@functools.cache
def kernel() -> Any:
    """The compiled-when-called kernel; None where Triton is not installed, or switched off with ``CODECVSR_TRITON=0``."""
    if os.environ.get("CODECVSR_TRITON") == "0" or importlib.util.find_spec("triton") is None:
        return None
    from codecvsr.models.layers import triton_kernels

    return triton_kernels.warp_kernel
