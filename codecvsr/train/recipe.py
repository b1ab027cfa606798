"""The recipe of a training run: a TOML file read into a checked dataclass."""

from __future__ import annotations

import dataclasses
import tomllib
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codecvsr.errors import InputError

OPTIMISERS = ("adam", "muon")


@dataclass(frozen=True)
class Data:
    """The clips: folders from ``codecvsr benchmark`` with their originals, and sets from ``codecvsr prepare``."""

    hr_root: str = "clips/train"
    benchmarks: tuple[str, ...] = ()
    prepared: tuple[str, ...] = ()  #: folders written by codecvsr prepare
    shares: tuple[
        float, ...
    ] = ()  #: shares of the samples: benchmarks (if any), then every prepared set; by number of frames if empty
    val_hr_root: str = ""
    val_benchmarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """The network, a name of :func:`codecvsr.models.registry.constructors`, and its size; else it is as published."""

    network: str = "codecvsr"
    channels: int = 32
    blocks: int = 4
    flow_head: bool = True  #: only for "codecvsr": a head that corrects the motion
    motion: str = "codec"  #: "codec", "zero", or "own" for the network's own optical flow
    propagation: str = "bidirectional"  #: this and the following fields: only for the network "study"
    alignment: str = "feature"
    refill: bool = False
    coupled: bool = False


@dataclass(frozen=True)
class Adapter:
    """Trains low-rank differences to a base instead of all weights; network and size are then the base's."""

    base: str = ""  #: a model's name, or a weights file; empty to train all weights
    rank: int = 16  #: of the difference of each weight

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise ValueError(f"rank = {self.rank}; at least 1 was expected")


@dataclass(frozen=True)
class Optimisation:
    """The steps: their number, samples, optimiser and learning rate, and the moving average of the weights (EMA)."""

    steps: int = 2000
    batch: int = 3
    frames: int = 7
    context: int = 0  #: frames at either end that are inputs only, without a target
    crop: int = 64  #: side of a low-resolution crop in pixels, a multiple of 4
    optimiser: str = "adam"  #: "adam", or "muon" for convolutions with Adam for all other weights
    learning_rate: float = 1e-3
    warmup: int = 50  #: steps over which the rate rises from zero
    decay: float = 1.0  #: share of the steps, at their end, over which the rate falls to zero as a cosine
    clip_norm: float = 1.0
    charbonnier: float = 0.03  #: epsilon of the loss, for values in 0..1
    flat_weight: float = 0.0  #: additional weight of places where the original is flat (train/loss.py)
    ema: float = 0.995
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise ValueError(f"optimiser = {self.optimiser!r}; one of {', '.join(OPTIMISERS)} was expected")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay = {self.decay}; a share above 0 and up to 1 was expected")


@dataclass(frozen=True)
class Distillation:
    """A teacher: its pictures have the weight ``share`` in the loss, the originals 1 - ``share``."""

    weights: str = ""  #: a weights file, or a model's name; empty for no teacher
    share: float = 0.5


@dataclass(frozen=True)
class Window:
    """One kind of sample; a step draws its kind by ``share``. The first four are as in :class:`Optimisation`."""

    frames: int
    context: int = 0
    batch: int = 1
    crop: int = 64
    share: float = 1.0


@dataclass(frozen=True)
class Engine:
    """How steps are computed; an option that the machine does not support is ignored with a log line."""

    graph: bool = False  #: on a GPU: capture every kind of window as a CUDA graph (forward, backward, update, average)
    compile: bool = False  #: use torch.compile for the network


@dataclass(frozen=True)
class Dropout:
    """Probability of disabling each part in a sample, so that ablations of the trained network are meaningful.

    Without ``future`` no frame of the sample sees a later one, as in a stream without look-ahead.
    """

    motion: float = 0.15
    second_order: float = 0.15
    priors: float = 0.1
    future: float = 0.0  #: only for "codecvsr"


@dataclass(frozen=True)
class Reporting:
    """Intervals of logging, saving and validation in steps, and the number of frames per validation clip."""

    log_every: int = 20
    save_every: int = 200
    validate_every: int = 400
    validate_frames: int = 7
    compact_state: bool = (
        False  #: save the optimiser's moments in 16 bits: smaller, but resumed runs differ in the last digits
    )


