"""Preparing a training set: what is in a chunk, how clips and photographs become chunks, and going on after a stop."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from codecvsr.datasets.reds import excluded_clips, reds_folder
from codecvsr.errors import InputError
from codecvsr.files import write_png
from codecvsr.motion.ops.reference import warp
from codecvsr.train.camera import KINDS, Movement, choose_movement, render_shot
from codecvsr.train.prepare import SETTINGS, prepare
from codecvsr.train.prepare_plan import Plan, Preparation, Skipped, plan_clips, plan_shots
from codecvsr.train.prepared_set import find_chunks, read_chunk, write_chunk
from tests.streams import encode, moving_texture, texture

SMALL = Preparation(frames=8, shortest=4, shot_frames=5, shot_size=(96, 64), crf=(15, 20), clean=0.3, ldp=0.5, seed=18)
PAN = Movement("slow", 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, (0, 0, 0, 0), 0.0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``clips/`` with a video of 19 frames that moves (8, -4) pixels a frame, and ``photos/`` with one photograph."""
    root = tmp_path_factory.mktemp("sources")
    (root / "clips").mkdir()
    encode(root / "clips" / "one.mp4", moving_texture(19, 136, 176, 8, -4), options={"crf": "8"})
    (root / "photos").mkdir()
    write_png(root / "photos" / "wall.png", texture(240, 320))
    return root


@pytest.fixture(scope="module")
def made(sources: Path) -> Path:
    plan = plan_clips(sources / "clips", SMALL)
    plan.extend(plan_shots(sources / "photos", 1, SMALL))
    result = prepare(sources / "set", plan, SMALL)
    assert result.new_chunks == 3 and result.skipped == ()
    return sources / "set"


def test_pieces_hold_what_training_needs(made: Path) -> None:
    names = [path.name for path in find_chunks(made)]
    assert names == [
        "clips-one-000000.safetensors",
        "clips-one-000008.safetensors",
        "photos-wall-000-000000.safetensors",
    ]
    chunk = read_chunk(made / names[1])
    assert chunk.hr.shape == (8, 128, 176, 3) and chunk.lr.shape == (2, 8, 32, 44, 3)
    assert isinstance(chunk.hr, np.memmap) and chunk.source == "one.mp4"
    shrunk = chunk.hr.reshape(8, 32, 4, 44, 4, 3).mean((2, 4))
    assert np.abs((shrunk - chunk.lr).mean(-1)).mean() < 4  # grey: colour has a lower resolution
    inside = (slice(4, -4), slice(4, -4))
    for version in range(2):
        luma = chunk.lr[version].mean(-1).astype(np.float32)
        for channels, there in ((slice(0, 2), 3), (slice(2, 4), 5)):
            flow = np.repeat(np.repeat(chunk.fields[version, 4, channels].astype(np.float32), 4, 1), 4, 2)
            error = np.abs(warp(np.ascontiguousarray(luma[there]), flow) - luma[4])[inside].mean()
            assert error < 0.5 * np.abs(luma[there] - luma[4])[inside].mean()
    versions = [v for name in names for v in read_chunk(made / name).versions]
    rates = [v["crf"] for v in versions if v["crf"] is not None]
    assert len(set(rates)) == len(rates) > 1 and all(15 <= rate <= 20 for rate in rates)
    assert {v["gop"] for v in versions} == {"default", "ldp"} and None in [v["crf"] for v in versions]
    assert all(24 <= v["fps"] <= 60 for v in versions)


def test_an_interrupted_set_continues_with_the_same_chunks(made: Path, sources: Path) -> None:
    chunks = find_chunks(made)
    before = {path: path.read_bytes() for path in chunks}
    chunks[1].unlink()
    plan, seen = plan_clips(sources / "clips", SMALL), []

    def progress(items, description, total):
        seen.append((description, total))
        return items

    result = prepare(made, plan, SMALL, processes=2, progress=progress)
    assert result.new_chunks == 1 and result.skipped == () and seen == [("Preparing", 1)]
    assert {path: path.read_bytes() for path in chunks} == before
    with pytest.raises(InputError, match="prepared with seed = 18"):
        prepare(made, plan, dataclasses.replace(SMALL, seed=5))
    with pytest.raises(InputError, match="both called clips-one"):
        prepare(made, Plan(plan.jobs * 2), SMALL)
    assert sorted(path.name for path in made.iterdir() if path not in before) == [SETTINGS]


