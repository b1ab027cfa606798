"""``codecvsr train``."""

from __future__ import annotations

from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand, device_option, info, precision_option


@click.command(cls=CodecVSRCommand)
@click.option("--config", type=click.Path(path_type=Path), required=True, help="Recipe, a TOML file.")
@click.option("--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/codecvsr"), show_default=True,
              help="Folder for checkpoint, weights and log.")  # fmt: skip
@click.option("--resume", type=click.Path(path_type=Path), help="Go on from this checkpoint.pt.")
@click.option("--initial", type=click.Path(path_type=Path), help="Begin with these weights, a .safetensors file.")
@click.option("--minutes", type=click.FloatRange(min=0), help="Stop after so long; --resume goes on from there.")
@device_option
@precision_option
def command(
    config: Path,
    overrides: tuple[str, ...],
    out: Path,
    resume: Path | None,
    initial: Path | None,
    minutes: float | None,
    device: str,
    precision: str,
) -> None:
    """Train a network of the zoo on benchmark clips; by default codecvsr.

    The recipe's model.network names it, model.channels and model.blocks give its size, model.motion what aligns its frames.
    """
    from codecvsr.train.loop import CHECKPOINT, train, weights_name
    from codecvsr.train.recipe import read_recipe

    recipe = read_recipe(config, overrides)
    steps = train(recipe, out, resume=resume, initial=initial, minutes=minutes, device=device, precision=precision)
    if steps < recipe.optimisation.steps:
        info(f"Stopped at step {steps} of {recipe.optimisation.steps}; go on with --resume {out / CHECKPOINT}")
    info(f"Weights: {out / weights_name(recipe.model)}")
