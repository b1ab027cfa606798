"""Sound begins and ends in the output when it does in FFmpeg's decode of the source, whatever a codec puts before it."""

from __future__ import annotations

import av
import numpy as np
import pytest

import codecvsr
from tests.tracks import with_sound

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
MILLISECOND = 0.0011  # Matroska's step


def starts_and_length(path):
    """Time of the first picture, and begin and length of the decoded sound, in seconds."""
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
        first = picture.pts * picture.time_base
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    length = sum(frame.samples for frame in frames) / frames[0].sample_rate
    return float(first), float(frames[0].pts * frames[0].time_base), length


def samples(path):
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=48000)
        return np.concatenate([n.to_ndarray()[0] for f in container.decode(audio=0) for n in resampler.resample(f)])


@pytest.mark.parametrize("output", ["o.mkv", "o.mp4", "o.mov"])
@pytest.mark.parametrize(
    ("codec", "name"), [("aac", "in.mp4"), ("libmp3lame", "in.mp4"), ("libopus", "in.mp4"), ("libopus", "in.webm.mkv")]
)
def test_copied_sound(tmp_path, codec, name, output):
    source = with_sound(tmp_path / name, codec, 48000, "stereo")
    codecvsr.upscale(source, tmp_path / output, **BICUBIC)
    if codec == "libopus" and output == "o.mov":
        return  # encoded again, as QuickTime stores no Opus
    old, new = starts_and_length(source), starts_and_length(tmp_path / output)
    assert old[:2] == pytest.approx(new[:2], abs=MILLISECOND)
    before, after = samples(source), samples(tmp_path / output)
    assert -48 <= len(after) - len(before) <= 960  # MP4 cannot say that players skip the end of an Opus packet
    middle = before[100:11000]
    late = [at for at in range(-48, 49) if np.array_equal(middle, after[100 + at : 11000 + at])]
    assert late == [0]


@pytest.mark.parametrize("output", ["o.mkv", "o.mp4"])
@pytest.mark.parametrize("audio", ["aac", "opus", "flac"])
def test_sound_that_is_encoded_again(tmp_path, audio, output):
    source = with_sound(tmp_path / "in.mkv", "pcm_s16le", 48000, "stereo")
    codecvsr.upscale(source, tmp_path / output, audio=audio, **BICUBIC)
    old, new = starts_and_length(source), starts_and_length(tmp_path / output)
    assert old[:2] == pytest.approx(new[:2], abs=MILLISECOND)
    assert abs(new[2] - old[2]) < 0.025  # a packet
    a, b = samples(source), samples(tmp_path / output)
    middle = slice(2000, 8000)
    errors = [np.square(a[middle] - b[2000 + late : 8000 + late]).mean() for late in range(-200, 200)]
    assert abs(int(np.argmin(errors)) - 200) <= 5


def test_a_chain_of_containers(tmp_path):
    path = source = with_sound(tmp_path / "in.mp4", "aac", 48000, "stereo")
    for output in ("1.mkv", "2.mkv", "3.mp4", "4.mkv"):
        codecvsr.upscale(path, tmp_path / output, scale=1, **BICUBIC)
        path = tmp_path / output
    assert starts_and_length(source) == pytest.approx(starts_and_length(path), abs=2 * MILLISECOND)


def test_a_part_has_no_priming(tmp_path):
    source = with_sound(tmp_path / "in.mp4", "aac", 48000, "stereo")
    codecvsr.upscale(source, tmp_path / "o.mkv", start=0.1, end=0.2, **BICUBIC)
    first, begin, length = starts_and_length(tmp_path / "o.mkv")
    assert first <= begin < first + 0.03 and 0.06 < length < 0.13
