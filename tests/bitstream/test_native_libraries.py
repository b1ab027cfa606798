"""Libraries that cannot be used are named, and their structures are those of the headers."""

from __future__ import annotations

import ctypes

import pytest

from codecvsr import native_libraries
from codecvsr.bitstream import native_reader
from tests.bitstream.test_native import needs_fields, needs_reader


@pytest.mark.parametrize("content", [b"", b"not a library", b"\x7fELF" + bytes(60)])
def test_a_broken_library_is_none_and_said_so(tmp_path, monkeypatch, content):
    (tmp_path / "libcvsr_broken.so").write_bytes(content)
    monkeypatch.setattr(native_libraries, "folders", lambda: [tmp_path])
    monkeypatch.setattr(native_libraries.sys, "platform", "linux")
    monkeypatch.setattr(native_libraries, "_problems", {})
    assert native_libraries._load("broken", 1) is None
    assert "libcvsr_broken.so" in native_libraries.load_problems()["cvsr_broken"]


@needs_fields
def test_a_library_of_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(native_libraries, "_problems", {})
    assert native_libraries._load("field", 999) is None
    assert (
        f"interface version {native_libraries._ABI['field']}, 999 was expected"
        in native_libraries.load_problems()["cvsr_field"]
    )


@needs_reader
def test_the_structs_are_those_of_the_header():
    """An int after an odd number of ints is where a struct written twice goes wrong first."""
    assert ctypes.sizeof(native_reader._Frame) == 3 * 8 + 3 * 8 + 13 * 4 + 4
    assert ctypes.sizeof(native_reader._Stream) == 8 + 4 * 4 + 8
