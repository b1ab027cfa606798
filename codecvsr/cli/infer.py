"""``codecvsr infer``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codecvsr.cli.common import CodecVSRCommand, ExitCode
from codecvsr.cli.options import (
    InputPath,
    compile_option,
    device_option,
    json_option,
    overwrite_option,
    precision_option,
    skip_static_option,
    strength_option,
    tile_option,
)
from codecvsr.cli.output import print_json, track, warn

if TYPE_CHECKING:
    from codecvsr.events import Progress
    from codecvsr.inference.infer import InferReport


@click.command(cls=CodecVSRCommand)
@click.option("--clip-root", type=InputPath(), multiple=True, required=True, metavar="CLIP...",
              help="A clip folder made by 'codecvsr benchmark', an H.264 or MPEG video, or a whole benchmark folder; several "
                   "may follow.")  # fmt: skip
@click.argument("more_clips", nargs=-1, type=InputPath(), metavar="")
@click.option("--out-dir", type=click.Path(path_type=Path), required=True,
              help="Folder for one PNG per frame; of a benchmark folder or several clips, OUT/CLIP/%08d.png.")  # fmt: skip
@click.option("-m", "--model", default="codecvsr", show_default=True,
              help="A name of 'codecvsr models list', a weights file, or NETWORK:random.")  # fmt: skip
@click.option("--motion", type=click.Choice(["codec", "spynet", "dis", "zero", "raw"]),
              help="Kind of motion that aligns the frames; by default what the model was trained with.")  # fmt: skip
@click.option("--ablate-mvs", is_flag=True, help="Without motion of any kind.")
@click.option("--ablate-second-order", is_flag=True, help="Without the features of the frame beyond the neighbour.")
@click.option("--ablate-p-inversion", is_flag=True, help="Leave a missing direction of motion empty.")
@click.option("--ablate-resolve", is_flag=True, help="Use raw vectors: reference distance ignored, nothing repaired.")
@click.option("--ablate-refine", is_flag=True, help="Without the sub-pixel step.")
@click.option("--ablate-priors", is_flag=True, help="Make QP, frame types and matching errors neutral.")
@click.option("--ablate-motion-jitter", is_flag=True,
              help="Leave codec motion as it is where published BasicVSR sees more than 15 frames at once.")  # fmt: skip
@click.option("--window", type=click.IntRange(min=0), default=0, show_default=True,
              help="Maximum frames in the network at once; 0: chosen by memory.")  # fmt: skip
@tile_option
@skip_static_option("off")
@strength_option
@click.option("--allow-damaged", is_flag=True, help="Use the frames before the damage of a damaged video.")
@device_option
@precision_option
@compile_option
@overwrite_option
@json_option
def command(
    clip_root: tuple[Path, ...], more_clips: tuple[Path, ...], out_dir: Path, as_json: bool, **options: Any
) -> ExitCode:
    """Upscale clips by 4 with any network, with ablations.

    Writes one PNG per input frame, named like the frames of lr/. Of several clips each has a folder of its own, named after it;
    where two have one name, OUT/BENCHMARK/CLIP. Outputs, model and clips are checked before the first frame; a clip that fails
    later is named, and the others are made.
    """
    from codecvsr.models.model_names import check_name

    check_name(options["model"])
    from codecvsr.inference.ablations import Ablations
    from codecvsr.inference.infer import infer
    from codecvsr.inference.infer_clips import infer_clips, is_one_clip

    ablations = {key.removeprefix("ablate_"): options.pop(key) for key in list(options) if key.startswith("ablate_")}
    options["ablations"] = Ablations(**ablations)
    roots = [*clip_root, *more_clips]
    if is_one_clip(roots):
        report = infer(roots[0], out_dir, **options)
        if report.training == "untrained":
            warn(_untrained(report))
        if as_json:
            print_json(report.to_json())
        else:
            click.echo(_line(report))
        return ExitCode.OK
    result = infer_clips(roots, out_dir, progress=_progress, **options)
    if result.done and result.done[0][1].training == "untrained":
        warn(_untrained(result.done[0][1]))
    for failure in result.failed:
        warn(f"{failure.clip} was not made: {failure.error}")
    if as_json:
        print_json(result.to_json())
    else:
        for _, made in result.done:
            click.echo(f"{made.out_dir}: {_line(made)}")
    if not result.failed:
        return ExitCode.OK
    return ExitCode.PARTIAL if result.done else ExitCode.FAILURE


def _progress(caption: str) -> Progress:
    return lambda items, _, total: track(items, caption, total)


def _untrained(report: InferReport) -> str:
    return f"{report.model}: random weights, the pictures mean nothing."


def _line(report: InferReport) -> str:
    skipped = "" if report.skipped_share is None else f", {report.skipped_share:.1%} of them shown again"
    if report.work_share is not None and report.work_share < 0.995:
        skipped += f", {report.work_share:.0%} of the network's work done"
    return (
        f"{report.frames} frames{skipped}, {report.frames_per_second:.2f} frames/s ({report.model}, motion {report.motion}, "
        f"{report.device} {report.precision}), peak memory {report.peak_memory_mb:.0f} MiB, {report.seconds:.1f} s in all"
    )
