"""Usage errors in plain words: misspelt commands, and numbers that are out of range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from pathlib import Path

import click

_NO_NUMBER = (
    "is not a valid integer range.",
    "is not a valid float range.",
    "is not a valid integer.",
    "is not a valid float.",
)


def unknown_command(ctx: click.Context, name: str, commands: Iterable[str]) -> click.UsageError:
    """Returns the error for a command that does not exist, with the nearest ones that do."""
    nearest = difflib.get_close_matches(name, list(commands))
    if nearest:
        return click.UsageError(f"no such command: {name}; did you mean {' or '.join(nearest)}?", ctx)
    if "upscale" in commands and Path(name).exists():
        return click.UsageError(
            f"{name}: is a file, not a command; did you mean '{ctx.command_path} upscale {name}'?", ctx
        )
    return click.UsageError(f"no such command: {name}.", ctx)


def describe(error: click.ClickException) -> str:
    """Returns the message of a usage error, without symbols such as "1<=x<=4"."""
    if isinstance(error, click.BadParameter) and error.param is not None:
        kind = error.param.type
        value, is_range, _ = error.message.partition(" is not in the range ")
        if is_range and isinstance(kind, click.IntRange | click.FloatRange):
            name = max(error.param.opts, key=len)
            return f"{name}: {value} is out of range; {_expected(kind)} was expected."
    if isinstance(error, click.BadParameter) and error.param is not None and error.message.endswith(_NO_NUMBER):
        name, value = max(error.param.opts, key=len), error.message.split(" is not a valid ")[0]
        kind = error.param.type
        if isinstance(kind, click.IntRange | click.FloatRange):
            return f"{name}: {value} is no number; {_expected(kind)} was expected."
        whole = isinstance(kind, click.types.IntParamType)
        return f"{name}: {value} is no number; {'a whole number' if whole else 'a number'} was expected."
    return error.format_message()


def check_numbers(command: click.Command, ctx: click.Context) -> None:
    """Checks that no option is "nan", and none with a range is infinite: click lets both pass.

    Raises:
        click.UsageError: one is.
    """
    for parameter in command.params:
        value = ctx.params.get(parameter.name or "")
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and (
                math.isnan(number) or (math.isinf(number) and isinstance(parameter.type, click.FloatRange))
            ):
                kind = parameter.type
                wanted = _expected(kind) if isinstance(kind, click.FloatRange) else "a number"
                name = max(parameter.opts, key=len)
                raise click.UsageError(f"{name}: {number} is no such number; {wanted} was expected.", ctx)


def _expected(kind: click.IntRange | click.FloatRange) -> str:
    number = "a whole number" if isinstance(kind, click.IntRange) else "a number"
    if kind.max is None:
        return f"{number} {'above' if kind.min_open else 'of at least'} {kind.min:g}"
    if kind.min is None:
        return f"{number} {'below' if kind.max_open else 'of at most'} {kind.max:g}"
    if kind.min_open or kind.max_open:
        low, high = "above" if kind.min_open else "of at least", "below" if kind.max_open else "at most"
        return f"{number} {low} {kind.min:g} and {high} {kind.max:g}"
    return f"{number} from {kind.min:g} to {kind.max:g}"
