"""schemathesis asks what it likes of the addresses in the OpenAPI document, for some seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")
pytest.importorskip("schemathesis", reason="schemathesis is not installed (pip install 'codecvsr[dev]')")

from tests.web.service import Service

EXAMPLES = 6  # requests per kind and address
#: Valid requests may be refused for what a document cannot say: no such job, model or upload, the server's own limits.
EXCLUDED_CHECK = "positive_data_acceptance"
OF_JOBS = "result|inspect|files|events"  #: addresses that are asked of a job that is there
ESTIMATES = "estimates"  #: every answer is a trial of some seconds: test_whole_video.py checks one against the document


@pytest.mark.slow
def test_answers_are_as_documented(service: Service, small_clip: bytes, tmp_path: Path) -> None:
    id_ = service.job(clip=service.upload(small_clip).json()["id"])
    assert service.wait(id_)["state"] == "done"
    try:
        (tmp_path / "schemathesis.toml").write_text(f'parameters = {{ "path.id" = "{id_}" }}\n')
        of_jobs = _run(service, tmp_path, "--include-path-regex", OF_JOBS)
        assert of_jobs.returncode == 0, of_jobs.stdout[-6000:]
        (tmp_path / "schemathesis.toml").unlink()
        others = _run(service, tmp_path, "--exclude-path-regex", f"{OF_JOBS}|{ESTIMATES}")
        assert others.returncode == 0, others.stdout[-6000:]
    finally:
        while jobs := service.ask("api/jobs").json()["jobs"]:  # the one that runs goes as soon as it has stopped
            for job in jobs:
                service.ask(f"api/jobs/{job['id']}", method="DELETE")


def _run(service: Service, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{service.address}api/openapi.json", "--url", service.address,
            "--checks", "all", "--exclude-checks", EXCLUDED_CHECK, "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
            "--seed", "1", "--generation-database", "none", "--no-color", *options,
        ],
        check=False, cwd=folder, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
