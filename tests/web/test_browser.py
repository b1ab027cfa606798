"""The page in a real Chromium, used as a person uses it."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import cv2
import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")

from waitress.server import create_server

from codecvsr.web.app import create_app, demo_clip
from codecvsr.web.limits import Limits
from codecvsr.web.scheduler import Scheduler
from codecvsr.web.store import JobStore
from tests.web.driver import KEYS, Browser, browser_programs
from tests.web.service import Service

pytestmark = pytest.mark.skipif(
    browser_programs() is None, reason="chromium and chromedriver are not installed (apt-get install chromium-driver)"
)
READY = "return !document.getElementById('make').hidden && document.getElementById('model').options.length"
SHOWN = "return !document.getElementById('view').hidden && document.getElementById('video').readyState > 2"


def colour(browser: Browser, canvas: str, x: float, y: float) -> list[int]:
    """The colour of a canvas at a part of its width and height."""
    return browser.run(
        "const c = document.getElementById(arguments[0]);"
        "return [...c.getContext('2d').getImageData(arguments[1] * c.width, arguments[2] * c.height, 1, 1).data]",
        canvas, x, y,
    )  # fmt: skip


def whole(browser: Browser, canvas: str) -> str:
    return browser.run("return document.getElementById(arguments[0]).toDataURL()", canvas)


@pytest.mark.slow
def test_from_the_demo_clip_to_its_downloads(service: Service, browser: Browser, downloads: Path) -> None:
    browser.open(service.address)
    browser.wait(READY)
    browser.click("#lab summary")
    browser.run("document.getElementById('seconds').value = '0.2'; document.getElementById('model').value = 'bicubic'")
    browser.run("document.getElementById('model').dispatchEvent(new Event('change'))")
    browser.click("#run")
    browser.wait(
        "return document.getElementById('bar').value > 0 && document.getElementById('progress-facts').textContent"
    )
    browser.wait(SHOWN, 180)
    browser.wait("return document.getElementById('progress').hidden")
    assert "forest_720p.mp4: 320×180 → 1280×720" in browser.text("#facts")
    assert browser.text("#table tr th") == "bicubic" and float(browser.text("#table td")) > 20
    browser.wait("return !document.getElementById('video').paused && document.getElementById('frame').value > 0")

    browser.click("#play")
    assert browser.run("return document.getElementById('video').paused")
    before = whole(browser, "picture")
    browser.drag("#sheet", 0.3)
    assert 75 < float(browser.run("return document.getElementById('split').value")) < 85
    assert whole(browser, "picture") != before
    browser.type("#split", KEYS["left"] * 4)
    assert float(browser.run("return document.getElementById('split').value")) < 79

    frame = int(browser.run("return document.getElementById('frame').value"))
    browser.click("#forth")
    browser.wait(f"return document.getElementById('frame').value == {min(frame + 1, 4)}")
    browser.run("const f = document.getElementById('frame'); f.value = 3; f.dispatchEvent(new Event('input'))")
    browser.wait("return document.getElementById('frame-text').textContent == '4 / 5'")
    browser.wait("return document.getElementById('frame-facts').textContent.includes('vectors')")
    assert "Frame 4: bicubic" in browser.text("#curve-text")

    for layer in ("vectors", "partitions", "qp", "motion", "confidence"):
        clear = whole(browser, "overlay")
        browser.click(f"#layers input[value={layer}]")
        assert whole(browser, "overlay") != clear, layer
        assert len(browser.text("#legend")) > 20
        browser.click(f"#layers input[value={layer}]")
    browser.click("[data-tour=vectors]")
    assert "A codec stores" in browser.text("#tour-text") and colour(browser, "overlay", 0.01, 0.99)[3] > 0
    browser.wait("return !document.getElementById('video').seeking")
    browser.run("const f = document.getElementById('frame'); f.value = 3; f.dispatchEvent(new Event('input'))")
    browser.wait("return document.getElementById('frame-text').textContent == '4 / 5'")
    loupe = whole(browser, "loupe-left")
    browser.run("document.getElementById('loupe').focus()")
    browser.type("#loupe", KEYS["right"] * 3)
    assert whole(browser, "loupe-left") != loupe

    for button, name in (
        ("#png", "forest_720p_frame_4.png"),
        ("#json", "forest_720p_metrics.json"),
        ("#videos a", "forest_720p_comparison.mp4"),
    ):
        browser.click(button)
        until = time.monotonic() + 120
        while not (downloads / name).is_file():
            assert time.monotonic() < until, (name, list(downloads.iterdir()))
            time.sleep(0.1)
    assert cv2.imread(str(downloads / "forest_720p_frame_4.png")).shape == (760, 1280, 3)
    assert json.loads((downloads / "forest_720p_metrics.json").read_text())["frames"] == 5
    assert browser.messages() == []


def test_the_two_sides_are_of_one_frame_and_the_result_survives_a_reload(service: Service, browser: Browser) -> None:
    browser.run("location.reload()")
    browser.wait(SHOWN)
    browser.wait("return document.getElementById('frame').value > 0")
    browser.run("document.getElementById('video').pause()")
    for index in (0, 4, 2):
        browser.run(
            "const f = document.getElementById('frame'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))",
            index,
        )
        browser.wait(f"return document.getElementById('frame-text').textContent == '{index + 1} / 5'")
        # the same view on both sides is one picture: equal to itself across the divider, whichever frame it is
        browser.run(
            "for (const s of ['left', 'right']) { const e = document.getElementById(s); e.value = 1; e.dispatchEvent(new Event('change')); }"
        )
        browser.run("const s = document.getElementById('split'); s.value = 50; s.dispatchEvent(new Event('input'))")
        before = whole(browser, "picture")
        browser.run("const s = document.getElementById('split'); s.value = 0; s.dispatchEvent(new Event('input'))")
        assert whole(browser, "picture") == before
    assert browser.messages() == []


def test_an_upload_with_a_hostile_name_and_a_failure(
    service: Service, browser: Browser, tmp_path: Path, small_clip: bytes
) -> None:
    browser.run("location.hash = ''; location.reload()")
    browser.wait(READY)
    browser.click("#lab summary")
    clip = tmp_path / "<img src=x onerror=window.hurt=1>&lt;b&gt;.mp4"
    clip.write_bytes(small_clip[: len(small_clip) // 2])
    browser.type("#file", str(clip))
    browser.wait(
        "return !document.getElementById('run').disabled && document.getElementById('upload-name').textContent.includes('<img')"
    )
    browser.run("document.getElementById('seconds').value = '0.1'")
    browser.click("#run")
    browser.wait("return !document.getElementById('failure').hidden", 120)
    assert browser.text("#failure").startswith("This did not work:") and "<img src=x" in browser.text("#failure")
    assert browser.run("return document.images.length === 0 && window.hurt === undefined")
    (tmp_path / "notes.mp4").write_text("no video")
    browser.type("#file", str(tmp_path / "notes.mp4"))
    browser.wait("return document.getElementById('make-error').textContent.includes('this is not a video')")
    assert [text for text in browser.messages() if "415" not in text] == []  # Chromium logs the refused upload


def test_phone_dark_and_screen_reader(service: Service, browser: Browser) -> None:
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    phone = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    done = next(
        job["id"]
        for job in service.ask("api/jobs").json()["jobs"]
        if job["state"] == "done" and job["clip_name"].startswith("forest")
    )
    browser.command("Emulation.setDeviceMetricsOverride", phone)
    browser.command("Emulation.setEmulatedMedia", {"features": features})
    try:
        browser.open(f"{service.address}#job={done}")
        browser.run("location.reload()")
        browser.wait(SHOWN)
        assert browser.run("return document.documentElement.scrollWidth <= 390"), "the page is wider than a phone"
        assert browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 23)"
        nameless = browser.run(
            "return [...document.querySelectorAll('button, input, select, a, progress')].filter(e => e.offsetParent && "
            "!(e.textContent.trim() || e.labels?.length || e.ariaLabel || e.getAttribute('aria-labelledby') || e.title)).map(e => e.id)"
        )
        assert nameless == []
        tree = browser.command("Accessibility.getFullAXTree", {})["nodes"]
        named = {
            (node["role"]["value"], node["name"]["value"]) for node in tree if node.get("name") and not node["ignored"]
        }
        assert ("slider", "Divider between left and right") in named and ("slider", "Frame") in named
    finally:
        browser.command("Emulation.clearDeviceMetricsOverride", {})
        browser.command("Emulation.setEmulatedMedia", {"features": []})


def test_the_token_is_asked_for_and_kept_out_of_the_address(browser: Browser, tmp_path: Path) -> None:
    store = JobStore(tmp_path / "data")
    scheduler = Scheduler(store, Limits(), demo_clip())
    scheduler.models = [
        {"name": "bicubic", "description": "a baseline", "parameters": 0, "motion": [], "ablations": []},
        {"name": "<b>bold</b>", "description": "<i>text</i>", "parameters": None, "motion": [], "ablations": []},
    ]
    token = "sixteen characters"
    server = create_server(create_app(store, scheduler, token), host="127.0.0.1", port=0)
    threading.Thread(target=server.run, daemon=True).start()
    address = f"http://127.0.0.1:{server.effective_port}/"
    try:
        browser.open(address)
        browser.wait("return !document.getElementById('gate').hidden")
        browser.type("#gate-token", "not the right one")
        browser.click("#gate-form button")
        browser.wait("return document.getElementById('gate-error').textContent.includes('not the token')")
        browser.open(f"{address}?again#token={token}")
        browser.wait(READY)
        assert browser.run("return location.href") == address
        assert browser.run("return document.getElementById('model').options[1].text") == "<b>bold</b>"
        browser.messages()  # of the refusals that were wanted
    finally:
        server.close()
        store.close()
