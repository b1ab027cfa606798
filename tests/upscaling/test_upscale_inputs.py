"""Inputs and outputs of every kind: pixel formats, codecs, sizes, folders of frames, parts of a video."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import InputError, UnsupportedInputError
from codecvsr.files import read_image
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from codecvsr.upscaling.options import UpscaleOptions, output_size
from tests.streams import encode, moving_texture
from tests.upscaling.short_videos import FAST, FRAMES
from tests.videos import make_video, noisy_frames, pictures, read


@pytest.mark.parametrize(
    ("pixel_format", "expected"),
    [("yuv420p10le", "yuv420p"), ("yuv422p", "yuv422p"), ("yuv444p", "yuv444p"), ("yuvj420p", "yuvj420p")],
)
def test_other_pixel_formats_come_in(small, tmp_path, pixel_format, expected):
    source = encode(tmp_path / "s.mp4", moving_texture(5, 32, 48, 2, 1), pixel_format=pixel_format)
    codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic", crf=1)
    made, _, frame = pictures(tmp_path / "o.mp4")
    assert len(made) == 5 and frame.format.name == expected
    before, _, _ = pictures(source)
    small_again = made.reshape(5, 32, 4, 48, 4, 3).mean(axis=(2, 4))
    assert abs(small_again - before).mean() < 4  # the colours are the same, whatever they were coded as


def test_ten_bits_go_out_when_asked(tmp_path):
    source = encode(tmp_path / "s.mp4", moving_texture(3, 32, 48, 2, 1), pixel_format="yuv420p10le")
    codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", pixel_format="yuv420p10le", **FAST)
    assert pictures(tmp_path / "o.mkv")[2].format.name == "yuv420p10le"
    with pytest.raises(InputError, match="h264 does not support pixel format 'rgb48'"):
        codecvsr.upscale(source, tmp_path / "p.mkv", model="bicubic", pixel_format="rgb48")
    assert not checkpoint_path(tmp_path / "p.mkv").exists()


def test_undeclared_colours_of_small_video_are_declared(tmp_path):
    """Players display undeclared video as BT.601 if it is small and as BT.709 if it is large."""
    source = encode(tmp_path / "s.mp4", moving_texture(3, 32, 48, 2, 1))
    codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", **FAST)
    assert int(pictures(source)[2].colorspace) == 2
    assert int(pictures(tmp_path / "o.mkv")[2].colorspace) == 6


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_is_refused_before_any_work(tmp_path, transfer):
    source = tmp_path / "s.mp4"
    parameters = {"x264-params": f"colorprim=bt2020:colormatrix=bt2020nc:transfer={transfer}"}
    encode(source, moving_texture(3, 32, 48, 2, 1), options=parameters, pixel_format="yuv420p10le")
    with pytest.raises(UnsupportedInputError, match=r"is HDR, (PQ|HLG).*--tonemap converts it"):
        codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic")
    assert [p.name for p in tmp_path.iterdir()] == ["s.mp4"]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (140, 196)),
        ({"scale": 2}, (70, 98)),
        ({"scale": 3}, (105, 147)),  # 4:4:4 in, 4:4:4 out: odd sizes can be coded
        ({"scale": 3, "pixel_format": "yuv420p"}, (106, 148)),
        ({"width": 98}, (70, 98)),
        ({"height": 100, "width": 100}, (100, 100)),
    ],
)
def test_sizes(small, tmp_path, options, size):
    source = encode(tmp_path / "s.mp4", moving_texture(3, 35, 49, 2, 1), pixel_format="yuv444p")
    report = codecvsr.upscale(source, tmp_path / "o.mkv", model=small, **FAST, **options)
    assert (report.height, report.width) == size
    assert pictures(tmp_path / "o.mkv")[0].shape == (3, *size, 3)
    with av.open(str(tmp_path / "o.mkv")) as container:
        shape = container.streams.video[0].sample_aspect_ratio or Fraction(1)
    assert shape == (Fraction(49, 35) if size == (100, 100) else 1)


def test_sizes_that_cannot_be():
    options = UpscaleOptions(width=101)
    with pytest.raises(InputError, match="a width of 101 cannot be encoded with subsampled chroma"):
        output_size(36, 48, options, (2, 2))
    assert output_size(36, 48, options) == (76, 101)
    for wrong in (
        {"scale": 5},
        {"width": 0},
        {"start": -1},
        {"start": 2, "end": 1},
        {"chunk": -1},
        {"fps": Fraction(0)},
    ):
        with pytest.raises(InputError):
            UpscaleOptions(**wrong)


def test_a_codec_without_vectors_gets_them_from_x264(small, tmp_path):
    moving = moving_texture(8, 64, 64, 3, 1)
    source = encode(tmp_path / "s.mkv", moving, codec="libvpx-vp9", options={"crf": "20"})
    arguments = ["upscale", str(source), "-m", str(small), "--preset", "ultrafast", "-o"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "o.mkv")])
    assert done.exit_code == 0, done.output
    words = "motion vectors of vp9 cannot be read; each chunk is encoded with x264"
    assert words in done.stderr.replace("libvpx-", "")
    duplicates = CliRunner().invoke(cli, [*arguments, str(tmp_path / "zero.mkv"), "--motion", "zero"])
    assert duplicates.exit_code == 0
    flow = CliRunner().invoke(cli, [*arguments, str(tmp_path / "dis.mkv"), "--motion", "dis"])
    assert flow.exit_code == 0 and "motion dis: DIS optical flow" in flow.stderr
    a, b, c = (pictures(tmp_path / f"{name}.mkv")[0] for name in ("o", "zero", "dis"))
    assert len(a) == len(b) == len(c) == 8
    assert not np.array_equal(a, b) and not np.array_equal(b, c) and not np.array_equal(a, c)


def test_frames_in_a_folder_come_in_and_go_out(small, tmp_path):
    source = noisy_frames(tmp_path / "in", 6, 33, 47)
    report = codecvsr.upscale(source, tmp_path / "out", model=small, chunk=3, overlap=1)
    assert report.frames == 6
    assert [p.name for p in sorted((tmp_path / "out").iterdir())] == [f"frame_{i:03d}.png" for i in range(5, 11)]
    assert read_image(tmp_path / "out" / "frame_005.png").shape == (132, 188, 3)
    codecvsr.upscale(source, tmp_path / "named" / "x%02d.png", model="bicubic", scale=2)
    assert [p.name for p in sorted((tmp_path / "named").iterdir())] == [f"x{i:02d}.png" for i in range(6)]
    codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic", fps=Fraction(30000, 1001), **FAST)
    _, times, _ = pictures(tmp_path / "o.mp4")
    assert times == [Fraction(1001 * i, 30000) for i in range(6)]


def test_that_png_files_cannot_be_turned_is_said(tmp_path, caplog):
    turned = make_video(tmp_path / "turned.mp4", 2, extras=False)
    upright = noisy_frames(tmp_path / "upright", 2, 16, 16)
    for source, is_warned in ((turned, True), (upright, False)):
        caplog.clear()
        codecvsr.upscale(source, tmp_path / f"out-{source.stem}", model="bicubic")
        assert ("which PNG files cannot express" in caplog.text) == is_warned


@pytest.mark.parametrize("codec", ["hevc", "ffv1"])
def test_other_codecs_out(videos, tmp_path, codec):
    codecvsr.upscale(videos["mkv"], tmp_path / "o.mkv", model="bicubic", codec=codec, chunk=5, **FAST)
    made, times, _frame = pictures(tmp_path / "o.mkv")
    assert made.shape[0] == FRAMES and times == pictures(videos["mkv"])[1]
    if codec == "ffv1":
        codecvsr.upscale(videos["mkv"], tmp_path / "frames", model="bicubic", chunk=5)
        lossless = np.stack([read_image(p) for p in sorted((tmp_path / "frames").iterdir())])
        assert np.array_equal(made, lossless)
        with pytest.raises(InputError, match="MP4 does not support FFV1"):
            codecvsr.upscale(videos["mkv"], tmp_path / "o.mp4", model="bicubic", codec=codec)
    else:
        codecvsr.upscale(videos["mkv"], tmp_path / "o.mp4", model="bicubic", codec=codec, **FAST)
        with av.open(str(tmp_path / "o.mp4")) as container:
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_part_of_a_film(videos, small, tmp_path):
    old_times = pictures(videos["mkv"])[1]
    wanted = [t for t in old_times if old_times[0] + Fraction(1, 10) <= t < old_times[0] + Fraction(4, 10)]
    assert 2 < len(wanted) < FRAMES - 2
    arguments = [
        "upscale",
        str(videos["mkv"]),
        "-m",
        str(small),
        "--preset",
        "ultrafast",
        "-o",
        str(tmp_path / "o.mkv"),
    ]
    done = CliRunner().invoke(cli, [*arguments, "--start", "0.1", "--end", "0:00:00.4"])
    assert done.exit_code == 0, done.output
    _, times, _ = pictures(tmp_path / "o.mkv")
    assert times == [t - wanted[0] for t in wanted]
    streams, chapters, _ = read(tmp_path / "o.mkv")
    sound = next(packets for kind, _, packets in streams if kind == "audio")
    old_sound = next(packets for kind, _, packets in read(videos["mkv"])[0] if kind == "audio")
    duration = float(wanted[-1] - wanted[0])
    assert 0 < len(sound) < len(old_sound) and all(0 <= t <= duration + 0.11 for t, _ in sound)
    assert {data for _, data in sound} < {data for _, data in old_sound}
    assert [c[2] for c in chapters] == ["One", "Two"] and chapters[0][0] == 0
    nothing = CliRunner().invoke(cli, [*arguments, "-y", "--start", "99"])
    assert nothing.exit_code == 1 and "no frame lies in the part asked for" in nothing.stderr
    assert (tmp_path / "o.mkv").exists() and not checkpoint_path(tmp_path / "o.mkv").exists()
