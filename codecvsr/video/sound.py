"""Sound for the output: whether a container can store it as it is, and coding it again where not."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal, cast

import av

Audio = Literal["auto", "copy", "aac", "opus", "flac", "none"]
AUDIO: tuple[Audio, ...] = ("auto", "copy", "aac", "opus", "flac", "none")

_ENCODERS = {"aac": "aac", "opus": "libopus", "flac": "flac", "alac": "alac"}
_RATES = {
    "aac": (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350),
    "opus": (48000,),
}
_BIT_RATE = {"aac": 96000, "opus": 80000}  # of each channel: transparent for most listeners
_LOSSLESS = {"flac", "alac", "wmalossless", "tta", "wavpack", "ape", "truehd", "mlp", "tak", "shorten", "als"}
_LAYOUTS = ("3.0", "4.0", "quad", "5.0", "5.1", "6.1", "6.1(back)", "7.1", "7.1(wide)")
_UNKNOWN_LAYOUT = re.compile(r"\d+ channels")
_PROBE_RATE = 48000  # every encoder supports it
_DEEP = ("s32", "s32p", "flt", "fltp", "dbl", "dblp", "s64", "s64p")


def match(codec: str, container: str, layout: av.AudioLayout) -> str:
    """Returns the codec for sound that the container cannot store as it is: lossless if the sound is."""
    is_lossless = codec in _LOSSLESS or (codec.startswith("pcm_") and codec not in ("pcm_alaw", "pcm_mulaw"))
    if not is_lossless:
        return "aac"
    if container != "mov":
        return "flac"
    return "aac" if mixing("alac", layout) else "alac"


def is_storable(codec: str, container: str) -> bool:
    """Whether sound can be coded with ``codec`` for the container."""
    return container != "mov" or codec in ("aac", "alac")


def known_layout(layout: av.AudioLayout) -> av.AudioLayout:
    """Returns a channel layout; the usual one of as many channels for sound that does not state which they are."""
    if not _UNKNOWN_LAYOUT.fullmatch(layout.name):
        return layout
    try:
        return av.AudioLayout(f"{layout.nb_channels}c")
    except ValueError:
        return layout


def encoded_layout(codec: str, layout: av.AudioLayout) -> str:
    """Returns the channel layout in which sound of another layout is coded: the nearest that the encoder supports."""
    name = known_layout(layout).name
    same_count = [other for other in _LAYOUTS if av.AudioLayout(other).nb_channels == layout.nb_channels]
    for candidate in (name.replace("(side)", ""), name, *same_count):  # AAC and Opus name no side channels
        encoder = cast(av.AudioCodecContext, av.CodecContext.create(_ENCODERS[codec], "w"))
        encoder.sample_rate, encoder.layout = _PROBE_RATE, candidate
        encoder.format = (encoder.codec.audio_formats or [av.AudioFormat("s16")])[0]
        try:
            encoder.open()
        except (av.FFmpegError, ValueError):
            continue
        return candidate
    return "stereo"


def mixing(codec: str, layout: av.AudioLayout) -> str:
    """Returns, in words, what becomes of the channels where an encoder does not support their layout; empty for nothing."""
    old, new = known_layout(layout).name, encoded_layout(codec, layout)
    return "" if new in (old, old.replace("(side)", "")) else f"its channels ({old}) are mixed to {new}"


class SoundEncoder:
    """Decodes the packets of a stream and codes them again."""

    def __init__(self, out: av.container.OutputContainer, old: av.audio.stream.AudioStream, codec: str) -> None:
        """Adds a stream to ``out``; header and packets are not written yet."""
        self._decoder = old.codec_context
        rates = _RATES.get(codec, ())
        rate = old.codec_context.sample_rate
        rate = rate if not rates or rate in rates else 48000
        stream = cast(av.audio.stream.AudioStream, out.add_stream(_ENCODERS[codec], rate=rate))
        context = stream.codec_context
        context.layout = encoded_layout(codec, old.codec_context.layout)
        channels = context.channels
        is_deep = old.codec_context.format is not None and old.codec_context.format.name in _DEEP
        if codec in ("flac", "alac"):
            planar = "p" if codec == "alac" else ""
            context.format = ("s32" if is_deep and old.codec_context.name != "wmav2" else "s16") + planar
        if codec in _BIT_RATE:
            context.bit_rate = _BIT_RATE[codec] * channels
        context.time_base = stream.time_base = Fraction(1, rate)
        self.stream = stream

    def add(self, packet: av.Packet | None) -> list[av.Packet]:
        """Returns the new packets that are complete; with None, the last ones. Skips damaged packets."""
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            frames = []
        packets = [new for frame in frames for new in self.stream.encode(frame)]
        if packet is None:
            packets += self.stream.encode(None)
        return packets
