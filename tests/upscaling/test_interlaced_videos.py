"""Interlaced video comes out progressive: its moments at their times, in chunks, parts and worker processes too."""

from __future__ import annotations

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import InputError, InterlacedInputError
from codecvsr.files import read_image
from codecvsr.inference.infer import infer
from codecvsr.upscaling import process_chunk
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from tests.interlaced import encode_fields, weave
from tests.streams import encode, moving_texture
from tests.upscaling.short_videos import FAST
from tests.videos import noisy_frames, pictures, read

FRAMES, HEIGHT, WIDTH, FPS = 10, 48, 64, 25
SMALL = {"model": "bicubic", "scale": 1, "crf": 4, "chunk": 4, "overlap": 1, **FAST}
MOMENTS = moving_texture(2 * FRAMES, HEIGHT, WIDTH, 2, 1)


@pytest.fixture(scope="module")
def fields(tmp_path_factory):
    """Interlaced videos: H.264 in Matroska and in a transport stream, MPEG-2 in a program stream."""
    folder = tmp_path_factory.mktemp("fields")
    woven = weave(MOMENTS)
    return {
        "mkv": encode_fields(folder / "h264.mkv", woven),
        "ts": encode_fields(folder / "h264.ts", woven),
        "mpg": encode_fields(folder / "mpeg2.mpg", woven, "mpeg2video"),
    }


def nearest(made, shown):
    """For each picture the number of the most similar of others."""
    inner = (slice(4, -4), slice(4, -4))
    return [int(np.argmin([np.abs(a[inner].astype(int) - b[inner]).mean() for b in shown])) for a in made]


def seconds(path):
    return [float(time) for time in pictures(path)[1]]


