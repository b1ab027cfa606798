"""Frames that show nothing new: which these are, what stands for them, and what it costs to leave them out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from codecvsr.engine.plan import make_plan
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.infer import infer
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.skip_static import DuplicateFrames, differs, without_duplicates
from codecvsr.inference.source import Source, load_source
from codecvsr.metrics.psnr import psnr
from codecvsr.models.zoo import load_model
from codecvsr.motion import MotionOptions
from codecvsr.upscaling.api import upscale
from tests.streams import encode, moving_texture

HEIGHT, WIDTH = 32, 64
#: Which of four pictures each frame shows.
SHOWN = (0, 0, 1, 1, 1, 2, 3, 3)


@pytest.fixture(scope="module")
def originals() -> np.ndarray:
    return moving_texture(4, 4 * HEIGHT, 4 * WIDTH, 6, 2)[list(SHOWN)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, originals: np.ndarray) -> Path:
    small = np.stack([cv2.resize(frame, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for frame in originals])
    return encode(tmp_path_factory.mktemp("static") / "static.mp4", small, options={"crf": "20"})


@pytest.fixture(scope="module")
def source(video: Path) -> Source:
    return load_source(video, MotionOptions(), needs_vectors=True)


def noiseless(source: Source) -> Source:
    """The same with frames that are equal where they show the same."""
    first = [SHOWN.index(picture) for picture in SHOWN]
    return replace(source, frames=source.frames[first])


def made(source: Source, limits: MemoryLimits, model: str = "codecvsr", **more: bool) -> list[np.ndarray]:
    return list(upscale_frames(load_model(model), source, Ablations(), limits, make_plan("cpu", "fp32"), **more))


def test_noise_is_nothing_new_and_a_block_is() -> None:
    shown = np.full((37, 50, 3), 100, np.uint8)
    rng = np.random.default_rng(0)
    assert not differs(shown, shown)
    assert not differs(shown, shown + rng.integers(0, 2, shown.shape, np.uint8))
    changed = shown.copy()
    changed[34:, 45:] += 9
    assert differs(shown, changed)


def test_slow_changes_do_not_add_up_and_a_cut_is_new(source: Source) -> None:
    fade = np.stack([np.full((16, 16, 3), 100 + k // 2, np.uint8) for k in range(8)])
    few = replace(source, frames=fade)
    assert DuplicateFrames().originals(few, 0, 8).tolist() == [0, 0, 0, 0, 4, 4, 4, 4]
    cut = few.motion.is_cut.copy()
    cut[2] = True
    few = replace(few, motion=replace(few.motion, is_cut=cut))
    assert DuplicateFrames().originals(few, 1, 5).tolist() == [1, 2, 2, 2]


def test_motion_leads_across_skipped_frames(source: Source) -> None:
    indices = np.array([0, 2, 5, 6])
    thin = without_duplicates(source, indices)
    np.testing.assert_array_equal(thin.frames, source.frames[indices])
    np.testing.assert_array_equal(thin.motion.to_prev, source.motion.to_prev[indices])
    np.testing.assert_array_equal(thin.motion.to_next[:3], source.motion.to_next[[1, 4, 5]])
    np.testing.assert_array_equal(thin.motion.error[:3, 1], source.motion.error[[1, 4, 5], 1])
    assert np.median(thin.motion.to_next[:3, 0]) == pytest.approx(1.5, abs=0.3)


@pytest.mark.parametrize("limits", [(8, 0), (3, 0)])
def test_frames_stand_for_others_and_are_counted(source: Source, limits: tuple[int, int]) -> None:
    duplicates = DuplicateFrames()
    pictures = made(noiseless(source), MemoryLimits(*limits, duplicates=duplicates))
    assert len(pictures) == len(SHOWN)
    assert duplicates.skipped_frames == 4
    for index in (1, 3, 4, 7):
        np.testing.assert_array_equal(pictures[index], pictures[index - 1])
    plain = made(noiseless(source), MemoryLimits(*limits))
    assert min(psnr(a, b) for a, b in zip(pictures, plain, strict=True)) > 33


def test_tiles_are_left_out_one_by_one(source: Source) -> None:
    """The left side is static, the right side moves."""
    frames = np.tile(source.frames[:1], (8, 1, 4, 1))
    frames[:, :, 2 * WIDTH :] = np.concatenate([source.frames, source.frames], axis=2)
    frames[:, :, 2 * WIDTH :] += np.arange(8, dtype=np.uint8)[:, None, None, None] * 5
    wide = replace(
        source,
        frames=frames,
        motion=replace(
            source.motion,
            **{
                name: np.tile(getattr(source.motion, name), 4)
                for name in ("past", "future", "to_prev", "to_next", "confidence", "error", "partition", "qp")
            },
        ),
    )
    duplicates = DuplicateFrames()
    assert len(made(wide, MemoryLimits(8, 64, duplicates=duplicates))) == 8
    assert duplicates.skipped_frames == 7 * 1 / 4  # of four tiles one sees nothing of the right side


def test_sliding_networks_make_the_frames_that_are_left(source: Source) -> None:
    duplicates = DuplicateFrames()
    pictures = made(noiseless(source), MemoryLimits(8, duplicates=duplicates), "bicubic")
    assert duplicates.skipped_frames == 4
    for a, b in zip(pictures, made(noiseless(source), MemoryLimits(8), "bicubic"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_loss_is_small(source: Source, originals: np.ndarray) -> None:
    scores = []
    for duplicates in (None, DuplicateFrames()):
        pictures = made(source, MemoryLimits(8, duplicates=duplicates))
        scores.append(np.mean([psnr(a, b) for a, b in zip(pictures, originals, strict=True)]))
    assert scores[1] > scores[0] - 0.02


def test_commands_report_what_was_left_out(tmp_path: Path, video: Path) -> None:
    report = infer(video, tmp_path / "pictures", model="bicubic", skip_static=True)
    assert 0 < report.skipped_share <= 0.5
    assert len(list((tmp_path / "pictures").iterdir())) == len(SHOWN)
    assert infer(video, tmp_path / "all", model="bicubic").skipped_share is None
    for workers in (1, 2):
        video_out = upscale(
            video, tmp_path / f"{workers}.mkv", model="bicubic", skip_static=True, workers=workers, chunk=4
        )
        assert 0 < video_out.skipped_share <= 0.5
        assert video_out.frames == len(SHOWN)
