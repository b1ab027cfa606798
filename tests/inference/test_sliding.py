"""A network on a stream: windows that slide give the pictures of the whole clip, and carry the past on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError
from codecvsr.inference.ablations import NO_ABLATIONS
from codecvsr.inference.execute import upscale_window
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.sliding import SlidingNetwork, without_graphs
from codecvsr.inference.source import Source
from codecvsr.inference.windows import Window
from codecvsr.models.zoo import load_model
from codecvsr.motion import estimate_motion
from tests.streams import encode, moving_texture
from tests.videos import small_network

FRAMES = 7


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Seven frames with a change of scene, and their motion."""
    scenes = [moving_texture(n, 16, 24, 1, 1, seed=n) for n in (4, 3)]
    path = encode(tmp_path_factory.mktemp("clip") / "c.mp4", np.concatenate(scenes))
    frames = list(read_video(path))
    motion = estimate_motion(frames, threads=1)
    is_cut = np.zeros(FRAMES, np.bool_)
    is_cut[4] = True
    return np.stack([frame.rgb for frame in frames]), replace(motion, is_cut=is_cut)


@pytest.fixture(scope="module", params=[8, 16])
def model(request, tmp_path_factory):
    """A small network; of 16 channels for the native form, which has multiples of 16 alone."""
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    return load_model(str(small_network(path, channels=request.param)))


@pytest.fixture(scope="module")
def plan():
    """As this machine runs it: in the native form where it is built."""
    return without_graphs(make_plan("cpu", "fp32"))


def slide(network, clip, made, look_ahead):
    frames, motion = clip
    pictures = []
    for start in range(0, len(frames), made):
        count = min(made, len(frames) - start)
        end = min(start + count + look_ahead, len(frames))
        pictures += network.upscale(frames[start:end], motion.cut(start, end), count)
    return pictures


def whole(model, clip, plan):
    frames, _motion = clip
    names = tuple(map(str, range(len(frames))))
    window, limits = Window(0, len(frames), 0, len(frames)), MemoryLimits(100, 0)
    return list(upscale_window(model, Source(names, *clip), NO_ABLATIONS, window, limits, plan))


@pytest.mark.parametrize("made", [1, 3, FRAMES])
def test_with_all_the_future_the_pictures_are_those_of_the_whole(model, clip, plan, made):
    pictures = slide(SlidingNetwork(model, plan), clip, made, FRAMES)
    for ours, theirs in zip(pictures, whole(model, clip, plan), strict=True):
        assert abs(ours.astype(int) - theirs).max() <= 1


def test_without_look_ahead_a_picture_depends_on_the_past_alone(model, clip, plan):
    frames, motion = clip
    changed = frames.copy()
    changed[5:] = 255 - changed[5:]
    ours = slide(SlidingNetwork(model, plan), clip, 1, 0)
    theirs = slide(SlidingNetwork(model, plan), (changed, motion), 1, 0)
    for a, b in zip(ours[:5], theirs[:5], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (ours[5] != theirs[5]).any()


def test_the_past_reaches_the_next_window_until_it_is_reset(model, clip, plan):
    frames, motion = clip
    network = SlidingNetwork(model, plan)
    first = slide(network, (frames[:4], motion.cut(0, 4)), 2, 0)
    again = list(network.upscale(frames[2:4], motion.cut(2, 4), 2))
    assert (again[0] != first[2]).any()  # it followed frame 3
    network.reset()
    np.testing.assert_array_equal(slide(network, (frames[:4], motion.cut(0, 4)), 2, 0)[2], first[2])


def test_other_networks_are_refused(plan):
    with pytest.raises(InputError, match="needs whole windows"):
        SlidingNetwork(load_model("basicvsr:random"), plan)
