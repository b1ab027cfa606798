"""Every accepted container gives the same tensors; everything else is refused, and nothing of it is run."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from codecvsr.errors import CheckpointError, InputError
from codecvsr.files import write_png
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.checkpoints.reading import read_state_dict
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.zoo import load_model
from tests.goldens.published import fill


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return BasicVSR(num_feat=6, num_block=2).state_dict()


def _other(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key: tensor + 1 for key, tensor in state.items()}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", ["params", "params_ema", "both", "bare", "wrapped", "compiled", "fp16"])
def test_torch_layouts(tmp_path: Path, state: dict[str, torch.Tensor], layout: str, zipped: bool) -> None:
    content = {
        "params": {"params": state},
        "params_ema": {"params_ema": state, "iter": 5},
        "both": {"params": _other(state), "params_ema": state},
        "bare": state,
        "wrapped": {"params": {f"module._orig_mod.{key}": tensor for key, tensor in state.items()}},
        "compiled": {key.replace("trunk.", "trunk._orig_mod."): tensor for key, tensor in state.items()},
        "fp16": {"params": {key: tensor.half() for key, tensor in state.items()}},
    }[layout]
    path = tmp_path / "some.weights"  # the suffix does not matter
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    tensors, metadata = read_state_dict(path)
    expected_container = {"both": "params_ema", "params_ema": "params_ema", "bare": "bare", "compiled": "bare"}
    assert metadata["container"] == expected_container.get(layout, "params")
    assert metadata["format"] == ("torch" if zipped else "torch-legacy")
    assert list(tensors) == list(state)
    for key, tensor in tensors.items():
        torch.testing.assert_close(tensor.float(), state[key], atol=1e-3 if layout == "fp16" else 0, rtol=0)

    model = load_model(path)
    assert (model.network.num_feat, model.network.num_block) == (6, 2)  # read off the tensors
    assert (model.architecture, model.training, model.scale) == ("basicvsr", "user", 4)
    assert not model.network.training
    assert next(model.network.parameters()).dtype == torch.float32
    frames = torch.zeros(1, 1, 3, 8, 8)
    assert model.network(frames).shape == (1, 1, 3, 32, 32)


def test_safetensors(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    save_file(state, path, metadata={"licence": "CC0-1.0"})
    tensors, metadata = read_state_dict(path)
    assert all(torch.equal(tensors[key], tensor) for key, tensor in state.items())
    assert metadata == {"format": "safetensors", "container": "bare", "file.licence": "CC0-1.0"}
    assert load_model(path).licence == "CC0-1.0"


class _RunsCode:
    """Unpickled carelessly, makes a folder."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("how", ["torch", "torch-legacy", "pickle"])
def test_code_in_a_checkpoint_is_never_run(tmp_path: Path, how: str) -> None:
    trace, path = tmp_path / "it ran", tmp_path / "net.pth"
    content = {"params": _RunsCode(trace)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    with pytest.raises(CheckpointError, match="torch.save did not write" if how == "pickle" else "could run code"):
        load_model(path)
    assert not trace.exists()
    if how == "pickle":  # the file is a real danger: whoever does unpickle it runs it
        pickle.loads(path.read_bytes())
        assert trace.exists()


@pytest.mark.parametrize("kind", ["torch", "torch-legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, state: dict[str, torch.Tensor], kind: str, share: float) -> None:
    path = tmp_path / "net"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"params": state}, path, _use_new_zipfile_serialization=kind == "torch")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="net: "):
        load_model(path)


