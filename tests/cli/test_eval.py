"""``codecvsr eval`` and its script, as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.files import write_png
from codecvsr.metrics.report import evaluate
from tests.streams import moving_texture

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    frames = moving_texture(4, 32, 40, 2, 1)
    rng = np.random.default_rng(1)
    sr, gt = tmp_path / "sr", tmp_path / "gt"
    sr.mkdir(), gt.mkdir()
    for t, frame in enumerate(frames):
        write_png(gt / f"{t:08d}.png", frame)
        noisy = np.clip(frame.astype(int) + rng.integers(-8, 9, frame.shape), 0, 255).astype(np.uint8)
        write_png(sr / f"{t:08d}.png", noisy)
    return sr, gt


def run(sr: Path, gt: Path, *more: str, **env: str):
    return CliRunner().invoke(cli, ["eval", "--sr-dir", str(sr), "--gt-dir", str(gt), *more], env=env)


def test_json_is_the_contract(folders):
    result = run(*folders, "--json", "--crop-border", "3")
    assert result.exit_code == 0, result.stderr
    out = json.loads(result.stdout)
    assert list(out) == ["frames", "psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y", "protocol"]
    expected = evaluate(*folders, crop_border=3)
    assert out["frames"] == 4
    assert all(out[key] == getattr(expected, key) for key in ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"))
    assert out["protocol"]["crop_border"] == 3 and out["protocol"]["identical_frames"] == 0
    assert "11x11" in out["protocol"]["ssim"] and "BT.601" in out["protocol"]["y"]
    assert set(out["protocol"]["versions"]) == {"numpy", "opencv"}


def test_table_on_stdout_progress_on_stderr(folders):
    result = run(*folders)
    expected = evaluate(*folders)
    assert f"{expected.psnr_rgb:.4f}" in result.stdout and f"{expected.ssim_y:.6f}" in result.stdout
    assert "scoring: 4/4" in result.stderr and "scoring" not in result.stdout
    assert run(*folders, "-q").stderr == ""


def test_environment(folders):
    result = run(*folders, CODECVSR_EVAL_CROP_BORDER="5", CODECVSR_EVAL_JSON="1", CODECVSR_EVAL_MIN_PSNR="99")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["protocol"]["crop_border"] == 5


def test_a_missed_gate_exits_4_after_the_result(folders):
    reached = evaluate(*folders).psnr_rgb
    missed = run(*folders, "--json", "--min-psnr", str(reached + 0.01))
    assert missed.exit_code == 4 and json.loads(missed.stdout)["psnr_rgb"] == reached
    assert f"error: RGB PSNR is {reached:.4f} dB; --min-psnr asks for" in missed.stderr
    assert run(*folders, "--min-psnr", str(reached - 0.01)).exit_code == 0


def test_identical_frames_are_inf_and_said_so(folders):
    _, gt = folders
    result = run(gt, gt, "--json", "--min-psnr", "50")
    assert result.exit_code == 0
    out = json.loads(result.stdout)
    assert (out["psnr_rgb"], out["psnr_y"], out["ssim_rgb"]) == ("inf", "inf", 1.0)
    assert out["protocol"]["identical_frames"] == 4
    assert "4 of 4 frames equal their originals" in result.stderr


def test_matching_by_order_is_said(folders):
    sr, gt = folders
    for t in reversed(range(4)):
        (gt / f"{t:08d}.png").rename(gt / f"{t + 1:08d}.png")
    result = run(sr, gt, "--json")
    assert "paired by their order" in result.stderr
    assert json.loads(result.stdout)["protocol"]["matched_by"] == "order"


def test_missing_frames_fail_by_name_and_print_nothing(folders, tmp_path):
    sr, gt = folders
    (sr / "00000002.png").unlink()
    result = run(sr, gt, "--json", "--per-frame", str(tmp_path / "scores.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "00000002.png" in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "scores.csv").exists()


def test_per_frame_does_not_overwrite_unless_asked(folders, tmp_path):
    target = tmp_path / "scores.csv"
    target.write_text("precious")
    refused = run(*folders, "--per-frame", str(target))
    assert refused.exit_code == 1 and "scores.csv: exists already" in refused.stderr
    assert target.read_text() == "precious"
    assert run(*folders, "--per-frame", str(target), "-y").exit_code == 0
    assert target.read_text().count("\n") == 5


def test_a_plot_without_matplotlib_fails_before_the_work(folders, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = run(*folders, "--plot", str(tmp_path / "scores.png"))
    assert result.exit_code == 1 and "codecvsr[plots]" in result.stderr and "scoring" not in result.stderr


def test_script_with_the_older_spelling(folders):
    sr, gt = folders
    script = [
        sys.executable,
        str(ROOT / "scripts" / "eval_psnr.py"),
        "--sr_dir",
        str(sr),
        "--gt_dir",
        str(gt),
        "--json",
    ]
    done = subprocess.run(script, cwd=sr, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["psnr_rgb"] == evaluate(sr, gt).psnr_rgb


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("create_benchmark.py", ["--hr-root", "--out-root", "--crf", "--mv-extractor"]),
        ("infer_mv_vsr.py", ["--model", "--clip-root", "--out-dir", "--ablate-mvs", "--ablate-second-order"]),
        ("eval_psnr.py", ["--sr-dir", "--gt-dir"]),
    ],
)
def test_scripts_lead_to_commands_with_their_options(script, options, tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert all(f"{option} " in done.stdout or f"{option}\n" in done.stdout for option in options), done.stdout
