"""torch.compile for the stacks of convolutions of a network, with fall-back to the plain code."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from codecvsr.engine.out_of_memory import is_out_of_memory
from codecvsr.models.layers.blocks import ConvResidualBlocks, ResidualBlock, X4Head

_TOLERANCE = 0.02  # of the output's range, between compiled and plain

log = logging.getLogger(__name__)

Forward = Callable[[Tensor], Tensor]


def stacks(network: nn.Module) -> Iterator[nn.Module]:
    """Yields the outermost stacks of convolutions of a network; their shapes are static, whatever the loop around them."""
    for child in network.children():
        if isinstance(child, (ConvResidualBlocks, ResidualBlock)):
            yield child
        elif not isinstance(child, X4Head):
            yield from stacks(child)


class Compiled:
    """A stack's ``forward`` through torch.compile; the first call is checked against the plain code."""

    def __init__(self, plain: Forward, compiler: Callable[..., Forward] = torch.compile) -> None:
        self._plain = plain
        self._compiled: Forward | None = compiler(plain, dynamic=False)
        self._is_checked = False

    def __call__(self, x: Tensor) -> Tensor:
        """Maps (N, C, H, W) to the output of the stack."""
        if self._compiled is None:
            return self._plain(x)
        if self._is_checked:
            return self._compiled(x)
        expected = self._plain(x)
        try:
            made = self._compiled(x)
        except Exception as error:  # torch.compile raises many kinds
            if is_out_of_memory(error):
                raise
            self._give_up(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            return expected
        difference = float((made.float() - expected.float()).abs().max())
        if not difference <= _TOLERANCE * max(1.0, float(expected.float().abs().max())):
            self._give_up(f"its results differ by {difference:.3g}")
            return expected
        self._is_checked = True
        return made

    def _give_up(self, why: str) -> None:
        log.warning("A part of the network cannot be compiled (%s); it runs uncompiled.", why)
        self._compiled = None
