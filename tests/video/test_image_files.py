"""Image files: orientation, depth, transparency, printing colours, and names for what cannot be read."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from codecvsr.errors import DamagedInputError, UnsupportedInputError
from codecvsr.video.image_files import open_image, read_picture
from codecvsr.video.image_metadata import CMYK, DEEP, EXIF, ICC, found_in_image, read_metadata
from codecvsr.video.image_writer import without_holes, write_image
from codecvsr.video.probe import Media
from codecvsr.video.side_data import ALPHA
from tests.images import MODEL, SRGB, blocks, photograph, transparent


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_pictures_are_turned_as_exif_says(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = photograph(tmp_path / f"p.{suffix}", orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(path)))
    np.testing.assert_array_equal(read_picture(open_image(path)).rgb, expected)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_16_bits_are_rounded_not_cut(tmp_path: Path, suffix: str) -> None:
    samples = blocks().astype(np.uint16) * 257
    samples[0, 0] = (0x01FF, 0x0100, 0xFF00)  # to BGR 2, 1 and 254
    path = tmp_path / f"deep.{suffix}"
    cv2.imwrite(str(path), samples)
    rgb = read_picture(open_image(path)).rgb
    assert rgb[0, 0].tolist() == [254, 1, 2]
    np.testing.assert_array_equal(rgb[8:], blocks()[8:, :, ::-1])
    assert DEEP in found_in_image(open_image(path))
    Image.fromarray(samples[..., 0]).save(path)
    grey = read_picture(open_image(path))
    assert grey.is_gray and grey.rgb[0, 0].tolist() == [2, 2, 2]


def test_printing_colours_become_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 8), (0, 255, 255, 0)).save(tmp_path / "p.jpg", quality=100)
    image = open_image(tmp_path / "p.jpg")
    assert np.abs(read_picture(image).rgb.astype(int) - (255, 0, 0)).max() <= 3
    assert found_in_image(image) == {CMYK}


def test_floating_point_samples_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(UnsupportedInputError, match="floating-point"):
        read_picture(open_image(tmp_path / "f.tif"))


@pytest.mark.parametrize(
    ("name", "start", "words"),
    [
        ("p.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC picture"),
        ("p.jxl", b"\xff\x0a" + b"\0" * 30, "JPEG XL"),
        ("p.nef", b"MM\0*\0\0\0\x08", "RAW photograph"),
        ("p.cr2", b"II*\0\x10\0\0\0CR\x02\0", "RAW photograph"),
        ("p.cr3", b"\0\0\0\x18ftypcrx ", "RAW photograph"),
    ],
)
def test_pictures_without_a_decoder_are_named(tmp_path: Path, name: str, start: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(start + b"\0" * 64)
    with pytest.raises(UnsupportedInputError, match=words):
        open_image(tmp_path / name)


def test_a_dng_is_no_tiff_picture(tmp_path: Path) -> None:
    Image.fromarray(blocks()).save(tmp_path / "p.tif", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(UnsupportedInputError, match="RAW"):
        open_image(tmp_path / "p.tif")


def test_a_picture_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = photograph(tmp_path / "p.png")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedInputError, match="cut short"):
        read_picture(open_image(path))


def test_drawings_without_a_decoder_are_named(tmp_path: Path) -> None:
    (tmp_path / "d.svg").write_text(
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    )
    with pytest.raises(UnsupportedInputError, match="no decoder here"):
        Media.open(tmp_path / "d.svg")


def test_videos_are_no_pictures(tmp_path: Path) -> None:
    for name, start in (("v.mp4", b"\0\0\0\x18ftypisom\0\0\0\0isomavc1"), ("v.mjpg", b"\xff\xd8\xff"), ("v", b"BM")):
        (tmp_path / name).write_bytes(start + b"\0\1\2\3" * 16)
        assert open_image(tmp_path / name) is None


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
def test_profile_and_exif_are_carried_and_the_picture_is_upright(tmp_path: Path, suffix: str) -> None:
    source = open_image(photograph(tmp_path / "p.jpg"))
    assert found_in_image(source) == {ICC, EXIF}
    rgb = read_picture(source).rgb
    target = tmp_path / f"t.{suffix}"
    write_image(target, target, rgb, source)
    made = open_image(target)
    metadata = read_metadata(made)
    assert metadata.icc == SRGB and metadata.exif[MODEL] == "Camera"
    assert np.abs(read_picture(made).rgb.astype(int) - rgb).mean() < 7  # not turned again


@pytest.mark.parametrize(("suffix", "is_stored"), [("png", True), ("webp", True), ("tif", True), ("jpg", False)])
def test_transparency_is_carried_or_seen_on_white(tmp_path: Path, suffix: str, is_stored: bool) -> None:
    source = open_image(transparent(tmp_path / "p.png"))
    assert found_in_image(source) == {ALPHA}
    picture = read_picture(source)
    rgb = without_holes(picture.rgb, picture.alpha)
    assert (rgb == (200, 100, 50)).all()
    target = tmp_path / f"t.{suffix}"
    write_image(target, target, rgb.repeat(4, 0).repeat(4, 1), source)
    made = read_picture(open_image(target))
    assert (made.alpha is not None) == is_stored
    if is_stored:
        assert made.alpha[:, :50].max() == 0 and made.alpha[:, 78:].min() == 255
    else:
        assert made.rgb[:, :48].min() > 245 and np.abs(made.rgb[:, 88:].astype(int) - (200, 100, 50)).max() < 4


def test_opaque_alpha_is_no_transparency(tmp_path: Path) -> None:
    Image.fromarray(blocks()).convert("RGBA").save(tmp_path / "p.png")
    assert found_in_image(open_image(tmp_path / "p.png")) == set()
