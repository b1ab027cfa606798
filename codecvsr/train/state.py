"""The state of a training run: everything that resuming needs, in small files.

A folder ``state-00001200`` beside the log has safetensors files of at most 16 MiB. The previous folder is deleted only after the
new one is complete, so that a killed run can always be resumed.
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
PART_BYTES = 16 * 2**20 - 2**16  # bytes of tensors per file; the header is extra
MAX_PARTS, MAX_BYTES = 8, 64 * 2**20  #: a larger state causes a warning

_METADATA = "state"
_MOMENTS = ("exp_avg", "exp_avg_sq")
_EXPECTED = "the folder of a run with the same [model], or its state folder, was expected."

log = logging.getLogger(__name__)


def save_state(
    out: Path,
    step: int,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    params: Mapping[str, object],
    *,
    is_compact: bool = False,
) -> Path:
    """Write the state after ``step`` steps, and remove older ones.

    Args:
        out: the run's folder.
        step: steps done.
        network: the network as trained; parameters that are not trained are not saved.
        average: its averaged weights.
        optimiser: Adam of its trained parameters.
        params: further JSON values to save.
        is_compact: save the moments in 16 bits.
    """
    frozen = _frozen(network)
    tensors = {f"network.{key}": value for key, value in network.state_dict().items() if key not in frozen}
    tensors |= {f"average.{key}": value for key, value in average.state_dict().items() if key not in frozen}
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
    older = find_states(out)
    folder = out / f"{PREFIX}{step:08d}"
    with atomic_folder(folder, overwrite=True, is_private=True) as new:
        for index, part in enumerate(parts):
            entry = {"step": step, "part": index, "parts": len(parts), **params}
            save_file(part, new / f"part-{index}.safetensors", metadata={_METADATA: json.dumps(entry)})
    for path in older:
        if path != folder:
            shutil.rmtree(path)
    return folder


def load_state(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, dict[str, object]]:
    """Load a state into the networks and the optimiser.

    Args:
        path: a run's folder (its latest state), or a state folder.
        network: the network as trained.
        average: its averaged weights.
        optimiser: Adam of its trained parameters.

    Returns:
        The steps done, and the further values that :func:`save_state` saved.

    Raises:
        CheckpointError: there is no state, it is incomplete, or it belongs to another network.
    """
    states = [path] if path.name.startswith(PREFIX) else find_states(path)
    if not states:
        raise CheckpointError(f"{path}: has no state of a run; {_EXPECTED}")
    folder = states[-1]
    try:
        tensors, params = _read(folder)
        for name, target in (("network", network), ("average", average)):
            prefix = f"{name}."
            own = {key: value for key, value in target.state_dict().items() if key in _frozen(network)}
            saved = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            target.load_state_dict(own | saved)
        _load_moments(tensors, network, optimiser)
        return int(str(params["step"])), params
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise CheckpointError(f"{folder}: cannot be resumed from ({reason}); {_EXPECTED}") from error


def find_states(out: Path) -> list[Path]:
    """Returns the state folders of a run, by rising step."""
    return sorted(path for path in out.glob(f"{PREFIX}*") if path.is_dir())


def _frozen(network: nn.Module) -> set[str]:
    """The names of parameters that are not trained: the base's weights under an adapter."""
    return {name for name, parameter in network.named_parameters() if not parameter.requires_grad}


def _read(folder: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    tensors: dict[str, Tensor] = {}
    params: dict[str, object] = {}
    paths = sorted(folder.glob("part-*.safetensors"))
    steps = set()
    for path in paths:
        with safe_open(path, "pt") as stored:
            params = json.loads((stored.metadata() or {})[_METADATA])
            tensors |= {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 - no mapping
        steps.add((params["step"], params["parts"]))
    if len(steps) != 1 or params["parts"] != len(paths):
        raise ValueError(f"{len(paths)} files of {params.get('parts', 'an unknown number')}")
    return tensors, params


def _load_moments(tensors: Mapping[str, Tensor], network: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    trained = [name for name, parameter in network.named_parameters() if parameter.requires_grad]
    for index, name in enumerate(trained):
        found = {key: tensors[f"{key}.{name}"] for key in (*_MOMENTS, "step") if f"{key}.{name}" in tensors}
        if found:
            state[index] = found
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    for parameter, moments in optimiser.state.items():
        for key in moments.keys() & _MOMENTS:  # in the layout and precision of the weights
            moments[key] = torch.empty_like(parameter, requires_grad=False).copy_(moments[key])
