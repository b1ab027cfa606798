"""Folders of videos: what counts as a video, names of outputs, what is skipped, and pipes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import InputError
from codecvsr.upscaling.batch import plan_outputs
from codecvsr.upscaling.folder_inputs import MIN_FRAMES, find_videos, is_folder_of_frames, log_choice
from codecvsr.upscaling.spool import spooled
from tests.videos import make_video, noisy_frames

FAST = ["-m", "bicubic", "--preset", "ultrafast", "-q"]


def test_videos_of_every_ending_beside_posters(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = noisy_frames(tmp_path / "library", 2, 8, 8)
    assert is_folder_of_frames(folder)
    for name in ("a.MTS", "b.vob", "c.wmv", "d.3gp", "notes.txt"):
        (folder / name).touch()
    make_video(tmp_path / "x.mkv", 2, extras=False).rename(folder / "unknown.ending")
    assert [path.name for path in find_videos(folder)] == ["a.MTS", "b.vob", "c.wmv", "d.3gp", "unknown.ending"]
    assert not is_folder_of_frames(folder)
    frames = noisy_frames(tmp_path / "frames", MIN_FRAMES, 8, 8)
    (frames / "preview.mp4").touch()
    assert is_folder_of_frames(frames)
    caplog.set_level("WARNING", "codecvsr")
    log_choice(frames)
    assert "preview.mp4 beside them is not upscaled" in caplog.text
    (frames / "frame_010.png").rename(frames / "holiday_2.png")  # a gap: photographs
    assert not is_folder_of_frames(frames)
    log_choice(frames)
    assert f"its {MIN_FRAMES} pictures are not" in caplog.text


def test_two_inputs_of_one_stem_get_two_names_and_recursive_keeps_the_tree(tmp_path: Path) -> None:
    for name in ("ep.avi", "ep.mkv", "season/ep.mp4"):
        (tmp_path / "v" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "v" / name).touch()
    jobs = plan_outputs([tmp_path / "v"], tmp_path / "o", recursive=True)
    names = {
        str(source.relative_to(tmp_path / "v")): str(target.relative_to(tmp_path / "o")) for source, target in jobs
    }
    assert names == {"ep.avi": "ep_avi.mkv", "ep.mkv": "ep.mkv", "season/ep.mp4": "season/ep.mp4"}


def test_what_exists_is_skipped_for_folders(tmp_path: Path) -> None:
    (tmp_path / "v").mkdir()
    make_video(tmp_path / "v" / "a.mp4", 2, extras=False)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "b.mp4").write_bytes(b"made before")
    make_video(tmp_path / "v" / "b.mp4", 2, extras=False)
    command = ["upscale", str(tmp_path / "v"), "-o", str(tmp_path / "o"), *FAST]
    plan = CliRunner().invoke(cli, [*command, "--dry-run"])
    assert "a.mp4: 48x32, 2 frames" in plan.output and "b.mp4: skipped, as its output exists" in plan.output
    plan = json.loads(CliRunner().invoke(cli, [*command, "--dry-run", "--json"]).stdout)
    assert len(plan["plans"]) == 1 and plan["skipped"] == [str(tmp_path / "v" / "b.mp4")]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0, result.output
    assert "1 of 2 inputs upscaled, 1 skipped as their outputs exist" in result.output
    assert (tmp_path / "o" / "b.mp4").read_bytes() == b"made before"
    assert CliRunner().invoke(cli, [*command, "--no-skip-existing"]).exit_code == 1


def test_a_named_pipe_is_copied_and_bounded(tmp_path: Path) -> None:
    pipe = tmp_path / "p"
    os.mkfifo(pipe)
    for limit, fits in ((3, True), (2, False)):
        threading.Thread(target=pipe.write_bytes, args=(b"123",), daemon=True).start()
        if fits:
            with spooled(pipe, tmp_path / "o.mkv", limit) as copy:
                assert copy.read_bytes() == b"123"
        else:
            with pytest.raises(InputError, match="raise --max-spool"), spooled(pipe, tmp_path / "o.mkv", limit):
                pass
        assert sorted(path.name for path in tmp_path.iterdir()) == ["p"]


def test_a_pipe_has_no_dry_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    result = CliRunner().invoke(
        cli, ["upscale", str(tmp_path / "p"), "-o", str(tmp_path / "o.mkv"), "--dry-run", *FAST]
    )
    assert result.exit_code == 1
    assert "read only once" in result.output
