"""The command that tests of analysis run."""

from __future__ import annotations

from click.testing import CliRunner

from codecvsr.cli import cli


def run(*arguments: object):
    return CliRunner().invoke(cli, ["inspect", *map(str, arguments)])
