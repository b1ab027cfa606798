"""Factors the difference between two checkpoints of one network into an adapter of limited size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from codecvsr.models.checkpoints.adapter import FIRST, SECOND, WEIGHT, WHOLE, as_factors, as_matrix

_BYTES = 2  # of a value in fp16
_HEADER = 2048  # bytes of metadata
_ENTRY = 100  # bytes that the header has for a tensor besides its name
_ROUNDING = 1e-6  # singular values below this share of the largest are rounding errors


@dataclass(frozen=True)
class Row:
    """What was kept of one tensor's difference.

    Attributes:
        name: of the base's tensor.
        energy: sum of squares of its difference.
        kept: share of that which the adapter has, before rounding to fp16.
        rank: of the factors; 0 for nothing, None for a whole difference.
        full_rank: the highest rank that it could have.
        size: bytes in the file.
    """

    name: str
    energy: float
    kept: float
    rank: int | None
    full_rank: int
    size: int


@dataclass(frozen=True, eq=False)
class Factored:
    """The tensors of an adapter (float32, by their names in the file), and a row for each tensor that changed."""

    tensors: dict[str, Tensor]
    rows: list[Row]

    @property
    def kept(self) -> float:
        """The share of the whole difference's energy that the adapter has."""
        total = sum(row.energy for row in self.rows)
        return sum(row.energy * row.kept for row in self.rows) / total if total else 1.0


@dataclass(eq=False)
class _Layer:
    """A weight's difference, the singular values of :func:`as_matrix` of it, and the rank chosen so far."""

    name: str
    change: Tensor
    u: Tensor
    s: Tensor
    v: Tensor
    rank: int = 0

    @property
    def step(self) -> int:
        """Bytes of one more rank."""
        return _BYTES * (len(self.u) + self.v.shape[1])

    @property
    def whole(self) -> int:
        """Bytes of the difference itself."""
        return _BYTES * self.change.numel() + len(self.name) + _ENTRY

    @property
    def overhead(self) -> int:
        """Bytes that two factors need in the header."""
        return 2 * (len(self.name) + _ENTRY)

    @property
    def size(self) -> int:
        """Bytes of the chosen rank; the whole difference replaces factors that are not smaller."""
        return min(self.rank * self.step + self.overhead, self.whole) if self.rank else 0

    @property
    def is_whole(self) -> bool:
        return self.rank > 0 and self.size == self.whole


def factor(
    base: Mapping[str, Tensor],
    tuned: Mapping[str, Tensor],
    *,
    max_bytes: int | None = None,
    min_energy: float = 1.0,
    max_rank: int | None = None,
) -> Factored:
    """Return the best low-rank differences from ``base`` to ``tuned`` within a budget.

    Each weight's difference (O, I, h, w), as a matrix (O * h, I * w), is cut to its largest singular values, which is the
    nearest matrix of that rank (Eckart and Young, 1936). Of 3x3 kernels that keeps more for the same bytes than a matrix
    (O, I * h * w): a rank costs 3 (O + I) values instead of O + 9 I. Ranks are given out one at a time, to the weight whose next
    singular value has the most energy (its square) for its bytes, until a limit is reached. A difference for which
    factors are not smaller than the matrix, biases and other small tensors are stored whole.

    Args:
        base: a state dict.
        tuned: a state dict of the same names and shapes.
        max_bytes: of the file in fp16; None for no limit.
        min_energy: stop as soon as this share of the difference's energy is kept.
        max_rank: of each weight; None for no limit.

    Raises:
        ValueError: the names or shapes differ, or the tensors that are stored whole exceed ``max_bytes``.
    """
    _check_same(base, tuned)
    layers: list[_Layer] = []
    tensors: dict[str, Tensor] = {}
    rows: list[Row] = []
    for name, before in base.items():
        change = _difference(before, tuned[name])
        if change is None:
            continue
        if name.endswith(WEIGHT) and change.ndim > 1 and min(as_matrix(change).shape) > 1:
            u, s, v = torch.linalg.svd(as_matrix(change), full_matrices=False)
            layers.append(_Layer(name, change, u, s, v))
        else:
            tensors[name + WHOLE] = change
            size = _BYTES * change.numel() + len(name) + _ENTRY
            rows.append(Row(name, float(change.square().sum()), 1.0, None, 1, size))
    spent = _HEADER + sum(row.size for row in rows)
    if max_bytes is not None and spent > max_bytes:
        raise ValueError(f"biases and other small tensors need {spent} bytes, more than {max_bytes}")
    _give_ranks(layers, spent, max_bytes, min_energy, max_rank, sum(row.energy for row in rows))
    for layer in layers:
        tensors |= _stored(layer)
        energy = float(layer.s.square().sum())
        kept = 1.0 if layer.is_whole else float(layer.s[: layer.rank].square().sum()) / energy
        rank = None if layer.is_whole else layer.rank
        rows.append(Row(layer.name, energy, kept, rank, len(layer.s), layer.size))
    return Factored(tensors, rows)


def _check_same(base: Mapping[str, Tensor], tuned: Mapping[str, Tensor]) -> None:
    for name in [*base, *tuned]:
        if name not in base or name not in tuned:
            raise ValueError(f"one of them has no '{name}'")
        if base[name].shape != tuned[name].shape:
            raise ValueError(
                f"'{name}' is {tuple(base[name].shape)} in one and {tuple(tuned[name].shape)} in the other"
            )


def _difference(before: Tensor, after: Tensor) -> Tensor | None:
    """The difference in float32; None for none, also where ``after`` is only ``before`` rounded to fp16."""
    if not before.is_floating_point():
        return None
    before, after = before.detach().float(), after.detach().float()
    if torch.equal(before, after) or torch.equal(before.half().float(), after):
        return None
    return after - before


def _give_ranks(
    layers: list[_Layer],
    spent: int,
    max_bytes: int | None,
    min_energy: float,
    max_rank: int | None,
    kept: float,
) -> None:
    """Set the ranks of all layers; ``spent`` bytes and the energy ``kept`` are used by other tensors already."""
    worth = [
        (float(value) ** 2 / layer.step, layer, index)
        for layer in layers
        for index, value in enumerate(layer.s[:max_rank])
        if value > _ROUNDING * layer.s[0]
    ]
    worth.sort(key=lambda item: item[0], reverse=True)  # stable: the values of a layer stay in their order
    wanted = min_energy * (kept + sum(float(layer.s.square().sum()) for layer in layers))
    full: set[int] = set()
    for _, layer, index in worth:
        if min_energy < 1 and kept >= wanted:
            break
        if layer.is_whole or id(layer) in full:
            continue
        before = layer.size
        layer.rank = index + 1
        if max_bytes is not None and spent + layer.size - before > max_bytes:
            layer.rank = index
            full.add(id(layer))
            continue
        spent += layer.size - before
        kept += float(layer.s[index:].square().sum()) if layer.is_whole else float(layer.s[index]) ** 2


def _stored(layer: _Layer) -> dict[str, Tensor]:
    """The tensors of a layer: none, its whole difference, or two factors of about equal size."""
    if not layer.rank:
        return {}
    if layer.is_whole:
        return {layer.name + WHOLE: layer.change}
    root, rank = layer.s[: layer.rank].sqrt(), layer.rank
    stem = layer.name.removesuffix(WEIGHT)
    second, first = as_factors(layer.u[:, :rank] * root, root[:, None] * layer.v[:rank], layer.change.shape)
    return {stem + FIRST: first, stem + SECOND: second}
