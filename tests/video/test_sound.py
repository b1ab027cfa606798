"""Sound of every layout and rate in every container: copied, or encoded again with as many channels and as long."""

from __future__ import annotations

import av
import numpy as np
import pytest

import codecvsr
from codecvsr.video.sound import encoded_layout, known_layout, match, mixing
from tests.tracks import SECONDS, with_sound

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
#: What players can do: (container, codec) that upscale refuses before work.
REFUSED = {(".mov", "opus"), (".mov", "flac")}


def decoded(path):
    """Codec, rate and samples (channels, N) between -1 and 1."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        channels = stream.codec_context.channels
        resampler = av.AudioResampler(format="fltp")
        frames = [new for frame in container.decode(stream) for new in resampler.resample(frame)]
        samples = np.concatenate([frame.to_ndarray() for frame in frames], axis=1)
        assert samples.shape[0] == channels
        name = stream.codec_context.name.removeprefix("lib")
        return name, stream.codec_context.sample_rate, samples


def loudest(samples, rate):
    """The frequency of each channel, in Hz."""
    spectrum = np.abs(np.fft.rfft(samples[:, : int(rate * SECONDS)]))
    return (spectrum.argmax(axis=1) / float(SECONDS)).round(-2).tolist()


SOURCES = [
    ("pcm_s16le", 8000, "mono"),
    ("pcm_s16le", 48000, "5.1"),
    ("ac3", 48000, "5.1(side)"),
    ("flac", 96000, "quad"),
]


@pytest.mark.parametrize(("codec", "rate", "layout"), SOURCES)
@pytest.mark.parametrize("audio", ["auto", "aac", "opus", "flac"])
def test_sound_in_every_container(tmp_path, caplog, codec, rate, layout, audio):
    source = with_sound(tmp_path / "in.mkv", codec, rate, layout)
    old_name, _, old = decoded(source)
    for suffix in (".mkv", ".mp4", ".mov"):
        if (suffix, audio) in REFUSED:
            continue
        caplog.clear()
        report = codecvsr.upscale(source, tmp_path / f"o{suffix}", audio=audio, strict=True, overwrite=True, **BICUBIC)
        name, new_rate, new = decoded(tmp_path / f"o{suffix}")
        assert report.losses == [] and len(new) == len(old)
        assert abs(new.shape[1] / new_rate - float(SECONDS)) < 0.1
        if audio != "auto":
            assert name == audio
        if name == old_name and audio == "auto":
            assert "encoded again" not in caplog.text
        else:
            assert f"is encoded again as {name}" in caplog.text
        frequencies, expected = loudest(new, new_rate), loudest(old, rate)
        is_low = [
            i for i, value in enumerate(expected) if layout.startswith("5.1") and i == 3 and value
        ]  # the LFE channel
        assert [f for i, f in enumerate(frequencies) if i not in is_low] == [
            f for i, f in enumerate(expected) if i not in is_low
        ]


def test_pcm_in_mp4_is_such_as_players_read(tmp_path):
    for codec, expected in (("pcm_s16le", "pcm_s16le"), ("pcm_s24le", "flac"), ("pcm_f32le", "flac")):
        source = with_sound(tmp_path / f"{codec}.mkv", codec, 48000, "stereo")
        codecvsr.upscale(source, tmp_path / f"{codec}.mp4", strict=True, **BICUBIC)
        name, _, samples = decoded(tmp_path / f"{codec}.mp4")
        assert name == expected
        np.testing.assert_allclose(samples, decoded(source)[2], atol=1e-6)


def test_layouts():
    assert known_layout(av.AudioLayout("6 channels")).name == "5.1"
    assert known_layout(av.AudioLayout("quad")).name == "quad"
    assert known_layout(av.AudioLayout("23 channels")).name == "23 channels"
    assert encoded_layout("aac", av.AudioLayout("5.1(side)")) == "5.1"
    assert encoded_layout("opus", av.AudioLayout("4.0")) == "quad"
    assert encoded_layout("alac", av.AudioLayout("2.1")) == "3.0"
    assert encoded_layout("flac", av.AudioLayout("hexadecagonal")) == "stereo"
    assert mixing("aac", av.AudioLayout("5.1(side)")) == mixing("flac", av.AudioLayout("2 channels")) == ""
    assert mixing("opus", av.AudioLayout("4.0")) == "its channels (4.0) are mixed to quad"
    assert [match("flac", "mov", av.AudioLayout(name)) for name in ("stereo", "quad")] == ["alac", "aac"]
