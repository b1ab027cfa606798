"""``codecvsr help``."""

from __future__ import annotations

import click

from codecvsr.cli.common import CodecVSRCommand


@click.command("help", cls=CodecVSRCommand)
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show all commands, or the options of one: codecvsr help upscale."""
    context = ctx.find_root()
    for name in names:
        if not isinstance(context.command, click.Group):
            raise click.UsageError(f"{context.command_path} has no commands of its own.", context)
        _, found, _ = context.command.resolve_command(context, [name])
        if found is not None:
            context = click.Context(found, context, info_name=name, **found.context_settings)
    click.echo(context.get_help())