@pytest.mark.parametrize("suffix", ["mkv", "ts", "mpg"])
def test_one_frame_per_frame_or_per_field(fields, tmp_path, suffix):
    source = fields[suffix]
    before = seconds(source)
    for mode, each in (("auto", 1), ("frame", 1), ("field", 2)):
        out = tmp_path / f"{mode}.mkv"
        report = codecvsr.upscale(source, out, deinterlace=mode, strict=True, **SMALL)
        assert report.frames == report.deinterlaced_frames == each * FRAMES and report.chunks > 1
        made, times, first = pictures(out)
        assert nearest(made, MOMENTS) == list(range(0, 2 * FRAMES, 2 // each))
        assert not first.interlaced_frame
        step = 1 / FPS / each
        expected = [before[0] + step * i for i in range(each * FRAMES)]
        np.testing.assert_allclose([float(t) for t in times], expected, atol=0.0011)  # Matroska counts milliseconds
        with av.open(str(out)) as container:
            assert container.streams.video[0].average_rate == each * FPS
            last = [p for p in container.demux(video=0) if p.size][-1]
            assert float(last.duration * last.time_base) == pytest.approx(step, abs=0.0011)


def test_fields_of_a_dv_camera(tmp_path):
    """Bottom field first, intra pictures only; its container states its time base as its rate."""
    source = encode_fields(
        tmp_path / "tape.dv", weave(moving_texture(6, 576, 720, 8, 4), top_first=False), "dvvideo", flags="bff"
    )
    report = codecvsr.upscale(
        source, tmp_path / "o.mkv", height=72, width=90, model="bicubic", deinterlace="field", **FAST
    )
    assert report.frames == report.deinterlaced_frames == 6
    with av.open(str(tmp_path / "o.mkv")) as container:
        assert container.streams.video[0].average_rate == 50
    shown = [picture.reshape(72, 8, 90, 8, 3).mean(axis=(1, 3)) for picture in moving_texture(6, 576, 720, 8, 4)]
    assert nearest(pictures(tmp_path / "o.mkv")[0], shown) == list(range(6))


def test_uneven_times_are_halved(tmp_path):
    pts = [0, 40, 80, 200, 230, 260]
    source = encode_fields(tmp_path / "s.mkv", weave(MOMENTS)[:6], pts=pts, time_base=Fraction(1, 1000))
    codecvsr.upscale(source, tmp_path / "o.mp4", deinterlace="field", **SMALL)
    halved = [0, 20, 40, 60, 80, 140, 200, 215, 230, 245, 260]
    np.testing.assert_allclose(seconds(tmp_path / "o.mp4")[:11], np.array(halved) / 1000, atol=1e-4)


def test_off_leaves_the_fields_woven(fields, tmp_path):
    report = codecvsr.upscale(fields["mkv"], tmp_path / "o.mkv", deinterlace="off", **SMALL)
    assert report.frames == FRAMES and report.deinterlaced_frames == 0
    made, woven = pictures(tmp_path / "o.mkv")[0], weave(MOMENTS)
    assert nearest(made, woven) == list(range(FRAMES))
    assert np.abs(made.astype(int) - woven).mean() < np.abs(made.astype(int) - MOMENTS[::2]).mean()


def test_a_run_that_was_stopped_goes_on_with_the_same_frames(fields, small, tmp_path, monkeypatch):
    """Decoding begins before the chunk, as a de-interlaced frame depends on the one before it."""
    options = {**SMALL, "model": small, "deinterlace": "field", "crf": 12}
    codecvsr.upscale(fields["mkv"], tmp_path / "whole.mkv", **options)
    real = process_chunk.ChunkProcessor.make

    def stopped(self, chunks, *handlers):
        real(self, list(chunks)[:2], *handlers)
        raise KeyboardInterrupt

    out = tmp_path / "o.mkv"
    monkeypatch.setattr(process_chunk.ChunkProcessor, "make", stopped)
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(fields["mkv"], out, **options)
    monkeypatch.undo()
    with pytest.raises(codecvsr.errors.OutputError, match="deinterlace was field, is auto"):
        codecvsr.upscale(fields["mkv"], out, **{**options, "deinterlace": "auto"})
    report = codecvsr.upscale(fields["mkv"], out, workers=2, **options)
    assert report.resumed_frames and report.workers == 2
    assert read(out)[0] == read(tmp_path / "whole.mkv")[0]


def test_a_part_counts_frames_of_the_output(fields, tmp_path):
    report = codecvsr.upscale(fields["ts"], tmp_path / "o.mkv", deinterlace="field", start=0.09, end=0.29, **SMALL)
    made, times, _ = pictures(tmp_path / "o.mkv")
    assert report.frames == 10 and nearest(made, MOMENTS) == list(range(5, 15))
    np.testing.assert_allclose([float(t) for t in times], [i / 50 for i in range(10)], atol=0.0011)


def test_motion_comes_from_a_proxy_encode(fields, small, tmp_path):
    """The stream's vectors are of fields: none of them is used, and what the proxy's say is right."""
    seen = []
    real = process_chunk.make_source

    def watched(*arguments):
        seen.append(real(*arguments))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process_chunk, "make_source", watched)
        codecvsr.upscale(fields["mkv"], tmp_path / "o.mkv", **{**SMALL, "model": small, "chunk": FRAMES})
    motion = seen[0].motion
    to_prev = np.median(motion.to_prev[2:-1, :, 3:-3, 3:-3], axis=(0, 2, 3))
    np.testing.assert_allclose(to_prev, (-4, -2), atol=0.3)  # two moments of (2, 1)


def test_what_the_commands_say(fields, tmp_path):
    said = "10 frames, all de-interlaced with bwdif, one per frame"
    run = CliRunner().invoke(cli, ["upscale", str(fields["mkv"]), "--dry-run"])
    assert said in run.output and "codec: de-interlaced pictures have no vectors; each chunk is encoded" in run.output
    out = tmp_path / "o.mkv"
    run = CliRunner().invoke(
        cli, ["upscale", str(fields["mpg"]), "-o", str(out), "-m", "bicubic", "--deinterlace", "field"]
    )
    assert run.exit_code == 0 and "20 frames, all de-interlaced with bwdif, one per field" in run.output
    assert "20 frames, 20 of them de-interlaced, 256x192" in run.stdout
    run = CliRunner().invoke(cli, ["infer", "--clip-root", str(fields["mkv"]), "--out-dir", str(tmp_path / "sr")])
    assert run.exit_code == 0 and said in run.output, run.output
    with pytest.raises(InterlacedInputError, match="the stream is interlaced"):
        list(codecvsr.read_video(fields["mkv"]))


@pytest.mark.parametrize(("suffix", "motion"), [("mkv", "codec"), ("mpg", "codec"), ("mpg", "dis")])
def test_infer_makes_the_same_frames(fields, small, tmp_path, caplog, suffix, motion):
    with caplog.at_level(logging.INFO):
        report = infer(fields[suffix], tmp_path / "sr", model=small, motion=motion)
    assert report.frames == FRAMES and "all de-interlaced with bwdif, one per frame" in caplog.text
    out = tmp_path / "o"
    codecvsr.upscale(fields[suffix], out, model=small, motion=motion)
    for path in sorted(out.iterdir()):
        np.testing.assert_array_equal(read_image(path), read_image(tmp_path / "sr" / path.name))


def test_progressive_video_is_untouched_unless_asked(tmp_path):
    source = encode(tmp_path / "s.mkv", MOMENTS[:6], options={"x264-params": "fake-interlaced=1"})
    assert codecvsr.upscale(source, tmp_path / "a.mkv", **SMALL).deinterlaced_frames == 0
    assert codecvsr.upscale(source, tmp_path / "b.mkv", deinterlace="frame", **SMALL).deinterlaced_frames == 6
    assert codecvsr.upscale(source, tmp_path / "c.mkv", deinterlace="field", **SMALL).frames == 12
    assert not checkpoint_path(tmp_path / "c.mkv").exists()


def test_what_cannot_be_de_interlaced(tmp_path):
    folder = noisy_frames(tmp_path / "frames", 3, 16, 16)
    with pytest.raises(InputError, match="is no video; only videos can be de-interlaced"):
        codecvsr.upscale(folder, tmp_path / "o.mkv", deinterlace="field", **SMALL)
    with pytest.raises(InputError, match="the de-interlacing 'bob' is unknown; use auto, off, frame, field"):
        codecvsr.upscale(folder, tmp_path / "o.mkv", deinterlace="bob", **SMALL)
