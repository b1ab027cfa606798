"""Text subtitles of every kind in outputs that store another: every event, its time, and its text without codes."""

from __future__ import annotations

import av
import pytest

import codecvsr
from codecvsr.errors import OutputError
from codecvsr.video.ass import parse_event, read_styles
from codecvsr.video.subtitles import parse_subrip, parse_timed_text
from tests.tracks import with_subtitles
from tests.videos import read

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, Bold, Italic, Underline
Style: Default,Arial,20,0,0,0
Style: Sign,Arial,30,-1,0,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
#: Begin and end in milliseconds, style, text.
ASS = (
    (100, 900, "Default", r"{\an8\pos(10,20)}Hello {\i1}you{\i0}, there\Nsecond \{line\}"),
    (300, 600, "Sign", r"SIGN {\b0}thin{\r} again"),
    (900, 1000, "Default", r"{\p1}m 0 0 l 10 10{\p0}{\bord2\be1\t(0,5,\b1)}after,\hwith commas"),
    (900, 1100, "Default", r"{\b700}last{\b}{\u1}"),
    (1200, 1300, "Default", r"{\p1}m 0 0 l 10 10"),
)
VTT = ((100, 500, "Hi <b>there</b> &amp; you"), (600, 900, "two\nlines"))


def ass_video(path):
    events = [
        (begin, end, f"{number},0,{style},,0,0,0,,{text}".encode())
        for number, (begin, end, style, text) in enumerate(ASS)
    ]
    return with_subtitles(path, "ass", events, HEADER)


def texts(path):
    """(begin in ms, end in ms, text, faces) of what the only subtitle stream shows."""
    with av.open(str(path)) as container:
        stream = container.streams.subtitles[0]
        parse = parse_timed_text if stream.codec_context.name == "mov_text" else parse_subrip
        found = []
        for packet in container.demux(stream):
            styled = parse(bytes(packet)) if packet.size else None
            if styled is not None and styled.text:
                begin, end = packet.pts * packet.time_base, (packet.pts + packet.duration) * packet.time_base
                found.append((round(begin * 1000), round(end * 1000), styled.text, styled.faces))
    return found


FIRST = "Hello you, there\nsecond {line}"
SIGN = "SIGN thin again"
SHOWN = [
    (100, 300, FIRST),
    (300, 600, f"{FIRST}\n{SIGN}"),
    (600, 900, FIRST),
    (900, 1000, "after,\u00a0with commas\nlast"),
    (1000, 1100, "last"),
]


@pytest.mark.parametrize("output", ["o.mp4", "o.mov"])
def test_ass_becomes_timed_text(tmp_path, caplog, output):
    source = ass_video(tmp_path / "in.mkv")
    report = codecvsr.upscale(source, tmp_path / output, **BICUBIC)
    found = texts(tmp_path / output)
    assert [each[:3] for each in found] == SHOWN
    assert found[0][3] == (0,) * 6 + (2,) * 3 + (0,) * 21
    assert found[1][3][len(FIRST) + 1 :] == (1,) * 5 + (0,) * 4 + (1,) * 6
    assert found[4][3] == (1,) * 4
    assert len(report.losses) == 1 and "formatting" in report.losses[0] and "is converted to timed text" in caplog.text
    with pytest.raises(OutputError, match="formatting"):
        codecvsr.upscale(source, tmp_path / f"strict-{output}", strict=True, **BICUBIC)


def test_ass_is_copied_to_matroska(tmp_path):
    source = ass_video(tmp_path / "in.mkv")
    assert codecvsr.upscale(source, tmp_path / "o.mkv", strict=True, **BICUBIC).losses == []
    assert read(tmp_path / "o.mkv")[0][1][2] == read(source)[0][1][2]


def test_a_part_of_ass(tmp_path):
    source = ass_video(tmp_path / "in.mkv")
    codecvsr.upscale(source, tmp_path / "o.mp4", start=0.5, end=1.0, **BICUBIC)
    expected = [(max(begin, 500) - 500, end - 500, text) for begin, end, text in SHOWN if end > 500 and begin < 1000]
    assert [each[:3] for each in texts(tmp_path / "o.mp4")][:3] == expected[:3]


