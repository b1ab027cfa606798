#!/usr/bin/env python3
r"""Write README's tables of picture quality from the committed outputs of ``codecvsr compare --json``.

    python scripts/training/fetch_clips.py clips
    codecvsr models fetch basicvsr-reds4
    codecvsr benchmark --hr-root clips/val --out-root bench --crf none,15,25,35
    codecvsr benchmark --hr-root inputs --out-root bench --crf none,15,25,35
    codecvsr compare --clip-root bench/val_CRF{15,25,35} --gt-root clips/val --frames 32 \
        --models codecvsr,codecvsr+ablate-mvs --json > scripts/results/quality.json
    codecvsr compare --clip-root bench/val_CRF* --gt-root clips/val --frames 9 --report compare.html --json \
        --models codecvsr,codecvsr+ablate-mvs,codecvsr+ablate-refine,basicvsr-reds4,basicvsr-reds4@codec \
        > scripts/results/compare.json
    codecvsr compare --clip-root bench/inputs_CRF* --gt-root inputs --frames 9 --json \
        --models codecvsr,basicvsr-reds4,basicvsr-reds4@codec > scripts/results/compare_demo.json
    codecvsr compare --clip-root bench/val_CRF{none,15,25,35} --gt-root clips/val --json \
        --models codecvsr,codecvsr-fast,codecvsr-fast+ablate-mvs > scripts/results/compare_fast.json
    codecvsr compare --clip-root bench/val_CRF{none,15,25,35} --gt-root clips/val --window 96 --json \
        --models codecvsr,basicvsr-reds4,basicvsr-reds4@codec > scripts/results/compare_96.json
    codecvsr compare --clip-root bench/val_CRF15 --gt-root clips/val --clips bridge,lake,pier --window 96 --json \
        --models basicvsr-reds4@codec+ablate-shake > scripts/results/compare_96_still.json
    python scripts/bench/results_tables.py

Each file says by which command, of which versions and weights it was made.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click
from readme_parts import replace_parts

ROOT = Path(__file__).resolve().parents[2]
TITLES = {
    "basicvsr-reds4": "official BasicVSR, SPyNet",
    "basicvsr-reds4@codec": "official BasicVSR, codec motion, not retrained",
    "codecvsr": "**codecvsr**",
    "codecvsr-fast": "**codecvsr-fast**",
}
WITHOUT_MOTION = "codecvsr+ablate-mvs"


@click.command(help=__doc__)
@click.option("--results", type=click.Path(path_type=Path), default=ROOT / "scripts" / "results", show_default="there")
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", show_default="there")
def main(results: Path, readme: Path) -> None:
    """Replace what is between README's markers."""
    names = ("quality", "compare", "compare_demo", "compare_fast", "compare_96")
    quality, field, demo, fast, long = (read(results / f"{name}.json") for name in names)
    replace_parts(
        readme,
        quality=f"{scores(quality)}\n\n{gains(quality)}",
        compare=f"{scores(field)}\n\n{scores(demo)}\n\n{costs(field)}",
        fast=f"{scores(fast)}\n\n{costs(fast)}",
        long=f"{scores(long)}\n\n{ahead(long)}",
    )


def read(path: Path) -> dict[str, Any]:
    """What ``codecvsr compare --json`` printed; nothing may have failed."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if content["failed"]:
        raise click.ClickException(f"{path}: rows failed in this run; make it again.")
    return content


def scores(content: dict[str, Any]) -> str:
    """RGB PSNR / SSIM by row and CRF, means over the clips."""
    crfs = rates(content)
    means = {(mean["row"], mean["crf"]): mean for mean in content["means"]}
    clips = sorted({clip["clip"] for clip in content["clips"]})
    frames = sorted({cell["frames"] for cell in content["cells"]})
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


def ahead(content: dict[str, Any]) -> str:
    """What official BasicVSR gains by codec motion, clip by clip."""
    title = "Codec motion over SPyNet in official BasicVSR, dB:"
    return by_clip(content, title, "basicvsr-reds4@codec", ("basicvsr-reds4",))


def by_clip(content: dict[str, Any], title: str, row: str, others: tuple[str, ...]) -> str:
    """RGB PSNR of a row over that of others, clip by clip."""
    crfs = rates(content)
    psnr = {(cell["row"], cell["clip"], cell["crf"]): cell["psnr_rgb"] for cell in content["cells"]}
    lines = [title, "", *head(crfs)]
    for clip in sorted({cell["clip"] for cell in content["cells"]}):
        entries = []
        for crf in crfs:
            over = (psnr[row, clip, crf] - psnr[other, clip, crf] for other in others)
            entries.append(" / ".join(f"{gain:+.2f}" for gain in over))
        lines.append(f"| {clip} | {' | '.join(entries)} |")
    return "\n".join(lines)


def costs(content: dict[str, Any]) -> str:
    """Parameters and multiplications of the rows that differ in them."""
    found = {cell["row"]: cell for cell in content["cells"] if "+" not in cell["row"]}
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


if __name__ == "__main__":
    main()
