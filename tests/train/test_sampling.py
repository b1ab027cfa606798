"""Batches: augmentation, context, dropout, shares of sources and of processes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from codecvsr.errors import InputError
from codecvsr.motion import motion_fields
from codecvsr.motion.ops.reference import warp
from codecvsr.train import data as training_data
from codecvsr.train import sampling
from codecvsr.train.loop import train
from codecvsr.train.prepare import make_chunk
from codecvsr.train.prepare_plan import Preparation
from codecvsr.train.prepared_set import write_chunk
from codecvsr.train.recipe import (
    Data,
    Dropout,
    Model,
    Optimisation,
    Recipe,
    Window,
)
from codecvsr.train.run_log import LOG, read_log
from codecvsr.train.sampling import Sampler
from tests.streams import moving_texture
from tests.train.conftest import make_batch, tiny


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of two chunks, of 6 and 4 frames, in two versions each."""
    folder = tmp_path_factory.mktemp("prepared")
    for name, frames in (("long", 6), ("short", 4)):
        hr = moving_texture(frames, 128, 160, 8, -4)
        write_chunk(folder / f"{name}.safetensors", make_chunk(hr, Preparation(crf=(15, 20)), name, name))
    return folder


def test_batches_match_the_clip(material: Path) -> None:
    """Whatever the augmentation, fields join the frames of the batch and the target is their original."""
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=4, frames=4, crop=40, seed=5)
    seen = set()
    for step in range(6):
        batch = make_batch(clips, settings, Dropout(0, 0, 0), step)
        assert batch.target.shape == (4, 4, 3, 160, 160)
        small = torch.nn.functional.avg_pool2d(batch.target.flatten(0, 1), 4).view_as(batch.frames)
        assert (small - batch.frames).abs().mean() < 0.03
        luma = batch.frames.mean(2).numpy() * 255
        for n in range(4):
            for field, here, there in ((batch.to_prev, 2, 1), (batch.to_next, 1, 2)):
                flow = np.repeat(np.repeat(field[n, here].numpy(), 4, 1), 4, 2)
                pulled = warp(np.ascontiguousarray(luma[n, there]), flow)
                inside = (slice(8, -8), slice(8, -8))
                assert np.abs(pulled - luma[n, here])[inside].mean() < 3
                assert (
                    np.abs(pulled - luma[n, here])[inside].mean()
                    < np.abs(luma[n, there] - luma[n, here])[inside].mean()
                )
            seen.add(tuple(np.sign(batch.to_prev[n, 1].mean((1, 2)).numpy())))
    assert len(seen) == 4  # flips and reversals yield all four directions


@pytest.mark.parametrize("negate_cb", [False, True])
@pytest.mark.parametrize("negate_cr", [False, True])
@pytest.mark.parametrize("swap", [False, True])
def test_recolouring_leaves_luma_and_the_size_of_colour(negate_cb: bool, negate_cr: bool, swap: bool) -> None:
    colours = np.random.default_rng(3).random((3, 50))
    before, after = (
        sampling._RGB_TO_YCBCR @ rgb for rgb in (colours, sampling._recolouring(negate_cb, negate_cr, swap) @ colours)
    )
    np.testing.assert_allclose(after[0], before[0], atol=1e-5)
    np.testing.assert_allclose(np.sort(np.abs(after[1:]), axis=0), np.sort(np.abs(before[1:]), axis=0), atol=1e-5)
    assert np.allclose(after, before, atol=1e-5) == (not (negate_cb or negate_cr or swap))


def test_context_has_no_target(material: Path) -> None:
    """Frames of context have no target; the other tensors of the batch do not change."""
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    whole, core = (make_batch(clips, Optimisation(batch=2, frames=5, crop=24, context=c), Dropout(), 1) for c in (0, 2))
    assert core.frames.shape[1] == 5
    torch.testing.assert_close(core.target, whole.target[:, 2:3])
    with pytest.raises(InputError, match="context"):
        make_batch(clips, Optimisation(frames=4, context=2), Dropout(), 0)


def test_a_step_has_the_same_batch_every_time(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=2, frames=3, crop=24)
    one, two, other = (make_batch(clips, settings, Dropout(future=0.5), step) for step in (7, 7, 8))
    for name, value in vars(one).items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(getattr(two, name)))
    assert not torch.equal(one.frames, other.frames)


def test_dropout_disables_all_of_it(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=3, frames=3, crop=24)
    batch = make_batch(clips, settings, Dropout(motion=1, second_order=1, priors=0), 0)
    assert not batch.use_motion.any() and not batch.use_second_order.any()
    assert not batch.priors[:, :, 4:].any() and batch.priors[:, :, :4].any()
    assert not make_batch(clips, settings, Dropout(priors=1), 0).priors.any()
    assert batch.use_future is None


