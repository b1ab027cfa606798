"""The state of a run: everything needed to go on, in files that are small enough to be carried anywhere.

A folder ``state-00001200`` beside the log holds it as safetensors files of at most 16 MiB. A new folder is complete before the one
before it goes, so that a run that is killed at any moment can be resumed.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from codecvsr.errors import CheckpointError
from codecvsr.files import atomic_folder

PREFIX = "state-"
PART_BYTES = 16 * 2**20 - 2**16  # the tensors of a file; names take the rest
MAX_PARTS, MAX_BYTES = 8, 64 * 2**20  #: of a state that is easily carried

_ABOUT = "state"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_EXPECTED = "the folder of a run with the same [model], or its state folder, was expected."

log = logging.getLogger(__name__)


def save_state(
    out: Path,
    step: int,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    about: Mapping[str, object],
    *,
    is_compact: bool = False,
) -> Path:
    """Write the state after ``step`` steps, and remove older ones.

    Args:
        out: the run's folder.
        step: steps done.
        network: the network as trained.
        average: its averaged weights.
        optimiser: Adam of ``network.parameters()``.
        about: what else is to be kept, JSON values.
        is_compact: keep the moments in 16 bits.
    """
    tensors = {f"network.{key}": value for key, value in network.state_dict().items()}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimiser.state.get(parameter, {}).items():
            is_small = is_compact and key in _MOMENTS
            tensors[f"{key}.{name}"] = value.to(torch.bfloat16) if is_small else value
    parts: list[dict[str, Tensor]] = [{}]
    size = total = 0
    for key, value in tensors.items():
        value = value.detach().cpu().contiguous()
        length = value.numel() * value.element_size()
        if parts[-1] and size + length > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][key] = value
        size, total = size + length, total + length
    if len(parts) > MAX_PARTS or total > MAX_BYTES:
        log.warning(
            "The state is %.0f MiB in %d files; reporting.compact_state = true makes it smaller.",
            total / 2**20,
            len(parts),
        )
    older = _states(out)
    folder = out / f"{PREFIX}{step:08d}"
    with atomic_folder(folder, overwrite=True, is_private=True) as new:
        for index, part in enumerate(parts):
            entry = {"step": step, "part": index, "parts": len(parts), **about}
            save_file(part, new / f"part-{index}.safetensors", metadata={_ABOUT: json.dumps(entry)})
    for path in older:
        if path != folder:
            shutil.rmtree(path)
    return folder


def load_state(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, dict[str, object]]:
    """Put a run into the state that ``path``, its folder or its state folder, holds.

    Returns:
        The steps done, and what else was kept.

    Raises:
        CheckpointError: there is no state, it is incomplete, or it belongs to another network.
    """
    states = [path] if path.name.startswith(PREFIX) else _states(path)
    if not states:
        raise CheckpointError(f"{path}: holds no state of a run; {_EXPECTED}")
    folder = states[-1]
    try:
        tensors, about = _read(folder)
        for name, target in (("network", network), ("average", average)):
            prefix = f"{name}."
            target.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        _load_moments(tensors, network, optimiser)
        return int(str(about["step"])), about
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise CheckpointError(f"{folder}: training cannot go on from it ({reason}); {_EXPECTED}") from error


def _states(out: Path) -> list[Path]:
    return sorted(path for path in out.glob(f"{PREFIX}*") if path.is_dir())


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    tensors: dict[str, Tensor] = {}
    about: dict[str, object] = {}
    paths = sorted(folder.glob("part-*.safetensors"))
    steps = set()
    for path in paths:
        with safe_open(path, "pt") as stored:
            about = json.loads((stored.metadata() or {})[_ABOUT])
            tensors |= {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no mapping
        steps.add((about["step"], about["parts"]))
    if len(steps) != 1 or about["parts"] != len(paths):
        raise ValueError(f"{len(paths)} files of {about.get('parts', 'an unknown number')}")
    return tensors, about


def _load_moments(tensors: Mapping[str, Tensor], network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for index, (name, _) in enumerate(network.named_parameters()):
        found = {key: tensors[f"{key}.{name}"] for key in (*_MOMENTS, "step") if f"{key}.{name}" in tensors}
        if found:
            state[index] = found
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for parameter, moments in optimiser.state.items():
        for key in _MOMENTS:  # in the layout and precision of the weights
            moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(moments[key])