@pytest.mark.parametrize("output", ["o.mp4", "o.mov"])
def test_webvtt_becomes_timed_text(tmp_path, output):
    source = with_subtitles(tmp_path / "in.mkv", "webvtt", [(a, b, text.encode()) for a, b, text in VTT])
    assert codecvsr.upscale(source, tmp_path / output, strict=True, **BICUBIC).losses == []
    assert [each[:3] for each in texts(tmp_path / output)] == [(100, 500, "Hi there & you"), (600, 900, "two\nlines")]
    voiced = with_subtitles(tmp_path / "voice.mkv", "webvtt", [(100, 500, b"<v Bob>Hi")])
    with pytest.raises(OutputError, match="formatting"):
        codecvsr.upscale(voiced, tmp_path / output, overwrite=True, strict=True, **BICUBIC)


def test_texts_that_overlap_and_texts_without_a_duration(tmp_path):
    events = [(100, 800, b"long"), (200, 300, b"<i>short</i>"), (400, 400, b"open"), (1000, 1000, b"end")]
    source = with_subtitles(tmp_path / "in.mkv", "subrip", events)
    assert codecvsr.upscale(source, tmp_path / "o.mp4", strict=True, **BICUBIC).losses == []
    assert [each[:3] for each in texts(tmp_path / "o.mp4")] == [
        (100, 200, "long"),
        (200, 300, "long\nshort"),
        (300, 400, "long"),
        (400, 800, "long\nopen"),
        (800, 1000, "open"),
        (1000, 6000, "end"),
    ]


def odd(value):
    """A character of EIA-608 with its parity bit."""
    return value | (0x80 if value.bit_count() % 2 == 0 else 0)


@pytest.mark.parametrize("output", ["o.mp4", "o.mkv", "o.mov"])
@pytest.mark.parametrize("is_erased", [True, False])
def test_caption_tracks(tmp_path, output, is_erased):
    pairs = [(0x14, 0x20), (0x14, 0x70), (72, 69), (76, 76), (79, 0), (0x14, 0x2F)]  # load, place, HELLO, show
    pairs += [(0, 0)] * 6 + ([(0x14, 0x2C)] if is_erased else [])
    events = [(40 * i, 40 * i + 40, bytes([0xFC, odd(a), odd(b)])) for i, (a, b) in enumerate(pairs)]
    source = with_subtitles(tmp_path / "in.mov", "eia_608", events)
    report = codecvsr.upscale(source, tmp_path / output, **BICUBIC)
    if output == "o.mov":
        assert report.losses == [] and read(tmp_path / output)[0][1] == read(source)[0][1]
    else:
        assert [each[:3] for each in texts(tmp_path / output)] == [(200, 480, "HELLO")]


@pytest.mark.parametrize(("codec", "outputs"), [("dvd_subtitle", ("mkv", "mp4")), ("hdmv_pgs_subtitle", ("mkv",))])
def test_picture_subtitles_stay_in_matroska(tmp_path, codec, outputs):
    payload = b"\x16\0\x0b" + bytes(range(11)) + b"\x80\0\0"  # two PGS segments
    source = with_subtitles(tmp_path / "in.mkv", codec, [(100, 500, payload), (600, 700, payload)])
    for suffix in ("mkv", "mp4", "mov"):
        output = tmp_path / f"o.{suffix}"
        if suffix in outputs:
            assert codecvsr.upscale(source, output, strict=True, **BICUBIC).losses == []
            assert [data for _, data in read(output)[0][1][2]] == [data for _, data in read(source)[0][1][2]]
        else:
            with pytest.raises(OutputError, match=f"subtitle stream 1 .*{suffix.upper()} cannot store it"):
                codecvsr.upscale(source, output, strict=True, **BICUBIC)


def test_styles_of_ass():
    assert read_styles(HEADER) == {"Default": 0, "Sign": 1}
    assert read_styles(b"nonsense") == {} and read_styles(b"Style: A,B") == {}
    for damaged in (b"", b"1,2,3", b"\xff" * 20, b"0,0,Default,,0,0,0,,{\\b1 open"):
        assert parse_event(damaged, {}).text in ("", "{\\b1 open")
