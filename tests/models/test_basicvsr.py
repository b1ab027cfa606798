"""BasicVSR and SPyNet: equal to the published implementation, any size, and which flow is which."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.layers.warp import warp
from codecvsr.models.spynet import SPyNet
from tests.goldens.published import TOLERANCE, fill, moving_frames, published_output, published_shapes
from tests.streams import moving_texture


def test_keys_and_shapes_are_the_published_ones() -> None:
    state = BasicVSR().state_dict()
    assert {key: tuple(tensor.shape) for key, tensor in state.items()} == published_shapes("BasicVSR")


@torch.inference_mode()
def test_output_is_the_published_one() -> None:
    expected, shape, (t, h, w) = published_output("BasicVSR")
    output = fill(BasicVSR())(moving_frames("BasicVSR", t, h, w))
    assert tuple(output.shape) == shape
    assert np.abs(output[..., ::4, 1::4].numpy() - expected).max() <= TOLERANCE


@torch.inference_mode()
@pytest.mark.parametrize(("t", "height", "width"), [(2, 45, 37), (1, 33, 64), (2, 5, 90), (1, 1, 1), (3, 32, 32)])
def test_any_size_and_length(t: int, height: int, width: int) -> None:
    network = fill(BasicVSR(num_feat=8, num_block=1))
    output = network(moving_frames("sizes", t, height, width))
    assert output.shape == (1, t, 3, 4 * height, 4 * width)
    assert torch.isfinite(output).all()


@torch.inference_mode()
def test_samples_of_a_batch_and_long_windows_do_not_mix() -> None:
    network = fill(BasicVSR(num_feat=8, num_block=1))
    a, b = moving_frames("a", 6, 20, 24), moving_frames("b", 6, 20, 24)  # 10 pairs: more than one call of SPyNet
    batched = network(torch.cat((a, b)))
    torch.testing.assert_close(batched, torch.cat((network(a), network(b))), atol=1e-5, rtol=0)


def _carrying_network() -> BasicVSR:
    """A network whose state is the frame it saw last: what comes in warped is one frame, pulled by one flow."""
    network = BasicVSR(num_feat=3, num_block=1)
    for trunk in (network.backward_trunk, network.forward_trunk):
        for parameter in trunk.parameters():
            parameter.data.zero_()
        for channel in range(3):
            trunk.main[0].weight.data[channel, channel, 1, 1] = 1.0
    return network.eval()


def _misalignment(dx: int, dy: int, *, swapped: bool) -> dict[str, float]:
    """Mean |warped state - frame| inside, per trunk, for content that moves (dx, dy) a frame under its true flows."""
    frames = torch.from_numpy(moving_texture(4, 48, 56, dx, dy)).permute(0, 3, 1, 2)[None] / 255
    to_prev = torch.tensor([-dx, -dy]).float().view(1, 1, 2, 1, 1).expand(1, 3, 2, 48, 56)
    flows = (-to_prev, to_prev) if swapped else (to_prev, -to_prev)
    network = _carrying_network()
    seen: dict[str, list[float]] = {"backward_trunk": [], "forward_trunk": []}

    def watch(name: str) -> None:
        def hook(module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
            frame, state = inputs[0][:, :3], inputs[0][:, 3:]
            seen[name].append(float((frame - state)[..., 12:-12, 12:-12].abs().mean()))

        getattr(network, name).register_forward_pre_hook(hook)

    for name in seen:
        watch(name)
    with torch.inference_mode():
        network(frames, *flows)
    return {name: max(values[1:]) for name, values in seen.items()}  # the first state is empty


def test_given_flows_align_known_motion() -> None:
    """flows_forward is to_prev of the later frame, flows_backward is to_next of the earlier one."""
    assert max(_misalignment(3, -2, swapped=False).values()) < 1e-4
    assert min(_misalignment(3, -2, swapped=True).values()) > 0.03


@torch.inference_mode()
def test_given_flows_replace_spynet_and_only_it() -> None:
    network = fill(BasicVSR(num_feat=8, num_block=1))
    frames = moving_frames("given", 3, 40, 48)
    earlier, later = frames[0, :-1], frames[0, 1:]
    forward, backward = network.spynet(later, earlier)[None], network.spynet(earlier, later)[None]
    alone = network(frames)
    network.spynet.forward = None  # whoever calls it fails
    torch.testing.assert_close(network(frames, forward, backward), alone, atol=1e-5, rtol=0)
    assert (network(frames, forward * 0, backward * 0) - alone).abs().max() > 1e-4


def test_wrong_shapes_are_named() -> None:
    network = BasicVSR(num_feat=4, num_block=1)
    with pytest.raises(ValueError, match=r"x\.shape = \(2, 3, 8, 8\)"):
        network(torch.zeros(2, 3, 8, 8))
    flows = torch.zeros(1, 2, 2, 8, 8)
    with pytest.raises(ValueError, match=r"flows_backward\.shape = \(1, 2, 2, 8, 8\)"):
        network(torch.zeros(1, 2, 3, 8, 8), flows[:, :1], flows)


@torch.inference_mode()
def test_spynet_scales_its_flow_back_to_the_picture() -> None:
    """With constant corrections of (2, 1) at the finest level only, the flow of a resized picture shrinks with it."""
    network = SPyNet().eval()
    for parameter in network.parameters():
        parameter.zero_()
    network.basic_module[-1].basic_module[-1].bias.copy_(torch.tensor([2.0, 1.0]))
    flow = network(torch.rand(1, 3, 48, 80), torch.rand(1, 3, 48, 80))  # inside 64 x 96
    assert flow.shape == (1, 2, 48, 80)
    expected = torch.tensor([2.0 * 80 / 96, 48 / 64]).view(1, 2, 1, 1).expand_as(flow)
    torch.testing.assert_close(flow, expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_low_precision_keeps_flows_usable() -> None:
    frames = moving_frames("bf16", 2, 32, 40)
    network = fill(BasicVSR(num_feat=8, num_block=1))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(frames)
    assert (output.float() - network(frames)).abs().max() < 0.05
    flow = network.spynet(frames[0, :1], frames[0, 1:])
    assert torch.isfinite(warp(frames[0, 1:], flow)).all()
