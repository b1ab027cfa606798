"""``codecvsr serve`` where it cannot serve."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from codecvsr.cli import cli


def test_without_flask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("codecvsr.web.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flask", None)
    result = CliRunner().invoke(cli, ["serve", "--data", str(tmp_path)])
    assert result.exit_code == 1 and "pip install 'codecvsr[web]'" in " ".join(result.stderr.split())


def test_other_machines_are_not_served_without_a_token(tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="Flask is not installed (pip install 'codecvsr[web]')")
    pytest.importorskip("waitress", reason="waitress is not installed (pip install 'codecvsr[web]')")
    result = CliRunner().invoke(cli, ["serve", "--host", "0.0.0.0", "--data", str(tmp_path / "data")])
    assert result.exit_code == 1 and "--token" in result.stderr and not (tmp_path / "data").exists()
