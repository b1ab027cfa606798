"""The main job from end to end, as users of the seed project type it: a REDS-like folder, three CRFs, both GOP structures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr import native_libraries
from codecvsr.cli import cli
from codecvsr.files import write_png
from tests.streams import moving_texture

SCRIPTS = Path(__file__).parents[1] / "scripts"
FRAMES = 6


@pytest.fixture(scope="module")
def reds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``REDS4_GT/clip_000/00000000.png`` and so on, 256 x 192; the content moves (8, -4) pixels a frame."""
    root = tmp_path_factory.mktemp("main") / "REDS4_GT"
    for index, frame in enumerate(moving_texture(FRAMES, 96, 128, 4, -2)):
        frame = cv2.resize(frame, (256, 192), interpolation=cv2.INTER_CUBIC)
        write_png(root / "clip_000" / f"{index:08d}.png", frame)
    return root


def script(name: str, *arguments: object) -> str:
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_seed_scripts(reds: Path, tmp_path: Path) -> None:
    script("create_benchmark.py", "--hr_root", reds, "--out_root", tmp_path, "--crf", "25")
    clip = tmp_path / "REDS4_CRF25" / "clip_000"
    assert [p.name for p in sorted((clip / "lr").iterdir())] == [f"{i:08d}.png" for i in range(FRAMES)]
    out = tmp_path / "sr"
    script(
        "infer_mv_vsr.py", "--model", "codecvsr", "--clip_root", clip, "--out_dir", out, "--ablate_mvs",
        "--ablate_second_order",
    )  # fmt: skip
    assert len(list(out.iterdir())) == FRAMES
    scores = json.loads(script("eval_psnr.py", "--sr_dir", out, "--gt_dir", reds / "clip_000", "--json"))
    assert scores["frames"] == FRAMES
    assert scores["psnr_rgb"] > 25  # a shifted or mis-coloured picture is far below


@pytest.mark.parametrize("gop", ["default", "ldp"])
def test_three_crfs(reds: Path, tmp_path: Path, gop: str) -> None:
    run("benchmark", "--hr_root", reds, "--out_root", tmp_path, "--crf", "15,25,35", "--gop", gop)
    quality = []
    for crf in (15, 25, 35):
        clip, out = tmp_path / f"REDS4_CRF{crf}" / "clip_000", tmp_path / f"sr{crf}"
        tolerance = 0.1 if crf < 35 else 0.4
        with np.load(clip / "codec.npz", allow_pickle=False) as codec:
            assert codec["to_prev"].dtype == np.float16
            assert codec["to_prev"].shape == codec["to_next"].shape == (FRAMES, 2, 12, 16)
            assert (3 in codec["types"]) == (gop == "default")
            assert np.median(codec["to_prev"][1:, 0]) == pytest.approx(-2, abs=tolerance)
            assert np.median(codec["to_next"][:-1, 1]) == pytest.approx(-1, abs=tolerance)
        run("infer", "--model", "codecvsr", "--clip_root", clip, "--out_dir", out)
        quality.append(json.loads(run("eval", "--sr_dir", out, "--gt_dir", reds / "clip_000", "--json"))["psnr_rgb"])
    assert quality == sorted(quality, reverse=True)


@pytest.mark.skipif(native_libraries.reader_library() is None, reason="the native reader is not built")
def test_both_extractors_make_the_same_clip(reds: Path, tmp_path: Path) -> None:
    for extractor in ("native", "pyav"):
        run(
            "benchmark", "--hr-root", reds, "--out-root", tmp_path / extractor, "--crf", 25, "--mv-extractor", extractor
        )
    one, other = (tmp_path / extractor / "REDS4_CRF25" / "clip_000" for extractor in ("native", "pyav"))
    with np.load(one / "codec.npz") as a, np.load(other / "codec.npz") as b:
        assert set(a) == set(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    for frame in sorted((one / "lr").iterdir()):
        assert frame.read_bytes() == (other / "lr" / frame.name).read_bytes()
