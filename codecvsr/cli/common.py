"""Base classes of commands: spelling of options, environment variables, errors as sentences, exit codes."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NoReturn

import click

from codecvsr.cli import output, usage_errors
from codecvsr.cli.options import check_inputs, with_values
from codecvsr.errors import CodecVSRError

#: Options whose environment variable also exists without the command's name, for all commands at once.
SHARED_VARIABLES = ("device", "precision", "verbose", "quiet", "debug")


class ExitCode(IntEnum):
    """Exit status of the process."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    PARTIAL = 3  #: part of a batch failed
    QUALITY_GATE = 4
    INTERRUPTED = 130


def _set(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and param.name is not None:
        setattr(output.settings, param.name, True)


def _message_options() -> list[click.Option]:
    flags = (
        (["-v", "--verbose"], "Print more on stderr."),
        (["-q", "--quiet"], "Print only warnings and errors on stderr."),
        (["--debug"], "Show the traceback of an error."),
    )
    return [
        click.Option(names, is_flag=True, expose_value=False, is_eager=True, callback=_set, help=text)
        for names, text in flags
    ]


# --- commands ---------------------------------------------------------------------------------------------------------


_COMMAND_LINE = "codecvsr.command_line"


def command_line() -> str:
    """Returns the running command line, which results files name."""
    return str(click.get_current_context().meta[_COMMAND_LINE])


#: Hidden aliases of renamed options: old name -> new name.
_RENAMED_OPTIONS = {"ablate-shake": "ablate-motion-jitter"}


def _dashes(token: str) -> str:
    """Returns the current spelling of an option: ``--hr-root`` for the seed project's ``--hr_root``."""
    name = token.replace("_", "-")
    stem = name.lstrip("-")
    return name.replace(stem, _RENAMED_OPTIONS.get(stem, stem)) if stem else name


def _with_context_settings(keywords: dict[str, Any]) -> dict[str, Any]:
    shared = {"token_normalize_func": _dashes, "help_option_names": ["-h", "--help"]}
    return {**keywords, "context_settings": {**shared, **(keywords.get("context_settings") or {})}}


def environment_names(prefix: str, option: click.Option) -> list[str]:
    """Returns the environment variables of an option: ``CODECVSR_EVAL_CROP_BORDER`` and, where shared, ``CODECVSR_DEVICE``."""
    spelling = max(option.opts, key=len).lstrip("-").replace("-", "_").upper()
    shared = [f"CODECVSR_{spelling}"] if option.name in SHARED_VARIABLES else []
    return [f"{prefix}_{spelling}", *shared]


class _BaseCommand(click.Command):
    """Runs a command and reports every error as a sentence on stderr and an exit code."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Returns ``--help`` without an environment variable."""
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
        """Runs, then exits with an :class:`ExitCode` (``standalone_mode``) or returns click's result."""
        output.begin()
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, **extra)
        _exit_after(lambda: super(_BaseCommand, self).main(args, prog_name, complete_var, False, **extra))


class CodecVSRCommand(_BaseCommand):
    """A command with ``-v``, ``-q``, ``--debug``, ``--under_scores`` for ``--under-scores``, and environment variables.

    Its function may return an :class:`ExitCode`; None is success.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As ``click.Command``."""
        super().__init__(*args, **_with_context_settings(kwargs))
        self.params.extend(_message_options())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Names the environment variables after the options, then parses; stores the command line."""
        ctx.meta[_COMMAND_LINE] = shlex.join([*ctx.command_path.split(), *args])
        if ctx.auto_envvar_prefix is not None:
            for option in self.params:
                if isinstance(option, click.Option):
                    option.envvar = environment_names(ctx.auto_envvar_prefix, option)
        rest = super().parse_args(ctx, with_values(args, _dashes))
        usage_errors.check_numbers(self, ctx)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Checks that the inputs exist, then runs the command's function."""
        check_inputs(self, ctx.params)
        return super().invoke(ctx)


class CodecVSRGroup(_BaseCommand, click.Group):
    """A group whose commands are :class:`CodecVSRCommand`, for a command that has commands (``models list``)."""

    command_class = CodecVSRCommand

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As ``click.Group``."""
        super().__init__(*args, **_with_context_settings(kwargs))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Shows the commands where none is named."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds a command; the error for a misspelt one has a suggestion."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise usage_errors.unknown_command(ctx, name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


def _exit_after(run: Callable[[], object]) -> NoReturn:
    try:
        result = run()
        sys.stdout.flush()
        code = result if isinstance(result, int) and not isinstance(result, bool) else ExitCode.OK
    except BrokenPipeError:
        code = _ignore_closed_pipe()
    except BaseException as error:  # the only place that reports errors
        if isinstance(error, SystemExit):
            raise
        code = _explain(error)
    sys.exit(int(code))


def _ignore_closed_pipe() -> ExitCode:
    """The reader of stdout has ended (``| head``): no message, and no second error when Python flushes at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return ExitCode.FAILURE  # stdout is no file of the system
    return ExitCode.FAILURE


def _explain(error: BaseException) -> int:
    """Prints a sentence for ``error`` and returns the exit code."""
    interrupted = isinstance(error, KeyboardInterrupt) or (
        isinstance(error, click.Abort) and not isinstance(error.__cause__, EOFError)
    )
    if output.settings.debug and not isinstance(error, click.ClickException):
        traceback.print_exception(error, file=sys.stderr)
    if interrupted:
        how = error.__cause__ if isinstance(error, click.Abort) else error
        output.print_error(" ".join(["interrupted.", *map(str, how.args if how is not None else ())]))
        return ExitCode.INTERRUPTED
    if isinstance(error, CodecVSRError):
        output.print_error(str(error))
        return error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" Try '{context.command_path} --help'." if context is not None else ""
        output.print_error(usage_errors.describe(error) + hint)
        return error.exit_code
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("codecvsr"):
        output.print_error(f"the Python package '{error.name}' is not installed; install it with pip and run again.")
    elif isinstance(error, OSError) and error.errno is not None:
        name = f"{error.filename}: " if error.filename is not None else ""
        text = "no space left on the disk" if error.errno == errno.ENOSPC else error.strerror
        output.print_error(f"{name}{text}.")
    elif isinstance(error, MemoryError):
        output.print_error("out of memory; try smaller pictures, shorter clips or fewer at once.")
    else:
        output.print_error(
            f"internal error ({type(error).__name__}: {error}); run again with --debug and report what it prints."
        )
    return ExitCode.FAILURE
