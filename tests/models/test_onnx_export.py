"""The exported network in onnxruntime against PyTorch."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import CodecVSRError
from codecvsr.models.onnx_export import INPUTS, example, export
from codecvsr.models.zoo import load_model
from tests.videos import small_network

FRAMES, HEIGHT, WIDTH = 3, 14, 22  # neither side is a whole number of cells


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return small_network(tmp_path_factory.mktemp("weights") / "small.safetensors")


@pytest.mark.slow
def test_onnxruntime_gives_the_same_pictures(weights, tmp_path):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    target = tmp_path / "small.onnx"
    arguments = ["models", "export", str(weights), str(target), "--frames", str(FRAMES), "--size", f"{HEIGHT}x{WIDTH}"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.stderr
    assert str(target) in result.stdout
    session = runtime.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == list(INPUTS)
    assert session.get_modelmeta().custom_metadata_map["codecvsr.frames"] == str(FRAMES)
    torch.manual_seed(0)
    inputs = [
        torch.rand_like(each) * 2 if each.is_floating_point() else each for each in example(FRAMES, HEIGHT, WIDTH)
    ]
    inputs[-1][0, 1] = True
    with torch.inference_mode():
        expected = load_model(weights).network(*inputs).numpy()
    made = session.run(None, {name: each.numpy() for name, each in zip(INPUTS, inputs, strict=True)})[0]
    assert made.shape == expected.shape == (1, FRAMES, 3, 4 * HEIGHT, 4 * WIDTH)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["MODEL", "x.pt"], "must be called *.onnx"),
        (["MODEL", "there.onnx"], "exists already"),
        (["bicubic", "new.onnx"], "is no network of this project"),
        (["MODEL", "new.onnx", "--size", "180"], "HEIGHTxWIDTH"),
    ],
)
def test_what_cannot_be_exported_is_said_first(weights, tmp_path, arguments, said):
    (tmp_path / "there.onnx").touch()
    given = [str(weights) if each == "MODEL" else each for each in arguments]
    given[1] = str(tmp_path / given[1])
    result = CliRunner().invoke(cli, ["models", "export", *given])
    assert result.exit_code in (1, 2) and said in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there.onnx"]


def test_a_missing_package_is_named(weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CodecVSRError, match="onnx is not installed.*codecvsr\\[onnx\\]"):
        export(weights, tmp_path / "new.onnx", frames=2, height=16, width=16)
