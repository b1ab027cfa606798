"""The page in a real Chromium: first screen, whole videos, sizes of the picture, both themes, desktop and phone, accessibility.

``CODECVSR_SCREENSHOTS=DIR`` also writes a picture of every state, to be looked at.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")

from tests.streams import encode, moving_texture
from tests.web.driver import Browser, browser_programs
from tests.web.service import Service

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="chromium and chromedriver are not installed (apt-get install chromium-driver)"
)
AXE = Path(__file__).parent / "axe" / "axe.min.js"
SIZES = {
    "desktop": {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False},
    "phone": {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True},
}
THEMES = ("light", "dark")
READY = "return !document.getElementById('enlarge').hidden && document.getElementById('o-quality').options.length"
PLAYING = "const v = document.getElementById('intro-video'); return v.readyState > 2 && v.currentTime > 0"
SHOWN = "return !document.getElementById('view').hidden && document.getElementById('video').readyState > 2"
BOX = (
    "const b = document.querySelector(arguments[0]).getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]"
)


@pytest.fixture(scope="module")
def result(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The identifier of a finished job: a whole video of 1280x960 pixels."""
    path = tmp_path_factory.mktemp("page") / "holiday.mp4"
    clip = service.upload(encode(path, moving_texture(8, 240, 320, 3, 1)).read_bytes(), "holiday.mp4").json()["id"]
    asked = {"clip": clip, "crf": None, "upscale": {"quality": "fast", "scale": 4, "strength": 0.5}}
    id_ = service.ask("api/jobs", asked).json()["id"]
    assert service.wait(id_, 300)["state"] == "done"
    return id_


@pytest.fixture
def page(browser: Browser) -> Iterator[Browser]:
    """The browser; its emulation ends with the test."""
    yield browser
    browser.command("Emulation.clearDeviceMetricsOverride", {})
    browser.command("Emulation.setEmulatedMedia", {"features": []})


