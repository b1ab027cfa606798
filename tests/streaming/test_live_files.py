"""Files through ``live``: every frame at its time, in every kind of output, with sound; and what is refused."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import codecvsr
from codecvsr.errors import InputError, OutputError
from codecvsr.streaming.api import run_live
from codecvsr.streaming.omissions import not_carried
from codecvsr.streaming.options import LiveOptions, OutputOptions
from codecvsr.video.rotation import display_matrix
from tests.streams import encode, moving_texture
from tests.tracks import with_subtitles
from tests.videos import QUARTER_TURN, frame_times, make_video, small_network

FRAMES = 14


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """Uneven times, B-frames and sound."""
    return make_video(tmp_path_factory.mktemp("video") / "in.mkv", FRAMES)


@pytest.fixture(scope="module")
def transport_stream(tmp_path_factory):
    options = {"x264-params": "keyint=12:bframes=0"}
    path = tmp_path_factory.mktemp("stream") / "in.ts"
    return encode(path, moving_texture(24, 48, 64, 1, 1), options=options, audio_first=True)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return str(small_network(tmp_path_factory.mktemp("model") / "small.safetensors", channels=16))


def run(source, output, *, events=None, outputs=None, **options):
    options.setdefault("model", "bicubic")
    listener = (lambda event: None) if events is None else events.append
    return run_live(str(source), str(output), LiveOptions(**options), OutputOptions(**(outputs or {})), listener)


def times(path, kind="video"):
    """Seconds of the packets of a stream, in order of display."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.size)


def codecs(path):
    with av.open(str(path)) as container:
        return [stream.codec_context.name for stream in container.streams]


@pytest.mark.parametrize("latency", [0, 0.2, 1.0])
def test_every_frame_comes_at_its_time(video, network, tmp_path, latency):
    report = run(video, tmp_path / "out.mkv", model=network, latency=latency)
    expected = [Fraction(time, 90000) for time in frame_times(FRAMES)]
    assert report.frames == FRAMES and (report.width, report.height) == (192, 128)
    assert times(tmp_path / "out.mkv") == pytest.approx(expected, abs=0.002)
    sound, original = (times(path, "audio") for path in (tmp_path / "out.mkv", video))
    assert sound == pytest.approx(original, abs=0.002)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "hls/", "out.ts", "out.flv"])
