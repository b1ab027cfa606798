"""``upscale`` of single pictures and animations."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import codecvsr
from codecvsr.cli import cli
from codecvsr.errors import InputError, OutputError
from codecvsr.files import read_image
from codecvsr.upscaling.checkpoint_dir import checkpoint_path
from codecvsr.video.image_files import open_image, read_picture
from codecvsr.video.image_metadata import DEEP
from tests.images import animation, blocks, photograph, transparent
from tests.videos import make_video, pictures

FAST = ["-m", "bicubic", "--preset", "ultrafast", "-q"]


def _run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["upscale", *map(str, arguments), *FAST])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
def test_a_picture_becomes_a_picture_beside_it(tmp_path: Path, suffix: str) -> None:
    path = photograph(tmp_path / f"photo.{suffix}") if suffix != "bmp" else tmp_path / "photo.bmp"
    if suffix == "bmp":
        Image.fromarray(blocks().swapaxes(0, 1)).save(path)
    output = _run(path)
    assert "warning" not in output
    before, after = (read_picture(open_image(tmp_path / name)).rgb for name in (path.name, f"photo_4x.{suffix}"))
    assert after.shape == (128, 96, 3)
    assert np.abs(after[2::4, 2::4].astype(int) - before).mean() < 12
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"photo.{suffix}", f"photo_4x.{suffix}"]


def test_transparency_goes_into_png_and_is_named_for_others(tmp_path: Path) -> None:
    path = transparent(tmp_path / "logo.png")
    assert "warning" not in _run(path, "-o", tmp_path / "large.png")
    made = read_picture(open_image(tmp_path / "large.png"))
    assert made.alpha[:, :50].max() == 0
    assert np.abs(made.rgb[:, 64:].astype(int) - (200, 100, 50)).max() <= 1  # no dark fringe
    assert "transparency" in _run(path, "-o", tmp_path / "large.jpg")
    with pytest.raises(OutputError, match="transparency"):
        codecvsr.upscale(path, tmp_path / "strict.jpg", model="bicubic", strict=True)
    assert "transparency" in _run(path, "-o", tmp_path / "video.mkv")
    assert pictures(tmp_path / "video.mkv")[0][0, :, :48].min() > 250  # on white


def test_a_picture_into_a_folder_is_the_same_from_python(tmp_path: Path) -> None:
    path = transparent(tmp_path / "logo.png")
    report = codecvsr.upscale(path, tmp_path / "python", model="bicubic", strict=True)
    _run(path, "-o", tmp_path / "shell")
    assert report.output == str(tmp_path / "python" / "logo.png") and report.losses == []
    one, two = (read_picture(open_image(tmp_path / name / "logo.png")) for name in ("python", "shell"))
    assert one.alpha is not None and np.array_equal(one.alpha, two.alpha) and np.array_equal(one.rgb, two.rgb)


def test_the_plan_of_a_picture_speaks_of_one_frame_and_no_motion(tmp_path: Path) -> None:
    path = photograph(tmp_path / "photo.png")
    done = CliRunner().invoke(cli, ["upscale", str(path), "--dry-run", "-m", "codecvsr:random"])
    assert "1 frame ->" in done.output and "motion none, as it is one picture" in done.output
    assert "1 frames" not in done.output


def test_several_pictures_go_into_a_folder(tmp_path: Path) -> None:
    one, two = photograph(tmp_path / "a.jpg"), animation(tmp_path / "b.gif")
    _run(one, two, "-o", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.jpg", "b.mkv"]
    _run(one, "-o", tmp_path / "out", "--format", "png")
    assert (tmp_path / "out" / "a.png").exists()


def test_pictures_beside_videos_stay_posters(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    make_video(tmp_path / "v" / "film.mp4", 2, extras=False)
    photograph(tmp_path / "v" / "poster.jpg")
    animation(tmp_path / "v" / "preview.webp")
    _run(tmp_path / "v", "-o", tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["film.mp4"]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_become_videos_with_their_times(tmp_path: Path, suffix: str) -> None:
    path = animation(tmp_path / f"a.{suffix}", (40, 100, 250))
    output = _run(path, "--crf", "1")
    assert "warning" not in output
    made, times, _ = pictures(tmp_path / "a_4x.mp4")
    assert [round(float(time), 4) for time in times] == [0, 0.04, 0.14]
    with av.open(str(tmp_path / "a_4x.mp4")) as container:
        assert container.duration == pytest.approx(390_000, abs=1000)  # microseconds
    for seed, picture in enumerate(made):
        inside = picture[16::32, 16::32].astype(int) - blocks(seed)[4::8, 4::8]
        assert np.abs(inside).mean() < 10


def test_an_endless_animation_is_named(tmp_path: Path) -> None:
    assert "repetition of the animation" in _run(animation(tmp_path / "a.webp", loop=0))


def test_animations_become_png_frames(tmp_path: Path) -> None:
    _run(animation(tmp_path / "a.webp"), "-o", tmp_path / "frames" / "%03d.png")
    assert [p.name for p in sorted((tmp_path / "frames").iterdir())] == ["000.png", "001.png", "002.png"]
    _run(animation(tmp_path / "a.gif"), "-o", tmp_path / "part", "--start", "0.04", "--end", "0.1")
    assert len(list((tmp_path / "part").iterdir())) == 1


def test_a_video_is_not_one_picture(tmp_path: Path) -> None:
    for source in (make_video(tmp_path / "v.mp4", 2, extras=False), animation(tmp_path / "a.gif")):
        for name in ("one.png", "one.jpg"):
            with pytest.raises(InputError, match=r"frames/%08d.png"):
                codecvsr.upscale(source, tmp_path / name, model="bicubic")
    assert not checkpoint_path(tmp_path / "one.png").exists()


def test_frames_with_more_than_8_bits_are_named(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    for index in range(2):
        cv2.imwrite(str(tmp_path / "f" / f"{index}.png"), blocks().astype(np.uint16) * 257)
    report = codecvsr.upscale(tmp_path / "f", tmp_path / "o", model="bicubic")
    assert any(DEEP in loss for loss in report.losses)


def test_compare_and_a_plan_of_a_picture(tmp_path: Path) -> None:
    path = photograph(tmp_path / "photo.jpg")
    assert "-> " + str(tmp_path / "photo_4x.jpg") in _run(path, "--dry-run")
    _run(path, "--compare", tmp_path / "c.png", "--preview", tmp_path / "p.png")
    assert read_image(tmp_path / "p.png").shape == (128, 96, 3)
    height, width = read_image(tmp_path / "c.png").shape[:2]
    assert height == 128 + 28 and width > 2 * 96


def test_two_patterns_in_one_folder_are_two_outputs(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    assert checkpoint_path(folder, "a_%03d.png") != checkpoint_path(folder, "b_%03d.png")
    assert checkpoint_path(folder, "") == checkpoint_path(folder, "%08d.png") == checkpoint_path(folder)
