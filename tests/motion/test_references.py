"""References, velocities and the choice among candidates."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.motion.field import rasterise
from codecvsr.motion.grid import pad_to_cells
from codecvsr.motion.references import StreamFacts, best_motion, block_velocity, raw_field, usable_references
from codecvsr.motion.types import FUTURE, PAST, BlockField
from tests.streams import encode, moving_texture

PYRAMID = "bframes=3:b-pyramid=normal:ref=3:keyint=12:min-keyint=12:scenecut=0:b-adapt=0:open-gop=0:weightp=0"


def facts(decode_order, references, idr=(0,)):
    frames = len(decode_order)
    return StreamFacts(
        types=np.full(frames, 2, np.uint8),
        is_reference=np.isin(np.arange(frames), references),
        is_idr=np.isin(np.arange(frames), idr),
        decode_order=np.array(decode_order, np.int32),
    )


#: I0 b1 B2 b3 P4 b5 B6 b7 P8, decoded 0 4 2 1 3 8 6 5 7
BP = facts([0, 3, 2, 4, 1, 7, 6, 8, 5], [0, 2, 4, 6, 8])


@pytest.mark.parametrize(
    ("t", "past", "future"),
    [
        (0, [], []),
        (4, [0], []),  # 2 is nearer, but decoded later
        (2, [0], [4]),
        (1, [0], [2, 4]),
        (3, [2, 0], [4]),
        (8, [4, 2, 0], []),
        (6, [4, 2, 0], [8]),
        (5, [4, 2, 0], [6, 8]),
        (7, [6, 4, 2, 0], [8]),
    ],
)
def test_only_earlier_decoded_reference_pictures_nearest_first(t, past, future):
    assert usable_references(BP, t, PAST) == past
    assert usable_references(BP, t, FUTURE) == future


def test_pictures_that_are_no_references_are_not_used():
    assert usable_references(facts(range(6), [0, 2, 3]), 5, PAST) == [3, 2, 0]


def test_nothing_is_used_across_an_idr():
    ippp = facts(range(9), range(9), idr=(0, 5))
    assert [usable_references(ippp, t, PAST) for t in (4, 5, 6, 7)] == [[3, 2, 1, 0], [], [5], [6, 5]]
    # A B picture shown before an IDR picture but decoded after it has no references before it (x264 never makes one).
    late = facts([0, 1, 3, 2], [0, 1, 3], idr=(0, 3))
    assert usable_references(late, 2, PAST) == []
    assert usable_references(late, 2, FUTURE) == [3]


def test_at_most_four_past_and_three_future():
    assert usable_references(facts(range(12), range(12)), 10, PAST) == [9, 8, 7, 6]
    backwards = facts([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], range(10), idr=(9,))
    assert usable_references(backwards, 2, FUTURE) == [3, 4, 5]


def limited(known, most, types=2):
    return dataclasses.replace(known, max_references=most, types=np.full(len(known.types), types, np.uint8))


def test_no_more_references_than_the_stream_keeps():
    ippp = facts(range(9), range(9))
    assert usable_references(limited(ippp, 1), 6, PAST) == [5]
    assert usable_references(limited(ippp, 3), 6, PAST) == [5, 4, 3]
    assert usable_references(limited(ippp, 16), 6, PAST) == [5, 4, 3, 2]
    # I0 b1 b2 P3 b4 b5 P6, decoded 0 2 3 1 5 6 4, two references: one on either side
    ibbp = limited(facts([0, 2, 3, 1, 5, 6, 4], [0, 3, 6]), 2)
    assert (usable_references(ibbp, 4, PAST), usable_references(ibbp, 4, FUTURE)) == ([3], [6])
    assert usable_references(ibbp, 6, PAST) == [3, 0]
    # B-frames that are references may have been removed: they do not replace anything
    with_b = dataclasses.replace(limited(BP, 4), types=np.array([1, 3, 3, 3, 2, 3, 3, 3, 2], np.uint8))
    assert [usable_references(with_b, 7, d) for d in (PAST, FUTURE)] == [[6, 4, 2, 0], [8]]


def test_searching_references_does_not_go_through_the_whole_film():
    class Counted(np.ndarray):
        looked_at = 0

        def __getitem__(self, index):
            if isinstance(index, int):
                Counted.looked_at += 1
            return super().__getitem__(index)

    long = limited(facts(range(4000), range(4000)), 2)
    long = dataclasses.replace(long, decode_order=long.decode_order.view(Counted))
    assert usable_references(long, 2000, PAST) == [1999, 1998]
    assert usable_references(long, 2000, FUTURE) == []
    assert Counted.looked_at < 400


def test_a_stream_without_any_idr_still_has_references():
    assert usable_references(facts(range(5), range(5), idr=()), 3, PAST) == [2, 1, 0]


@pytest.fixture(scope="module")
def pyramid(tmp_path_factory):
    """Constant motion of (2, -1) pixels a frame, coded with references one to four frames away."""
    clip = moving_texture(13, 96, 128, 2, -1)
    path = encode(tmp_path_factory.mktemp("motion") / "p.mp4", clip, options={"x264-params": PYRAMID, "crf": "14"})
    frames = list(read_video(path))
    blocks = [rasterise(f.vectors, f.height, f.width) for f in frames]
    known = StreamFacts(
        types=np.array([{"I": 1, "P": 2, "B": 3}[f.type] for f in frames], np.uint8),
        is_reference=np.array([f.is_reference for f in frames]),
        is_idr=np.array([f.is_idr for f in frames]),
        decode_order=np.array([f.decode_index for f in frames], np.int32),
    )
    return frames, blocks, known, [pad_to_cells(f.luma) for f in frames]


def velocities(blocks, lumas, known):
    """Both lists of every frame."""

    def of_list(t, direction, raw):
        return block_velocity(t, raw, usable_references(known, t, direction), lumas)

    return {t: (of_list(t, PAST, b.past), of_list(t, FUTURE, b.future)) for t, b in enumerate(blocks)}


def test_velocities_are_per_frame_although_raw_vectors_are_multiples(pyramid):
    frames, blocks, known, lumas = pyramid
    velocity = velocities(blocks, lumas, known)
    inside = (slice(None), slice(4, -4), slice(6, -6))
    seen = set()
    for t, frame in enumerate(frames):
        for direction, raw, sign in ((PAST, blocks[t].past, -1), (FUTURE, blocks[t].future, +1)):
            raw_x = raw[0][4:-4, 6:-6]
            has = ~np.isnan(raw_x)
            if not has.any():
                continue
            seen |= {(frame.type, direction, round(float(np.median(raw_x[has])) / 2))}
            got = velocity[t][direction][0][inside]
            close = (abs(got[0][has] - sign * 2) < 0.3) & (abs(got[1][has] + sign) < 0.3)
            assert close.mean() > 0.95, (t, frame.type, direction)
            assert np.isfinite(velocity[t][direction][1][4:-4, 6:-6][has]).all()
    assert ("P", PAST, -4) in seen  # P4 refers to a frame four before it
    assert {entry[:2] for entry in seen} == {("P", PAST), ("B", PAST), ("B", FUTURE)}
    assert len({abs(distance) for _, _, distance in seen}) > 1


def test_where_there_is_no_vector_there_is_no_velocity(pyramid):
    _, blocks, known, lumas = pyramid
    found = velocities(blocks, lumas, known)
    for t, block in enumerate(blocks):
        for direction, raw in ((PAST, block.past), (FUTURE, block.future)):
            if np.isnan(raw).all():
                assert found[t][direction] is None
            else:
                velocity, error = found[t][direction]
                np.testing.assert_array_equal(np.isnan(velocity[0]), np.isnan(raw[0]))
                np.testing.assert_array_equal(np.isinf(error), np.isnan(raw[0]))


def test_both_directions_are_filled_on_p_frames_unless_nothing_is_inverted(pyramid):
    frames, blocks, known, lumas = pyramid
    velocity = velocities(blocks, lumas, known)

    def chosen(direction, order, invert=True):
        found = {}
        for t in order:
            found[t] = best_motion(t, direction, lumas, velocity, found, invert=invert)[:2]
        return {t: field for t, (field, _) in found.items()}

    last = len(frames) - 1
    to_prev, to_next = chosen(PAST, range(1, last + 1)), chosen(FUTURE, range(last - 1, -1, -1))
    middle = (slice(None), slice(6, -6), slice(8, -8))
    for field in to_prev.values():
        assert (abs(field[middle] - np.array([-2, 1])[:, None, None]) < 0.3).mean() > 0.95
    for field in to_next.values():
        assert (abs(field[middle] - np.array([2, -1])[:, None, None]) < 0.3).mean() > 0.95
    for t, field in chosen(FUTURE, range(last), invert=False).items():
        assert field.any() == (frames[t].type == "B")


def test_raw_fields_are_neither_divided_nor_chosen():
    past, future, nothing = (np.full((2, 2, 3), v, np.float32) for v in (-8, 4, np.nan))
    partition = np.zeros((2, 3), np.uint8)
    holed = past.copy()
    holed[:, 0, 0] = np.nan
    intra = BlockField(nothing, nothing, partition)
    assert not raw_field(intra, PAST).any() and not raw_field(intra, FUTURE).any()
    forward = BlockField(holed, nothing, partition)
    assert raw_field(forward, PAST)[:, 0, 0].tolist() == [0, 0]
    assert raw_field(forward, PAST)[:, 1, 1].tolist() == [-8, -8]
    assert raw_field(forward, FUTURE)[:, 1, 1].tolist() == [8, 8]  # a P frame's own past, negated
    assert raw_field(BlockField(past, future, partition), FUTURE)[:, 0, 0].tolist() == [4, 4]
