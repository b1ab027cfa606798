"""What a network is fed with, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import DamagedInputError, InputError, UnsupportedInputError
from codecvsr.files import write_png
from codecvsr.inference.clip_folder import write_motion
from codecvsr.inference.source import load_source, luma_of, with_dis, with_flows, without_motion
from codecvsr.motion import MotionOptions, estimate_motion, motion_fields
from tests.streams import encode, moving_texture, sound_track

FRAMES, HEIGHT, WIDTH = 5, 48, 64


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clip folder as ``benchmark`` makes it, motion (2, 1) a frame."""
    folder = tmp_path_factory.mktemp("source") / "clip"
    encode_h264(moving_texture(FRAMES, HEIGHT, WIDTH, 2, 1), folder_of(folder) / "clip.mp4", EncodeSettings(18))
    frames = list(read_video(folder / "clip.mp4"))
    for frame in frames:
        write_png(folder / "lr" / f"{frame.index:08d}.png", frame.rgb)
    write_motion(folder / "codec.npz", estimate_motion(frames))
    return folder


def folder_of(path):
    path.mkdir(parents=True)
    return path


@pytest.fixture()
def clip(made, tmp_path):
    """A copy to spoil."""
    return shutil.copytree(made, tmp_path / "clip")


def test_a_clip_folder_and_its_video_are_the_same_source(made):
    folder, video = load_source(made), load_source(made / "clip.mp4")
    assert folder.names == video.names == tuple(f"{i:08d}.png" for i in range(FRAMES))
    np.testing.assert_array_equal(folder.frames, video.frames)
    assert folder.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(folder.motion.to_prev, video.motion.to_prev, atol=0.01)  # stored as float16
    assert folder.dense is None
    assert abs(folder.motion.to_prev[2, 0, 3:-3, 4:-4] + 2).mean() < 0.2
    part = folder.cut(1, 3)
    assert part.names == folder.names[1:3] and len(part.frames) == len(part.motion) == 2


def test_names_are_those_of_lr(clip):
    for path in sorted((clip / "lr").iterdir(), reverse=True):
        path.rename(path.with_name(f"im{int(path.stem) + 7:03d}.png"))
    assert load_source(clip).names == tuple(f"im{i:03d}.png" for i in range(7, 12))


def test_without_codec_npz_the_stream_is_read_again(clip, made):
    (clip / "codec.npz").unlink()
    np.testing.assert_array_equal(load_source(clip).motion.to_next, motion_fields(made / "clip.mp4").to_next)


def test_options_read_the_stream_again(clip):
    raw = load_source(clip, MotionOptions(resolve=False, refine=False)).motion
    np.testing.assert_array_equal(raw.to_prev[1:], np.nan_to_num(raw.past[1:]))
    (clip / "clip.mp4").unlink()
    assert len(load_source(clip).motion) == FRAMES  # what is stored is enough for the whole repair
    with pytest.raises(InputError, match=r"has no clip\.mp4 to read motion from again"):
        load_source(clip, MotionOptions(refine=False))


def test_a_folder_of_frames_alone(clip):
    (clip / "codec.npz").unlink()
    (clip / "clip.mp4").unlink()
    with pytest.raises(InputError, match=r"has no clip\.mp4 .* and no codec\.npz.*--motion dis"):
        load_source(clip)
    source = load_source(clip, needs_vectors=False)
    assert not source.motion.to_prev.any() and not source.motion.types.any() and np.isnan(source.motion.past).all()
    assert source.frames.shape == (FRAMES, HEIGHT, WIDTH, 3)


def test_bad_folders_name_what_is_wrong(clip, tmp_path):
    with pytest.raises(InputError, match="is not a clip folder"):
        load_source(tmp_path)
    write_png(clip / "lr" / "00000002.png", np.zeros((HEIGHT, 32, 3), np.uint8))
    with pytest.raises(InputError, match=r"00000002\.png: is 32x48, but 00000000\.png is 64x48"):
        load_source(clip)
    (clip / "lr" / "00000002.png").unlink()
    with pytest.raises(InputError, match=r"frame 00000002\.png is missing"):
        load_source(clip)


def test_another_number_of_frames_than_the_stream(clip):
    (clip / "lr" / "00000004.png").unlink()
    with pytest.raises(InputError, match=r"codec\.npz: holds motion of shape"):
        load_source(clip)
    with pytest.raises(InputError, match=r"4 frames in lr/, but 5 in .*clip\.mp4"):
        load_source(clip, MotionOptions(refine=False))
    (clip / "codec.npz").write_bytes(b"text")
    with pytest.raises(InputError, match=r"is not a readable codec\.npz"):
        load_source(clip)


def test_other_codecs_only_without_vectors(tmp_path):
    path = encode(
        tmp_path / "a.mp4",
        moving_texture(4, HEIGHT, WIDTH, 2, 1),
        codec="libx265",
        options={"x265-params": "log-level=none", "crf": "12"},
    )
    with pytest.raises(UnsupportedInputError, match="the video is hevc"):
        load_source(path)
    source = load_source(path, needs_vectors=False)
    assert source.frames.shape == (4, HEIGHT, WIDTH, 3) and not source.motion.types.any()
    moved = with_dis(source)
    assert abs(moved.motion.to_prev[1:, 0, 3:-3, 4:-4] + 2).mean() < 0.3
    path.write_bytes(sound_track(tmp_path / "sound.mp4").read_bytes())
    with pytest.raises(InputError, match="has no video stream"):
        load_source(path, needs_vectors=False)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_damaged_videos_only_if_asked(tmp_path, codec):
    options = {"x265-params": "log-level=none:bframes=0"} if codec == "libx265" else {"bf": "0"}
    whole = encode(tmp_path / "whole.mkv", moving_texture(12, HEIGHT, WIDTH, 2, 1), codec=codec, options=options)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.9)])
    with pytest.raises(DamagedInputError, match="sound frames"):
        load_source(cut, needs_vectors=False)
    source = load_source(cut, needs_vectors=False, allow_damaged=True)
    assert 0 < len(source.names) == len(source.frames) == len(source.motion) < 12


def test_other_motion_on_the_same_frames(made):
    source = load_source(made)
    none = without_motion(source)
    assert not none.motion.to_prev.any() and none.motion.error[1:, 0].mean() > source.motion.error[1:, 0].mean()
    flow = np.zeros((FRAMES, 2, HEIGHT, WIDTH), np.float32)
    flow[:, 0] = -2
    flow[:, 1] = -1
    given = with_flows(source, flow, -flow)
    np.testing.assert_allclose(given.motion.to_prev[2], np.broadcast_to([[[-2]], [[-1]]], (2, 12, 16)))
    assert given.dense[0] is flow and given.frames is source.frames
    assert given.motion.error[2, 0, 3:-3, 4:-4].mean() < none.motion.error[2, 0, 3:-3, 4:-4].mean()
    assert luma_of(np.full((2, 3, 3), 100, np.uint8)).tolist() == [[100] * 3] * 2
