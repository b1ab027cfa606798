"""Charts, crops and pages."""

from __future__ import annotations

import base64
import json
import math
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from codecvsr.compare.charts import Series, chart, ticks
from codecvsr.compare.crops import max_detail, write_pictures
from codecvsr.compare.measurements import Settings
from codecvsr.compare.report import write_report
from codecvsr.compare.report_charts import make_charts
from codecvsr.compare.run import compare
from codecvsr.files import read_image
from tests.compare.conftest import FRAMES

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def result(material, small, tmp_path_factory):
    unsafe = tmp_path_factory.mktemp("weights") / "<nothing>&.safetensors"
    shutil.copy(small, unsafe)
    models = [f"{small},codecvsr:random,{unsafe}+window={FRAMES + 1}"]
    return compare([material / "bench"], material / "hr", models, clips=["a"],
                   settings=Settings(device="cpu"), out_dir=tmp_path_factory.mktemp("store"))  # fmt: skip


def test_a_chart_shows_every_finite_point() -> None:
    drawn = chart(
        [
            Series("a <b>", ((1, 2.0), (10, 3.0), (100, math.inf), (1000, math.nan)), ("p", "q", "r", "s")),
            Series("flat", ((5, 2.5),)),
            Series("nothing", ((0, 1.0),)),
        ],
        "x & y",
        "dB",
        log_x=True,
    )
    root = ElementTree.fromstring(drawn)
    circles = root.findall(f"{SVG}circle")
    assert len(circles) == 3 and len(root.findall(f"{SVG}polyline")) == 1
    x = [float(circle.get("cx")) for circle in circles]
    y = [float(circle.get("cy")) for circle in circles]
    assert x[0] < x[2] < x[1] and y[0] > y[2] > y[1]
    texts = [text.text for text in root.findall(f"{SVG}text")]
    assert "a <b>" in texts and "flat" in texts and "nothing" not in texts and "x & y" in texts
    assert "Nothing to draw" in chart([Series("x", ())], "", "")


def test_ticks_are_round() -> None:
    assert ticks(0.1, 1.1) == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(27.3, 29.9) == [27.5, 28, 28.5, 29, 29.5]
    assert ticks(-0.5, 2.5, whole=True) == [0, 1, 2]


def test_charts_of_a_comparison(result) -> None:
    charts = dict(make_charts(result))
    assert [title.split(",")[0] for title in charts] == [
        "RGB PSNR over CRF", "RGB PSNR over time per frame", *["RGB PSNR of every frame: a"] * 2,
    ]  # fmt: skip
    for svg in charts.values():
        root = ElementTree.fromstring(svg)
        names = [text.text for text in root.findall(f"{SVG}text")]
        assert "bicubic" in names and "codecvsr:random" not in names
        assert len(root.findall(f"{SVG}polyline")) in (0, 2)


def test_crops(result) -> None:
    ((name, picture),) = write_pictures(result, (8, 16, 64, 48))
    assert name == "a" and picture.dtype == np.uint8 and picture.ndim == 3
    original = read_image(next(clip.original.path for clip in result.clips) / f"{FRAMES // 2:08d}.png")
    part = cv2.resize(original[16:64, 8:72], (128, 96), interpolation=cv2.INTER_NEAREST)
    places = cv2.matchTemplate(picture, part, cv2.TM_SQDIFF)
    assert int((places < 1e-4 * places.max()).sum()) == 2  # the original once for either CRF
    assert next(iter(write_pictures(result, (10**6, 0, 10**6, 10**6))))[1].shape[1] > 3 * 2 * original.shape[1]


def test_the_part_with_most_detail() -> None:
    picture = np.full((400, 600, 3), 90, np.uint8)
    rng = np.random.default_rng(0)
    picture[200:344, 300:492] = rng.integers(0, 255, (144, 192, 3))
    x, y, width, height = max_detail(picture)
    assert (width, height) == (192, 144) and abs(x - 300) < 8 and abs(y - 200) < 8
    assert max_detail(picture[:40, :50]) == (0, 0, 50, 40)


class Page(HTMLParser):
    """What a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.sources, self.text, self.open, self.data, self._in = [], [], [], "", ""

    def handle_starttag(self, tag, attrs):
        self._in = tag
        self.open += [tag] if tag not in ("meta", "img") else []
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self._in == "script":
            self.data += data
        elif self._in != "style":
            self.text.append(data)
        self._in = "" if self._in == "script" else self._in


def test_the_page_needs_nothing_but_itself(result, tmp_path: Path) -> None:
    values = json.loads(json.dumps(result.to_json()))
    write_report(tmp_path / "r.html", result, values)
    content = (tmp_path / "r.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(content)
    assert page.open == [] and [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert len(page.sources) == 1 and page.sources[0].startswith("data:image/png;base64,")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(page.sources[0].split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[0] > 100
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", content) and "@import" not in content
    assert json.loads(page.data) == values
    text = " ".join(page.text)
    assert "untrained" in text and "<nothing>&" in text and "a window of 4 frames needs as many frames" in text
    measurement = result.measurement("bicubic", "hr_CRF35/a")
    assert f"{measurement.psnr_rgb:.3f}" in text


def test_markdown_has_its_pictures_beside_it(result, tmp_path: Path) -> None:
    write_report(tmp_path / "r.md", result, result.to_json())
    content = (tmp_path / "r.md").read_text(encoding="utf-8")
    links = re.findall(r"!\[[^\]]*\]\(<?([^)>]+)>?\)", content)
    assert len(links) == 5 and all((tmp_path / link).is_file() for link in links)
    assert read_image(tmp_path / "r_files" / "a.png").shape[0] > 100
    table = [line for line in content.splitlines() if line.startswith("| bicubic |")]
    assert len(table) == 4 and len({line.count("|") for line in table[:2]}) == 1
