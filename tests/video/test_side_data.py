"""Side data of pictures: 360 degree, stereo 3D, HDR10, colour profiles and rotation reach the output, or are named."""

from __future__ import annotations

import struct

import av
import numpy as np
import pytest

import codecvsr
from codecvsr.bitstream import sei
from codecvsr.bitstream.side_data import side_data
from codecvsr.errors import OutputError
from codecvsr.video import iso_boxes, matroska
from codecvsr.video.side_data import WORDS, PictureData, SideData, parse
from codecvsr.video.side_data_output import carried, lost
from tests.side_data import SPHERE, STRUCTURES, described, integers, shown, time_lapse
from tests.streams import encode, moving_texture

BICUBIC = {"model": "bicubic", "preset": "ultrafast", "crf": 20}
CUBE = integers(1, *SPHERE, 0, 0, 0, 0, 8)
TILE = integers(2, *SPHERE, 1 << 30, 0, 1 << 20, 0, 0)


CODECS = {"mp4": ("h264", "hevc"), "mov": ("h264", "hevc"), "matroska": ("h264", "hevc", "ffv1")}
PAIRS = [(codec, container) for container, codecs in CODECS.items() for codec in codecs]


@pytest.mark.parametrize(("codec", "container"), PAIRS)
def test_what_an_output_has_is_read_from_a_sample(codec, container):
    pictures = {"A53_CC": PictureData.of_all([b"", b"\xfc\x94\x20"]), "AFD": PictureData.of_all([b"\x0a", b""])}
    data = SideData(tuple(WORDS[name] for name in (*STRUCTURES, *pictures)), STRUCTURES, pictures)
    missing = {"ICC_PROFILE"} if container == "matroska" else set()
    if codec == "ffv1":
        missing |= {"A53_CC", "AFD", "AMBIENT_VIEWING_ENVIRONMENT"}
    assert set(data.names) - carried(data, codec, container) == {WORDS[name] for name in missing}
    assert [loss.split(":")[0] for loss in lost(data, codec, container)] == [
        name for name in data.names if name in {WORDS[each] for each in missing}
    ]
    assert len(lost(data, codec, None)) == len(data.names)


@pytest.mark.parametrize(
    ("name", "structure", "containers"),
    [
        ("SPHERICAL", CUBE, {"mp4", "mov", "matroska"}),
        ("SPHERICAL", TILE, {"mp4", "mov", "matroska"}),
        ("SPHERICAL", integers(5, *SPHERE, 0, 0, 0, 0, 0), set()),  # fisheye
        ("STEREO3D", integers(1, 1, 0, 0, 0, 0, 1, 0, 1), {"matroska"}),  # the right eye at the left
        ("STEREO3D", integers(1, 0, 0, 0, 63000, 0, 1, 0, 1), set()),  # a distance between the eyes
        ("STEREO3D", integers(7, 0, 0, 0, 0, 0, 0, 0, 0), {"matroska"}),  # columns
    ],
)
def test_what_a_container_cannot_express_is_lost_and_not_changed(name, structure, containers):
    data = SideData((WORDS[name],), {name: structure})
    assert {c for c in ("mp4", "mov", "matroska") if carried(data, "h264", c)} == containers


@pytest.mark.parametrize(("codec", "container"), PAIRS)
def test_side_data_of_the_stream_reaches_every_picture(tmp_path, codec, container):
    output = f"o.{'mkv' if container == 'matroska' else container}"
    source = described(tmp_path, "in.mp4")
    report = codecvsr.upscale(source, tmp_path / output, strict=True, chunk=3, **{**BICUBIC, "codec": codec})
    assert report.losses == []
    for name in ("SPHERICAL", "STEREO3D", "CONTENT_LIGHT_LEVEL", "MASTERING_DISPLAY_METADATA"):
        old, new = ({parse(name, data) for _, data in shown(path, name)} for path in (source, tmp_path / output))
        assert old == new == {parse(name, STRUCTURES[name] if name != "STEREO3D" else integers(2, *[0] * 8))}


