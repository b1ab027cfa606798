"""The API without a worker: refusals, documentation and security headers."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict
from importlib import resources
from pathlib import Path

import av
import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")

from codecvsr.bitstream.deinterlace import MODES
from codecvsr.errors import CodecVSRError, InputError
from codecvsr.models.model_names import QUALITIES
from codecvsr.video.segments import ENCODERS
from codecvsr.web import sniff
from codecvsr.web.app import FILES, create_app, demo_clip
from codecvsr.web.enlargement import Enlargement
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters
from codecvsr.web.scheduler import Scheduler
from codecvsr.web.security import check_exposure
from codecvsr.web.store import JobStore
from tests.streams import encode, moving_texture

TOKEN = "a token of the tests"
MODELS = [
    {"name": "codecvsr", "motion": ["codec", "dis"], "ablations": ["mvs", "second_order", "priors"]},
    {"name": "bicubic", "motion": [], "ablations": []},
]
JOB = {"clip": "demo", "crf": 25}


@pytest.fixture
def make(tmp_path: Path):
    """A client of an application with a token or without."""
    stores = []

    def build(token: str | None = None, **limits):
        store = JobStore(tmp_path / f"data{len(stores)}")
        stores.append(store)
        scheduler = Scheduler(store, Limits(**limits), demo_clip())
        scheduler.models = MODELS
        return create_app(store, scheduler, token).test_client(), store

    yield build
    for store in stores:
        store.close()


def test_every_address_is_documented_and_every_documented_one_is_there(make) -> None:
    client, _ = make()
    document = client.get("/api/openapi.json").get_json()
    answer = {
        (path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"
    }
    there = set()
    for rule in client.application.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = rule.rule.replace("<identifier:id_>", "{id}").replace("<name>", "{name}")
            there |= {(path, method) for method in rule.methods - {"HEAD", "OPTIONS"}}
    assert answer == there
    parameters = document["paths"]["/api/jobs/{id}/files/{name}"]["parameters"]
    assert set(next(p for p in parameters if p["name"] == "name")["schema"]["enum"]) == set(FILES)


def test_documented_options_of_whole_videos_are_those_of_upscale(make) -> None:
    client, _ = make()
    documented = client.get("/api/openapi.json").get_json()["components"]["schemas"]["Enlargement"]["properties"]
    usual = Enlargement()
    assert {name: value["default"] for name, value in documented.items()} == asdict(usual)
    known = {"quality": list(QUALITIES), "codec": list(ENCODERS), "deinterlace": list(MODES)}
    assert {name: documented[name]["enum"] for name in known} == known
    assert client.get("/api/models").get_json()["qualities"] == {"balanced": "codecvsr"}  # of the models that are here


def test_the_page_uses_documented_operations_alone() -> None:
    static = resources.files("codecvsr.web").joinpath("static")
    document = json.loads(resources.files("codecvsr.web").joinpath("openapi.json").read_text())
    known = {op["operationId"] for item in document["paths"].values() for m, op in item.items() if m != "parameters"}
    files = [file for file in static.iterdir() if file.name.endswith((".js", ".css", ".html"))]
    scripts = "".join(file.read_text() for file in files if file.name.endswith(".js"))
    used = set(re.findall(r"(?:call|address)\('(\w+)'", scripts))
    assert (
        used <= known
        and {"create", "result", "cancel", "delete", "models", "inspect", "events", "upload", "estimate"} <= used
    )
    for file in files:
        name, text = file.name, file.read_text()
        assert not re.search(r"https?://(?!www\.w3\.org)", text), f"{name} names another host"
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=|\sstyle=", text), name


def test_browsers_are_told_to_load_nothing_else(make) -> None:
    client, _ = make()
    for path in ("/", "/static/main.js", "/api/models", "/api/nothing"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src 'self'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert b"<title>codecvsr</title>" in client.get("/").data


@pytest.mark.parametrize(
    ("asked", "status", "named"),
    [
        ([], 422, "object"),
        ({"clip": "demo"}, 422, "crf"),
        ({**JOB, "clip": "../../etc/passwd"}, 422, "clip"),
        ({**JOB, "clip": "f" * 32}, 404, "upload"),
        ({**JOB, "crf": 52}, 422, "crf"),
        ({**JOB, "crf": "25"}, 422, "crf"),
        ({**JOB, "crf": True}, 422, "crf"),
        ({**JOB, "seconds": 61}, 422, "seconds"),
        ({**JOB, "seconds": 1e999}, 422, "seconds"),
        ({**JOB, "start": -1}, 422, "start"),
        ({**JOB, "device": "cuda; rm"}, 422, "device"),
        ({**JOB, "model": "/tmp/weights.pth"}, 422, "model"),
        ({**JOB, "model": "codecvsr:random"}, 422, "model"),
        ({**JOB, "motion": "spynet"}, 422, "motion"),
        ({**JOB, "model": "bicubic", "ablations": ["mvs"]}, 422, "ablations"),
        ({**JOB, "ablations": ["everything"]}, 422, "ablations"),
        ({**JOB, "ablations": {"mvs": True}}, 422, "ablations"),
        ({**JOB, "other": {"model": "codecvsr", "extra": 1}}, 422, "extra"),
        ({**JOB, "output": "/tmp/x"}, 422, "output"),
    ],
)
def test_what_a_job_may_not_be(make, asked, status, named) -> None:
    client, store = make()
    answer = client.post("/api/jobs", data=json.dumps(asked), content_type="application/json")
    assert answer.status_code == status and named in answer.get_json()["error"]
    assert store.jobs() == []


def test_a_job_waits_is_listed_cancelled_and_deleted(make) -> None:
    client, store = make(queue=1)
    answer = client.post("/api/jobs", json={**JOB, "other": {"model": "codecvsr", "ablations": ["mvs"]}}).get_json()
    assert answer["state"] == "queued" and answer["position"] == 0 and answer["progress"] is None
    stored = store.job(answer["id"]).parameters
    parameters = Parameters.stored(stored)
    assert json.loads(json.dumps(parameters.to_json())) == stored and parameters.other.label == "codecvsr, no motion"
    assert client.post("/api/jobs", json=JOB).status_code == 429
    assert [job["id"] for job in client.get("/api/jobs").get_json()["jobs"]] == [answer["id"]]
    address = f"/api/jobs/{answer['id']}"
    for part in ("result", "inspect", "files/model.mp4"):
        assert client.get(f"{address}/{part}").status_code == 409
    assert client.post(f"{address}/cancel").get_json()["state"] == "cancelled"
    assert client.post(f"{address}/cancel").status_code == 409
    assert client.delete(address).status_code == 204
    assert client.get(address).status_code == client.delete(address).status_code == 404


@pytest.mark.parametrize("name", ["../result.json", "..%2fjobs.sqlite3", "%2e%2e%2fresult.json", "original", "a.mp4"])
def test_no_other_file_is_ever_opened(make, name: str) -> None:
    client, store = make()
    job = store.add_job("demo", "x", {}, max_active=9)
    store.claim()
    store.job_folder(job.id).mkdir()
    store.finish(job.id, "done")
    assert client.get(f"/api/jobs/{job.id}/files/{name}").status_code == 404
    assert client.get(f"/api/jobs/{'..' * 16}").status_code == 404


def test_uploads_are_known_by_their_content(make, small_clip: bytes) -> None:
    client, store = make(upload_bytes=len(small_clip) + 100)

    def send(content: bytes, name: str = "a.mp4", kind: str = "application/octet-stream"):
        return client.post("/api/clips", query_string={"name": name}, data=content, content_type=kind)

    made = send(small_clip, "../../<img src=x onerror=alert(1)>.mp4")
    assert made.status_code == 201 and made.get_json()["name"] == "<img src=x onerror=alert(1)>.mp4"
    clip = store.clip(made.get_json()["id"])
    assert store.upload_path(clip.id, clip.suffix).read_bytes() == small_clip
    for content in (
        b"#EXTM3U\nfile:///etc/passwd",
        b"ffconcat version 1.0",
        b"PK\x03\x04" + bytes(90),
        b"\x7fELF",
    ):
        assert send(content).status_code == 415
    assert send(small_clip, kind="video/mp4").status_code == 415
    assert send(small_clip + bytes(200)).status_code == 413
    assert [path.name for path in (store.folder / "clips").iterdir()] == [f"{clip.id}.mp4"]


def test_a_full_store_takes_nothing_more(make, small_clip: bytes) -> None:
    client, _ = make(stored_bytes=1000)
    answer = client.post("/api/clips", data=small_clip, content_type="application/octet-stream")
    assert answer.status_code == 507 and client.post("/api/jobs", json=JOB).status_code == 507


def test_containers_by_their_first_bytes() -> None:
    cases = {
        b"\x00\x00\x00\x20ftypisom": ".mp4",
        b"\x1a\x45\xdf\xa3\x01": ".mkv",
        b"RIFF\x00\x00\x00\x00AVI LIST": ".avi",
        b"FLV\x01\x05": ".flv",
        (b"\x47" + bytes(187)) * 4: ".ts",
        bytes(90) + (b"\x47" + bytes(187)) * 4: ".ts",  # a recording begins inside a packet
        (bytes(4) + b"\x47" + bytes(187)) * 4: ".m2ts",
        b"\x00\x00\x00\x01\x67\x42": ".h264",
        b"\x00\x00\x00\x01\x09\xf0": ".h264",
        b"\x00\x00\x00\x01\x40\x01": ".hevc",
        b"\x00\x00\x00\x01\x46\x01": ".hevc",
        b"\x00\x00\x01\xba\x44": ".mpg",
        b"\x00\x00\x01\xb3\x2d": ".mpg",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6": ".wmv",
        b"OggS\x00\x02": ".ogv",
        b"RIFF\x00\x00\x00\x00WAVEfmt ": None,
        b"\x00\x00\x02\xba\x44": None,
        b"\x47" * 100: None,
        b"\x89PNG\r\n\x1a\n": None,
        b"\x01\x42": None,
        b"": None,
    }
    assert {head: sniff.video_suffix(head) for head in cases} == cases


def test_every_container_that_the_command_line_writes_and_old_ones_are_recognised(tmp_path: Path) -> None:
    """Real files, made by FFmpeg's muxers: what begins them is not what a table of this package says."""
    frames = moving_texture(4, 64, 64, 1, 0)
    made = {
        "a.mp4": "libx264", "a.mov": "libx264", "a.mkv": "libx264", "a.webm": "libvpx", "a.avi": "mpeg4", "a.flv": "libx264",
        "a.ts": "libx264", "a.mts": "libx264", "a.m2ts": "libx264", "a.mpg": "mpeg2video", "a.vob": "mpeg2video", "a.wmv": "wmv2",
        "a.m2v": "mpeg2video", "a.h264": "libx264", "a.3gp": "libx264", "a.ogv": "libtheora", "a.nut": "libx264",
    }  # fmt: skip
    for name, codec in made.items():
        if codec in av.codecs_available:
            head = encode(tmp_path / name, frames, codec=codec).read_bytes()[: sniff.HEAD]
            assert sniff.video_suffix(head) is not None, name


