"""The Triton warp against grid_sample: interpreted on a CPU, compiled on a GPU."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys

import pytest
import torch

from codecvsr.models.layers import triton_warp
from codecvsr.models.layers.warp import warp

needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")

INTERPRETED = """
import torch
from codecvsr.models.layers import triton_warp
from codecvsr.models.layers.warp import warp
torch.manual_seed(0)
for dtype, tolerance in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)):
    for shape in ((2, 20, 9, 13), (1, 16, 1, 7)):
        plain = torch.randn(shape).to(dtype)
        flow = 6 * torch.randn(shape[0], 2, *shape[2:])
        flow[..., 0, 0], flow[..., 0, 1] = 1e9, -1e9
        for padding in ("border", "zeros"):
            expected = warp(plain.contiguous(), flow, padding=padding).float()
            made = triton_warp.run(plain.to(memory_format=torch.channels_last), flow, padding)
            assert made.dtype == dtype and made.is_contiguous(memory_format=torch.channels_last)
            assert (made.float() - expected).abs().max() <= tolerance, (dtype, shape, padding)
print("equal")
"""


@needs_triton
def test_the_kernel_is_grid_sample_when_interpreted():
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr[-2000:]


def test_on_a_cpu_and_where_it_is_switched_off_it_is_not_used(monkeypatch):
    features = torch.zeros(1, 4, 5, 6).to(memory_format=torch.channels_last)
    assert not triton_warp.is_supported(features, torch.zeros(1, 2, 5, 6))
    monkeypatch.setenv("CODECVSR_TRITON", "0")
    assert triton_warp.kernel.__wrapped__() is None


@pytest.mark.parametrize("how", ["raises", "lies", "works"])
def test_a_kernel_is_trusted_only_after_it_gave_the_same(how, monkeypatch, caplog):
    features, flow = torch.randn(1, 4, 5, 6), torch.zeros(1, 2, 5, 6)
    calls = []

    def run(features, flow, padding):
        calls.append(padding)
        if how == "raises":
            raise RuntimeError("no such instruction")
        return features + (how == "lies")

    monkeypatch.setattr(triton_warp, "run", run)
    monkeypatch.setattr(triton_warp, "_checked", {})
    with caplog.at_level(logging.WARNING):
        made = [triton_warp.warp_or_none(features, flow, "border", lambda: features) for _ in range(3)]
    assert [each is None for each in made] == [how != "works"] * 3
    assert len(caplog.records) == (how != "works") and len(calls) == (4 if how == "works" else 1)


@pytest.mark.gpu
@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("padding", ["border", "zeros"])
def test_compiled_it_is_grid_sample(dtype, padding):
    torch.manual_seed(0)
    features = torch.randn(2, 32, 45, 67, device="cuda").to(dtype)
    flow = 10 * torch.randn(2, 2, 45, 67, device="cuda")
    expected = warp(features, flow, padding=padding).float()
    pixels = features.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert triton_warp.is_supported(pixels, flow)
        made = warp(pixels, flow, padding=padding)
    assert triton_warp._checked[dtype, 32, padding]
    assert made.dtype == dtype and (made.float() - expected).abs().max() <= 0.03
