"""Standard output and pipes as outputs, and names of pipes in messages."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.bitstream import color
from codecvsr.cli import cli
from codecvsr.files import read_image
from tests.upscaling.short_videos import FRAMES
from tests.videos import make_video

FAST = ["-m", "bicubic", "--preset", "ultrafast"]


def _command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "codecvsr", "upscale", *map(str, arguments), *FAST]


def _in(folder: Path) -> dict[str, str]:
    folder.mkdir()
    return {**os.environ, "TMPDIR": str(folder)}


def _y4m(path: Path) -> tuple[str, np.ndarray]:
    """The header and the planes (T, bytes of a frame)."""
    header, _, rest = path.read_bytes().partition(b"\n")
    size = len(rest) // rest.count(b"FRAME\n")
    return header.decode(), np.frombuffer(rest, np.uint8).reshape(-1, size)[:, 6:]


def test_standard_output_gets_matroska_and_nothing_else(tmp_path: Path, videos) -> None:
    environment, empty = _in(tmp_path / "temporary"), tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(
        _command(videos["mkv"], "-o", "-"), capture_output=True, env=environment, cwd=empty, check=False
    )
    words = done.stderr.decode()
    assert done.returncode == 0, words
    with av.open(io.BytesIO(done.stdout)) as container:
        assert container.format.name.startswith("matroska")
        assert sum(1 for _ in container.decode(container.streams.video[0])) == FRAMES
        assert [stream.type for stream in container.streams] == ["audio", "video", "subtitle", "attachment"]
    assert f"{FRAMES} frames -> standard output" in words and f"standard output: {FRAMES} frames" in words
    assert not list(empty.iterdir()) and not list((tmp_path / "temporary").iterdir())


def test_a_reader_that_closes_the_pipe_ends_the_run(tmp_path: Path, videos) -> None:
    environment = _in(tmp_path / "temporary")
    command = _command(videos["mp4"], "-o", "-", "--format", "y4m", "-q")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        words = process.stderr.read().decode()
    assert process.returncode == 1
    assert "error: standard output: its reader has closed it before the end" in words
    assert "Traceback" not in words and "internal" not in words
    assert not list((tmp_path / "temporary").iterdir())


def test_a_named_pipe_gets_raw_video_as_a_file_does(tmp_path: Path, videos) -> None:
    pipe, read = tmp_path / "p", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert (
        CliRunner().invoke(cli, ["upscale", str(videos["mp4"]), "-o", str(pipe), "--format", "y4m", *FAST]).exit_code
        == 0
    )
    reader.join(20)
    report = codecvsr.upscale(videos["mp4"], tmp_path / "o.y4m", model="bicubic")
    assert read == [(tmp_path / "o.y4m").read_bytes()]
    assert pipe.is_fifo()
    lost = "; ".join(report.losses)
    assert all(words in lost for words in ("audio", "chapters", "title", "the times of the frames", "rotation"))


def test_raw_video_is_lossless(tmp_path: Path) -> None:
    source = make_video(tmp_path / "v.mp4", 3, extras=False)
    codecvsr.upscale(source, tmp_path / "o.y4m", model="bicubic")
    codecvsr.upscale(source, tmp_path / "frames", model="bicubic")
    header, planes = _y4m(tmp_path / "o.y4m")
    assert header.startswith("YUV4MPEG2 W192 H128 F") and "A4:3 C420mpeg2 XCOLORRANGE=LIMITED" in header
    for index, frame in enumerate(planes):
        rgb = read_image(tmp_path / "frames" / f"{index:08d}.png")
        expected = color.from_rgb(rgb, "yuv420p", matrix=1).to_ndarray()
        np.testing.assert_array_equal(frame, expected.reshape(-1))
    with av.open(str(tmp_path / "o.y4m")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--json"], "choose one of them"),
        (["--format", "mp4"], "mkv or y4m"),
        (["--resume"], "omit --resume"),
        (["--ray", "auto"], "use a file"),
        (["second.mp4"], "one input"),
    ],
)
def test_what_standard_output_cannot_be_combined_with(tmp_path: Path, options: list[str], words: str, videos) -> None:
    result = CliRunner().invoke(cli, ["upscale", str(videos["mp4"]), "-o", "-", *options, *FAST])
    assert result.exit_code in (1, 2) and words in result.output


def test_messages_name_standard_input(tmp_path: Path, videos) -> None:
    command = ["upscale", "-", "-o", str(tmp_path / "o.mkv"), *FAST]
    result = CliRunner().invoke(cli, command, input=b"no video")
    assert result.exit_code == 1
    assert "error: standard input: not a readable media file" in result.output
    result = CliRunner().invoke(cli, [*command, "--json"], input=Path(videos["mp4"]).read_bytes())
    assert result.exit_code == 0
    assert '"input": "standard input"' in result.stdout and ".spool" not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["o.mkv"]


def test_a_preview_replaces_no_file_of_others(tmp_path: Path, videos) -> None:
    preview = tmp_path / "now.png"
    preview.write_text("mine")
    command = ["upscale", str(videos["mp4"]), "-o", str(tmp_path / "o.mkv"), "--preview", str(preview), *FAST]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1 and "now.png: exists already" in result.output
    assert preview.read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["now.png"]
    assert CliRunner().invoke(cli, [*command, "-y"]).exit_code == 0
    preview.unlink()
    both = ["upscale", str(videos["mp4"]), str(videos["mkv"]), *command[2:]]
    both[both.index("-o") + 1] = str(tmp_path / "out")
    assert CliRunner().invoke(cli, both).exit_code == 0  # the second input replaces the preview of the first
    assert read_image(preview).shape == (192, 128, 3)  # right side up
