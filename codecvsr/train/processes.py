"""The processes of one training run, as started by ``torchrun``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from codecvsr.engine.device import choose_device


@dataclass(frozen=True)
class Processes:
    """This process and its place in the run.

    Attributes:
        rank: number of this process; process 0 logs and writes files.
        count: number of processes.
        device: device of this process.
    """

    rank: int
    count: int
    device: torch.device

    def mean_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace the gradients by their means over all processes; a missing one counts as zero."""
        if self.count == 1:
            return
        parameters = list(parameters)
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        flat /= self.count
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def agreed(self, value: float) -> float:
        """Returns the value of process 0 in every process."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=self.device)
        distributed.broadcast(shared, 0)
        return float(shared.item())


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the process group of ``torchrun``: one GPU each (NCCL), or all on the CPU (Gloo). Without torchrun: one process.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; without N, the local rank chooses the GPU.

    Raises:
        InputError: the GPU does not exist.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1, choose_device(device))
        return
    chosen = choose_device(device)
    if device in ("auto", "cuda") and chosen.type == "cuda":
        chosen = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), count, chosen)
    finally:
        distributed.destroy_process_group()
