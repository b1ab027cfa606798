"""Tiles in which no pixel changes repeat the frame before; whatever changes is there at once, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from codecvsr import native_libraries
from codecvsr.engine.native import static_tiles
from codecvsr.engine.native.codecvsr import FastCodecVSR
from codecvsr.engine.native.library import BEST_ISA, changed_tiles
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.static_tiles import REFRESH, StaticTiles
from codecvsr.engine.native.weights import Weights
from codecvsr.engine.native.window_motion import WindowMotion
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.priors import CHANNELS
from codecvsr.models.zoo import load_model
from tests.streams import moving_texture

pytestmark = pytest.mark.skipif(
    native_libraries.net_library() is None, reason="the native network library is not built"
)
HEIGHT, WIDTH, FRAMES = 48, 72, 14
BLOCK = slice(20, 28), slice(32, 40)
#: Of a block's mean: grey levels, and a share of its largest change. A ghost of the smallest change is far above it.
TOLERANCE, SHARE = 0.3, 0.04
Planted = Callable[[np.ndarray, int], None]


@pytest.fixture(scope="module", params=["codecvsr-fast", "codecvsr"])
def network(request: pytest.FixtureRequest) -> CodecVSR:
    return load_model(request.param).network


@pytest.fixture(scope="module")
def still() -> np.ndarray:
    """Frames that are all the same."""
    return np.repeat(moving_texture(1, HEIGHT, WIDTH, 0, 0), FRAMES, axis=0)


def made(
    network: CodecVSR, frames: np.ndarray, *, skip_static: bool, cuts: tuple[int, ...] = (), dtype: torch.dtype = torch.float32,
    threads: int = 1, isa: int = BEST_ISA, **options: Any,
) -> tuple[np.ndarray, float]:  # fmt: skip
    """The pictures, in grey levels, and the share of the work; without motion."""
    count, height, width, _ = frames.shape
    cells = -(-height // 4), -(-width // 4)
    fields, priors = np.zeros((count, 2, *cells), np.float32), np.zeros((count, CHANNELS, *cells), np.float32)
    is_cut = np.isin(np.arange(count), cuts)
    form = FastCodecVSR(network, height, width, threads=threads, isa=isa, dtype=dtype)
    pictures = form.iterate(frames, fields, fields, priors, is_cut, output="floats", skip_static=skip_static, **options)
    return np.stack(list(pictures)) * 255, form.work_share


def of_block(pictures: np.ndarray) -> np.ndarray:
    """The mean of the block in each picture."""
    rows, columns = (slice(4 * part.start, 4 * part.stop) for part in BLOCK)
    return pictures[:, rows, columns].mean(axis=(1, 2, 3))


def one_grey_level(frames: np.ndarray, i: int) -> None:
    frames[i][BLOCK] += np.uint8(i >= 4)


def one_block(frames: np.ndarray, i: int) -> None:
    if i >= 5:
        frames[i][BLOCK] = 255 - frames[i][BLOCK]


def flash(frames: np.ndarray, i: int) -> None:
    if i == 4:
        frames[i] = np.minimum(frames[i].astype(int) + 90, 255)


def fade(frames: np.ndarray, i: int) -> None:
    frames[i] = frames[i] * ((FRAMES - i) / FRAMES)


def subtitle_fading_in(frames: np.ndarray, i: int) -> None:
    share = min(max(i - 2, 0) / 5, 1)
    frames[i][BLOCK] = frames[i][BLOCK] * (1 - share) + 250 * share


def clock(frames: np.ndarray, i: int) -> None:
    frames[i][BLOCK] = 60 * (i // 3)


def concealed_frame(frames: np.ndarray, i: int) -> None:
    if i == 5:
        frames[i][16:32] = 128


@pytest.mark.parametrize(
    "plant", [one_grey_level, one_block, flash, fade, subtitle_fading_in, clock, concealed_frame], ids=lambda f: f.__name__
)  # fmt: skip
def test_a_change_is_there_at_once_and_leaves_no_ghost(network: CodecVSR, still: np.ndarray, plant: Planted) -> None:
    frames = still.copy()
    for i in range(FRAMES):
        plant(frames, i)
    whole, _ = made(network, frames, skip_static=False)
    part, share = made(network, frames, skip_static=True)
    step = abs(np.diff(of_block(whole))).max()
    assert step > 2 * TOLERANCE
    np.testing.assert_allclose(of_block(part), of_block(whole), rtol=0, atol=TOLERANCE + SHARE * step)
    assert share < 1 or plant is fade


def test_what_is_not_compared_would_leave_a_ghost(
    network: CodecVSR, still: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test above can fail."""
    frames = still.copy()
    frames[4:][(slice(None), *BLOCK)] += 1
    blind = np.zeros((-(-HEIGHT // 4), -(-WIDTH // 4)), np.uint8)
    monkeypatch.setattr(static_tiles, "changed_tiles", lambda *_: blind)
    whole, part = (of_block(made(network, frames, skip_static=skips)[0]) for skips in (False, True))
    assert abs(part - whole).max() > 2 * TOLERANCE


def test_static_frames_repeat(network: CodecVSR, still: np.ndarray) -> None:
    pictures, share = made(network, still, skip_static=True)
    assert share < 0.4
    for picture in pictures[static_tiles._START + 1 :]:
        np.testing.assert_array_equal(picture, pictures[static_tiles._START])


def test_moving_frames_are_as_without(network: CodecVSR) -> None:
    frames = moving_texture(5, HEIGHT, WIDTH, 3, 1)
    pictures, share = made(network, frames, skip_static=True)
    assert share == 1
    np.testing.assert_array_equal(pictures, made(network, frames, skip_static=False)[0])


def test_every_shot_starts_whole(network: CodecVSR, still: np.ndarray) -> None:
    frames = still.copy()
    frames[6:] = still[:8, ::-1]
    frames[6:, :8] = still[:8, :8]  # part of the picture is the same across the cut
    pictures, _ = made(network, frames, skip_static=True, cuts=(6,))
    after, _ = made(network, frames[6:], skip_static=True)
    np.testing.assert_array_equal(pictures[6:], after)


@pytest.mark.parametrize("options", [{"threads": 3}, {"isa": 0}, {"dtype": torch.bfloat16}, {"isa": 0, "threads": 2}])
def test_threads_and_types(network: CodecVSR, still: np.ndarray, options: dict[str, Any]) -> None:
    frames = still.copy()
    frames[3:][(slice(None), *BLOCK)] = 200
    pictures, share = made(network, frames, skip_static=True, **options)
    assert share < 0.6
    plain, _ = made(network, frames, skip_static=True)
    tolerance = 12 if "dtype" in options else 0.05
    np.testing.assert_allclose(pictures, plain, rtol=0, atol=0 if "isa" not in options and tolerance < 1 else tolerance)


@pytest.mark.parametrize("skip", [1, 5])
def test_context_frames(network: CodecVSR, still: np.ndarray, skip: int) -> None:
    frames = still.copy()
    frames[3:][(slice(None), *BLOCK)] = 200
    pictures, _ = made(network, frames, skip_static=True, skip=skip)
    whole, _ = made(network, frames, skip_static=False)
    assert len(pictures) == FRAMES - skip
    np.testing.assert_allclose(of_block(pictures), of_block(whole)[skip:], rtol=0, atol=TOLERANCE + SHARE * 100)


def test_nothing_gets_old() -> None:
    frames = np.zeros((2 * REFRESH + 3, 8, 8, 3), np.uint8)
    frames[:, :1, :1] = np.arange(len(frames), dtype=np.uint8)[:, None, None, None]
    frames = np.tile(frames[:, :, :1], (1, 1, 64, 1))
    frames[:, :, 8:] = 0
    parts = StaticTiles(native_libraries.net_library(), frames, np.zeros(len(frames), np.bool_))
    for direction in (parts.backward, parts.forward):
        whole = [i for i, part in enumerate(direction) if part is None]
        assert max(np.diff([0, *whole, len(frames) - 1])) <= REFRESH


def test_flows_are_those_of_the_whole_frame_where_they_are_read(network: CodecVSR, still: np.ndarray) -> None:
    frames = still.copy()
    for i in range(FRAMES):
        clock(frames, i)
    is_cut = np.zeros(FRAMES, np.bool_)
    fields = np.random.default_rng(0).normal(size=(FRAMES, 2, HEIGHT // 4, WIDTH // 4)).astype(np.float32)
    library = native_libraries.net_library()
    parts, net = StaticTiles(library, frames, is_cut), NativeNet(library, HEIGHT, WIDTH)
    head, both, pixels = Weights(net, network, is_bf16=False).head, {-1: fields, +1: fields}, 5
    whole = WindowMotion(net, head, frames, both, is_cut)
    some = WindowMotion(net, head, frames, both, is_cut, partial(parts.flows, pixels=pixels))
    repeated = 0
    for i in reversed(range(FRAMES)):
        read = [np.ones_like(fields[0, 0], np.uint8) if part is None else part.grown(pixels)
                for part in (parts.backward[i], parts.forward[i])]  # fmt: skip
        mask = np.kron(np.maximum(*read), np.ones((4, 4))) > 0
        for step in (-1, +1):
            for expected, found in zip(whole.routes(i, step)[:1], some.routes(i, step)[:1], strict=True):
                if expected is not None and found is not None:
                    np.testing.assert_allclose(found[1][mask], expected[1][mask], rtol=0, atol=1e-4)
                    repeated += not np.array_equal(found[1], expected[1])
    assert repeated > 8


def test_tiles_that_differ() -> None:
    before = np.full((9, 14, 3), 7, np.uint8)
    after = before.copy()
    after[8, 13, 2] = 8
    after[3, 4, 0] = 6
    expected = np.zeros((3, 4), np.uint8)
    expected[2, 3] = expected[0, 1] = 1
    np.testing.assert_array_equal(changed_tiles(native_libraries.net_library(), before, after), expected)
    np.testing.assert_array_equal(
        changed_tiles(native_libraries.net_library(), before, before), np.zeros_like(expected)
    )
