"""Tags that are not UTF-8, and file names of any bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import codecvsr
from codecvsr.bitstream.containers import open_input
from codecvsr.files import list_images
from codecvsr.video.probe import Media
from tests.videos import make_video, noisy_frames

TITLE = b"A small video"


@pytest.mark.parametrize(
    ("name", "title"), [("a.mp4", "café déjà".encode("latin-1")), ("a.mkv", "映画の題".encode("cp932"))]
)
def test_tags_that_are_not_utf8_are_copied_byte_by_byte(tmp_path: Path, name: str, title: bytes) -> None:
    source, output = tmp_path / name, tmp_path / f"o{name[1:]}"
    make_video(source)
    data = source.read_bytes()
    assert TITLE in data
    source.write_bytes(data.replace(TITLE, title.ljust(len(TITLE))))
    codecvsr.upscale(source, output, model="bicubic", preset="ultrafast")
    with open_input(output) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
    assert os.fsencode(tags["title"]).rstrip() == title
    assert title in output.read_bytes()


def test_file_names_of_any_bytes(tmp_path: Path) -> None:
    video = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    make_video(video)
    output = tmp_path / os.fsdecode(b"out\xff.mkv")
    report = codecvsr.upscale(video, output, model="bicubic", preset="ultrafast")
    assert report.frames == len(list(Media.open(output).frames()))


def test_a_name_of_any_bytes_beside_frames(tmp_path: Path) -> None:
    frames = noisy_frames(tmp_path / "f", 2, 32, 48)
    (frames / os.fsdecode(b"notes caf\xe9.txt")).touch()
    codecvsr.upscale(frames, tmp_path / "o", model="bicubic")
    assert len(list_images(tmp_path / "o")) == 2