def test_foreign_files_are_named_for_what_they_are(tmp_path: Path) -> None:
    picture = tmp_path / "picture.pth"
    write_png(tmp_path / "picture.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "picture.png").rename(picture)
    cases = {picture: "a PNG picture"}
    for name, content, said in (
        ("empty.pth", b"", "an empty file"),
        ("text.pth", b"hello, I am no network", "text"),
        ("page.pth", b"<!DOCTYPE html><html>", "a web page"),
        ("pointer.pth", b"version https://git-lfs.github.com/spec/v1\noid", "LFS pointer"),
        ("noise.pth", b"\x01\xfe\x03\x99" * 40, "unknown content"),
    ):
        cases[tmp_path / name] = said
        (tmp_path / name).write_bytes(content)
    for path, said in cases.items():
        with pytest.raises(CheckpointError, match=said) as caught:
            load_model(path)
        assert str(path) in str(caught.value)


def test_files_that_fit_no_network(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.pth"
    torch.save({"head.weight": torch.zeros(2), "head.bias": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"'head\.weight', 'head\.bias'.*Accepted are: .*BasicVSR"):
        load_model(path)
    torch.save({"epoch": 3, "optimizer": {}}, path)
    with pytest.raises(CheckpointError, match="a dict with the keys 'epoch', 'optimizer'"):
        load_model(path)
    torch.save(torch.zeros(3), path)
    with pytest.raises(CheckpointError, match="a Tensor"):
        load_model(path)
    torch.save({key: tensor for key, tensor in state.items() if key != "conv_last.bias"}, path)
    with pytest.raises(CheckpointError, match=r"looks like basicvsr.*conv_last\.bias"):
        load_model(path)
    torch.save({**state, "conv_last.weight": torch.zeros(3, 64, 5, 5)}, path)
    with pytest.raises(CheckpointError, match=r"looks like basicvsr.*conv_last\.weight"):
        load_model(path)
    torch.save({**state, "edvr.conv_first.weight": torch.zeros(3)}, path)  # part of an IconVSR
    with pytest.raises(CheckpointError, match="fits no known network"):
        load_model(path)


def test_two_keys_that_become_one(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"module.a": torch.zeros(1), "a": torch.ones(1)}, path)
    with pytest.raises(CheckpointError, match="both 'a'"):
        read_state_dict(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pth: no such file"):
        read_state_dict(tmp_path / "nowhere.pth")


# --- every network in its publishers' formats -------------------------------------------------------------------------


def _mmagic_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """BasicSR's names turned into MMagic's, written independently of what reads them."""
    plain = ("conv_first", "conv_hr", "conv_last", "temporal_attn1", "temporal_attn2", "spatial_attn5", "conv_offset")
    plain += ("conv1", "conv2", "backward_fusion", "forward_fusion", "dcn_pack", "cas_dcnpack", "spatial_attn_add2")
    wrapped = re.compile(
        r"^(edvr\.)?(conv_l\d_\d|pcd_align\.(offset|feat|cas_offset)_?conv.*|fusion\.(feat|spatial).*)$"
    )
    renamed = {}
    for key, tensor in state.items():
        if found := re.fullmatch(r"spynet\.basic_module\.(\d)\.basic_module\.(\d)\.(\w+)", key):
            key = f"spynet.basic_module.{found[1]}.basic_module.{int(found[2]) // 2}.conv.{found[3]}"
        else:
            module, _, leaf = key.rpartition(".")
            last = module.rpartition(".")[2]
            if wrapped.match(module) and last not in plain:
                key = f"{module}.conv.{leaf}"
            key = re.sub(r"(^|\.)conv_l(\d)_(\d)", r"\1feat_l\2_conv\3", key).replace("pcd_align.", "pcd_alignment.")
            key = re.sub(r"^(forward|backward)_trunk", r"\1_resblocks", key)
            key = re.sub(r"^upconv(\d)", r"upsample\1.upsample_conv", key)
        renamed[f"generator.{key}"] = tensor
    return renamed | {"step_counter": torch.tensor(7), "discriminator.conv.weight": torch.zeros(1)}


@pytest.mark.parametrize("name", ["basicvsr", "edvr", "edvr-wotsa", "iconvsr", "basicvsr-pp", "basicvsr-pp-same"])
def test_mmagic_checkpoints(tmp_path: Path, name: str) -> None:
    network = {
        "basicvsr": lambda: BasicVSR(num_feat=8, num_block=2),
        "edvr": lambda: EDVR(num_feat=8, num_reconstruct_block=2),
        "edvr-wotsa": lambda: EDVR(num_feat=8, num_frame=7, with_tsa=False),
        "iconvsr": lambda: IconVSR(num_feat=8, num_block=2, temporal_padding=3),
        "basicvsr-pp": lambda: BasicVSRPlusPlus(mid_channels=8, num_blocks=2),
        "basicvsr-pp-same": lambda: BasicVSRPlusPlus(mid_channels=8, num_blocks=2, is_low_res_input=False),
    }[name]()
    state = fill(network).state_dict()
    content = _mmagic_names(state)
    for telling in {  # names that the published files are known to have
        "basicvsr": ("backward_resblocks.main.2.1.conv1.weight", "spynet.basic_module.5.basic_module.4.conv.bias"),
        "edvr": ("pcd_alignment.offset_conv3.l2.conv.weight", "fusion.spatial_attn_l1.conv.weight", "fusion.spatial_attn_add2.weight"),
        "edvr-wotsa": ("fusion.weight", "feat_l3_conv2.conv.bias", "pcd_alignment.cas_dcnpack.conv_offset.weight"),
        "iconvsr": ("edvr.feat_l2_conv1.conv.weight", "edvr.fusion.feat_fusion.conv.bias", "upsample2.upsample_conv.bias"),
        "basicvsr-pp": ("deform_align.backward_1.conv_offset.6.bias", "feat_extract.main.0.weight"),
        "basicvsr-pp-same": ("feat_extract.4.main.0.weight", "backbone.forward_2.main.2.1.conv2.weight"),
    }[name]:  # fmt: skip
        assert f"generator.{telling}" in content
    path = tmp_path / "mmagic.pth"
    torch.save({"meta": {"epoch": 1}, "state_dict": content}, path)
    model = load_model(path)
    assert model.architecture == re.sub("-(wotsa|same)", "", name)
    assert (model.metadata["container"], model.metadata["naming"]) == ("state_dict", "mmagic")
    loaded = model.network.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())
    if name == "iconvsr":
        assert model.network.temporal_padding == 3
    if name == "edvr-wotsa":
        assert model.network.num_frame == 7


def test_averaged_weights_of_mmagic_come_first(tmp_path: Path) -> None:
    state = BasicVSR(num_feat=6, num_block=1).state_dict()
    averaged = {key.replace("generator.", "generator_ema."): t + 1 for key, t in _mmagic_names(state).items()}
    torch.save({"state_dict": _mmagic_names(state) | averaged}, tmp_path / "both.pth")
    loaded = load_model(tmp_path / "both.pth").network.state_dict()
    assert torch.equal(loaded["fusion.weight"], state["fusion.weight"] + 1)


@pytest.mark.parametrize("layout", ["params", "state_dict", "model", "module", "compiled", "safetensors"])
def test_other_networks_in_every_container(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "net.weights"
    networks = {
        "rbpn": RBPN(base_filter=8, feat=4, n_resblock=2, frames=5),
        "rate-groups": RateGroups(multi_head=True, mid_channels=8, num_blocks=2),
        "mvsr-seed": MVSRSeed(channels=8, blocks=2),
        "edvr": EDVR(num_feat=8, num_reconstruct_block=1, with_predeblur=True, hr_in=True),
        "basicvsr-pp": BasicVSRPlusPlus(mid_channels=8, num_blocks=1),
    }
    for kind, network in networks.items():
        state = fill(network).state_dict()
        if layout == "safetensors":
            save_file(state, path)
        else:
            prefix = {"module": "module.", "compiled": "_orig_mod."}.get(layout, "")
            named = {prefix + key: tensor for key, tensor in state.items()}
            torch.save({layout: named} if not prefix else named, path)
        model = load_model(path)
        assert (model.architecture, model.training, model.scale) == (kind, "user", 1 if kind == "edvr" else 4)
        loaded = model.network.state_dict()
        assert all(torch.equal(loaded[key], tensor) for key, tensor in state.items())


def test_a_checkpoint_for_another_scale(tmp_path: Path) -> None:
    state = RBPN(base_filter=8, feat=4, n_resblock=1).state_dict()
    for key in state:
        if state[key].shape[-2:] == (8, 8):
            state[key] = state[key][..., :6, :6].contiguous()
    torch.save({f"module.{key}": tensor for key, tensor in state.items()}, tmp_path / "RBPN_2x.pth")
    with pytest.raises(CheckpointError, match=r"looks like rbpn.*it is for scale 2 .*only scale 4"):
        load_model(tmp_path / "RBPN_2x.pth")


def test_a_refusal_names_every_network_that_is_accepted(tmp_path: Path) -> None:
    torch.save({"image_cleaning.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="begin with 'image_cleaning.weight'") as caught:
        load_model(tmp_path / "other.pth")
    for accepted in ("codecvsr", "BasicVSR ", "EDVR", "IconVSR", "BasicVSR++", "RBPN", "frame-rate", "seed"):
        assert accepted in str(caught.value)
