"""The roofline of a device: its measured rates, and the bytes that a network's products move."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_aten = torch.ops.aten
_PRODUCTS = {
    _aten.convolution, _aten.conv2d, _aten.conv_transpose2d, _aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm,
    _aten.matmul, _aten.linear, _aten.einsum,
}  # fmt: skip
_COPIED = 1 << 28  # bytes, several times the size of caches


class Traffic(TorchDispatchMode):
    """Counts, while entered, what convolutions and matrix products read and write, in ``bytes``.

    Each tensor once per operation: what memory has to move when all element-wise work is fused into its neighbours.
    """

    def __init__(self) -> None:
        """Nothing is counted yet."""
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and count it if it is a product."""
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in _PRODUCTS:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
            self.bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def peak_rates(device: torch.device, dtype: torch.dtype, *, tf32: bool = False) -> tuple[float, float]:
    """What a device can do: multiply-accumulates per second of a matrix product, and bytes per second of a copy.

    Measured, the best of a few runs, so that clocks and the number of threads are those of whatever is compared with it. Of
    a CPU by processor time, which other jobs change little.
    """
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    data = torch.zeros(_COPIED, dtype=torch.uint8, device=device)
    copy = data.clone()
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    try:
        products = min(_seconds(lambda: a @ b, device) for _ in range(5))
        copies = min(_seconds(lambda: copy.copy_(data), device) for _ in range(5))
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return size**3 / products, 2 * _COPIED / copies


def _seconds(work: Any, device: torch.device) -> float:
    if device.type != "cuda":
        begun = time.process_time()
        work()
        return (time.process_time() - begun) / torch.get_num_threads()
    torch.cuda.synchronize(device)
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begun