def test_a_sample_without_a_future_has_the_priors_of_a_last_frame(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=8, frames=3, crop=24)
    with_future, without = (make_batch(clips, settings, Dropout(0, 0, 0, future=share), 0) for share in (0, 1))
    assert without.use_future is not None and not without.use_future.any()
    own, future = [0, 1, 2, 3, 4, 6], [5, 7]
    torch.testing.assert_close(without.priors[:, :, own], with_future.priors[:, :, own])
    last = next(iter(clips)).priors[-1, future].float()  # of the clip's last frame: nothing comes after it
    expected = last[:, :1, :1].expand(*without.priors.shape[:2], 2, *without.priors.shape[3:])
    torch.testing.assert_close(without.priors[:, :, future], expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(without.to_next, with_future.to_next)
    some = make_batch(clips, settings, Dropout(0, 0, 0, future=0.5), 1).use_future
    assert some is not None and 0 < float(some.mean()) < 1


def test_only_codecvsr_can_leave_out_later_frames() -> None:
    with pytest.raises(ValueError, match="later frames"):
        Recipe(model=Model(network="basicvsr"), dropout=Dropout(future=0.1))


def test_processes_share_a_batch(material: Path) -> None:
    clips = training_data.load_clips(str(material / "hr"), [str(material / "bench" / "hr_CRF20")])
    settings = Optimisation(batch=4, frames=3, crop=16)
    whole = make_batch(clips, settings, Dropout(0.5, 0.5, 0.5, 0.5), 3)
    for part in (0, 1):
        own = make_batch(clips, settings, Dropout(0.5, 0.5, 0.5, 0.5), 3, part=part, parts=2)
        for name, value in vars(own).items():
            assert torch.equal(
                torch.as_tensor(value),
                torch.as_tensor(getattr(whole, name))[part::2] if name != "context" else torch.tensor(0),
            )
    with pytest.raises(InputError, match="cannot be shared by 3"):
        make_batch(clips, settings, Dropout(), 0, part=0, parts=3)


def test_motion_of_the_fixture_is_as_it_says(material: Path) -> None:
    motion = motion_fields(material / "bench" / "hr_CRF20" / "one" / "clip.mp4")
    assert np.median(motion.to_prev[1:, 0]) == pytest.approx(-2, abs=0.1)
    assert np.median(motion.to_prev[1:, 1]) == pytest.approx(1, abs=0.1)


def test_prepared_sets_are_drawn_by_their_shares(material: Path, prepared: Path, tmp_path: Path) -> None:
    data = dataclasses.replace(tiny(material).data, prepared=(str(prepared),), shares=(0.0, 1.0))
    sources = training_data.load_sources(data)
    assert [[len(clip) for clip in clips] for clips in sources] == [[8], [6, 6, 4, 4]]
    assert sources[1][0].hr is sources[1][1].hr and sources[1][0].lr is not sources[1][1].lr
    windows = (Window(frames=5, context=1, batch=2, crop=16), Window(frames=3, batch=4, crop=24))
    recipe = dataclasses.replace(tiny(material, steps=3), data=data, windows=windows)
    shapes = set()
    for step in range(12):
        batch = Sampler(sources, recipe).batch(step)
        shapes.add((tuple(batch.frames.shape), tuple(batch.target.shape)))
        small = torch.nn.functional.avg_pool2d(batch.target.flatten(0, 1), 4).view(
            *batch.target.shape[:3], *batch.frames.shape[3:]
        )
        core = batch.frames[:, batch.context : batch.frames.shape[1] - batch.context]
        assert (small - core).mean(2).abs().mean() < 0.02
    assert shapes == {((2, 5, 3, 16, 16), (2, 3, 3, 64, 64)), ((4, 3, 3, 24, 24), (4, 3, 3, 96, 96))}
    only_benchmark = dataclasses.replace(recipe, data=dataclasses.replace(data, shares=(1.0, 0.0)))
    assert train(recipe, tmp_path / "one") == train(only_benchmark, tmp_path / "two") == 3
    one, two = (read_log(tmp_path / name / LOG) for name in ("one", "two"))
    assert one[1]["loss"] != two[1]["loss"]
    with pytest.raises(InputError, match="2 shares were expected"):
        training_data.load_sources(dataclasses.replace(data, shares=(1.0,)))
    with pytest.raises(InputError, match="name no folders"):
        training_data.load_sources(Data())
