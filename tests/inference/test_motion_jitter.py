"""Jitter of codec motion in long windows of published networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from codecvsr.bitstream.reader import read_video
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations, choose_motion
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_jitter import TRAINED_FRAMES, jittered
from codecvsr.inference.motion_source import with_motion
from codecvsr.inference.source import Source
from codecvsr.models.registry import ARCHITECTURES
from codecvsr.models.zoo import load_model
from codecvsr.motion.types import unknown_motion
from codecvsr.upscaling.chunk_motion import make_source
from codecvsr.video.probe import Media
from tests.videos import make_video

FRAMES, HEIGHT, WIDTH = TRAINED_FRAMES + 2, 32, 64


@pytest.fixture(scope="module")
def official():
    """A BasicVSR of random weights that passes for a published one; its output layers are random as well."""
    return replace(load_model("basicvsr:random"), training="official")


@pytest.fixture(scope="module")
def source():
    pixels = np.random.default_rng(1).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    return replace(blank(FRAMES, HEIGHT, WIDTH), frames=pixels)


def blank(frames, height, width):
    names = tuple(f"{i:08d}.png" for i in range(frames))
    return Source(names, np.zeros((frames, height, width, 3), np.uint8), unknown_motion(frames, height, width))


def upscaled(model, source, window=FRAMES, tile=0, **ablations):
    plan = make_plan("cpu", "fp32", compile=False)
    made = upscale_frames(model, source, Ablations(**ablations), MemoryLimits(window, tile, is_fixed=True), plan)
    return np.stack(list(made))


def test_jitter_is_a_twentieth_of_a_pixel() -> None:
    duplicates = blank(400, 16, 16)
    moved = jittered(duplicates, 0, 400)
    offsets = np.stack((moved.motion.to_prev, moved.motion.to_next))
    assert offsets.std() == pytest.approx(0.05, rel=0.1) and abs(offsets.mean()) < 0.005
    assert (offsets == offsets[..., :1, :1]).all()  # equal over a frame
    assert len(np.unique(offsets)) == 4 * 400  # and another one in every frame, direction and axis
    assert not duplicates.motion.to_prev.any()  # the clip itself is unchanged


def test_a_frames_jitter_does_not_depend_on_the_window() -> None:
    whole, part = (jittered(blank(20, 32, 32), *bounds).motion for bounds in ((0, 20), (7, 12)))
    np.testing.assert_array_equal(part.to_next[7:12], whole.to_next[7:12])
    assert not part.to_next[:7].any() and not part.to_next[12:].any()


def test_flow_of_pixels_has_the_jitter_of_cells() -> None:
    cells, clip = jittered(blank(5, 8, 8), 1, 4).motion, blank(5, 8, 8)
    zero = np.zeros((5, 2, 8, 8), np.float32)
    dense = jittered(replace(clip, dense=(zero, zero)), 1, 4).dense
    assert dense is not None
    for pixels, expected in zip(dense, (cells.to_prev, cells.to_next), strict=True):
        np.testing.assert_array_equal(pixels[..., ::4, ::4], expected)


def test_long_windows_have_jitter_and_short_ones_do_not(official, source) -> None:
    jittering = with_motion(source, "codec", official)
    assert jittering.has_motion_jitter
    assert not np.array_equal(upscaled(official, jittering), upscaled(official, jittering, motion_jitter=True))
    np.testing.assert_array_equal(upscaled(official, jittering, motion_jitter=True), upscaled(official, source))
    few = jittering.cut(0, TRAINED_FRAMES)
    np.testing.assert_array_equal(upscaled(official, few), upscaled(official, few, motion_jitter=True))


def test_tiles_have_the_jitter_of_the_frame(official, source, monkeypatch) -> None:
    seen = []

    def run(network, clip, wanted, execution):
        seen.append(clip.cell_fields()[0][0].numpy())
        return iter(torch.zeros(FRAMES, 1, 3, *(4 * side for side in clip.frames([0]).shape[-2:])))

    monkeypatch.setitem(ARCHITECTURES, "basicvsr", replace(ARCHITECTURES["basicvsr"], runner=run))
    jittering = with_motion(source, "codec", official)
    upscaled(official, jittering)
    upscaled(official, jittering, tile=32)
    whole, left, right = seen
    assert whole.any()
    np.testing.assert_array_equal(left, whole[..., : left.shape[-1]])
    np.testing.assert_array_equal(right, whole[..., -right.shape[-1] :])


def test_only_codec_motion_of_published_networks_has_jitter(official, source) -> None:
    for kind in ("raw", "zero", "dis"):
        assert not with_motion(source, kind, official).has_motion_jitter, kind
    assert not with_motion(source, "codec", load_model("basicvsr:random")).has_motion_jitter
    assert not with_motion(
        source, "codec", replace(load_model("codecvsr:random"), training="official")
    ).has_motion_jitter
    assert not with_motion(source, "codec").has_motion_jitter


def test_upscale_adds_jitter_to_optical_flow_too(official, tmp_path) -> None:
    video = make_video(tmp_path / "video.mkv", 2, 16, 24, extras=False)
    media, frames = Media.open(video), list(read_video(video))
    found = {
        kind: make_source(frames, media, kind, official, tmp_path).has_motion_jitter
        for kind in ("codec", "dis", "zero")
    }
    assert found == {"codec": True, "dis": True, "zero": False}
    assert not make_source(frames, media, "dis", load_model("basicvsr:random"), tmp_path).has_motion_jitter


def test_jitter_can_be_ablated_where_there_is_any(official) -> None:
    ablations = Ablations(motion_jitter=True)
    assert choose_motion(official, "codec", ablations) == "codec"
    with pytest.raises(InputError, match="--ablate-motion-jitter: .* along spynet has no jitter"):
        choose_motion(official, "spynet", ablations)
    with pytest.raises(InputError, match="--ablate-motion-jitter: .* along codec has no jitter"):
        choose_motion(load_model("codecvsr:random"), None, ablations)
