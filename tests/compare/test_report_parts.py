"""What a report shows: few lines per chart, what every ablation costs, a title, both themes, crops where rows differ."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from codecvsr.compare.charts import MAX_LINES, Series, bar_chart, chart
from codecvsr.compare.clips import find_clips
from codecvsr.compare.comparison import Comparison
from codecvsr.compare.crops import write_pictures
from codecvsr.compare.measurements import Measurement, Settings
from codecvsr.compare.report import write_report
from codecvsr.compare.report_charts import ablation_costs, make_charts
from codecvsr.compare.titles import report_title, short_names
from codecvsr.compare.variants import parse_variant
from codecvsr.files import read_image, write_png
from tests.compare.conftest import FRAMES

SVG = "{http://www.w3.org/2000/svg}"
FAULTS = dict.fromkeys(
    ("invented_detail", "row_lines", "column_lines", "lattice", "chroma_specks", "colour_shift"), 1.25
)


@pytest.fixture
def many(material: Path) -> Comparison:
    """Bicubic, eight models and two ablations of the first on clip "a" at two CRFs, with scores that are known."""
    models = ["bicubic", *(f"model{index}" for index in range(8))]
    rows = [*models, "model0+ablate-mvs", "model0+ablate-refine"]
    variants = [parse_variant(row) for row in rows]
    variants = [replace(variant, is_ablation=bool(variant.ablations.names)) for variant in variants]
    clips = find_clips([material / "bench"], material / "hr", ["a"])
    comparison = Comparison(variants, clips, Settings(device="cpu"))
    for clip in clips:
        for number, row in enumerate(rows):
            lost = {"model0+ablate-mvs": 0.25, "model0+ablate-refine": 0.0625}.get(row, 0.0)
            psnr = 30.0 - (clip.crf or 0) / 10 + (1 if lost else number) - lost
            comparison.measurements.append(
                Measurement(
                    row=row, clip=clip.name, benchmark=clip.benchmark, crf=clip.crf, frames=FRAMES, training="user",
                    parameters=10, scale=4, motion="codec", gmacs=1.0, ms_per_frame=10.0 * 2**number, network_ms=1.0,
                    motion_ms=0.0, peak_memory_mb=1.0, device="cpu", precision="fp32", psnr_rgb=psnr, ssim_rgb=0.5,
                    psnr_y=psnr, ssim_y=0.5, per_frame=(psnr,) * FRAMES, artifacts={"pictures": FAULTS, "originals": FAULTS},
                )
            )  # fmt: skip
    return comparison


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ElementTree.fromstring(svg).findall(f"{SVG}text")]


def test_no_chart_has_more_than_six_lines(many: Comparison) -> None:
    charts = make_charts(many)
    for title, svg in charts:
        lines = ElementTree.fromstring(svg).findall(f"{SVG}polyline")
        assert len(lines) <= MAX_LINES, title
    parts = [svg for title, svg in charts if title.startswith("RGB PSNR over CRF")]
    assert [title for title, _ in charts][:2] == [
        "RGB PSNR over CRF, mean over the clips (1 of 2)", "RGB PSNR over CRF, mean over the clips (2 of 2)",
    ]  # fmt: skip
    assert all("bicubic" in texts(svg) for svg in parts)
    assert {f"model{index}" for index in range(8)} <= {text for svg in parts for text in texts(svg)}
    with pytest.raises(ValueError, match="7 series; at most 6"):
        chart([Series(str(index), ((1, 2),)) for index in range(7)], "x", "y")


def test_bars_show_what_every_ablation_costs(many: Comparison) -> None:
    costs = ablation_costs(many, many.variants)
    assert costs == {"model0": {"without motion vectors": [0.25, 0.25], "without refine": [0.0625, 0.0625]}}
    ((title, svg),) = [(title, svg) for title, svg in make_charts(many) if "is worth" in title]
    assert title == "What every part of model0 is worth"
    assert {"without motion vectors", "without refine", "CRF 15", "CRF 35", "0.250", "0.062"} <= set(texts(svg))
    bars = [rect for rect in ElementTree.fromstring(svg).findall(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert len(bars) == 4 and widths[0] == pytest.approx(4 * widths[2], abs=0.3)


def test_a_bar_of_a_gain_goes_the_other_way() -> None:
    svg = bar_chart([("a", [0.2]), ("b", [-0.1]), ("c", [float("nan")])], ["CRF 25"], "dB")
    bars = [rect for rect in ElementTree.fromstring(svg).findall(f"{SVG}rect") if rect.find(f"{SVG}title") is not None]
    (first, second) = [float(bar.get("x") or 0) for bar in bars]
    assert second < first and second + float(bars[1].get("width") or 0) == pytest.approx(first, abs=0.2)
    assert "Nothing to draw" in bar_chart([("c", [float("nan")])], ["CRF 25"], "dB")


def test_labels_of_points_never_overlap() -> None:
    points = tuple((10.0 + index / 50, 20.0) for index in range(12))
    svg = ElementTree.fromstring(chart([Series("s", points, ("CRF 25",) * 12)], "x", "y", lines=False))
    labels = [text for text in svg.findall(f"{SVG}text") if text.text == "CRF 25"]
    places = sorted((float(t.get("y") or 0), float(t.get("x") or 0)) for t in labels)
    assert 1 <= len(labels) <= 12
    assert all(b[0] != a[0] or b[1] - a[1] >= 6 * len("CRF 25") for a, b in itertools.pairwise(places))


@pytest.mark.parametrize("times", [(220.0, 470.0), (30.0, 9000.0), (101.0, 103.0)])
def test_a_logarithmic_axis_has_ticks_at_every_range(times: tuple[float, float]) -> None:
    shown = texts(chart([Series("s", tuple((time, 20.0) for time in times))], "ms", "dB", log_x=True))
    ticks = [float(text) for text in shown[: shown.index("ms")] if re.fullmatch(r"[0-9.]+", text)]
    assert len([tick for tick in ticks if times[0] / 2 < tick < times[1] * 2]) >= 3


def test_titles(many: Comparison) -> None:
    assert report_title(many) == "8 models and bicubic on a at CRF 15 and 35"
    many.variants = many.variants[:3]
    assert report_title(many) == "model0, model1 and bicubic on a at CRF 15 and 35"
    assert short_names(["/x/a.safetensors", "/y/b.pth@codec"]) == {
        "/x/a.safetensors": "a",
        "/y/b.pth@codec": "b.pth@codec",
    }
    assert short_names(["/x/a.safetensors", "/y/a.safetensors"])["/y/a.safetensors"] == "/y/a.safetensors"


def test_the_page_has_a_title_both_themes_and_the_faults(many: Comparison, tmp_path: Path) -> None:
    values = json.loads(json.dumps(many.to_json()))
    write_report(tmp_path / "page.html", many, values)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>8 models and bicubic on a at CRF 15 and 35</title>" in page
    style = page[: page.index("</style>")]
    light, dark = (set(re.findall(r"(--[a-z]+):", part)) for part in style.split("prefers-color-scheme: dark"))
    assert light == dark and len(light) >= 6
    assert not re.search(r"(fill|stroke)='(#|white|black)", page), "a colour of one theme only"
    assert "invented detail" in page and "Faults on every clip" in page
    write_report(tmp_path / "page.md", many, values)
    assert "| original | 1.25 |" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_crops_are_where_the_rows_differ_most(
    many: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("codecvsr.compare.crops._CROP", (64, 48))
    many.variants = many.variants[:2]
    clip = many.clips[0]
    original = read_image(clip.original.path / f"{FRAMES // 2:08d}.png")
    other = original.copy()
    other[100:120, 150:180] = 255 - other[100:120, 150:180]
    for row, picture in (("bicubic", original), ("model0", other)):
        write_png(tmp_path / f"{row}.png", picture)
        many.pictures[row, clip.key] = tmp_path / f"{row}.png"
    ((_, picture),) = list(write_pictures(many, None))
    small = np.repeat(np.repeat(other[100:120, 150:180], 2, 0), 2, 1)
    rows, columns = np.nonzero((picture == small[0, 0]).all(2))
    assert any((picture[y : y + 40, x : x + 60] == small).all() for y, x in zip(rows, columns, strict=True)
               if y + 40 <= picture.shape[0] and x + 60 <= picture.shape[1])  # fmt: skip
