"""Memory of the recurrent networks: pictures one by one, and tiles where a window of whole frames is larger than a CPU's memory."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from codecvsr.bitstream.reader import read_video
from codecvsr.engine.hardware import Machine
from codecvsr.engine.plan import make_plan
from codecvsr.files import read_image
from codecvsr.inference import usual_tile as module
from codecvsr.inference.infer import infer
from codecvsr.inference.source import Source
from codecvsr.inference.source_clip import SourceClip
from codecvsr.inference.tiles import BLOCK, MARGIN
from codecvsr.inference.usual_tile import seen_frames, usual_tile
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.registry import ARCHITECTURES, constructors
from codecvsr.models.runners import Execution
from codecvsr.models.zoo import load_model
from codecvsr.motion import estimate_motion
from tests.streams import encode, moving_texture

CPU, GIB = torch.device("cpu"), 2**30
PLAN = make_plan(CPU, "fp32")


def test_whole_frames_where_they_fit_and_tiles_that_fit_where_they_do_not(caplog: pytest.LogCaptureFixture) -> None:
    network = load_model("basicvsr:random").network
    assert usual_tile(network, PLAN, 31, 180, 320, memory=16 * GIB) == 0
    assert usual_tile(network, PLAN, 31, 720, 1280, memory=64 * GIB) == 0
    assert usual_tile(network, PLAN, 31, 720, 1280, memory=0) == 0, "unknown memory"
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        side = usual_tile(network, PLAN, 31, 720, 1280, memory=8 * GIB)
    assert side % BLOCK == 0 and 64 <= side < 720
    assert (side + 2 * MARGIN) ** 2 * 31 * 64 * 4 < 4 * GIB
    assert f"Tiles of {side} pixels" in caplog.text
    assert usual_tile(load_model("codecvsr:random").network, PLAN, 31, 2160, 3840, memory=8 * GIB) == 0
    assert (seen_frames(15, 300), seen_frames(15, 9)) == (31, 9)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("clip") / "clip.mp4", moving_texture(4, 96, 128, 2, 1))


@pytest.mark.parametrize("name", ["basicvsr", "iconvsr", "basicvsr-pp"])
@torch.inference_mode()
def test_pictures_come_one_by_one_and_are_those_of_forward(clip: Path, name: str) -> None:
    sizes = {"mid_channels": 8, "num_blocks": 1} if name == "basicvsr-pp" else {"num_feat": 8, "num_block": 1}
    kind, build = constructors()[name]
    torch.manual_seed(0)
    network, descriptor = build(**sizes).eval(), ARCHITECTURES[kind]
    frames = list(read_video(clip))
    source = Source(tuple("0123"), np.stack([frame.rgb for frame in frames]), estimate_motion(frames)).crop(
        slice(0, 32), slice(0, 48)
    )
    expected, made = (
        descriptor.runner(network, SourceClip(source, CPU), range(4), Execution(whole_window=whole))
        for whole in (True, False)
    )
    calls: list[object] = []
    network.conv_last.register_forward_hook(lambda *_: calls.append(0))
    first = next(made)
    assert len(calls) == 1, "the first picture is there before the others are made"
    for one, other in zip([first, *made], expected, strict=True):
        assert torch.equal(one, other)


def test_infer_uses_tiles_on_a_small_machine(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "small.safetensors"
    torch.manual_seed(0)
    save_file(BasicVSR(num_feat=8, num_block=1).state_dict(), path)
    whole = infer(clip, tmp_path / "whole", model=path, motion="codec", precision="fp32", device="cpu")
    assert not caplog.records
    monkeypatch.setattr(module, "detect_hardware", lambda: Machine("tiny", (), 1 << 20, False, False))
    parts = infer(clip, tmp_path / "parts", model=path, motion="codec", precision="fp32", device="cpu")
    assert "Tiles of 64 pixels" in caplog.text and whole.frames == parts.frames == 4
    for one, other in zip(sorted((tmp_path / "whole").iterdir()), sorted((tmp_path / "parts").iterdir()), strict=True):
        difference = np.abs(read_image(one).astype(int) - read_image(other))
        assert difference.shape == (384, 512, 3) and difference.max() <= 1
