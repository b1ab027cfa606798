"""Scoring of whole clips."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from codecvsr.errors import CodecVSRError, InputError, OutputError
from codecvsr.files import write_png
from codecvsr.metrics import plot, report
from codecvsr.metrics.psnr import psnr
from codecvsr.metrics.report import EvalResult, FrameScore, evaluate, write_csv
from codecvsr.metrics.ssim import ssim
from tests.streams import encode, moving_texture

FRAMES = 7


def save(folder: Path, frames: np.ndarray, first: int = 0) -> Path:
    folder.mkdir()
    for index, frame in enumerate(frames, first):
        write_png(folder / f"{index:08d}.png", frame)
    return folder


@pytest.fixture
def clip() -> np.ndarray:
    return moving_texture(FRAMES, 48, 64, 3, 1)


def worse(frames: np.ndarray) -> np.ndarray:
    """Each frame worse than the one before it, so that a frame scored against the wrong one shows."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(-3 - 2 * t, 4 + 2 * t, frames.shape[1:]) for t in range(len(frames))]
    return np.clip(frames.astype(int) + np.stack(noise), 0, 255).astype(np.uint8)


def test_rows_and_means(tmp_path, clip):
    bad = worse(clip)
    result = evaluate(save(tmp_path / "sr", bad), save(tmp_path / "gt", clip), crop_border=2)
    assert (result.frames, result.matched_by, result.identical_frames) == (FRAMES, "name", 0)
    for t, row in enumerate(result.rows):
        a, b = bad[t], clip[t]
        assert row == FrameScore(
            f"{t:08d}",
            psnr(a, b, crop_border=2),
            ssim(a, b, crop_border=2),
            psnr(a, b, channel="y", crop_border=2),
            ssim(a, b, channel="y", crop_border=2),
        )
    assert result.psnr_rgb == pytest.approx(np.mean([row.psnr_rgb for row in result.rows]), abs=1e-9)
    # The mean of the PSNRs, not the PSNR of the mean error: they differ as frames differ.
    assert abs(result.psnr_rgb - psnr(bad.reshape(-1, 64, 3), clip.reshape(-1, 64, 3))) > 0.5
    assert result.ssim_y == pytest.approx(np.mean([row.ssim_y for row in result.rows]), abs=1e-9)
    assert result.summary()["psnr_y"] == result.psnr_y
    assert result.protocol["crop_border"] == 2


def test_folders_that_count_differently_score_the_same(tmp_path, clip):
    sr = save(tmp_path / "sr", worse(clip))
    by_name = evaluate(sr, save(tmp_path / "from0", clip))
    by_order = evaluate(sr, save(tmp_path / "from1", clip, first=1))
    assert by_order.matched_by == "order"
    assert by_order.rows == by_name.rows


def test_against_a_video(tmp_path, clip):
    video = encode(tmp_path / "gt.mp4", clip, options={"qp": "8", "bf": "2"})
    result = evaluate(save(tmp_path / "sr", clip), video)
    assert (result.frames, result.matched_by) == (FRAMES, "order")
    assert min(row.psnr_y for row in result.rows) > 40  # a frame off would be far below
    assert evaluate(tmp_path / "sr", encode(tmp_path / "x.mkv", clip[::-1], options={"qp": "8"})).psnr_y < 30


@pytest.mark.parametrize(
    ("sr_frames", "words"),
    [
        (FRAMES - 1, ["gt.mp4: has more frames than the 6", "after 00000005.png"]),
        (FRAMES + 2, ["gt.mp4: has 7 frames against 9", "00000007.png, 00000008.png have no original"]),
    ],
)
def test_a_video_of_another_length_is_refused(tmp_path, sr_frames, words):
    frames = moving_texture(sr_frames, 48, 64, 3, 1)
    video = encode(tmp_path / "gt.mp4", moving_texture(FRAMES, 48, 64, 3, 1))
    with pytest.raises(InputError) as error:
        evaluate(save(tmp_path / "sr", frames), video)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_frames_of_another_size_are_named(tmp_path, clip):
    sr = save(tmp_path / "sr", clip)
    write_png(sr / "00000003.png", clip[3][:40])
    write_png(sr / "00000005.png", clip[5][:, :60])
    with pytest.raises(
        InputError, match=r"00000003\.png \(64x40 against 64x48\), 00000005\.png \(60x48 against 64x48\);"
    ):
        evaluate(sr, save(tmp_path / "gt", clip))
    with pytest.raises(InputError, match=r"00000003\.png .* and more; "):
        evaluate(tmp_path / "gt", save(tmp_path / "small", clip[:, ::2, ::2]))


def test_unusable_inputs_are_named(tmp_path, clip):
    sr = save(tmp_path / "sr", clip)
    with pytest.raises(InputError, match="nowhere: no such folder or video"):
        evaluate(sr, tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"00000000\.png: 64x48 with a border of 20 left out is too small"):
        evaluate(sr, sr, crop_border=20)
    gt = save(tmp_path / "gt", clip)
    (gt / "00000002.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"gt.00000002\.png: not a readable"):
        evaluate(sr, gt)


def test_many_more_frames_than_workers_stay_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(report.os, "cpu_count", lambda: 3)
    frames = moving_texture(40, 16, 16, 1, 1)
    seen = []
    sr, gt = save(tmp_path / "sr", worse(frames)), save(tmp_path / "gt", frames)
    result = evaluate(sr, gt, progress=lambda items, what, total: (seen.append((what, total)), items)[1])
    assert [row.frame for row in result.rows] == [f"{t:08d}" for t in range(40)]
    assert seen == [("scoring", 40)]


def scores(*psnrs: float) -> EvalResult:
    rows = tuple(FrameScore(f"{t:08d}", value, 0.5, value + 1, 0.75) for t, value in enumerate(psnrs))
    return EvalResult(rows, 0, "name")


def test_identical_frames_make_the_mean_infinite_and_are_counted(tmp_path, clip):
    sr = clip.copy()
    sr[4] ^= 1
    result = evaluate(save(tmp_path / "sr", sr), save(tmp_path / "gt", clip))
    assert result.identical_frames == FRAMES - 1 == result.protocol["identical_frames"]
    assert result.psnr_rgb == math.inf and result.rows[4].psnr_rgb == pytest.approx(48.1308, abs=1e-4)
    assert scores(30.0, 32.0).psnr_rgb == 31.0


def test_csv(tmp_path):
    write_csv(tmp_path / "new" / "scores.csv", scores(30.123456789, math.inf))
    with (tmp_path / "new" / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["frame", "psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y"],
        ["00000000", "30.123457", "0.500000", "31.123457", "0.750000"],
        ["00000001", "inf", "0.500000", "inf", "0.750000"],
    ]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["scores.csv"]
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"scores\.csv: cannot be written"):
        write_csv(tmp_path / "file" / "scores.csv", scores(30.0))


def test_a_plot_without_matplotlib_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(CodecVSRError, match=r"pip install 'codecvsr\[plots\]'"):
        plot.write_plot(tmp_path / "scores.png", scores(30.0, 31.0))
    assert list(tmp_path.iterdir()) == []


def test_plot(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    from codecvsr.files import read_image

    plot.write_plot(tmp_path / "scores.png", scores(30.0, math.inf, 31.0))
    picture = read_image(tmp_path / "scores.png")
    assert picture.shape == (600, 1080, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
