"""Decides how a network is run: device, precision, graphs, compiling, memory.

The defaults are the fastest path that loses no quality, and ``codecvsr doctor`` shows the reason for every decision. Where a
machine lacks something (a recent GPU, Triton, a compiler), the next best path is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from codecvsr import native_libraries
from codecvsr.engine.device import choose_device
from codecvsr.engine.hardware import BF16_FEATURES, Gpu, Machine, detect_hardware
from codecvsr.engine.native.library import has_bf16, is_worth_it
from codecvsr.models.registry import ARCHITECTURES

_MAX_BYTES, _SHARE = 3 << 30, 4  # bytes of features at once, and the largest share of the memory: 1 / 4
_STEP_ON_GPU = 4  # frames at once of networks that have a window per frame
# Compiling costs about a minute. Measured: it saves about 0.1 s per frame of 180x320 on one CPU core, about 2 ms on an H200.
# These thresholds are several times what compiling costs.
_PIXELS = 180 * 320
_COMPILE_FROM = {"cpu": 4_000, "cuda": 60_000}  # frames of _PIXELS pixels

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def precision_name(dtype: torch.dtype) -> str:
    """Returns the option's word for a torch type: ``fp32``, ``fp16`` or ``bf16``."""
    return next(name for name, known in _DTYPES.items() if known == dtype)


@dataclass(frozen=True)
class Plan:
    """How a network is run.

    Attributes:
        device: where the network runs.
        dtype: of the convolutions; sampling positions and pictures are always float32.
        tf32: float32 convolutions multiply with 10 bits of mantissa (NVIDIA's TF32).
        native: supported convolutions run in codecvsr's own C library (:mod:`codecvsr.engine.native.modules`), and so does the
            whole network codecvsr (:mod:`codecvsr.engine.native.codecvsr`).
        graphs: whole windows are captured as CUDA graphs, by shape.
        compile: the networks' stacks of convolutions go through torch.compile.
        compile_from: length of a job, in frames of 180x320 pixels, from which compiling pays; None for never.
        frames_per_step: frames computed at once by networks that have a window per frame.
        memory_bytes: largest size of the features of one window.
        reasons: one sentence for each decision.
    """

    device: torch.device
    dtype: torch.dtype
    tf32: bool
    native: bool
    graphs: bool
    compile: bool
    compile_from: int | None
    frames_per_step: int
    memory_bytes: int
    reasons: tuple[str, ...]

    @property
    def precision(self) -> str:
        """``fp32``, ``tf32``, ``fp16`` or ``bf16``, as in reports and options."""
        return "tf32" if self.tf32 else precision_name(self.dtype)

    def fp32(self) -> Plan:
        """Returns the same plan in fp32, without TF32."""
        return replace(self, dtype=torch.float32, tf32=False)

    def for_job(self, frames: int, height: int, width: int) -> Plan:
        """Returns the plan for a job of ``frames`` frames of height x width pixels: compiled if that pays."""
        if self.compile_from is None:
            return self
        return replace(self, compile=frames * height * width >= self.compile_from * _PIXELS)

    def to_json(self) -> dict[str, Any]:
        """Returns the plan as ``doctor --json`` prints it."""
        return {
            "device": str(self.device),
            "precision": self.precision,
            "native": self.native,
            "memory_format": "channels_last",
            "graphs": self.graphs,
            "compile": self.compile,
            "compile_from_frames": self.compile_from,
            "frames_per_step": self.frames_per_step,
            "memory_bytes": self.memory_bytes,
            "reasons": list(self.reasons),
        }


def make_plan(
    device: str | torch.device = "auto",
    precision: str = "auto",
    compile: bool | None = None,
    *,
    architecture: str = "codecvsr",
    training: bool = False,
) -> Plan:
    """Decides how to run a network on this machine.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``, or a device.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: True or False for torch.compile always or never; None to decide by the length of the job.
        architecture: the network's, a key of :data:`codecvsr.models.registry.ARCHITECTURES`.
        training: the network is trained: bf16 on a GPU and fp32 on a CPU, for every network.

    Raises:
        InputError: ``device`` is a GPU that does not exist.
    """
    chosen = choose_device(device) if isinstance(device, str) else device
    gpu = None
    if chosen.type == "cuda":
        found = torch.cuda.get_device_properties(chosen)
        gpu = Gpu(found.name, (found.major, found.minor), found.total_memory)
    native_libraries.note_missing()
    library = native_libraries.net_library()
    return decide(
        chosen, detect_hardware(), gpu, precision, compile, architecture=architecture, training=training,
        has_library=library is not None and is_worth_it(library),
        has_bf16=library is not None and has_bf16(library),
    )  # fmt: skip


