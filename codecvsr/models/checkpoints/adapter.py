"""Adapter files: a small difference to the weights of another checkpoint, which is called its base.

A safetensors file. The difference of a convolution's weight ``NAME.weight`` (O, I, h, w) is the product of
``NAME.lora_B.weight`` (O, r, h, 1) and ``NAME.lora_A.weight`` (r, I, 1, w) over r, a rank of its own (Hu et al., "LoRA", ICLR
2022; the names are those of Hugging Face's PEFT, whose shapes, (O, r, 1, 1) and (r, I, h, w), are read too). Any tensor NAME
may have its whole difference instead, as ``NAME.diff``; a tensor with neither does not change. The metadata name the base
by the SHA-256 of its tensors, see :func:`fingerprint`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from codecvsr.errors import CheckpointError
from codecvsr.files import atomic_file

KIND = "adapter"  #: value of the metadata's ``kind``
WEIGHT, FIRST, SECOND, WHOLE = ".weight", ".lora_A.weight", ".lora_B.weight", ".diff"  #: how names of tensors end

_REQUIRED = ("architecture", "base", "base_sha256", "rank")
_AGAIN = "get it again, or make it with 'codecvsr models factor'"


@dataclass(frozen=True, eq=False)
class Adapter:
    """A difference to the weights of a base.

    Attributes:
        architecture: of the network, a key of :data:`codecvsr.models.registry.ARCHITECTURES`.
        base: the base's name in ``codecvsr models list``, or the name of its file.
        base_sha256: :func:`fingerprint` of the base's tensors.
        tensors: factors and whole differences by their names in the file.
        strength: share of the difference that loading adds, 0 to 1.
        metadata: further entries of the file: ``steps``, ``data``, ``licence``, ``motion`` ...
    """

    architecture: str
    base: str
    base_sha256: str
    tensors: Mapping[str, Tensor] = field(repr=False)
    strength: float = 1.0
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """The highest rank of a weight's difference; 0 where all differences are whole."""
        return max((len(value) for key, value in self.tensors.items() if key.endswith(FIRST)), default=0)


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors, in hexadecimal: the same for every file format that has the same values.

    Hashed are, in the order of their names, each tensor's name, shape, and values as little-endian float32.
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        value = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.numpy().astype("<f4", copy=False).tobytes())
    return digest.hexdigest()


def is_adapter(metadata: Mapping[str, str]) -> bool:
    """Whether a file is an adapter, from what ``read_state_dict`` says of it."""
    return metadata.get("file.kind") == KIND


