"""Lines of text on a terminal are folded between phrases and words."""

from __future__ import annotations

import pytest

from codecvsr.cli.folding import fold

PLAN = (
    "/home/ann/films/a long walk.mp4: 160x90, 48 frames -> /home/ann/films/a long walk_4x.mp4, 640x360\n"
    "model codecvsr-fast, motion codec: the vectors of the H.264 stream; about 27 s"
)


def test_file_names_stay_whole():
    assert fold(PLAN, 60).splitlines() == [
        "/home/ann/films/a long walk.mp4: 160x90, 48 frames ->",
        "/home/ann/films/a long walk_4x.mp4, 640x360",
        "model codecvsr-fast, motion codec:",
        "the vectors of the H.264 stream; about 27 s",
    ]
    assert fold(PLAN, 200) == PLAN


@pytest.mark.parametrize("columns", [1, 5, 24, 80])
def test_nothing_is_lost_and_lines_fit(columns):
    folded = fold(PLAN, columns)
    assert folded.replace("\n", " ") == PLAN.replace("\n", " ")
    for line in folded.splitlines():
        assert len(line) <= columns or " " not in line


def test_wide_characters_count_twice():
    assert fold("映画 の 題名", 8).splitlines() == ["映画 の", "題名"]
    assert fold("", 80) == ""
