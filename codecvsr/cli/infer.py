"""``codecvsr infer``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.options import (
    InputPath,
    compile_option,
    device_option,
    json_option,
    overwrite_option,
    precision_option,
    skip_static_option,
    tile_option,
)
from codecvsr.cli.output import print_json, warn


@click.command(cls=CodecVSRCommand)
@click.option("--clip-root", type=InputPath(), required=True,
              help="A clip folder made by 'codecvsr benchmark', or an H.264 or MPEG video.")  # fmt: skip
@click.option("--out-dir", type=click.Path(path_type=Path), required=True, help="Folder for one PNG per frame.")
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
@skip_static_option
@click.option("--allow-damaged", is_flag=True, help="Use the frames before the damage of a damaged video.")
@device_option
@precision_option
@compile_option
@overwrite_option
@json_option
def command(clip_root: Path, out_dir: Path, as_json: bool, **options: Any) -> None:
    """Upscale a clip by 4 with any network, with ablations.

    Writes one PNG per input frame, named like the frames of lr/.
    """
    from codecvsr.inference.ablations import Ablations
    from codecvsr.inference.infer import infer

    ablations = {key.removeprefix("ablate_"): options.pop(key) for key in list(options) if key.startswith("ablate_")}
    report = infer(clip_root, out_dir, ablations=Ablations(**ablations), **options)
    if report.training == "untrained":
        warn(f"{report.model}: random weights, the pictures mean nothing.")
    if as_json:
        print_json(report.to_json())
        return
    skipped = "" if report.skipped_share is None else f", {report.skipped_share:.1%} of them shown again"
    click.echo(
        f"{report.frames} frames{skipped}, {report.frames_per_second:.2f} frames/s ({report.model}, motion {report.motion}, "
        f"{report.device} {report.precision}), peak memory {report.peak_memory_mb:.0f} MiB, {report.seconds:.1f} s in all"
    )