def test_foreign_pages_cannot_ask_through_a_browser(make) -> None:
    client, store = make()
    for headers in (
        {"Host": "evil.example"},  # a name that was rebound to 127.0.0.1
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
    ):
        assert client.post("/api/jobs", json=JOB, headers=headers).status_code == 403
    assert client.get("/api/jobs", headers={"Host": "evil.example"}).status_code == 403
    assert client.post("/api/jobs", data=json.dumps(JOB), content_type="text/plain").status_code == 415  # no preflight
    assert store.jobs() == []
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert client.get("/api/jobs", headers={"Host": host}).status_code == 200


def test_the_token_opens_the_api_by_header_or_cookie(make) -> None:
    client, _ = make(TOKEN)
    assert client.get("/").status_code == client.get("/api/openapi.json").status_code == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "codecvsr_session=wrong"}):
        assert client.get("/api/models", headers=headers).status_code == 401
        assert client.post("/api/jobs", json=JOB, headers=headers).status_code == 401
    assert client.get("/api/models", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.post("/api/session", json={"token": "wrong"}).status_code == 401
    assert client.post("/api/session", json=["no object"]).status_code == 422
    made = client.post("/api/session", json={"token": TOKEN})
    assert made.status_code == 204
    cookie = made.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert client.get("/api/models").status_code == 200


def test_other_machines_need_a_token() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_exposure(host, None)
    for host in ("0.0.0.0", "192.168.1.5", "example.org", "::"):
        with pytest.raises(InputError, match="--token"):
            check_exposure(host, None)
        check_exposure(host, TOKEN)
    with pytest.raises(InputError, match="at least 16"):
        check_exposure("0.0.0.0", "short")


def test_a_job_that_cannot_be_started_fails_and_the_queue_continues(make, monkeypatch: pytest.MonkeyPatch) -> None:
    _, store = make()
    scheduler = Scheduler(store, Limits(), demo_clip())

    def refuse() -> None:
        raise CodecVSRError("the job server could not be started.")

    monkeypatch.setattr(scheduler, "_start_job_process", refuse)
    jobs = [
        store.add_job("demo", "clip.mp4", JOB, max_active=9),
        store.add_job("f" * 32, "gone.mp4", JOB, max_active=9),
    ]
    scheduler._thread.start()
    until = time.monotonic() + 60
    while any(store.job(job.id).finished is None for job in jobs):
        assert time.monotonic() < until
        time.sleep(0.05)
    scheduler.stop()
    errors = [store.job(job.id).error for job in jobs]
    assert "could not be started" in errors[0] and "upload it again" in errors[1]
