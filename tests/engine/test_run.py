"""Networks run by graphs, compiled or in fp16 return what the plain code returns."""

from __future__ import annotations

import dataclasses
import gc
import logging
import shutil
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from codecvsr.engine.compile import Compiled, stacks
from codecvsr.engine.cuda_graphs import Graphed
from codecvsr.engine.plan import make_plan
from codecvsr.engine.run import prepare, running
from codecvsr.engine.transfer import to_device, to_host
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.layers.blocks import ConvResidualBlocks
from codecvsr.models.registry import ARCHITECTURES, constructors
from codecvsr.models.runners import FRAME_BY_FRAME, Execution
from tests.streams import encode, moving_texture
from tests.videos import small_network

FRAMES = 5
PLAIN = dataclasses.replace(make_plan("cpu", "fp32", compile=False), native=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from codecvsr.models.zoo import load_model

    return load_model(small_network(tmp_path_factory.mktemp("weights") / "small.safetensors"))


@pytest.fixture(scope="module")
def source(tmp_path_factory, model):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    encode(path, moving_texture(FRAMES, 36, 52, 2, 1))
    return load_motion(path, "codec", Ablations(), model=model)


class Recorder:
    """A graph of the CPU: a replay computes the call again and writes where the first result lies."""

    def __init__(self, call):
        self.call, self.output = call, call()

    def replay(self):
        self.output.copy_(self.call())


def capture_on_cpu(call):
    graph = Recorder(call)
    return graph, graph.output


def double(x, *, more=0):
    return x * 2 + more


def test_graphs_equal_the_plain_code():
    calls = []

    def forward(x, *, more=0):
        calls.append(x.shape)
        return double(x, more=more)

    graphed = Graphed(forward, capture_on_cpu, most=2)
    results = []
    with torch.inference_mode():
        for shape in [(2, 3), (2, 3), (4,), (2, 3), (4,), (4,), (5,), (5,), (2, 3), (5,)]:
            x = torch.randn(shape)
            results.append((graphed(x, more=1), x * 2 + 1))
        x = torch.randn(2, 3)
        assert torch.equal(graphed(x, more=2), x * 2 + 2)  # another value is another graph
    assert all(torch.equal(made, expected) for made, expected in results)  # none is overwritten by a later replay
    with torch.enable_grad():
        assert graphed(torch.ones(2, 3, requires_grad=True)).requires_grad


def test_first_call_of_a_shape_is_plain_second_is_captured():
    captured = []

    def capture(call):
        captured.append(call)
        return capture_on_cpu(call)

    graphed = Graphed(double, capture)
    with torch.inference_mode():
        graphed(torch.ones(3))
        assert not captured
        graphed(torch.ones(3))
        graphed(torch.ones(3))
    assert len(captured) == 1


@pytest.mark.parametrize("how", ["refused", "wrong"])
def test_failed_or_wrong_capture_disables_graphs_with_one_warning(how, caplog):
    def capture(call):
        if how == "refused":
            raise RuntimeError("operation not permitted when stream is capturing")
        graph, output = capture_on_cpu(lambda: call() + 1)
        return graph, output

    graphed = Graphed(double, capture)
    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        for _ in range(4):
            assert torch.equal(graphed(torch.ones(3)), torch.full((3,), 2.0))
    assert len(caplog.records) == 1 and "No CUDA graphs for this network" in caplog.text


def test_whole_window_equals_frame_by_frame(model, source):
    """A graphed window against the plain one; captures run on the CPU here."""
    whole = dataclasses.replace(PLAIN, graphs=True)
    run, clip = ARCHITECTURES["codecvsr"].runner, SourceClip(source, PLAIN.device)
    with running(PLAIN):
        expected = list(run(prepare(model.network, PLAIN), clip, range(FRAMES), FRAME_BY_FRAME))
        network = prepare(model.network, whole)
        assert isinstance(network.forward, Graphed)
        network.forward._capture = capture_on_cpu
        for _ in range(3):
            made = list(run(network, clip, range(FRAMES), Execution(whole_window=True)))
            assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))
        assert len(network.forward._graphs) == 1
    prepare(model.network, PLAIN)
    assert "forward" not in model.network.__dict__


def test_sliding_window_networks_compute_several_frames_at_once(source):
    """EDVR and bicubic, as on a GPU."""
    clip = SourceClip(source, PLAIN.device)
    torch.manual_seed(0)
    for name in ("edvr-m", "bicubic"):
        architecture, build = constructors()[name]
        network = prepare(build() if name == "bicubic" else build(num_feat=8, num_reconstruct_block=1), PLAIN).eval()
        outputs = []
        for step in (1, 4):
            with running(PLAIN):
                runner = ARCHITECTURES[architecture].runner
                outputs.append(list(runner(network, clip, range(FRAMES), Execution(frames_per_step=step))))
        assert len(outputs[0]) == len(outputs[1]) == FRAMES
        for one, other in zip(*outputs, strict=True):
            assert one.shape == other.shape and torch.allclose(one, other, atol=1e-5)


def test_prepare_keeps_weights_and_no_reference_to_the_network():
    network = CodecVSR(channels=8, blocks=1).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    planned = dataclasses.replace(PLAIN, compile=True, graphs=True)
    assert prepare(network, planned) is prepare(network, planned)
    wrapped = [name for name, module in network.named_modules() if "forward" in module.__dict__]
    assert wrapped == ["", "encode", "backward_step", "forward_step", "reconstruct"]
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    watch = weakref.ref(network)
    del network
    gc.collect()
    assert watch() is None


