#!/usr/bin/env python3
"""Replace the scores of some rows of a committed comparison after a model's weights have changed.

python scripts/bench/renew_scores.py scripts/results/compare_fast.json NEW.json

NEW.json is what ``codecvsr compare --json`` printed for the changed models alone, on the same clips and frames. Scores, size
and the digest of the weights are taken from it; times and memory stay, as the machine need not be the same. The command that
made it is noted in ``renewed``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from results_files import write_results

_SCORES = (
    "psnr_rgb",
    "ssim_rgb",
    "psnr_y",
    "ssim_y",
    "warping_error",
    "lpips",
    "artifacts",
    "per_frame",
    "weights_sha256",
    "parameters",
    "gmacs",
)
Entry = dict[str, Any]


def renewed(old: Entry, new: Entry) -> Entry:
    """Returns the old comparison with the scores of the new one's rows.

    Raises:
        ValueError: the two are not of the same frames, or the new one has something that the old one lacks.
    """
    for key in ("frames", "window", "crop_border"):
        if old["protocol"][key] != new["protocol"][key]:
            raise ValueError(f"{key} is {new['protocol'][key]}; {old['protocol'][key]} was expected")
    rows = [row["row"] for row in new["rows"] if row["model"] not in ("bicubic", "lanczos")]
    cells = _replaced(old["cells"], new["cells"], rows, ("row", "clip", "benchmark"))
    means = _replaced(old["means"], new["means"], rows, ("row", "crf"))
    means = [{**mean, "rank": _rank(mean, means)} for mean in means]
    notes = [note for note in old.get("renewed", []) if note["command"] != new["command"]]
    note = {"command": new["command"], "rows": rows, "versions": new["protocol"]["versions"]}
    about = _replaced(old["rows"], new["rows"], rows, ("row",))
    return {**old, "rows": about, "cells": cells, "means": means, "renewed": [*notes, note]}


def _rank(mean: Entry, means: list[Entry]) -> int | None:
    """Returns the rank as ``codecvsr compare`` gives it: rows that have none keep none."""
    others = [each for each in means if each["crf"] == mean["crf"] and each["rank"] is not None]
    return None if mean["rank"] is None else 1 + sum(each["psnr_rgb"] > mean["psnr_rgb"] for each in others)


def _replaced(old: list[Entry], new: list[Entry], rows: list[str], keys: tuple[str, ...]) -> list[Entry]:
    by_key = {tuple(entry[k] for k in keys): entry for entry in new if entry["row"] in rows}
    made = []
    for entry in old:
        scores = by_key.pop(tuple(entry[k] for k in keys), None)
        made.append(
            entry if scores is None else {**entry, **{k: scores[k] for k in _SCORES if k in entry and k in scores}}
        )
    if by_key:
        raise ValueError(f"{', '.join(map(str, next(iter(by_key))))} is not in the old comparison")
    return made


@click.command(help=__doc__)
@click.argument("results", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("new", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(results: Path, new: Path) -> None:
    """See the module."""
    old, found = (json.loads(path.read_text(encoding="utf-8")) for path in (results, new))
    try:
        write_results(results, renewed(old, found))
    except ValueError as error:
        sys.exit(f"{new}: {error}.")


if __name__ == "__main__":
    main()
