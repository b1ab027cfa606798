"""A little of the W3C WebDriver protocol: enough to use a page as a person does, and no package for it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
KEYS = {"right": "\ue014", "left": "\ue012", "space": " "}


def browser_programs() -> tuple[str, str] | None:
    """Chromium and its driver, where both are installed."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    return (chromium, driver) if chromium and driver else None


class Browser:
    """A headless Chromium."""

    def __init__(self, downloads: Path, *, width: int = 1280, height: int = 1000) -> None:
        programs = browser_programs()
        assert programs is not None
        chromium, driver = programs
        self._process = subprocess.Popen(
            [driver, "--port=0", "--log-level=SEVERE"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if "started successfully on port" in line:
                port = int(line.split("port")[1].strip(" .\n"))
                self._root = f"http://127.0.0.1:{port}"
                break
        arguments = [
            "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", f"--window-size={width},{height}",
            "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars", "--lang=en",
        ]  # fmt: skip
        options = {
            "binary": chromium,
            "args": arguments,
            "prefs": {
                "download.default_directory": str(downloads),
                "download.prompt_for_download": False,
                "profile.default_content_setting_values.automatic_downloads": 1,  # several, one after the other
            },
        }
        asked = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": asked}})
        except BaseException:
            self._process.kill()
            raise
        self._root += f"/session/{made['sessionId']}"

    def close(self) -> None:
        """End the browser and its driver."""
        try:
            self._ask("DELETE", "", None)
        finally:
            self._process.terminate()
            self._process.wait(10)

    def _ask(self, method: str, path: str, value: Any) -> Any:
        body = None if value is None else json.dumps(value).encode()
        request = urllib.request.Request(self._root + path, body, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {json.load(error)['value']['message']}") from None

    def open(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *values: Any) -> Any:
        """The value of a script's ``return``."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(values)})

    def find(self, selector: str) -> str:
        return self._ask("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def click(self, selector: str) -> None:
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", {_ELEMENT: element})
        self._ask("POST", f"/element/{element}/click", {})

    def type(self, selector: str, text: str) -> None:
        self._ask("POST", f"/element/{self.find(selector)}/value", {"text": text})

    def text(self, selector: str) -> str:
        return self._ask("GET", f"/element/{self.find(selector)}/text", None)

    def drag(self, selector: str, by_x: float, by_y: float = 0) -> None:
        """Press in the middle of an element, move by a part of its width and height, let go."""
        box = self._ask("GET", f"/element/{self.find(selector)}/rect", None)
        origin = {_ELEMENT: self.find(selector)}
        move = {"type": "pointerMove", "origin": origin, "duration": 50}
        actions = [
            {**move, "x": 0, "y": 0},
            {"type": "pointerDown", "button": 0},
            {**move, "x": round(box["width"] * by_x), "y": round(box["height"] * by_y)},
            {"type": "pointerUp", "button": 0},
        ]
        self._ask("POST", "/actions", {"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]})

    def wait(self, script: str, seconds: float = 120) -> Any:
        """Wait until a script returns something true."""
        until = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < until, f"waited {seconds} s in vain for: {script}\n{self.messages()}"
            time.sleep(0.1)
        return value

    def messages(self) -> list[str]:
        """Errors and warnings of the page since they were last asked for."""
        return [m["message"] for m in self._ask("POST", "/se/log", {"type": "browser"}) if m["level"] != "INFO"]

    def command(self, name: str, values: dict[str, Any]) -> Any:
        """A command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", {"cmd": name, "params": values})

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        if whole:
            made = self.command("Page.captureScreenshot", {"captureBeyondViewport": True, "format": "png"})["data"]
        else:
            made = self._ask("GET", "/screenshot", None)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(made))
