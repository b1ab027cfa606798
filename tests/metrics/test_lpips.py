"""LPIPS equals its authors' implementation, and gets its weights only from where it says."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import write_png
from codecvsr.metrics import lpips as module
from codecvsr.metrics.lpips import Lpips, load_lpips
from codecvsr.metrics.report import evaluate, write_csv
from tests.goldens.published import noise

SHAPES = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}


def alexnet() -> dict[str, Tensor]:
    """torchvision's keys and shapes, values drawn from the keys."""
    state = {}
    for position, shape in SHAPES.items():
        key = f"features.{position}"
        state[f"{key}.weight"] = noise(f"{key}.weight", shape) * math.sqrt(2 / math.prod(shape[1:]))
        state[f"{key}.bias"] = noise(f"{key}.bias", shape[:1]) * 0.1
    return state


def linear() -> dict[str, Tensor]:
    widths = (shape[0] for shape in SHAPES.values())
    keys = (f"lin{layer}.model.1.weight" for layer in range(len(SHAPES)))
    return {key: noise(key, (1, width, 1, 1)).abs() for key, width in zip(keys, widths, strict=True)}


@pytest.fixture(scope="module")
def lpips() -> Lpips:
    return Lpips.from_state_dicts(alexnet(), linear())


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    a, b = (rng.integers(0, 256, (67, 93, 3), dtype=np.uint8) for _ in range(2))
    return a, b


def test_it_is_the_published_one(lpips, pair):
    """The figures are those of the package lpips 0.1.4 with the same weights."""
    assert lpips.distance(*pair) == pytest.approx(1.55468798, abs=2e-6)
    assert lpips.distance(*pair, crop_border=4) == pytest.approx(1.56690776, abs=2e-6)
    one, other = (torch.from_numpy(x).permute(2, 0, 1)[None] / 127.5 - 1 for x in pair)
    distances = lpips(torch.cat([one, one]), torch.cat([one * 0.9, other]))
    assert distances.tolist() == pytest.approx([0.00105102, 1.55468798], abs=2e-6)
    assert lpips.distance(pair[0], pair[0]) == 0.0


def test_small_pictures(lpips):
    assert lpips.distance(*np.zeros((2, 31, 31, 3), np.uint8)) == 0.0
    with pytest.raises(ValueError, match="31 pixels along each side, got 40x31 less 1"):
        lpips.distance(*np.zeros((2, 31, 40, 3), np.uint8), crop_border=1)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models"
    folder.mkdir(parents=True)
    return folder


def test_weights_come_from_the_cache(cache, monkeypatch, lpips, pair):
    with pytest.raises(
        InputError, match=r"models fetch lpips-alex.* and AlexNet's weights \(download https.*owt-7be5be79"
    ):
        load_lpips()
    torch.save(linear(), cache / "lpips-alex.pth")
    torch.save(alexnet(), cache / module.ALEXNET[0])
    with pytest.raises(CheckpointError, match="expected 7be5be79; download it again"):
        load_lpips()
    digest = hashlib.sha256((cache / module.ALEXNET[0]).read_bytes()).hexdigest()[:8]
    (cache / module.ALEXNET[0]).rename(cache / f"alexnet-owt-{digest}.pth")
    monkeypatch.setattr(module, "ALEXNET", (f"alexnet-owt-{digest}.pth",))
    assert load_lpips().distance(*pair) == lpips.distance(*pair)
    torch.save({"features.0.weight": torch.zeros(1)}, cache / "lpips-alex.pth")
    with pytest.raises(CheckpointError, match="not the weights LPIPS needs"):
        load_lpips()


def test_eval_measures_it(tmp_path, lpips, pair):
    for name, picture in zip(("sr", "gt"), pair, strict=True):
        (tmp_path / name).mkdir()
        write_png(tmp_path / name / "00000000.png", picture)
    result = evaluate(tmp_path / "sr", tmp_path / "gt", lpips=lpips)
    assert result.summary()["lpips"] == result.lpips == lpips.distance(*pair)
    write_csv(tmp_path / "scores.csv", result)
    head, line = (tmp_path / "scores.csv").read_text().splitlines()
    assert head.endswith(",ssim_y,lpips") and line.endswith(f",{result.lpips:.6f}")
    assert "lpips" not in evaluate(tmp_path / "sr", tmp_path / "gt").summary()
    with pytest.raises(InputError, match="31 pixels or more must remain"):
        evaluate(tmp_path / "sr", tmp_path / "gt", lpips=lpips, crop_border=20)