def test_uncompilable_stack_runs_uncompiled(caplog):
    stack = ConvResidualBlocks(4, 4, 1).eval()
    assert list(stacks(nn.Sequential(stack))) == [stack]
    x = torch.randn(1, 4, 8, 8)

    def refuses(plain, dynamic):
        def compiled(x):
            raise TypeError("no working compiler")

        return compiled

    def lies(plain, dynamic):
        return lambda x: plain(x) + 1

    def forgets(plain, dynamic):
        def compiled(x):
            raise torch.OutOfMemoryError("CUDA out of memory.")

        return compiled

    with torch.inference_mode(), caplog.at_level(logging.WARNING):
        expected = stack(x)
        for compiler in (refuses, lies):
            compiled = Compiled(stack.forward, compiler)
            assert all(torch.equal(compiled(x), expected) for _ in range(2))
        assert len(caplog.records) == 2
        assert torch.equal(Compiled(stack.forward, lambda plain, dynamic: plain)(x), expected)
        with pytest.raises(torch.OutOfMemoryError):  # the budget's business
            Compiled(stack.forward, forgets)(x)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs a C++ compiler")
def test_compiled_networks_return_the_same_pictures(model, source):
    compiled = make_plan("cpu", "fp32", compile=True)
    made = [list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan)) for plan in (PLAIN, compiled)]
    assert all(stack.forward._is_checked for stack in stacks(model.network))
    prepare(model.network, PLAIN)
    assert np.abs(np.stack(made[0]).astype(int) - np.stack(made[1])).max() <= 1


def test_bf16_is_within_0_02_db_of_fp32(model, source):
    plans = [PLAIN, make_plan("cpu", "bf16")]
    made = [
        np.stack(list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan))).astype(float)
        for plan in plans
    ]
    error = ((made[0] - made[1]) ** 2).mean()
    assert 0 < error < 0.1  # of a squared level; a picture 30 dB away from its original has 65, and 0.02 dB are 0.3


def test_fp16_overflow_continues_in_fp32(model, source, monkeypatch, caplog):
    expected = list(upscale_frames(model, source, Ablations(), MemoryLimits(8), PLAIN))
    real = ARCHITECTURES["codecvsr"]

    def overflowing(*arguments):
        for index, output in enumerate(real.runner(*arguments)):
            yield output * torch.inf if torch.is_autocast_enabled("cpu") and index == 2 else output

    monkeypatch.setitem(ARCHITECTURES, "codecvsr", dataclasses.replace(real, runner=overflowing))
    fp16_plan = dataclasses.replace(PLAIN, dtype=torch.float16)
    limits = MemoryLimits(8)
    with caplog.at_level(logging.WARNING):
        made = list(upscale_frames(model, source, Ablations(), limits, fp16_plan))
    assert len(made) == FRAMES and limits.is_fp32 and len(caplog.records) == 1
    assert all(np.array_equal(a, b) for a, b in zip(made[2:], expected[2:], strict=True))


def test_to_host_keeps_order():
    arrays = [np.full((2, 3, 3), value, np.uint8) for value in range(5)]
    device = torch.device("cpu")
    back = list(to_host((to_device(array, device) for array in arrays), device))
    assert all(np.array_equal(a, b) for a, b in zip(arrays, back, strict=True))
    assert to_device(arrays[0][:, ::2], device).is_contiguous()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
class TestOnGpu:
    """The fast paths of a GPU against the plain code on the CPU."""

    def frames(self, model, source, plan):
        try:
            return np.stack(list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan))).astype(int)
        finally:
            prepare(model.network, PLAIN)

    @pytest.mark.parametrize(("precision", "most"), [("fp32", 1), ("bf16", 6), ("fp16", 3)])
    def test_graphs(self, model, source, precision, most, caplog):
        plan = dataclasses.replace(make_plan("cuda", precision, compile=False), graphs=True)
        expected = self.frames(model, source, PLAIN)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                made = np.stack(list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan))).astype(int)
                assert np.abs(made - expected).max() <= most
        assert len(model.network.forward._graphs) == 1 and not caplog.records
        prepare(model.network, PLAIN)

    def test_replays_outlive_their_capture_context(self, model, source):
        """Weights cast by autocast must belong to the graph."""
        plan = dataclasses.replace(make_plan("cuda", "bf16", compile=False), graphs=True)
        first = np.stack(list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan)))
        for _ in range(4):
            torch.empty(1 << 26, device="cuda").fill_(torch.nan)  # whatever was freed is overwritten
            again = np.stack(list(upscale_frames(model, source, Ablations(), MemoryLimits(8), plan)))
            assert np.abs(again.astype(int) - first).max() <= 1
        prepare(model.network, PLAIN)

    def test_compiled(self, model, source):
        plan = dataclasses.replace(make_plan("cuda", "fp32", compile=True), graphs=False)
        assert np.abs(self.frames(model, source, plan) - self.frames(model, source, PLAIN)).max() <= 1

    def test_transfers(self):
        arrays = [np.full((64, 64, 3), value, np.uint8) for value in range(20)]
        device = torch.device("cuda")
        back = list(to_host((to_device(array, device) + 1 for array in arrays), device))
        assert all(np.array_equal(a + 1, b) for a, b in zip(arrays, back, strict=True))
