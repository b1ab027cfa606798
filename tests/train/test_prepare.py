"""Preparing a training set: what is in a piece, how clips and photographs become pieces, and going on after a stop."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from codecvsr.datasets.reds import excluded_clips, reds_folder
from codecvsr.errors import InputError
from codecvsr.files import write_png
from codecvsr.motion.ops.reference import warp
from codecvsr.train.camera import KINDS, Movement, choose_movement, render_shot
from codecvsr.train.prepare import SETTINGS, prepare
from codecvsr.train.prepare_plan import Preparation, clip_jobs, shot_jobs
from codecvsr.train.prepared_set import find_pieces, read_piece, write_piece
from tests.streams import encode, moving_texture, texture

SMALL = Preparation(frames=8, shortest=4, shot_frames=5, shot_size=(96, 64), crf=(15, 20), clean=0.3, ldp=0.5, seed=18)
PAN = Movement("slow", 0.4, 0.0, 0.0, 0.0, 0.0, 0.0, (0, 0, 0, 0), 0.0)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``clips/`` with a film of 19 frames that moves (8, -4) pixels a frame, and ``photos/`` with one photograph."""
    root = tmp_path_factory.mktemp("sources")
    (root / "clips").mkdir()
    encode(root / "clips" / "one.mp4", moving_texture(19, 136, 176, 8, -4), options={"crf": "8"})
    (root / "photos").mkdir()
    write_png(root / "photos" / "wall.png", texture(240, 320))
    return root


@pytest.fixture(scope="module")
def made(sources: Path) -> Path:
    jobs = [*clip_jobs(sources / "clips", SMALL), *shot_jobs(sources / "photos", 1, SMALL)]
    assert prepare(sources / "set", jobs, SMALL) == []
    return sources / "set"


def test_pieces_hold_what_training_needs(made: Path) -> None:
    names = [path.name for path in find_pieces(made)]
    assert names == [
        "clips-one-000000.safetensors",
        "clips-one-000008.safetensors",
        "photos-wall-000-000000.safetensors",
    ]
    piece = read_piece(made / names[1])
    assert piece.hr.shape == (8, 128, 176, 3) and piece.lr.shape == (2, 8, 32, 44, 3)
    assert isinstance(piece.hr, np.memmap) and piece.source == "one.mp4"
    shrunk = piece.hr.reshape(8, 32, 4, 44, 4, 3).mean((2, 4))
    assert np.abs((shrunk - piece.lr).mean(-1)).mean() < 4  # grey: colour is coded at half the resolution
    inside = (slice(4, -4), slice(4, -4))
    for version in range(2):
        luma = piece.lr[version].mean(-1).astype(np.float32)
        for channels, there in ((slice(0, 2), 3), (slice(2, 4), 5)):
            flow = np.repeat(np.repeat(piece.fields[version, 4, channels].astype(np.float32), 4, 1), 4, 2)
            error = np.abs(warp(np.ascontiguousarray(luma[there]), flow) - luma[4])[inside].mean()
            assert error < 0.5 * np.abs(luma[there] - luma[4])[inside].mean()
    versions = [v for name in names for v in read_piece(made / name).versions]
    rates = [v["crf"] for v in versions if v["crf"] is not None]
    assert len(set(rates)) == len(rates) > 1 and all(15 <= rate <= 20 for rate in rates)
    assert {v["gop"] for v in versions} == {"default", "ldp"} and None in [v["crf"] for v in versions]
    assert all(24 <= v["fps"] <= 60 for v in versions)


def test_it_goes_on_where_it_was_stopped_and_makes_the_same(made: Path, sources: Path) -> None:
    pieces = find_pieces(made)
    before = {path: path.read_bytes() for path in pieces}
    pieces[1].unlink()
    told: list[str] = []
    jobs = list(clip_jobs(sources / "clips", SMALL))
    assert prepare(made, jobs, SMALL, processes=2, note=told.append) == []
    assert told == ["1/1 clips-one: 1 new pieces"]
    assert {path: path.read_bytes() for path in pieces} == before
    with pytest.raises(InputError, match="prepared with seed = 18"):
        prepare(made, jobs, dataclasses.replace(SMALL, seed=5))
    with pytest.raises(InputError, match="both called clips-one"):
        prepare(made, jobs * 2, SMALL)
    assert sorted(path.name for path in made.iterdir() if path not in before) == [SETTINGS]


