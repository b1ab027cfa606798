"""Tables of picture quality, from outputs of ``codecvsr compare --json``."""

from __future__ import annotations

import math
from typing import Any

TITLES = {
    "basicvsr-reds4": "official BasicVSR, SPyNet",
    "basicvsr-reds4@codec": "official BasicVSR, codec motion, not retrained",
    "basicvsr-compressed": "**basicvsr-compressed**",
    "basicvsr-compressed@spynet": "basicvsr-compressed, SPyNet",
    "basicvsr-compressed@dis": "basicvsr-compressed, DIS",
    "codecvsr": "**codecvsr**",
    "codecvsr-fast": "**codecvsr-fast**",
}
WITHOUT_MOTION = "codecvsr+ablate-mvs"
BEST = "basicvsr-compressed"

SUMMARY_ROWS = ("bicubic", "basicvsr-reds4", "codecvsr", BEST)
SUMMARY_CRF = 25


def summary(content: dict[str, Any], best: dict[str, Any]) -> str:
    """Returns README's table: four rows at CRF 25, the last from the comparison of ``basicvsr-compressed``."""
    means = {mean["row"]: mean for each in (best, content) for mean in each["means"] if mean["crf"] == SUMMARY_CRF}
    cost = {measurement["row"]: measurement for each in (best, content) for measurement in each["cells"]}
    clips = sorted({clip["clip"] for clip in content["clips"]})
    frames = max(measurement["frames"] for measurement in content["cells"])
    lines = [
        f"CRF {SUMMARY_CRF}, mean over {len(clips)} clips, {frames} frames of each",
        "RGB PSNR, dB",
        "SSIM",
        "parameters",
        "GMACs per frame",
    ]
    table = [f"| {' | '.join(lines)} |", "|---|---|---|---|---|"]
    for row in SUMMARY_ROWS:
        gmacs = f"{cost[row]['gmacs']:.3g}" if cost[row]["gmacs"] else "-"
        parameters = f"{cost[row]['parameters']:,}" if cost[row]["parameters"] else "-"
        mean = means[row]
        table.append(f"| {title(row)} | {mean['psnr_rgb']:.2f} | {mean['ssim_rgb']:.4f} | {parameters} | {gmacs} |")
    return "\n".join(table)


def scores(content: dict[str, Any]) -> str:
    """RGB PSNR / SSIM by row and CRF, means over the clips."""
    crfs = rates(content)
    means = {(mean["row"], mean["crf"]): mean for mean in content["means"]}
    clips = sorted({clip["clip"] for clip in content["clips"]})
    frames = sorted({measurement["frames"] for measurement in content["cells"]})
    which = f"mean over {', '.join(clips)}" if len(clips) > 1 else clips[0]
    lines = [f"RGB PSNR (dB) / SSIM, {which}; {' or '.join(map(str, frames))} frames of each:", "", *head(crfs)]
    for row in content["rows"]:
        values = [means[row["row"], crf] for crf in crfs]
        entries = [f"{value['psnr_rgb']:.2f} / {value['ssim_rgb']:.4f}" for value in values]
        lines.append(f"| {title(row['row'])} | {' | '.join(entries)} |")
    return "\n".join(lines)


def gains(content: dict[str, Any]) -> str:
    """What codecvsr is ahead by, clip by clip."""
    title = "Gain of codecvsr clip by clip, dB over bicubic / over `--ablate-mvs`:"
    return by_clip(content, title, "codecvsr", ("bicubic", WITHOUT_MOTION))


def smallest_gains(content: dict[str, Any]) -> str:
    """What the networks are ahead by, at each CRF on the clip where that is least."""
    crfs, psnr = rates(content), psnr_of_cells(content)
    clips = sorted({cell["clip"] for cell in content["cells"]})
    lines = ["Smallest gain on any clip, dB over bicubic / over Lanczos:", "", *head(crfs)]
    for row in ("codecvsr", "codecvsr-fast"):
        entries = []
        for crf in crfs:
            over = (min(psnr[row, c, crf] - psnr[other, c, crf] for c in clips) for other in ("bicubic", "lanczos"))
            entries.append(" / ".join(f"{gain:+.2f}" for gain in over))
        lines.append(f"| {title(row)} | {' | '.join(entries)} |")
    return "\n".join(lines)


def best_over(content: dict[str, Any], others: dict[str, Any]) -> str:
    """What ``basicvsr-compressed`` is ahead by, clip by clip, in two comparisons of the same clips."""
    both = {**content, "cells": [*others["cells"], *content["cells"]]}
    heading = "Gain of basicvsr-compressed clip by clip, dB over official BasicVSR with SPyNet / over codecvsr / over Lanczos:"
    return by_clip(both, heading, BEST, ("basicvsr-reds4", "codecvsr", "lanczos"))


def ahead(content: dict[str, Any]) -> str:
    """What official BasicVSR gains by codec motion, clip by clip."""
    title = "Codec motion over SPyNet in official BasicVSR, dB:"
    return by_clip(content, title, "basicvsr-reds4@codec", ("basicvsr-reds4",))


def by_clip(content: dict[str, Any], title: str, row: str, others: tuple[str, ...]) -> str:
    """RGB PSNR of a row over that of others, clip by clip."""
    crfs, psnr = rates(content), psnr_of_cells(content)
    lines = [title, "", *head(crfs)]
    for clip in sorted({measurement["clip"] for measurement in content["cells"]}):
        entries = []
        for crf in crfs:
            over = (psnr[row, clip, crf] - psnr[other, clip, crf] for other in others)
            entries.append(" / ".join(f"{gain:+.2f}" for gain in over))
        lines.append(f"| {clip} | {' | '.join(entries)} |")
    return "\n".join(lines)


def psnr_of_cells(content: dict[str, Any]) -> dict[tuple[str, str, float | str], float]:
    """RGB PSNR in dB by row, clip and CRF."""
    return {(cell["row"], cell["clip"], cell["crf"]): cell["psnr_rgb"] for cell in content["cells"]}


def costs(content: dict[str, Any]) -> str:
    """Parameters and multiplications of the rows that differ in them."""
    found = {measurement["row"]: measurement for measurement in content["cells"] if "+" not in measurement["row"]}
    sizes = [
        f"{title(row)}: {c['parameters']:,} parameters, {c['gmacs']:.3g} GMACs"
        for row, c in found.items()
        if c["gmacs"]
    ]
    size = "x".join(map(str, frame_size(content)))
    return f"To {size} pixels, per frame: {'; '.join(sizes)}."


def frame_size(content: dict[str, Any]) -> tuple[int, int]:
    """Width and height of the enlarged frames of the first clip."""
    height, width = content["clips"][0]["hr_size"]
    return width, height


def rates(content: dict[str, Any]) -> list[float | str]:
    """CRFs, the pristine frames first."""
    found = {mean["crf"] for mean in content["means"]}
    return sorted(found, key=lambda crf: -math.inf if crf == "none" else crf)


def head(crfs: list[float | str]) -> list[str]:
    """The first two lines of a table over the CRFs."""
    names = ("not compressed" if crf == "none" else f"CRF {crf:g}" for crf in crfs)
    return [f"| | {' | '.join(names)} |", "|---|" + "---|" * len(crfs)]


def title(row: str) -> str:
    """What the table calls a row."""
    name, *changes = row.split("+")
    flags = " ".join(f"--{change}" for change in changes)
    return f"{name} `{flags}`" if flags else TITLES.get(name, name)
