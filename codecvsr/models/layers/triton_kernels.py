"""Triton's source of the warp. Imported only where Triton is installed; ``TRITON_INTERPRET=1`` runs it on a CPU."""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _axis(position: Any, size: Any, IS_ZERO_OUTSIDE: tl.constexpr) -> Any:
    """Both neighbours of positions on an axis, within it, and their weights."""
    position = tl.where(position == position, position, 0.0)  # noqa: PLR0124  (not a number)
    position = tl.where(size > 1, position, 0.0)  # grid_sample never leaves an axis of a single pixel
    last = (size - 1).to(tl.float32)
    if IS_ZERO_OUTSIDE:
        position = tl.minimum(tl.maximum(position, -2.0), last + 2.0)
    else:
        position = tl.minimum(tl.maximum(position, 0.0), last)
    lower = tl.floor(position)
    upper_weight = position - lower
    lower_weight = 1.0 - upper_weight
    upper = lower + 1.0
    if IS_ZERO_OUTSIDE:
        lower_weight = tl.where((lower >= 0.0) & (lower <= last), lower_weight, 0.0)
        upper_weight = tl.where((upper >= 0.0) & (upper <= last), upper_weight, 0.0)
    first = tl.minimum(tl.maximum(lower, 0.0), last).to(tl.int32)
    second = tl.minimum(tl.maximum(upper, 0.0), last).to(tl.int32)
    return first, second, lower_weight, upper_weight


@triton.jit(do_not_specialize=["pixels", "height", "width"])  # type: ignore[untyped-decorator, unused-ignore]
def warp_kernel(
    features: Any,
    flow: Any,
    output: Any,
    pixels: Any,
    height: Any,
    width: Any,
    channels: Any,
    IS_ZERO_OUTSIDE: tl.constexpr,
    BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
) -> None:
    """A block of pixels with all their channels: the weighted sum of four rows of features."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    is_pixel = pixel < pixels
    area = height * width
    picture = pixel // area
    place = pixel % area
    along = flow + picture.to(tl.int64) * 2 * area + place
    x = (place % width).to(tl.float32) + tl.load(along, mask=is_pixel, other=0.0)
    y = (place // width).to(tl.float32) + tl.load(along + area, mask=is_pixel, other=0.0)
    left, right, left_weight, right_weight = _axis(x, width, IS_ZERO_OUTSIDE)
    top, bottom, top_weight, bottom_weight = _axis(y, height, IS_ZERO_OUTSIDE)
    channel = tl.arange(0, CHANNELS)
    mask = is_pixel[:, None] & (channel < channels)[None, :]
    base = picture.to(tl.int64) * area

    row = (base + top * width + left) * channels
    total = (
        tl.load(features + row[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32)
        * ((top_weight * left_weight)[:, None])
    )
    row = (base + top * width + right) * channels
    total += (
        tl.load(features + row[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32)
        * ((top_weight * right_weight)[:, None])
    )
    row = (base + bottom * width + left) * channels
    total += (
        tl.load(features + row[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32)
        * ((bottom_weight * left_weight)[:, None])
    )
    row = (base + bottom * width + right) * channels
    total += (
        tl.load(features + row[:, None] + channel[None, :], mask=mask, other=0.0).to(tl.float32)
        * ((bottom_weight * right_weight)[:, None])
    )
    there = pixel.to(tl.int64) * channels
    tl.store(output + there[:, None] + channel[None, :], total.to(output.dtype.element_ty), mask=mask)
