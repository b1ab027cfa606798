"""The HLS folder in a real Chromium: the page plays what ``live`` writes, while it is written."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from codecvsr.streaming.api import run_live
from codecvsr.streaming.options import LiveOptions, OutputOptions
from tests.streaming.servers import Source, free_port, is_listening, serving, wait_for
from tests.streams import encode, moving_texture
from tests.web.driver import Browser, browser_programs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        browser_programs() is None,
        reason="chromium and chromedriver are not installed (apt-get install chromium-driver)",
    ),
]


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serves ``tmp_path/page``."""
    (tmp_path / "page").mkdir()
    handler = functools.partial(Quiet, directory=str(tmp_path / "page"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_a_browser_plays_the_folder_while_it_is_written(tmp_path: Path, address: str) -> None:
    options = {"x264-params": "keyint=12:bframes=0"}
    path = encode(tmp_path / "in.ts", moving_texture(48, 48, 64, 1, 1), options=options, audio_first=True)
    port = free_port()
    reports = []

    def run() -> None:
        live = LiveOptions(model="bicubic", latency=0.1, reconnect=0.0)
        reports.append(
            run_live(f"tcp://127.0.0.1:{port}", f"{tmp_path}/page/", live, OutputOptions(), lambda event: None)
        )

    browser = Browser(tmp_path)
    try:
        with serving(Source(f"tcp://127.0.0.1:{port}?listen=1", [path], loops=1000, rate=48)):
            wait_for(lambda: is_listening(port))
            runner = threading.Thread(target=run, daemon=True)
            runner.start()
            wait_for((tmp_path / "page" / "index.html").exists)
            browser.open(f"{address}index.html")
            browser.wait("return document.getElementById('video').currentTime > 3", 120)
            assert browser.run("return document.getElementById('video').videoWidth") == 256
            assert browser.run("return document.getElementById('message').textContent") == ""
        runner.join(60)
    finally:
        browser.close()
    assert reports and reports[0].frames > 72
    assert "#EXT-X-ENDLIST" in (tmp_path / "page" / "index.m3u8").read_text()
    assert len(list((tmp_path / "page").glob("*.m4s"))) < 12  # older ones are deleted
