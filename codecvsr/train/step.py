"""One step of training: forward, backward, update, average; plain, compiled, or replayed as a CUDA graph."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from codecvsr.engine.device import autocast, place
from codecvsr.train.loss import charbonnier, flat_weights
from codecvsr.train.network import load_teacher, run
from codecvsr.train.processes import Processes
from codecvsr.train.recipe import Recipe
from codecvsr.train.sampling import Batch

_WARM_UPS = 2  # runs before a capture, in which libraries choose their algorithms

log = logging.getLogger(__name__)


def move(batch: Batch, device: torch.device) -> Batch:
    """Returns the batch on ``device``."""
    tensors: dict[str, Any] = {name: tensor.to(device, non_blocking=True) for name, tensor in _tensors(batch)}
    return dataclasses.replace(batch, **tensors)


class Stepper:
    """Computes the steps of a run."""

    def __init__(
        self,
        network: nn.Module,
        average: nn.Module,
        optimiser: torch.optim.Adam,
        recipe: Recipe,
        dtype: torch.dtype,
        processes: Processes,
    ) -> None:
        """Prepare the steps; compute nothing.

        Args:
            network: trained in place.
            average: receives the moving average of the weights.
            optimiser: from :func:`make_optimiser`.
            recipe: loss, clipping, average and engine.
            dtype: precision of the convolutions.
            processes: processes of the run.
        """
        self._network, self._average, self._optimiser = network, average, optimiser
        self._recipe, self._dtype, self._processes = recipe, dtype, processes
        self._device = processes.device
        teacher = recipe.distillation.weights
        self._teacher = place(load_teacher(teacher), self._device) if teacher else None
        self._loss = torch.zeros((), device=self._device)
        self._decay = torch.zeros((), device=self._device)
        self._summed = self._done = 0
        self._forward = torch.compile(run, dynamic=False) if recipe.engine.compile else run
        self._graphs: dict[tuple[int, ...], tuple[Any, Batch]] = {}
        self._uses_graphs = recipe.engine.graph and self._device.type == "cuda" and processes.count == 1
        if recipe.engine.graph and not self._uses_graphs:
            log.info("No CUDA graphs: they need a GPU and a single process. Steps are computed one by one.")

    def do(self, batch: Batch, step: int, rate: float) -> None:
        """Compute one step on a batch, which is on the run's device, at the learning rate ``rate``."""
        for group in self._optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        self._decay.fill_(min(self._recipe.optimisation.ema, (1 + step) / (10 + step)))
        if not (
            self._uses_graphs and self._done and self._replay(batch)
        ):  # the first step creates the optimiser's tensors
            self._compute(batch)
        self._done += 1
        self._summed += 1

    def mean_loss(self) -> float:
        """Returns the mean loss over the steps since the previous call."""
        mean = self._loss.item() / max(self._summed, 1)
        self._loss.zero_()
        self._summed = 0
        return mean

    def _compute(self, batch: Batch) -> None:
        settings = self._recipe.optimisation
        predicted = self._predict(batch)
        weights = flat_weights(batch.target, settings.flat_weight) if settings.flat_weight else None
        loss = charbonnier(predicted.float(), batch.target, settings.charbonnier, weights)
        if self._teacher is not None:
            with torch.no_grad(), autocast(self._device, self._dtype):
                taught = run(self._teacher, batch)
            share = self._recipe.distillation.share
            loss = (1 - share) * loss + share * charbonnier(predicted.float(), taught.float(), settings.charbonnier)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        trained = [parameter for parameter in self._network.parameters() if parameter.requires_grad]
        self._processes.mean_gradients(trained)
        nn.utils.clip_grad_norm_(trained, settings.clip_norm)
        self._optimiser.step()
        with torch.no_grad():
            for slow, fast in zip(self._average.parameters(), self._network.parameters(), strict=True):
                slow.lerp_(fast, 1 - self._decay)
            for averaged, current in zip(
                self._average.buffers(), self._network.buffers(), strict=True
            ):  # of normalisations
                averaged.copy_(current)
            self._loss += loss.detach()

    def _predict(self, batch: Batch) -> Tensor:
        # An adapter's factors are multiplied once, not at every use of their weight.
        with autocast(self._device, self._dtype), parametrize.cached():
            try:
                return self._forward(self._network, batch, self._recipe.model.motion)
            except Exception as error:  # torch.compile raises many kinds
                if self._forward is run or self._done:
                    raise
                log.warning("The network cannot be compiled (%s); it runs without torch.compile.", _first_line(error))
                self._forward = run
                return run(self._network, batch, self._recipe.model.motion)

    def _replay(self, batch: Batch) -> bool:
        """Compute the step as a graph; returns False if it cannot be captured."""
        key = (*batch.frames.shape, batch.context)
        if key not in self._graphs:
            try:
                self._graphs[key] = self._capture(batch)
            except RuntimeError as error:
                log.warning("No CUDA graph (%s); steps are computed one by one.", _first_line(error))
                self._uses_graphs = False
                self._optimiser.zero_grad(set_to_none=True)
                return False
        graph, own = self._graphs[key]
        for (_, into), (_, values) in zip(_tensors(own), _tensors(batch), strict=True):
            into.copy_(values)
        graph.replay()
        return True

    def _capture(self, batch: Batch) -> tuple[Any, Batch]:
        """Returns a graph of :meth:`_compute` and its input batch; the effect of the warm-up runs is undone."""
        copies: dict[str, Any] = {name: tensor.clone() for name, tensor in _tensors(batch)}
        own = dataclasses.replace(batch, **copies)
        before = [(tensor, tensor.clone()) for tensor in self._state()]
        try:
            stream = torch.cuda.Stream(self._device)
            stream.wait_stream(torch.cuda.current_stream(self._device))
            with torch.cuda.stream(stream):
                for _ in range(_WARM_UPS):
                    self._compute(own)
            torch.cuda.current_stream(self._device).wait_stream(stream)
        finally:
            with torch.no_grad():
                for tensor, value in before:
                    tensor.copy_(value)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._compute(own)
        return graph, own

    def _state(self) -> Iterator[Tensor]:
        """Yields all tensors that a step changes."""
        for network in (self._network, self._average):
            yield from network.parameters()
            yield from network.buffers()
        for moments in self._optimiser.state.values():
            yield from (value for value in moments.values() if isinstance(value, Tensor))
        yield self._loss


def _tensors(batch: Batch) -> Iterator[tuple[str, Tensor]]:
    for field in dataclasses.fields(batch):
        if isinstance(value := getattr(batch, field.name), Tensor):
            yield field.name, value


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
