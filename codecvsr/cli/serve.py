"""``codecvsr serve``: the page."""

from __future__ import annotations

import os
from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand
from codecvsr.cli.output import info
from codecvsr.errors import CodecVSRError


def usual_data_folder() -> Path:
    """Returns the default folder of uploads and results."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "codecvsr" / "serve"


@click.command("serve", cls=CodecVSRCommand)
@click.option("--host", default="127.0.0.1", show_default=True,
              help="Address to listen on; one that other machines can use needs --token.")  # fmt: skip
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port.")
@click.option("--token", help="Access token of clients, at least 16 characters (better set as CODECVSR_SERVE_TOKEN).")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False),
              help="Folder of uploads and results; by default codecvsr/serve under XDG_STATE_HOME or ~/.local/state.")  # fmt: skip
@click.option("--max-upload", type=click.IntRange(min=1), default=2048, show_default=True, metavar="MIB",
              help="Size of one upload.")  # fmt: skip
@click.option("--max-stored", type=click.FloatRange(min=0, min_open=True), default=20, show_default=True, metavar="GIB",
              help="Size of all uploads and results.")  # fmt: skip
@click.option("--max-seconds", type=click.FloatRange(min=1), default=60, show_default=True,
              help="Seconds of video per comparison; whole videos have no limit.")  # fmt: skip
@click.option("--max-queue", type=click.IntRange(min=1), default=20, show_default=True,
              help="Number of queued and running jobs.")  # fmt: skip
@click.option("--keep", type=click.FloatRange(min=0, min_open=True), default=24, show_default=True, metavar="HOURS",
              help="Lifetime of results and uploads.")  # fmt: skip
@click.option("--job-minutes", type=click.FloatRange(min=0, min_open=True), default=60, show_default=True,
              help="Run time limit of a job; of a whole video, the time limit of one frame.")  # fmt: skip
@click.option("--job-memory", type=click.FloatRange(min=1), metavar="GIB",
              help="Memory limit of a job; by default 8, or 90 % of the machine's memory if that is less.")  # fmt: skip
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
    """Serve a web page: enlarge whole videos, compare and measure on a part, and view motion vectors.

    Jobs run one after the other and survive a restart: whole videos continue where they were. Needs the extra 'web': pip install 'codecvsr[web]'.
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
