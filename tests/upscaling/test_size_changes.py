"""A picture size that changes in mid-stream: each part is upscaled, and comes out in the size of the first."""

from __future__ import annotations

import logging

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import UnsupportedInputError
from codecvsr.files import read_image
from codecvsr.inference.infer import infer
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample
from codecvsr.video.scan import scan
from tests.streams import encode, moving_texture
from tests.upscaling.short_videos import FAST
from tests.videos import pictures, read

SIZES = ((32, 48), (48, 64), (24, 32), (32, 48))
EACH = 5
OPTIONS = {"chunk": 4, "overlap": 2, "crf": 4, **FAST}


def joined(folder, suffix, sizes=SIZES):
    """Parts of different sizes, joined byte by byte: in transport streams the clock restarts, too."""
    path = folder / f"joined.{suffix}"
    with path.open("wb") as file:
        for number, (height, width) in enumerate(sizes):
            part = folder / f"part{number}.{suffix}"
            encode(part, moving_texture(EACH, height, width, 2, 1, seed=number), fps=25)
            file.write(part.read_bytes())
            part.unlink()
    return path


def in_webm(folder):
    """VP9, as browsers record it: one stream, whose key pictures have the size that the network had room for."""
    path = folder / "joined.webm"
    options = {"deadline": "realtime", "cpu-used": "8", "crf": "10"}
    with av.open(str(path), "w") as container:
        stream = None
        for number, (height, width) in enumerate(SIZES):
            part = encode(
                folder / f"part{number}.webm", moving_texture(EACH, height, width, 2, 1, seed=number),
                codec="libvpx-vp9", fps=25, options=options,
            )  # fmt: skip
            with av.open(str(part)) as source:
                stream = stream or container.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.size:
                        packet.pts += number * EACH * 40  # milliseconds
                        packet.dts = packet.pts
                        packet.stream = stream
                        container.mux(packet)
            part.unlink()
    return path


def expected():
    """The pictures that were encoded, each brought to the output size by itself."""
    height, width = 4 * SIZES[0][0], 4 * SIZES[0][1]
    return [
        resample(picture, height, width)
        for number, size in enumerate(SIZES)
        for picture in moving_texture(EACH, *size, 2, 1, seed=number)
    ]


@pytest.mark.parametrize("kind", ["ts", "h264", "webm"])
def test_every_part_comes_out_in_the_size_of_the_first(tmp_path, caplog, kind):
    source = in_webm(tmp_path) if kind == "webm" else joined(tmp_path, kind)
    with caplog.at_level(logging.WARNING):
        report = codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", **OPTIONS)
    assert (report.frames, report.width, report.height) == (4 * EACH, 192, 128)
    told = [record.getMessage() for record in caplog.records if "size" in record.getMessage()]
    assert len(told) == 1 and "the picture size changes (64x48 from frame 5 on, 32x24 from frame 10 on" in told[0]
    made, times, _ = pictures(tmp_path / "o.mkv")
    assert len(made) == 4 * EACH
    errors = np.array([[np.abs(a.astype(int) - b).mean() for b in expected()] for a in made])
    assert errors.argmin(axis=1).tolist() == list(range(4 * EACH)) and errors.diagonal().max() < 12
    np.testing.assert_allclose(np.diff([float(t) for t in times]), 1 / 25, atol=0.0011)


def test_no_chunk_sees_two_sizes_and_workers_make_the_same(small, tmp_path):
    source = joined(tmp_path, "ts")
    codecvsr.upscale(source, tmp_path / "a.mkv", model="bicubic", **OPTIONS)
    codecvsr.upscale(source, tmp_path / "b.mkv", model="bicubic", workers=2, **OPTIONS)
    assert read(tmp_path / "a.mkv")[0] == read(tmp_path / "b.mkv")[0]
    report = codecvsr.upscale(source, tmp_path / "frames", model=small, **{**OPTIONS, "motion": "dis"})
    assert report.chunks == 8  # 5 frames in chunks of at most 4, four times
    assert {read_image(path).shape for path in (tmp_path / "frames").iterdir()} == {(128, 192, 3)}


def test_a_part_of_the_video_has_the_size_of_its_own_beginning(tmp_path):
    source = joined(tmp_path, "ts")
    report = codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", start=0.24, end=0.5, **OPTIONS)
    assert (report.width, report.height) == (256, 192)
    found = scan(Media.open(source), start=0.24, end=0.5)
    assert (found.width, found.height) == (64, 48)
    assert [(change.width, change.height) for change in found.later_sizes] == [(32, 24)]


def test_what_the_commands_say(tmp_path):
    source = joined(tmp_path, "h264", sizes=SIZES[:2])
    run = CliRunner().invoke(cli, ["upscale", str(source), "--dry-run"])
    assert run.exit_code == 0 and "48x32 (64x48 from frame 5 on), 10 frames -> " in run.output
    for motion in (None, "dis"):
        with pytest.raises(UnsupportedInputError, match="changes from 48x32 to 64x48 at frame 5.*'codecvsr upscale'"):
            infer(source, tmp_path / "sr", model="codecvsr:random", motion=motion)
    assert not (tmp_path / "sr").exists()
