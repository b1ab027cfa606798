"""Native convolutions against torch: every form, odd sizes, every network of the zoo."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from codecvsr import native_libraries
from codecvsr.engine.native import modules
from codecvsr.engine.native.convolutions import NativeConv, NativeShuffle
from codecvsr.engine.native.modules import NativeBlock, NativeSequence, install, uninstall
from codecvsr.engine.plan import make_plan
from codecvsr.engine.run import prepare, running
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.layers.blocks import SLOPE, ConvResidualBlocks, ResidualBlock, ShuffleConv, X4Head
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from tests.models.test_networks import inputs

pytestmark = pytest.mark.skipif(
    native_libraries.net_library() is None, reason="the native network library is not built"
)
PLAIN = dataclasses.replace(make_plan("cpu", "fp32", compile=False), native=False)
NATIVE = dataclasses.replace(PLAIN, native=True)
ZOO: dict[str, Callable[[], nn.Module]] = {
    "basicvsr": lambda: BasicVSR(num_feat=32, num_block=2),
    "iconvsr": lambda: IconVSR(num_feat=32, num_block=1, keyframe_stride=2),
    "basicvsr-pp": lambda: BasicVSRPlusPlus(mid_channels=32, num_blocks=1),
    "basicvsr-pp-same": lambda: BasicVSRPlusPlus(mid_channels=32, num_blocks=1, is_low_res_input=False),
    "edvr": lambda: EDVR(num_feat=32, num_extract_block=1, num_reconstruct_block=1),
    "edvr-deblur": lambda: EDVR(num_feat=32, num_reconstruct_block=1, with_tsa=False, with_predeblur=True, hr_in=True),
    "rbpn": lambda: RBPN(base_filter=32, feat=16, n_resblock=1),
    "rate-groups": lambda: RateGroups(mid_channels=32, num_blocks=1),
    "rate-groups-mh": lambda: RateGroups(multi_head=True, mid_channels=16, num_blocks=1),
    "mvsr-seed": lambda: MVSRSeed(channels=32, blocks=1),
}
#: Of the range of values: what another order of sums may come to, in one layer and in many.
TOLERANCE = 2e-5


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def lively(module: nn.Module) -> nn.Module:
    """Random biases and weights that keep the scale of values."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.normal_(part.weight, std=(part.weight[0].numel()) ** -0.5)
            if part.bias is not None:
                nn.init.normal_(part.bias, std=0.1)
    return module.eval()


def check(module: nn.Module, x: Tensor, kind: type | None) -> Tensor:
    """Compares a module with its native form of class ``kind``; returns the output."""
    with torch.inference_mode():
        expected = module(x.clone())
        install(module)
        forward = module.__dict__.get("forward")
        assert forward is None if kind is None else type(forward) is kind
        argument = x.clone()
        made = module(argument)
        assert torch.equal(argument, x)  # inputs are not overwritten
        assert made.shape == expected.shape and made.dtype == torch.float32
        span = max(1.0, float(expected.max() - expected.min()))
        assert float((made - expected).abs().max()) <= TOLERANCE * span
        assert torch.equal(module(argument), made)
    uninstall(module)
    assert not any({"forward", "enlarge"} & part.__dict__.keys() for part in module.modules())
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (4, 4), (5, 4), (23, 37)])
@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (67, 64), (64, 3), (64, 216), (320, 33)])
def test_convolutions_of_any_size(size: tuple[int, int], inputs: int, outputs: int) -> None:
    conv = lively(nn.Conv2d(inputs, outputs, 3, padding=1))
    x = random(2, inputs, *size)
    made = check(conv, x, NativeConv)
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(made, check(conv, x.contiguous(memory_format=torch.channels_last), NativeConv))
    check(
        conv, random(2, inputs + 2, size[1], size[0])[:, 1:-1].transpose(2, 3), NativeConv
    )  # a part of something, turned


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(64, 64, 3, padding=1, stride=2),
        nn.Conv2d(64, 64, 3, padding=2, dilation=2),
        nn.Conv2d(64, 64, 3),
        nn.Conv2d(64, 64, 1),
        nn.Conv2d(64, 64, 3, padding=1, groups=2),
        nn.Conv2d(64, 64, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(64, 64, (3, 1), padding=(1, 0)),
        nn.Conv2d(8, 32, 7, padding=3),
        nn.Conv2d(3, 64, 3, padding=1),
        nn.Conv2d(1040, 16, 3, padding=1),
        nn.Conv2d(64, 64, 3, padding=1, dtype=torch.float64),
    ],
)  # fmt: skip
def test_unsupported_convolutions_stay_torchs(conv: nn.Conv2d) -> None:
    install(conv)
    x = random(1, conv.in_channels, 5, 7).to(conv.weight.dtype)
    with torch.inference_mode():
        assert torch.equal(conv(x), nn.Conv2d.forward(conv, x))
    assert ("forward" in conv.__dict__) == (conv.weight.dtype == torch.float64)


