"""The plan of ``upscale``: shown before the work, alone with ``--dry-run``, and the cap of the height."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.upscaling.options import UpscaleOptions, output_size
from tests.videos import make_video


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_video(tmp_path_factory.mktemp("video") / "clip.mp4", 5, extras=False)


def upscale(*arguments: object):
    return CliRunner().invoke(cli, ["upscale", "-m", "bicubic", *map(str, arguments)])


def test_a_dry_run_prints_the_plan_and_makes_nothing(source):
    done = upscale(source, "--dry-run", "--scale", "2")
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first == f"{source}: 48x32, 5 frames -> {source.with_name('clip_2x.mp4')}, 96x64"
    assert re.fullmatch(r"model bicubic, motion none: every frame by itself; about \d+ s, about \d+ kB", second)
    assert [path.name for path in source.parent.iterdir()] == ["clip.mp4"]


def test_a_dry_run_as_json(source, tmp_path):
    asked = upscale(source, "-o", tmp_path / "o.mkv", "--dry-run", "--json", "-m", "codecvsr-fast", "--height", "96")
    plan = json.loads(asked.stdout)
    assert {**plan, "seconds": None, "bytes": None, "gain_db": None} == {
        "input": str(source), "width": 144, "height": 96, "frames": 5, "model": "codecvsr-fast", "motion": "codec",
        "seconds": None, "bytes": None, "gain_db": None,
    }  # fmt: skip
    assert 0 < plan["seconds"] < 60 and 0 < plan["bytes"] < 100_000 and 0 <= plan["gain_db"] < 4
    both = json.loads(upscale(source, source, "-o", tmp_path, "--format", "png", "--dry-run", "--json").stdout or "{}")
    assert both == {}  # two inputs of one name
    other = make_video(tmp_path / "b.mp4", 2, extras=False)
    assert len(json.loads(upscale(source, other, "-o", tmp_path, "--dry-run", "--json").stdout)["plans"]) == 2


def test_the_plan_is_shown_before_the_work(source, tmp_path):
    done = upscale(source, "-o", tmp_path / "o.mp4")
    assert done.exit_code == 0, done.output
    first, second = [line for line in done.stderr.splitlines() if "->" in line or "model" in line]
    assert f"48x32, 5 frames -> {tmp_path / 'o.mp4'}, 192x128" in first
    assert second == "model bicubic, motion none: every frame by itself; no estimate for so few frames (5)"
    assert "estimate" not in upscale(source, "-o", tmp_path / "q.mp4", "--json").stderr


def test_a_smaller_output_is_suggested_above_4k(tmp_path):
    large = make_video(tmp_path / "large.mp4", 1, 544, 1024, extras=False)
    assert "4096x2176 is more than 3840x2160: --scale 2 or --height 2160" in upscale(large, "--dry-run").stdout
    for words in (["--scale", "2"], ["--height", "2170"], ["--max-height", "2160"]):
        assert "is more than" not in upscale(large, "--dry-run", *words).stdout


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"max_height": 1080}, (1080, 1920)),
        ({"max_height": 1080, "scale": 1}, (720, 1280)),
        ({"max_height": 1080, "width": 3840}, (1080, 1920)),
        ({"max_height": 1080, "width": 4000, "height": 2000}, (1080, 2160)),
        ({"max_height": 1081}, (1080, 1920)),
    ],
)
def test_the_height_is_capped(options, size):
    assert output_size(720, 1280, UpscaleOptions(**options), (2, 2)) == size
