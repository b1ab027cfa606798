"""The table of docs/upscale.md: what is carried from a source to an output, row by row and cell by cell."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
import pytest

import codecvsr
from codecvsr.bitstream import sei
from codecvsr.video.side_data import OF_PICTURES, parse
from tests.side_data import STRUCTURES, described, shown, time_lapse, video_with_captions
from tests.streams import encode, moving_texture
from tests.tracks import with_sound, with_subtitles
from tests.videos import make_video, pictures, read

PAGE = Path(__file__).parents[2] / "docs" / "upscale.md"
HEAD = "| of the source | .mkv | .mp4 | .mov |"
BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
NAMES = {"subrip": "SubRip", "srt": "SubRip", "mov_text": "timed text"}
ASS_HEADER = b"[V4+ Styles]\nFormat: Name, Fontname, Fontsize, Bold\nStyle: Default,Arial,20,0\n"


class Row(NamedTuple):
    """A row of the table: how a source is made, and what of it an output has."""

    make: Callable[[Path], Path]
    state: Callable[[Path, Path], str]


def side_data(make: Callable[[Path], Path], *names: str) -> Row:
    def state(source: Path, output: Path) -> str:
        for name in names:
            old, new = ([parse(name, data) if data else None for _, data in shown(p, name)] for p in (source, output))
            assert any(old)
            if old != new if name in OF_PICTURES else set(old) - {None} != set(new) - {None}:
                return ""
        return "yes"

    return Row(make, state)


def boxes(*names: str) -> Row:
    return side_data(lambda folder: described(folder, "in.mp4", {name: STRUCTURES[name] for name in names}), *names)


def with_messages(*messages: sei.Message) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        plain = encode(folder / "plain.h264", moving_texture(1, 48, 64, 1, 1))
        path = folder / "in.h264"
        path.write_bytes(sei.insert(plain.read_bytes(), "h264", messages))
        return path

    return make


def alpha(folder: Path) -> Path:
    path = folder / "in.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "bgra"
        rgba = np.dstack([moving_texture(1, 32, 48, 1, 1)[0], np.full((32, 48), 100, np.uint8)])
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="bgra")
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def of_type(path: Path, kind: str) -> list[tuple[str, bytes]]:
    """Codec and bytes of each track, without the empty samples of timed text and the limits of packets of PCM."""
    return [
        (name, b"".join(data for _, data in packets if data != b"\0\0"))
        for found, name, packets in read(path)[0]
        if found == kind
    ]


def track(kind: str, make: Callable[[Path], Path]) -> Row:
    """A row of one sound, subtitle or data stream: "copied" where each packet is, else the name of the new codec."""

    def state(source: Path, output: Path) -> str:
        old, new = of_type(source, kind), of_type(output, kind)
        if not new:
            return ""
        if new[0][1] == old[0][1]:
            return "copied"
        return NAMES.get(new[0][0], new[0][0].upper())

    return Row(make, state)


def sound(codec: str, rate: int = 48000, name: str = "in.mkv") -> Row:
    return track("audio", lambda folder: with_sound(folder / name, codec, rate, "mono"))


def subtitle(codec: str, payload: bytes, name: str = "in.mkv", header: bytes = b"") -> Row:
    events = [(100, 500, payload), (600, 900, payload)]
    return track("subtitle", lambda folder: with_subtitles(folder / name, codec, events, header))


def data_stream(folder: Path) -> Path:
    path = folder / "in.ts"
    video = encode(folder / "video.mp4", moving_texture(4, 48, 64, 1, 1), options={"x264-params": "bframes=0"})
    with av.open(str(video)) as old, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(old.streams.video[0], opaque=True)
        klv = out.add_data_stream("klv")
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
        packet = av.Packet(b"\x06\x0e+4 position")
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 1000), klv
        out.mux(packet)
    return path


def data_state(source: Path, output: Path) -> str:
    with av.open(str(output)) as container:
        streams = [stream for stream in container.streams if stream.type == "data"]
        return "copied" if any(b"position" in bytes(packet) for packet in container.demux(streams)) else ""


def cover(folder: Path, name: str) -> Path:
    path = folder / "in.mp4"
    image = cv2.imencode(f".{name}", moving_texture(1, 24, 24, 0, 0)[0])[1].tobytes()
    video = encode(folder / "video.mp4", moving_texture(2, 48, 64, 1, 1), options={"x264-params": "bframes=0"})
    with av.open(str(video)) as old, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(old.streams.video[0], opaque=True)
        picture = out.add_mux_stream("mjpeg" if name == "jpg" else "png", width=24, height=24)
        picture.disposition = av.stream.Disposition.attached_pic
        packet = av.Packet(image)
        packet.pts = packet.dts = 0
        packet.time_base, packet.stream = Fraction(1, 1000), picture
        out.start_encoding()
        out.mux(packet)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    return path


def cover_state(source: Path, output: Path) -> str:
    def images(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            covers = [s for s in container.streams if s.disposition & av.stream.Disposition.attached_pic]
            return [bytes(packet) for stream in covers for packet in container.demux(stream) if packet.size]

    return "copied" if images(output) == images(source) != [] else ""


def attachment_state(source: Path, output: Path) -> str:
    def files(path: Path) -> list[tuple[str | None, bytes]]:
        with av.open(str(path)) as container:
            return [(s.name, s.data) for s in container.streams if s.type == "attachment"]

    return "copied" if files(output) == files(source) != [] else ""


def whole(name: str) -> Callable[[Path], Path]:
    return lambda folder: make_video(folder / name, 6)


def frame_state(source: Path, output: Path) -> str:
    old, new = pictures(source)[2], pictures(output)[2]
    facts = ("color_range", "colorspace", "color_primaries", "color_trc", "rotation")
    assert old.rotation == -90
    with av.open(str(source)) as a, av.open(str(output)) as b:
        ratios = [c.streams.video[0].sample_aspect_ratio for c in (a, b)]
    return "yes" if ratios[0] == ratios[1] and all(getattr(old, f) == getattr(new, f) for f in facts) else ""


def container_state(source: Path, output: Path) -> str:
    (_, old_chapters, old_tags), (_, new_chapters, new_tags) = read(source), read(output)
    lower = {key.lower(): value for key, value in new_tags.items()}
    tags = {key.lower(): value for key, value in old_tags.items() if key.lower() in ("title", "comment")}
    return "yes" if new_chapters == old_chapters and len(tags) == 2 and tags.items() <= lower.items() else ""


ROWS = {
    "closed captions (EIA-608/708) in the pictures": side_data(
        lambda folder: video_with_captions(folder / "in.mkv", "libx264", 6), "A53_CC"
    ),
    "active format description": side_data(with_messages((4, b"\xb5\x00\x31DTG1\x41\xfa")), "AFD"),
    "user data of cameras in SEI messages": side_data(
        with_messages((5, b"MISPmicrosectime" + bytes(9))), "SEI_UNREGISTERED"
    ),
    "360 degree (spherical) metadata": boxes("SPHERICAL"),
    "stereo 3D layout": boxes("STEREO3D"),
    "HDR10 mastering display, content light level": boxes("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"),
    "ambient viewing environment": boxes("AMBIENT_VIEWING_ENVIRONMENT"),
    "ICC profile": boxes("ICC_PROFILE"),
    "EXIF": side_data(lambda folder: time_lapse(folder / "in.mkv", 1), "EXIF"),
    "transparency": Row(alpha, lambda source, output: "yes" if "a" in pictures(output)[2].format.name else ""),
    "rotation, pixel shape, colour description": Row(whole("in.mp4"), frame_state),
    "tags, chapters": Row(whole("in.mkv"), container_state),
    "cover pictures (JPEG)": Row(lambda folder: cover(folder, "jpg"), cover_state),
    "cover pictures (PNG)": Row(lambda folder: cover(folder, "png"), cover_state),
    "fonts and other attached files": Row(whole("in.mkv"), attachment_state),
    "data streams (KLV)": Row(data_stream, data_state),
    "SubRip": subtitle("subrip", b"<i>Hello</i> you"),
    "timed text": subtitle("mov_text", struct.pack(">H", 5) + b"Hello", "in.mp4"),
    "ASS, SSA": subtitle("ass", b"0,0,Default,,0,0,0,,{\\pos(1,2)}Hello {\\i1}you", header=ASS_HEADER),
    "WebVTT": subtitle("webvtt", b"Hello <b>you</b>"),
    "caption tracks (EIA-608)": subtitle("eia_608", b"\xfc\x94\x20", "in.mov"),
    "Blu-ray subtitles (PGS)": subtitle("hdmv_pgs_subtitle", b"\x16\0\x0b" + bytes(range(11)) + b"\x80\0\0"),
    "DVD subtitles (VobSub)": subtitle("dvd_subtitle", bytes(range(20))),
    "DVB subtitles": subtitle("dvb_subtitle", bytes(range(20))),
    "AAC": sound("aac"),
    "MP3": sound("libmp3lame"),
    "MP2": sound("mp2"),
    "AC-3": sound("ac3"),
    "E-AC-3": sound("eac3"),
    "ALAC": sound("alac"),
    "Opus": sound("libopus"),
    "FLAC": sound("flac"),
    "WavPack": sound("wavpack"),
    "TTA": sound("tta"),
    "PCM of 16 bits": sound("pcm_s16le"),
    "PCM of 24 bits": sound("pcm_s24le"),
    "PCM of floating-point numbers": sound("pcm_f32le"),
    "WMA": sound("wmav2", 44100, "in.wmv"),
    "MS ADPCM": sound("adpcm_ms", 44100, "in.nut"),
    "A-law": sound("pcm_alaw", 8000, "in.mov"),
    "mu-law": sound("pcm_mulaw", 8000, "in.mov"),
}


def table() -> dict[str, list[str]]:
    """Rows of the table: name -> cells of .mkv, .mp4 and .mov."""
    lines = PAGE.read_text().split(HEAD, 1)[1].splitlines()[2:]
    rows: dict[str, list[str]] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        rows[name] = cells
    return rows


def test_every_row_is_checked():
    assert list(table()) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_row(tmp_path, name):
    row = ROWS[name]
    source = row.make(tmp_path)
    found = []
    for suffix in ("mkv", "mp4", "mov"):
        output = tmp_path / f"o.{suffix}"
        report = codecvsr.upscale(source, output, **BICUBIC)
        state = row.state(source, output)
        losses = [loss for loss in report.losses if "font.ttf" not in loss or name.startswith("fonts")]
        losses = [loss for loss in losses if name != "transparency" or "transparency" in loss]
        found.append(f"{state}; the rest named" if state and losses else state or ("named" if losses else "lost"))
    assert found == table()[name]
