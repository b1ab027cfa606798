"""Short videos with a track of sound or subtitles of any codec."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np

from tests.streams import encode, moving_texture

SECONDS = Fraction(1, 4)  #: of sound


def with_sound(path, codec, rate, layout):
    """A video of a quarter of a second with a tone of its own in each channel."""
    video = encode(
        path.with_suffix(".video.mp4"), moving_texture(6, 32, 48, 1, 1), options={"x264-params": "bframes=0"}
    )
    with av.open(str(video)) as old, av.open(str(path), "w") as out:
        picture = out.add_stream_from_template(old.streams.video[0], opaque=True)
        sound = out.add_stream(codec, rate=rate)
        sound.codec_context.layout = layout
        if codec == "wmav2":
            sound.codec_context.bit_rate = 64000
        out.start_encoding()
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        channels = sound.codec_context.channels
        phases = np.arange(int(rate * SECONDS)) * (np.arange(channels)[:, None] + 2) * 100 * 2 * np.pi / rate
        tones = (np.sin(phases) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(tones.T.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        out.mux([*sound.encode(frame), *sound.encode(None)])
    return path


def with_subtitles(path, codec, events, header=b""):
    """A video of 1.5 s with a subtitle stream."""
    video = encode(path.with_suffix(".video.mp4"), moving_texture(36, 48, 64, 1, 1))
    with av.open(str(video)) as old, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(old.streams.video[0], opaque=True)
        if header:
            text = out.add_stream(codec)
            text.codec_context.subtitle_header = header
        else:
            text = out.add_mux_stream(codec, time_base=Fraction(1, 1000))
        text.metadata["language"] = "eng"
        out.start_encoding()
        packets = []
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                packets.append((packet.dts * packet.time_base, packet))
        for begin, end, payload in events:
            packet = av.Packet(payload)
            packet.pts = packet.dts = begin
            packet.duration, packet.time_base, packet.stream = end - begin, Fraction(1, 1000), text
            packets.append((Fraction(begin, 1000), packet))
        for _, packet in sorted(packets, key=lambda each: each[0]):
            out.mux(packet)
    return path
