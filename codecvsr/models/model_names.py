"""The names of models, without PyTorch: a misspelt one is refused at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import InputError
from codecvsr.models.checkpoints.offers import OFFERS, Offer

RANDOM = ":random"  #: behind the name of a network: it, with random weights


@dataclass(frozen=True)
class Model:
    """A name for ``--model``.

    Attributes:
        architecture: key of :data:`ARCHITECTURES`.
        description: one line for people.
        licence: SPDX name of the weights' licence.
        training: "codecvsr" (trained by this project), "official" (by the network's authors) or "none" (no weights).
        file_name: of weights that ship with codecvsr, in :func:`weights_folder`; None for others.
        parameters: how many, where it is known without the file.
        offer: where its owner offers the weights; None where codecvsr has or fetches them.
        base: the model that its file, an adapter, is a difference to; None for whole weights.
        motion: the kind that it runs with unless told otherwise; None for the architecture's usual one.
    """

    architecture: str
    description: str
    licence: str
    training: str
    file_name: str | None = None
    parameters: int | None = None
    offer: Offer | None = None
    base: str | None = None
    motion: str | None = None


def weights_folder() -> Path:
    """Where the weights that ship with codecvsr are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "weights"
    return inside if inside.is_dir() else package.parent / "weights"


#: Models whose weights ship with codecvsr or are fetched by it, and those without weights.
OWN_MODELS: dict[str, Model] = {
    "codecvsr": Model(
        architecture="codecvsr",
        description="this project's network, trained on compressed video",
        licence="Apache-2.0",
        training="codecvsr",
        file_name="codecvsr.safetensors",
    ),
    "codecvsr-fast": Model(
        architecture="codecvsr",
        description="a fifth of that network, for long videos on a CPU",
        licence="Apache-2.0",
        training="codecvsr",
        file_name="codecvsr-fast.safetensors",
    ),
    "basicvsr-reds4": Model(
        architecture="basicvsr",
        description="BasicVSR, official weights: REDS, bicubic down-sampling, uncompressed",
        licence="Apache-2.0",
        training="official",
        parameters=6_291_311,
    ),
    "basicvsr-vimeo90k-bi": Model(
        architecture="basicvsr",
        description="BasicVSR, official weights: Vimeo-90K, bicubic down-sampling, uncompressed",
        licence="Apache-2.0",
        training="official",
        parameters=6_291_311,
    ),
    "basicvsr-vimeo90k-bd": Model(
        architecture="basicvsr",
        description="BasicVSR, official weights: Vimeo-90K, blurred and decimated, uncompressed",
        licence="Apache-2.0",
        training="official",
        parameters=6_291_311,
    ),
    "bicubic": Model(
        architecture="bicubic",
        description="the baseline: every frame by itself, nothing learnt",
        licence="Apache-2.0",
        training="none",
        parameters=0,
    ),
    "lanczos": Model(
        architecture="lanczos",
        description="interpolation as in many players, sharper than bicubic, nothing learnt",
        licence="Apache-2.0",
        training="none",
        parameters=0,
    ),
}


#: Adapters that ship with codecvsr, as soon as their file is in the folder of weights.
ADAPTERS: dict[str, Model] = {
    "basicvsr-compressed": Model(
        architecture="basicvsr",
        description="official BasicVSR adapted to compressed video; slow on a CPU",
        licence="Apache-2.0",
        training="codecvsr",
        file_name="basicvsr-compressed.safetensors",
        parameters=6_291_311,
        base="basicvsr-reds4",
        motion="codec",
    )
}


def shipped_adapters(folder: Path) -> dict[str, Model]:
    """Returns those of :data:`ADAPTERS` whose file is in ``folder``."""
    return {name: model for name, model in ADAPTERS.items() if model.file_name and (folder / model.file_name).is_file()}


def qualities(models: Mapping[str, Model]) -> dict[str, str]:
    """Returns which of ``models`` each value of ``--quality`` stands for, the fastest first."""
    chosen = {"fast": "codecvsr-fast", "balanced": "codecvsr", "best": "basicvsr-compressed"}
    return {quality: name for quality, name in chosen.items() if name in models}


OWN_MODELS |= shipped_adapters(weights_folder())

#: Models by quality, the fastest first: for ``--quality`` and the page.
QUALITIES = qualities(OWN_MODELS)


def check_name(text: str) -> None:
    """Checks that a model has a known name, is an existing path, or may be a network with random weights.

    Raises:
        InputError: none of these; the message suggests the nearest name.
    """
    if text not in OWN_MODELS and text not in OFFERS and not text.endswith(RANDOM) and not _exists(text):
        raise unknown_model(text)


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, RuntimeError):  # too long for a name; no such user
        return False


def unknown_model(text: str, networks: Iterable[str] = ()) -> InputError:
    """Returns the error for a model that does not exist, with the nearest name among models and ``networks``."""
    close = difflib.get_close_matches(text, [*OWN_MODELS, *OFFERS, *networks], n=1)
    meant = f" Did you mean '{close[0]}'?" if close else ""
    return InputError(
        f"'{text}' is neither a model nor a weights file; 'codecvsr models list' names the models, and the networks for "
        f"NETWORK{RANDOM}.{meant}"
    )
