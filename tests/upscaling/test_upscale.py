"""Whole videos: every frame comes out at its time, with everything else the source had; several inputs, what is said."""

from __future__ import annotations

import itertools
import json
import re
from fractions import Fraction

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import DamagedInputError, InputError, OutputError
from codecvsr.files import read_image
from tests.streams import encode, moving_texture, remux
from tests.upscaling.short_videos import FAST, FRAMES
from tests.videos import (
    QUARTER_TURN,
    frame_times,
    make_video,
    noisy_frames,
    pictures,
    read,
    video_packets,
)


@pytest.mark.parametrize("target", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("source", ["mkv", "mp4", "ts"])
def test_every_frame_keeps_its_time_and_everything_else_survives(videos, tmp_path, source, target):
    out = tmp_path / f"out.{target}"
    report = codecvsr.upscale(videos[source], out, model="bicubic", chunk=5, overlap=2, **FAST)
    assert (report.frames, report.resumed_frames, report.chunks) == (FRAMES, 0, 3)
    _, old_times, old = pictures(videos[source])
    new_pixels, new_times, new = pictures(out)
    assert new_pixels.shape == (FRAMES, 4 * 32, 4 * 48, 3)
    moved = new_times[0] - old_times[0]
    limit = Fraction(1, 40) if source == "mp4" else Fraction(1, 2000)
    assert moved == 0 or (target == "mkv" and abs(moved) <= limit)  # Matroska knows no times below zero
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

    (streams, chapters, metadata), (old_streams, old_chapters, old_metadata) = read(out), read(videos[source])
    sound, old_sound = ([s for s in side if s[0] == "audio"] for side in (streams, old_streams))
    assert len(sound) == len(old_sound) == 1 and sound[0][1] == "aac"
    assert [s[0] for s in streams][:2] == [s[0] for s in old_streams][:2]  # the order of the streams
    if source != "ts":  # which wraps every packet in a header of its own
        assert [data for _, data in sound[0][2]] == [data for _, data in old_sound[0][2]]
    drift = [a - b for (a, _), (b, _) in zip(sound[0][2], old_sound[0][2], strict=True)]
    assert max(abs(d - moved) for d in drift) <= tolerance * 2  # sound and picture stay in step
    if source != "ts":
        assert len(chapters) == 2 and [c[2] for c in chapters] == ["One", "Two"] == [c[2] for c in old_chapters]
        assert [c[0] for c in chapters] == [c[0] for c in old_chapters]
        assert metadata["title" if "title" in metadata else "TITLE"] == old_metadata["title"] == "A small video"
    subtitles = [s for s in streams if s[0] == "subtitle"]
    if source == "mkv":
        assert len(subtitles) == 1 and subtitles[0][1] == ("srt" if target == "mkv" else "mov_text")
        shown = [(t, data) for t, data in subtitles[0][2] if data != b"\0\0"]
        assert [round(float(t), 3) for t, _ in shown] == [0.1, 0.35]
        assert b"Hello " in shown[0][1] and "zw\u00f6lf\nlines".encode() in shown[1][1].replace(b"\r", b"")
        attached = [s for s in streams if s[0] == "attachment"]
        assert len(attached) == (target == "mkv")
        assert len(report.losses) == (target != "mkv")


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("mp4", {"first": -6006}),  # times below zero, which an edit list hides or shows
        ("mp4", {"first": 123457}),
        ("mkv", {"sound_codec": "libopus"}),
        ("mp4", {"sound_codec": "libopus", "extras": True}),
        ("mkv", {"parameters": "bframes=3:b-adapt=0:keyint=5:open-gop=1"}),
        ("mp4", {"frames": 1}),
        ("mp4", {"frames": 2, "extras": False}),
    ],
)
def test_unusual_videos(tmp_path, suffix, options):
    source = make_video(tmp_path / f"video.{suffix}", **options)
    before, times, _ = pictures(source)
    for target in ("mp4", "mkv"):
        out = tmp_path / f"out.{target}"
        codecvsr.upscale(source, out, model="bicubic", chunk=4, overlap=1, **FAST)
        after, new_times, _ = pictures(out)
        assert len(after) == len(before) == len(video_packets(out))
        moved = new_times[0] - times[0]
        assert moved == 0 or target == "mkv"
        assert max(abs(b - a - moved) for a, b in zip(times, new_times, strict=True)) <= Fraction(1, 1000)
        old_sound, sound = ([s for s in read(p)[0] if s[0] == "audio"] for p in (source, out))
        assert [[data for _, data in s[2]] for s in sound] == [[data for _, data in s[2]] for s in old_sound]
        for a, b in zip(old_sound, sound, strict=True):
            drift = [y - x - moved for (x, _), (y, _) in zip(a[2], b[2], strict=True)]
            assert max(map(abs, drift), default=0) <= Fraction(1, 500)


def test_what_a_container_cannot_hold_is_named_or_refused(videos, small, tmp_path, caplog):
    arguments = [str(videos["mkv"]), "-o", str(tmp_path / "o.mp4"), "-m", str(small)]
    refused = CliRunner().invoke(cli, ["upscale", *arguments, "--strict"])
    assert refused.exit_code == 1 and "cannot store everything (attachment stream 3 (font.ttf): MP4" in refused.stderr
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(cli, ["upscale", *arguments, "--preset", "ultrafast"])
    assert (
        done.exit_code == 0 and "attachment stream 3 (font.ttf): MP4 cannot store it, so it is omitted" in done.stderr
    )
    codecvsr.upscale(videos["mkv"], tmp_path / "o.mkv", model=small, strict=True, **FAST)
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["o.mkv", "o.mp4"]  # no work folder is left