def test_padding_of_a_cube_map_grows_with_the_pictures(tmp_path):
    source = described(tmp_path, "in.mp4", {"SPHERICAL": CUBE})
    codecvsr.upscale(source, tmp_path / "o.mp4", strict=True, **BICUBIC)
    ((_, data), *_) = shown(tmp_path / "o.mp4", "SPHERICAL")
    assert np.frombuffer(data, np.int32).tolist() == [1, *SPHERE, 0, 0, 0, 0, 32]


def test_side_data_that_changes_is_named(tmp_path):
    """Two parts of a stream with different light levels, joined."""
    parts = []
    for number, level in enumerate((1000, 600)):
        path = encode(tmp_path / f"{number}.h264", moving_texture(4, 64, 64, 1, 1))
        parts.append(sei.insert(path.read_bytes(), "h264", [sei.content_light(level, 400)]))
    source = tmp_path / "in.h264"
    source.write_bytes(b"".join(parts))
    levels = {struct.unpack("=2I", data)[0] for _, data in shown(source, "CONTENT_LIGHT_LEVEL") if data}
    assert levels == {1000, 600}
    report = codecvsr.upscale(source, tmp_path / "o.mp4", **BICUBIC)
    assert [loss.split(":")[0] for loss in report.losses] == ["HDR10 content light level"]


@pytest.mark.parametrize("name", ["in.mkv", "in.avi"])
def test_a_type_that_pyav_does_not_know_hides_no_other(tmp_path, name):
    source = time_lapse(tmp_path / name, 6)
    with av.open(str(source)) as container:
        exported = side_data(next(container.decode(video=0)))
    assert {"EXIF", "DISPLAYMATRIX"} <= set(exported)
    report = codecvsr.upscale(source, tmp_path / "o.mp4", **BICUBIC)
    assert [loss.split(":")[0] for loss in report.losses] == ["EXIF metadata of the pictures"]
    old, new = (shown(path, "DISPLAYMATRIX")[0][1] for path in (source, tmp_path / "o.mp4"))
    assert np.frombuffer(old, np.int32).tolist() == np.frombuffer(new, np.int32).tolist()
    with pytest.raises(OutputError, match="EXIF"):
        codecvsr.upscale(source, tmp_path / "p.mp4", strict=True, **BICUBIC)


def test_numbers_without_a_name_get_one():
    from av.sidedata.sidedata import Type

    assert Type(31).name == "EXIF" and Type(4711).name == "TYPE_4711"
    with pytest.raises(ValueError, match="nonsense"):
        Type("nonsense")


def test_boxes_are_added_to_the_video_track_only(tmp_path):
    path = encode(tmp_path / "in.mp4", moving_texture(3, 48, 64, 1, 1), audio_first=True)
    before = path.read_bytes()
    with path.open("rb+") as file:
        iso_boxes.add_to_pictures(file, iso_boxes.box(b"free", b"1234"))
    assert len(path.read_bytes()) == len(before) + 12
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 3
    with av.open(str(path)) as container:
        assert list(container.decode(audio=0))
    for damaged in (before[:-20], b"", b"\0\0\0\x08free", before + b"\0\0\0\x08free"):
        path.write_bytes(damaged)
        with path.open("rb+") as file, pytest.raises(ValueError, match="expected"):
            iso_boxes.add_to_pictures(file, b"")


def test_elements_are_added_where_they_belong():
    inner = matroska.element(0xE0, matroska.unsigned(0xB0, 5))
    other = matroska.element(0xEC, b"abc")
    data = other + matroska.element(0xAE, inner) + other
    added = matroska.add_elements(data, (0xAE, 0xE0), matroska.unsigned(0x53B8, 1))
    assert (
        added
        == other
        + matroska.element(0xAE, matroska.element(0xE0, matroska.unsigned(0xB0, 5) + matroska.unsigned(0x53B8, 1)))
        + other
    )
    made = matroska.add_elements(inner, (0xE0, 0x55B0), b"")
    assert made == matroska.element(0xE0, matroska.unsigned(0xB0, 5) + matroska.element(0x55B0, b""))
