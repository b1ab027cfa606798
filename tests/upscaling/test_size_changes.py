"""A picture size that changes in mid-stream: each part is upscaled, and comes out in the size of the first."""

from __future__ import annotations

import logging
from fractions import Fraction

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
INNER = ((128, 192), (128, 171), (128, 171), (128, 192))  # of the output, without bars
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
    found = []
    for number, (size, (height, width)) in enumerate(zip(SIZES, INNER, strict=True)):
        for picture in moving_texture(EACH, *size, 2, 1, seed=number):
            framed = np.zeros((128, 192, 3), np.uint8)
            left = (192 - width) // 2
            framed[:, left : left + width] = resample(picture, height, width)
            found.append(framed)
    return found


@pytest.mark.parametrize("kind", ["ts", "h264", "webm"])
def test_every_part_comes_out_in_the_size_of_the_first(tmp_path, caplog, kind):
    source = in_webm(tmp_path) if kind == "webm" else joined(tmp_path, kind)
    with caplog.at_level(logging.WARNING):
        report = codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", **OPTIONS)
    assert (report.frames, report.width, report.height) == (4 * EACH, 192, 128)
    told = [record.getMessage() for record in caplog.records if "size" in record.getMessage()]
    assert len(told) == 1 and "the picture size changes (64x48 from frame 5 on, 32x24 from frame 10 on" in told[0]
    assert told[0].endswith("; 64x48, 32x24 has another shape and gets black bars.")
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


def bars(picture):
    """Black columns at the left and right, and black rows at the top and bottom."""
    dark = picture.max(axis=2) < 24
    columns, rows = np.flatnonzero(~dark.all(axis=0)), np.flatnonzero(~dark.all(axis=1))
    height, width = dark.shape
    return (columns[0], width - 1 - columns[-1]), (rows[0], height - 1 - rows[-1])


@pytest.mark.parametrize(
    ("codec", "first", "second", "expected"),
    [
        ("libx264", (48, 64, "1/1"), (48, 48, "4/3"), ((0, 0), (0, 0))),  # broadcast: other pixels, the same shape
        ("libx264", (48, 64, "1/1"), (48, 64, "3/4"), ((32, 32), (0, 0))),  # the same pixels, another shape
        ("libx264", (48, 48, "1/1"), (48, 96, "1/1"), ((0, 0), (48, 48))),
        ("mpeg2video", (48, 64, "1/1"), (48, 64, "4/3"), ((0, 0), (24, 24))),  # 4:3, then 16:9
    ],
    ids=str,
)
def test_the_shape_decides_about_bars(tmp_path, codec, first, second, expected):
    source = tmp_path / "joined.ts"
    with source.open("wb") as file:
        for number, (height, width, aspect) in enumerate((first, second)):
            part = tmp_path / f"part{number}.ts"
            with av.open(str(part), "w") as container:
                stream = container.add_stream(codec, rate=25)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.sample_aspect_ratio = Fraction(aspect)
                stream.codec_context.bit_rate = 2000000
                for picture in 100 + moving_texture(EACH, height, width, 1, 0) // 2:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture))))
                container.mux(stream.encode(None))
            file.write(part.read_bytes())
    codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", **OPTIONS)
    made, _, _ = pictures(tmp_path / "o.mkv")
    assert len(made) == 2 * EACH
    for number, picture in enumerate(made):
        wanted = expected if number >= EACH else ((0, 0), (0, 0))
        assert np.abs(np.array(bars(picture)) - wanted).max() <= 1


def test_what_the_commands_say(tmp_path):
    source = joined(tmp_path, "h264", sizes=SIZES[:2])
    run = CliRunner().invoke(cli, ["upscale", str(source), "--dry-run"])
    assert run.exit_code == 0 and "48x32 (64x48 from frame 5 on), 10 frames -> " in run.output
    for motion in (None, "dis"):
        with pytest.raises(UnsupportedInputError, match="changes from 48x32 to 64x48 at frame 5.*'codecvsr upscale'"):
            infer(source, tmp_path / "sr", model="codecvsr:random", motion=motion)
    assert not (tmp_path / "sr").exists()