@dataclass(frozen=True)
class Recipe:
    """A whole training run."""

    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    optimisation: Optimisation = field(default_factory=Optimisation)
    dropout: Dropout = field(default_factory=Dropout)
    reporting: Reporting = field(default_factory=Reporting)
    engine: Engine = field(default_factory=Engine)
    distillation: Distillation = field(default_factory=Distillation)
    windows: tuple[Window, ...] = ()  #: kinds of sample; that of :class:`Optimisation` if empty
    adapter: Adapter = field(default_factory=Adapter)

    def __post_init__(self) -> None:
        if self.dropout.future and (self.model.network != "codecvsr" or self.adapter.base):
            raise ValueError(
                f"dropout.future = {self.dropout.future}: only the network codecvsr can leave out later frames; 0 was expected"
            )

    def kinds(self) -> tuple[Window, ...]:
        """Returns all kinds of sample."""
        one = self.optimisation
        return self.windows or (Window(one.frames, one.context, one.batch, one.crop),)


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; ``overrides`` are ``section.key=value`` with the value in TOML syntax.

    Raises:
        InputError: the file is unreadable, or a section, a key or a value's type is not valid in :class:`Recipe`.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not a readable TOML recipe ({error}).") from error
    tables = [table]
    for override in overrides:
        tables.append(_overridden(tables[-1], override, path))
    try:
        return recipe_from(tables[-1], str(path))
    except InputError:
        for override, before, after in zip(overrides, tables, tables[1:], strict=False):
            if _is_valid(before):
                recipe_from(after, f"--set {override}")  # raises for the first option that is wrong
        raise


def _overridden(table: dict[str, Any], override: str, path: Path) -> dict[str, Any]:
    """Returns a copy of a table with one value replaced."""
    name, separator, value = override.partition("=")
    section, dot, key = name.strip().partition(".")
    if not separator or not dot:
        raise InputError(f"--set {override}: expected section.key=value, such as optimisation.steps=500.")
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except ValueError:
        parsed = value.strip()
    if not isinstance(table.get(section, {}), dict):
        raise InputError(f"--set {override}: {section} of {path} is not a section.")
    return {**table, section: {**table.get(section, {}), key: parsed}}


def _is_valid(table: Mapping[str, Any]) -> bool:
    try:
        recipe_from(table, "")
    except InputError:
        return False
    return True


def recipe_from(table: Mapping[str, Any], origin: str) -> Recipe:
    """Check a parsed recipe.

    Raises:
        InputError: an unknown section or key, or a value of a wrong type; the message names ``origin``.
    """
    return _build(Recipe, table, origin)


def _build(kind: type, table: Mapping[str, Any], origin: str) -> Any:
    types = typing.get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for key, value in table.items():
        if key not in types:
            raise InputError(f"{origin}: unknown key {key!r}; known here: {', '.join(types)}.")
        wanted = types[key]
        if dataclasses.is_dataclass(wanted) and isinstance(value, Mapping):
            arguments[key] = _build(typing.cast(type, wanted), value, f"{origin}, [{key}]")
        elif wanted is float and isinstance(value, int) and not isinstance(value, bool):
            arguments[key] = float(value)
        elif typing.get_origin(wanted) is tuple and isinstance(value, list | tuple):
            item = typing.get_args(wanted)[0]
            if dataclasses.is_dataclass(item):
                arguments[key] = tuple(_build(typing.cast(type, item), v, f"{origin}, [[{key}]]") for v in value)
            elif item is float and all(type(v) in (int, float) for v in value):
                arguments[key] = tuple(map(float, value))
            elif item is str:
                arguments[key] = tuple(map(str, value))
            else:
                raise InputError(f"{origin}: {key} = {value!r}; a list of {item.__name__} was expected.")
        elif isinstance(wanted, type) and type(value) is wanted:
            arguments[key] = value
        else:
            name = getattr(wanted, "__name__", str(wanted))
            raise InputError(f"{origin}: {key} = {value!r}; a value of type {name} was expected.")
    try:
        return kind(**arguments)
    except ValueError as error:
        raise InputError(f"{origin}: {error}.") from error
    except TypeError as error:  # a key without a default is missing
        raise InputError(f"{origin}: {str(error).split('__init__() ')[-1]}.") from error
