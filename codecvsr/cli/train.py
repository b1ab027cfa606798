"""``codecvsr train``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.options import InputPath, device_option, overwrite_option, precision_option
from codecvsr.cli.output import info


@click.command(cls=CodecVSRCommand)
@click.option("--config", type=InputPath(), help="Recipe, a TOML file.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/codecvsr"), show_default=True,
              help="Folder for state, weights and log.")  # fmt: skip
@click.option("--resume", type=InputPath(), help="Continue the run in this folder, or from this state-STEP folder.")
@click.option("--initial", metavar="NAME|PATH", help="Initial weights: a value of --model.")
@click.option("--adapter", is_flag=False, flag_value="", metavar="[NAME|PATH]",
              help="Train low-rank differences to these weights; without a value, to adapter.base of the recipe.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0), help="Stop after this time; --resume continues.")
@click.option("--budget", type=click.FloatRange(min=0), metavar="MINUTES",
              help="Minutes for all sessions of the run; the speed of the first steps decides how many steps fit.")  # fmt: skip
@click.option("--plot", type=click.Path(path_type=Path), metavar="PNG",
              help="Plot the log of --out; without --config, only plot.")  # fmt: skip
@device_option
@precision_option
@overwrite_option
def command(
    config: Path | None,
    overrides: tuple[str, ...],
    out: Path,
    resume: Path | None,
    initial: str | None,
    adapter: str | None,
    minutes: float | None,
    budget: float | None,
    plot: Path | None,
    device: str,
    precision: str,
    overwrite: bool,
) -> None:
    """Train a network of the zoo on prepared sets or benchmark clips; by default codecvsr.

    A folder --out that has a run is refused without --resume or -y. In the recipe, model.network names the network,
    model.channels and model.blocks set its size, model.motion chooses the motion. With --adapter the base has network and
    size; the run writes adapter.safetensors, a small file that is a value of --model. Several processes: torchrun --nproc-per-node N -m codecvsr train ...
    """
    from codecvsr.train.loop import train, weights_name
    from codecvsr.train.recipe import read_recipe
    from codecvsr.train.run_log import LOG, plot_log, read_log

    if config is None and plot is None:
        raise click.UsageError("use --config RECIPE.toml to train, or --plot PNG to plot the log of --out.")
    if config is not None:
        recipe = read_recipe(config, overrides)
        if adapter:
            recipe = replace(recipe, adapter=replace(recipe.adapter, base=adapter))
        if adapter is not None and not recipe.adapter.base:
            raise click.UsageError("name the weights to adapt: --adapter NAME, or base of the recipe's [adapter].")
        steps = train(
            recipe,
            out,
            resume=resume,
            initial=initial,
            minutes=minutes,
            budget=budget,
            device=device,
            precision=precision,
            overwrite=overwrite,
        )
        if os.environ.get("RANK", "0") == "0":  # one process reports for all
            wanted = read_log(out / LOG)[-1]["ended_of"]
            if steps < wanted:
                info(f"Stopped at step {steps} of {wanted}; continue with --resume {out}")
            info(f"Weights: {out / weights_name(recipe)}")
    if plot is not None:
        plot_log(out / LOG, plot)
        info(f"Written: {plot}")
