"""``upscale`` without ``-o``: the output is beside the input and replaces nothing."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.errors import InputError
from codecvsr.models.model_names import QUALITIES
from codecvsr.upscaling.batch import plan_default_outputs
from codecvsr.upscaling.default_output import default_output
from codecvsr.upscaling.options import UpscaleOptions
from tests.streams import encode, moving_texture
from tests.videos import make_video, noisy_frames


def upscale(*arguments: object):
    return CliRunner().invoke(cli, ["upscale", "-m", "bicubic", "--preset", "ultrafast", *map(str, arguments)])


def test_the_output_is_beside_the_input_and_replaces_nothing(tmp_path):
    source = make_video(tmp_path / "clip.mp4", 3)
    done = upscale(source)
    assert done.exit_code == 0, done.output
    made = tmp_path / "clip_4x.mp4"
    before = made.read_bytes()
    again = upscale(source)
    assert again.exit_code == 1 and made.read_bytes() == before
    assert (
        "clip_4x.mp4: exists already; use -y/--overwrite to replace it, or choose another output with -o"
        in again.output
    )
    assert upscale(source, "-y", "--crf", "40").exit_code == 0 and made.read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["clip.mp4", "clip_4x.mp4"]


@pytest.mark.parametrize(
    ("options", "form", "name"),
    [
        ({}, "auto", "clip_4x.MP4"),
        ({"scale": 2}, "auto", "clip_2x.MP4"),
        ({"height": 720}, "auto", "clip_720p.MP4"),
        ({"width": 1280}, "auto", "clip_1280w.MP4"),
        ({"width": 1280, "height": 720}, "auto", "clip_1280x720.MP4"),
        ({"codec": "ffv1"}, "auto", "clip_4x.mkv"),
        ({}, "mov", "clip_4x.mov"),
        ({}, "png", "clip_4x/%08d.png"),
    ],
)
def test_the_name_states_the_size(options, form, name):
    assert default_output(Path("clip.MP4"), UpscaleOptions(**options), form) == Path(name)


@pytest.mark.parametrize(("name", "most"), [("clip.mp4", 0), ("clip.avi", 1), ("clip.mkv", 0)])
def test_an_input_is_opened_no_more_often_than_needed(tmp_path, monkeypatch, name, most):
    source = encode(tmp_path / name, moving_texture(2, 32, 48, 2, 1))
    opened = []
    real = av.open
    monkeypatch.setattr(av, "open", lambda file, *rest, **more: opened.append(file) or real(file, *rest, **more))
    default_output(source, UpscaleOptions())
    assert sum(isinstance(file, str) for file in opened) <= most


def test_other_containers_become_mp4_where_it_stores_all_streams(tmp_path):
    plain = encode(tmp_path / "a.avi", moving_texture(2, 32, 48, 2, 1))
    rich = make_video(tmp_path / "b.mkv", 2).rename(tmp_path / "b.webm")
    broken = tmp_path / "c.avi"
    broken.write_bytes(b"nothing")
    names = [default_output(path, UpscaleOptions()).name for path in (plain, rich, broken)]
    assert names == ["a_4x.mp4", "b_4x.mkv", "c_4x.mkv"]


def test_folders_have_outputs_beside_them(tmp_path, monkeypatch):
    frames = noisy_frames(tmp_path / "frames", 2, 8, 8)
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mkv"):
        (videos / name).touch()
    options = UpscaleOptions()
    assert default_output(frames, options) == tmp_path / "frames_4x.mp4"
    jobs = plan_default_outputs([videos, tmp_path / "c.mp4"], options, "auto")
    folder = tmp_path / "videos_4x"
    assert [target for _, target in jobs] == [folder / "a.mp4", folder / "b.mkv", tmp_path / "c_4x.mp4"]
    monkeypatch.chdir(frames)
    assert default_output(Path(), options) == tmp_path / "frames_4x.mp4"


def test_two_inputs_with_one_output_are_refused(tmp_path):
    with pytest.raises(InputError, match="two inputs would become .*a_4x.mkv"):
        plan_default_outputs([tmp_path / "a.mkv", tmp_path / "a.mkv"], UpscaleOptions(), "auto")


def test_quality_chooses_the_model(tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr("codecvsr.upscaling.batch.make_engine", lambda options: chosen.append(options.model) or 1 / 0)
    source = make_video(tmp_path / "clip.mp4", 3)
    for words in (*(["--quality", quality] for quality in QUALITIES), []):
        CliRunner().invoke(cli, ["upscale", str(source), *words])
    assert chosen == [*QUALITIES.values(), "codecvsr"]
    assert chosen[:2] == ["codecvsr-fast", "codecvsr"]


def test_the_last_line_has_place_size_time_and_what_is_not_carried(tmp_path):
    source = make_video(tmp_path / "clip.mkv", 3)
    done = upscale(source, "-o", tmp_path / "o.mp4")
    assert done.exit_code == 0, done.output
    last = done.stdout.splitlines()[-1]
    size = (tmp_path / "o.mp4").stat().st_size
    assert last.startswith(f"{tmp_path / 'o.mp4'}: {size / 1e3:.1f} kB, 3 frames") and " s in all" in last
    whole = upscale(source).stdout.splitlines()[-1]
    assert "not carried" not in whole
    assert "; not carried: " in last