def test_rotation_and_pixel_shape_stay_or_are_named(video, tmp_path, name):
    events = []
    run(video, tmp_path / name if name != "hls/" else f"{tmp_path}/hls/", events=events)
    made = tmp_path / ("hls/index.m3u8" if name == "hls/" else name)
    with av.open(str(made)) as container:
        stream = container.streams.video[0]
        first = next(container.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        matrix = display_matrix(first)
    named = [event.message for event in events if "not turned" in event.message]
    if name in ("out.ts", "out.flv"):
        assert matrix is None and len(named) == 1 and name in named[0]
    else:
        assert matrix == tuple(QUARTER_TURN) and not named


@pytest.mark.parametrize("name", ["out.mkv", "out.ts", "out.mp4", "out.flv", "hls/"])
def test_every_container_has_pictures_and_sound(transport_stream, tmp_path, name):
    output = tmp_path / name
    report = run(transport_stream, f"{tmp_path}/{name}")
    file = output / "index.m3u8" if name == "hls/" else output
    assert report.frames == 24 and report.losses == []
    assert sorted(codecs(file)) == ["aac", "h264"]
    shown, original = times(file), times(transport_stream)
    assert np.diff([float(t) for t in shown]) == pytest.approx(np.diff([float(t) for t in original]), abs=0.003)
    sound, old_sound = times(file, "audio"), times(transport_stream, "audio")
    assert sound[0] - shown[0] == pytest.approx(old_sound[0] - original[0], abs=0.03)
    with av.open(str(file)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 0.9 * 48000
    if name == "hls/":
        text = file.read_text()
        assert "#EXT-X-ENDLIST" in text and "init.mp4" in text and (output / "index.html").is_file()


def test_the_recording_is_the_source(transport_stream, tmp_path):
    run(transport_stream, tmp_path / "out.mkv", record=tmp_path / "record.ts")
    with av.open(str(transport_stream)) as old, av.open(str(tmp_path / "record.ts")) as new:
        pictures = [[f.to_ndarray() for f in container.decode(video=0)] for container in (old, new)]
    np.testing.assert_array_equal(*pictures)
    assert sorted(codecs(tmp_path / "record.ts")) == ["aac", "h264"]


def test_sound_that_the_output_cannot_store_is_coded_or_named(tmp_path):
    video, events = make_video(tmp_path / "in.mkv", sound_codec="libopus"), []
    report = run(video, tmp_path / "out.flv", events=events)
    assert sorted(codecs(tmp_path / "out.flv")) == ["aac", "h264"] and not report.losses
    assert any("coded as AAC" in event.message for event in events)
    report = run(video, tmp_path / "copy.flv", outputs={"audio": "copy"})
    assert codecs(tmp_path / "copy.flv") == ["h264"]
    assert report.losses == ["sound stream 0 (opus) is omitted, as the output cannot store it; use --audio auto"]
    run(video, tmp_path / "none.mkv", outputs={"audio": "none"})
    assert codecs(tmp_path / "none.mkv") == ["h264"]


@pytest.mark.parametrize(("codec", "options"), [("libx265", {"x265-params": "log-level=none"}), ("mpeg2video", {})])
def test_other_codecs_get_their_motion_and_say_from_where(network, tmp_path, codec, options):
    source = encode(tmp_path / "in.mkv", moving_texture(8, 48, 64, 2, 1), codec=codec, options=options)
    events = []
    assert run(source, tmp_path / "out.mkv", model=network, events=events).frames == 8
    expected = "from an encode with x264" if codec == "libx265" else "vectors of the mpeg2video stream"
    assert expected in events[0].message


def test_a_change_of_size_is_brought_to_the_size_of_the_output(network, tmp_path):
    parts = [
        encode(tmp_path / f"{i}.ts", moving_texture(6, *size, 1, 1)) for i, size in enumerate([(48, 64), (32, 48)])
    ]
    joined = tmp_path / "in.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    events = []
    report = run(joined, tmp_path / "out.mkv", model=network, events=events)
    assert report.frames == 12 and (report.width, report.height) == (256, 192)
    assert any("now h264, 48x32" in event.message for event in events)
    assert all(b > a for a, b in zip(times(tmp_path / "out.mkv"), times(tmp_path / "out.mkv")[1:], strict=False))


def test_the_pictures_in_python(video, network):
    pictures = list(codecvsr.live(video, model=network, latency=0.1))
    assert len(pictures) == FRAMES and {p.shape for p in pictures} == {(128, 192, 3)}
    assert pictures[0].dtype == np.uint8 and pictures[0].model == "small"
    expected = [time / 90000 for time in frame_times(FRAMES)]
    assert [p.pts_seconds for p in pictures] == pytest.approx(expected, abs=0.002)
    for picture in codecvsr.live(video, model="bicubic"):
        assert picture.model == "bicubic"
        break


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("missing.mp4", "out.mkv", "no such file"),
        ("tcp://127.0.0.1:9", "out.mkv", "nobody serves this address"),
        ("nosuch://127.0.0.1:9", "out.mkv", "has no protocol nosuch; let another program pass the stream on"),
        ("udp://127.0.0.1:45991", "out.mkv", "no data came within 0.2 s"),
        ("noise.bin", "out.mkv", "no video that can be read"),
        ("sound.wav", "out.mkv", "has no video stream"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_and_leaves_nothing(tmp_path, source, output, message):
    (tmp_path / "noise.bin").write_bytes(np.random.default_rng(0).bytes(200_000))
    with av.open(str(tmp_path / "sound.wav"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        out.mux(stream.encode(sound))
    before = sorted(tmp_path.iterdir())
    name = source if "://" in source else str(tmp_path / source)
    with pytest.raises(InputError, match=message):
        run(name, tmp_path / output, timeout=0.2 if "udp" in source else 10.0)
    assert sorted(tmp_path.iterdir()) == before


def test_an_output_of_an_unknown_protocol_is_one_sentence(video):
    with pytest.raises(OutputError, match="has no protocol nosuch; use -o - and let another program send it"):
        run(video, "nosuch://127.0.0.1:9", outputs={"form": "mpegts"})


def test_outputs_that_exist_are_not_replaced(video, tmp_path):
    for name in ("out.mkv", "record.mkv", "hls/foreign.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        run(video, tmp_path / "out.mkv")
    with pytest.raises(OutputError, match="exists already"):
        run(video, tmp_path / "other.mkv", record=tmp_path / "record.mkv")
    with pytest.raises(OutputError, match="is not empty"):
        run(video, f"{tmp_path}/hls/")
    assert (tmp_path / "out.mkv").read_text() == "mine" and not (tmp_path / "other.mkv").exists()


def test_bad_options():
    with pytest.raises(InputError, match="latency"):
        LiveOptions(latency=-1)
    with pytest.raises(InputError, match="ends in"):
        run("in.mp4", "out.xyz")
    with pytest.raises(InputError, match="cannot be sent through a pipe"):
        run("in.mp4", "-", outputs={"form": "mp4"})


def test_stdin_to_stdout_and_a_reader_that_leaves(transport_stream: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "codecvsr", "live", "-", "-o", "-", "-m", "bicubic", "--format", "mpegts"]
    done = subprocess.run(command, stdin=transport_stream.open("rb"), capture_output=True, check=True)
    (tmp_path / "out.ts").write_bytes(done.stdout)
    assert len(times(tmp_path / "out.ts")) == 24 and sorted(codecs(tmp_path / "out.ts")) == ["aac", "h264"]
    with subprocess.Popen(
        command, stdin=transport_stream.open("rb"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        message = process.stderr.read().decode()
        assert process.wait() == 0, message
    assert "its reader has left" in message and "Traceback" not in message


def test_what_no_live_output_has_is_named_before_the_first_picture(tmp_path):
    source = tmp_path / "in.mkv"
    with_subtitles(source, "subrip", [(0, 1, b"Hello")])
    events = []
    run(source, tmp_path / "out.mkv", events=events)
    texts = [(event.event, event.message) for event in events]
    note = next(
        i for i, (kind, text) in enumerate(texts) if kind == "note" and "not carried: 1 subtitle stream." in text
    )
    assert note < next(i for i, (kind, _) in enumerate(texts) if kind == "connected")


def test_what_a_live_output_lacks(video, transport_stream):
    with av.open(str(transport_stream)) as plain:
        assert not_carried(plain, plain.streams.video[0]) == []
    with av.open(str(video)) as rich:
        missing = not_carried(rich, rich.streams.video[0])
    assert missing == ["1 subtitle stream", "1 attachment stream"]
