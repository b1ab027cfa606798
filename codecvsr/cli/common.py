"""What every command shares: the spelling of options, errors as sentences, exit codes (and, from output, messages)."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from enum import IntEnum
from fractions import Fraction
from typing import Any, NoReturn, TypeVar

import click

from codecvsr.cli import output
from codecvsr.cli.output import detail, info, print_json, stderr_console, stdout_console, track, warn
from codecvsr.errors import CodecVSRError

__all__ = [
    "CodecVSRCommand",
    "CodecVSRGroup",
    "ExitCode",
    "compile_option",
    "detail",
    "device_option",
    "info",
    "json_option",
    "overwrite_option",
    "precision_option",
    "print_json",
    "stderr_console",
    "stdout_console",
    "track",
    "warn",
]

F = TypeVar("F", bound=Callable[..., Any])

#: Options whose environment variable also exists without the command's name, for all commands at once.
SHARED_VARIABLES = ("device", "precision", "verbose", "quiet", "debug")


class ExitCode(IntEnum):
    """What the process's exit status says."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    PARTIAL = 3  #: part of a batch failed
    QUALITY_GATE = 4
    INTERRUPTED = 130


# --- options ----------------------------------------------------------------------------------------------------------


class DeviceType(click.ParamType):
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``."""

    name = "auto|cpu|cuda|cuda:N"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse anything else as a wrong use."""
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            self.fail(f"{value!r} is not one of auto, cpu, cuda, cuda:N.", param, ctx)
        return value


