"""The networks beside BasicVSR: any size, given flows, what each part is for, and refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.layers.blocks import pad_to_multiple
from codecvsr.models.layers.deform import modulated_deform_conv2d
from codecvsr.models.layers.warp import warp
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from tests.goldens.published import fill, moving_frames, noise

SMALL: dict[str, Callable[[], nn.Module]] = {
    "edvr": lambda: EDVR(num_feat=8, num_extract_block=1, num_reconstruct_block=1),
    "edvr-deblur": lambda: EDVR(num_feat=8, num_reconstruct_block=1, with_tsa=False, with_predeblur=True, hr_in=True),
    "iconvsr": lambda: IconVSR(num_feat=8, num_block=1, keyframe_stride=2),
    "basicvsr-pp": lambda: BasicVSRPlusPlus(mid_channels=8, num_blocks=1),
    "basicvsr-pp-same": lambda: BasicVSRPlusPlus(mid_channels=8, num_blocks=1, is_low_res_input=False),
    "rbpn": lambda: RBPN(base_filter=8, feat=4, n_resblock=1),
    "rate-groups": lambda: RateGroups(mid_channels=8, num_blocks=1),
    "rate-groups-mh": lambda: RateGroups(multi_head=True, mid_channels=8, num_blocks=1),
    "mvsr-seed": lambda: MVSRSeed(channels=8, blocks=1),
}


def inputs(name: str, t: int, h: int, w: int) -> tuple[object, ...]:
    if name.startswith("edvr"):
        return (moving_frames(name, 5, h, w),)
    if name.startswith("rate-groups"):
        return (moving_frames(name, 15, h, w).reshape(1, 3, 5, 3, h, w).unbind(1),)
    if name == "rbpn":
        frames = moving_frames(name, 7, h, w)
        return frames[:, 0], frames[:, 1:], noise("flow", (1, 6, 2, h, w))
    if name == "mvsr-seed":
        return moving_frames(name, t, h, w), *(noise(x, (1, t, 2, h, w)) for x in "ab"), torch.ones(1, t)
    return (moving_frames(name, t, h, w),)


@torch.inference_mode()
@pytest.mark.parametrize(("t", "height", "width"), [(3, 21, 34), (1, 1, 1), (2, 3, 66)])
@pytest.mark.parametrize("name", SMALL)
def test_any_size_and_length(name: str, t: int, height: int, width: int) -> None:
    network = fill(SMALL[name]())
    output = network(*inputs(name, t, height, width))
    scale = network.scale
    frames = (t,) if name.startswith(("iconvsr", "basicvsr", "mvsr")) else ()
    assert output.shape == (1, *frames, 3, scale * height, scale * width)
    assert torch.isfinite(output).all()


@torch.inference_mode()
@pytest.mark.parametrize("name", ["edvr", "iconvsr", "basicvsr-pp-same"])
def test_a_size_that_needs_padding_is_the_padded_picture_cut_off(name: str) -> None:
    """Which is the published code where it pads, and the same rule where it refuses."""
    network = fill(SMALL[name]())
    frames = moving_frames("pad", 5, 22, 29)
    padded = F.pad(frames.flatten(0, 1), (0, 3, 0, 2), mode="reflect").unflatten(0, (1, 5))
    cut = network(padded)[..., : network.scale * 22, : network.scale * 29]
    torch.testing.assert_close(network(frames), cut, atol=1e-6, rtol=0)


def test_padding_goes_on_as_a_mirror_and_where_it_cannot_as_the_edge() -> None:
    row = torch.tensor([[1.0, 2.0, 3.0]])
    assert pad_to_multiple(row.expand(4, 3), 4)[0].tolist() == [1, 2, 3, 2]
    assert pad_to_multiple(torch.tensor([[1.0, 2.0]]).expand(4, 2), 4)[0].tolist() == [1, 2, 2, 2]
    assert pad_to_multiple(torch.ones(2, 4, 8), 4).shape == (2, 4, 8)


@torch.inference_mode()
@pytest.mark.parametrize("name", SMALL)
def test_low_precision_stays_close(name: str) -> None:
    network, given = fill(SMALL[name]()), inputs(name, 3, 20, 24)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(*given)
    assert (output.float() - network(*given)).abs().max() < 0.05


# --- flows ------------------------------------------------------------------------------------------------------------


@torch.inference_mode()
@pytest.mark.parametrize("name", ["iconvsr", "basicvsr-pp", "basicvsr-pp-same"])
def test_given_flows_replace_spynet_and_only_it(name: str) -> None:
    network = fill(SMALL[name]())
    frames = moving_frames("given", 3, 36, 44)
    seen = frames
    if name == "basicvsr-pp-same":
        seen = F.interpolate(frames[0], scale_factor=0.25, mode="bicubic", align_corners=False)[None]
    forward = network.spynet.between(seen[:, 1:], seen[:, :-1])
    backward = network.spynet.between(seen[:, :-1], seen[:, 1:])
    alone = network(frames)
    network.spynet.forward = None  # whoever calls it fails
    torch.testing.assert_close(network(frames, forward, backward), alone, atol=1e-5, rtol=0)
    for moved in (network(frames, forward + 3, backward), network(frames, forward, backward + 3)):
        assert (moved - alone).abs().max() > 1e-5
    with pytest.raises(ValueError, match=r"flows_backward\.shape = \(1, 1, 2"):
        network(frames, forward, backward[:, :1])


@torch.inference_mode()
def test_given_flows_of_the_groups_replace_spynet() -> None:
    network = fill(SMALL["rate-groups"]())
    (groups,) = inputs("rate-groups", 0, 36, 44)
    flows = [(network.spynet.between(g[:, 1:], g[:, :-1]), network.spynet.between(g[:, :-1], g[:, 1:])) for g in groups]
    alone = network(groups)
    network.spynet.forward = None
    torch.testing.assert_close(network(groups, flows), alone, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_sides_that_four_does_not_divide_take_flows_of_the_picture() -> None:
    network = fill(SMALL["iconvsr"]())
    frames, flows = moving_frames("odd", 2, 21, 30), torch.zeros(1, 1, 2, 21, 30)
    padded, longer = pad_to_multiple(frames, 4), torch.zeros(1, 1, 2, 24, 32)
    expected = network(padded, longer, longer)[..., :84, :120]
    torch.testing.assert_close(network(frames, flows, flows), expected, atol=1e-6, rtol=0)


# --- what each network is made of -------------------------------------------------------------------------------------


@torch.inference_mode()
def test_iconvsr_refills_key_frames_only() -> None:
    network = fill(IconVSR(num_feat=8, num_block=1, keyframe_stride=3))
    assert network.key_frames(8) == [0, 3, 6, 7] and network.key_frames(7) == [0, 3, 6] and network.key_frames(1) == [0]
    asked: list[Tensor] = []
    network.edvr.register_forward_pre_hook(lambda module, args: asked.append(args[0]))
    frames = moving_frames("keys", 8, 16, 20)
    network(frames)
    assert len(asked) == 4
    for window, centre in zip(asked, ([4, 3, 0, 1, 2], [1, 2, 3, 4, 5], [4, 5, 6, 7, 4], [5, 6, 7, 4, 3]), strict=True):
        assert torch.equal(window, frames[:, centre])


@torch.inference_mode()
def test_seed_network_with_the_wrong_and_the_right_motion() -> None:
    network = fill(SMALL["mvsr-seed"]())
    frames = moving_frames("seed", 3, 24, 28)
    past, future = noise("past", (1, 3, 2, 24, 28)) * 3, noise("future", (1, 3, 2, 24, 28)) * 3
    p_frames, i_frames = torch.full((1, 3), 2), torch.full((1, 3), 1)
    right = network(frames, past, future, p_frames, as_published=False)
    assert torch.equal(right, network(frames, past, future, i_frames, as_published=False))  # types do not matter
    torch.testing.assert_close(network(frames, past * 4, future * 4, p_frames), right, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        network(frames, past * 4, future, i_frames), network(frames, past * 4, -past * 4, p_frames)
    )
    first = network(frames, past, future, p_frames, as_published=False, use_second_order=False)
    assert (first - right).abs().max() > 1e-5
    with pytest.raises(ValueError, match=r"types\.shape"):
        network(frames, past, future, torch.ones(1, 2))


@torch.inference_mode()
@pytest.mark.parametrize(("name", "heads"), [("rate-groups", 1), ("rate-groups-mh", 4)])
def test_attention_weights_add_up_to_one(name: str, heads: int) -> None:
    maps = fill(SMALL[name]()).attention_maps(noise("features", (1, 8, 3, 10, 12)))
    assert maps.shape == (1, heads, 8, 3, 10, 12)
    torch.testing.assert_close(maps.sum(3), torch.ones(1, heads, 8, 10, 12))
    assert maps.std() > 1e-3


def test_every_network_learns_from_one_step() -> None:
    """Gradients arrive at every parameter that the output depends on, the deformable convolutions' offsets included."""
    for name in ("edvr", "basicvsr-pp"):
        network = fill(SMALL[name]()).train()
        network(*inputs(name, 3, 16, 16)).square().mean().backward()
        silent = [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert [key for key in silent if "spynet" not in key] == []


@pytest.mark.parametrize(
    ("network", "arguments", "words"),
    [
        ("edvr", (torch.zeros(1, 7, 3, 8, 8),), r"x\.shape = \(1, 7, 3, 8, 8\); expected \(N, 5, 3, H, W\)"),
        ("rbpn", (torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 3, 8, 8), torch.zeros(1, 6, 2, 8, 8)), "neighbours.shape"),
        ("rate-groups", ([torch.zeros(1, 5, 3, 8, 8)] * 2,), "expected 3 of"),
        ("iconvsr", (torch.zeros(2, 3, 8, 8),), r"x\.shape = \(2, 3, 8, 8\)"),
    ],
)
def test_wrong_shapes_are_named(network: str, arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SMALL[network]()(*arguments)


def test_spynet_is_shared_with_basicvsr_in_kind() -> None:
    for network in (SMALL["iconvsr"](), SMALL["basicvsr-pp"](), SMALL["rate-groups"]()):
        assert type(network.spynet) is type(BasicVSR(num_feat=4, num_block=1).spynet)


# --- deformable convolution -------------------------------------------------------------------------------------------


def _reference(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """The definition, pixel by pixel."""
    n, channels, height, width = x.shape
    groups = mask.shape[1] // 9
    output = torch.zeros(n, weight.shape[0], height, width, dtype=torch.float64)
    for group in range(groups):
        own = slice(group * channels // groups, (group + 1) * channels // groups)
        for tap in range(9):
            for i in range(height):
                for j in range(width):
                    k = group * 9 + tap
                    y = i + tap // 3 - 1 + float(offset[0, 2 * k, i, j])
                    z = j + tap % 3 - 1 + float(offset[0, 2 * k + 1, i, j])
                    value = torch.zeros(channels // groups, dtype=torch.float64)
                    for row in (int(y // 1), int(y // 1) + 1):
                        for column in (int(z // 1), int(z // 1) + 1):
                            if 0 <= row < height and 0 <= column < width:
                                value += x[0, own, row, column] * (1 - abs(y - row)) * (1 - abs(z - column))
                    output[0, :, i, j] += weight[:, own, tap // 3, tap % 3].double() @ value * float(mask[0, k, i, j])
    return output


@torch.inference_mode()
@pytest.mark.parametrize(("height", "width"), [(5, 4), (1, 6), (1, 1)])
def test_deformable_convolution_is_its_definition(height: int, width: int) -> None:
    x, weight = noise("x", (1, 4, height, width)), noise("w", (3, 4, 3, 3))
    offset, mask = noise("o", (1, 36, height, width)) * 1.5, noise("m", (1, 18, height, width)).sigmoid()
    output = modulated_deform_conv2d(x, offset, mask, weight, torch.ones(3))
    torch.testing.assert_close(output.double() - 1, _reference(x, offset, mask, weight), atol=2e-5, rtol=0)


@torch.inference_mode()
def test_deformable_convolution_without_deformation_is_a_convolution() -> None:
    x, weight = noise("x", (2, 4, 9, 11)), noise("w", (5, 4, 3, 3))
    zero, whole = torch.zeros(2, 36, 9, 11), torch.ones(2, 18, 9, 11)
    expected = F.conv2d(x, weight, padding=1)
    torch.testing.assert_close(modulated_deform_conv2d(x, zero, whole, weight), expected, atol=1e-4, rtol=0)
    down, right = torch.zeros(2, 18, 2, 9, 11), torch.zeros(2, 18, 2, 9, 11)
    down[:, :, 0], right[:, :, 1] = 1.0, 1.0  # y comes first
    shifted = modulated_deform_conv2d(x, down.flatten(1, 2), whole, weight)
    torch.testing.assert_close(shifted[..., 1:-2, 1:-1], expected[..., 2:-1, 1:-1], atol=1e-4, rtol=0)
    shifted = modulated_deform_conv2d(x, right.flatten(1, 2), whole, weight)
    torch.testing.assert_close(shifted[..., 1:-1, 1:-2], expected[..., 1:-1, 2:-1], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match=r"offset\.shape = \(2, 18, 9, 11\)"):
        modulated_deform_conv2d(x, zero[:, :18], whole, weight)


@torch.inference_mode()
def test_deformable_convolution_in_low_precision_keeps_its_positions() -> None:
    x, weight = noise("x", (1, 4, 4, 300)).bfloat16(), torch.zeros(4, 4, 3, 3).bfloat16()
    weight[range(4), range(4), 1, 1] = 1
    flow = torch.full((1, 2, 4, 300), 0.0)
    flow[:, 0] = 20.25  # near pixel 280 bf16 knows steps of 2
    offset = flow.flip(1).repeat(1, 9, 1, 1)
    output = modulated_deform_conv2d(x, offset, torch.ones(1, 9, 4, 300).bfloat16(), weight)
    torch.testing.assert_close(output, warp(x, flow, padding="zeros"), atol=0.02, rtol=0.02)
