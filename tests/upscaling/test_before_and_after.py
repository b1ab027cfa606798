"""Before and after: both sides labelled, pixel for pixel, right side up, where the difference is largest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

import codecvsr
from codecvsr.errors import InputError
from codecvsr.files import read_image, write_png
from codecvsr.upscaling import comparison
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample
from codecvsr.video.upright import upright
from tests.streams import moving_texture
from tests.upscaling.short_videos import FAST, FRAMES
from tests.videos import QUARTER_TURN, pictures

BAND = 28  # pixels: the labels above both sides
Picture = npt.NDArray[np.uint8]


def sides(picture: Picture, width: int, height: int) -> tuple[Picture, Picture]:
    """The two crops of a comparison, from the left edge of either half."""
    assert picture.shape[0] == BAND + height and picture.shape[1] % 2 == 0
    half = (picture.shape[1] - 2) // 2
    assert (picture[:, half : half + 2] > 240).all()
    return picture[BAND:, :width], picture[BAND:, half + 2 : half + 2 + width]


def has_text(picture: Picture) -> bool:
    """Whether there is bright text in the band of labels of both halves."""
    half = (picture.shape[1] - 2) // 2
    return all((part[:BAND].max(axis=2) > 200).sum() > 40 for part in (picture[:, :half], picture[:, half + 2 :]))


def test_a_picture_of_a_rotated_clip(videos: dict[str, Path], small: Path, tmp_path: Path) -> None:
    codecvsr.upscale(videos["mkv"], tmp_path / "o.mkv", model=small, compare=tmp_path / "c.png", codec="ffv1", **FAST)
    compared = read_image(tmp_path / "c.png")
    before, after = sides(compared, 4 * 32, 4 * 48)  # upright: the stored frames are 4 * 48 wide
    assert has_text(compared)
    made = [upright(frame, QUARTER_TURN) for frame in pictures(tmp_path / "o.mkv")[0]]
    (index,) = [i for i, frame in enumerate(made) if np.abs(frame.astype(int) - after).max() <= 2]
    originals = [frame.rgb for frame in Media.open(videos["mkv"]).frames()]
    bicubic = [upright(resample(frame, 4 * 32, 4 * 48), QUARTER_TURN) for frame in originals]
    assert np.abs(bicubic[index].astype(int) - before).max() <= 1
    errors = [np.square(a.astype(float) - b).mean() for a, b in zip(made, bicubic, strict=True)]
    assert errors[index] > 0.9 * max(errors)


def test_a_video(videos: dict[str, Path], tmp_path: Path) -> None:
    common = {"model": "bicubic", "start": 0.1, **FAST}
    codecvsr.upscale(videos["mkv"], tmp_path / "frames", compare=tmp_path / "c.mp4", **common)
    shown = pictures(tmp_path / "c.mp4")[0]
    assert len(shown) == len(list((tmp_path / "frames").iterdir())) < FRAMES
    assert shown[0].shape[0] == BAND + 4 * 48 and has_text(shown[0])
    with pytest.raises(InputError, match="a comparison ends in .png"):
        codecvsr.upscale(videos["mkv"], tmp_path / "p.mkv", compare=tmp_path / "c.jpg", **common)


def test_the_place_and_the_frame_are_those_of_the_largest_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_SIDE", (40, 24))
    for index, picture in enumerate(moving_texture(5, 16, 32, 1, 0)):
        write_png(tmp_path / "in" / f"{index}.png", picture)
    real = comparison.read_image

    def marked(path: Path) -> Picture:
        """The output, with a square in its frame 3 that the network did not make."""
        picture = real(path).copy()
        if path.parent.name == "out" and int(path.stem) == 3:
            picture[30:44, 90:104] = 255 - picture[30:44, 90:104]
        return picture

    monkeypatch.setattr(comparison, "read_image", marked)
    options = {"model": "bicubic", "chunk": 5, "overlap": 0}
    codecvsr.upscale(tmp_path / "in", tmp_path / "out", compare=tmp_path / "c.png", **options)
    before, after = sides(read_image(tmp_path / "c.png"), 40, 24)
    output = real(tmp_path / "out" / "3.png")
    assert np.abs(before.astype(int) - after).max() > 60
    places = np.lib.stride_tricks.sliding_window_view(output, before.shape)[:, :, 0]
    ys, xs = np.nonzero((np.abs(places.astype(int) - before) <= 1).all(axis=(2, 3, 4)))
    assert len(ys) == 1 and ys[0] <= 30 and ys[0] + 24 >= 44 and xs[0] <= 90 and xs[0] + 40 >= 104
    codecvsr.upscale(tmp_path / "in", tmp_path / "out", compare=tmp_path / "c.mp4", overwrite=True, **options)
    shown = pictures(tmp_path / "c.mp4")[0]
    gaps = [np.abs(np.subtract(*(side.astype(int) for side in sides(frame, 40, 24)))).max() for frame in shown]
    assert len(shown) == 5 and int(np.argmax(gaps)) == 3  # the same place in every frame


def test_labels() -> None:
    assert comparison.labels_of("codecvsr") == ("before (bicubic)", "after (codecvsr)")
    assert comparison.labels_of("runs/mine.safetensors") == ("before (bicubic)", "after (mine)")


def test_a_preview_is_labelled_and_right_side_up() -> None:
    small, large = np.full((40, 60, 3), 60, np.uint8), np.full((160, 240, 3), 200, np.uint8)
    shown = comparison.split_view(small, large, ("before", "after"), QUARTER_TURN)
    assert shown.shape == (240, 160, 3)
    assert (shown[100:, :79] == 60).all() and (shown[100:, 81:] == 200).all() and (shown[:, 79:81] == 255).all()
    assert (shown[:BAND, :70] > 150).any() and (shown[:BAND, 81:150] < 100).any()
