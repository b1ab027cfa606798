"""Runs a network by a :class:`~codecvsr.engine.plan.Plan`."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from codecvsr.engine.compile import Compiled, stacks
from codecvsr.engine.cuda_graphs import Graphed
from codecvsr.engine.device import autocast, place
from codecvsr.engine.native import modules
from codecvsr.engine.plan import Plan

N = TypeVar("N", bound=nn.Module)

_prepared: weakref.WeakKeyDictionary[nn.Module, Plan] = weakref.WeakKeyDictionary()


def prepare(network: N, plan: Plan) -> N:
    """Moves a network to the plan's device and installs graphs, compiled and native parts; returns the network.

    Removes the parts that an earlier plan installed. Repeated calls with one plan cost nothing.
    """
    weight = next(network.parameters(), None)
    if _prepared.get(network) == plan and (weight is None or weight.device.type == plan.device.type):
        return network
    _prepared.pop(network, None)  # an error below leaves it unprepared
    modules.uninstall(network)
    for module in network.modules():
        if isinstance(module.__dict__.get("forward"), (Compiled, Graphed)):
            del module.__dict__["forward"]
    place(network, plan.device)
    if plan.native:
        modules.install(network)
    if plan.compile:
        for stack in stacks(network):
            stack.__dict__["forward"] = Compiled(stack.forward)
    if plan.graphs:
        network.__dict__["forward"] = Graphed(network.forward)
    _prepared[network] = plan
    return network


@contextmanager
def running(plan: Plan) -> Iterator[None]:
    """The context a network is run in: no gradients, the plan's precision, cuDNN's fastest algorithms."""
    if plan.device.type != "cuda":
        with torch.inference_mode(), autocast(plan.device, plan.dtype):
            yield
        return
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    cudnn.allow_tf32, cudnn.benchmark = plan.tf32 or plan.dtype != torch.float32, True
    try:
        with torch.inference_mode(), autocast(plan.device, plan.dtype):
            yield
    finally:
        cudnn.allow_tf32, cudnn.benchmark = before
