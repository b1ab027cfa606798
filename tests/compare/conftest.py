"""Two small clips at two CRFs, and small networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.files import write_png
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.codecvsr import CodecVSR
from tests.streams import moving_texture

FRAMES = 3


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``hr/NAME/%08d.png`` of 192x128 pixels and ``bench/hr_CRF15`` and ``bench/hr_CRF35``, clips "a" and "b"."""
    root = tmp_path_factory.mktemp("compare")
    for name, seed in (("a", 1), ("b", 2)):
        (root / "hr" / name).mkdir(parents=True)
        for index, picture in enumerate(moving_texture(FRAMES, 128, 192, 4, -4, seed)):
            write_png(root / "hr" / name / f"{index:08d}.png", picture)
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(15, 35)))
    return root


def _weights(network: torch.nn.Module, path: Path) -> Path:
    generator = torch.Generator().manual_seed(1)
    state = {k: torch.randn(v.shape, generator=generator) * 0.05 if v.ndim == 4 else v
             for k, v in network.state_dict().items()}  # fmt: skip
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network without provenance."""
    return _weights(CodecVSR(channels=8, blocks=1), tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="session")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _weights(BasicVSR(num_feat=8, num_block=1), tmp_path_factory.mktemp("weights") / "basic.safetensors")