def emulate(browser: Browser, size: str, theme: str) -> None:
    browser.command("Emulation.setDeviceMetricsOverride", SIZES[size])
    browser.command("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]})


def violations(browser: Browser) -> list[str]:
    """What axe-core finds wrong with the page as it is now."""
    if not browser.run("return window.axe !== undefined"):
        browser.command("Runtime.evaluate", {"expression": AXE.read_text(encoding="utf-8")})
    browser.run(
        "window.found = null; axe.run({resultTypes: ['violations']}).then(r => { window.found = r.violations.map(v => "
        "`${v.id}: ${v.nodes.map(n => `${n.target} ${n.failureSummary}`).join(' | ')}`) }, e => { window.found = [String(e)] })"
    )
    return browser.wait("return window.found && [window.found]")[0]


def picture_of(browser: Browser, name: str) -> None:
    if folder := os.environ.get("CODECVSR_SCREENSHOTS"):
        browser.screenshot(Path(folder) / f"{name}.png")
        browser.screenshot(Path(folder) / f"{name}-whole.png", whole=True)


def box(browser: Browser, selector: str) -> list[float]:
    return browser.run(BOX, selector)


def width_of(browser: Browser) -> float:
    return browser.run("return document.documentElement.scrollWidth")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_the_first_screen_plays_and_leads_to_an_upload(service: Service, page: Browser, size: str, theme: str) -> None:
    emulate(page, size, theme)
    page.open(f"{service.address}?{size}{theme}")
    page.wait(READY)
    page.wait(PLAYING, 10)
    split = page.run("return document.getElementById('intro-split').value")
    page.wait(f"return document.getElementById('intro-split').value != {split}", 10)  # the line moves by itself
    assert "dB" in page.text("#intro-text") and "320×180" in page.text("#intro-text")
    for name in ("#intro-stage", "#dropzone"):  # both are seen without scrolling
        left, top, right, bottom = box(page, name)
        assert left >= 0 and top >= 0 and right <= SIZES[size]["width"] and bottom <= SIZES[size]["height"], name
    assert width_of(page) <= SIZES[size]["width"]
    page.click("#intro-play")
    assert page.run("return document.getElementById('intro-video').paused")
    picture_of(page, f"first-{size}-{theme}")
    assert violations(page) == []


def test_the_demo_is_of_these_weights() -> None:
    """The figures of the first screen are those of the weights that ship: after a change scripts/bench/page_demo.py makes it again."""
    import hashlib

    from codecvsr.models.zoo import weights_path

    static = Path(__file__).resolve().parents[2] / "codecvsr" / "web" / "static"
    demo = json.loads((static / "demo.json").read_text())
    assert demo["weights_sha256"] == hashlib.sha256(Path(weights_path("codecvsr")).read_bytes()).hexdigest(), demo[
        "command"
    ]
    with av.open(str(static / "demo.mp4")) as video:
        frames = [frame for frame in video.decode(video=0)]
    assert len(frames) == demo["frames"]
    assert (
        frames[0].height == demo["mosaic"]["cell"][1] * len(demo["views"])
        and frames[0].width == demo["mosaic"]["cell"][0]
    )


def test_three_clicks_to_an_enlarged_video(service: Service, page: Browser, tmp_path: Path, downloads: Path) -> None:
    emulate(page, "desktop", "light")
    page.open(f"{service.address}?three")
    page.wait(READY)
    clips = [encode(tmp_path / f"{name}.mp4", moving_texture(5, 48, 64, 1, 0)) for name in ("beach", "party")]
    page.run("const o = document.getElementById('o-quality'); o.value = 'fast'; o.dispatchEvent(new Event('change'))")
    assert page.run("return document.getElementById('preset').value") == "own"
    page.type("#choose", "\n".join(map(str, clips)))  # the first click, and its dialogue
    page.wait("return document.querySelectorAll('#files li').length == 2")
    page.wait(
        "return [...document.querySelectorAll('#files .hint')].every(e => e.textContent.includes('64×48 → 256×192, 5 frames'))",
        180,
    )
    assert "beach_4x.mp4" in page.text("#files li .hint") and "about" in page.text("#total")
    picture_of(page, "estimates")
    assert violations(page) == []
    page.click("#begin")  # the second
    page.wait("return document.querySelectorAll('#files li').length == 0")
    page.wait("return !document.getElementById('finished').hidden", 180)
    page.wait(
        "return [...document.querySelectorAll('#jobs li')].slice(0, 2).every(e => e.textContent.includes('Download'))",
        180,
    )
    picture_of(page, "enlarged")
    page.click("#download")  # the third
    until = time.monotonic() + 60
    while not (downloads / "beach_4x.mp4").is_file():
        assert time.monotonic() < until, list(downloads.iterdir())
        time.sleep(0.1)
    with av.open(str(downloads / "beach_4x.mp4")) as video:
        assert video.streams.video[0].codec_context.width == 256 and sum(1 for _ in video.decode(video=0)) == 5
    assert page.messages() == []


def test_presets_are_sets_of_options_that_are_seen_and_changed(service: Service, page: Browser) -> None:
    page.open(f"{service.address}?presets")
    page.wait(READY)
    names = page.run("return [...document.getElementById('preset').options].map(o => o.text)")
    assert names == ["Any video", "Phone clip", "Old DVD", "Screen recording", "Own choice"]
    sets = {}
    for value in ("phone", "dvd", "screen"):
        page.run(
            "const p = document.getElementById('preset'); p.value = arguments[0]; p.dispatchEvent(new Event('change'))",
            value,
        )
        sets[value] = page.text("#preset-text")
    assert (
        "HDR to SDR" in sets["phone"]
        and "damage patched" in sets["dvd"]
        and "duplicate frames copied" in sets["screen"]
    )
    page.run("const o = document.getElementById('o-scale'); o.value = '3'; o.dispatchEvent(new Event('change'))")
    assert page.run("return document.getElementById('preset').value") == "own" and "3×" in page.text("#preset-text")


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
def test_a_result_fits_and_is_accessible(service: Service, page: Browser, result: str, size: str, theme: str) -> None:
    emulate(page, size, theme)
    page.open(f"{service.address}?{size}{theme}#job={result}")
    page.wait(SHOWN)
    page.wait("return document.getElementById('frame-facts').textContent.includes('vectors')")
    page.run("document.getElementById('video').pause(); document.getElementById('stage-card').scrollIntoView()")
    assert width_of(page) <= SIZES[size]["width"]
    assert page.text("#left-name") == "Before: bicubic" and page.text("#right-name").startswith("After: codecvsr")
    if size == "desktop":
        assert box(page, "#play")[3] <= 900 and box(page, "#layers")[3] <= 900  # controls are in view
        assert box(page, "#loupe")[0] >= box(page, "#stage")[2]  # the loupe is beside the picture
    for step in ("vectors", "motion", "gain"):
        page.click(f"[data-tour={step}]")
        assert len(page.text("#tour-text")) > 40
        page.wait("return !document.getElementById('video').seeking")
        page.run("document.getElementById('stage-card').scrollIntoView()")
        if size == "desktop":
            assert box(page, "#tour-text")[3] <= 900, step  # its text is in view with the picture
        else:
            page.run("document.querySelector('.tour').scrollIntoView()")
            assert 0 <= box(page, "#tour-text")[3] <= box(page, "#stage")[1] < 422, step  # above the picture, near it
        picture_of(page, f"tour-{step}-{size}-{theme}")
    for layer in ("partitions", "qp", "confidence"):
        page.run(
            "document.querySelectorAll('#layers input').forEach(e => { if (e.checked !== (e.value === arguments[0])) e.click() })",
            layer,
        )
        assert page.run("return document.querySelectorAll('#legend li .key').length") > 0, layer
        picture_of(page, f"layer-{layer}-{size}-{theme}")
    assert violations(page) == []


def test_the_picture_at_100_percent_and_on_the_whole_screen(service: Service, page: Browser, result: str) -> None:
    emulate(page, "desktop", "light")
    page.open(f"{service.address}?sizes#job={result}")
    page.wait(SHOWN)
    page.run("document.getElementById('video').pause()")
    width, height = page.run("const p = document.getElementById('picture'); return [p.width, p.height]")
    assert (width, height) == (1280, 960)
    left, top, right, bottom = box(page, "#sheet")
    assert right - left < 900 and abs((bottom - top) / (right - left) - height / width) < 0.01
    page.click("#actual")
    left, _, right, _ = box(page, "#sheet")
    assert right - left == width
    pan = box(page, "#pan")
    assert pan[2] - pan[0] < width and pan[3] - pan[1] < 900
    page.run("document.getElementById('pan').scrollLeft = 0")
    page.wait("return document.getElementById('pan').scrollLeft == 0")
    time.sleep(0.2)
    line = box(page, "#divider")
    assert pan[0] < line[0] < pan[2]  # the line stays in the visible part
    page.run("document.getElementById('stage-card').scrollIntoView()")
    picture_of(page, "actual")
    assert violations(page) == []
    page.click("#full")
    page.wait("return document.fullscreenElement && document.getElementById('full').ariaPressed === 'true'")
    assert box(page, "#play")[3] <= page.run("return innerHeight")
    page.wait("return document.getElementById('sheet').clientWidth == 1280")
    page.wait(
        "const [pan, line] = ['pan', 'divider'].map(id => document.getElementById(id).getBoundingClientRect());"
        "const at = document.getElementById('split').value / 100;"
        "return Math.abs((line.left + line.right) / 2 - pan.left - at * pan.width) < 8",
        20,
    )  # the line is where its slider is
    picture_of(page, "full")
    page.click("#full")
    page.wait("return !document.fullscreenElement")
    page.click("#fit")
    left, _, right, _ = box(page, "#sheet")
    assert right - left < 900
