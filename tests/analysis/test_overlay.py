"""Overlays: what is drawn, and where."""

from __future__ import annotations

import dataclasses
import itertools
import json

import av
import numpy as np
import pytest

from codecvsr import drawing
from codecvsr.analysis import overlay
from codecvsr.analysis.inspect import inspect_video
from codecvsr.bitstream.reader import read_video
from codecvsr.files import read_image
from tests.analysis.commands import run


def has_color(picture, color, least=20):
    return int((abs(picture.astype(int) - color).max(axis=-1) <= 3).sum()) >= least


def test_picture_of_one_frame(pyramid, tmp_path):
    target = tmp_path / "new" / "overlay.png"
    result = run(pyramid, "--overlay", target, "--json")
    assert result.exit_code == 0, result.stderr
    drawn = json.loads(result.stdout)["overlay"]
    picture = read_image(target)
    assert picture.shape == (drawn["height"], drawn["width"], 3) and 1280 <= drawn["width"] <= 1920
    assert drawn["frames"] == 1 and drawn["path"] == str(target)
    frame = list(read_video(pyramid))[drawn["frame"]]
    assert frame.type in "PB" and abs(drawn["frame"] - 10) <= 1
    assert has_color(picture, drawing.TYPES[frame.type], 500)
    assert [p.name for p in target.parent.iterdir()] == ["overlay.png"]


def test_arrows_start_at_block_centres_and_point_along_the_vectors(low_delay):
    found = inspect_video(low_delay)
    layout = overlay.Layout.of(found.height, found.width)
    frame = list(read_video(low_delay))[5]
    only = next(v for v in frame.vectors if tuple(v[["w", "h"]]) == (16, 16) and 16 < v["dst_x"] < 64)
    blank = dataclasses.replace(frame, vectors=np.array([only]))
    bare = dataclasses.replace(frame, vectors=frame.vectors[:0])
    with_arrow, without = (overlay.draw(f, found, layout) for f in (blank, bare))
    x, y = layout.corner
    area = (slice(y, y + layout.picture[0]), slice(x, x + layout.picture[1]))
    warm = np.argwhere(abs(with_arrow[area].astype(int) - drawing.WARM).max(axis=-1) <= 40)
    assert not has_color(without[area], drawing.WARM, 1)
    centre = np.array([only["dst_y"], only["dst_x"]]) * layout.factor
    assert abs(warm - centre).min(axis=0).max() <= 2  # it begins in the middle of its block
    radius = warm[:, 1] - centre[1]
    assert radius.min() < -15 and radius.max() <= 4  # the picture moves right, so the vector points left


def test_any_frame_can_be_chosen(pyramid, tmp_path):
    target = tmp_path / "frame.png"
    for index, kind in ((0, "I"), (19, None)):
        result = run(pyramid, "--overlay", target, "--frame", index, "-y", "--json")
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["overlay"]["frame"] == index
        if kind:
            assert has_color(read_image(target), drawing.TYPES[kind], 500)
    last = target.read_bytes()
    result = run(pyramid, "--overlay", target, "--frame", 20, "-y")
    assert result.exit_code == 1 and "no frame 20; its frames are 0 to 19" in result.stderr
    assert target.read_bytes() == last


def test_video_of_all_frames(low_delay, tmp_path):
    target = tmp_path / "overlay.mp4"
    result = run(low_delay, "--overlay", target, "--json")
    assert result.exit_code == 0, result.stderr
    drawn = json.loads(result.stdout)["overlay"]
    assert drawn["frames"] == 9 and "frame" not in drawn
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == 30
        pictures = [picture.to_ndarray(format="rgb24") for picture in container.decode(stream)]
    assert len(pictures) == 9
    assert {picture.shape for picture in pictures} == {(drawn["height"], drawn["width"], 3)}
    assert all(abs(a.astype(int) - b).mean() > 0.3 for a, b in itertools.pairwise(pictures))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (640, 96), (34, 1280), (1080, 1920), (2160, 3840)])
def test_canvas_holds_picture_and_panel(height, width):
    layout = overlay.Layout.of(height, width)
    x, y = layout.corner
    assert layout.canvas[0] % 2 == layout.canvas[1] % 2 == 0
    assert x > 0 and x + layout.picture[1] < layout.panel and layout.panel + 292 < layout.canvas[1] <= 1920 + 2 * 20
    assert y > 0 and y + layout.picture[0] < layout.canvas[0] <= 1250
    assert layout.picture[0] / layout.picture[1] == pytest.approx(height / width, rel=0.05)
