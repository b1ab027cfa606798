"""CUDA graphs of a network by input shape: thousands of small kernels launched as one.

The first call with a shape runs without a graph, so that cuDNN chooses its algorithms; the second is captured and checked
against the plain result; later ones are replayed. After any error the network runs without graphs.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from codecvsr.engine.out_of_memory import is_out_of_memory

MAX_GRAPHS = 4  #: stored at once; they share one pool of memory
_MAX_SEEN = 64
_TOLERANCE = 0.02  # of the output's range: fp16 sums in another order differ by less, a wrong graph by more

log = logging.getLogger(__name__)

Forward = Callable[..., Tensor]


class Graph(Protocol):
    """A captured call."""

    def replay(self) -> None:
        """Computes the output of the captured call from the present values of its inputs."""


#: Captures a call: returns the graph and the tensor that every replay writes.
Capture = Callable[[Callable[[], Tensor]], tuple[Graph, Tensor]]


class CudaCapture:
    """Captures calls on the current device, all in one pool of memory."""

    def __init__(self) -> None:
        self._pool: Any = None

    def __call__(self, call: Callable[[], Tensor]) -> tuple[Graph, Tensor]:
        """Captures ``call``; other threads may use the GPU meanwhile."""
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        torch.cuda.synchronize()
        torch.clear_autocast_cache()  # else replays would read cast weights that were freed
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                output = call()
        finally:
            torch.clear_autocast_cache()
        return graph, output


class Graphed:
    """A network's ``forward``, run by graphs."""

    def __init__(self, forward: Forward, capture: Capture | None = None, most: int = MAX_GRAPHS) -> None:
        """Captures nothing yet.

        Args:
            forward: a function of tensors and plain values that returns one tensor.
            capture: captures calls; :class:`CudaCapture` by default.
            most: largest number of graphs; the least recently used one is removed.
        """
        self._forward, self._most = forward, most
        self._capture = CudaCapture() if capture is None else capture
        self._seen: OrderedDict[Any, None] = OrderedDict()
        self._graphs: OrderedDict[Any, tuple[Graph, list[Tensor], Tensor]] = OrderedDict()
        self._is_given_up = False

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the output of ``forward`` in new memory."""
        values = [*args, *kwargs.values()]
        tensors = [value for value in values if isinstance(value, Tensor)]
        if self._is_given_up or not tensors or torch.is_grad_enabled() or not all(map(_is_plain, values)):
            return self._forward(*args, **kwargs)
        key = (tuple(kwargs), *map(_describe, values), torch.is_autocast_enabled(tensors[0].device.type))
        if key in self._graphs:
            graph, own, output = self._graphs[key]
            self._graphs.move_to_end(key)
            for into, value in zip(own, tensors, strict=True):
                into.copy_(value)
            graph.replay()
            return output.clone()
        plain = self._forward(*args, **kwargs)
        if key not in self._seen:
            self._seen[key] = None
            if len(self._seen) > _MAX_SEEN:
                self._seen.popitem(last=False)
            return plain
        self._add(key, args, kwargs, plain)
        return plain

    def _add(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any], plain: Tensor) -> None:
        """Captures a call whose plain result is known, and stores the graph if a replay returns the same."""
        own_args = [value.clone() if isinstance(value, Tensor) else value for value in args]
        own_kwargs = {name: v.clone() if isinstance(v, Tensor) else v for name, v in kwargs.items()}
        own = [value for value in (*own_args, *own_kwargs.values()) if isinstance(value, Tensor)]
        try:
            while len(self._graphs) >= self._most:
                self._graphs.popitem(last=False)
            graph, output = self._capture(lambda: self._forward(*own_args, **own_kwargs))
            graph.replay()
            self._check(output, plain)
        except RuntimeError as error:
            why = "memory ran out" if is_out_of_memory(error) else " ".join(str(error).split())[:200]
            log.warning("No CUDA graphs for this network (%s): it runs without.", why)
            self._is_given_up = True
            self._graphs.clear()
            return
        self._graphs[key] = graph, own, output

    @staticmethod
    def _check(replayed: Tensor, plain: Tensor) -> None:
        difference = float((replayed.float() - plain.float()).abs().max())
        limit = _TOLERANCE * max(1.0, float(plain.float().abs().max()))
        if not difference <= limit:  # true for NaN as well
            raise RuntimeError(f"a replay differs from the plain result by {difference:.3g}")


def _is_plain(value: Any) -> bool:
    """Whether a value is a tensor or can be part of a key."""
    return isinstance(value, (Tensor, int, float, str, type(None)))


def _describe(value: Any) -> Any:
    return (value.shape, value.dtype, value.device, value.stride()) if isinstance(value, Tensor) else value
