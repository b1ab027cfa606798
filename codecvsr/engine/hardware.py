"""The processor, memory and tools of this machine that decide how networks are run. Does not import torch."""

from __future__ import annotations

import functools
import importlib.util
import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

#: CPU features that decide which precision is fast: bf16 needs avx512_bf16, amx_bf16 or (on ARM) bf16.
CPU_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
BF16_FEATURES = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  #: any of them makes bf16 the fast type of a CPU

_CPUINFO = Path("/proc/cpuinfo")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


@dataclass(frozen=True)
class Gpu:
    """A CUDA device.

    Attributes:
        name: the product's name.
        capability: compute capability, (9, 0) for an H200.
        memory_bytes: total memory.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Machine:
    """The properties of a machine besides its GPU.

    Attributes:
        cpu: the processor's model.
        features: those of :data:`CPU_FEATURES` it has (empty on systems other than Linux).
        memory_bytes: memory of the machine or the container's limit, the smaller; 0 if unknown.
        has_compiler: a C++ compiler is on the PATH (or named by CXX).
        has_triton: the package triton is installed.
    """

    cpu: str
    features: tuple[str, ...]
    memory_bytes: int
    has_compiler: bool
    has_triton: bool


@functools.cache
def detect_hardware() -> Machine:
    """Returns the properties of this machine."""
    text = _CPUINFO.read_text(encoding="utf-8", errors="replace") if _CPUINFO.is_file() else ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    have = set(flags[1].split()) if flags else set()
    compilers = (os.environ.get("CXX", ""), "c++", "g++", "clang++")
    return Machine(
        cpu=model[1].strip() if model else platform.processor() or platform.machine(),
        features=tuple(feature for feature in CPU_FEATURES if feature in have),
        memory_bytes=min(filter(None, (system_memory().get("total_bytes", 0), _container_limit())), default=0),
        has_compiler=any(shutil.which(name) for name in compilers if name),
        has_triton=importlib.util.find_spec("triton") is not None,
    )


def system_memory() -> dict[str, int]:
    """Returns ``total_bytes`` and ``free_bytes`` of memory; keys that the system does not report are missing."""
    names = {"total_bytes": "SC_PHYS_PAGES", "free_bytes": "SC_AVPHYS_PAGES"}
    known = getattr(os, "sysconf_names", {})
    return {key: os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for key, name in names.items() if name in known}


def _container_limit() -> int:
    """Returns the memory limit of this process's control group in bytes; 0 without one."""
    for path in _MEMORY_LIMITS:
        if path.is_file():
            text = path.read_text(encoding="ascii", errors="replace").strip()
            return int(text) if text.isdigit() else 0
    return 0
