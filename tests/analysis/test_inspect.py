"""``codecvsr inspect``: what it says of streams whose structure is known, and what it draws."""

from __future__ import annotations

import json

import numpy as np
import pytest

from codecvsr.analysis import inspect as inspection_room
from codecvsr.analysis.inspect import inspect_video
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InputError
from codecvsr.files import read_image
from codecvsr.motion import motion_fields
from tests.analysis.commands import run
from tests.streams import encode, moving_texture, remux

KEYS = [
    "video", "width", "height", "frames", "fps", "duration_seconds", "encoder", "gop", "types", "reference_share",
    "partitions", "vector_pixels", "reference_distance", "qp", "scene_cuts", "confidence", "residual",
]  # fmt: skip


def test_json_is_one_object_of_the_known_structure(pyramid):
    result = run(pyramid, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert list(report) == KEYS
    assert (report["width"], report["height"], report["frames"]) == (112, 80, 20)
    assert report["fps"] == 24 and report["duration_seconds"] == pytest.approx(20 / 24, abs=1e-3)
    assert report["encoder"].startswith("x264 core ") and "keyint=8 " in report["encoder"]
    structure = report["gop"]["structure"]
    assert structure == "".join(frame.type for frame in read_video(pyramid))
    assert structure.startswith("IBBBPBBP" + "IBBBP")
    assert report["gop"]["idr"] == report["gop"]["intra"] == [0, 8, 16]
    assert report["gop"]["mean_length"] == pytest.approx(20 / 3)
    assert report["types"] == {kind: structure.count(kind) for kind in "IPB"}
    assert report["reference_share"]["I"] == report["reference_share"]["P"] == 1
    assert report["gop"]["b_references"] == round(report["reference_share"]["B"] * report["types"]["B"]) >= 2
    assert 0 < report["reference_share"]["B"] < 1
    assert report["scene_cuts"] == []


def test_shares_and_vectors_of_known_motion(pyramid):
    found = inspect_video(pyramid)
    assert found.partitions["I"] == {"16x16": 0, "16x8": 0, "8x16": 0, "8x8": 0, "none": 1}
    for kind in "PB":
        assert sum(found.partitions[kind].values()) == pytest.approx(1)
        assert found.partitions[kind]["none"] < 0.5
    for name in ("past", "future"):
        away = found.reference_distance[name]
        assert sum(away.values()) == pytest.approx(1) and away["unknown"] == 0
        assert found.vector_pixels[name]["p50"] <= found.vector_pixels[name]["p99"] <= found.vector_pixels[name]["max"]
    # the bottom of the pyramid is one frame from its references, the middle two, a P-frame four (or three at the end)
    assert found.reference_distance["past"]["1"] > 0.3
    assert all(found.reference_distance["past"][away] > 0.05 for away in ("2", "4"))
    assert found.reference_distance["future"]["1"] > 0.4 and found.reference_distance["future"]["4"] == 0
    assert found.confidence["to_prev"] > 0.7 and found.confidence["to_next"] > 0.7
    motion = motion_fields(pyramid)
    assert found.residual["to_prev"] == pytest.approx(motion.error[1:, 0].mean(), rel=1e-3)
    assert 0 < found.residual["to_next"] < 6


def test_low_delay_points_one_frame_back_by_the_known_motion(low_delay):
    found = inspect_video(low_delay)
    assert found.gop["structure"] == "IPPPPPPPP" and found.gop["mean_length"] == 9
    assert found.types == {"I": 1, "P": 8, "B": 0} and "B" not in found.partitions
    assert found.reference_distance["past"]["1"] > 0.99 and sum(found.reference_distance["future"].values()) == 0
    assert found.vector_pixels["past"]["p50"] == pytest.approx(2, abs=0.13)
    assert np.isnan(found.vector_pixels["future"]["max"])
    assert found.fps == 30 and found.duration_seconds == pytest.approx(0.3, abs=1e-3)


def test_qps_are_those_of_the_frames(pyramid):
    found = inspect_video(pyramid)
    by_type: dict[str, list[np.ndarray]] = {}
    for frame in read_video(pyramid):
        by_type.setdefault(frame.type, []).append(frame.qp)
    for kind, maps in by_type.items():
        values = np.stack(maps)
        assert found.qp[kind] == pytest.approx({"mean": values.mean(), "min": values.min(), "max": values.max()})
    assert found.qp["all"]["max"] == max(found.qp[kind]["max"] for kind in by_type)


def test_scene_cuts_are_found(tmp_path):
    frames = moving_texture(10, 96, 128, 2, 1, seed=1)
    frames[5:] = moving_texture(10, 96, 128, -1, 2, seed=50)[5:]
    path = encode(tmp_path / "cut.mp4", frames, options={"crf": "18"})
    assert inspect_video(path).scene_cuts == [5]


def test_a_long_video_is_read_in_chunks_with_the_same_result(pyramid, monkeypatch):
    whole = inspect_video(pyramid, alignment=True)
    monkeypatch.setattr(inspection_room, "_CHUNK_FRAMES", (11, 11))
    monkeypatch.setattr(inspection_room, "_CHUNK_PIXELS", 0)
    chunks = inspect_video(pyramid, alignment=True)
    equal = ("gop", "types", "partitions", "vector_pixels", "qp", "strip", "frames", "scene_cuts")
    assert all(getattr(whole, name) == getattr(chunks, name) for name in equal)
    for name in ("past", "future"):  # a reference beyond the chunk cannot be resolved: few of them
        for away, share in whole.reference_distance[name].items():
            assert chunks.reference_distance[name][away] == pytest.approx(share, abs=0.12)
    assert chunks.confidence == pytest.approx(whole.confidence, abs=0.02)
    a, b = (found.alignment["one_frame"]["dis"]["to_prev"]["all"] for found in (whole, chunks))
    assert a == pytest.approx(b, abs=0.5)


def test_tables_for_people(pyramid):
    result = run(pyramid)
    assert result.exit_code == 0, result.stderr
    for words in ("112x80", "x264 core", "IBBBPBBP", "3, one in 6.7 frames", "16x16", "4 away", "none", "residual"):
        assert words in result.stdout
    assert "Alignment" not in result.stdout


def test_alignment_ranks_the_motions(pyramid):
    report = inspect_video(pyramid, alignment=True).alignment
    assert list(report["one_frame"]) == ["zero", "raw", "scaled", "repaired", "refined", "dis"]
    assert report["judged_on"] == "decoded frames" and report["track_frames"] == 15 and report["tracks"] == 1
    for direction in ("to_prev", "to_next"):
        everywhere = {method: of[direction]["all"] for method, of in report["one_frame"].items()}
        assert everywhere["repaired"] > max(everywhere[m] for m in ("zero", "raw", "scaled")) + 1
        assert everywhere["refined"] >= everywhere["repaired"] - 0.3  # of 57 dB: whole pixels leave nothing to refine
        assert everywhere["zero"] < everywhere["scaled"]
        assert report["one_frame"]["refined"][direction]["worst"] <= everywhere["refined"]
        for kind in "PB":  # raw vectors of P-frames point several frames back
            assert report["one_frame"]["refined"][direction][kind] > report["one_frame"]["raw"][direction][kind] + 1


def test_alignment_of_a_short_clip_and_on_the_command_line(low_delay):
    result = run(low_delay, "--alignment")
    assert result.exit_code == 0, result.stderr
    assert "one frame and 8 frames composed" in result.stdout
    for method in ("zero", "raw", "scaled", "repaired", "refined", "dis"):
        assert f"\n  {method} " in result.stdout
    report = json.loads(run(low_delay, "--alignment", "--json").stdout)
    assert list(report) == [*KEYS, "alignment"]
    assert report["alignment"]["one_frame"]["zero"]["to_prev"]["B"] is None  # there are none
    one, track = report["alignment"]["one_frame"], report["alignment"]["track"]
    assert min(one, key=lambda method: one[method]["to_prev"]["all"]) == "zero"
    assert track["refined"]["mean"] > track["zero"]["mean"] + 3


def test_alignment_refuses_what_it_cannot_measure(tmp_path):
    one = encode(tmp_path / "one.mp4", moving_texture(1, 64, 64, 0, 0))
    with pytest.raises(InputError, match="at least 2 frames, this video has 1"):
        inspect_video(one, alignment=True)
    small = encode(tmp_path / "small.mp4", moving_texture(3, 24, 48, 1, 0))
    with pytest.raises(InputError, match="48x24 are too small"):
        inspect_video(small, alignment=True)
    assert inspect_video(one).frames == 1 and inspect_video(small).frames == 3


def test_an_existing_output_is_refused_before_any_work(low_delay, tmp_path):
    target = tmp_path / "there.png"
    target.write_bytes(b"mine")
    result = run(low_delay, "--overlay", target)
    assert result.exit_code == 1 and "exists already" in result.stderr and result.stdout == ""
    assert target.read_bytes() == b"mine"
    assert run(low_delay, "--overlay", target, "-y").exit_code == 0
    assert read_image(target).ndim == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--overlay", "x.gif"], "ends neither in .png"),
        (["--frame", "2"], "--frame N chooses the frame of --overlay PNG"),
        (["--frame", "2", "--overlay", "x.mp4"], "--frame N chooses the frame of --overlay PNG"),
        (["--frame", "-1", "--overlay", "x.png"], "-1"),
    ],
)
def test_wrong_use(low_delay, options, words):
    result = run(low_delay, *options)
    assert result.exit_code == 2 and words in result.stderr


def test_unusable_videos(tmp_path):
    other = encode(tmp_path / "other.mkv", moving_texture(3, 64, 64, 1, 0), codec="ffv1")
    target = tmp_path / "out.mp4"
    for path, words in ((other, "H.264"), (tmp_path / "none.mp4", "no such file")):
        result = run(path, "--overlay", target, "--json")
        assert result.exit_code == 1 and words in result.stderr and result.stdout == ""
    assert not target.exists()


def test_a_damaged_video_counts_its_sound_frames(pyramid, tmp_path):
    front = remux(pyramid, tmp_path / "front.mp4", options={"movflags": "+faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(front.read_bytes()[: int(front.stat().st_size * 0.7)])
    assert run(cut).exit_code == 1
    target = tmp_path / "overlay.mp4"
    result = run(cut, "--allow-damaged", "--json", "--overlay", target)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert 0 < report["frames"] < 20 and report["overlay"]["frames"] == report["frames"]
    assert "warning" in result.stderr
