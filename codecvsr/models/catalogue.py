"""The zoo as plain values, for ``codecvsr models``."""

from __future__ import annotations

import contextlib
import textwrap
from typing import Any

from codecvsr.errors import CheckpointError
from codecvsr.models import zoo
from codecvsr.models.checkpoints import fetch
from codecvsr.models.checkpoints.offers import Offer
from codecvsr.models.registry import ARCHITECTURES, constructors

_SCREEN_COLUMNS = 80  # of the smallest terminal


def overview() -> list[dict[str, Any]]:
    """A row for every model: what it is, whether its weights are here, and how to get them where they are not.

    ``parameters`` is None where only the weights' file has the number and it is missing or damaged.
    """
    rows = []
    for name, model in zoo.MODELS.items():
        present = zoo.is_present(name)
        parameters = model.parameters
        if parameters is None and present:
            with contextlib.suppress(CheckpointError):  # 'info' reports a damaged file; a list goes on
                parameters = zoo.load_model(name).parameters
        rows.append(
            {
                "name": name,
                "architecture": model.architecture,
                "description": model.description,
                "parameters": parameters,
                "licence": model.licence,
                "training": model.training,
                "motion": zoo.motions_from(model.architecture, model.motion),
                "present": present,
                "how_to_get": None if present else zoo.how_to_get(name),
                "offer": None if model.offer is None else _offer(model.offer),
            }
        )
    return rows


def networks() -> list[dict[str, Any]]:
    """A row for every network that can be made with random weights."""
    return [
        {
            "name": name,
            "architecture": kind,
            "description": ARCHITECTURES[kind].title,
            "motion": ARCHITECTURES[kind].motions,
        }
        for name, (kind, _) in constructors().items()
    ]


def networks_table(rows: list[dict[str, Any]]) -> list[str]:
    """:func:`networks` as lines of text, one per architecture."""
    lines = ["networks, for NAME:random and for weights files:"]
    for kind, architecture in ARCHITECTURES.items():
        names = ", ".join(row["name"] for row in rows if row["architecture"] == kind)
        lines.append(f"  {names}: {architecture.title}")
    return lines


def _offer(offer: Offer) -> dict[str, str]:
    return {"place": offer.place, "file_name": offer.file_name, "sha256_prefix": offer.sha256_prefix}


def facts(model: zoo.LoadedModel) -> dict[str, Any]:
    """What is known of a loaded model, in the order in which people want it."""
    return {
        "name": model.name,
        "architecture": model.architecture,
        "description": ARCHITECTURES[model.architecture].title,
        "parameters": model.parameters,
        "scale": model.scale,
        "motion": model.motion,
        "training": model.training,
        "licence": model.licence,
        "path": model.path,
        "sha256": model.sha256,
        "metadata": dict(model.metadata),
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """:func:`overview` as aligned lines of text."""
    cells = [("name", "parameters", "licence", "training", "weights", "description")]
    for row in rows:
        count = "" if row["parameters"] is None else f"{row['parameters']:,}"
        weights = "here" if row["present"] else "by hand" if row["offer"] else "missing"
        cells.append((row["name"], count.rjust(10), row["licence"], row["training"], weights, row["description"]))
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    missing = [f"{row['name']}: {row['how_to_get']}." for row in rows if not row["present"] and not row["offer"]]
    by_hand = [row for row in rows if row["offer"] and not row["present"]]
    if by_hand:
        place = f"put it under its own name into {fetch.models_folder()}"
        missing += ["", f"To be downloaded from their owners by hand; name the file with --model, or {place}:"]
        missing += [f"  {row['name']}: {_where(row['offer'])}" for row in by_hand]
    return [*lines, *([""] if missing else []), *missing]


def short_table(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the models whose weights are here or are fetched by a command, in lines of at most 80 columns."""
    shown = [row for row in rows if row["present"] or not row["offer"]]
    cells = [("name", "parameters", "weights", "description")]
    for row in shown:
        count = "" if row["parameters"] is None else f"{row['parameters']:,}"
        cells.append((row["name"], count.rjust(10), "here" if row["present"] else "fetch", row["description"]))
    widths = [max(len(line[i]) for line in cells) for i in range(3)]
    room = _SCREEN_COLUMNS - sum(widths) - 3 * 2
    lines = []
    for *first, text in cells:
        start = "  ".join([*(part.ljust(width) for part, width in zip(first, widths, strict=True)), ""])
        for number, part in enumerate(textwrap.wrap(text, room, break_on_hyphens=False)):
            lines.append((" " * len(start) if number else start) + part)
    if any(not row["present"] for row in shown):
        lines += ["", "fetch: run 'codecvsr models fetch NAME'."]
    return [
        *lines,
        "",
        f"{len(rows) - len(shown)} more to be got by hand, and untrained networks: codecvsr models list --all",
    ]


def _where(offer: dict[str, str]) -> str:
    known = f", SHA-256 {offer['sha256_prefix']}..." if offer["sha256_prefix"] else ""
    place = offer["place"].removesuffix(offer["file_name"])
    return f"{offer['file_name']}{known}, from {place}"


def sheet(values: dict[str, Any]) -> list[str]:
    """:func:`facts` as lines of text; what is not known is left out."""
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} = {item}" for name, item in value.items())
        elif isinstance(value, tuple):
            value = ", ".join(value)
        elif isinstance(value, int):
            value = f"{value:,}"
        if value not in (None, ""):
            lines.append(f"{key + ':':<14}{value}")
    return lines
