"""The plan for each kind of machine."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.engine import hardware
from codecvsr.engine.hardware import Gpu, Machine
from codecvsr.engine.plan import decide, make_plan
from codecvsr.models.registry import ARCHITECTURES

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
PLAIN = Machine("a processor", ("avx2", "avx512f"), 64 << 30, has_compiler=True, has_triton=True)
FAST = Machine("a newer one", ("avx2", "avx512f", "avx512_bf16"), 8 << 30, has_compiler=True, has_triton=False)
BARE = Machine("a small one", (), 0, has_compiler=False, has_triton=False)
H200, TURING, PASCAL = (Gpu(name, cap, 24 << 30) for name, cap in (("H200", (9, 0)), ("T4", (7, 5)), ("P40", (6, 1))))
FP32, FP16, BF16 = torch.float32, torch.float16, torch.bfloat16


@pytest.mark.parametrize(
    ("device", "where", "gpu", "architecture", "dtype", "tf32"),
    [
        (CPU, PLAIN, None, "codecvsr", FP32, False),
        (CPU, FAST, None, "codecvsr", BF16, False),
        (CPU, FAST, None, "basicvsr", FP32, False),  # published for fp32
        (CPU, BARE, None, "codecvsr", FP32, False),
        (CUDA, PLAIN, H200, "codecvsr", BF16, False),
        (CUDA, PLAIN, H200, "basicvsr", FP32, True),
        (CUDA, PLAIN, TURING, "codecvsr", FP16, False),
        (CUDA, PLAIN, TURING, "basicvsr", FP32, False),
        (CUDA, PLAIN, PASCAL, "codecvsr", FP32, False),
    ],
)
def test_precision_is_fast_and_lossless(device, where, gpu, architecture, dtype, tf32):
    plan = decide(device, where, gpu, architecture=architecture)
    assert (plan.device, plan.dtype, plan.tf32) == (device, dtype, tf32)
    assert plan.precision == ("tf32" if tf32 else {FP32: "fp32", FP16: "fp16", BF16: "bf16"}[dtype])
    assert (plan.fp32().dtype, plan.fp32().tf32) == (FP32, False)
    for asked, expected in (("fp32", FP32), ("fp16", FP16), ("bf16", BF16)):
        plan = decide(device, where, gpu, asked, architecture=architecture)
        assert (plan.dtype, plan.tf32) == (expected, False) and f"{asked}: asked for." in plan.reasons


def test_cpu_networks_run_natively_where_supported():
    for where, name in itertools.product((PLAIN, FAST, BARE), set(ARCHITECTURES) - {"bicubic", "lanczos"}):
        plan = decide(CPU, where, None, architecture=name, has_library=True)
        assert plan.native and plan.dtype == FP32 and not plan.for_job(1_000_000, 720, 1280).compile
        assert decide(CPU, where, None, "fp32", architecture=name, has_library=True).native
    for asked, architecture, dtype in (
        ("auto", "codecvsr", BF16), ("bf16", "codecvsr", BF16), ("fp32", "codecvsr", FP32), ("auto", "basicvsr", FP32),
    ):  # fmt: skip
        plan = decide(CPU, FAST, None, asked, architecture=architecture, has_library=True, has_bf16=True)
        assert plan.native and plan.dtype == dtype
    others = [
        decide(CPU, FAST, None, "bf16", has_library=True),
        decide(CPU, FAST, None, "bf16", architecture="basicvsr", has_library=True, has_bf16=True),
        decide(CPU, FAST, None, "fp16", has_library=True, has_bf16=True),
        decide(CPU, FAST, None, compile=True, has_library=True),
        decide(CPU, FAST, None, "bf16", architecture="basicvsr", has_library=True),
        decide(CPU, FAST, None, architecture="bicubic", has_library=True),
        decide(CPU, FAST, None, training=True, has_library=True),
        decide(CUDA, FAST, H200, has_library=True),
        decide(CPU, FAST, None),
    ]
    assert not any(plan.native for plan in others)


def test_training_precision():
    assert decide(CPU, FAST, None, training=True).dtype == FP32
    assert decide(CUDA, PLAIN, H200, architecture="basicvsr", training=True).dtype == BF16


def test_only_long_jobs_are_compiled_where_possible():
    for device, where, gpu in ((CPU, PLAIN, None), (CUDA, PLAIN, H200)):
        plan = decide(device, where, gpu)
        assert not plan.compile and not plan.for_job(100, 180, 320).compile
        assert plan.for_job(1_000_000, 180, 320).compile and plan.for_job(100_000, 720, 1280).compile
    for device, where, gpu in ((CPU, BARE, None), (CUDA, FAST, H200), (CUDA, PLAIN, PASCAL)):
        plan = decide(device, where, gpu)
        assert plan.compile_from is None and not plan.for_job(1_000_000, 720, 1280).compile
        assert any(reason.startswith("never compiled") for reason in plan.reasons)
        assert decide(device, where, gpu, compile=True).for_job(1, 16, 16).compile  # asked for
    assert not decide(CPU, PLAIN, None, compile=False).for_job(1_000_000, 720, 1280).compile


def test_graphs_and_memory_follow_the_device():
    assert decide(CUDA, PLAIN, H200).graphs and not decide(CUDA, PLAIN, PASCAL).graphs
    assert not decide(CPU, PLAIN, None).graphs and decide(CPU, PLAIN, None).frames_per_step == 1
    known = {w: decide(CPU, w, None).memory_bytes for w in (PLAIN, FAST, BARE)}
    assert known == {PLAIN: 3 << 30, FAST: 2 << 30, BARE: 3 << 30}
    assert decide(CUDA, FAST, H200).memory_bytes == 3 << 30  # the GPU's memory counts, not the machine's


def test_doctor_reports_the_plan_of_this_machine():
    plan = make_plan()
    report = json.loads(CliRunner().invoke(cli, ["doctor", "--json"]).stdout)
    assert report["plan"] == json.loads(json.dumps(plan.to_json()))
    assert report["plan"]["precision"] == plan.precision and len(report["plan"]["reasons"]) == 6
    shown = " ".join(CliRunner().invoke(cli, ["doctor"]).stdout.split())
    assert all(" ".join(reason.split()[:6]) in shown for reason in plan.reasons)


def test_processor_and_container_limit_are_read_from_the_system(monkeypatch, tmp_path):
    (tmp_path / "cpuinfo").write_text("model name\t: Some CPU\nflags\t\t: fpu avx2 amx_bf16 avx512f\n")
    (tmp_path / "limit").write_text("1048576\n")
    monkeypatch.setattr(hardware, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware, "_MEMORY_LIMITS", (tmp_path / "none", tmp_path / "limit"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    found = hardware.detect_hardware.__wrapped__()
    assert (found.cpu, found.features, found.memory_bytes) == ("Some CPU", ("avx2", "avx512f", "amx_bf16"), 1 << 20)
    assert not found.has_compiler
    assert decide(CPU, found, None).dtype == BF16
    (tmp_path / "limit").write_text("max\n")
    assert hardware.detect_hardware.__wrapped__().memory_bytes > 1 << 20
