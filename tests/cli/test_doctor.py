"""``codecvsr doctor``."""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import logging
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr import native_libraries
from codecvsr.bitstream import native_reader
from codecvsr.cli import cli


def run(*args: str, **env: str):
    return CliRunner().invoke(cli, ["doctor", *args], env=env)


def test_json_is_the_contract():
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    out = json.loads(result.stdout)
    fields = "native" if native_libraries.field_library() is not None else "numpy"
    reader = "native" if native_libraries.reader_library() is not None else "pyav"
    assert out["backend"] == {"fields": fields, "reader": reader}
    assert out["device"] in ("cpu", "cuda")
    assert out["versions"]["numpy"] == np.__version__
    assert all(out["versions"][name] for name in ("codecvsr", "python", "torch", "av", "opencv", "av_libavcodec"))
    assert set(out["weights"]) >= {"codecvsr", "basicvsr-reds4"}
    assert out["encoders"]["libx264"] is True
    assert out["memory"]["total_bytes"] > 2**28 and out["cpu"]["cores"] >= 1


def test_the_table_names_what_was_found():
    result = run()
    assert result.exit_code == 0
    words = result.stdout.split()
    out = json.loads(run("--json").stdout)
    for expected in (*out["backend"].values(), out["device"], out["versions"]["torch"], out["versions"]["av"]):
        assert expected in words
    assert result.stderr == ""


def test_without_torch_it_still_answers(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(importlib.metadata, "version", missing_torch(importlib.metadata.version))
    for module in [name for name in sys.modules if name.startswith(("codecvsr.models", "codecvsr.engine"))]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delattr("codecvsr.models", raising=False)
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    out = json.loads(result.stdout)
    assert (out["device"], out["gpus"], out["versions"]["torch"], out["weights"]) == ("cpu", [], None, {})
    assert "pip install torch" in run().stdout


def missing_torch(version):
    def without(name: str) -> str:
        if name == "torch":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    return without


@pytest.mark.parametrize(
    ("fields", "reader", "code", "named"),
    [(True, True, 0, []), (True, False, 1, ["reader (pyav)"]), (False, False, 1, ["fields (numpy)", "reader (pyav)"])],
)
def test_require_native(monkeypatch, fields, reader, code, named):
    monkeypatch.setattr(native_libraries, "field_library", lambda: ctypes.CDLL(None) if fields else None)
    monkeypatch.setattr(native_libraries, "reader_library", lambda: ctypes.CDLL(None) if reader else None)
    monkeypatch.setattr(native_reader, "libavcodec_version", lambda: "59.37.100" if reader else None)
    result = run("--require-native", "--json")
    assert result.exit_code == code
    out = json.loads(result.stdout)
    assert (out["backend"]["fields"] == "native", out["backend"]["reader"] == "native") == (fields, reader)
    assert out["versions"]["native_libavcodec"] == ("59.37.100" if reader else None)
    assert all(name in result.stderr for name in named)
    assert ("fields (" in result.stderr) is (not fields)


def test_switching_native_off_shows():
    assert json.loads(run("--json", CODECVSR_NATIVE="0").stdout)["backend"] == {"fields": "numpy", "reader": "pyav"}


def test_a_library_that_cannot_be_loaded_is_warned_of(monkeypatch):
    monkeypatch.setattr(native_libraries, "load_problems", lambda: {"cvsr_reader": "libavcodec.so.59: cannot open"})
    result = run("--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["problems"] == [
        "cvsr_reader is built but cannot be used: libavcodec.so.59: cannot open"
    ]
    assert "warning: cvsr_reader is built but cannot be used" in result.stderr


def test_a_missing_library_is_noted_once_with_its_cost(monkeypatch, caplog):
    monkeypatch.setattr(native_libraries, "_logger", logging.getLogger("test"))
    monkeypatch.setattr(native_libraries, "_library", lambda name: None)
    monkeypatch.delenv("CODECVSR_NATIVE", raising=False)
    native_libraries.note_missing.cache_clear()
    try:
        for _ in range(2):
            native_libraries.note_missing()
        (message,) = caplog.messages
        assert "numpy, some 25 times slower" in message and "PyTorch" in message and "codecvsr doctor" in message
        monkeypatch.setenv("CODECVSR_NATIVE", "0")  # as asked for
        native_libraries.note_missing.cache_clear()
        native_libraries.note_missing()
        assert len(caplog.messages) == 1
    finally:
        native_libraries.note_missing.cache_clear()
