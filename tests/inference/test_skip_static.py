"""Frames that show nothing new: which these are, what stands for them, and what it costs to leave them out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.infer import infer
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.native_window import is_native
from codecvsr.inference.skip_choice import parse_skip_static
from codecvsr.inference.skip_static import (
    MEASURED,
    DuplicateFrames,
    StaticBlocks,
    differs,
    skipping,
    without_duplicates,
)
from codecvsr.inference.source import Source, load_source
from codecvsr.metrics.psnr import psnr
from codecvsr.models.model_names import weights_folder
from codecvsr.models.zoo import load_model
from codecvsr.motion import MotionOptions
from codecvsr.upscaling.api import upscale
from codecvsr.upscaling.engine import make_engine
from codecvsr.upscaling.options import UpscaleOptions
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
    pictures = made(noiseless(source), MemoryLimits(*limits, static=duplicates))
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
    assert len(made(wide, MemoryLimits(8, 64, static=duplicates))) == 8
    assert duplicates.skipped_frames == 7 * 1 / 4  # of four tiles one sees nothing of the right side


def test_sliding_networks_make_the_frames_that_are_left(source: Source) -> None:
    duplicates = DuplicateFrames()
    pictures = made(noiseless(source), MemoryLimits(8, static=duplicates), "bicubic")
    assert duplicates.skipped_frames == 4
    for a, b in zip(pictures, made(noiseless(source), MemoryLimits(8), "bicubic"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_loss_is_small(source: Source, originals: np.ndarray) -> None:
    scores = []
    for duplicates in (None, DuplicateFrames()):
        pictures = made(source, MemoryLimits(8, static=duplicates))
        scores.append(np.mean([psnr(a, b) for a, b in zip(pictures, originals, strict=True)]))
    assert scores[1] > scores[0] - 0.02


def test_commands_report_what_was_left_out(tmp_path: Path, video: Path) -> None:
    report = infer(video, tmp_path / "pictures", model="bicubic", skip_static=True)
    assert 0 < report.skipped_share <= 0.5
    assert len(list((tmp_path / "pictures").iterdir())) == len(SHOWN)
    assert report.work_share == pytest.approx(1 - report.skipped_share)
    plain = infer(video, tmp_path / "all", model="bicubic")
    assert plain.skipped_share is None and plain.work_share is None
    for workers in (1, 2):
        video_out = upscale(
            video, tmp_path / f"{workers}.mkv", model="bicubic", skip_static=True, workers=workers, chunk=4
        )
        assert 0 < video_out.skipped_share <= 0.5
        assert video_out.frames == len(SHOWN)


def test_blocks_are_skipped_where_the_network_can(
    tmp_path: Path, source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    static, network = noiseless(source), load_model("codecvsr-fast")
    static.frames[:, : HEIGHT // 2] = static.frames[0, : HEIGHT // 2]
    blocks = skipping("auto", network, has_blocks=True)
    assert isinstance(blocks, StaticBlocks)
    pictures = made(static, MemoryLimits(3, static=blocks), "codecvsr-fast")
    assert len(pictures) == len(SHOWN)
    assert is_native(network.network, make_plan("cpu", "fp32")) == (blocks.skipped_frames > 0.5)
    assert blocks.skipped_frames < len(SHOWN)
    assert skipping("auto", network, has_blocks=False) is None
    assert skipping("off", network, has_blocks=True) is None
    assert not caplog.messages
    assert isinstance(skipping("blocks", network, has_blocks=False), DuplicateFrames)
    assert "blocks" in caplog.text


def test_weights_for_which_the_loss_is_unknown_skip_blocks_where_asked_to(tmp_path: Path, video: Path) -> None:
    other = tmp_path / "codecvsr-fast.safetensors"
    shutil.copy(weights_folder() / other.name, other)
    for model, options, skips in (
        ("codecvsr-fast", {}, True),
        (weights_folder() / other.name, {}, True),
        ("codecvsr", {}, "codecvsr" in MEASURED),
        (other, {}, False),
        (other, {"skip_static": "blocks"}, True),
        ("codecvsr-fast", {"skip_static": "off"}, False),
    ):
        engine = make_engine(UpscaleOptions(model=model, **options))
        has_blocks = is_native(engine.model.network, engine.plan)
        assert isinstance(engine.static(), StaticBlocks) == (skips and has_blocks)


def test_choices(tmp_path: Path, video: Path) -> None:
    assert [parse_skip_static(value) for value in (True, False, "auto", "blocks")] == [
        "frames",
        "off",
        "auto",
        "blocks",
    ]
    assert UpscaleOptions().skip_static == "auto"
    assert UpscaleOptions.from_json(UpscaleOptions(skip_static=True).to_json()).skip_static == "frames"
    with pytest.raises(InputError, match="auto, off, frames or blocks"):
        UpscaleOptions(skip_static="some")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("words", "variable", "has_share"),
    [
        (["--skip-static", "VIDEO"], None, True),
        (["--skip_static", "VIDEO"], None, True),
        (["VIDEO", "--skip-static"], None, True),
        (["--skip-static", "frames", "VIDEO"], None, True),
        (["--skip-static=off", "VIDEO"], None, False),
        (["VIDEO"], None, False),
        (["VIDEO"], "1", True),
        (["VIDEO"], "no", False),
    ],
)
def test_the_option_may_have_a_value(
    tmp_path: Path, video: Path, words: list[str], variable: str | None, has_share: bool
) -> None:
    arguments = [str(video) if word == "VIDEO" else word for word in words]
    command = ["upscale", "-m", "bicubic", "--json", "-o", str(tmp_path / "out.mkv"), *arguments]
    environment = {} if variable is None else {"CODECVSR_UPSCALE_SKIP_STATIC": variable}
    done = CliRunner().invoke(cli, command, auto_envvar_prefix="CODECVSR", env=environment)
    assert done.exit_code == 0, done.output
    assert (json.loads(done.stdout)["made"][0]["skipped_share"] is not None) == has_share
