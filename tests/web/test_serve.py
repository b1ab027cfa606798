"""A real server: jobs from end to end, restarts, ten clients at once, and uploads that mean no good."""

from __future__ import annotations

import base64
import io
import json
import signal
import threading
import time
from dataclasses import fields
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")

from codecvsr.inference.ablations import Ablations
from tests.streams import encode, moving_texture
from tests.web.hostile import hostile_uploads
from tests.web.service import Service

HOSTILE = 200


def test_a_scored_job_from_upload_to_result(service: Service, small_clip: bytes) -> None:
    clip = service.upload(small_clip, "../a <b>clip</b>.mp4").json()["id"]
    id_ = service.job(
        clip=clip, crf=30, seconds=1, model="codecvsr", other={"model": "codecvsr", "ablations": ["mvs", "refine"]}
    )
    steps, states = [], []
    for line in service.ask(f"api/jobs/{id_}/events").body.decode().splitlines():
        if line.startswith("data: "):
            answer = json.loads(line[6:])
            states.append(answer["state"])
            steps += [answer["progress"]] if answer["progress"] else []
    job = service.wait(id_)
    assert job["state"] == "done", job
    fractions = [step["fraction"] for step in steps]  # short steps may pass between two events
    assert steps and fractions == sorted(fractions) and 0 <= fractions[0] and fractions[-1] <= 1
    assert states[-1] in {"running", "done"}  # the stream of a slow machine ends before the job
    result = service.ask(f"api/jobs/{id_}/result").json()
    assert (result["frames"], result["size"], result["layers"]) == (8, [128, 96], 8)
    assert [view["key"] for view in result["views"]] == ["bicubic", "model", "other", "original"]
    scores = [view["scores"] for view in result["views"]]
    assert scores[3] is None and all(len(s["per_frame"]["psnr_rgb"]) == 8 for s in scores[:3])
    assert scores[0]["mean"]["psnr_rgb"] > 10 and scores[1] != scores[2] != scores[0]
    assert result["views"][2]["run"]["ablations"] == ["mvs", "refine"]
    assert service.ask(f"api/jobs/{id_}/files/metrics.json").json() == result
    answer = service.ask(f"api/jobs/{id_}/inspect?start=2&count=3").json()
    assert answer["summary"]["frames"] == 8 and len(answer["frames"]) == 3 and answer["summary"]["width"] == 32
    assert "".join(service.ask(f"api/jobs/{id_}/inspect").json()["summary"]["gop"]["structure"])[0] == "I"
    frame = answer["frames"][1]
    vectors = np.frombuffer(base64.b64decode(frame["vectors"]), "<i2").reshape(-1, 7)
    assert frame["size"] == [32, 24] and frame["grid"] == [8, 6] and set(vectors[:, 6]) <= {0, 1} and len(vectors)
    assert len(base64.b64decode(frame["confidence"])) == 48 and len(base64.b64decode(frame["motion"])) == 4 * 48
    left = {path.name for path in (service.data / "jobs" / id_).iterdir()}
    assert left == {"comparison.mp4", "model.mp4", "other.mp4", "result.json", "inspection.json", "layers.jsonl"}


def test_films_play_in_browsers(service: Service, small_clip: bytes) -> None:
    clip = service.upload(small_clip).json()["id"]
    id_ = service.job(clip=clip, seconds=0.2)
    assert service.wait(id_)["state"] == "done"
    address = f"api/jobs/{id_}/files/comparison.mp4"
    whole = service.ask(address)
    assert whole.body.index(b"moov") < whole.body.index(b"mdat")  # the index comes first
    part = service.ask(address, Range="bytes=10-19")
    assert part.status == 206 and part.body == whole.body[10:20]
    assert service.ask(address, Range="bytes=99999999-").status == 416
    assert "attachment" in service.ask(f"{address}?download=1").headers["Content-Disposition"]
    result = service.ask(f"api/jobs/{id_}/result").json()
    assert [view["key"] for view in result["views"]] == ["bicubic", "original"]  # asked for bicubic: once is enough
    with av.open(io.BytesIO(whole.body)) as video:
        stream = video.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
    truth = moving_texture(8, 96, 128, 2, 1)
    mosaic = result["mosaic"]
    column, row = 1 % mosaic["columns"], 1 // mosaic["columns"]
    shown = frames[3][row * mosaic["cell"][1] :, column * mosaic["cell"][0] :][:96, :128]
    assert len(frames) == 5 and np.abs(shown.astype(int) - truth[3]).mean() < 6


