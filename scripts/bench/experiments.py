#!/usr/bin/env python3
"""Experiments of the BasicVSR paper and of frame-rate groups: table, plots and pictures of each in one command.

Without training, on any model that recurs over a clip:
    codecvsr models fetch basicvsr-reds4
    python scripts/bench/experiments.py segments     # the clip cut into 1, 2, 4, 8 parts: what long-term information is worth
    python scripts/bench/experiments.py windows      # every frame from the 5, 7 or 11 frames around it, or from all
    python scripts/bench/experiments.py alignment    # no alignment, raw vectors, repaired codec motion, DIS, SPyNet

With a short training (--steps) of every variant, by the recipes in scripts/training/recipes/experiments:
    python scripts/bench/experiments.py propagation          # both ways, from the past alone, from two frames to either side
    python scripts/bench/experiments.py trained-alignment    # of features, of pictures, none
    python scripts/bench/experiments.py iconvsr              # refill and coupling, either, neither
    python scripts/bench/experiments.py rates                # one head or four, rates 1, 2, 3 or 1, 3, 5; with attention maps
    python scripts/bench/experiments.py others               # RBPN, EDVR, BasicVSR

Each compresses the clips of --hr-root (the demo clip) at --crf unless that was done before, and writes NAME.html, NAME.md
and NAME.json to --out. Measurements and trained weights are stored there: a stopped run continues. Unless
--train-root says otherwise, networks are trained on the very clips they are then compared on, which shows that they learn,
and nothing about other clips.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from attention_maps import draw_attention

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.options import device_option
from codecvsr.cli.output import info, warn
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.measurements import Settings
from codecvsr.compare.report import write_report
from codecvsr.compare.run import compare
from codecvsr.compare.tables import markdown_table, means_table
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label, parse_crfs
from codecvsr.datasets.hr_sources import find_sources
from codecvsr.errors import InputError
from codecvsr.files import atomic_file, write_png
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.motion_source import load_motion
from codecvsr.json_values import jsonable
from codecvsr.models.zoo import load_model
from codecvsr.train.loop import train, weights_name
from codecvsr.train.recipe import read_recipe
from codecvsr.train.state import find_states

ROOT = Path(__file__).resolve().parents[2]
HELP = (__doc__ or "").replace("\n\nWith", "\n\n\b\nWith")  # click leaves the lines of such a paragraph as they are
RECIPES = ROOT / "scripts" / "training" / "recipes" / "experiments"
SEGMENTS = (1, 2, 4, 8)
WINDOWS = (5, 7, 11)
FREE = ("segments", "windows", "alignment")
#: Experiment -> variant -> recipe and what is set in it.
TRAINED: dict[str, dict[str, tuple[str, ...]]] = {
    "propagation": {
        name: ("study", f"model.propagation={name}") for name in ("bidirectional", "unidirectional", "local")
    },
    "trained-alignment": {name: ("study", f"model.alignment={name}") for name in ("feature", "image", "none")},
    "iconvsr": {
        "refill-and-coupling": ("study", "model.refill=true", "model.coupled=true"),
        "no-refill": ("study", "model.coupled=true"),
        "no-coupling": ("study", "model.refill=true"),
        "neither": ("study",),
    },
    "rates": {
        "single-head": ("rate-groups",),
        "multi-head": ("rate-groups", "model.network=rate-groups-mh"),
        "rates-135": (
            "rate-groups",
            "model.network=rate-groups-135",
            "optimisation.frames=21",
            "optimisation.context=10",
        ),
    },
    "others": {"rbpn": ("rbpn",), "edvr": ("edvr",), "basicvsr": ("basicvsr",)},
}


def rows_of(experiment: str, model: str) -> list[str]:
    """Returns the rows as ``codecvsr compare --models`` expects them."""
    if experiment == "segments":
        return [f"{model}+segments={count}" for count in SEGMENTS]
    if experiment == "windows":
        return [*(f"{model}+window={length}" for length in WINDOWS), model]
    kinds = load_model(model).motion
    if not kinds:
        raise InputError(f"{model}: uses no motion; choose a model that does.")
    return [f"{model}@{kind}" for kind in ("zero", "raw", "codec", "dis", "spynet") if kind in kinds]


def prepare(hr_root: Path, out: Path, crf: str) -> list[Path]:
    """The benchmark folders, made where they are missing."""
    name = hr_root.resolve().name.removesuffix("_GT")
    folders = []
    for rate in parse_crfs(crf):
        folder = out / "clips" / f"{name}_{crf_label(rate)}"
        missing = [s.name for s in find_sources(hr_root) if not (folder / s.name / "meta.json").is_file()]
        if missing:
            made = make_benchmark(hr_root, out / "clips", BenchmarkSettings(crfs=(rate,)), clips=missing)
            if made.failed:
                raise InputError(f"{hr_root}: {made.failed[0].clip} was not made: {made.failed[0].error}")
        folders.append(folder)
    return folders


def trained(
    experiment: str, hr_root: Path, folders: list[Path], out: Path, steps: int, sets: tuple[str, ...], device: str
) -> list[str]:
    """Train what is not there yet; the weights files of all variants, named after variant and steps."""
    files = []
    for variant, (recipe_name, *own) in TRAINED[experiment].items():
        weights = out / "weights" / f"{experiment}-{variant}_{steps}steps.safetensors"
        files.append(str(weights))
        if weights.is_file():
            continue
        benchmarks = ", ".join(json.dumps(str(folder)) for folder in folders)
        data = [f"data.hr_root={json.dumps(str(hr_root))}", f"data.benchmarks=[{benchmarks}]", "data.val_benchmarks=[]"]
        recipe = read_recipe(RECIPES / f"{recipe_name}.toml", [*own, f"optimisation.steps={steps}", *data, *sets])
        info(f"{experiment}, {variant}: {steps} steps")
        run = out / "runs" / weights.stem
        is_begun = run.is_dir() and bool(find_states(run))
        train(recipe, run, resume=run if is_begun else None, overwrite=True, device=device)
        weights.parent.mkdir(parents=True, exist_ok=True)
        (run / weights_name(recipe)).replace(weights)
    return files


def draw_maps(files: list[str], folder: Path, out: Path, frames: int) -> None:
    """Attention maps of the middle frame of the first clip."""
    clip = min(path for path in folder.iterdir() if (path / "lr").is_dir())
    for file in files:
        model = load_model(file)
        source = load_motion(clip, "codec", Ablations(), model=model)
        middle = min(frames or len(source.names), len(source.names)) // 2
        target = out / f"attention_{Path(file).stem}.png"
        write_png(target, draw_attention(model, source, middle))
        info(f"Written: {target}")


@click.command(cls=CodecVSRCommand, help=HELP)
@click.argument("experiment", type=click.Choice([*FREE, *TRAINED]))
@click.option("--model", default="basicvsr-reds4", show_default=True,
              help="A name, a weights file, or NETWORK:random; for experiments without training.")  # fmt: skip
@click.option("--hr-root", type=click.Path(path_type=Path), default=ROOT / "inputs", help="Originals.")
@click.option(
    "--train-root", type=click.Path(path_type=Path), help="Originals to train on; those of --hr-root by default."
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/experiments"), show_default=True)
@click.option("--crf", default="25", show_default=True, help="Rate factors, comma-separated.")
@click.option("--frames", type=click.IntRange(min=0), default=24, show_default=True, help="Of each clip; 0: all.")
@click.option("--steps", type=click.IntRange(min=1), default=300, show_default=True, help="Of every training.")
@click.option("--set", "sets", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of every recipe.")
@device_option
def main(
    experiment: str,
    model: str,
    hr_root: Path,
    train_root: Path | None,
    out: Path,
    crf: str,
    frames: int,
    steps: int,
    sets: tuple[str, ...],
    device: str,
) -> int:
    """Run one experiment."""
    folders = prepare(hr_root, out, crf)
    if experiment in FREE:
        rows = rows_of(experiment, model)
    else:
        if train_root is None:
            warn("trained and compared on the same clips; use --train-root for others.")
        train_folders = folders if train_root is None else prepare(train_root, out, crf)
        rows = trained(experiment, train_root or hr_root, train_folders, out, steps, sets, device)
        if experiment == "rates":
            draw_maps(rows, folders[0], out, frames)
    result = compare(folders, hr_root, rows, settings=Settings(frames=frames, device=device), out_dir=out / "measured")
    write(result, out, experiment)
    for label in result.labels:
        table = means_table(result, label)
        click.echo(f"\n{table.title}\n\n{markdown_table(table)}")
    for failure in result.failed:
        info(f"{failure.row}: {failure.error}")
    return 0 if not result.failed else 1 if result.all_failed() else 3


def write(result: Comparison, out: Path, name: str) -> None:
    """The reports and the figures themselves."""
    values = jsonable(result.to_json())
    for suffix in (".html", ".md"):
        write_report(out / f"{name}{suffix}", result, values)
    with atomic_file(out / f"{name}.json") as part:
        part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    info(f"Written: {out / name}.html, .md and .json")


if __name__ == "__main__":
    main.main(sys.argv[1:], prog_name="experiments.py")
