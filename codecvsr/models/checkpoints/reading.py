"""Reading model files: every accepted container becomes a plain dict of tensors; nothing in a file is ever executed.

Accepted: ``.safetensors``, and what ``torch.save`` writes (its zip format, memory-mapped, and the older one), read by
torch's restricted unpickler, which builds tensors and plain containers only. The content is recognised, not the suffix.
Tensors under MMagic's names come back under BasicSR's. Which network a state dict belongs to is decided in
:mod:`codecvsr.models.zoo`.
"""

from __future__ import annotations

import re
import struct
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from codecvsr.errors import CheckpointError, InputError
from codecvsr.models.checkpoints.naming import from_mmagic

ACCEPTED = "a .safetensors file or a PyTorch checkpoint that holds only tensors"

_ZIP_MAGIC = b"PK\x03\x04"
_LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."  # torch.save before 1.6
_MAX_HEADER = 100_000_000  # of a safetensors file; the format's own limit
_NESTED = ("state_dict", "model_state_dict", "model")  # where MMagic and plain training loops keep a state dict
_WRAPPERS = ("module.", "_orig_mod.")  # put before the keys by DataParallel and torch.compile


class _Found(NamedTuple):
    """A state dict inside a checkpoint, and where it was."""

    container: str
    state: Mapping[str, object]


def read_state_dict(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read the state dict of a model file, on the CPU.

    From a checkpoint in BasicSR's layout with both ``params_ema`` and ``params``, the averaged weights are read: its
    training validated those. The published files have ``params`` alone. ``module.`` and ``_orig_mod.`` are removed from
    the keys.

    Returns:
        The tensors by key, and what is known of the file: ``format`` (safetensors, torch, torch-legacy), ``container``
        (params_ema, params, state_dict, model_state_dict, model, bare), ``naming`` (mmagic) where the keys were another
        project's, and a safetensors file's own entries, prefixed with ``file.``.

    Raises:
        InputError: there is no such file.
        CheckpointError: the file is no checkpoint, is damaged, holds more than tensors or no state dict.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected {ACCEPTED}.")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    size = path.stat().st_size
    if _is_safetensors(head, size):
        state, own = _read_safetensors(path)
        return _named(path, state, {"format": "safetensors", "container": "bare", **own})
    if head.startswith(_ZIP_MAGIC):
        content, kind = _read_torch(path, mmap=True), "torch"
    elif head.startswith(_LEGACY_MAGIC):
        content, kind = _read_torch(path, mmap=False), "torch-legacy"
    else:
        raise CheckpointError(f"{path}: not a model file ({_describe(head)}); expected {ACCEPTED}.")
    found = _find_state(content)
    if found is None:
        raise CheckpointError(
            f"{path}: holds no state dict but {_shape_of(content)}; "
            "expected a dict of tensors, or one under 'params_ema', 'params', 'state_dict' or 'model'."
        )
    return _named(path, found.state, {"format": kind, "container": found.container})


def _named(path: Path, state: Mapping[str, object], known: dict[str, str]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors under the names the networks go by, and what is known of the file."""
    tensors = _clean(path, state)
    renamed = from_mmagic(tensors)
    return (tensors, known) if renamed is None else (renamed, {**known, "naming": "mmagic"})


# --- containers -------------------------------------------------------------------------------------------------------


def _is_safetensors(head: bytes, size: int) -> bool:
    if len(head) < 10:
        return False
    (length,) = struct.unpack("<Q", head[:8])
    return length <= min(size, _MAX_HEADER) and head[8:9] == b"{"


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            own = {f"file.{key}": value for key, value in (file.metadata() or {}).items()}
            return {key: file.get_tensor(key) for key in file.keys()}, own  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path}: a damaged safetensors file ({_first_line(error)}); get it again.") from error


def _read_torch(path: Path, *, mmap: bool) -> object:
    try:
        with warnings.catch_warnings(action="ignore"):  # whatever torch has to say, the errors below say it to users
            if path.suffix == ".safetensors":  # torch takes the name for the format; the content is another
                with path.open("rb") as file:
                    return torch.load(file, map_location="cpu", weights_only=True)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as error:  # whatever the parser makes of foreign bytes, the file is to blame
        text = str(error)
        if forbidden := re.search(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)", text):
            why = f"it asks for '{forbidden[1]}', which is no tensor and could run code, so it was not loaded"
        elif "TorchScript" in text:
            why = "it is a TorchScript program"
        else:
            why = f"it cannot be read ({_first_line(error)}), perhaps truncated"
        raise CheckpointError(f"{path}: not a usable PyTorch checkpoint: {why}; expected {ACCEPTED}.") from error


# --- layouts ----------------------------------------------------------------------------------------------------------


def _basicsr(content: Mapping[Any, object]) -> _Found | None:
    for container in ("params_ema", "params"):
        state = content.get(container)
        if isinstance(state, Mapping) and _is_state(state):
            return _Found(container, state)
    return None


def _nested(content: Mapping[Any, object]) -> _Found | None:
    for container in _NESTED:
        state = content.get(container)
        if isinstance(state, Mapping) and _is_state(state):
            return _Found(container, state)
    return None


def _bare(content: Mapping[Any, object]) -> _Found | None:
    return _Found("bare", content) if _is_state(content) else None


#: The layouts of a checkpoint, tried in this order; another project's layout is another function here.
_LAYOUTS: tuple[Callable[[Mapping[Any, object]], _Found | None], ...] = (_basicsr, _nested, _bare)


def _find_state(content: object) -> _Found | None:
    if not isinstance(content, Mapping):
        return None
    return next((found for layout in _LAYOUTS if (found := layout(content)) is not None), None)


def _is_state(content: Mapping[Any, object]) -> bool:
    return bool(content) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())


def _clean(path: Path, state: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors under their networks' own keys."""
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        plain = key.replace("._orig_mod.", ".")
        while plain.startswith(_WRAPPERS):
            plain = plain.partition(".")[2]
        if plain in result:
            raise CheckpointError(f"{path}: two of its tensors are both '{plain}' without their wrappers.")
        if isinstance(value, Tensor):
            result[plain] = value
    if not result:
        raise CheckpointError(f"{path}: holds no tensors; expected {ACCEPTED}.")
    return result


# --- messages ---------------------------------------------------------------------------------------------------------


def _describe(head: bytes) -> str:
    """A word on what a foreign file is, from its first bytes."""
    known = {b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"": "an empty file"}
    known |= {b"version https://": "a Git LFS pointer, not the file itself", b"<": "a web page or XML"}
    known |= {b"\x80": "a pickle that torch.save did not write"}
    for magic, name in known.items():
        if head == magic or (magic and head.lstrip().startswith(magic)):
            return name
    return "text" if head.isascii() else "unknown content"


def _shape_of(content: object) -> str:
    if isinstance(content, Mapping):
        keys = ", ".join(repr(key) for key in list(content)[:5])
        return f"a dict with the keys {keys}{', ...' if len(content) > 5 else ''}" if content else "an empty dict"
    return f"a {type(content).__name__}"


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return (lines[0] if lines else type(error).__name__)[:160].rstrip(".")