def test_size_is_limited_and_a_bad_job_does_not_stop_the_others(sources: Path, tmp_path: Path) -> None:
    jobs = plan_shots(sources / "photos", 2, SMALL).jobs
    one = jobs[0].size_in_bytes(SMALL)
    (skipped,) = prepare(tmp_path / "set", Plan(jobs), SMALL, limit_bytes=one).skipped
    assert skipped.source == "photos-wall-001" and "(1 of 2)" in skipped.reason
    (chunk,) = find_chunks(tmp_path / "set")
    assert one <= chunk.stat().st_size < one + 4096
    small = dataclasses.replace(jobs[0], name="huge", size=(480, 640))
    (skipped,) = prepare(tmp_path / "set", Plan([small, jobs[1]]), SMALL).skipped
    assert skipped.source == "huge" and "a photograph of 320x240 is too small" in skipped.reason
    assert len(find_chunks(tmp_path / "set")) == 2


def test_unusable_sources_are_skipped_with_a_reason(sources: Path, tmp_path: Path) -> None:
    """A clip of 3 frames, a video that is none, a picture that cannot be decoded, a small one: the others are planned."""
    short, bad = tmp_path / "clips" / "short", tmp_path / "clips" / "bad.mp4"
    for index in range(3):
        short.mkdir(parents=True, exist_ok=True)
        write_png(short / f"{index:08d}.png", texture(64, 96, index))
    bad.write_bytes(b"not a video")
    plan = plan_clips(tmp_path / "clips", SMALL)
    assert plan.jobs == [] and [Path(s.source) for s in plan.skipped] == [bad, short]
    assert "3 frames; at least 4 were expected" in plan.skipped[1].reason
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").write_bytes(b"not a picture")
    write_png(photos / "b.png", texture(48, 64))
    write_png(photos / "c.png", texture(240, 320))
    plan = plan_shots(photos, 2, SMALL)
    assert [job.name for job in plan.jobs] == ["photos-c-000", "photos-c-001"]
    assert {path.name for job in plan.jobs for path in job.sources} == {"c.png"}
    assert plan.skipped[0] == Skipped(str(photos / "a.jpg"), "not a readable PNG or JPEG picture.")
    assert "64x48 pixels; at least" in plan.skipped[1].reason


def test_command(sources: Path, tmp_path: Path) -> None:
    """Exit code 0, 3 where a source was skipped, 1 where nothing is left; one JSON object on stdout."""
    photos = tmp_path / "photos"
    photos.mkdir()
    write_png(photos / "wall.png", texture(240, 320))
    options = ["--shots", "1", "--shot-frames", "5", "--shot-size", "96", "64", "--versions", "1", "--processes", "1"]

    def run(*arguments: object):
        return CliRunner().invoke(cli, ["prepare", *map(str, arguments)])

    done = run(tmp_path / "set", "--photos", photos, *options, "--json")
    assert done.exit_code == 0, done.output
    values = json.loads(done.stdout)
    assert values["chunks"] == values["new_chunks"] == 1 and values["skipped"] == [] and values["bytes"] > 10_000
    (photos / "bad.png").write_bytes(b"nothing")
    done = run(tmp_path / "set", "--photos", photos, *options, "--json")
    assert done.exit_code == 3 and "bad.png: not a readable PNG or JPEG picture." in done.stderr
    values = json.loads(done.stdout)
    assert values["new_chunks"] == 0 and [Path(s["source"]).name for s in values["skipped"]] == ["bad.png"]
    (photos / "wall.png").unlink()
    done = run(tmp_path / "other", "--photos", photos, *options)
    assert done.exit_code == 1 and "bad.png" in done.stderr and not (tmp_path / "other").exists()
    done = run(tmp_path / "other")
    assert done.exit_code == 2 and "--clips" in done.stderr
    done = run(tmp_path / "other", "--clips", sources / "clips", "--crf", "40", "20")
    assert done.exit_code == 1 and "CRF range 40 to 20" in done.stderr