@pytest.mark.parametrize("size", [(1, 1), (6, 9), (13, 30)])
def test_blocks_and_sequences(size: tuple[int, int]) -> None:
    x = random(2, 32, *size)
    check(lively(ResidualBlock(32)), x, NativeBlock)
    check(lively(ResidualBlock(24)), random(2, 24, *size), None)  # its convolutions are
    check(lively(ConvResidualBlocks(32, 48, 3)), x, None)
    check(lively(nn.Sequential(*(ResidualBlock(32) for _ in range(3)))), x, NativeSequence)
    check(lively(ShuffleConv(32, 12)), x, NativeShuffle)
    check(lively(ShuffleConv(32, 8, scale=3)), x, NativeShuffle)
    conv = [nn.Conv2d(32, 32, 3, padding=1) for _ in range(5)]
    mixed = nn.Sequential(
        nn.ReLU(), conv[0], nn.LeakyReLU(SLOPE, inplace=True), nn.LeakyReLU(0.5), nn.Sequential(conv[1], nn.ReLU(), conv[2]),
        nn.LeakyReLU(2.0), nn.Identity(), ResidualBlock(32), nn.PReLU(), nn.Tanh(), conv[3], nn.Identity(),
        ShuffleConv(32, 16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), ResidualBlock(32), conv[4],
    )  # fmt: skip
    check(lively(mixed), x, NativeSequence)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 50), (21, 6)])
def test_heads_in_strips_have_no_seams(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    head, x = lively(X4Head(16, out_channels=5)), random(2, 16, *size)
    with torch.inference_mode():
        expected = head.enlarge(x)
        install(head)
        for rows in (1, 2, 3, 5, 100):
            monkeypatch.setattr(modules, "_STRIP_PIXELS", rows * size[1])
            torch.testing.assert_close(head.enlarge(x), expected, rtol=0, atol=5 * TOLERANCE)
        head.conv_last.double()
        with pytest.raises(RuntimeError, match="type"):  # torch's own message
            head.enlarge(x)


@pytest.mark.parametrize("slope", [0.25, -0.5, 1.5])
def test_residual_blocks_of_other_networks(slope: float) -> None:
    """The blocks of the seed, and of RBPN with a learnt slope."""
    check(lively(MVSRSeed(channels=16, blocks=1).forward_resblocks[0]), random(1, 16, 11, 7), NativeBlock)
    block = lively(RBPN(base_filter=32, feat=16, n_resblock=1).res_feat1[0])
    nn.init.constant_(block.act.weight, slope)
    check(block, random(1, 32, 11, 7), NativeBlock)


def test_without_bias_and_with_several_threads() -> None:
    conv = lively(nn.Conv2d(64, 32, 3, padding="same", bias=False))
    alone = check(conv, random(1, 64, 30, 21), NativeConv)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert torch.equal(check(conv, random(1, 64, 30, 21), NativeConv), alone)
    finally:
        torch.set_num_threads(before)


def test_changed_weights_apply() -> None:
    network, x = lively(ConvResidualBlocks(16, 16, 1)), random(1, 16, 9, 9)
    other = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    for change in (
        lambda: network.load_state_dict(other.state_dict()),
        lambda: network.load_state_dict({k: 0.9 * v for k, v in other.state_dict().items()}, assign=True),
        lambda: nn.init.normal_(network.main[0].bias),
    ):
        prepare(network, NATIVE)
        with running(NATIVE):
            before = network(x)
        change()
        prepare(network, NATIVE)
        with running(NATIVE):
            made = network(x)
        prepare(network, PLAIN)
        with running(PLAIN):
            torch.testing.assert_close(made, network(x), rtol=0, atol=5 * TOLERANCE)
        assert not torch.allclose(made, before, atol=1e-2)


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_unsupported_calls_run_in_torch() -> None:
    """Gradients, other types, autocast and tracing: bit-equal to torch."""
    network, x = lively(nn.Sequential(ResidualBlock(16), nn.Conv2d(16, 16, 3, padding=1))), random(1, 16, 9, 9)
    plain = copy.deepcopy(network)
    install(network)
    assert torch.equal(network(x), plain(x)) and network(x).requires_grad
    network(x).sum().backward()
    assert network[0].conv1.weight.grad is not None
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(network(x), plain(x)) and network(x).dtype == torch.bfloat16
        traced = torch.jit.trace(network, x)
        assert "native" not in str(traced.graph) and torch.equal(traced(2 * x), plain(2 * x))
        assert network(x[:0]).shape == (0, 16, 9, 9)
        with pytest.raises(RuntimeError, match="channels"):
            network(x[:, :8])
        assert torch.equal(network.double()(x.double()), plain.double()(x.double()))
    uninstall(network)


def test_prepare_installs_and_uninstalls() -> None:
    network = BasicVSR(num_feat=16, num_block=2).eval()
    keys = list(network.state_dict())
    prepare(network, NATIVE)
    assert isinstance(network.backward_trunk.main.forward, NativeSequence)
    assert isinstance(network.conv_hr.forward, NativeConv) and isinstance(network.upconv1.forward, NativeShuffle)
    assert list(network.state_dict()) == keys
    twin = copy.deepcopy(network)  # has forms of its own, on its own weights
    nn.init.zeros_(network.conv_last.weight)
    x = random(1, 2, 3, 8, 8).sigmoid()
    with running(NATIVE):
        made = twin(x)
    prepare(network, PLAIN)
    assert not any({"forward", "enlarge"} & module.__dict__.keys() for module in network.modules())
    with running(PLAIN):
        assert not torch.equal(network(x), made)
        prepare(twin, PLAIN)
        torch.testing.assert_close(made, BasicVSR.forward(twin, x), rtol=0, atol=5 * TOLERANCE)


@pytest.mark.parametrize("name", ZOO)
def test_networks_of_the_zoo(name: str) -> None:
    network, argument = lively(ZOO[name]()), inputs(name, 3, 21, 34)
    made = []
    for plan in (PLAIN, NATIVE, PLAIN):
        prepare(network, plan)
        with running(plan):
            made.append(network(*argument))
    plain, fast, again = made
    span = float(plain.max() - plain.min())
    assert 0 < float((fast - plain).abs().max()) <= TOLERANCE * span
    assert torch.equal(again, plain)
