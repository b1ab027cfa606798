"""``codecvsr upscale``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from codecvsr.cli.common import CodecVSRCommand, ExitCode, command_line
from codecvsr.cli.options import (
    FrameRateType,
    check_exists,
    compile_option,
    device_option,
    json_option,
    overwrite_option,
    precision_option,
    skip_static_option,
    strength_option,
    tile_option,
)
from codecvsr.cli.output import print_json, print_result, warn
from codecvsr.cli.output import settings as verbosity
from codecvsr.cli.progress import ProgressPrinter
from codecvsr.errors import HdrInputError
from codecvsr.models.model_names import QUALITIES, check_name

if TYPE_CHECKING:
    from codecvsr.upscaling.dry_run import UpscalePlan
    from codecvsr.upscaling.options import UpscaleReport

_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


def _time(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds of ``83.5``, ``1:23.5`` or ``0:01:23.5``."""
    if value is None:
        return None
    match = _CLOCK.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a time such as 83.5, 1:23.5 or 0:01:23.5.", ctx, param)
    hours, minutes, seconds = match.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(seconds)


def _summary(report: UpscaleReport) -> str:
    """Returns one line: the output, its size, what was done, how long it took and what was not carried."""
    again = f", {report.resumed_frames} of them by an earlier run" if report.resumed_frames else ""
    again += f", {report.concealed_frames} of them patched" if report.concealed_frames else ""
    again += f", {report.deinterlaced_frames} of them de-interlaced" if report.deinterlaced_frames else ""
    if report.skipped_share is not None:
        again += f", {report.skipped_share:.1%} of this run's shown again"
    if report.work_share is not None and report.work_share < 0.995:
        again += f", {report.work_share:.0%} of the network's work done"
    frames = "1 frame" if report.frames == 1 else f"{report.frames} frames"
    losses = f"; not carried: {'; '.join(report.losses)}" if report.losses else ""
    return (
        f"{report.output}: {_size(Path(report.output))}{frames}{again}, {report.width}x{report.height}, "
        f"{report.frames_per_second:.2f} frames/s ({report.model}, motion {report.motion}, {report.device} "
        f"{report.precision}), peak memory {report.peak_memory_mb:.0f} MiB, {report.seconds:.1f} s in all{losses}"
    )


def _size(output: Path) -> str:
    """Returns the size of a file, or of the files in a folder, in decimal units, and a comma; nothing for a pipe."""
    if not output.is_file() and not output.is_dir():
        return ""
    files = output.iterdir() if output.is_dir() else [output]
    size = sum(path.stat().st_size for path in files if path.is_file())
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}, "
    return f"{size / 1e3:.1f} kB, "


def _print_plans(plans: list[UpscalePlan], skipped: list[str], *, as_json: bool) -> None:
    """Prints the plan of every input."""
    if as_json:
        is_one = len(plans) == 1 and not skipped
        more = {"skipped": skipped} if skipped else {}
        print_json(plans[0].to_json() if is_one else {"plans": [plan.to_json() for plan in plans], **more})
    else:
        lines = [line for plan in plans for line in plan.lines()]
        print_result("\n".join([*lines, *(f"{path}: skipped, as its output exists" for path in skipped)]))


def _refuse_pair(ctx: click.Context, *names: str) -> None:
    """Raises a usage error if both options are on the command line."""
    if all(ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in names):
        raise click.UsageError(
            f"{' and '.join(f'--{name}' for name in names)} exclude each other; choose one of them.", ctx
        )


@click.command("upscale", cls=CodecVSRCommand)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT",
              help="A file that ends in .mp4, .mkv or .mov; for one picture .png, .jpg, .webp, .tiff or .bmp; a folder of PNG frames, or their pattern such as "
                   "frames/%08d.png; with several inputs, a folder for one output each; - for stdout, or a named pipe. By default NAME_4x beside the "
                   "input, in its container.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["auto", "mp4", "mkv", "mov", "png", "y4m"]), default="auto",
              show_default=True, help="Format of outputs that -o does not name one by one; auto: the input's container, else mkv. "
                                      "A pipe takes mkv or y4m.")  # fmt: skip
@click.option("-m", "--model", default="codecvsr", show_default=True,
              help="A name of 'codecvsr models list' or a weights file.")  # fmt: skip
