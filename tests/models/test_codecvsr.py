"""The network ``codecvsr``: shapes, what it starts as, along which direction it aligns, and what its switches leave out."""

from __future__ import annotations

import pytest
import torch

from codecvsr.models.bicubic import Bicubic
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.priors import CHANNELS


def window(frames: int = 4, height: int = 24, width: int = 32) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(1)
    h, w = -(-height // 4), -(-width // 4)
    return (
        torch.rand(1, frames, 3, height, width),
        torch.randn(1, frames, 2, h, w),
        torch.randn(1, frames, 2, h, w),
        torch.randn(1, frames, CHANNELS, h, w),
    )


@pytest.fixture
def network() -> CodecVSR:
    """A small network all of whose parts have an effect."""
    torch.manual_seed(0)
    built = CodecVSR(channels=8, blocks=1).eval()
    for zero in (
        built.flow_head[-1],
        built.to_rgb,
        built.neighbours,
        built.backward_step.main[0],
        built.forward_step.main[0],
    ):
        torch.nn.init.normal_(zero.weight, std=0.1)
    return built


@torch.no_grad()
@pytest.mark.parametrize("size", [(24, 32), (23, 29), (5, 3), (1, 1)])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_any_size_and_length(network: CodecVSR, size: tuple[int, int], frames: int) -> None:
    output = network(*window(frames, *size))
    assert output.shape == (1, frames, 3, 4 * size[0], 4 * size[1])
    assert output.isfinite().all()


@torch.no_grad()
def test_untrained_it_is_bicubic() -> None:
    inputs = window()
    torch.testing.assert_close(CodecVSR(channels=8, blocks=1)(*inputs), Bicubic()(inputs[0]))


@torch.no_grad()
def test_round_trip_through_its_state_dict(network: CodecVSR) -> None:
    state = {key: value.half() for key, value in network.state_dict().items()}
    rebuilt = CodecVSR.from_state_dict(state)
    assert (rebuilt.channels, rebuilt.blocks) == (8, 1)
    network.load_state_dict(state)
    torch.testing.assert_close(rebuilt(*window()), network(*window()))


@torch.no_grad()
def test_context_is_looked_at_only(network: CodecVSR) -> None:
    """The frames of context influence the others through their pictures alone, over two frames."""
    frames, *others = window(7)
    output = network(frames, *others, context=2)
    assert output.shape == (1, 3, 3, 96, 128)
    for k, reached in ((0, (0,)), (1, (0, 1)), (5, (1, 2)), (6, (2,))):
        changed = frames.clone()
        changed[:, k] += 0.5
        difference = (network(changed, *others, context=2) - output).abs().amax((0, 2, 3, 4))
        assert all(difference[i] > 1e-3 for i in reached), k


@torch.no_grad()
def test_every_frame_sees_the_whole_window_and_a_cut_ends_that(network: CodecVSR) -> None:
    frames, *others = window(6)
    changed = frames.clone()
    changed[:, 0] += 0.5
    moved = (network(changed, *others) - network(frames, *others)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved > 0).all()
    cut = torch.zeros(1, 6, dtype=torch.bool)
    cut[0, 3] = True
    moved = (network(changed, *others, cut) - network(frames, *others, cut)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved[:3] > 0).all()
    assert (moved[3:] == 0).all()
    changed = frames.clone()
    changed[:, 5] += 0.5
    moved = (network(changed, *others, cut) - network(frames, *others, cut)).abs().amax(dim=(0, 2, 3, 4))
    assert (moved[:3] == 0).all()


@torch.no_grad()
def test_without_a_flow_head_the_motion_is_the_codecs(network: CodecVSR) -> None:
    """It is what a head that corrects nothing gives, and weights without one make a network without one."""
    inputs = window(5, 23, 29)
    for parameter in network.flow_head[-1].parameters():
        parameter.zero_()
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("flow_head.")}
    plain = CodecVSR.from_state_dict(state)
    assert plain.flow_head is None
    torch.testing.assert_close(plain(*inputs), network(*inputs))


