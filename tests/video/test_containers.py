"""The container matrix, judged by the system's ffprobe and ffmpeg: what came in comes out, in step and without a complaint."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction

import pytest

import codecvsr
from tests.videos import make_video

pytestmark = [
    pytest.mark.ffmpeg,
    pytest.mark.skipif(not (shutil.which("ffprobe") and shutil.which("ffmpeg")), reason="no ffprobe and ffmpeg here"),
]
FRAMES = 14
HIDDEN = ("editlist.mp4", "negative.mp4")  # an edit list leaves out the first pictures
ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize
Style: Default,Arial,20

[Events]
Format: Layer, Start, End, Style, Text
Dialogue: 0,0:00:00.10,0:00:00.30,Default,{\\b1}Bold{\\b0} words
Dialogue: 0,0:00:00.35,0:00:00.45,Default,more
"""


def tool(*command):
    """Run a program that must have nothing to complain about."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    result = [line for line in done.stderr.splitlines() if " to muxer in stream " not in line]  # uneven times, rounded
    assert done.returncode == 0 and not result, f"{command}: {done.stderr}"
    return done.stdout


def probe(path):
    sections = ("-show_format", "-show_streams", "-show_chapters", "-show_packets", "-count_frames")
    return json.loads(tool("ffprobe", "-v", "error", *sections, "-show_data_hash", "md5", "-of", "json", path))


def of_type(facts, kind):
    return [s for s in facts["streams"] if s["codec_type"] == kind]


def packets(facts, stream):
    """(seconds, hash) of a stream's packets in the order of showing, without those an edit list hides."""
    base = Fraction(stream["time_base"])
    found = [p for p in facts["packets"] if p["stream_index"] == stream["index"] and int(p["size"])]
    dts = [int(p["dts"]) for p in found if "dts" in p]
    assert dts == sorted(dts), "decoding times go back"
    return sorted((int(p["pts"]) * base, p["data_hash"]) for p in found if "D" not in p["flags"])


def with_subtitles(folder, video, name):
    """The video with ASS subtitles in the place of SubRip."""
    (folder / "subs.ass").write_text(ASS)
    tool("ffmpeg", "-v", "error", "-i", video, "-i", folder / "subs.ass", "-map", "0:v", "-map", "0:a", "-map", "1",
         "-map", "0:t", "-c", "copy", folder / name)  # fmt: skip
    return folder / name


def trimmed(folder, video, name):
    """The video without its beginning, by an edit list: the first pictures are decoded and not shown."""
    tool("ffmpeg", "-v", "error", "-ss", "0.4", "-i", video, "-map", "0", "-map", "-0:d", "-c", "copy", folder / name)
    return folder / name


def make_source(folder, case):
    long = "bframes=2:b-adapt=0:keyint=30"
    if case == "ass.mkv":
        return with_subtitles(folder, make_video(folder / "video.mkv", FRAMES), case)
    if case == "editlist.mp4":
        return trimmed(folder, make_video(folder / "video.mp4", FRAMES, parameters=long), case)
    options = {
        "opus.mkv": {"sound_codec": "libopus"},
        "opus.mp4": {"sound_codec": "libopus"},
        "opengop.mkv": {"parameters": "bframes=3:b-adapt=0:keyint=5:open-gop=1"},
        "negative.mp4": {"first": -6006},
        "pyramid.mp4": {"parameters": "bframes=4:b-adapt=0:b-pyramid=normal:ref=4:keyint=30"},
    }.get(case, {})
    return make_video(folder / case, FRAMES, **options)


CASES = ("aac.mp4", "srt.mkv", "aac.mov", "aac.ts", "ass.mkv", "opus.mkv", "opus.mp4", "opengop.mkv", "negative.mp4",
         "pyramid.mp4", "editlist.mp4")  # fmt: skip


@pytest.fixture(scope="module", params=CASES)
def source(request, tmp_path_factory):
    path = make_source(tmp_path_factory.mktemp("videos"), request.param)
    return path, probe(path)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_container(source, tmp_path, container):
    path, before = source
    out = tmp_path / f"o.{container}"
    report = codecvsr.upscale(path, out, model="bicubic", chunk=5, overlap=1, preset="ultrafast")
    after = probe(out)
    tool("ffmpeg", "-v", "error", "-i", out, "-f", "null", "-")
    is_ts, case = path.suffix == ".ts", path.name

    (old,), (new,) = of_type(before, "video"), of_type(after, "video")
    frames = int(old["nb_read_frames"])
    assert report.frames == frames == int(new["nb_read_frames"]) and (case in HIDDEN or frames == FRAMES)
    assert (new["width"], new["height"]) == (4 * old["width"], 4 * old["height"])
    assert new["sample_aspect_ratio"] == old["sample_aspect_ratio"] == "4:3"
    for fact in ("color_range", "color_space", "color_primaries", "color_transfer"):
        assert new[fact] == old[fact]
    if not is_ts and "side_data_list" in old:
        rotation = [next(d["rotation"] for d in s["side_data_list"] if "rotation" in d) for s in (old, new)]
        assert rotation == [-90, -90]
    old_times, new_times = ([time for time, _ in packets(f, s)] for f, s in ((before, old), (after, new)))
    old_times = old_times[-frames:]  # those before are hidden by the edit list
    moved = new_times[0] - old_times[0]
    coarse = Fraction(1, 1000) if container == "mkv" else 0
    assert max(abs(b - a - moved) for a, b in zip(old_times, new_times, strict=True)) <= coarse
    assert moved == 0 or container == "mkv"

    (old_sound,), (new_sound,) = of_type(before, "audio"), of_type(after, "audio")
    assert new_sound["codec_name"] == old_sound["codec_name"] == ("opus" if "opus" in case else "aac")
    order = [[s["codec_type"] for s in f["streams"]][:2] for f in (before, after)]
    assert order[0] == order[1] == (["video", "audio"] if case == "ass.mkv" else ["audio", "video"])
    old_audio, new_audio = packets(before, old_sound), packets(after, new_sound)
    shared = min(
        len(old_audio), len(new_audio)
    )  # the packet before the first audible one is hidden where the container can hide it
    assert shared > 5 and max(len(old_audio), len(new_audio)) <= shared + 1
    old_audio, new_audio = old_audio[-shared:], new_audio[-shared:]
    if not is_ts:
        assert [h for _, h in old_audio] == [h for _, h in new_audio]
    assert max(abs(b - a - moved) for (a, _), (b, _) in zip(old_audio, new_audio, strict=True)) <= Fraction(2, 1000)

    if not is_ts:
        chapters = [[(c["start_time"], c["tags"]["title"]) for c in f["chapters"]] for f in (before, after)]
        assert [t for _, t in chapters[0]] == [t for _, t in chapters[1]] and len(chapters[1]) >= 1
        assert {k.lower(): v for k, v in after["format"]["tags"].items()}["title"] == "A small video"
    subtitles = [s["codec_name"] for s in of_type(after, "subtitle")]
    attached = [s["tags"]["filename"] for s in of_type(after, "attachment")]
    is_whole = container == "mkv" and path.suffix == ".mkv"
    if path.suffix != ".mkv":
        assert subtitles == attached == report.losses == []
    elif case == "ass.mkv":
        assert subtitles == (["ass"] if is_whole else ["mov_text"])
        assert any("subtitle stream" in loss for loss in report.losses) == (not is_whole)
    else:
        assert subtitles == (["subrip"] if is_whole else ["mov_text"])
    if path.suffix == ".mkv":
        assert attached == (["font.ttf"] if is_whole else [])
        assert any("font.ttf" in loss for loss in report.losses) == (not is_whole)
