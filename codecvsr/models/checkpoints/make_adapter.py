"""Makes an adapter file from two checkpoints of one network: a base, and the same network trained further."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import InputError, OutputError
from codecvsr.files import refuse_existing
from codecvsr.models import zoo
from codecvsr.models.checkpoints import adapter
from codecvsr.models.checkpoints.convert import SUFFIX
from codecvsr.models.checkpoints.factor import Factored, Row, factor

MEBIBYTE = 2**20
NOTES = ("steps", "data", "licence", "motion")  #: entries of the tuned file that the adapter repeats
_UNRELATED = 0.25  # of the base's energy: a larger difference is no fine-tuning


@dataclass(frozen=True)
class Limits:
    """Where factoring stops; the first limit that is reached counts.

    Attributes:
        max_mib: size of the file in MiB; None for no limit.
        min_energy: share of the difference's energy that is enough.
        max_rank: of each weight; None for no limit.
    """

    max_mib: float | None = None
    min_energy: float = 1.0
    max_rank: int | None = None


def make_adapter(
    base: str | Path,
    tuned: str | Path,
    target: Path,
    *,
    limits: Limits | None = None,
    strength: float = 1.0,
    metadata: dict[str, str] | None = None,
    overwrite: bool = False,
) -> Factored:
    """Write the difference from ``base`` to ``tuned`` as an adapter file, and return what was kept of it.

    Args:
        base: as for :func:`codecvsr.models.zoo.load_model`.
        tuned: the same network trained further; may be an adapter of ``base`` already, which is then factored again.
        target: the file to write, ``*.safetensors``.
        limits: of its size, energy and rank.
        strength: share of the difference that loading adds, 0 to 1.
        metadata: entries of the file, :data:`NOTES`; those of ``tuned`` where missing.
        overwrite: replace ``target``.

    Raises:
        InputError: a file cannot be had, they are of different networks or trainings, are equal, or a limit is impossible.
        CheckpointError: a file is no model file.
        OutputError: ``target`` exists already, is called otherwise or cannot be written.
    """
    limits = limits or Limits()
    if target.suffix != SUFFIX:
        raise OutputError(f"{target}: must be called *{SUFFIX}; that is the format it is written in.")
    refuse_existing(target, overwrite=overwrite)
    first, second = zoo.load_model(base), zoo.load_model(tuned, adapter_strength=1.0)
    if first.architecture != second.architecture:
        raise InputError(
            f"{tuned}: is a network of the kind {second.architecture}, but the base {base} is {first.architecture}; expected the base "
            "trained further."
        )
    base_name(first)  # raises before the work
    _check_notes(metadata or {}, first)
    before, after = first.network.state_dict(), second.network.state_dict()
    sha256 = adapter.fingerprint(before)
    started_from = second.metadata.get("file.initial_sha256") or second.metadata.get("file.base_sha256") or sha256
    if started_from != sha256:
        raise InputError(
            f"{tuned}: was not trained from {base} but from weights of the SHA-256 {started_from[:16]}... (of the tensors); name "
            "those with --base."
        )
    most = None if limits.max_mib is None else int(limits.max_mib * MEBIBYTE)
    try:
        made = factor(before, after, max_bytes=most, min_energy=limits.min_energy, max_rank=limits.max_rank)
    except ValueError as error:
        raise InputError(f"{tuned} and {base}: cannot be factored: {error}.") from error
    if not made.rows:
        raise InputError(f"{tuned}: has the weights of {base}; there is no difference to write.")
    energy = sum(float(value.float().square().sum()) for value in before.values())
    if sum(row.energy for row in made.rows) > _UNRELATED * energy:
        raise InputError(
            f"{tuned}: differs too much from {base} to have been trained from it; name its own base with --base."
        )
    known = {key: second.metadata[f"file.{key}"] for key in NOTES if f"file.{key}" in second.metadata}
    change = adapter.Adapter(
        architecture=first.architecture,
        base=base_name(first),
        base_sha256=sha256,
        tensors=made.tensors,
        strength=strength,
        metadata=known | (metadata or {}),
    )
    adapter.save(target, change)
    return made


def _check_notes(notes: dict[str, str], model: zoo.LoadedModel) -> None:
    if unknown := [key for key in notes if key not in NOTES]:
        raise InputError(f"--set {unknown[0]}: is no note of an adapter; these are {', '.join(NOTES)}.")
    motions = model.descriptor.motions
    if "motion" in notes and notes["motion"] not in motions:
        known = ", ".join(motions) or "none"
        raise InputError(
            f"--set motion={notes['motion']}: {model.architecture} does not run with it; it runs with {known}."
        )


def base_name(model: zoo.LoadedModel) -> str:
    """Return how an adapter names ``model`` as its base: its name in ``codecvsr models list``, else its file's.

    Raises:
        InputError: it is no file, or is an adapter itself.
    """
    if model.path is None or model.sha256 is None:
        raise InputError(
            f"{model.name}: is no weights file; write it as one with 'codecvsr models convert' to adapt it."
        )
    if adapter.is_adapter(model.metadata):
        raise InputError(
            f"{model.path}: is an adapter; write it as weights with 'codecvsr models convert' to adapt it."
        )
    return zoo.known_name(model.path, model.sha256) or model.path.name


def summary(made: Factored) -> list[dict[str, object]]:
    """Return a row for each group of tensors, the last for all: tensors, energy's share, kept share, ranks and bytes."""
    groups: dict[str, list[Row]] = {}
    for row in made.rows:
        groups.setdefault(row.name.partition(".")[0], []).append(row)
    total = sum(row.energy for row in made.rows)
    return [_summed(name, rows, total) for name, rows in [*groups.items(), ("all", made.rows)]]


def _summed(name: str, rows: Iterable[Row], total: float) -> dict[str, object]:
    rows = list(rows)
    energy = sum(row.energy for row in rows)
    ranks = [row.rank for row in rows if row.rank is not None]
    return {
        "group": name,
        "tensors": len(rows),
        "energy": energy / total if total else 0.0,
        "kept": sum(row.energy * row.kept for row in rows) / energy if energy else 1.0,
        "min_rank": min(ranks, default=None),
        "max_rank": max(ranks, default=None),
        "bytes": sum(row.size for row in rows),
    }