def test_reds_is_split_as_published(tmp_path: Path) -> None:
    """Of ``train_sharp`` all clips but REDS4; of ``val_sharp`` all; either may lie in the folder its archive names."""
    for folder, clip in (("train/train_sharp", "000"), ("train/train_sharp", "001"), ("train/train_sharp", "011"),
                         ("val_sharp", "000")):  # fmt: skip
        for index in range(4):
            path = tmp_path / folder / clip / f"{index:08d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, texture(36, 52, index))
    train, val = (
        plan_clips(reds_folder(tmp_path, split), SMALL, excluded_clips(split)).jobs for split in ("train", "val")
    )
    assert [(job.name, job.frames, job.size) for job in train] == [("train_sharp-001", 4, (32, 48))]
    assert [job.name for job in val] == ["val_sharp-000"]
    assert prepare(tmp_path / "set", Plan(train + val), SMALL).skipped == ()
    assert len(find_chunks(tmp_path / "set")) == 2
    with pytest.raises(InputError, match="has no train_sharp"):
        reds_folder(tmp_path / "set", "train")


def test_not_a_piece(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    whole = find_chunks(made)[0].read_bytes()
    for content in (
        b"",
        b"not a chunk of anything",
        whole[:2000],
        whole.replace(b"codecvsr-training-1", b"codecvsr-training-9"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.safetensors"):
            read_chunk(path)
    with pytest.raises(InputError, match="no prepared training set"):
        find_chunks(made / "nowhere")
    chunk = read_chunk(find_chunks(made)[0])
    with pytest.raises(ValueError, match="is_cut"):
        write_chunk(path, dataclasses.replace(chunk, is_cut=chunk.is_cut[:, :-1]))


def shift(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    window = cv2.createHanningWindow(a.shape[1::-1], cv2.CV_32F)
    return np.array(cv2.phaseCorrelate(a.mean(-1).astype(np.float32), b.mean(-1).astype(np.float32), window)[0])


def test_a_slow_pan_moves_by_a_tenth_of_a_small_pixel() -> None:
    photo = cv2.GaussianBlur(texture(400, 500), (0, 0), 1)
    rng = np.random.default_rng(6)  # one of those that hang nothing in front
    shot = list(render_shot([photo], 11, 96, 128, PAN, rng))
    assert all(abs(np.linalg.norm(shift(shot[0], shot[t])) - 0.4 * t) < 0.25 for t in (2, 5, 10))


def test_shutter_layers_zoom_and_static_shots() -> None:
    photo = texture(400, 500)
    static, fast = dataclasses.replace(PAN, speed=0.0), dataclasses.replace(PAN, speed=20.0)
    for seed in range(4):  # with and without layers
        first, *others = render_shot([photo], 3, 64, 96, static, np.random.default_rng(seed))
        assert all(np.array_equal(first, frame) for frame in others)
        sharp, blurred = (
            next(render_shot([photo], 1, 64, 96, dataclasses.replace(fast, shutter=s), np.random.default_rng(seed)))
            for s in (0.0, 0.8)
        )
        assert (
            np.abs(np.diff(blurred.astype(float), axis=1)).mean()
            < 0.8 * np.abs(np.diff(sharp.astype(float), axis=1)).mean()
        )
    zooming = dataclasses.replace(static, zoom=0.05)
    near, far = (
        frame
        for t, frame in enumerate(render_shot([photo], 6, 64, 96, zooming, np.random.default_rng(2)))
        if t in (0, 5)
    )
    assert np.abs(near.astype(float) - far).mean() > 5


def test_movements_are_of_every_kind() -> None:
    rng = np.random.default_rng(0)
    movements = [choose_movement(rng, 640) for _ in range(400)]
    assert {m.kind for m in movements} == set(KINDS)
    for m in movements:
        _, slowest, fastest = KINDS[m.kind]
        assert m.speed == 0 if m.kind == "static" and not m.speed else slowest <= m.speed / 4 <= fastest
    assert 0.02 < np.mean([m.speed == 0 for m in movements]) < 0.15
