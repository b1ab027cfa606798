"""Types of parameters and options that several commands have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import click

from codecvsr.errors import InputError
from codecvsr.inference.skip_choice import CHOICES

F = TypeVar("F", bound=Callable[..., Any])


class InputPath(click.Path):
    """A file or folder that must exist; the command checks it before it imports large libraries."""

    def __init__(self) -> None:
        """As ``click.Path`` for ``Path`` objects."""
        super().__init__(path_type=Path)


def check_inputs(command: click.Command, values: Mapping[str, Any]) -> None:
    """Checks that the values of all :class:`InputPath` parameters exist.

    Raises:
        InputError: one does not.
    """
    for parameter in command.params:
        if isinstance(parameter.type, InputPath):
            value = values.get(parameter.name or "")
            for path in value if isinstance(value, tuple) else (value,):
                if path is not None:
                    check_exists(path)


def check_exists(path: Path) -> None:
    """Checks that an input exists.

    Raises:
        InputError: it does not.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file or folder.")


class DeviceType(click.ParamType):
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

    name = "auto|cpu|cuda|cuda:N"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the name; any other is a usage error."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            self.fail(f"{value!r} is not one of auto, cpu, cuda, cuda:N.", param, ctx)
        return value


class FrameRateType(click.ParamType):
    """Frames per second as a ``Fraction``: ``24``, ``23.976`` or ``24000/1001``."""

    name = "fps"

    def convert(self, value: str | Fraction, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Returns the rate; anything else is a usage error."""
        try:
            return Fraction(value)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r} is not a frame rate such as 24, 23.976 or 24000/1001.", param, ctx)


def json_option(function: F) -> F:
    """Add ``--json`` (parameter ``as_json``)."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout and nothing else.")(
        function
    )


def overwrite_option(function: F) -> F:
    """Add ``-y/--overwrite`` (parameter ``overwrite``)."""
    return click.option("-y", "--overwrite", is_flag=True, help="Replace outputs that exist already.")(function)


def device_option(function: F) -> F:
    """Add ``-d/--device`` (parameter ``device``)."""
    text = "Where to compute; auto: on a GPU if there is one."
    return click.option("-d", "--device", type=DeviceType(), default="auto", show_default=True, help=text)(function)


def tile_option(function: F) -> F:
    """Add ``--tile`` (parameter ``tile``)."""
    text = "Side of the tiles that frames are cut into, in pixels; 0: whole frames, if memory allows."
    return click.option("--tile", type=click.IntRange(min=0), default=0, show_default=True, help=text)(function)


class SkipStaticType(click.Choice[str]):
    """A choice, or, as before there was one, a value of a flag: yes for ``frames``, no for ``off``."""

    def __init__(self) -> None:
        """Takes no choices."""
        super().__init__(CHOICES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Returns the choice."""
        flag = {"1": "frames", "true": "frames", "yes": "frames", "0": "off", "false": "off", "no": "off"}
        return super().convert(flag.get(str(value).lower(), value), param, ctx)


def skip_static_option(default: str) -> Callable[[F], F]:
    """Return a decorator that adds ``--skip-static`` (parameter ``skip_static``); see :func:`with_values`."""
    text = (
        "What is copied instead of upscaled: duplicate frames, or blocks in which no pixel changes (codecvsr's networks on a CPU); "
        "auto: those blocks with codecvsr-fast, which loses at most 0.05 dB by it on measured clips, and nothing with others. "
        "Without a value: frames. The report has the share of the work done."
    )
    return click.option("--skip-static", type=SkipStaticType(), default=default, show_default=True, help=text)


def with_values(arguments: Sequence[str], normalise: Callable[[str], str]) -> list[str]:
    """Return a command line in which ``--skip-static`` has its value where there is none, as it had none once."""
    result = list(arguments)
    end = result.index("--") if "--" in result else len(result)
    for i, word in enumerate(result[:end]):
        if normalise(word) == "--skip-static" and (i + 1 >= end or result[i + 1] not in CHOICES):
            result[i] = "--skip-static=frames"
    return result


def strength_option(function: F) -> F:
    """Add ``--strength`` (parameter ``strength``)."""
    text = "Share of the network's pictures, 0 to 1; the rest is bicubic, for those who find the pictures too crisp."
    return click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True, help=text)(function)


def precision_option(function: F) -> F:
    """Add ``--precision`` (parameter ``precision``)."""
    choice = click.Choice(["auto", "fp32", "fp16", "bf16"])
    text = "Number format to compute in; auto: the fastest of the device."
    return click.option("--precision", type=choice, default="auto", show_default=True, help=text)(function)


def compile_option(function: F) -> F:
    """Add ``--compile/--no-compile`` (parameter ``compile``)."""
    text = "Use torch.compile, or not; by default only for jobs so long that its minute pays."
    return click.option("--compile/--no-compile", default=None, help=text)(function)
