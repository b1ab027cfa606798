"""Inputs and weights of the golden outputs: both sides make them from names alone, so that neither has to be stored.

Every tensor of a network is drawn from a generator seeded by the CRC-32 of its key; the picture from one seeded by the
network's name. ``NAME.npz`` holds ``output_strided`` (float32, every fourth row and every fourth column from the second
of the published implementation's output), ``output_shape`` and ``size`` (T, H, W); ``NAME.keys.txt`` the published
state-dict keys with their shapes. Equal means: the largest absolute difference is at most ``TOLERANCE`` in float32 on
the CPU.
"""

from __future__ import annotations

import ast
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

TOLERANCE = 2e-5
FOLDER = Path(__file__).parent
_OWN = ("num_batches_tracked", "mean", "std")  # leaves that keep the value the network gives them


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def value_of(key: str, shape: tuple[int, ...]) -> np.ndarray | None:
    """The float32 value of the tensor ``key``; None where the network's own value stays."""
    leaf = key.rpartition(".")[2]
    if leaf in _OWN:
        return None
    if leaf in ("running_mean", "running_var"):
        return np.full(shape, float(leaf == "running_var"), np.float32)
    if len(shape) > 1:
        fan_in = int(np.prod(shape[1:]))
        return (0.6 * _generator(key).standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    if key.endswith("act.weight"):
        return np.full(shape, 0.25, np.float32)
    if leaf == "weight" and "bn" in key:
        return np.ones(shape, np.float32)
    return (0.01 * _generator(key).standard_normal(shape)).astype(np.float32)


def fill(network: nn.Module) -> nn.Module:
    """Give every tensor of ``network`` its golden value."""
    state = network.state_dict()
    values = {key: value_of(key, tuple(tensor.shape)) for key, tensor in state.items()}
    network.load_state_dict({k: state[k] if v is None else torch.from_numpy(v) for k, v in values.items()})
    return network.eval()


def moving_frames(name: str, count: int, height: int, width: int) -> torch.Tensor:
    """(1, T, 3, H, W) in 0..1: a smooth picture; the window on it moves 2 down and 3 right each frame."""
    noise = _generator(name).random((3, height // 4 + 8, width // 4 + 8)).astype(np.float32)
    scale = torch.nn.functional.interpolate
    big = scale(torch.from_numpy(noise)[None], scale_factor=8, mode="bicubic", align_corners=False)[0].numpy()
    frames = [big[:, 2 * i : 2 * i + height, 3 * i : 3 * i + width] for i in range(count)]
    return torch.from_numpy(np.stack(frames).clip(0, 1))[None]


def noise(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Normal noise drawn from the generator of ``name``: flows and vectors."""
    return torch.from_numpy(_generator(name).standard_normal(shape).astype(np.float32))


def published_shapes(name: str) -> dict[str, tuple[int, ...]]:
    """Every key of the published state dict and its shape."""
    lines = (FOLDER / f"{name}.keys.txt").read_text().splitlines()
    pairs = (line.split("\t") for line in lines if line)
    return {key: tuple(ast.literal_eval(shape)) for key, shape in pairs}


def published_output(name: str) -> tuple[np.ndarray, tuple[int, ...], tuple[int, int, int]]:
    """The strided output, the full output's shape and the input's (T, H, W)."""
    with np.load(FOLDER / f"{name}.npz") as golden:
        t, h, w = (int(n) for n in golden["size"])
        return golden["output_strided"], tuple(int(n) for n in golden["output_shape"]), (t, h, w)
