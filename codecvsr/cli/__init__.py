"""The command line: ``codecvsr COMMAND``. A command's module is imported when the command runs."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Sequence
from typing import NoReturn, cast

import click

from codecvsr.cli.common import CodecVSRGroup

#: Every command in the order of ``codecvsr --help``: its module is ``codecvsr.cli.NAME``; the text is shown in that help.
COMMANDS: dict[str, str] = {
    "upscale": "Upscale whole videos of any length, with their sound and everything else they have.",
    "live": "Upscale a live stream as it comes: a camera or a stream in, an enlarged stream out.",
    "benchmark": "Compress HR clips into low-resolution test clips with their codec data.",
    "infer": "Super-resolve a clip or a video into PNG frames.",
    "eval": "Score super-resolved frames against the originals: PSNR and SSIM.",
    "compare": "Compare models on benchmark clips: quality, size, speed and memory in one table.",
    "inspect": "Show the structure of a video and the quality of its vectors, as tables or drawn over it.",
    "models": "List, inspect, fetch and convert networks and their weights.",
    "prepare": "Prepare training sets from clips, photographs or REDS.",
    "train": "Train a network, or continue a training run.",
    "serve": "Serve a page for the browser: upload, upscale, compare, show vectors.",
    "doctor": "Show versions, devices and which backends are active.",
    "help": "Show all commands, or the options of one.",
}


class _LazyGroup(CodecVSRGroup):
    """The top group; its help needs only :data:`COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, importlib.import_module(f"codecvsr.cli.{cmd_name}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def version() -> str:
    """Returns the installed version; "0+checkout" for a checkout that was never installed."""
    try:
        return importlib.metadata.version("codecvsr")
    except importlib.metadata.PackageNotFoundError:
        return "0+checkout"


@click.group(cls=_LazyGroup, context_settings={"auto_envvar_prefix": "CODECVSR"})
@click.version_option(version(), prog_name="codecvsr", message="%(prog)s %(version)s", allow_from_autoenv=False)
def cli() -> None:
    """x4 super-resolution of compressed video, guided by the codec's own motion vectors.

    Every option can be set in the environment: --crop-border of eval is CODECVSR_EVAL_CROP_BORDER; CODECVSR_DEVICE and
    CODECVSR_PRECISION apply to all commands.
    """


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs ``codecvsr`` with ``args`` (by default of the process) and exits."""
    cli.main(args, prog_name="codecvsr")
    raise SystemExit(0)
