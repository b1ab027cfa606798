"""Small clips, and one server for all tests that need a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from tests.streams import encode, moving_texture
from tests.web.driver import Browser
from tests.web.service import Service

#: Display matrix: a pixel at (x, y) is shown at (-y, x).
QUARTER_TO_THE_RIGHT = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)


@pytest.fixture(scope="session")
def small_clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An H.264 MP4 of 8 frames of 128x96."""
    path = tmp_path_factory.mktemp("clip") / "small.mp4"
    return encode(path, moving_texture(8, 96, 128, 2, 1), options={"crf": "20"}).read_bytes()


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser puts downloads."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads: Path) -> Iterator[Browser]:
    """A browser for the tests of a module."""
    opened = Browser(downloads)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a long queue."""
    options = ("--max-queue", "400", "--max-upload", "4", "--job-memory", "3", "--job-minutes", "2")
    running = Service(tmp_path_factory.mktemp("serve"), options).start()
    yield running
    assert running.stop() == 0
    left = [path.name for path in Path(running.data / "clips").glob("*.part")]
    assert not left


@pytest.fixture
def portrait_clip(tmp_path: Path) -> Path:
    """An MP4 of 9 frames that are stored as 96x64 and shown as 64x96; as stored their left side, as shown their top, is bright."""
    frames = moving_texture(9, 64, 96, 2, 1)
    frames[:, :, :16, :] = 255
    flat, turned = encode(tmp_path / "flat.mp4", frames, options={"crf": "12"}), tmp_path / "portrait.mp4"
    with av.open(str(flat)) as reader, av.open(str(turned), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        stream.set_display_matrix(QUARTER_TO_THE_RIGHT)
        for packet in reader.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                writer.mux(packet)
    return turned
