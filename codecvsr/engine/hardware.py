"""What this machine is, as far as it decides how networks are run. Answers without torch."""

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
        name: as its maker calls it.
        capability: compute capability, (9, 0) for an H200.
        memory_bytes: all it has.
    """

    name: str
    capability: tuple[int, int]
    memory_bytes: int


@dataclass(frozen=True)
class Machine:
    """What decides besides the device.

    Attributes:
        cpu: the processor's model.
        features: those of :data:`CPU_FEATURES` it has (Linux tells; elsewhere none are known).
        memory_bytes: that processes may take: all there is, or the container's limit; 0 where neither is known.
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
    """This machine."""
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
    """Total and free memory in bytes, where the system tells."""
    names = {"total_bytes": "SC_PHYS_PAGES", "free_bytes": "SC_AVPHYS_PAGES"}
    known = getattr(os, "sysconf_names", {})
    return {key: os.sysconf(name) * os.sysconf("SC_PAGE_SIZE") for key, name in names.items() if name in known}


def _container_limit() -> int:
    """The memory limit of the control group this process is in, in bytes; 0 without one."""
    for path in _MEMORY_LIMITS:
        if path.is_file():
            text = path.read_text(encoding="ascii", errors="replace").strip()
            return int(text) if text.isdigit() else 0
    return 0
