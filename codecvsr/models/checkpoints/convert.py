"""Converts any accepted model file to safetensors: the same tensors under codecvsr's names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from codecvsr.errors import InputError, OutputError
from codecvsr.files import atomic_file, refuse_existing
from codecvsr.models.registry import ARCHITECTURES, apply_settings
from codecvsr.models.zoo import LoadedModel, load_model

SUFFIX = ".safetensors"


def convert(
    source: str | Path, target: Path, *, settings: Mapping[str, str] | None = None, overwrite: bool = False
) -> LoadedModel:
    """Write a model's weights as safetensors and return what was written, loaded from there.

    Args:
        source: as for :func:`codecvsr.models.zoo.load_model`.
        target: the file to write, ``*.safetensors``.
        settings: hyper-parameters that tensors do not show, by name
            (:attr:`codecvsr.models.architecture.Architecture.settings`); written into the file.
        overwrite: replace ``target``.

    Raises:
        InputError: the source cannot be had, has no weights, or has no such setting.
        CheckpointError: it is no model file.
        OutputError: ``target`` exists already, is called otherwise or cannot be written.
    """
    from safetensors.torch import save_file

    if target.suffix != SUFFIX:
        raise OutputError(f"{target}: must be called *{SUFFIX}; that is the format it is written in.")
    refuse_existing(target, overwrite=overwrite)
    model = load_model(source)
    if not model.parameters:
        raise InputError(f"{model.name}: has no weights to convert.")
    tensors = {key: tensor.contiguous() for key, tensor in model.network.state_dict().items()}
    known = ARCHITECTURES[model.architecture].settings
    values = {name: setting.write(getattr(model.network, name)) for name, setting in known.items()} | dict(
        settings or {}
    )
    apply_settings(model.architecture, model.network, values)
    metadata = {"architecture": model.architecture, "licence": model.licence, **values}
    if model.path is not None and model.sha256 is not None:
        metadata |= {"source": model.path.name, "source_sha256": model.sha256}
    with atomic_file(target) as part:
        save_file(tensors, part, metadata=metadata)
    return load_model(target)
