"""``codecvsr serve``: the page."""

from __future__ import annotations

import os
from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand, info
from codecvsr.errors import CodecVSRError


def usual_data_folder() -> Path:
    """Where uploads and results are kept unless said otherwise."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "codecvsr" / "serve"


@click.command("serve", cls=CodecVSRCommand)
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; one that other machines see needs --token.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port.")
@click.option("--token", help="What clients have to show, at least 16 characters (better set as CODECVSR_SERVE_TOKEN).")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of uploads and results; by default codecvsr/serve under XDG_STATE_HOME or ~/.local/state.")  # fmt: skip
@click.option("--max-upload", type=click.IntRange(min=1), default=256, show_default=True, metavar="MIB",
              help="Size of one upload.")  # fmt: skip
@click.option("--max-stored", type=click.FloatRange(min=0, min_open=True), default=20, show_default=True, metavar="GIB",
              help="Size of all uploads and results.")  # fmt: skip
@click.option("--max-seconds", type=click.FloatRange(min=1), default=60, show_default=True,
              help="Seconds of video that one job works on.")  # fmt: skip
@click.option("--max-queue", type=click.IntRange(min=1), default=20, show_default=True,
              help="Jobs that may wait or run at once.")  # fmt: skip
@click.option("--keep", type=click.FloatRange(min=0, min_open=True), default=24, show_default=True, metavar="HOURS",
              help="How long results and uploads are kept.")  # fmt: skip
@click.option("--job-minutes", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
              help="How long a job may take.")  # fmt: skip
@click.option("--job-memory", type=click.FloatRange(min=1), metavar="GIB",
              help="Memory a job may take; by default 8, or nine tenths of the machine's where that is less.")  # fmt: skip
def command(
    host: str,
    port: int,
    token: str | None,
    data: Path | None,
    max_upload: int,
    max_stored: float,
    max_seconds: float,
    max_queue: int,
    keep: float,
    job_minutes: float,
    job_memory: float | None,
) -> None:
    """Show it on a page: upload a video or take the demo clip, upscale it, compare, look at vectors and their motion.

    Jobs are done one after the other, and those that wait survive a restart. Needs the extra 'web': pip install 'codecvsr[web]'.
    """
    from codecvsr.web.limits import GIB, Limits

    try:
        from codecvsr.web.server import serve
    except ModuleNotFoundError as error:
        if str(error.name).startswith("codecvsr"):
            raise
        raise CodecVSRError(f"the page needs {error.name}; install it with: pip install 'codecvsr[web]'") from error

    limits = Limits(
        upload_bytes=max_upload << 20,
        stored_bytes=round(max_stored * GIB),
        seconds=max_seconds,
        queue=max_queue,
        keep_seconds=keep * 3600,
        job_seconds=job_minutes * 60,
        job_memory=round((job_memory or 0) * GIB),
    )
    info("loading ...")
    serve(host, port, data or usual_data_folder(), limits, token=token, ready=lambda url: click.echo(url))
