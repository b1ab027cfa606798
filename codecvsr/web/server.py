"""Runs the server: store, scheduler, application and waitress."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from waitress.server import create_server

from codecvsr.errors import InputError
from codecvsr.web.app import create_app, demo_clip
from codecvsr.web.estimator import Estimator
from codecvsr.web.limits import Limits
from codecvsr.web.scheduler import Scheduler
from codecvsr.web.security import check_exposure
from codecvsr.web.store import JobStore

_THREADS = 32  # event streams may occupy 24 of them


def serve(
    host: str, port: int, data: Path, limits: Limits, *, token: str | None = None, ready: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM; a running job restarts at the next start.

    Args:
        host: address to listen on; any but a loopback address needs ``token``.
        port: port to listen on; 0 for any free port.
        data: folder of uploads and results.
        limits: limits of the server.
        token: access token of clients; None for none.
        ready: called with the page's address once it answers.

    Raises:
        InputError: the server cannot listen on the address, or needs a token.
        OutputError: ``data`` cannot be used.
    """
    check_exposure(host, token)
    store = JobStore(data)
    scheduler = Scheduler(store, limits, demo_clip())
    estimator = Estimator(limits, store.folder / "jobs")
    try:
        app = create_app(store, scheduler, token, estimator)
        try:
            server = create_server(
                app,
                host=host,
                port=port,
                threads=_THREADS,
                ident=None,
                connection_limit=256,
                channel_timeout=120,
                max_request_body_size=limits.upload_bytes + (1 << 20),
                max_request_header_size=32_768,
            )
        except OSError as error:
            raise InputError(
                f"{host}:{port}: cannot listen there ({error.strerror}); choose another --port."
            ) from error
        signal.signal(signal.SIGTERM, _interrupt)
        try:
            scheduler.start()
            shown = f"[{host}]" if ":" in host else host
            key = f"#token={token}" if token else ""
            ready(f"http://{shown}:{server.effective_port}/{key}")
            server.run()
        finally:
            server.close()
    except KeyboardInterrupt:
        return
    finally:
        scheduler.stop()
        estimator.stop()
        store.close()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
