"""Nothing vanishes in silence: what sources have beyond pictures is carried to the output, or named and refused with strict."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

import codecvsr
from codecvsr.errors import InputError, OutputError
from codecvsr.video import matroska
from tests.streams import encode, moving_texture
from tests.videos import make_video, read

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 12}


def with_sound(path, codec, rate=8000, container=None):
    """A short MPEG-4 video with a tone."""
    with av.open(str(path), "w", format=container) as out:
        video, sound = out.add_stream("mpeg4", rate=24), out.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = 48, 32, "yuv420p"
        sound.codec_context.layout = "mono"
        if codec == "wmav2":
            sound.codec_context.bit_rate = 64000
        for picture in moving_texture(6, 32, 48, 1, 1):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        tone = (np.sin(np.arange(rate // 4) / 20) * 8000).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux([*video.encode(None), *sound.encode(frame), *sound.encode(None)])
    return path


def sound_of(path):
    """Codec, samples and packets of the sound of a file."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        samples = np.concatenate([frame.to_ndarray().ravel() for frame in container.decode(stream)])
        name = stream.codec_context.name
    return name, samples, [data for _, data in next(packets for kind, _, packets in read(path)[0] if kind == "audio")]


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("wmav2", "in.wmv"),
        ("adpcm_ms", "in.avi"),
        ("adpcm_ima_wav", "in.avi"),
        ("pcm_alaw", "in.avi"),
        ("pcm_mulaw", "in.avi"),
    ],
)
def test_sound_without_a_matroska_name_is_copied(tmp_path, codec, name):
    source = with_sound(tmp_path / name, codec, 44100 if codec == "wmav2" else 8000)
    once, twice = tmp_path / "once.mkv", tmp_path / "twice.mkv"
    report = codecvsr.upscale(source, once, strict=True, **BICUBIC)
    codecvsr.upscale(once, twice, strict=True, **BICUBIC)
    old, new, again = sound_of(source), sound_of(once), sound_of(twice)
    assert report.losses == [] and old[0] == new[0] == again[0] == codec
    assert old[2] == new[2] == again[2]
    np.testing.assert_array_equal(old[1], new[1])


@pytest.mark.parametrize(
    ("codec", "name", "output", "expected"),
    [
        ("wmav2", "in.wmv", "o.mp4", "aac"),
        ("pcm_mulaw", "in.avi", "o.mp4", "aac"),
        ("flac", "in.mkv", "o.mov", "alac"),
    ],
)
def test_sound_that_does_not_fit_is_encoded_again_and_told(tmp_path, caplog, codec, name, output, expected):
    source = with_sound(tmp_path / name, codec, 48000)
    report = codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC)
    name, samples, _ = sound_of(tmp_path / output)
    old = sound_of(source)[1]
    assert name == expected and report.losses == []
    assert abs(len(samples) - len(old)) <= 4096
    if expected == "alac":
        np.testing.assert_array_equal(samples, old[: len(samples)])
    assert f"encoded again as {expected}" in caplog.text


@pytest.mark.parametrize(("audio", "expected"), [("aac", "aac"), ("opus", "opus"), ("flac", "flac"), ("none", None)])
def test_audio_option(tmp_path, audio, expected):
    source = with_sound(tmp_path / "in.avi", "pcm_s16le", 8000)
    codecvsr.upscale(source, tmp_path / "o.mkv", audio=audio, **BICUBIC)
    names = [name.removeprefix("lib") for kind, name, _ in read(tmp_path / "o.mkv")[0] if kind == "audio"]
    assert names == ([] if expected is None else [expected])


def test_audio_copy_and_containers(tmp_path):
    source = with_sound(tmp_path / "in.wmv", "wmav2", 44100)
    with pytest.raises(OutputError, match="wmav2.*cannot store"):
        codecvsr.upscale(source, tmp_path / "o.mp4", audio="copy", strict=True, **BICUBIC)
    with pytest.raises(InputError, match="MOV does not support opus"):
        codecvsr.upscale(source, tmp_path / "o.mov", audio="opus", **BICUBIC)


def with_cover(source, path):
    """The video with a cover picture."""
    jpeg = cv2.imencode(".jpg", moving_texture(1, 24, 24, 0, 0)[0])[1].tobytes()
    with av.open(str(source)) as old, av.open(str(path), "w") as out:
        streams = {
            s.index: out.add_stream_from_template(s, opaque=True) for s in (old.streams.video[0], old.streams.audio[0])
        }
        if path.suffix == ".mkv":
            out.add_attachment("cover.jpg", "image/jpeg", jpeg)
        else:
            cover = out.add_mux_stream("mjpeg", width=24, height=24)
            cover.disposition = av.stream.Disposition.attached_pic
        out.start_encoding()
        if path.suffix != ".mkv":
            packet = av.Packet(jpeg)
            packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 1000)
            out.mux(packet)
        for packet in old.demux(list(old.streams.video[:1]) + list(old.streams.audio[:1])):
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return path, jpeg


