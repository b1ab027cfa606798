"""Whole videos: what comes out has every frame at its time and everything else the source had; nothing done is lost."""

from __future__ import annotations

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import DamagedInputError, InputError, OutputError, UnsupportedInputError
from codecvsr.files import read_image
from codecvsr.pipeline.upscale import UpscaleOptions, output_size
from codecvsr.pipeline.workfolder import work_path
from tests.films import QUARTER_TURN, frame_times, make_film, noisy_frames, small_network
from tests.streams import encode, moving_texture, remux

FRAMES = 14
FAST = {"preset": "ultrafast"}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return small_network(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    return {suffix: make_film(folder / f"film.{suffix}", FRAMES) for suffix in ("mkv", "mp4", "ts")}


def read(path):
    """Per stream: (type, codec, packets as (seconds, bytes)); and the container's own."""
    with av.open(str(path)) as container:
        packets = {stream.index: [] for stream in container.streams}
        for packet in container.demux([s for s in container.streams if s.type not in ("attachment", "data")]):
            if packet.size:
                packets[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
        streams = [
            (s.type, s.codec_context.name if s.codec_context else s.name, packets[s.index]) for s in container.streams
        ]
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]
        return streams, chapters, dict(container.metadata)


def pictures(path):
    """Decoded pictures and their seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
        return (
            np.stack([f.to_ndarray(format="rgb24") for f in frames]),
            [f.pts * f.time_base for f in frames],
            frames[0],
        )


def video_packets(path):
    return next(packets for kind, _, packets in read(path)[0] if kind == "video")


# --- everything survives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("source", ["mkv", "mp4", "ts"])
def test_every_frame_keeps_its_time_and_everything_else_survives(films, tmp_path, source, target):
    out = tmp_path / f"out.{target}"
    report = codecvsr.upscale(films[source], out, model="bicubic", chunk=5, overlap=2, **FAST)
    assert (report.frames, report.resumed_frames, report.shards) == (FRAMES, 0, 3)
    _, old_times, old = pictures(films[source])
    new_pixels, new_times, new = pictures(out)
    assert new_pixels.shape == (FRAMES, 4 * 32, 4 * 48, 3)
    moved = new_times[0] - old_times[0]
    assert moved == 0 or (target == "mkv" and 0 < moved < Fraction(1, 40))  # Matroska knows no times below zero
    tolerance = Fraction(1, 1000) if target == "mkv" and source != "mkv" else 0  # and counts milliseconds
    assert max(abs(b - moved - a) for a, b in zip(old_times, new_times, strict=True)) <= tolerance
    if source == "mp4":
        assert [t * 90000 for t in old_times] == frame_times(FRAMES)
    for fact in ("color_range", "colorspace", "color_primaries", "color_trc"):
        assert getattr(new, fact) == getattr(old, fact) == 1, fact
    with av.open(str(out)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    if source != "ts":
        assert new.rotation == old.rotation == -90
        assert np.frombuffer(bytes(new.side_data["DISPLAYMATRIX"]), np.int32).tolist() == list(QUARTER_TURN)

    (streams, chapters, metadata), (old_streams, old_chapters, old_metadata) = read(out), read(films[source])
    sound, old_sound = ([s for s in side if s[0] == "audio"] for side in (streams, old_streams))
    assert len(sound) == len(old_sound) == 1 and sound[0][1] == "aac"
    assert [s[0] for s in streams][:2] == [s[0] for s in old_streams][:2]  # the order of the streams
    if source != "ts":  # which wraps every packet in a header of its own
        assert [data for _, data in sound[0][2]] == [data for _, data in old_sound[0][2]]
    drift = [a - b for (a, _), (b, _) in zip(sound[0][2], old_sound[0][2], strict=True)]
    assert max(abs(d - moved) for d in drift) <= tolerance * 2  # sound and picture stay together
    if source != "ts":
        assert len(chapters) == 2 and [c[2] for c in chapters] == ["One", "Two"] == [c[2] for c in old_chapters]
        assert [c[0] for c in chapters] == [c[0] for c in old_chapters]
        assert metadata["title" if "title" in metadata else "TITLE"] == old_metadata["title"] == "A small film"
    subtitles = [s for s in streams if s[0] == "subtitle"]
    if source == "mkv":
        assert len(subtitles) == 1 and subtitles[0][1] == ("srt" if target == "mkv" else "mov_text")
        shown = [(t, data) for t, data in subtitles[0][2] if data != b"\0\0"]
        assert [round(float(t), 3) for t, _ in shown] == [0.1, 0.35]
        assert b"Hello " in shown[0][1] and "zw\u00f6lf\nlines".encode() in shown[1][1].replace(b"\r", b"")
        attached = [s for s in streams if s[0] == "attachment"]
        assert len(attached) == (target == "mkv")
        assert len(report.losses) == (target != "mkv")


def test_what_a_container_cannot_hold_is_named_or_refused(films, small, tmp_path, caplog):
    arguments = [str(films["mkv"]), "-o", str(tmp_path / "o.mp4"), "-m", str(small)]
    refused = CliRunner().invoke(cli, ["upscale", *arguments, "--strict"])
    assert refused.exit_code == 1 and "would not hold everything (attachment stream 3 (font.ttf): MP4" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(cli, ["upscale", *arguments, "--preset", "ultrafast"])
    assert (
        done.exit_code == 0 and "attachment stream 3 (font.ttf): MP4 cannot hold it, so it is left out" in done.stderr
    )
    codecvsr.upscale(films["mkv"], tmp_path / "o.mkv", model=small, strict=True, **FAST)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["o.mkv", "o.mp4"]  # no work folder is left


def test_shards_change_the_pictures_little_and_one_shard_not_at_all(films, small, tmp_path):
    report = codecvsr.infer(films["mkv"], tmp_path / "whole", model=small)
    codecvsr.upscale(films["mkv"], tmp_path / "one", model=small)
    codecvsr.upscale(films["mkv"], tmp_path / "many", model=small, chunk=4, overlap=3, window=2)
    whole, one, many = (
        np.stack([read_image(p) for p in sorted((tmp_path / name).iterdir())]) for name in ("whole", "one", "many")
    )
    assert report.frames == len(whole) == len(one) == len(many) == FRAMES
    assert np.array_equal(whole, one)
    assert not np.array_equal(whole, many) and abs(whole.astype(int) - many).mean() < 6


# --- nothing that is done is lost -------------------------------------------------------------------------------------


def stop_after(frames):
    """A listener that is interrupted when so many frames were made."""

    def hear(event):
        if event["event"] == "progress" and event["frame"] >= frames:
            raise KeyboardInterrupt

    return hear


def test_an_interrupted_run_goes_on_and_ends_the_same(films, small, tmp_path):
    options = {"model": small, "chunk": 4, "overlap": 2, **FAST}
    whole, parts = tmp_path / "whole.mkv", tmp_path / "parts.mkv"
    codecvsr.upscale(films["mkv"], whole, **options)
    with pytest.raises(KeyboardInterrupt, match=r"6 of 14 frames are done .*Run the same command to go on"):
        codecvsr.upscale(films["mkv"], parts, listener=stop_after(8), **options)
    assert not parts.exists() and sorted(p.name for p in work_path(parts).glob("*.nut")) == ["000000.nut", "000001.nut"]
    events = []
    report = codecvsr.upscale(films["mkv"], parts, listener=events.append, **options)
    assert report.resumed_frames == 6 and report.frames == FRAMES
    assert sum(event["event"] == "progress" for event in events) == FRAMES - 6
    assert read(parts) == read(whole)
    assert not work_path(parts).exists()


def test_an_unfinished_run_of_another_job_is_refused_and_y_starts_over(films, small, tmp_path):
    out = tmp_path / "o.mp4"
    options = {"model": small, "chunk": 4, "overlap": 2, **FAST}
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(films["mkv"], out, listener=stop_after(9), **options)
    for change, words in (
        ({"crf": 20}, "options crf was 18, is 20"),
        ({"model": "bicubic"}, "model name was None, is bicubic"),
        ({"scale": 2}, "options scale was 4, is 2"),
    ):
        with pytest.raises(OutputError, match=rf"{words}.*give -y to start over, or repeat the earlier command"):
            codecvsr.upscale(films["mkv"], out, **{**options, **change})
    with pytest.raises(OutputError, match="input bytes was"):
        codecvsr.upscale(films["mp4"], out, **options)
    assert len(list(work_path(out).glob("*.nut"))) == 2
    report = codecvsr.upscale(films["mkv"], out, overwrite=True, resume=True, **options)
    assert report.resumed_frames == 6
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(films["mkv"], out, overwrite=True, listener=stop_after(9), **options)
    assert out.exists()  # the old one, until the new one is whole
    report = codecvsr.upscale(films["mkv"], out, overwrite=True, **options)
    assert report.resumed_frames == 0


def test_frames_in_a_folder_go_on_too(films, small, tmp_path):
    options = {"model": small, "chunk": 4, "overlap": 2}
    codecvsr.upscale(films["mkv"], tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        codecvsr.upscale(films["mkv"], tmp_path / "parts", listener=stop_after(10), **options)
    assert not (tmp_path / "parts").exists()
    assert codecvsr.upscale(films["mkv"], tmp_path / "parts", **options).resumed_frames == 6
    whole, parts = (sorted((tmp_path / name).iterdir()) for name in ("whole", "parts"))
    assert [p.name for p in whole] == [p.name for p in parts] == [f"{i:08d}.png" for i in range(FRAMES)]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(whole, parts, strict=True))


def test_stopped_when_only_tidying_was_left(films, small, tmp_path, monkeypatch):
    out = tmp_path / "o.mkv"
    monkeypatch.setattr("codecvsr.pipeline.workfolder.WorkFolder.remove", lambda self: None)
    codecvsr.upscale(films["mkv"], out, model=small, **FAST)
    monkeypatch.undo()
    made = out.read_bytes()
    report = codecvsr.upscale(films["mkv"], out, model=small, **FAST)  # not "exists already": it is this run's
    assert report.resumed_frames == FRAMES and out.read_bytes() == made and not work_path(out).exists()
    with pytest.raises(OutputError, match="exists already"):
        codecvsr.upscale(films["mkv"], out, model=small, **FAST)


def start(arguments, **keywords):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.Popen(
        [sys.executable, "-m", "codecvsr", "upscale", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **keywords,
    )  # fmt: skip


def wait_for(path, process):
    for _ in range(6000):
        if path.exists():
            return
        if process.poll() is not None:
            pytest.fail(f"ended early: {process.communicate()}")
        time.sleep(0.01)
    pytest.fail(f"{path} did not appear")


@pytest.fixture(scope="module")
def long_film(tmp_path_factory):
    return make_film(tmp_path_factory.mktemp("long") / "long.mkv", 40)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_started_again(long_film, small, tmp_path, how):
    out = tmp_path / "o.mkv"
    arguments = [long_film, "-o", out, "-m", small, "--chunk", "3", "--overlap", "2", "--preset", "ultrafast"]
    process = start(arguments)
    wait_for(work_path(out) / "000001.nut", process)
    process.send_signal(how)
    told = process.communicate()[1]
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    if how == signal.SIGINT:
        assert "error: interrupted. " in told and "Run the same command to go on." in told
    assert not out.exists() and len(list(work_path(out).glob("0*.nut"))) >= 2
    process = start([*arguments, "--json"])
    result, told = process.communicate()
    assert process.returncode == 0, told
    made = json.loads(result)["made"][0]
    assert made["frames"] == 40 and 6 <= made["resumed_frames"] < 40
    whole = tmp_path / "whole.mkv"
    codecvsr.upscale(long_film, whole, model=small, chunk=3, overlap=2, **FAST)
    assert read(out) == read(whole) and len(video_packets(out)) == 40


def test_a_full_disk_is_said_and_what_is_done_stays(long_film, small, tmp_path):
    out = tmp_path / "o.mkv"
    arguments = [long_film, "-o", out, "-m", small, "--chunk", "6", "--crf", "1", "--preset", "ultrafast"]
    most = 40_000
    process = start(arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)))
    _result, told = process.communicate()
    assert process.returncode == 1 and "no space left on the disk" in told and "run the same command to go on" in told
    assert [p.name for p in tmp_path.iterdir()] == [work_path(out).name] and not list(work_path(out).glob("*.part"))
    process = start(arguments)
    assert process.communicate() and process.returncode == 0
    assert len(video_packets(out)) == 40


def test_two_at_once_on_one_output_are_refused(films, small, tmp_path):
    out = tmp_path / "o.mkv"

    def second(event):
        if event["event"] == "plan":
            with pytest.raises(OutputError, match="another process is making it"):
                codecvsr.upscale(films["mkv"], out, model=small, **FAST)

    assert codecvsr.upscale(films["mkv"], out, model=small, listener=second, **FAST).frames == FRAMES


# --- inputs of every kind ---------------------------------------------------------------------------------------------


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
    with pytest.raises(InputError, match="h264 takes no pixel format 'rgb48'"):
        codecvsr.upscale(source, tmp_path / "p.mkv", model="bicubic", pixel_format="rgb48")
    assert not work_path(tmp_path / "p.mkv").exists()


def test_undeclared_colours_of_small_video_are_declared(tmp_path):
    """Players take undeclared video for BT.601 when it is small and for BT.709 when it is large."""
    source = encode(tmp_path / "s.mp4", moving_texture(3, 32, 48, 2, 1))
    codecvsr.upscale(source, tmp_path / "o.mkv", model="bicubic", **FAST)
    assert int(pictures(source)[2].colorspace) == 2
    assert int(pictures(tmp_path / "o.mkv")[2].colorspace) == 6


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused_before_any_work(tmp_path, transfer):
    source = tmp_path / "s.mp4"
    parameters = {"x264-params": f"colorprim=bt2020:colormatrix=bt2020nc:transfer={ {16: 'smpte2084', 18: 'arib-std-b67'}[transfer]}"}  # fmt: skip
    encode(source, moving_texture(3, 32, 48, 2, 1), options=parameters, pixel_format="yuv420p10le")
    with pytest.raises(UnsupportedInputError, match=r"is HDR, (PQ|HLG).*Tone-map it first"):
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
    with pytest.raises(InputError, match="a width of 101 cannot be coded with halved chroma"):
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
    assert "vp9 exports no motion vectors, so each stretch is coded with x264" in done.stderr.replace("libvpx-", "")
    still = CliRunner().invoke(cli, [*arguments, str(tmp_path / "zero.mkv"), "--motion", "zero"])
    assert still.exit_code == 0
    a, b = pictures(tmp_path / "o.mkv")[0], pictures(tmp_path / "zero.mkv")[0]
    assert len(a) == len(b) == 8 and not np.array_equal(a, b)


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


def test_a_folder_that_holds_more_than_pictures_is_not_replaced(small, tmp_path):
    source = noisy_frames(tmp_path / "in", 2, 16, 16)
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError, match=r"holds more than pictures \(thesis.txt\)"):
        codecvsr.upscale(source, out, model="bicubic", overwrite=True)
    assert (out / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize("codec", ["hevc", "ffv1"])
def test_other_codecs_out(films, tmp_path, codec):
    codecvsr.upscale(films["mkv"], tmp_path / "o.mkv", model="bicubic", codec=codec, chunk=5, **FAST)
    made, times, _frame = pictures(tmp_path / "o.mkv")
    assert made.shape[0] == FRAMES and times == pictures(films["mkv"])[1]
    if codec == "ffv1":
        codecvsr.upscale(films["mkv"], tmp_path / "frames", model="bicubic", chunk=5)
        lossless = np.stack([read_image(p) for p in sorted((tmp_path / "frames").iterdir())])
        assert np.array_equal(made, lossless)
        with pytest.raises(InputError, match="MP4 holds no FFV1"):
            codecvsr.upscale(films["mkv"], tmp_path / "o.mp4", model="bicubic", codec=codec)
    else:
        codecvsr.upscale(films["mkv"], tmp_path / "o.mp4", model="bicubic", codec=codec, **FAST)
        with av.open(str(tmp_path / "o.mp4")) as container:
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_part_of_a_film(films, small, tmp_path):
    old_times = pictures(films["mkv"])[1]
    wanted = [t for t in old_times if old_times[0] + Fraction(1, 10) <= t < old_times[0] + Fraction(3, 10)]
    assert 3 < len(wanted) < FRAMES - 3
    arguments = ["upscale", str(films["mkv"]), "-m", str(small), "--preset", "ultrafast", "-o", str(tmp_path / "o.mkv")]
    done = CliRunner().invoke(cli, [*arguments, "--start", "0.1", "--end", "0:00:00.3"])
    assert done.exit_code == 0, done.output
    _, times, _ = pictures(tmp_path / "o.mkv")
    assert times == [t - wanted[0] for t in wanted]
    streams, chapters, _ = read(tmp_path / "o.mkv")
    sound = next(packets for kind, _, packets in streams if kind == "audio")
    old_sound = next(packets for kind, _, packets in read(films["mkv"])[0] if kind == "audio")
    duration = float(wanted[-1] - wanted[0])
    assert 0 < len(sound) < len(old_sound) and all(0 <= t <= duration + 0.11 for t, _ in sound)
    assert {data for _, data in sound} < {data for _, data in old_sound}
    assert [c[2] for c in chapters] == ["One", "Two"] and chapters[0][0] == 0
    nothing = CliRunner().invoke(cli, [*arguments, "-y", "--start", "99"])
    assert nothing.exit_code == 1 and "no frame lies in the part asked for" in nothing.stderr
    assert (tmp_path / "o.mkv").exists() and not work_path(tmp_path / "o.mkv").exists()


# --- several inputs, bad inputs, what is said -------------------------------------------------------------------------


def test_one_that_fails_does_not_stop_the_others(films, small, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    good = tmp_path / "good.mkv"
    good.write_bytes(films["mkv"].read_bytes())
    out = tmp_path / "out"
    arguments = ["upscale", str(films["mp4"]), str(broken), str(good), "-o", str(out), "-m", str(small), "--preset",
                 "ultrafast", "--json"]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 3
    assert "broken.mp4 was not upscaled" in done.stderr and "not a readable media file" in done.stderr
    told = json.loads(done.stdout)
    assert [m["frames"] for m in told["made"]] == [FRAMES, FRAMES] and len(told["failed"]) == 1
    assert sorted(p.name for p in out.iterdir()) == ["film.mp4", "good.mkv"]
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [e["frame"] for e in events if e["event"] == "progress"] == [*range(1, FRAMES + 1)] * 2
    assert {"plan", "progress", "done", "failed"} <= {e["event"] for e in events}
    again = CliRunner().invoke(cli, arguments)
    assert again.exit_code == 1 and again.stderr.count("exists already") == 2


def test_names_of_several_outputs(tmp_path):
    from codecvsr.pipeline.batch import plan_outputs

    noisy_frames(tmp_path / "frames", 1, 8, 8)
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.avi"):
        (tmp_path / "videos" / name).touch()
    out = tmp_path / "out"
    jobs = plan_outputs([tmp_path / "frames", tmp_path / "videos"], out)
    assert [target.name for _, target in jobs] == ["frames.mkv", "a.mp4", "b.mkv"]
    assert plan_outputs([tmp_path / "videos" / "a.mp4"], out) == [(tmp_path / "videos" / "a.mp4", out)]
    assert plan_outputs([tmp_path / "videos" / "a.mp4"], out, "png")[0][1] == out / "a" / "%08d.png"
    with pytest.raises(InputError, match="several inputs need a folder"):
        plan_outputs([tmp_path / "videos"], tmp_path / "o.mp4")
    with pytest.raises(InputError, match="two inputs would become .*a.mp4"):
        plan_outputs([tmp_path / "videos" / "a.mp4", tmp_path / "videos"], out)


def test_nothing_is_overwritten_unasked(films, tmp_path):
    source = tmp_path / "film.mkv"
    source.write_bytes(films["mkv"].read_bytes())
    with pytest.raises(OutputError, match="is the input itself"):
        codecvsr.upscale(source, source, model="bicubic", overwrite=True)
    (tmp_path / "o.mp4").write_text("mine")
    with pytest.raises(OutputError, match="o.mp4: exists already; give -y"):
        codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic")
    with pytest.raises(InputError, match=r"an output ends in .mp4, .m4v, .mov, .mkv, or is a folder"):
        codecvsr.upscale(source, tmp_path / "o.avi", model="bicubic")
    assert (tmp_path / "o.mp4").read_text() == "mine" and source.read_bytes() == films["mkv"].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mkv", "o.mp4"]


def test_a_damaged_video_is_refused_before_any_work_or_used_as_far_as_it_is_sound(tmp_path):
    whole = encode(tmp_path / "whole.mkv", moving_texture(12, 32, 48, 2, 1), options={"bf": "0"})
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.9)])
    with pytest.raises(DamagedInputError, match="cut.mkv: the stream is damaged after"):
        codecvsr.upscale(cut, tmp_path / "o.mkv", model="bicubic")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.mkv", "whole.mkv"]
    report = codecvsr.upscale(cut, tmp_path / "o.mkv", model="bicubic", allow_damaged=True, **FAST)
    assert 0 < report.frames == len(video_packets(tmp_path / "o.mkv")) < 12


def test_a_raw_stream_has_no_times_and_gets_even_ones(tmp_path):
    source = encode(tmp_path / "s.mp4", moving_texture(6, 32, 48, 2, 1), fps=25)
    raw = remux(source, tmp_path / "s.h264")
    codecvsr.upscale(raw, tmp_path / "o.mp4", model="bicubic", **FAST)
    times = pictures(tmp_path / "o.mp4")[1]
    assert [b - a for a, b in itertools.pairwise(times)] == [Fraction(1, 25)] * 5


def test_before_and_after(films, small, tmp_path):
    common = {"model": small, "overwrite": True, **FAST}
    codecvsr.upscale(films["mkv"], tmp_path / "o.mkv", compare=tmp_path / "c.png", codec="ffv1", **common)
    compared, made = read_image(tmp_path / "c.png"), pictures(tmp_path / "o.mkv")[0][FRAMES // 2]
    assert compared.shape == made.shape
    middle = made.shape[1] // 2
    assert (compared[:, middle - 1 : middle + 1] == 255).all()
    assert np.array_equal(compared[:, middle + 1 :], made[:, middle + 1 :])
    assert not np.array_equal(compared[:, : middle - 1], made[:, : middle - 1])
    codecvsr.upscale(films["mkv"], tmp_path / "frames", compare=tmp_path / "c.mp4", start=0.1, **common)
    assert len(pictures(tmp_path / "c.mp4")[0]) == len(list((tmp_path / "frames").iterdir())) < FRAMES
    with pytest.raises(InputError, match="a comparison ends in .png"):
        codecvsr.upscale(films["mkv"], tmp_path / "p.mkv", compare=tmp_path / "c.jpg", **common)


def test_plain_progress_says_speed_and_what_is_left(films, small, tmp_path):
    done = CliRunner().invoke(
        cli, ["upscale", str(films["mkv"]), "-o", str(tmp_path / "o.mkv"), "-m", str(small), "--preset", "ultrafast"]
    )
    lines = [line for line in done.stderr.splitlines() if " frames/s" in line]
    assert len(lines) == FRAMES and "100 %, 14/14 frames" in lines[-1] and "s left" in lines[0]
    assert "motion codec: the vectors of the H.264 stream" in done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'o.mkv'}: 14 frames, 192x128, ")
    wrong = CliRunner().invoke(cli, ["upscale", "x", "-o", "y", "--start", "soon"])
    assert wrong.exit_code == 2 and "'soon' is not a time" in wrong.stderr
