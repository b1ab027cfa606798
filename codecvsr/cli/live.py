"""``codecvsr live``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codecvsr.cli.common import CodecVSRCommand, ExitCode
from codecvsr.cli.options import device_option, json_option, overwrite_option, precision_option
from codecvsr.cli.output import info, print_json
from codecvsr.json_values import jsonable

if TYPE_CHECKING:
    from codecvsr.streaming.events import LiveEvent
    from codecvsr.streaming.options import LiveReport


def _summary(report: LiveReport) -> str:
    """Returns one line: the output, what was made of it, and what happened."""
    latency = (
        ""
        if report.latency_p99 is None
        else f", latency {report.latency_median:.2f} s (99 %: {report.latency_p99:.2f} s)"
    )
    levels = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.level_seconds.items() if seconds)
    lost = f", {report.lost_frames} frames missing and {report.concealed_frames} concealed"
    lost = lost if report.lost_frames or report.concealed_frames else ""
    again = f", input opened again {report.reconnects} times" if report.reconnects else ""
    losses = f"; not carried: {'; '.join(report.losses)}" if report.losses else ""
    left = "; its reader has left" if report.ended_by == "reader" else ""
    return (
        f"{report.output}: {report.frames} frames, {report.width}x{report.height}{latency} ({levels}; {report.device} "
        f"{report.precision}){lost}{again}, peak memory {report.peak_memory_mb:.0f} MiB{losses}{left}"
    )


@click.command("live", cls=CodecVSRCommand)
@click.argument("source", metavar="INPUT")
@click.option("-o", "--output", required=True, metavar="OUT",
              help="A file (.mkv, .ts, .mp4, .flv), a folder (NAME/) or .m3u8 for HLS, - for stdout, or an address (udp, tcp, rtmp).")  # fmt: skip
@click.option("--format", "form", type=click.Choice(["auto", "mkv", "mpegts", "mp4", "flv", "hls"]), default="auto",
              show_default=True, help="Format of the output; auto: that of its name, mkv for stdout.")  # fmt: skip
@click.option("-m", "--model", default="codecvsr", show_default=True,
              help="The best network to use: codecvsr, codecvsr-fast, weights of that architecture, or bicubic.")  # fmt: skip
@click.option("--latency", type=click.FloatRange(0, 60), default=1.0, show_default=True, metavar="SECONDS",
              help="How long a frame waits for the frames after it, which make it better; 0: it sees the past alone.")  # fmt: skip
@click.option("--realtime", is_flag=True, help="Read a file at the rate at which it is shown.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Also copy the input, as it comes, to a file: .mkv, .ts, .mp4 or .mov.")  # fmt: skip
@click.option("--input-format", default="", metavar="NAME",
              help="libav's name of the input's format, which a device needs, such as v4l2.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=10.0, show_default=True, metavar="SECONDS",
              help="An input that gives no data for so long counts as lost.")  # fmt: skip
@click.option("--reconnect", type=click.FloatRange(0), default=60.0, show_default=True, metavar="SECONDS",
              help="How long a lost network input is opened again, before the output ends.")  # fmt: skip
@click.option("--crf", type=click.FloatRange(0, 51), default=20, show_default=True,
              help="Constant rate factor (CRF) of x264; less is better.")  # fmt: skip
@click.option("--preset", default="superfast", show_default=True, help="Of x264: ultrafast to veryslow.")
@click.option("--audio", type=click.Choice(["auto", "copy", "aac", "none"]), default="auto", show_default=True,
              help="Sound; auto: copied, or coded as AAC where the output cannot store it.")  # fmt: skip
@device_option
@precision_option
@overwrite_option
@json_option
def command(
    source: str,
    output: str,
    form: Any,
    crf: float,
    preset: str,
    audio: Any,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> ExitCode:
    """Upscale a live stream as it comes: a camera or a stream in, an enlarged stream out.

    INPUT is anything libav opens: an address (rtsp, rtmp, udp, tcp, http, HLS), a device, a file, or - for stdin. Where the
    machine does not keep up, faster networks are used for as long as needed, down to bicubic; no frame is dropped. A network
    input that is lost is opened again. Ctrl-C ends the output properly. With --json the result is one object on stdout, and
    events are printed on stderr as one JSON object per line.
    """
    from codecvsr.bitstream.encode import PRESETS

    if preset not in PRESETS:
        raise click.BadParameter(f"{preset!r} is unknown; there are {', '.join(PRESETS)}.", param_hint="--preset")
    if output == "-" and as_json:
        raise click.UsageError("-o - writes the video to stdout, where --json writes its object; choose one of them.")
    from codecvsr.models.model_names import check_name
    from codecvsr.streaming.api import run_live
    from codecvsr.streaming.options import LiveOptions, OutputOptions
    from codecvsr.upscaling.stream_output import ended_by_signals

    check_name(options["model"])

    def on_event(event: LiveEvent) -> None:
        if as_json:
            click.echo(json.dumps(jsonable(event.to_json()), allow_nan=False), err=True)
        elif event.message:
            info(event.message)

    outputs = OutputOptions(form, crf, preset, audio, overwrite)
    with ended_by_signals():
        report = run_live(source, output, LiveOptions(**options), outputs, on_event)
    if report.ended_by == "interrupt":
        where = f"{report.output} is complete, {report.frames} frames." if report.frames else "No frame was made."
        raise KeyboardInterrupt(where)
    if as_json:
        print_json(report.to_json())
    else:
        click.echo(_summary(report), err=True)
    return ExitCode.OK
