"""Tags of streams: what they say of a track or a film is in the output, or named and refused with strict."""

from __future__ import annotations

import av
import numpy as np
import pytest

import codecvsr
from codecvsr.errors import OutputError
from tests.streams import encode, moving_texture
from tests.tracks import with_sound

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}


def tagged(path, source, **tags):
    """A copy of a video whose sound has tags."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        streams = [new.add_stream_from_template(stream, opaque=True) for stream in old.streams]
        new.streams.audio[0].metadata.update(tags)
        new.start_encoding()
        for packet in old.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    return path


def tags_of(path, kind):
    with av.open(str(path)) as container:
        tags = next(stream for stream in container.streams if stream.type == kind).metadata
        return {key.lower(): value for key, value in tags.items()}


def film_in_ogg(path):
    """VP8 with the tags of the film where Ogg has them: in the header of the stream."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libvpx", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata.update(title="Film", ARTIST="Somebody")
        for picture in moving_texture(6, 48, 64, 1, 1):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("output", ["o.mkv", "o.mp4", "o.mov"])
def test_the_tags_of_a_film_in_ogg(tmp_path, output):
    source = film_in_ogg(tmp_path / "in.ogv")
    report = codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC)
    with av.open(str(tmp_path / output)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert report.losses == [] and (tags["title"], tags["artist"]) == ("Film", "Somebody")


@pytest.mark.parametrize("output", ["o.mp4", "o.mov"])
def test_tags_of_a_track_that_mp4_has_no_field_for(tmp_path, output):
    source = tagged(
        tmp_path / "in.mkv", with_sound(tmp_path / "s.mkv", "aac", 48000, "stereo"), title="Comments", MICROPHONE="left"
    )
    with pytest.raises(OutputError, match="tags of audio stream 1 .*MICROPHONE: .* cannot store them"):
        codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC)
    report = codecvsr.upscale(source, tmp_path / output, **BICUBIC)
    assert len(report.losses) == 1 and tags_of(tmp_path / output, "audio")["name"] == "Comments"
    codecvsr.upscale(source, tmp_path / "o.mkv", strict=True, **BICUBIC)
    assert tags_of(tmp_path / "o.mkv", "audio")["microphone"] == "left"


@pytest.mark.parametrize(("output", "key"), [("o.mkv", "title"), ("o.mp4", "name"), ("o.mov", "name")])
def test_the_name_of_a_track_of_mp4(tmp_path, output, key):
    source = tagged(tmp_path / "in.mp4", with_sound(tmp_path / "s.mp4", "aac", 48000, "stereo"), title="Comments")
    assert tags_of(source, "audio")["name"] == "Comments"
    codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC)
    assert tags_of(tmp_path / output, "audio")[key] == "Comments"


def test_an_output_without_alpha_does_not_claim_it(tmp_path):
    plain = encode(tmp_path / "plain.webm", moving_texture(4, 48, 64, 1, 1), codec="libvpx-vp9")
    with av.open(str(plain)) as old, av.open(str(tmp_path / "in.webm"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0], opaque=True)
        copy.metadata["alpha_mode"] = "1"
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    codecvsr.upscale(tmp_path / "in.webm", tmp_path / "o.mkv", **BICUBIC)
    assert tags_of(tmp_path / "in.webm", "video")["alpha_mode"] == "1"
    assert "alpha_mode" not in tags_of(tmp_path / "o.mkv", "video")
