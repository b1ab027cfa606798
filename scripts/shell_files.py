"""The man page and the shell completions of share/, made from the commands themselves; a wheel installs them.

``scripts/cli_reference.py`` writes and checks them with docs/cli.md.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

import cli_reference
import click
from click.shell_completion import get_completion_class

from codecvsr.cli import COMMANDS, cli
from codecvsr.files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
MAN = "share/man/man1/codecvsr.1"
#: Where a shell looks for completions, below the prefix of an installation.
COMPLETIONS = {
    "bash": "share/bash-completion/completions/codecvsr",
    "zsh": "share/zsh/site-functions/_codecvsr",
    "fish": "share/fish/vendor_completions.d/codecvsr.fish",
}
EXIT_STATUS = (
    ("0", "Success."),
    ("1", "Failure."),
    ("2", "Wrong use."),
    ("3", "A part of a batch failed."),
    ("4", "A quality gate was missed."),
    ("130", "Interrupted, with the state saved."),
)


def escaped(text: str) -> str:
    """Returns text for roff: backslashes and hyphens as they are, no line that begins like a request."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.MULTILINE)


def paragraphs(text: str) -> list[str]:
    """Returns the paragraphs of a help text as roff."""
    lines = []
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        lines += [".PP", escaped(" ".join(part.replace("\b", "").split()))]
    return lines


def entries(rows: list[tuple[str, str]]) -> list[str]:
    """Returns terms and their descriptions as roff."""
    return [line for term, text in rows for line in (".TP", f".B {escaped(term)}", escaped(text) or "\\&")]


def man_page() -> str:
    """Returns the man page."""
    lines = ['.TH CODECVSR 1 "" "codecvsr" "User Commands"', ".SH NAME"]
    lines += ["codecvsr \\- super\\-resolution of compressed video, guided by the codec\\(aqs own motion vectors"]
    lines += [".SH SYNOPSIS", ".B codecvsr", escaped("COMMAND [OPTIONS] [ARGUMENTS]"), ".SH DESCRIPTION"]
    lines += paragraphs(cli.help or "")[1:]
    lines += [".SH COMMANDS", *entries(list(COMMANDS.items()))]
    for name, command in cli_reference.commands():
        arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
        lines += [f".SH {escaped(f'codecvsr {name}'.upper())}"]
        lines += [f".B {escaped(f'codecvsr {name}')}", escaped(" ".join(["[OPTIONS]", *arguments]))]
        lines += paragraphs(command.help or "")
        rows = []
        for spelling, default, text in cli_reference.options(command):
            known = default.strip("`")
            rows.append(
                (spelling, f"{text} ({'required' if known == 'required' else f'default: {known}'})" if known else text)
            )
        lines += entries(rows)
    shared = [("-v, --verbose", "Print more on stderr."), ("-q, --quiet", "Print only warnings and errors on stderr."),
              ("--debug", "Show the traceback of an error."), ("-h, --help", "Show the options of a command.")]  # fmt: skip
    lines += [".SH OPTIONS OF EVERY COMMAND", *entries(shared), ".SH EXIT STATUS", *entries(list(EXIT_STATUS))]
    return "\n".join(lines) + "\n"


def completion(shell: str) -> str:
    """Returns click's completion script for a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(cli, {}, "codecvsr", "_CODECVSR_COMPLETE")
    return made.source_template % made.source_vars()


def files() -> dict[str, str]:
    """Returns the text of every file by its path in the repository."""
    return {MAN: man_page(), **{path: completion(shell).strip() + "\n" for shell, path in COMPLETIONS.items()}}


def write(*, check: bool) -> None:
    """Writes the files that are out of date; with ``check`` exits with a message instead."""
    for name, text in files().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            sys.exit(f"{name}: out of date with the commands; run python scripts/cli_reference.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(text, encoding="utf-8")