def covers(path):
    with av.open(str(path)) as container:
        indices = [s.index for s in container.streams if s.disposition & av.stream.Disposition.attached_pic]
        return (
            [bytes(packet) for packet in container.demux(container.streams[indices[0]]) if packet.size]
            if indices
            else []
        )


@pytest.mark.parametrize("source", ["in.mp4", "in.mkv"])
def test_cover_pictures(tmp_path, source):
    path, jpeg = with_cover(make_video(tmp_path / "plain.mp4", 6), tmp_path / source)
    for output in ("o.mp4", "o.mkv"):
        report = codecvsr.upscale(path, tmp_path / output, strict=True, **BICUBIC)
        assert covers(tmp_path / output) == [jpeg] and report.losses == []
    with pytest.raises(OutputError, match="cover picture"):
        codecvsr.upscale(path, tmp_path / "o.mov", strict=True, **BICUBIC)


@pytest.mark.parametrize(("codec", "name"), [("ffv1", "in.mkv"), ("png", "in.mov")])
def test_transparency_is_named_and_refused_with_strict(tmp_path, codec, name):
    source = tmp_path / name
    with av.open(str(source), "w") as out:
        stream = out.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "bgra" if codec == "ffv1" else "rgba"
        for picture in moving_texture(3, 32, 48, 1, 1):
            rgba = np.dstack([picture, np.full(picture.shape[:2], 100, np.uint8)])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=stream.pix_fmt)))
        out.mux(stream.encode(None))
    assert any("transparency" in loss for loss in codecvsr.upscale(source, tmp_path / "o.mkv", **BICUBIC).losses)
    with pytest.raises(OutputError, match="transparency"):
        codecvsr.upscale(source, tmp_path / "p.mkv", strict=True, **BICUBIC)
    assert not (tmp_path / "p.mkv").exists() and not list(tmp_path.glob(".p.*"))


def test_alpha_of_webm_is_seen(tmp_path):
    source = tmp_path / "in.webm"
    with av.open(str(source), "w") as out:
        stream = out.add_stream("libvpx-vp9", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.metadata["alpha_mode"] = "1"
        for picture in moving_texture(3, 32, 48, 1, 1):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode(None))
    with pytest.raises(OutputError, match="transparency"):
        codecvsr.upscale(source, tmp_path / "o.mkv", strict=True, **BICUBIC)


def with_crop(path, crop):
    """Writes PixelCrop elements into the space that the muxer left free: the track's own elements move, its size grows."""
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        offset, tracks = matroska._tracks(file)
    entry = next(matroska._children(tracks, 0, len(tracks), 0xAE))
    _, begin, end = next(matroska._children(tracks, entry[1], entry[2], 0xE0))
    added = b"".join(bytes([i >> 8, i & 255, 0x81, value]) for i, value in zip(matroska._CROPS, crop, strict=True))
    video = b"\xe0" + (0x4000 | (end - begin + len(added))).to_bytes(2, "big") + tracks[begin:end] + added
    head = tracks[entry[1] : begin]
    at = next(a - 1 for a in range(len(head), 0, -1) if head[a - 1] == 0xE0)
    payload = head[:at] + video + tracks[end : entry[2]]
    new = b"\xae" + (0x4000 | len(payload)).to_bytes(2, "big") + payload
    others = tracks[entry[2] :]
    whole = b"\x16\x54\xae\x6b" + (0x01 << 56 | len(new + others)).to_bytes(8, "big") + new + others
    start = data.rindex(b"\x16\x54\xae\x6b", 0, offset)
    return bytes(data[:start]) + whole + bytes(data[offset + len(tracks) :])


@pytest.mark.parametrize("output", ["o.mkv", "o.mp4"])
def test_hidden_rows_and_columns_stay_hidden(tmp_path, output):
    frames = moving_texture(4, 48, 64, 1, 1)
    frames[:, :8] = frames[:, -6:] = frames[:, :, :4] = (255, 0, 0)
    plain = tmp_path / "plain.mkv"
    with av.open(str(plain), "w", options={"write_crc32": "0"}) as out:
        stream = out.add_stream("libx264", rate=24, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode(None))
    source = tmp_path / "in.mkv"
    source.write_bytes(with_crop(plain, (8, 6, 4, 0)))
    assert matroska.read_crops(source) == [(8, 6, 4, 0)]
    report = codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC)
    assert (report.width, report.height) == (240, 136)
    whole = codecvsr.upscale(plain, tmp_path / "whole.mkv", **BICUBIC)
    assert (whole.width, whole.height) == (256, 192)


def test_matroska_reader_survives_anything(tmp_path):
    source = encode(tmp_path / "in.mkv", moving_texture(3, 32, 48, 1, 1)).read_bytes()
    rng = np.random.default_rng(1)
    broken = tmp_path / "broken.mkv"
    for length in [*range(0, 600, 7), len(source)]:
        data = bytearray(source[:length])
        for at in rng.integers(0, max(length, 1), 5) if length else ():
            data[at] = int(rng.integers(256))
        broken.write_bytes(data)
        matroska.read_crops(broken)
