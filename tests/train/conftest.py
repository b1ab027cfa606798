"""A clip to train on, and small recipes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.train import data as training_data
from codecvsr.train.recipe import (
    Data,
    Dropout,
    Model,
    Optimisation,
    Recipe,
    Reporting,
)
from codecvsr.train.sampling import Batch, Sampler
from tests.streams import encode, moving_texture


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``hr/one.mp4`` and ``bench/hr_CRF20/one``: content that moves (8, -4) HR pixels a frame."""
    root = tmp_path_factory.mktemp("training")
    (root / "hr").mkdir()
    encode(root / "hr" / "one.mp4", moving_texture(8, 256, 320, 8, -4), options={"crf": "8"})
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(20,)))
    return root


def tiny(root: Path, **optimisation: object) -> Recipe:
    settings = {"steps": 6, "batch": 2, "frames": 3, "crop": 24, "warmup": 2, "seed": 3} | optimisation
    return Recipe(
        data=Data(hr_root=str(root / "hr"), benchmarks=(str(root / "bench" / "hr_CRF20"),)),
        model=Model(channels=8, blocks=1),
        optimisation=Optimisation(**settings),
        reporting=Reporting(log_every=2, save_every=100, validate_every=100),
    )


def state_of(out: Path) -> dict[str, torch.Tensor]:
    (folder,) = out.glob("state-*")
    return {key: value for path in folder.iterdir() for key, value in load_file(path).items()}


def make_batch(
    clips: list[training_data.TrainingClip], settings: Optimisation, dropout: Dropout, step: int, **parts: int
) -> Batch:
    return Sampler([clips], Recipe(optimisation=settings, dropout=dropout), **parts).batch(step)
