"""Priming of sound: samples that an encoder puts before the first real one, and that players skip.

MP4 hides them by an edit list, which FFmpeg's reader turns into skipped samples. Matroska states their time as CodecDelay (RFC 9559,
section 5.1.4.1.25), and without it sound would begin late or move the pictures.
"""

from __future__ import annotations

import io
import itertools
import struct
from fractions import Fraction
from pathlib import Path
from typing import cast

import av

from codecvsr.bitstream.containers import TAG_ERRORS, WholePackets, open_input, read_only
from codecvsr.video import matroska
from codecvsr.video.packets import fresh_packets, matroska_sample
from codecvsr.video.timeline import packet_time, shown_packets

_MAX_SECONDS = 1  # more is no priming


def priming_seconds(path: Path, index: int) -> tuple[Fraction, Fraction]:
    """Returns the time of the first packet of a sound stream that the output gets, and how much of its start players skip.

    Args:
        path: of the source.
        index: of the stream.
    """
    with open_input(path) as container:
        read_only(container, [index])
        stream = cast(av.audio.stream.AudioStream, container.streams[index])
        packets = (packet for packet in WholePackets(container) if packet.size and packet.stream_index == index)
        first = next(packets, None)
        begin = None if first is None else packet_time(first)
        if first is None or begin is None or not stream.codec_context.sample_rate:
            return Fraction(0), Fraction(0)
        heard = begin + Fraction(_skipped_samples(first), stream.codec_context.sample_rate)
        written = next(shown_packets(itertools.chain([first], packets)), first)
        begin = packet_time(written) or Fraction(0)
    return begin, heard - begin if 0 < heard - begin <= _MAX_SECONDS else Fraction(0)


def _skipped_samples(packet: av.Packet) -> int:
    if not packet.has_sidedata("skip_samples"):
        return 0
    return int(struct.unpack_from("<I", bytes(packet.get_sidedata("skip_samples")))[0])  # AV_PKT_DATA_SKIP_SAMPLES


def begin_exactly(packet: av.Packet, delay: Fraction) -> None:
    """Changes the time of a first packet of sound, so that the first sample after ``delay`` is on the source's clock.

    Matroska rounds times to milliseconds, and 6.5 ms of priming to 7: sound would begin half a millisecond too soon.
    """
    unit = Fraction(1, cast(av.audio.stream.AudioStream, packet.stream).codec_context.sample_rate)
    begin, duration = packet_time(packet), (packet.duration or 0) * packet.time_base
    if begin is None or packet.time_base <= unit:
        return
    heard = round((begin + delay) / packet.time_base) * packet.time_base
    packet.time_base, packet.duration = unit, round(duration / unit)
    packet.pts = packet.dts = round((heard - delay) / unit)


def add_stream_with_delay(
    out: av.container.OutputContainer, old: av.audio.stream.AudioStream, path: Path, delay: Fraction
) -> av.audio.stream.AudioStream:
    """Adds a stream like ``old`` to a Matroska output, which states that players skip its first ``delay`` seconds.

    PyAV does not set the initial padding of a stream, but copies that of another: one in a header in memory.

    Args:
        out: the output.
        old: stream of the source.
        path: of the source.
        delay: in seconds; nothing is added where the source states one itself.
    """
    sample = matroska_sample(old, next(fresh_packets(path, old.index)))
    data = matroska.add_codec_delay(sample, round(delay * 10**9))
    with av.open(io.BytesIO(data), "r", metadata_errors=TAG_ERRORS) as described:
        return out.add_stream_from_template(described.streams.audio[0], opaque=True)
