"""Sound for the output: whether a container can store it as it is, and coding it again where not."""

from __future__ import annotations

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
_DEEP = ("s32", "s32p", "flt", "fltp", "dbl", "dblp", "s64", "s64p")


def match(codec: str, container: str) -> str:
    """Returns the codec for sound that the container cannot store as it is: lossless if the sound is."""
    is_lossless = codec in _LOSSLESS or (codec.startswith("pcm_") and codec not in ("pcm_alaw", "pcm_mulaw"))
    if not is_lossless:
        return "aac"
    return "alac" if container == "mov" else "flac"


def is_storable(codec: str, container: str) -> bool:
    """Whether sound can be coded with ``codec`` for the container."""
    return container != "mov" or codec in ("aac", "alac")


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
        channels = old.codec_context.channels
        context.layout = {1: "mono", 2: "stereo"}.get(channels, old.codec_context.layout.name)
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