class FrameRateType(click.ParamType):
    """Frames per second as a ``Fraction``: ``24``, ``23.976`` or ``24000/1001``."""

    name = "fps"

    def convert(self, value: str | Fraction, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Refuse what is no number as a wrong use."""
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
    text = "Where to compute; auto takes a GPU where there is one."
    return click.option("-d", "--device", type=DeviceType(), default="auto", show_default=True, help=text)(function)


def tile_option(function: F) -> F:
    """Add ``--tile`` (parameter ``tile``)."""
    text = "Work on frames in parts of so many pixels each way; 0: on whole frames, while memory lasts."
    return click.option("--tile", type=click.IntRange(min=0), default=0, show_default=True, help=text)(function)


def skip_static_option(function: F) -> F:
    """Add ``--skip-static`` (parameter ``skip_static``)."""
    text = "Do not make frames again that show nothing new; how many these were is reported."
    return click.option("--skip-static", is_flag=True, help=text)(function)


def precision_option(function: F) -> F:
    """Add ``--precision`` (parameter ``precision``)."""
    choice = click.Choice(["auto", "fp32", "fp16", "bf16"])
    text = "Numbers to compute with; auto takes what is fast on the device."
    return click.option("--precision", type=choice, default="auto", show_default=True, help=text)(function)


def compile_option(function: F) -> F:
    """Add ``--compile/--no-compile`` (parameter ``compile``)."""
    text = "Put the network through torch.compile, or not; by default only for jobs that pay for the minute it takes."
    return click.option("--compile/--no-compile", default=None, help=text)(function)


def _set(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and param.name is not None:
        setattr(output.settings, param.name, True)


def _message_options() -> list[click.Option]:
    flags = (
        (["-v", "--verbose"], "Say more on stderr."),
        (["-q", "--quiet"], "Say only warnings and errors on stderr."),
        (["--debug"], "Show the traceback of an error."),
    )
    return [
        click.Option(names, is_flag=True, expose_value=False, is_eager=True, callback=_set, help=text)
        for names, text in flags
    ]


# --- commands ---------------------------------------------------------------------------------------------------------


_GIVEN = "codecvsr.command_line"


def command_line() -> str:
    """The command that runs, as it was given: results say how they were made."""
    return str(click.get_current_context().meta[_GIVEN])


#: Options that were renamed: their first names keep working.
_RENAMED_OPTIONS = {"ablate-shake": "ablate-motion-jitter"}


def _dashes(token: str) -> str:
    """The seed project's ``--hr_root`` is our ``--hr-root``."""
    name = token.replace("_", "-")
    stem = name.lstrip("-")
    return name.replace(stem, _RENAMED_OPTIONS.get(stem, stem)) if stem else name


def _with_context_settings(keywords: dict[str, Any]) -> dict[str, Any]:
    shared = {"token_normalize_func": _dashes, "help_option_names": ["-h", "--help"]}
    return {**keywords, "context_settings": {**shared, **(keywords.get("context_settings") or {})}}


def environment_names(prefix: str, option: click.Option) -> list[str]:
    """The environment variables of an option: ``CODECVSR_EVAL_CROP_BORDER`` and, where shared, ``CODECVSR_DEVICE``."""
    spelling = max(option.opts, key=len).lstrip("-").replace("-", "_").upper()
    shared = [f"CODECVSR_{spelling}"] if option.name in SHARED_VARIABLES else []
    return [f"{prefix}_{spelling}", *shared]


class _Door(click.Command):
    """Runs a command and turns whatever happens into a sentence on stderr and an exit code."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """``--help``, which no environment variable can ask for."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.allow_from_autoenv = False
        return option

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run, then leave the process with an :class:`ExitCode` (``standalone_mode``) or return what click does."""
        output.begin()
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        _leave(lambda: super(_Door, self).main(args, prog_name, complete_var, False, **extra))


class CodecVSRCommand(_Door):
    """A command that takes ``--under_scores`` for ``--under-scores``, ``-v``, ``-q``, ``--debug`` and the environment.

    Its function may return an :class:`ExitCode`; None is success.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As ``click.Command``."""
        super().__init__(*args, **_with_context_settings(kwargs))
        self.params.extend(_message_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Name the environment variables after the options' spellings, then parse; what was given is remembered."""
        ctx.meta[_GIVEN] = shlex.join([*ctx.command_path.split(), *args])
        if ctx.auto_envvar_prefix is not None:
            for option in self.params:
                if isinstance(option, click.Option):
                    option.envvar = environment_names(ctx.auto_envvar_prefix, option)
        return super().parse_args(ctx, args)


class CodecVSRGroup(_Door, click.Group):
    """A group whose commands are :class:`CodecVSRCommand`, for a command that has commands (``models list``)."""

    command_class = CodecVSRCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As ``click.Group``."""
        super().__init__(*args, **_with_context_settings(kwargs))


def _leave(run: Callable[[], object]) -> NoReturn:
    try:
        result = run()
        sys.stdout.flush()
        code = result if isinstance(result, int) and not isinstance(result, bool) else ExitCode.OK
    except BrokenPipeError:
        code = _reader_left()
    except BaseException as error:  # the one place where everything ends up
        if isinstance(error, SystemExit):
            raise
        code = _explain(error)
    sys.exit(int(code))


def _reader_left() -> ExitCode:
    """Whoever read our stdout has gone (``| head``): no message, and no second failure when Python flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return ExitCode.FAILURE  # stdout is no real file: nothing will be flushed into a pipe
    return ExitCode.FAILURE


def _explain(error: BaseException) -> int:
    """Print the sentence that belongs to ``error`` and return the exit code."""
    interrupted = isinstance(error, KeyboardInterrupt) or (
        isinstance(error, click.Abort) and not isinstance(error.__cause__, EOFError)
    )
    if output.settings.debug and not isinstance(error, click.ClickException):
        traceback.print_exception(error, file=sys.stderr)
    if interrupted:
        how = error.__cause__ if isinstance(error, click.Abort) else error
        output.say_error(" ".join(["interrupted.", *map(str, how.args if how is not None else ())]))
        return ExitCode.INTERRUPTED
    if isinstance(error, CodecVSRError):
        output.say_error(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context is not None else ""
        output.say_error(error.format_message() + hint)
        return error.exit_code
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("codecvsr"):
        output.say_error(f"the Python package '{error.name}' is not installed; install it with pip and run again.")
    elif isinstance(error, OSError) and error.errno is not None:
        name = f"{error.filename}: " if error.filename is not None else ""
        text = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
        output.say_error(f"{name}{text}.")
    elif isinstance(error, MemoryError):
        output.say_error("out of memory; try smaller pictures, shorter clips or fewer at once.")
    else:
        output.say_error(
            f"internal error ({type(error).__name__}: {error}); run again with --debug and report what it prints."
        )
    return ExitCode.FAILURE
