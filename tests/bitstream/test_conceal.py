"""Videos damaged in the middle: refused, used up to there, or used in full with what is patched counted."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.bitstream.conceal import ConcealedVideo
from codecvsr.cli import cli
from codecvsr.errors import DamagedInputError, InputError
from codecvsr.video.probe import Media
from tests.streams import encode, moving_texture
from tests.videos import pictures, small_network

FRAMES = 24


def damaged(folder, name, *, codec="libx264", options=None):
    """A video of which the packets 9 and 10 are noise, and the whole one."""
    import av

    whole = encode(folder / f"whole_{name}", moving_texture(FRAMES, 64, 96, 2, 1), codec=codec, options=options)
    broken = folder / name
    rng = np.random.default_rng(3)
    with av.open(str(whole)) as old, av.open(str(broken), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(packet for packet in old.demux(old.streams.video[0]) if packet.size):
            if number in (9, 10):
                data = bytearray(bytes(packet))
                data[12:] = rng.integers(0, 256, len(data) - 12, np.uint8).tobytes()
                noise = av.Packet(bytes(data))
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                noise.duration, noise.is_keyframe = packet.duration, packet.is_keyframe
                packet = noise
            packet.stream = copy
            new.mux(packet)
    return whole, broken


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mkv", "libx264", {"bf": "0", "g": "8"}),
        ("b.mp4", "libx264", {"bf": "2", "g": "12"}),
        ("c.mkv", "libvpx-vp9", {"g": "8", "deadline": "realtime", "cpu-used": "8"}),
        ("d.mkv", "libx265", {"x265-params": "keyint=8:log-level=none", "preset": "ultrafast"}),
    ],
)
def test_every_frame_comes_and_what_is_patched_is_counted(tmp_path, name, codec, options):
    whole, broken = damaged(tmp_path, name, codec=codec, options=options)
    video = ConcealedVideo(broken)
    frames = list(video)
    assert len(frames) == FRAMES and [frame.index for frame in frames] == list(range(FRAMES))
    times = [frame.pts_seconds for frame in frames]
    assert times == sorted(set(times)) == [frame.pts_seconds for frame in Media.open(whole).frames()]
    assert 1 <= video.concealed < FRAMES
    original = [frame.rgb.astype(int) for frame in Media.open(whole).frames()]
    first = [i for i in range(FRAMES) if not np.array_equal(frames[i].rgb, original[i])]
    assert first and first[0] >= 7  # what was before the damage is as it was
    sound = ConcealedVideo(whole)
    assert len(list(sound)) == FRAMES and sound.concealed == 0


def test_the_command_refuses_stops_or_conceals(tmp_path):
    _, broken = damaged(tmp_path, "a.mkv", options={"bf": "0", "g": "8"})
    small = small_network(tmp_path / "small.safetensors")
    out = tmp_path / "o.mkv"
    arguments = ["upscale", str(broken), "-o", str(out), "-m", str(small), "--preset", "ultrafast"]
    refused = CliRunner().invoke(cli, arguments)
    assert refused.exit_code == 1 and "damaged after" in refused.stderr and "--conceal" in refused.stderr
    assert not out.exists()
    done = CliRunner().invoke(cli, [*arguments, "--conceal"])
    assert done.exit_code == 0, done.output
    assert len(pictures(out)[0]) == FRAMES
    assert "of its 24 frames were patched" in done.stderr and "of them patched" in done.stdout
    stopped = codecvsr.upscale(broken, out, model="bicubic", allow_damaged=True, overwrite=True, preset="ultrafast")
    assert stopped.frames == len(pictures(out)[0]) < FRAMES and stopped.concealed_frames == 0
    with pytest.raises(InputError, match="choose one of them"):
        codecvsr.upscale(broken, out, model="bicubic", allow_damaged=True, conceal=True)


def test_nothing_to_show_is_an_error(tmp_path):
    import av

    whole = encode(tmp_path / "w.mkv", moving_texture(3, 32, 48, 1, 1), options={"bf": "0"})
    with av.open(str(whole)) as old, av.open(str(tmp_path / "b.mkv"), "w") as new:
        copy = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                noise = av.Packet(b"\0" * 40)
                noise.pts, noise.dts, noise.time_base, noise.stream = packet.pts, packet.dts, packet.time_base, copy
                new.mux(noise)
    with pytest.raises(DamagedInputError, match="no picture of it can be decoded"):
        list(ConcealedVideo(tmp_path / "b.mkv"))
