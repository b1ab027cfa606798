"""``codecvsr benchmark``: HR clips to compressed LR clips."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codecvsr.bitstream.encode import GOP_PARAMETERS, PRESETS
from codecvsr.cli.common import CodecVSRCommand, ExitCode
from codecvsr.cli.options import FrameRateType, InputPath, json_option, overwrite_option
from codecvsr.cli.output import print_json, stdout_console, track, warn
from codecvsr.errors import InputError

if TYPE_CHECKING:
    from codecvsr.datasets.benchmark import BenchmarkResult


def _crfs(ctx: click.Context, param: click.Parameter, value: str) -> tuple[float | None, ...]:
    from codecvsr.datasets.benchmark_settings import parse_crfs

    try:
        return parse_crfs(value)
    except InputError as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command("benchmark", cls=CodecVSRCommand)
@click.option(
    "--hr-root",
    required=True,
    type=InputPath(),
    help="Folder of HR clips: sub-folders of PNG or JPEG frames, or video files of any codec.",
)
@click.option(
    "--out-root",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder in which NAME_CRF25/CLIP/ and so on are written.",
)
@click.option(
    "--crf",
    "crfs",
    required=True,
    callback=_crfs,
    metavar="N[,N...]",
    help="CRF values, 0 to 51; 'none' writes uncompressed LR frames, with the motion of a proxy encode at CRF 12.",
)
@click.option("--clips", default="", metavar="A[,B...]", help="Names of the clips to make; all by default.")
@click.option(
    "--gop",
    type=click.Choice(list(GOP_PARAMETERS)),
    default="default",
    show_default=True,
    help="x264's default structure, or low-delay IPPP with one reference.",
)
@click.option(
    "--fps",
    default="24",
    show_default=True,
    type=FrameRateType(),
    help="Frame rate of the streams; a CRF's quality depends on it.",
)
@click.option("--preset", type=click.Choice(PRESETS), default="medium", show_default=True, help="x264's preset.")
@click.option(
    "--scale", type=click.IntRange(1), default=4, show_default=True, help="HR size / LR size; antialiased bicubic."
)
@click.option(
    "--mv-extractor",
    default="auto",
    show_default=True,
    metavar="auto|native|pyav|mvx|PATH",
    help="What reads the vectors; PATH is a program that prints extract_mvs CSV.",
)
@click.option(
    "--encoder",
    type=click.Choice(["pyav", "ffmpeg"]),
    default="pyav",
    show_default=True,
    help="The libx264 inside PyAV, or the system's ffmpeg.",
)
@click.option("--name", help="NAME of the output folders; by default that of --hr-root without a trailing _GT.")
@click.option("--allow-damaged", is_flag=True, help="Use the frames before the damage of a truncated video.")
@overwrite_option
@json_option
def command(
    hr_root: Path,
    out_root: Path,
    crfs: tuple[float | None, ...],
    clips: str,
    gop: str,
    fps: Fraction,
    preset: str,
    scale: int,
    mv_extractor: str,
    encoder: str,
    name: str | None,
    allow_damaged: bool,
    overwrite: bool,
    as_json: bool,
) -> ExitCode:
    """Compress HR clips into low-resolution test clips with their codec data.

    Writes OUT_ROOT/NAME_CRF25/CLIP/ with clip.mp4 (H.264), lr/%08d.png (its decoded frames), codec.npz (vectors, repaired
    motion, QP, types) and meta.json (encoder, versions, every parameter, bit rate, LR PSNR).
    """
    from codecvsr.datasets.benchmark import make_benchmark
    from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label

    settings = BenchmarkSettings(
        crfs=crfs,
        scale=scale,
        gop=gop,  # type: ignore[arg-type]
        preset=preset,
        fps=fps,
        extractor=mv_extractor,
        encoder=encoder,  # type: ignore[arg-type]
        allow_damaged=allow_damaged,
    )
    wanted = tuple(filter(None, (item.strip() for item in clips.split(","))))
    result = make_benchmark(hr_root, out_root, settings, name=name, clips=wanted, overwrite=overwrite, progress=track)
    for made in result.built:
        if made.source_damage:
            warn(f"{made.clip}: {made.frames} frames before the damage were used ({made.source_damage}).")
    for failure in result.failed:
        at = "" if failure.crf == "all" else f" at {crf_label(failure.crf)}"
        warn(f"clip {failure.clip}{at} was not made: {failure.error}")
    if as_json:
        print_json({"out_root": out_root, "clips": result.built, "failed": result.failed})
    elif result.built:
        _print_table(result, out_root)
    if not result.failed:
        return ExitCode.OK
    return ExitCode.PARTIAL if result.built else ExitCode.FAILURE


def _print_table(result: BenchmarkResult, out_root: Path) -> None:
    """Prints a table of the clips."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"Written to {out_root}"
    table = Table("folder", "frames", "kbit/s", "LR PSNR (dB)", title=title, title_justify="left", box=SIMPLE_HEAD)
    for made in result.built:
        psnr = "-" if made.lr_psnr is None else f"{made.lr_psnr:.2f}"
        folder = made.folder.relative_to(out_root)
        table.add_row(str(folder), str(made.frames), f"{made.bit_rate:.1f}", psnr)
    stdout_console().print(table)
