"""The place of a planted fault is found, and where the original has as much there is none."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.metrics.artifact_places import densest_box, fault_maps
from codecvsr.metrics.artifacts import LABELS
from tests.metrics.faults import PLANTED, soft_scene

SIZE = 64, 48  # of the box


@pytest.mark.parametrize("name", LABELS)
def test_the_planted_place_is_found(name: str) -> None:
    original = soft_scene()
    picture, (x, y) = PLANTED[name](original)
    _, left, top = densest_box(fault_maps(picture, original)[name], *SIZE)
    assert left <= x < left + SIZE[0] and top <= y < top + SIZE[1]


def test_the_original_has_no_faults() -> None:
    original = soft_scene()
    assert all(not density.any() for density in fault_maps(original, original).values())


def test_what_the_original_has_is_no_fault() -> None:
    original = soft_scene()
    picture, _ = PLANTED["row_lines"](original)
    assert not fault_maps(picture, picture)["row_lines"].any()


def test_a_box_keeps_off_the_border() -> None:
    density = np.zeros((60, 80), np.float32)
    density[:4, :4] = 9
    density[50, 70] = 1
    assert densest_box(density, 8, 8) == (9 * 16 / 64, 0, 0)
    mean, x, y = densest_box(density, 8, 8, border=5)
    assert mean == pytest.approx(1 / 64) and x <= 70 < x + 8 and y <= 50 < y + 8 and x + 8 <= 75 and y + 8 <= 55
    assert densest_box(density, 80, 60)[1:] == (0, 0)


def test_pictures_too_small_for_a_line_or_a_block() -> None:
    tiny = np.full((2, 8, 3), 90, np.uint8)
    assert set(fault_maps(tiny, tiny)) == set(LABELS)
