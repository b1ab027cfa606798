"""Progress inside a window: recurrent networks pass over all of its frames before the first picture comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import nn

from codecvsr.models.layers.blocks import ConvResidualBlocks

#: Called with the share of a window's work that is done, from 0 to 1.
ShareHandler = Callable[[float], None]


class StepCounter:
    """Counts the steps of a window."""

    def __init__(self, total: int, on_share: ShareHandler) -> None:
        """``total`` is the expected number of steps."""
        self._total, self._done, self._on_share = max(total, 1), 0, on_share

    def step(self) -> None:
        """Counts one step."""
        self._done += 1
        self._on_share(min(1.0, self._done / self._total))


@contextmanager
def counted(network: nn.Module, frames: int, on_share: ShareHandler | None) -> Iterator[None]:
    """Counts, as steps, the calls of a network's stacks of residual blocks, which run once per frame each."""
    stacks = [module for module in network.modules() if isinstance(module, ConvResidualBlocks)]
    if on_share is None or not stacks:
        yield
        return
    counter = StepCounter(len(stacks) * frames, on_share)
    hooks = [stack.register_forward_hook(lambda *_: counter.step()) for stack in stacks]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
