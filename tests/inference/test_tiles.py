"""Frames in parts, and what happens when memory runs out."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

import codecvsr
from codecvsr.engine.out_of_memory import is_out_of_memory
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.infer import infer
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.tiles import BLOCK, MARGIN, assembled, split_frame
from codecvsr.inference.windows import Window
from codecvsr.models.registry import ARCHITECTURES
from codecvsr.models.zoo import load_model
from tests.streams import encode, moving_texture
from tests.videos import pictures, small_network

CPU = make_plan("cpu", "fp32")
FRAMES, HEIGHT, WIDTH = 12, 50, 114  # neither side is a whole number of cells


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(small_network(tmp_path_factory.mktemp("weights") / "small.safetensors"))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "video.mp4"
    encode(path, moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1), options={"x264-params": "bframes=2:b-adapt=0"})
    return path


@pytest.fixture(scope="module")
def source(video, model):
    return load_motion(video, "codec", Ablations(), model=model)


def run(model, source, limits, windows=None):
    return np.stack(list(upscale_frames(model, source, Ablations(), limits, CPU, windows)))


@pytest.mark.parametrize("side", [0, 64, 100, 1000])
@pytest.mark.parametrize("size", [(16, 16), (146, 210), (180, 320), (1, 700)])
def test_every_pixel_is_kept_once_by_a_tile_that_sees_around_it(size, side):
    tiles = split_frame(*size, side)
    count = np.zeros(size, int)
    for tile in tiles:
        count[tile.keep_rows, tile.keep_columns] += 1
        for keep, seen, length in ((tile.keep_rows, tile.rows, size[0]), (tile.keep_columns, tile.columns, size[1])):
            assert keep.start % BLOCK == seen.start % BLOCK == 0
            assert seen == slice(max(0, keep.start - MARGIN), min(length, keep.stop + MARGIN))
            assert not side or keep.stop - keep.start < side + BLOCK
    assert (count == 1).all()


def test_tiles_are_put_where_they_belong():
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (3, 2 * 100, 2 * 150, 3), dtype=np.uint8)
    tiles = split_frame(100, 150, 64)
    parts = [
        iter(whole[:, 2 * t.rows.start : 2 * t.rows.stop, 2 * t.columns.start : 2 * t.columns.stop]) for t in tiles
    ]
    assert len(tiles) == 6
    np.testing.assert_array_equal(assembled(tiles, parts, (100, 150), 2), whole)


@pytest.mark.parametrize("name", ["small", "bicubic"])
def test_tiles_leave_no_seams(model, source, name):
    network = model if name == "small" else load_model(name)
    whole, tiled = (run(network, source, MemoryLimits(8, tile)) for tile in (0, 64))
    assert whole.shape == tiled.shape and whole.std() > 20
    assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_commands_work_in_tiles(video, model, tmp_path):
    report = infer(video, tmp_path / "sr", model=model.path, tile=64)
    assert report.frames == FRAMES
    codecvsr.upscale(video, tmp_path / "whole.mkv", model=model.path, codec="ffv1")
    codecvsr.upscale(video, tmp_path / "tiled.mkv", model=model.path, codec="ffv1", tile=64)
    whole, tiled = (pictures(tmp_path / name)[0] for name in ("whole.mkv", "tiled.mkv"))
    assert len(whole) == len(tiled) == FRAMES
    difference = np.abs(whole.astype(int) - tiled)
    assert difference.max() <= 3 and difference.mean() < 0.05  # of a level, through the output's colour conversion
    for call in (
        lambda: infer(video, tmp_path / "x", tile=20),
        lambda: codecvsr.upscale(video, tmp_path / "x.mkv", tile=20),
    ):
        with pytest.raises(InputError, match="a tile of 20 pixels; at least 64"):
            call()


class Small:
    """A machine whose memory holds so many pixels of a window's frames at once; the last frame shows that it does not."""

    def __init__(self, monkeypatch, pixels, error=None):
        self.calls, real = [], ARCHITECTURES["codecvsr"]

        def limited(network, clip, wanted, execution):
            frames, (height, width) = len(wanted), clip.frames([0]).shape[-2:]
            size = frames * height * width
            self.calls.append((frames, (height, width)))
            for index, output in enumerate(real.runner(network, clip, wanted, execution)):
                if size > pixels and index == frames - 1:
                    raise torch.OutOfMemoryError("CUDA out of memory.") if error is None else error
                yield output

        monkeypatch.setitem(ARCHITECTURES, "codecvsr", replace(real, runner=limited))


def test_windows_get_shorter_and_no_frame_is_lost(model, source, monkeypatch, caplog):
    expected = run(model, source, MemoryLimits(12))
    Small(monkeypatch, 11 * HEIGHT * WIDTH)
    limits = MemoryLimits(12)
    with caplog.at_level(logging.WARNING):
        made = run(model, source, limits)
    assert (
        made.shape == expected.shape and np.abs(made.astype(int) - expected)[:11].max() == 0
    )  # made before it happened
    assert limits == MemoryLimits(12, 64)  # one frame was left: it is the tiles that had to be smaller
    assert caplog.messages == ["Memory ran out: continuing with tiles of 64 pixels."]


def test_a_long_window_is_halved_first(model, source, monkeypatch, caplog):
    limit = Small(monkeypatch, 11 * HEIGHT * WIDTH, RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    limits = MemoryLimits(30)
    windows = [Window(0, FRAMES, 0, 1), Window(0, FRAMES, 1, FRAMES)]
    monkeypatch.setattr("codecvsr.inference.memory_limits._MIN_WINDOW", 3)
    real = ARCHITECTURES["codecvsr"]

    def early(*arguments):  # before anything came out of it
        outputs = list(real.runner(*arguments))
        yield from outputs

    monkeypatch.setitem(ARCHITECTURES, "codecvsr", replace(real, runner=early))
    with caplog.at_level(logging.WARNING):
        made = run(model, source.cut(0, FRAMES), limits, windows[1:])
    assert len(made) == FRAMES - 1 and limits.window < 11 and limit.calls[0][0] == FRAMES
    assert all("Memory ran out: continuing with" in message for message in caplog.messages)
    assert len(caplog.records) == len(limit.calls) - sum(f * s[0] * s[1] <= 11 * HEIGHT * WIDTH for f, s in limit.calls)


def test_nothing_helps(model, source, monkeypatch):
    Small(monkeypatch, 0)
    with pytest.raises(InputError, match="with the smallest tiles .64 pixels."):
        run(model, source, MemoryLimits(8))
    with pytest.raises(torch.OutOfMemoryError):
        run(model, source, MemoryLimits(8, is_fixed=True))


def test_other_errors_are_not_taken_for_it(model, source, monkeypatch):
    Small(monkeypatch, 0, RuntimeError("a mistake"))
    with pytest.raises(RuntimeError, match="a mistake"):
        run(model, source, MemoryLimits(8))
    assert is_out_of_memory(MemoryError()) and not is_out_of_memory(ValueError("bad_alloc"))


@pytest.mark.parametrize("length", [1, 3, 5, 100])
def test_shortened_windows_keep_the_same_frames(length):
    window = Window(10, 40, 15, 34)
    parts = window.shortened(length)
    assert [t for w in parts for t in range(w.keep_start, w.keep_stop)] == list(range(15, 34))
    assert all(w.start >= 10 and w.stop <= 40 and w.keep_stop - w.keep_start <= length for w in parts)
