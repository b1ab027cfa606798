"""Every network sees the frames and the motion that its paper says."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from codecvsr.errors import InputError
from codecvsr.files import read_image, write_png
from codecvsr.inference import motion_source
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.infer import infer
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.zoo import load_model
from tests.inference.frames import CPU, FRAMES, HEIGHT, NAMES, WIDTH, outputs_of, pictures, run
from tests.streams import moving_texture

KINDS = ("codec", "spynet", "dis", "zero", "raw")


@pytest.mark.parametrize("name", ["iconvsr", "basicvsr-pp", "rbpn", "rate-groups", "mvsr-seed"])
def test_every_network_with_motion_runs_on_every_kind(clip, tmp_path, others, small_basicvsr, name, monkeypatch):
    monkeypatch.setattr(motion_source, "SPYNET_FROM", small_basicvsr)  # for those without their own
    usual = load_model(others[name]).motion[0]
    assert usual == {"rbpn": "dis", "mvsr-seed": "codec"}.get(name, "spynet")
    source = load_motion(clip, "zero", Ablations())
    floats = {}
    for kind in KINDS:
        model = load_model(others[name])
        moved = load_motion(clip, kind, Ablations(), model=model)
        with torch.inference_mode():
            floats[kind] = torch.cat(outputs_of(model, moved))
        assert floats[kind].shape == (FRAMES, 3, 4 * HEIGHT, 4 * WIDTH)
    for a, b in combinations(KINDS, 2):
        assert not torch.equal(floats[a], floats[b]), (a, b)
    assert not source.motion.to_prev.any()
    report, result = run(clip, tmp_path / "out", others[name])
    assert report.motion == usual and report.scale == 4
    expected = (floats[usual].clamp(0, 1) * 255).round().permute(0, 2, 3, 1).numpy()
    assert abs(result - expected).max() <= 1  # channels_last convolutions round otherwise


def test_edvr_sees_the_window_of_its_paper_at_every_frame(clip, tmp_path, others):
    report, result = run(clip, tmp_path / "out", others["edvr"])
    assert report.motion == "none"
    frames = torch.from_numpy(np.stack([read_image(clip / "lr" / name) for name in NAMES])).permute(0, 3, 1, 2) / 255
    network = load_model(others["edvr"]).network
    for index, window in enumerate(([3, 3, 0, 1, 2], [3, 0, 1, 2, 3], [0, 1, 2, 3, 0], [1, 2, 3, 0, 0])):
        with torch.inference_mode():
            expected = (network(frames[None, window])[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        assert abs(result[index] - expected).max() <= 1
    with pytest.raises(InputError, match="uses no motion"):
        infer(clip, tmp_path / "no", model=others["edvr"], motion="codec")


def test_rbpn_sees_the_frame_itself_where_there_is_no_neighbour(clip, others):
    source = load_motion(clip, "dis", Ablations())
    model = load_model(others["rbpn"])
    network, seen = model.network, []
    network.register_forward_pre_hook(lambda module, args: seen.append(args))
    with torch.inference_mode():
        outputs_of(model, source)
    whole = SourceClip(source, CPU).frames()
    target, neighbours, flows = seen[1]
    assert torch.equal(target, whole[:, 1])
    assert torch.equal(neighbours, whole[:, [1, 1, 0, 2, 3, 1]])
    assert [bool(flow.any()) for flow in flows[0]] == [False, False, True, True, True, False]
    direct = source.pairwise(1, 3)  # not the sum of two steps
    assert np.array_equal(flows[0, 4].numpy(), direct) and direct.shape == (2, HEIGHT, WIDTH)
    middle = flows[0, :, :, 8:-8, 8:-8].mean((2, 3))
    for index, steps in ((2, -1), (3, 1), (4, 2)):  # content moves 2 right and 1 down a frame
        assert (middle[index] - steps * torch.tensor([2.0, 1.0])).abs().max() < 0.3


def test_codec_motion_over_several_frames_is_composed(clip):
    source = load_motion(clip, "codec", Ablations())
    assert source.pairwise is None
    flow = SourceClip(source, CPU).flow(3, 0)[0, :, 8:-8, 8:-8]
    assert (flow.mean((1, 2)) - torch.tensor([-6.0, -3.0])).abs().max() < 0.4
    assert not SourceClip(source, CPU).flow(2, 2).any()
    part = load_motion(clip, "dis", Ablations()).cut(1, 4)
    whole = load_motion(clip, "dis", Ablations())
    assert np.array_equal(part.pairwise(0, 2), whole.pairwise(1, 3))


def test_rate_groups_step_at_their_rates_and_turn_round_at_the_ends(clip, others):
    source = load_motion(clip, "zero", Ablations())
    model = load_model(others["rate-groups"])
    network, seen = model.network, []
    network.rates = (1, 2, 3)
    network.register_forward_pre_hook(lambda module, args: seen.append(args))
    with torch.inference_mode():
        outputs_of(model, source, [1])
    whole = SourceClip(source, CPU).frames()
    (groups, _) = seen[0]
    for group, expected in zip(groups, ([1, 0, 1, 2, 3], [3, 1, 1, 3, 1], [1, 2, 1, 2, 1]), strict=True):
        assert torch.equal(group, whole[:, expected])


def test_a_network_that_keeps_the_size(clip, tmp_path, others):
    report = infer(clip, tmp_path / "out", model=others["basicvsr-pp-same"], motion="codec")
    assert (report.scale, report.motion) == (1, "codec")
    assert pictures(tmp_path / "out").shape == (FRAMES, HEIGHT, WIDTH, 3)


def test_the_seeds_network_leaves_out_its_second_order(clip, tmp_path, others):
    _, full = run(clip, tmp_path / "full", others["mvsr-seed"])
    report, first = run(clip, tmp_path / "first", others["mvsr-seed"], second_order=True)
    assert report.ablations == ["second_order"] and not np.array_equal(full, first)
    with pytest.raises(InputError, match="has no priors to leave out"):
        run(clip, tmp_path / "no", others["mvsr-seed"], priors=True)


def test_a_clip_of_one_frame_of_odd_size(tmp_path, others):
    folder = tmp_path / "clip" / "lr"
    folder.mkdir(parents=True)
    write_png(folder / "00000000.png", moving_texture(1, 5, 7, 0, 0)[0])
    for name, model in others.items():
        report = infer(tmp_path / "clip", tmp_path / name, model=model, motion=None if name == "edvr" else "zero")
        side = report.scale
        assert pictures(tmp_path / name).shape == (1, 5 * side, 7 * side, 3)