def decide(
    device: torch.device,
    machine: Machine,
    gpu: Gpu | None,
    precision: str = "auto",
    compile: bool | None = None,
    *,
    architecture: str = "codecvsr",
    training: bool = False,
    has_library: bool = False,
    has_bf16: bool = False,
) -> Plan:
    """:func:`make_plan` for any machine.

    ``gpu`` describes ``device`` if that is a GPU. ``has_library``: the native network library is built and faster than torch on
    this processor; ``has_bf16``: it multiplies bfloat16 there.
    """
    network = ARCHITECTURES[architecture]
    takes_bf16 = has_bf16 and network.is_bf16_safe
    is_native = (
        has_library and gpu is None and network.has_native_layers and not training
        and (precision in ("auto", "fp32") or (precision == "bf16" and takes_bf16)) and not compile
    )  # fmt: skip
    if is_native:
        uses_bf16 = takes_bf16 and precision != "fp32"
        dtype, tf32, of_precision = torch.bfloat16 if uses_bf16 else torch.float32, False, _NATIVE[uses_bf16]
        compiles, compile_from, of_compile = False, None, "not compiled: the convolutions run in the C library."
    else:
        dtype, tf32, of_precision = _precision(machine, gpu, precision, network.is_bf16_safe, training)
        compiles, compile_from, of_compile = _compiling(machine, gpu, compile)
    graphs, of_graphs = _graphs(gpu)
    total = machine.memory_bytes if gpu is None else gpu.memory_bytes
    memory = min(_MAX_BYTES, total // _SHARE) if total else _MAX_BYTES
    where = f"{device}: " + (f"{gpu.name}." if gpu else f"{machine.cpu}; torch sees no GPU, or the CPU was asked for.")
    return Plan(
        device=device,
        dtype=dtype,
        tf32=tf32,
        native=is_native,
        graphs=graphs,
        compile=compiles,
        compile_from=compile_from,
        frames_per_step=_STEP_ON_GPU if gpu else 1,
        memory_bytes=memory,
        reasons=(
            where,
            of_precision,
            "channels last: convolutions of cuDNN and oneDNN are fastest with the channels of a pixel adjacent in memory.",
            of_graphs,
            of_compile,
            f"windows of {memory / 2**30:.1f} GiB of features: "
            + ("more saves nothing." if memory == _MAX_BYTES else f"a quarter of {total / 2**30:.1f} GiB."),
        ),
    )


def _precision(
    machine: Machine, gpu: Gpu | None, asked: str, takes_bf16: bool, training: bool
) -> tuple[torch.dtype, bool, str]:
    """Returns the type, whether to use TF32, and the reason."""
    if asked != "auto":
        return _DTYPES[asked], False, f"{asked}: asked for."
    if gpu is None:
        fast = [name for name in machine.features if name in BF16_FEATURES]
        if training or not takes_bf16:
            return torch.float32, False, "fp32: " + ("as trained on CPUs." if training else _PUBLISHED)
        if fast:
            return torch.bfloat16, False, f"bf16: the CPU multiplies it natively ({', '.join(fast)})."
        return torch.float32, False, "fp32: the CPU has neither AVX512-BF16 nor AMX, without which bf16 is slower."
    if gpu.capability < (7, 0):
        return torch.float32, False, "fp32: the GPU has no tensor cores, without which fp16 gains nothing."
    if takes_bf16 or training:
        if gpu.capability >= (8, 0):
            return (
                torch.bfloat16,
                False,
                "bf16: the GPU's tensor cores multiply it, and the network loses no quality by it.",
            )
        return (
            torch.float16,
            False,
            "fp16: the GPU's tensor cores lack bf16; frames that overflow are computed again in fp32.",
        )
    if gpu.capability >= (8, 0):
        return torch.float32, True, "tf32: tensor cores, and as fast as fp16 here. " + _PUBLISHED.capitalize()
    return torch.float32, False, "fp32: " + _PUBLISHED


_WINOGRAD = "codecvsr's own C library computes in it, 3x3 convolutions with a quarter of the products (Winograd)"
_NATIVE = {
    False: f"fp32: {_WINOGRAD}.",
    True: f"bf16: {_WINOGRAD}; sums are fp32, and the CPU does twice as many products of bf16 in the same time.",
}
_PUBLISHED = "its weights were published for fp32."


def _graphs(gpu: Gpu | None) -> tuple[bool, str]:
    if gpu is None:
        return False, "no CUDA graphs: they need a GPU."
    if gpu.capability < (7, 0):
        return False, "no CUDA graphs: the GPU is older than Volta, on which they were never tried."
    return (
        True,
        "CUDA graphs: the second window of a shape is captured, as its kernels are shorter than their launches.",
    )


def _compiling(machine: Machine, gpu: Gpu | None, asked: bool | None) -> tuple[bool, int | None, str]:
    """Returns whether to compile always, from how many frames otherwise, and the reason."""
    if asked is not None:
        return asked, None, f"{'compiled' if asked else 'not compiled'}: asked for."
    if gpu is None and not machine.has_compiler:
        return False, None, "never compiled: there is no C++ compiler."
    if gpu is not None and not (machine.has_triton and machine.has_compiler):
        return False, None, "never compiled: compiling needs Triton and a C compiler."
    if gpu is not None and gpu.capability < (7, 0):
        return False, None, "never compiled: Triton needs a GPU from Volta on."
    least = _COMPILE_FROM["cpu" if gpu is None else "cuda"]
    return (
        False,
        least,
        f"compiled only for jobs of {least} frames of 320x180 or more, which repay the minute it costs.",
    )