def parse(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Adapter:
    """Return the adapter in a file.

    Args:
        path: of the file, for messages.
        tensors: from :func:`codecvsr.models.checkpoints.reading.read_state_dict`.
        metadata: from there too.

    Raises:
        CheckpointError: an entry of the metadata is missing or invalid, or the tensors are not those of an adapter.
    """
    own = {key.removeprefix("file."): value for key, value in metadata.items() if key.startswith("file.")}
    if missing := [key for key in _REQUIRED if not own.get(key)]:
        raise CheckpointError(f"{path}: an adapter whose metadata have no {', '.join(missing)}; {_AGAIN}.")
    text = own.get("strength", "1")
    try:
        strength = float(text)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:
        raise CheckpointError(
            f"{path}: an adapter of the strength {text!r}; a number from 0 to 1 was expected; {_AGAIN}."
        )
    known = {*_REQUIRED, "kind", "strength"}
    adapter = Adapter(
        architecture=own["architecture"],
        base=own["base"],
        base_sha256=own["base_sha256"],
        tensors=tensors,
        strength=strength,
        metadata={key: value for key, value in own.items() if key not in known},
    )
    _check(path, adapter, own["rank"])
    return adapter


def _check(path: Path, adapter: Adapter, rank: str) -> None:
    for name, value in adapter.tensors.items():
        if not name.endswith((FIRST, SECOND, WHOLE)):
            raise CheckpointError(f"{path}: an adapter with the foreign tensor '{name}'; {_AGAIN}.")
        if not bool(value.isfinite().all()):
            raise CheckpointError(f"{path}: an adapter whose '{name}' has values that are no numbers; {_AGAIN}.")
        layer = name.removesuffix(FIRST).removesuffix(SECOND)
        if layer == name:
            continue
        a, b = (adapter.tensors.get(layer + end) for end in (FIRST, SECOND))
        if a is None or b is None:
            raise CheckpointError(f"{path}: an adapter with one of the two factors of '{layer}'; {_AGAIN}.")
        ranks = len(a), b.shape[1] if b.ndim > 1 else 0
        if ranks[0] != ranks[1]:
            raise CheckpointError(
                f"{path}: an adapter whose factors of '{layer}' have the ranks {ranks[0]} and {ranks[1]}; {_AGAIN}."
            )
    if rank != str(adapter.rank):
        raise CheckpointError(f"{path}: an adapter of rank {rank}, but its factors have rank {adapter.rank}; {_AGAIN}.")


def merge(
    adapter: Adapter, base: Mapping[str, Tensor], *, strength: float | None = None, origin: str | Path = "the adapter"
) -> dict[str, Tensor]:
    """Return the weights of the base with ``strength`` of the adapter's difference added.

    Args:
        adapter: the difference.
        base: a state dict.
        strength: 0 for the base, 1 for the whole difference; None for the adapter's own.
        origin: names the adapter in messages.

    Raises:
        CheckpointError: the base has no such tensor, or one of another shape.
    """
    share = adapter.strength if strength is None else strength
    merged = {name: value.clone() for name, value in base.items()}
    try:
        found = differences(adapter.tensors)
    except ValueError as error:
        raise CheckpointError(f"{origin}: {error}, which do not fit each other; {_AGAIN}.") from error
    for name, change in found.items():
        if name not in merged:
            raise CheckpointError(f"{origin}: changes '{name}', which its base {adapter.base} does not have; {_AGAIN}.")
        value = merged[name]
        if change.shape != value.shape:
            raise CheckpointError(
                f"{origin}: changes '{name}' in the shape {tuple(change.shape)}, but in its base {adapter.base} it is "
                f"{tuple(value.shape)}; {_AGAIN}."
            )
        merged[name] = (value.float() + share * change).to(value.dtype)
    return merged


def differences(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the differences by the names of the base's tensors, in float32.

    Raises:
        ValueError: two factors do not fit each other.
    """
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.endswith(WHOLE):
            found[name.removesuffix(WHOLE)] = value.float()
        elif name.endswith(FIRST):
            layer = name.removesuffix(FIRST)
            found[layer + WEIGHT] = product(tensors[layer + SECOND].float(), value.float())
    return found


def as_matrix(weight: Tensor) -> Tensor:
    """Return a weight (O, I, h, w) as the matrix (O * h, I * w) whose rank is that of its factors; (O, I) stays as it is."""
    if weight.ndim < 3:
        return weight
    outputs, height = weight.shape[0], weight.shape[2]
    return weight.movedim(2, 1).reshape(outputs * height, -1)


def as_factors(second: Tensor, first: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return matrices (O * h, r) and (r, I * w) as the factors of a weight of that shape: (O, r, h, 1) and (r, I, 1, w)."""
    rank = len(first)
    if len(shape) < 3:
        return second, first
    ones = [1] * (len(shape) - 3)
    second = second.view(shape[0], shape[2], rank).movedim(1, 2).reshape(shape[0], rank, shape[2], *ones)
    return second, first.view(rank, shape[1], 1, *shape[3:])


def product(second: Tensor, first: Tensor) -> Tensor:
    """Return the difference (O, I, h, w) whose factors are (O, r, h or 1, 1) and (r, I, 1 or h, w).

    Raises:
        ValueError: the factors do not fit each other.
    """
    try:
        return torch.einsum("or...,ri...->oi...", second, first)
    except RuntimeError as error:
        raise ValueError(f"factors of {tuple(second.shape)} and {tuple(first.shape)}") from error


def save(path: Path, adapter: Adapter) -> None:
    """Write an adapter, its tensors in fp16.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in adapter.tensors.items()}
    metadata = {
        **adapter.metadata,
        "kind": KIND,
        "architecture": adapter.architecture,
        "base": adapter.base,
        "base_sha256": adapter.base_sha256,
        "rank": str(adapter.rank),
        "strength": f"{adapter.strength:g}",
    }
    with atomic_file(path) as part:
        save_file(tensors, part, metadata=metadata)
