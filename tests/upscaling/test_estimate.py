"""Estimates before the work: what a trial extrapolates to, against what the work then takes."""

from __future__ import annotations

import json
from pathlib import Path

import fit_gain
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InputError
from codecvsr.upscaling.api import upscale
from codecvsr.upscaling.coded_sizes import Sizes, coded_sizes
from codecvsr.upscaling.engine import InterpolationEngine, make_dry_engine, make_engine
from codecvsr.upscaling.estimate import Estimate, duration, estimate, size
from codecvsr.upscaling.gain import FORMULAS, StreamFacts, expected_gain, facts_of
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.upscaling.packet_sizes import read_packet_sizes
from codecvsr.upscaling.trial import places, run_trial
from codecvsr.upscaling.work import choose_form
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from tests.videos import make_video

FRAMES, HEIGHT, WIDTH = 200, 48, 64


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture that moves, slowly and then, after a cut, fast over fine noise."""
    rng = np.random.default_rng(0)
    coarse = np.kron(rng.integers(0, 255, (40, 80, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    fine = rng.integers(0, 255, (160, 512, 3)).astype(np.uint8)
    pictures = [coarse[9 : 9 + HEIGHT, i // 2 : i // 2 + WIDTH] for i in range(FRAMES // 2)]
    pictures += [fine[9 : 9 + HEIGHT, 2 * i : 2 * i + WIDTH] for i in range(FRAMES // 2)]
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    encode_h264(pictures, path, EncodeSettings(28))
    return path


def parts(path: Path, model: str = "bicubic", **options: object):
    engine = make_engine(UpscaleOptions(model=model, **options))
    media = Media.open(path)
    found = scan(media)
    return engine, media, found, choose_form(engine.options, media, found, is_video=True)


@pytest.mark.parametrize("options", [{}, {"scale": 2}, {"codec": "hevc", "preset": "ultrafast"}, {"codec": "ffv1"}])
def test_bytes_are_near_those_of_the_output(video, tmp_path, options):
    expected = estimate(*parts(video, **options))
    output = tmp_path / "o.mkv"
    upscale(video, output, model="bicubic", **options)
    assert expected.bytes is not None
    assert 0.6 < expected.bytes / output.stat().st_size < 1.5


def test_seconds_grow_with_the_frames_and_exclude_the_start(video):
    engine, media, found, form = parts(video, chunk=20)
    from codecvsr.upscaling.estimate import _seconds
    from codecvsr.upscaling.work import plan_work

    trial = run_trial(engine, media, found, form, lambda trial: True)
    work = plan_work(engine, found)
    all_, half = (_seconds(engine, found, work, chunks, trial, 1)[0] for chunks in (work.chunks, work.chunks[::2]))
    assert 1.7 < all_ / half < 2.3
    assert _seconds(engine, found, work, work.chunks, trial, 2)[0] < 0.7 * all_
    assert trial.network.frames == pytest.approx(6 * len(trial.places)) and len(trial.places) == 3


@pytest.mark.skipif(native_libraries.net_library() is None, reason="the native network library is not built")
def test_work_that_static_blocks_save_is_estimated(tmp_path):
    rng = np.random.default_rng(0)
    pictures = np.repeat(np.kron(rng.integers(0, 255, (1, 12, 24, 3)), np.ones((1, 8, 8, 1))), 60, axis=0).astype(
        np.uint8
    )
    pictures[:, 32:48, 80:96] += np.arange(60, dtype=np.uint8)[:, None, None, None]
    path = tmp_path / "clip.mp4"
    encode_h264(pictures, path, EncodeSettings(28))
    frames = list(read_video(path))[:32]
    options = {"model": "codecvsr-fast", "precision": "fp32"}
    share = parts(path, **options, skip_static="blocks")[0].work_share(frames)
    report = upscale(path, tmp_path / "o.mkv", **options, skip_static="blocks", preset="ultrafast")
    assert report.work_share is not None and report.work_share < 0.9
    assert share == pytest.approx(report.work_share, abs=0.15)
    assert parts(path, **options, skip_static="off")[0].work_share(frames) == 1
    trials = [
        run_trial(*parts(path, **options, skip_static=choice), lambda trial: False) for choice in ("blocks", "off")
    ]
    assert trials[1].network.frames == pytest.approx(6)
    assert trials[0].network.frames == pytest.approx(6 / share, rel=0.3)


@pytest.mark.parametrize("model", ["bicubic", "lanczos"])
def test_an_interpolation_is_estimated_without_its_network(video, model):
    _, media, found, form = parts(video)
    dry = make_dry_engine(UpscaleOptions(model=model))
    network = make_engine(UpscaleOptions(model=model))
    assert isinstance(dry, InterpolationEngine) and (dry.radius, dry.is_sliding) == (network.radius, network.is_sliding)
    frames = list(read_video(video))[:3]
    shown, computed = (each.pictures(each.source(frames, media, video.parent)) for each in (dry, network))
    for ours, theirs in zip(shown, computed, strict=True):
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    trials = [run_trial(each, media, found, form, lambda trial: True) for each in (dry, network)]  # all places
    assert trials[0].places == trials[1].places
    for ours, theirs in zip(*(trial.sizes for trial in trials), strict=True):
        assert (ours.key, ours.other) == pytest.approx((theirs.key, theirs.other), rel=0.02)


@pytest.mark.parametrize("options", [{"motion": "codec"}, {"device": "cuda:63"}])
def test_what_an_interpolation_cannot_do_is_refused_in_a_dry_run_too(options):
    with pytest.raises(InputError):
        make_dry_engine(UpscaleOptions(model="bicubic", **options))


def test_places_are_spread_and_begin_where_decoding_can(video):
    _, _, found, _ = parts(video)
    first, *others = places(found)
    assert FRAMES * 0.3 < first < FRAMES * 0.6 and min(others) < FRAMES / 4 and max(others) > FRAMES / 2


def test_the_weight_of_the_places_is_that_of_their_packets(video):
    _, media, found, _ = parts(video)
    packets = read_packet_sizes(media, found)
    assert packets.frames.sum() <= video.stat().st_size and packets.frames.all()
    assert packets.weight([(10, 30)], found.keys) > 1.3
    assert packets.weight([(150, 30)], found.keys) < 0.8
    assert packets.weight([(0, FRAMES)], found.keys) == 1


def test_sound_counts_where_the_video_is_made(tmp_path):
    path = make_video(tmp_path / "clip.mp4", 64)
    media = Media.open(path)
    whole, part = scan(media), scan(media, end=1)
    streams = {index: size for index, size in read_packet_sizes(media, whole).streams.items() if index != 1}
    sound = max(streams, key=lambda index: streams[index])
    of_part = read_packet_sizes(media, part, is_cut=True).streams[sound]
    seconds = [float((found.end_pts - int(found.pts[0])) * media.time_base) for found in (whole, part)]
    assert of_part / streams[sound] == pytest.approx(seconds[1] / seconds[0], abs=0.1) and seconds[1] < seconds[0] / 2


def test_sizes_of_png_files_and_of_videos(video, tmp_path):
    engine, media, found, form = parts(video)
    pictures = [frame.rgb for frame in read_video(video)][:8]
    assert coded_sizes(pictures, form).key > coded_sizes(pictures, form).other > 0
    files = choose_form(engine.options, media, found, is_video=False)
    sizes = coded_sizes(pictures, files)
    assert sizes.key == sizes.other > 1000
    assert Sizes(10, 4).scaled(Sizes(6, 9), Sizes(3, 3)) == Sizes(20, 12)


def test_an_input_that_cannot_be_tried_has_no_estimate(video, tmp_path):
    engine, media, found, form = parts(video)
    gone = tmp_path / "gone.mp4"
    gone.write_bytes(video.read_bytes())
    media = Media.open(gone)
    gone.unlink()
    expected = estimate(engine, media, found, form)
    assert expected.seconds is expected.bytes is None and "gone.mp4" in expected.note


def test_words():
    assert Estimate(720, 180_000_000).words() == "about 12 min, about 180 MB"
    assert Estimate(40, 5_400_000, 1.04, 0.25).words() == (
        "about 40 s, about 5.4 MB, gain over bicubic about 1.0 dB (+-0.2)"
    )
    assert Estimate(note="no estimate").words() == "no estimate" and Estimate().words() == ""
    assert [duration(s) for s in (0.2, 99, 100, 5990, 9000)] == ["1 s", "99 s", "2 min", "100 min", "2.5 h"]
    assert [size(n) for n in (900, 1.5e6, 2.5e10)] == ["1 kB", "1.5 MB", "25 GB"]


def test_the_formula_of_the_gain_is_the_fit_of_the_committed_figures():
    rows = json.loads((fit_gain.RESULTS / "gain.json").read_text(encoding="utf-8"))["rows"]
    cells = json.loads((fit_gain.RESULTS / "compare_fast.json").read_text(encoding="utf-8"))["cells"]
    psnr = {(cell["row"], cell["clip"], cell["crf"]): cell["psnr_rgb"] for cell in cells}
    assert set(FORMULAS) == set(fit_gain.MODELS)
    for model, formula in FORMULAS.items():
        assert fit_gain.fit(rows, model) == formula
        for row in rows:
            key = row["clip"], row["crf"]
            assert row["gain_db"][model] == pytest.approx(psnr[model, *key] - psnr["bicubic", *key])
            predicted = expected_gain(model, StreamFacts(row["qp"], row["vectors"]))
            assert abs(predicted - row["gain_db"][model]) < 3 * formula.error


def test_the_gain_falls_with_qp_and_is_unknown_without(video):
    frames = list(read_video(video))
    facts = facts_of(frames)
    assert facts is not None and 15 < facts.qp < 45 and facts.vectors > 0.1
    assert expected_gain("codecvsr", StreamFacts(20, 2)) > expected_gain("codecvsr", StreamFacts(35, 2)) >= 0
    assert expected_gain("bicubic", None) == 0.0
    assert expected_gain("basicvsr-reds4", facts) is None and expected_gain("codecvsr", None) is None
    assert facts_of([frames[0]]) is None