@torch.no_grad()
def test_features_are_pulled_along_the_field(network: CodecVSR) -> None:
    """A dot of frame 0 shows in frame 1 where ``to_prev`` says it went, and in frame 2 through two fields."""
    network.flow_head[-1].weight.zero_()
    frames = torch.zeros(1, 3, 3, 32, 32)
    to_prev = torch.zeros(1, 3, 2, 8, 8)
    to_prev[:, :, 0] = -8  # x: content moves 8 pixels to the right each frame
    others = (-to_prev, torch.zeros(1, 3, CHANNELS, 8, 8))
    dotted = frames.clone()
    dotted[:, 0, :, 8, 4] = 1
    change = (network(dotted, to_prev, *others) - network(frames, to_prev, *others)).abs().sum(2)[0]
    for t, column in ((1, 12), (2, 20)):
        weight = change[t].view(32, 4, 32, 4).sum((1, 3))
        x = (weight.sum(0) * torch.arange(32)).sum() / weight.sum()
        assert abs(float(x) - column) < 1.5


@torch.no_grad()
def test_switches(network: CodecVSR) -> None:
    frames, to_prev, to_next, priors = window(5)
    off, on = torch.zeros(1), torch.ones(1)
    full = network(frames, to_prev, to_next, priors)
    torch.testing.assert_close(full, network(frames, to_prev, to_next, priors, use_motion=on, use_second_order=on))
    static = network(frames, to_prev, to_next, priors, use_motion=off)
    torch.testing.assert_close(static, network(frames, -to_prev * 3, to_next * 0, priors, use_motion=off))
    assert (static - full).abs().max() > 1e-3
    first_order = network(frames, to_prev, to_next, priors, use_second_order=off)
    assert (first_order - full).abs().max() > 1e-4
    two = (part[:, :2] for part in (frames, to_prev, to_next, priors))
    two_frames = network(*two)
    torch.testing.assert_close(
        two_frames, network(*(part[:, :2] for part in (frames, to_prev, to_next, priors)), use_second_order=off)
    )


@torch.no_grad()
def test_without_a_future_no_frame_sees_a_later_one(network: CodecVSR) -> None:
    inputs = [torch.cat([part, part]) for part in window(5)]
    use_future = torch.tensor([0.0, 1.0])
    full = network(*inputs, use_future=use_future)
    torch.testing.assert_close(full[1:], network(*(part[1:] for part in inputs)))
    cut = torch.zeros(2, 5, dtype=torch.bool)
    torch.testing.assert_close(full, network(*inputs, cut, use_future=use_future))
    begun = network(*(part[:, :3] for part in inputs), use_future=use_future)
    torch.testing.assert_close(begun[0], full[0, :3])  # what comes later changes nothing
    assert (begun[1] - full[1, :3]).abs().max() > 1e-4
    last = network(*(part[:1, :3] for part in inputs), use_future=torch.zeros(1))[:, -1]
    states: dict[int, torch.Tensor] = {}
    for t in range(3):  # a stream without look-ahead: every window ends with the frame that is made
        made = list(network.iterate(*(part[:1, : t + 1] for part in inputs), first=t, states=states))
    torch.testing.assert_close(made[0], last)


def test_flags_are_per_sample(network: CodecVSR) -> None:
    inputs = [torch.cat([part, part]) for part in window(3)]
    with torch.no_grad():
        mixed = network(*inputs, use_motion=torch.tensor([1.0, 0.0]))
        single = [network(*window(3), use_motion=torch.tensor([flag])) for flag in (1.0, 0.0)]
    torch.testing.assert_close(mixed, torch.cat(single), atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_parameter(network: CodecVSR) -> None:
    network(*window(3)).square().mean().backward()
    missing = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not missing
