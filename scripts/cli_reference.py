#!/usr/bin/env python3
"""Write the reference of every command and option into docs/cli.md, and the man page and completions, from the commands.

python scripts/cli_reference.py            # after a change of a command, an option or its help
python scripts/cli_reference.py --check    # exit with 1 if docs/cli.md is out of date
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from codecvsr.cli import COMMANDS, cli
from codecvsr.files import atomic_file

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "cli.md"
BEGIN, END = "<!-- reference:begin -->", "<!-- reference:end -->"
#: Options of every command: the page describes them once.
SHARED = ("--verbose", "--quiet", "--debug", "--help")


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yields every command with its full name, such as ``models list``, in the order of ``codecvsr --help``."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for child in command.commands.values():
                yield f"{name} {child.name}", child


def options(command: click.Command) -> Iterator[tuple[str, str, str]]:
    """Yields spelling, default and help of every visible option but the :data:`SHARED` ones."""
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.hidden or set(parameter.opts) & set(SHARED):
            continue
        spelling = ", ".join(parameter.opts)
        if parameter.secondary_opts:
            spelling += f"/{', '.join(parameter.secondary_opts)}"
        if not parameter.is_flag:
            spelling += f" {metavar(command, parameter)}"
        default = "required" if parameter.required else default_text(parameter)
        yield spelling, default, " ".join((parameter.help or "").split())


def metavar(command: click.Command, parameter: click.Option) -> str:
    """Returns the word for the option's value: its choices, or its type."""
    if isinstance(parameter.type, click.Choice) and not parameter.metavar:
        return "|".join(map(str, parameter.type.choices))
    text = parameter.make_metavar(click.Context(command))
    names = {"INTEGER": "N", "INTEGER RANGE": "N", "FLOAT": "X", "FLOAT RANGE": "X", "DIRECTORY": "DIR"}
    return names.get(text, "auto|cpu|cuda|cuda:N" if text.startswith("AUTO|CPU") else text)


def default_text(parameter: click.Option) -> str:
    """Returns the default as it would be typed; nothing for a flag or where there is none."""
    value = parameter.default
    if isinstance(value, tuple) and value:
        return f"`{' '.join(f'{each:g}' for each in value)}`"
    known = isinstance(value, str | int | float) and not isinstance(value, bool) and not parameter.is_flag
    return f"`{value}`" if known and value != "" else ""


def escaped(text: str) -> str:
    """Returns ``text`` for the cell of a Markdown table."""
    return text.replace("|", "\\|")


def reference() -> str:
    """Returns the page's generated part."""
    lines: list[str] = []
    for name, command in commands():
        arguments = " ".join(
            f"`{parameter.make_metavar(click.Context(command))}`"
            for parameter in command.params
            if isinstance(parameter, click.Argument)
        )
        lines += [f"{'#' * (2 + name.count(' '))} codecvsr {name}", ""]
        lines += [f"Arguments: {arguments}", ""] if arguments else []
        paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(command.help or ""))
        lines += [line for text in paragraphs for line in (" ".join(text.replace("\b", "").split()), "")]
        rows = list(options(command))
        if rows:
            lines += ["| option | default | |", "|---|---|---|"]
            lines += [f"| `{escaped(row[0])}` | {row[1]} | {escaped(row[2])} |" for row in rows]
            lines.append("")
    return "\n".join(lines).rstrip()


def page(text: str) -> str:
    """Returns ``text``, the page as it is, with the generated part renewed."""
    before, after = text.split(BEGIN)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after.split(END)[1]}"


@click.command(help=__doc__)
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is out of date.")
def main(check: bool) -> None:
    """Writes or checks the page."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if check and new != old:
        sys.exit("docs/cli.md: out of date with the commands; run python scripts/cli_reference.py")
    if not check and new != old:
        with atomic_file(PAGE) as part:
            part.write_text(new, encoding="utf-8")
    import shell_files  # which uses the functions above

    shell_files.write(check=check)


if __name__ == "__main__":
    main()