def test_room_is_bounded_and_a_bad_clip_stops_nobody(sources: Path, tmp_path: Path) -> None:
    jobs = [*shot_jobs(sources / "photos", 2, SMALL)]
    one = jobs[0].size_in_bytes(SMALL)
    problems = prepare(tmp_path / "set", jobs, SMALL, limit_bytes=one)
    assert problems == ["photos-wall-001 and what follows (1 of 2): no room is left."]
    (piece,) = find_pieces(tmp_path / "set")
    assert one <= piece.stat().st_size < one + 4096
    small = dataclasses.replace(jobs[0], name="huge", size=(480, 640))
    problems = prepare(tmp_path / "set", [small, jobs[1]], SMALL)
    assert len(problems) == 1 and "huge: a photograph of 320x240 is too small" in problems[0]
    assert len(find_pieces(tmp_path / "set")) == 2


def test_reds_is_split_as_published(tmp_path: Path) -> None:
    """Of ``train_sharp`` all clips but REDS4; of ``val_sharp`` all; either may lie in the folder its archive names."""
    for folder, clip in (("train/train_sharp", "000"), ("train/train_sharp", "001"), ("train/train_sharp", "011"),
                         ("val_sharp", "000")):  # fmt: skip
        for index in range(4):
            path = tmp_path / folder / clip / f"{index:08d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, texture(36, 52, index))
    train, val = (
        [*clip_jobs(reds_folder(tmp_path, split), SMALL, excluded_clips(split))] for split in ("train", "val")
    )
    assert [(job.name, job.frames, job.size) for job in train] == [("train_sharp-001", 4, (32, 48))]
    assert [job.name for job in val] == ["val_sharp-000"]
    assert prepare(tmp_path / "set", train + val, SMALL) == []
    assert len(find_pieces(tmp_path / "set")) == 2
    with pytest.raises(InputError, match="holds no train_sharp"):
        reds_folder(tmp_path / "set", "train")


def test_not_a_piece(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    whole = find_pieces(made)[0].read_bytes()
    for content in (
        b"",
        b"not a piece of anything",
        whole[:2000],
        whole.replace(b"codecvsr-training-1", b"codecvsr-training-9"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"x\.safetensors"):
            read_piece(path)
    with pytest.raises(InputError, match="no prepared training set"):
        find_pieces(made / "nowhere")
    piece = read_piece(find_pieces(made)[0])
    with pytest.raises(ValueError, match="is_cut"):
        write_piece(path, dataclasses.replace(piece, is_cut=piece.is_cut[:, :-1]))


def shift(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    window = cv2.createHanningWindow(a.shape[1::-1], cv2.CV_32F)
    return np.array(cv2.phaseCorrelate(a.mean(-1).astype(np.float32), b.mean(-1).astype(np.float32), window)[0])


def test_a_slow_pan_moves_by_a_tenth_of_a_small_pixel() -> None:
    photo = cv2.GaussianBlur(texture(400, 500), (0, 0), 1)
    rng = np.random.default_rng(6)  # one of those that hang nothing in front
    shot = list(render_shot([photo], 11, 96, 128, PAN, rng))
    assert all(abs(np.linalg.norm(shift(shot[0], shot[t])) - 0.4 * t) < 0.25 for t in (2, 5, 10))


def test_shutter_layers_zoom_and_stillness() -> None:
    photo = texture(400, 500)
    still, fast = dataclasses.replace(PAN, speed=0.0), dataclasses.replace(PAN, speed=20.0)
    for seed in range(4):  # with and without layers
        first, *others = render_shot([photo], 3, 64, 96, still, np.random.default_rng(seed))
        assert all(np.array_equal(first, frame) for frame in others)
        sharp, blurred = (
            next(render_shot([photo], 1, 64, 96, dataclasses.replace(fast, shutter=s), np.random.default_rng(seed)))
            for s in (0.0, 0.8)
        )
        assert (
            np.abs(np.diff(blurred.astype(float), axis=1)).mean()
            < 0.8 * np.abs(np.diff(sharp.astype(float), axis=1)).mean()
        )
    zooming = dataclasses.replace(still, zoom=0.05)
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
        assert m.speed == 0 if m.kind == "still" and not m.speed else slowest <= m.speed / 4 <= fastest
    assert 0.02 < np.mean([m.speed == 0 for m in movements]) < 0.15