def test_shards_change_the_pictures_little_and_one_shard_not_at_all(videos, small, tmp_path):
    report = codecvsr.infer(videos["mkv"], tmp_path / "whole", model=small)
    codecvsr.upscale(videos["mkv"], tmp_path / "one", model=small)
    codecvsr.upscale(videos["mkv"], tmp_path / "many", model=small, chunk=4, overlap=3, window=2)
    whole, one, many = (
        np.stack([read_image(p) for p in sorted((tmp_path / name).iterdir())]) for name in ("whole", "one", "many")
    )
    assert report.frames == len(whole) == len(one) == len(many) == FRAMES
    assert np.array_equal(whole, one)
    assert not np.array_equal(whole, many) and abs(whole.astype(int) - many).mean() < 6


def test_one_that_fails_does_not_stop_the_others(videos, small, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    good = tmp_path / "good.mkv"
    good.write_bytes(videos["mkv"].read_bytes())
    out = tmp_path / "out"
    arguments = ["upscale", str(videos["mp4"]), str(broken), str(good), "-o", str(out), "-m", str(small), "--preset",
                 "ultrafast", "--json"]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 3
    assert "broken.mp4 was not upscaled" in done.stderr and "not a readable media file" in done.stderr
    result = json.loads(done.stdout)
    assert [m["frames"] for m in result["made"]] == [FRAMES, FRAMES] and len(result["failed"]) == 1
    assert sorted(p.name for p in out.iterdir()) == ["good.mkv", "video.mp4"]
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [e["frame"] for e in events if e["event"] == "progress"] == [*range(1, FRAMES + 1)] * 2
    assert {"plan", "progress", "done", "failed"} <= {e["event"] for e in events}
    again = CliRunner().invoke(cli, arguments)
    result = json.loads(again.stdout)["failed"]
    assert again.exit_code == 1 and sum("exists already" in failure["error"] for failure in result) == 2


def test_names_of_several_outputs(tmp_path):
    from codecvsr.upscaling.batch import plan_outputs

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


def test_a_percent_sign_in_a_name_is_only_that(tmp_path):
    clip = make_video(tmp_path / "video 100%.mp4", 2, extras=False)
    for name in ("50% of it.mkv", "100%"):
        assert codecvsr.upscale(clip, tmp_path / name, model="bicubic", **FAST).output == str(tmp_path / name)
    assert len(list((tmp_path / "100%").iterdir())) == 2
    for name in ("f%05d.mkv", "%.png", "%d%d.png"):
        with pytest.raises(InputError, match="a pattern of frames is like"):
            codecvsr.upscale(clip, tmp_path / name, model="bicubic", **FAST)


def test_nothing_is_overwritten_unasked(videos, tmp_path):
    source = tmp_path / "video.mkv"
    source.write_bytes(videos["mkv"].read_bytes())
    with pytest.raises(OutputError, match="is the input itself"):
        codecvsr.upscale(source, source, model="bicubic", overwrite=True)
    (tmp_path / "o.mp4").write_text("mine")
    with pytest.raises(OutputError, match="o.mp4: exists already; use -y"):
        codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic")
    with pytest.raises(InputError, match=r"an output ends in .mp4, .m4v, .mov, .mkv, or is a folder"):
        codecvsr.upscale(source, tmp_path / "o.avi", model="bicubic")
    assert (tmp_path / "o.mp4").read_text() == "mine" and source.read_bytes() == videos["mkv"].read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["o.mp4", "video.mkv"]


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


def test_before_and_after_fall_on_nothing_else(tmp_path):
    clip = make_video(tmp_path / "video.mp4", 3, extras=False)
    frames = noisy_frames(tmp_path / "in", 3, 16, 16)
    (tmp_path / "link.mp4").symlink_to(clip)
    (tmp_path / "file").touch()
    taken = frames / "frame_005.png"
    before = clip.read_bytes(), taken.read_bytes()
    for source, output, extra in (
        (clip, "o.mp4", {"compare": clip}),
        (clip, "o.mp4", {"compare": tmp_path / "link.mp4"}),
        (clip, "o.mp4", {"compare": tmp_path / "sub" / ".." / "o.mp4"}),
        (clip, "out", {"compare": tmp_path / "out" / "c.png"}),
        (clip, "o.mp4", {"compare": tmp_path / "c.png", "preview": tmp_path / "c.png"}),
        (frames, "o.mp4", {"preview": taken}),
        (frames, "o.mp4", {"compare": tmp_path / "file" / "c.png"}),
    ):
        with pytest.raises(OutputError, match=r"would replace a file of|c\.png: cannot be written"):
            codecvsr.upscale(source, tmp_path / output, model="bicubic", overwrite=True, **extra, **FAST)
        assert not (tmp_path / output).exists()
    assert (clip.read_bytes(), taken.read_bytes()) == before


def test_plain_progress_says_speed_and_what_is_left(videos, small, tmp_path):
    done = CliRunner().invoke(
        cli, ["upscale", str(videos["mkv"]), "-o", str(tmp_path / "o.mkv"), "-m", str(small), "--preset", "ultrafast"]
    )
    lines = [line for line in done.stderr.splitlines() if " frames/s" in line]
    tenths = [int(re.search(r"(\d+) %", line)[1]) // 10 for line in lines]
    assert len(tenths) >= 3 and tenths == sorted(set(tenths))  # a line per tenth at most
    assert "100 %, 14/14 frames" in lines[-1] and "s left" in lines[0]
    assert "motion codec: the vectors of the H.264 stream" in done.stderr
    assert re.match(rf"{re.escape(str(tmp_path))}/o.mkv: \S+ kB, 14 frames, 192x128, ", done.stdout)
    wrong = CliRunner().invoke(cli, ["upscale", "x", "-o", "y", "--start", "soon"])
    assert wrong.exit_code == 2 and "'soon' is not a time" in wrong.stderr