def test_a_clip_as_it_is(service: Service, small_clip: bytes, tmp_path: Path) -> None:
    clip = service.upload(small_clip).json()["id"]
    id_ = service.job(clip=clip, crf=None, seconds=0.2, start=0.05)
    job = service.wait(id_)
    assert job["state"] == "done", job
    result = service.ask(f"api/jobs/{id_}/result").json()
    assert result["size"] == [512, 384] and result["compressed"] is None and result["views"][0]["scores"] is None
    assert result["frames"] == result["layers"] == 4
    with av.open(io.BytesIO(service.ask(f"api/jobs/{id_}/files/bicubic.mp4").body)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 4
    divx = encode(tmp_path / "divx.mkv", moving_texture(4, 64, 64, 1, 0), codec="mpeg4").read_bytes()
    id_ = service.job(clip=service.upload(divx, "divx.mkv").json()["id"], crf=None, seconds=1)
    assert service.wait(id_)["state"] == "done"
    assert service.ask(f"api/jobs/{id_}/result").json()["layers"] == 4
    other = encode(tmp_path / "old.mkv", moving_texture(4, 64, 64, 1, 0), codec="ffv1").read_bytes()
    clip = service.upload(other, "old.mkv").json()["id"]
    id_ = service.job(clip=clip, crf=None, seconds=1)
    assert service.wait(id_)["state"] == "done"
    result = service.ask(f"api/jobs/{id_}/result").json()
    assert result["layers"] == 0 and "old.mkv" in result["no_layers_because"] and "ffv1" in result["no_layers_because"]
    id_ = service.job(clip=clip, crf=None, seconds=0.1, model="codecvsr", ablations=["mvs"])
    job = service.wait(id_)
    assert job["state"] == "failed" and "needs the whole clip" in job["error"]


def test_what_is_too_large_or_too_small_is_said(service: Service, tmp_path: Path) -> None:
    large = encode(tmp_path / "l.mp4", np.zeros((1, 600, 1000, 3), np.uint8)).read_bytes()
    small = encode(tmp_path / "s.mp4", np.zeros((1, 32, 64, 3), np.uint8)).read_bytes()
    for content, asked, said in (
        (large, {"crf": None}, "would become 4000x2400"),
        (small, {}, "at least 64x64"),
        (small, {"crf": None, "start": 5}, "no frame lies"),
    ):
        id_ = service.job(clip=service.upload(content, "c.mp4").json()["id"], **asked)
        job = service.wait(id_)
        assert job["state"] == "failed" and said in job["error"], job
        assert str(service.data) not in job["error"]
        assert not (service.data / "jobs" / id_).exists()


@pytest.mark.slow
def test_ten_clients_at_once(service: Service, small_clip: bytes) -> None:
    clip = service.upload(small_clip).json()["id"]
    ended: list[str] = []
    ids = [service.job(clip=clip, seconds=0.15) for _ in range(10)]

    def follow(id_: str) -> None:
        stream = service.ask(f"api/jobs/{id_}/events").body.decode()
        if service.wait(id_)["state"] == "done" and "event: job" in stream:
            ended.append(id_)

    clients = [threading.Thread(target=follow, args=(id_,)) for id_ in ids]
    for client in clients:
        client.start()
    resident = _memory(service)
    for client in clients:
        client.join(180)
    assert sorted(ended) == sorted(ids)
    finished = [service.ask(f"api/jobs/{id_}").json()["finished"] for id_ in ids]
    assert finished == sorted(finished)  # in the order they came
    assert _memory(service) < resident + 60e6


def test_cancelling_and_deleting_a_running_job(service: Service) -> None:
    id_, after = service.job(seconds=1.25, model="codecvsr"), service.job(clip="demo", seconds=0.05)
    _until(lambda: service.ask(f"api/jobs/{id_}").json()["progress"])
    assert service.ask(f"api/jobs/{id_}/cancel", method="POST").status == 200
    begun = time.monotonic()
    assert service.wait(id_)["state"] == "cancelled" and time.monotonic() - begun < 20
    assert not (service.data / "jobs" / id_).exists()
    running = service.job(seconds=1.25, model="codecvsr")
    assert service.wait(after)["state"] == "done"
    _until(lambda: service.ask(f"api/jobs/{running}").json()["progress"])
    assert service.ask(f"api/jobs/{running}", method="DELETE").status == 204
    _until(lambda: service.ask(f"api/jobs/{running}").status == 404)
    _until(lambda: not (service.data / "jobs" / running).exists())


@pytest.mark.slow
def test_hostile_uploads_hurt_nobody(service: Service, small_clip: bytes) -> None:
    refused, accepted = 0, []
    for name, content in hostile_uploads(small_clip, HOSTILE):
        answer = service.upload(content, name)
        assert answer.status in (201, 415), (name, answer.status, answer.body)
        if answer.status == 415:
            refused += 1
            continue
        shown = answer.json()["name"]
        assert shown.isprintable() and "/" not in shown and "\\" not in shown and 0 < len(shown) <= 120
        crf = 30 if len(accepted) % 4 else None
        accepted.append(service.job(clip=answer.json()["id"], crf=crf, seconds=0.1))
    assert refused >= HOSTILE // 4 and len(accepted) >= HOSTILE // 4
    for id_ in accepted:
        job = service.wait(id_, 300)
        assert job["state"] in ("done", "failed"), job
        if job["state"] == "failed":
            assert "internal error" not in job["error"] and str(service.data) not in job["error"], job
            assert not (service.data / "jobs" / id_).exists()
    assert service.ask("api/models").status == 200
    good = service.job(clip=service.upload(small_clip).json()["id"])
    assert service.wait(good)["state"] == "done"
    assert {path.name for path in service.data.iterdir()} >= {"clips", "jobs", "jobs.sqlite3"}
    assert all(len(path.stem) == 32 for path in (service.data / "clips").iterdir())


@pytest.mark.slow
def test_a_killed_server_takes_its_jobs_up_again(tmp_path: Path, small_clip: bytes) -> None:
    service = Service(tmp_path / "data").start()
    clip = service.upload(small_clip).json()["id"]
    running, waiting = service.job(seconds=1.25, model="codecvsr"), service.job(clip=clip)
    _until(lambda: service.ask(f"api/jobs/{running}").json()["progress"])
    assert service.stop(signal.SIGKILL) == -signal.SIGKILL
    token = "sixteen characters"
    service = Service(tmp_path / "data", variables={"CODECVSR_SERVE_TOKEN": token}).start()
    assert service.address.endswith(f"#token={token}")
    assert service.ask(f"api/jobs/{running}").status == 401
    cookie = service.ask("api/session", {"token": token}).headers["Set-Cookie"].split(";")[0]
    job = service.ask(f"api/jobs/{running}", Cookie=cookie).json()
    assert job["state"] in ("queued", "running")
    assert service.ask(f"api/jobs/{running}", method="DELETE", Cookie=cookie).status == 204
    _until(lambda: service.ask(f"api/jobs/{waiting}", Cookie=cookie).json()["state"] == "done")
    assert service.stop() == 0


def _until(condition, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def _memory(service: Service) -> int:
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def test_every_ablation_of_infer_is_offered(service: Service) -> None:
    """The page knows the names of infer, for the models that support them, and so does the OpenAPI document."""
    models = {model["name"]: model["ablations"] for model in service.ask("api/models").json()["models"]}
    names = [field.name for field in fields(Ablations)]
    assert models["codecvsr"] == [name for name in names if name != "motion_jitter"] and models["bicubic"] == []
    text = json.dumps(service.ask("api/openapi.json").json())
    assert all(f'"{name}"' in text for name in names)