@click.option("--quality", type=click.Choice(list(QUALITIES)),
              help=f"Chooses the model by name, in place of -m: {', '.join(QUALITIES.values())}.")  # fmt: skip
@click.option("--motion", type=click.Choice(["codec", "spynet", "dis", "zero", "raw"]),
              help="Kind of motion that aligns the frames; by default what the model was trained with.")  # fmt: skip
@click.option("--scale", type=click.IntRange(1, 4), default=4, show_default=True,
              help="Size of the output; less than 4 is resampled from 4, antialiased.")  # fmt: skip
@click.option("--width", type=click.IntRange(1), help="Width of the output in pixels, in place of --scale.")
@click.option("--height", type=click.IntRange(1), help="Height of the output; one of the two follows from the other.")
@click.option("--max-height", type=click.IntRange(1), metavar="N",
              help="A taller output is made this high, in its shape.")  # fmt: skip
@click.option("--codec", type=click.Choice(["h264", "hevc", "ffv1"]), default="h264", show_default=True,
              help="Of the output; ffv1 is lossless and needs .mkv.")  # fmt: skip
@click.option(
    "--crf",
    type=click.FloatRange(0, 51),
    default=18,
    show_default=True,
    help="Constant rate factor (CRF) of the encoder; less is better.",
)
@click.option("--preset", default="medium", show_default=True, help="Of x264 or x265: ultrafast to veryslow.")
@click.option("--pixel-format", default="auto", show_default=True,
              help="Of the output, such as yuv420p or yuv420p10le; auto keeps the chroma of the source.")  # fmt: skip
@click.option("--deinterlace", type=click.Choice(["auto", "off", "frame", "field"]), default="auto", show_default=True,
              help="De-interlace with bwdif. auto: frames that are flagged as interlaced; frame: all; field: all, to one "
                   "frame per field, at twice the rate.")  # fmt: skip
@click.option("--audio", type=click.Choice(["auto", "copy", "aac", "opus", "flac", "none"]), default="auto",
              show_default=True, help="Sound of the output; auto: copied, or encoded again where the container cannot store it.")  # fmt: skip
@click.option("--start", callback=_time, metavar="TIME", help="Begin here: seconds or H:MM:SS from the first frame.")
@click.option("--end", callback=_time, metavar="TIME", help="End before this time.")
@click.option(
    "--fps",
    default=None,
    show_default="24 for a folder, for a raw stream its own",
    type=FrameRateType(),
    help="Frame rate of a folder of frames or of a raw stream without a container.",
)
@click.option("--chunk", type=click.IntRange(min=0), default=0, show_default=True,
              help="Maximum frames of a chunk, after which work is saved; 0: chosen by memory.")  # fmt: skip
@click.option("--overlap", type=click.IntRange(min=0), default=8, show_default=True,
              help="Context frames at both ends of a chunk.")  # fmt: skip
@click.option("--window", type=click.IntRange(min=0), default=0, show_default=True,
              help="Maximum frames in the network at once; 0: chosen by memory.")  # fmt: skip
@click.option("--tonemap", is_flag=True, help="Convert HDR (PQ, HLG) to SDR (BT.709) by the curve of ITU-R BT.2390.")
@tile_option
@skip_static_option("auto")
@strength_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print sizes, frames, model, motion, and the expected time, size and gain; make nothing.",
)
@click.option("--resume/--no-resume", default=None,
              help="Continue an unfinished run, or discard it; by default continue unless -y is set.")  # fmt: skip
@click.option("--strict", is_flag=True, help="Refuse an output that cannot store all streams of the input.")
@click.option("--allow-damaged", is_flag=True, help="Use the frames before the damage of a damaged video.")
@click.option("--conceal", is_flag=True,
              help="Use all frames of a damaged video: damage is patched, and patched frames are counted.")  # fmt: skip
@click.option("--compare", type=click.Path(path_type=Path, dir_okay=False), metavar="PNG|MP4",
              help="Also make a picture or a video of before and after: both at 100 %, labelled, where they differ most.")  # fmt: skip
@click.option("--preview", type=click.Path(path_type=Path, dir_okay=False), metavar="PNG",
              help="Write a picture of before and after, and update it with every shot.")  # fmt: skip
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True,
              help="Worker processes; 0: one per GPU, one on a CPU.")  # fmt: skip
