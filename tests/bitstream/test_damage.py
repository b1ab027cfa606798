"""Which pictures are sound, and which files are cut short."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.bitstream import h264
from codecvsr.bitstream.damage import SoundFrames, cut_short
from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import DamagedInputError
from tests.streams import encode, moving_texture, remux
from tests.videos import make_video

#: (display index, decode index) in display order: I0 P4 B2 b1 b3 P8 B6 b5 b7 P12 B10 b9 b11, then P16
PYRAMID = [(0, 0), (1, 3), (2, 2), (3, 4), (4, 1), (5, 7), (6, 6), (7, 8), (8, 5), (9, 11), (10, 10), (11, 12), (12, 9)]


def returned(order, *, timed=True, rate=None, **end):
    """The pictures returned while those of ``order`` are added, and those returned at the end."""
    sound = SoundFrames()
    early = [x for shown, decoded in order for x in sound.add(shown, decoded, shown / 24 if timed else None)]
    late = list(sound.flush(frame_seconds=rate, **end))
    assert sound.count == len(early) + len(late)
    return early, late


def chained(parts):
    early, late = parts
    return early + late


def test_a_whole_stream_comes_out_whole_and_soon():
    early, late = returned(PYRAMID, damaged=False)
    assert early + late == list(range(13))
    assert len(late) == 4


def test_a_gap_in_a_whole_stream_is_no_damage():
    order = [*PYRAMID, (40, 13)]
    early, late = returned(order, damaged=False)
    assert early + late == [*range(13), 40]


@pytest.mark.parametrize("rate", [None, 1 / 24])
def test_what_follows_the_gap_of_a_cut_stream_is_skipped(rate):
    early, late = returned([*PYRAMID, (16, 13)], damaged=True, rate=rate)
    assert early + late == list(range(13))


def filled(order, times):
    sound = SoundFrames()
    for (shown, decoded), time in zip(order, times, strict=True):
        list(sound.add(shown, decoded, time))
    return sound


def test_a_gap_before_the_last_pictures_is_seen():
    regular = [shown / 24 for shown, _ in PYRAMID]
    assert not filled(PYRAMID, regular).ends_with_a_gap(1 / 24)
    assert not filled(PYRAMID, regular).ends_with_a_gap(None)
    assert filled([*PYRAMID, (16, 13)], [*regular, 16 / 24]).ends_with_a_gap(None)
    assert not filled(PYRAMID, [None] * 13).ends_with_a_gap(1 / 24)
    # A variable rate: a pause in the middle, or at the end of a stream that shows its pictures as it decodes them.
    assert not filled(PYRAMID, [*regular[:6], *(time + 1 for time in regular[6:])]).ends_with_a_gap(1 / 24)
    assert not filled([(i, i) for i in range(13)], [*regular[:-1], 9.0]).ends_with_a_gap(1 / 24)


PYRAMIDS = "bframes=3:b-pyramid=normal:b-adapt=0:keyint=12"


@pytest.mark.parametrize("frames", [15, 20, 40])
@pytest.mark.parametrize("parameters", [PYRAMIDS, "bframes=3:b-adapt=0:keyint=5:open-gop=1", "bframes=2:keyint=250"])
def test_pauses_in_a_transport_stream_are_no_damage(tmp_path, frames, parameters):
    path = make_video(tmp_path / "uneven.ts", frames, extras=False, parameters=parameters)
    assert len(list(read_video(path))) == frames


@pytest.mark.parametrize("missing", [1, 2])
def test_pictures_missing_from_the_end_of_an_uneven_transport_stream_are_noticed(tmp_path, missing):
    """The coded order ends I12 P16 B14 b13 b15: without b15, a gap in the numbers is left between 14 and 16."""
    whole = make_video(tmp_path / "whole.ts", 17, extras=False, parameters=PYRAMIDS.replace("keyint=12", "keyint=250"))
    cut = remux(whole, tmp_path / "cut.ts", stop=17 - missing)
    with pytest.raises(DamagedInputError, match="pictures are missing"):
        list(read_video(cut))


def test_pictures_are_counted_in_the_order_they_are_shown_in(tmp_path):
    path = make_video(tmp_path / "video.ts", 80, extras=False, parameters="bframes=3:b-pyramid=normal:keyint=60")
    container, stream = open_video(path)
    with container:
        counter = h264.OrderCounter(h264.sequence_facts(stream.codec_context.extradata), None)
        shown, counts, begun = [], [], 0
        for packet in container.demux(stream):
            if packet.size:
                count, is_idr = counter.count(bytes(packet))
                begun = len(shown) if is_idr else begun
                shown.append(packet.pts)
                counts.append(2 * begun + count)
        assert begun == 60
        assert [shown.index(time) for time in sorted(shown)] == [counts.index(count) for count in sorted(counts)]
        assert sorted(counts) == list(range(0, 160, 2))
        assert h264.OrderCounter(h264.UNKNOWN, None).count(bytes(80)) is None


def test_a_gap_at_the_start_shows_by_the_frame_rate():
    """I0 P4 B2 and no more: the steps are equal; only the container's rate shows that pictures are missing."""
    order = [(0, 0), (2, 2), (4, 1)]
    assert returned(order, damaged=True, rate=1 / 24) == ([], [0])
    assert returned(order[:2], damaged=True) == ([], [0])  # nothing known of the rate: only the first is certain


