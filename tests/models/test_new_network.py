"""A network is added by one module and one entry in the registry: every command then knows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from codecvsr.compare.variants import ablation_variants, parse_variant
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import InputError
from codecvsr.files import write_png
from codecvsr.inference.ablations import Ablations, choose_motion
from codecvsr.inference.infer import infer
from codecvsr.models.registry import ARCHITECTURES
from codecvsr.models.zoo import load_model
from codecvsr.train.loop import train
from codecvsr.train.recipe import Data, Dropout, Model, Optimisation, Recipe, Reporting
from tests.models.toy import TOY
from tests.streams import moving_texture

FRAMES = 6


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "toy", TOY)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("clips")
    (root / "hr" / "one").mkdir(parents=True)
    for index, picture in enumerate(moving_texture(FRAMES, 96, 128, 4, -4)):
        write_png(root / "hr" / "one" / f"{index:08d}.png", picture)
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(20,)))
    return Data(hr_root=str(root / "hr"), benchmarks=(str(root / "bench" / "hr_CRF20"),))


@pytest.mark.parametrize("name", ["toy", "toy-wide"])
def test_it_upscales_a_clip(data: Data, tmp_path: Path, name: str) -> None:
    report = infer(Path(data.benchmarks[0]) / "one", tmp_path / "out", model=f"{name}:random", device="cpu")
    assert (report.frames, report.scale, report.motion) == (FRAMES, 4, "codec")
    assert len(list((tmp_path / "out").glob("*.png"))) == FRAMES


def test_compare_knows_its_rows() -> None:
    row = parse_variant("toy:random@dis+ablate-mvs")
    assert (row.model, row.motion, row.ablations.names) == ("toy:random", "dis", ["mvs"])
    model = load_model("toy:random")
    assert [one.name for one in ablation_variants(parse_variant("toy:random"), model, 9)] == []
    assert choose_motion(model, None, Ablations(mvs=True)) == "zero"
    with pytest.raises(InputError, match="has no priors to leave out"):
        choose_motion(model, None, Ablations(priors=True))
    with pytest.raises(InputError, match="it runs with codec, dis, zero"):
        choose_motion(model, "spynet", Ablations())


def test_it_is_trained_and_loaded_again(data: Data, tmp_path: Path) -> None:
    settings = Optimisation(steps=2, batch=1, frames=3, crop=16)
    recipe = Recipe(data, Model(network="toy", channels=4, blocks=2), settings, Dropout(0, 0, 0), Reporting())
    assert train(recipe, tmp_path, device="cpu") == 2
    model = load_model(tmp_path / "toy.safetensors")
    assert (model.architecture, model.training, len(model.network.body)) == ("toy", "user", 2)
