"""Clips and small networks for tests of inference."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from codecvsr.bitstream.reader import read_video
from codecvsr.files import write_png
from codecvsr.inference.clip_folder import write_motion
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.motion import estimate_motion
from tests.inference.frames import B_FRAMES, FRAMES, HEIGHT, NAMES, WIDTH
from tests.streams import encode, moving_texture


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip folder with B frames, its pictures numbered from 3."""
    folder = tmp_path_factory.mktemp("clips") / "clip"
    (folder / "lr").mkdir(parents=True)
    encode(folder / "clip.mp4", moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1), options=B_FRAMES)
    frames = list(read_video(folder / "clip.mp4"))
    for name, frame in zip(NAMES, frames, strict=True):
        write_png(folder / "lr" / name, frame.rgb)
    write_motion(folder / "codec.npz", estimate_motion(frames))
    return folder


def weights(network, path):
    """Random weights that do something everywhere, the heads that start at zero included."""
    generator = torch.Generator().manual_seed(1)
    state = {
        k: torch.randn(v.shape, generator=generator) * 0.1 if v.ndim == 4 else v
        for k, v in network.state_dict().items()
    }
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return weights(CodecVSR(channels=8, blocks=1), tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.fixture(scope="module")
def small_basicvsr(tmp_path_factory):
    return weights(BasicVSR(num_feat=8, num_block=1), tmp_path_factory.mktemp("weights") / "basic.safetensors")


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    folder = tmp_path_factory.mktemp("others")
    networks = {
        "edvr": EDVR(num_feat=8, num_extract_block=1, num_reconstruct_block=1),
        "iconvsr": IconVSR(num_feat=8, num_block=1),
        "basicvsr-pp": BasicVSRPlusPlus(mid_channels=8, num_blocks=1),
        "basicvsr-pp-same": BasicVSRPlusPlus(mid_channels=8, num_blocks=1, is_low_res_input=False),
        "rbpn": RBPN(base_filter=8, feat=4, n_resblock=1),
        "rate-groups": RateGroups(mid_channels=8, num_blocks=1),
        "mvsr-seed": MVSRSeed(channels=8, blocks=1),
    }
    return {name: weights(network, folder / f"{name}.safetensors") for name, network in networks.items()}