def test_a_cut_stream_without_timestamps_loses_what_may_follow_a_gap():
    early, late = returned([*PYRAMID, (16, 13)], timed=False, damaged=True)
    assert early + late == list(range(12))  # two pictures may wait in this decoder: 12 is skipped because of 16


def test_a_cut_at_the_start_of_a_pyramid_without_timestamps_leaves_the_first_picture():
    """I0 P8 B4, and b2 broken: 4 and 8 come out at regular times, and nothing shows that 1, 2 and 3 are missing."""
    assert chained(returned([(0, 0), (4, 2), (8, 1)], timed=False, damaged=True, broken=3)) == [0]
    assert chained(returned([(0, 0), (8, 1)], timed=False, damaged=True, broken=2)) == [0]


def test_a_cut_stream_without_b_frames_is_used_to_its_end():
    order = [(i, i) for i in range(9)]
    assert chained(returned(order, damaged=True)) == list(range(9))
    assert chained(returned(order, timed=False, damaged=True)) == list(range(8))


def test_pictures_shown_before_their_broken_reference_are_dropped():
    """P8 is broken: b5, B6 and b7 are shown before it, but were predicted from it."""
    early, late = returned(PYRAMID[:8], damaged=True, broken=5)
    assert early + late == [0, 1, 2, 3, 4]


def test_a_packet_without_a_picture_does_not_hold_up_a_film():
    """Pictures hidden by an edit list, or before the first key frame: 7 packets have no picture."""
    order = [(i, i + 7) for i in range(100)]
    sound, most = SoundFrames(), 0
    for number, (shown, decoded) in enumerate(order, 1):
        list(sound.add(shown, decoded, shown / 24))
        most = max(most, number - sound.count)
    assert most == 32
    assert sound.first_packet == 7
    list(sound.flush(damaged=False))
    assert sound.count == 100


@pytest.mark.parametrize(
    "name", ["a.mp4", "front.mp4", "fragments.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "a.ts", "a.h264"]
)
def test_cut_files(tmp_path, name):
    codec, options = ("libvpx-vp9", {"cpu-used": "8"}) if name == "a.webm" else ("libx264", {"bf": "0"})
    whole = encode(tmp_path / name, moving_texture(12, 32, 48, 1, 1), codec=codec, options=options)
    if name in ("front.mp4", "fragments.mp4"):
        flags = "faststart" if name == "front.mp4" else "frag_keyframe+empty_moov"
        whole = remux(whole, tmp_path / f"re-{name}", options={"movflags": flags})
    assert cut_short(whole) == ""
    data = whole.read_bytes()
    cut = tmp_path / f"cut-{name}"
    for size in (len(data) * 6 // 10, len(data) - 1):
        cut.write_bytes(data[:size])
        silent = name.endswith((".ts", ".h264"))
        assert cut_short(cut).startswith("" if silent else f"{size} of ")
        assert cut_short(cut).endswith("" if silent else " bytes are there")
        assert bool(cut_short(cut)) != silent


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\x00" * 64, b"RIFF", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x00" * 9, b"text" * 50]
)
def test_files_of_other_kinds_are_not_cut(tmp_path, content):
    (tmp_path / "odd").write_bytes(content)
    assert cut_short(tmp_path / "odd") == ""


def test_any_bytes_are_survived(tmp_path):
    rng = np.random.default_rng(3)
    starts = (b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x18ftyp", b"\x00\x00\x00\x01mdat", b"RIFF\xff\xff\xff\xffAVI ")
    for start in starts * 50:
        (tmp_path / "any").write_bytes(start + rng.bytes(rng.integers(0, 300)))
        assert isinstance(cut_short(tmp_path / "any"), str)