@click.option("--ray", metavar="auto|ADDRESS",
              help="Upscale on the machines of a Ray cluster, which see input and output at the same paths.")  # fmt: skip
@click.option("--skip-existing/--no-skip-existing", default=None,
              help="Skip inputs whose outputs exist; by default for folders of videos, unless -y is set.")  # fmt: skip
@click.option(
    "--recursive", is_flag=True, help="Also the folders in a folder of videos; the outputs have the same folders."
)
@click.option("--max-spool", type=click.FloatRange(0.001), default=16, show_default=True, metavar="GB",
              help="Maximum size of an input from a pipe, which is copied to a file beside the output.")  # fmt: skip
@device_option
@precision_option
@compile_option
@overwrite_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    inputs: tuple[Path, ...],
    output: Path | None,
    form: str,
    as_json: bool,
    quality: str | None,
    dry_run: bool,
    resume: bool | None,
    overwrite: bool,
    strict: bool,
    compare: Path | None,
    preview: Path | None,
    workers: int,
    ray: str | None,
    skip_existing: bool | None,
    recursive: bool,
    max_spool: float,
    **options: Any,
) -> ExitCode:
    """Upscale whole videos of any length, with their sound and everything else they have.

    INPUT is a video of any codec, a picture, an animated GIF, PNG or WebP file, a folder of PNG or JPEG frames, or a folder
    of videos. The same command continues a run that was stopped: finished chunks are saved in .OUT.codecvsr beside the output. With --json the result is one object on
    stdout, and progress is printed on stderr as one JSON object per line.
    """
    _refuse_pair(ctx, "quality", "model")
    _refuse_pair(ctx, "scale", "width")
    _refuse_pair(ctx, "scale", "height")
    if quality is not None:
        options["model"] = QUALITIES[quality]
    if len(inputs) == 1 and str(inputs[0]) != "-":
        check_exists(inputs[0])
    from codecvsr.upscaling.stream_output import is_stdout

    check_name(options["model"])
    if is_stdout(output) and as_json and not dry_run:
        raise click.UsageError(
            "-o - writes the video to stdout, where --json writes its object; choose one of them.", ctx
        )
    with ProgressPrinter(as_json=as_json) as printer:
        from codecvsr.upscaling.batch import upscale_all  # takes seconds, in which the bar moves
        from codecvsr.upscaling.options import RunSettings, UpscaleOptions

        settings = RunSettings(
            resume=resume, overwrite=overwrite, strict=strict, compare=compare, preview=preview, workers=workers, ray=ray,
            skip_existing=skip_existing, recursive=recursive, max_spool=round(max_spool * 1e9),
            has_estimate=not (as_json or verbosity.quiet), on_event=printer.on_event,
        )  # fmt: skip
        if dry_run:
            from codecvsr.upscaling.dry_run import plan_all
        try:
            if dry_run:
                plans, skipped = plan_all(inputs, output, UpscaleOptions(**options), settings, form=form)
            else:
                result = upscale_all(inputs, output, UpscaleOptions(**options), settings, form=form)
        except HdrInputError as error:
            raise HdrInputError(f"{error} Run: {command_line()} --tonemap") from error
    if dry_run:
        _print_plans(plans, skipped, as_json=as_json)
        return ExitCode.OK
    for failure in result.failed:
        warn(f"{failure.input} was not upscaled: {failure.error}")
    if any(report.training == "untrained" for report in result.made):
        warn(f"{options['model']}: random weights, the pictures mean nothing.")
    if as_json:
        print_json(
            {"made": [report.to_json() for report in result.made], "failed": result.failed, "skipped": result.skipped}
        )
    else:
        for report in result.made:
            print_result(_summary(report), err=is_stdout(output))
        if len(inputs) > 1 or result.failed or result.skipped:
            of_skipped = f", {len(result.skipped)} skipped as their outputs exist" if result.skipped else ""
            total = len(result.made) + len(result.failed) + len(result.skipped)
            click.echo(f"{len(result.made)} of {total} inputs upscaled{of_skipped}")
    if not result.failed:
        return ExitCode.OK
    return ExitCode.PARTIAL if result.made or result.skipped else ExitCode.FAILURE
