"""Every network in training: the same function of frames and motion as in inference, trained, saved and loaded again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from codecvsr.bitstream.reader import read_video
from codecvsr.datasets.benchmark import make_benchmark
from codecvsr.datasets.benchmark_settings import BenchmarkSettings
from codecvsr.errors import InputError
from codecvsr.files import write_png
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.registry import architecture_of
from codecvsr.models.runners import FRAME_BY_FRAME
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.motion import estimate_motion
from codecvsr.train.loop import train
from codecvsr.train.network import build, metadata, run
from codecvsr.train.recipe import Data, Dropout, Model, Optimisation, Recipe, Reporting, read_recipe
from codecvsr.train.run_log import LOG, read_log
from codecvsr.train.sampling import Batch
from tests.streams import encode, moving_texture

FRAMES, HEIGHT, WIDTH = 5, 32, 48
CPU = torch.device("cpu")
RECIPES = sorted((Path(__file__).parents[2] / "scripts" / "training" / "recipes" / "experiments").glob("*.toml"))
NETWORKS = {
    "basicvsr": {}, "iconvsr": {}, "basicvsr-pp": {}, "edvr-m": {}, "rbpn": {}, "mvsr-seed": {},
    "rate-groups": {}, "rate-groups-mh-135": {},
    "study": {"propagation": "local"},
    "study-refilled": {"refill": True, "coupled": True, "alignment": "image"},
    "study-static": {"propagation": "unidirectional", "alignment": "none"},
}  # fmt: skip


def model_of(name: str, **more: object) -> Model:
    return Model(network=name.split("-")[0] if name.startswith("study") else name, channels=8, blocks=1,
                 **NETWORKS.get(name, {}), **more)  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = encode(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1))
    frames = list(read_video(path))
    return Source(tuple(map(str, range(FRAMES))), np.stack([f.rgb for f in frames]), estimate_motion(frames))


def batch_of(source: Source, **changes: object) -> Batch:
    motion = source.motion
    frames = torch.from_numpy(source.frames).permute(0, 3, 1, 2)[None].float() / 255
    one = torch.ones(1)
    priors = torch.zeros(1, FRAMES, 8, HEIGHT // 4, WIDTH // 4)
    batch = Batch(frames, torch.from_numpy(motion.to_prev)[None], torch.from_numpy(motion.to_next)[None], priors,
                  torch.from_numpy(motion.is_cut)[None], one, one, frames)  # fmt: skip
    return dataclasses.replace(batch, **changes)


def filled(model: Model) -> torch.nn.Module:
    """With weights that do something everywhere, the heads that start at zero included."""
    network, generator = build(model).eval(), torch.Generator().manual_seed(2)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
    return network


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_a_batch_goes_through_as_a_clip_does(source: Source, name: str) -> None:
    network = filled(model_of(name))
    runner = architecture_of(network).runner
    expected = torch.cat(list(runner(network, SourceClip(source, CPU), range(FRAMES), FRAME_BY_FRAME)))
    output = run(network, batch_of(source))
    assert output.shape == (1, FRAMES, 3, 4 * HEIGHT, 4 * WIDTH)
    assert (output[0] - expected).abs().max() < 1e-3 * expected.abs().max()
    core = run(network, batch_of(source, context=2))
    assert core.shape[1] == 1 and torch.allclose(core[:, 0], output[:, 2], atol=1e-4)
    if name == "edvr-m":
        return
    static = run(network, batch_of(source, use_motion=torch.zeros(1)))
    assert torch.equal(static, output) == (name == "study-static")
    if name not in ("study", "study-refilled", "study-static"):
        assert torch.equal(static, run(network, batch_of(source), "zero"))


@pytest.mark.parametrize("name", ["basicvsr", "rate-groups"])
@torch.inference_mode()
def test_own_motion_is_that_of_the_network_inside(source: Source, name: str) -> None:
    network = filled(model_of(name, motion="own"))
    own = run(network, batch_of(source), "own")
    assert torch.equal(own, run(network, batch_of(source, use_motion=torch.zeros(1)), "own"))
    assert not torch.equal(own, run(network, batch_of(source)))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root = tmp_path_factory.mktemp("training")
    (root / "hr" / "one").mkdir(parents=True)
    for index, picture in enumerate(moving_texture(21, 96, 128, 4, -4)):
        write_png(root / "hr" / "one" / f"{index:08d}.png", picture)
    make_benchmark(root / "hr", root / "bench", BenchmarkSettings(crfs=(20,)))
    return Data(hr_root=str(root / "hr"), benchmarks=(str(root / "bench" / "hr_CRF20"),))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_of_the_experiments_train(data: Data, tmp_path: Path, path: Path) -> None:
    """A few steps of a narrow network on small crops; the weights are loaded by name and by what they are."""
    sets = [
        "model.channels=8",
        "model.blocks=1",
        "optimisation.steps=3",
        "optimisation.batch=1",
        "optimisation.crop=16",
    ]
    recipe = dataclasses.replace(read_recipe(path, sets), data=data, reporting=Reporting(log_every=1))
    assert train(recipe, tmp_path, device="cpu") == 3
    losses = [entry["loss"] for entry in read_log(tmp_path / LOG) if "loss" in entry]
    assert len(losses) == 3 and all(np.isfinite(losses))
    loaded = load_model(tmp_path / f"{recipe.model.network}.safetensors")
    assert loaded.training == "user" and loaded.metadata["file.steps"] == "3"
    begun, learnt = build(recipe.model).state_dict(), loaded.network.state_dict()
    assert learnt.keys() == begun.keys()
    assert all(torch.isfinite(value).all() for value in learnt.values())


@pytest.mark.slow
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_fifty_steps_lower_the_loss(data: Data, tmp_path: Path, path: Path) -> None:
    sets = ["model.channels=16", "model.blocks=1", "optimisation.steps=50", "optimisation.batch=1",
            "optimisation.crop=16", "optimisation.warmup=5"]  # fmt: skip
    recipe = dataclasses.replace(read_recipe(path, sets), data=data, reporting=Reporting(log_every=10))
    train(recipe, tmp_path, device="cpu")
    losses = [entry["loss"] for entry in read_log(tmp_path / LOG) if "loss" in entry]
    assert np.mean(losses[-2:]) < losses[0]


def test_statistics_of_normalisations_are_kept(data: Data, tmp_path: Path) -> None:
    settings = Optimisation(steps=2, batch=1, frames=5, context=2, crop=16)
    recipe = Recipe(data, model_of("rate-groups-mh-135"), settings, Dropout(0, 0, 0), Reporting())
    train(recipe, tmp_path, device="cpu")
    network = load_model(tmp_path / "rate-groups-mh-135.safetensors").network
    assert network.rates == (1, 3, 5) and network.multi_head
    assert network.conv_hr_bn.running_mean.any() and int(network.conv_hr_bn.num_batches_tracked) == 2


def test_what_tensors_do_not_tell_of_the_study_network(source: Source, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    for name in ("study", "study-refilled", "study-static"):
        model = model_of(name)
        network = filled(model)
        path = tmp_path / f"{name}.safetensors"
        save_file(network.state_dict(), path, metadata=metadata(model, network))
        loaded: LoadedModel = load_model(path)
        assert (loaded.architecture, loaded.motion[0]) == ("study", "codec")
        with torch.inference_mode():
            assert torch.equal(run(loaded.network, batch_of(source)), run(network, batch_of(source)))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Model(network="bicubic"), "no network to be trained; expected one of codecvsr"),
        (Model(network="nothing"), "no network to be trained"),
        (Model(network="rbpn", motion="own"), "rbpn is trained on codec or zero"),
        (Model(network="basicvsr", motion="dis"), "basicvsr is trained on codec or own or zero"),
        (Model(network="basicvsr", coupled=True), "has no option coupled, which is for 'study'"),
        (Model(network="basicvsr", flow_head=False), "has no option flow_head, which is for 'codecvsr'"),
        (Model(network="study", propagation="sideways"), "study cannot be made so"),
        (Model(network="study", propagation="unidirectional", coupled=True), "needs features from the future"),
        (Model(network="basicvsr-pp-decompress"), "keeps the size"),
    ],
)
def test_what_cannot_be_trained(model: Model, said: str) -> None:
    with pytest.raises(InputError, match=said):
        build(model)
