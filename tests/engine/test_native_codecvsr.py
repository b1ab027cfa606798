"""The native form of ``codecvsr`` against the readable one, with every instruction set of this processor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from codecvsr import native_libraries
from codecvsr.engine.native.codecvsr import FastCodecVSR, is_supported
from codecvsr.engine.native.library import BEST_ISA, has_bf16
from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.structs import Step
from codecvsr.engine.plan import make_plan
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.source import Source, load_source
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.priors import CHANNELS
from codecvsr.models.zoo import load_model
from codecvsr.motion import MotionOptions
from tests.streams import encode, moving_texture

pytestmark = pytest.mark.skipif(
    native_libraries.net_library() is None, reason="the native network library is not built"
)
CPU = torch.device("cpu")
ISAS = range(BEST_ISA + 1)
#: Of values in 0..1: what other orders of sums may come to, through all layers.
TOLERANCE = 1e-4


def lively(*, flow_head: bool = True) -> CodecVSR:
    """A small network in which every part affects the output."""
    torch.manual_seed(0)
    built = CodecVSR(channels=16, blocks=2, flow_head=flow_head).eval()
    for layer in (built.neighbours, built.backward_step.main[0], built.forward_step.main[0], built.to_rgb):
        torch.nn.init.normal_(layer.weight, std=0.05)
    if built.flow_head is not None:
        torch.nn.init.normal_(built.flow_head[-1].weight, std=0.2)
    for module in built.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.bias, std=0.05)
    return built


@pytest.fixture(scope="module")
def network() -> CodecVSR:
    return lively()


def window(frames: int, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Frames, motion to both sides, priors and no cuts."""
    rng = np.random.default_rng(1)
    h, w = -(-height // 4), -(-width // 4)
    fields = rng.normal(0, 3, (2, frames, 2, h, w)).astype(np.float32)
    priors = rng.normal(0, 1, (frames, CHANNELS, h, w)).astype(np.float32)
    pictures = rng.integers(0, 256, (frames, height, width, 3), np.uint8)
    return pictures, fields[0], fields[1], priors, np.zeros(frames, bool)


def readable(network: CodecVSR, inputs: tuple[np.ndarray, ...], **switches: bool) -> np.ndarray:
    frames, *others = (torch.from_numpy(part)[None] for part in inputs)
    flags = {name: torch.full((1,), float(value)) for name, value in switches.items()}
    with torch.no_grad():
        return network(frames.permute(0, 1, 4, 2, 3) / 255, *others, **flags)[0].permute(0, 2, 3, 1).numpy()


def fast(
    network: CodecVSR, inputs: tuple[np.ndarray, ...], threads: int = 1, isa: int = BEST_ISA,
    dtype: torch.dtype = torch.float32, **switches: Any,
) -> np.ndarray:  # fmt: skip
    form = FastCodecVSR(network, *inputs[0].shape[1:3], threads=threads, isa=isa, dtype=dtype)
    return np.stack(list(form.iterate(*inputs, **{"output": "floats", **switches})))


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("frames,size", [(1, (24, 32)), (2, (23, 29)), (5, (5, 3)), (3, (1, 1)), (6, (18, 70))])
def test_equals_the_readable_form(network: CodecVSR, frames: int, size: tuple[int, int], isa: int) -> None:
    inputs = window(frames, *size)
    np.testing.assert_allclose(fast(network, inputs, isa=isa), readable(network, inputs), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("isa", ISAS)
def test_products_of_bfloat16(network: CodecVSR, isa: int) -> None:
    """Differs from fp32 by the rounding of products, on every processor."""
    inputs = window(4, 35, 43)
    expected, made = readable(network, inputs), fast(network, inputs, isa=isa, dtype=torch.bfloat16)
    assert abs(made - expected).max() > 10 * TOLERANCE
    np.testing.assert_allclose(made, expected, rtol=0, atol=0.15)
    assert abs(made - expected).mean() < 0.01
    np.testing.assert_array_equal(fast(network, inputs, threads=2, isa=isa, dtype=torch.bfloat16), made)


@pytest.mark.parametrize("switches", [{"use_motion": False}, {"use_second_order": False}])
def test_switches(network: CodecVSR, switches: dict[str, bool]) -> None:
    inputs = window(4, 20, 24)
    expected = readable(network, inputs, **switches)
    np.testing.assert_allclose(fast(network, inputs, **switches), expected, rtol=0, atol=TOLERANCE)
    assert abs(expected - readable(network, inputs)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("isa", ISAS)
def test_without_a_flow_head(network: CodecVSR, isa: int) -> None:
    inputs, plain = window(4, 21, 30), lively(flow_head=False)
    expected = readable(plain, inputs)
    np.testing.assert_allclose(fast(plain, inputs, isa=isa), expected, rtol=0, atol=TOLERANCE)
    assert abs(expected - readable(network, inputs)).max() > 100 * TOLERANCE


@pytest.mark.parametrize("cuts", [[3], [1, 2], [0, 5]])
def test_cuts(network: CodecVSR, cuts: list[int]) -> None:
    inputs = window(6, 16, 20)
    uncut = readable(network, inputs)
    inputs[4][cuts] = True
    expected = readable(network, inputs)
    np.testing.assert_allclose(fast(network, inputs), expected, rtol=0, atol=TOLERANCE)
    assert abs(expected - uncut).max() > 100 * TOLERANCE


@pytest.mark.parametrize("skip", [1, 4, 5])
def test_skipped_frames_give_context_and_no_output(network: CodecVSR, skip: int) -> None:
    inputs = window(5, 16, 20)
    made = list(FastCodecVSR(network, 16, 20).iterate(*inputs, skip=skip, output="floats"))
    assert len(made) == 5 - skip
    for picture, expected in zip(made, fast(network, inputs)[skip:], strict=True):
        np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize("threads,height", [(2, 70), (3, 97), (7, 66)])
def test_threads_change_nothing(network: CodecVSR, threads: int, height: int) -> None:
    inputs = window(3, height, 41)
    np.testing.assert_array_equal(fast(network, inputs, threads=threads), fast(network, inputs))


def test_steps_in_a_batch_or_one_by_one(network: CodecVSR, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = window(4, 67, 40)
    batched, plain = fast(network, inputs, threads=2), NativeNet.run
    counts = []

    def one_by_one(self: NativeNet, steps: Sequence[Step]) -> None:
        counts.append(len(steps))
        for step in steps:
            plain(self, [step])

    monkeypatch.setattr(NativeNet, "run", one_by_one)
    np.testing.assert_array_equal(fast(network, inputs), batched)
    assert max(counts) > 8


def test_bytes_are_the_rounded_floats(network: CodecVSR) -> None:
    inputs = window(2, 19, 35)
    floats = fast(network, inputs)
    assert floats.min() < -0.01 and floats.max() > 1.01
    picture = fast(network, inputs, output="bytes")
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, np.rint(np.clip(floats, 0, 1) * 255).astype(np.uint8))


def test_runs_are_independent(network: CodecVSR) -> None:
    """Memory of the first run is reused in the second."""
    form, inputs = FastCodecVSR(network, 16, 24, threads=2), window(4, 16, 24)
    first = list(form.iterate(*inputs))
    given_up = form.iterate(*window(5, 16, 24))
    next(given_up)
    given_up.close()
    np.testing.assert_array_equal(list(form.iterate(*inputs)), first)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e9])
def test_extreme_motion_is_harmless(network: CodecVSR, value: float) -> None:
    inputs = window(3, 16, 20)
    inputs[1][:] = value
    assert fast(network, inputs, output="bytes").shape == (3, 64, 80, 3)


def in_halves(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A 3x3 convolution by Winograd F(4x4, 3x3) with factors rounded to bfloat16: (C, H, W) to (C2, H, W)."""
    points = torch.tensor(
        [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
         [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1.0]]
    )  # fmt: skip
    kernel = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24.0]]) / 24
    back = torch.tensor([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1.0]])
    height, width = x.shape[1:]
    tiles = F.pad(x, (1, 1 + -width % 4, 1, 1 + -height % 4)).unfold(1, 6, 4).unfold(2, 6, 4)
    transformed = torch.einsum("ij,cyxjk,lk->cyxil", points, tiles, points).bfloat16().float()
    factors = torch.einsum("ij,ocjk,lk->ocil", kernel, weight, kernel).bfloat16().float()
    made = torch.einsum("cyxil,ocil->oyxil", transformed, factors)
    pixels = torch.einsum("ij,oyxjk,lk->oyixl", back, made, back)
    return pixels.flatten(3).flatten(1, 2)[:, :height, :width]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("is_bf16", [False, True])
@pytest.mark.parametrize("inputs,outputs,size", [((32,), 48, 3), ((16, 32, 16), 32, 3), ((32, 32), 16, 1)])
def test_convolutions(inputs: tuple[int, ...], outputs: int, size: int, is_bf16: bool, isa: int) -> None:
    """Several inputs, one of them absent, with bias, cells and residual."""
    torch.manual_seed(0)
    height, width = 69, 30
    net = NativeNet(native_libraries.net_library(), height, width, threads=2, isa=isa)
    weight = torch.randn(outputs, sum(inputs), size, size) / (sum(inputs) * size**2) ** 0.5
    bias, residual = torch.randn(outputs), torch.randn(height, width, outputs)
    arrays = [torch.randn(height, width, c) for c in inputs]
    if len(arrays) > 2:
        arrays[1].zero_()
    cells = torch.randn(18, 8, outputs) if size == 3 else None
    side_by_side = torch.cat(arrays, dim=2).permute(2, 0, 1)
    expected = F.conv2d(side_by_side, weight, padding=size // 2)
    if is_bf16 and size == 3:
        rounded = in_halves(side_by_side, weight)
        assert abs(rounded - expected).mean() > 1e-3
        expected = rounded
    expected = expected.permute(1, 2, 0) + bias
    if cells is not None:
        expected = expected + cells.repeat_interleave(4, 0).repeat_interleave(4, 1)[:height, :width]
    expected = F.leaky_relu(expected, 0.1) + residual
    present = [None if not part.any() else part.numpy() for part in arrays]
    output = net.alloc(outputs)
    layer = net.layer(weight.numpy(), bias.numpy(), inputs, 0.1, is_bf16=is_bf16)
    net.conv(layer, present, output, residual=residual.numpy(), cells=None if cells is None else cells.numpy())
    differences = abs(output - expected.numpy())
    assert differences.max() < (0.02 if is_bf16 else 5e-5)  # ties may round differently
    assert differences.mean() < 1e-5


def test_unsupported_networks_use_the_readable_form(network: CodecVSR, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_supported(network, CPU) == (NativeNet(native_libraries.net_library(), 8, 8).isa > 0)
    assert is_supported(network, CPU, torch.bfloat16) == has_bf16(native_libraries.net_library())
    assert not is_supported(network, CPU, torch.float16)
    assert not is_supported(network, torch.device("cuda"))
    assert not is_supported(CodecVSR(channels=8, blocks=1), CPU)
    assert not is_supported(torch.nn.Identity(), CPU)
    monkeypatch.setenv("CODECVSR_NATIVE", "0")
    assert not is_supported(network, CPU)
    with pytest.raises(RuntimeError, match="not built"):
        FastCodecVSR(network, 8, 8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A coded clip with its motion."""
    path = tmp_path_factory.mktemp("clip") / "moving.mp4"
    encode(path, moving_texture(5, 32, 112, 2, 1), options={"crf": "23"})
    return load_source(path, MotionOptions(), needs_vectors=True)


@pytest.mark.parametrize("limits", [(8, 0), (2, 0), (8, 64)])
def test_shipped_weights_in_windows_and_tiles(clip: Source, limits: tuple[int, int]) -> None:
    """As ``infer`` runs it in fp32: few pixels differ, by rounding."""
    arguments, plan = (load_model("codecvsr"), clip, Ablations()), make_plan("cpu", "fp32")
    assert plan.native
    pictures, expected = (
        np.stack(list(upscale_frames(*arguments, MemoryLimits(*limits), each)))
        for each in (plan, dataclasses.replace(plan, native=False))
    )
    difference = abs(pictures.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
