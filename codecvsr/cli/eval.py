"""``codecvsr eval``: PSNR and SSIM of super-resolved frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.options import InputPath, json_option, overwrite_option
from codecvsr.cli.output import info, print_json, stdout_console, track, warn
from codecvsr.files import refuse_existing

if TYPE_CHECKING:
    from codecvsr.metrics.report import EvalResult


@click.command("eval", cls=CodecVSRCommand)
@click.option(
    "--sr-dir",
    required=True,
    type=InputPath(),
    help="Folder of super-resolved frames (PNG or JPEG).",
)
@click.option(
    "--gt-dir",
    required=True,
    type=InputPath(),
    help="Folder of the original frames, or a video of them (any codec).",
)
@click.option(
    "--crop-border",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels to leave out on each side.",
)
@click.option("--min-psnr", type=float, help="Exit with code 4 when the RGB PSNR (dB) is lower than this.")
@click.option(
    "--per-frame", type=click.Path(path_type=Path, dir_okay=False), help="Write the scores of every frame as CSV."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw the scores over the frames as PNG (needs the extra 'plots').",
)
@click.option(
    "--lpips", is_flag=True, help="Measure LPIPS (AlexNet) too; its weights are fetched once, see docs/models.md."
)
@click.option(
    "--artifacts",
    is_flag=True,
    help="Measure faults that PSNR does not see too: invented detail, lines, lattice, specks and shift of colour.",
)
@overwrite_option
@json_option
def command(
    sr_dir: Path,
    gt_dir: Path,
    crop_border: int,
    min_psnr: float | None,
    per_frame: Path | None,
    plot: Path | None,
    lpips: bool,
    artifacts: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score super-resolved frames against the originals: PSNR and SSIM, in RGB and on luma.

    Frames are paired by name; where the two folders only count differently (from 0 and from 1), by order. PSNR is measured
    per frame on 8-bit pixels and then averaged; SSIM has a Gaussian 11x11 window of sigma 1.5; luma is BT.601, 16-235.
    """
    from codecvsr.errors import QualityGateError
    from codecvsr.metrics import plot as plots
    from codecvsr.metrics import report

    refuse_existing(per_frame, plot, overwrite=overwrite)
    if plot is not None:
        plots.require_plots()
    perceptual = None
    if lpips:
        from codecvsr.metrics.lpips import load_lpips

        perceptual = load_lpips()
    result = report.evaluate(
        sr_dir, gt_dir, crop_border=crop_border, lpips=perceptual, artifacts=artifacts, progress=track
    )
    if result.matched_by == "order":
        info(f"Frames were paired by their order: {sr_dir} with {gt_dir}.")
    if result.identical_frames:
        warn(
            f"{result.identical_frames} of {result.frames} frames equal their originals, so the mean PSNR is infinite."
        )
    if per_frame is not None:
        report.write_csv(per_frame, result)
    if plot is not None:
        plots.write_plot(plot, result)
    if as_json:
        print_json(result.summary())
    else:
        _print_table(result)
    if min_psnr is not None and not result.psnr_rgb >= min_psnr:
        raise QualityGateError(f"RGB PSNR is {result.psnr_rgb:.4f} dB; --min-psnr asks for {min_psnr:g} dB.")


def _print_table(result: EvalResult) -> None:
    """The means as a small table on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from codecvsr.metrics.artifacts import LABELS

    border = f", {result.crop_border} pixels left out on each side" if result.crop_border else ""
    table = Table(
        "", "PSNR (dB)", "SSIM", title=f"{result.frames} frames{border}", title_justify="left", box=SIMPLE_HEAD
    )
    table.add_row("RGB", f"{result.psnr_rgb:.4f}", f"{result.ssim_rgb:.6f}")
    table.add_row("Y", f"{result.psnr_y:.4f}", f"{result.ssim_y:.6f}")
    stdout_console().print(table)
    if result.lpips is not None:
        stdout_console().print(f"LPIPS {result.lpips:.4f} (lower is better)")
    if result.artifacts is not None:
        faults = Table("", "pictures", "originals", title="Artifacts", title_justify="left", box=SIMPLE_HEAD)
        for name, (label, unit) in LABELS.items():
            faults.add_row(f"{label} ({unit})", *(_value(side[name]) for side in result.artifacts.values()))
        stdout_console().print(faults)


def _value(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"
