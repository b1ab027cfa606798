"""``codecvsr inspect``: what a stream is made of."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.options import InputPath, json_option, overwrite_option
from codecvsr.cli.output import info, print_json, stdout_console, track
from codecvsr.files import refuse_existing

if TYPE_CHECKING:
    from rich.table import Table

    from codecvsr.analysis.inspect import Inspection

_STRUCTURE_SHOWN = 100  # frame types that the table has room for; --json has them all


def _overlay(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and value.suffix.lower() not in (".png", ".mp4"):
        raise click.BadParameter(f"{str(value)!r} ends neither in .png (one frame) nor in .mp4 (all).", ctx, param)
    return value


@click.command("inspect", cls=CodecVSRCommand)
@click.argument("video", type=InputPath())
@click.option(
    "--overlay",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=_overlay,
    help="Draw vectors, partitions, QP and the GOP over one frame (.png) or all (.mp4).",
)
@click.option(
    "--frame",
    type=click.IntRange(min=0),
    metavar="N",
    help="Frame to draw as PNG, from 0; by default a P- or B-frame in the middle.",
)
@click.option(
    "--alignment",
    is_flag=True,
    help="Measure how well zero, raw, scaled, repaired, refined and DIS motion follow the decoded frames (slow).",
)
@click.option("--allow-damaged", is_flag=True, help="Use the frames before the damage of a damaged video.")
@overwrite_option
@json_option
def command(
    video: Path,
    overlay: Path | None,
    frame: int | None,
    alignment: bool,
    allow_damaged: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show the structure of an H.264 or MPEG video and the quality of its vectors.

    Of H.264, MPEG-1, MPEG-2 and MPEG-4 Part 2 (DivX, Xvid): GOP structure, frame types, partitions, vectors, the distance of their references, QP, scene cuts; on
    request PSNR tables of motion and an annotated picture or video.
    """
    from codecvsr.analysis.inspect import inspect_video
    from codecvsr.analysis.overlay import write_overlay

    if frame is not None and (overlay is None or overlay.suffix.lower() != ".png"):
        raise click.UsageError("--frame N chooses the frame of --overlay PNG, which is missing.")
    refuse_existing(overlay, overwrite=overwrite)
    inspection = inspect_video(video, alignment=alignment, allow_damaged=allow_damaged, progress=track)
    report = inspection.to_json()
    if overlay is not None:
        drawn = write_overlay(inspection, overlay, frame=frame, allow_damaged=allow_damaged, progress=track)
        report["overlay"] = {"path": overlay, **drawn}
        info(f"{overlay}: {drawn['frames']} of {inspection.frames} frames drawn, {drawn['width']}x{drawn['height']}.")
    if as_json:
        print_json(report)
        return
    _print_summary(inspection)
    if inspection.alignment is not None:
        _print_alignment(inspection.alignment)


def _number(value: float | None, digits: int = 2, unit: str = "") -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}{unit}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _table(title: str, *columns: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", overflow="fold")
    return table


def _field_rows(found: Inspection) -> dict[str, str]:
    """Rows about interlaced video; none for progressive video."""
    if not found.field_coded:
        return {}
    flagged = f"{found.interlaced} of {found.frames} frames" if found.interlaced else "no frame"
    return {
        "interlaced": f"{flagged}; 'codecvsr upscale' and 'codecvsr infer' de-interlace such frames with bwdif",
        "vectors": f"those of {found.field_coded} frames are or may be of fields: they are not read, and motion comes from an x264 encode",
    }


def _print_summary(found: Inspection) -> None:
    """The stream in a few lines, then by frame type, then by list."""
    from rich.table import Table

    console = stdout_console()
    head = Table(box=None, show_header=False)
    head.add_column(style="bold", no_wrap=True)
    head.add_column(overflow="fold")
    structure = found.gop["structure"]
    more = f"... ({len(structure)} in all)" if len(structure) > _STRUCTURE_SHOWN else ""
    cuts = ", ".join(map(str, found.scene_cuts)) or "none"
    confidence = ", ".join(f"{name} {_number(value)}" for name, value in found.confidence.items())
    residual = ", ".join(f"{name} {_number(value)}" for name, value in found.residual.items())
    rows = {
        "video": str(found.video),
        "picture": f"{found.width}x{found.height}",
        "frames": f"{found.frames}, {_number(found.fps, 3)} per second, {_number(found.duration_seconds, 3)} seconds",
        "encoder": found.encoder or "unknown",
        **_field_rows(found),
        "structure": structure[:_STRUCTURE_SHOWN] + more,
        "IDR frames": f"{len(found.gop['idr'])}, one in {found.gop['mean_length']:.1f} frames",
        "scene cuts": cuts,
        "confidence": confidence,
        "residual (luma steps)": residual,
    }
    for name, value in rows.items():
        head.add_row(name, value)
    console.print(head)
    partitions = list(next(iter(found.partitions.values())))
    table = _table("Frame types", "", "frames", "references", "QP mean", "QP range", *partitions)
    for kind, shares in found.partitions.items():
        qp = found.qp[kind]
        limits = f"{_number(qp['min'], 0)}-{_number(qp['max'], 0)}"
        counted = str(found.types[kind]), _percent(found.reference_share[kind])
        table.add_row(kind, *counted, _number(qp["mean"], 1), limits, *(_percent(shares[p]) for p in partitions))
    console.print(table)
    lengths = list(next(iter(found.vector_pixels.values())))
    distances = list(next(iter(found.reference_distance.values())))
    columns = [f"{name} (px)" for name in lengths] + [f"{d} away" if d.isdigit() else d for d in distances]
    table = _table("Vectors: length, and distance of their reference in frames", "to the", *columns)
    for name, pixels in found.vector_pixels.items():
        away = found.reference_distance[name]
        table.add_row(name, *(_number(pixels[p]) for p in lengths), *(_percent(away[d]) for d in distances))
    console.print(table)


def _print_alignment(measured: dict[str, Any]) -> None:
    """PSNR of the neighbour pulled onto the frame, and of frames pulled over many."""
    frames = measured["track_frames"]
    directions = ("to_prev", "to_next")
    kinds = ("P", "B", "all", "worst")
    columns = [f"{direction} {kind}" for direction in directions for kind in kinds]
    title = f"Alignment: luma PSNR (dB) on the {measured['judged_on']}, one frame and {frames} frames composed"
    table = _table(title, "motion", *columns, f"{frames} to_prev", f"{frames} to_next")
    for method, one in measured["one_frame"].items():
        cells = [one[direction][kind] for direction in directions for kind in kinds]
        cells += [measured["track"][method][direction] for direction in directions]
        table.add_row(method, *(_number(value) for value in cells))
    stdout_console().print(table)
