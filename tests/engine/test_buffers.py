"""Buffers: memory is reused only when no view refers to it, and the unused part is bounded."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from codecvsr.engine.native import buffers
from codecvsr.engine.native.buffers import LARGE, empty, empty_bytes, spare_bytes


@pytest.fixture(autouse=True)
def _nothing_spare(monkeypatch):
    monkeypatch.setattr(buffers, "_spare", {})


@pytest.mark.parametrize("count", [1, 63, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE + 17])
def test_memory_is_aligned_and_writable(count):
    memory = empty_bytes(count)
    memory[:] = 7
    assert memory.shape == (count,) and memory.ctypes.data % 64 == 0 and (memory == 7).all()
    assert empty(3, 5, 16).shape == (3, 5, 16) and empty(3, 5, 16).dtype == np.float32


def test_memory_is_reused_after_the_last_view():
    first = empty(512, 1024)
    address, part = first.ctypes.data, first[3:].reshape(-1)[7:].view(np.uint8)
    del first
    other = empty(512, 1024)
    assert other.ctypes.data != address and spare_bytes() == 0  # a view of a view refers to it
    del part
    assert spare_bytes() == 4 * 512 * 1024
    again = empty(512, 1024)
    assert again.ctypes.data == address and spare_bytes() == 0
    del other
    assert empty(512, 1025).ctypes.data % 64 == 0 and spare_bytes() > 0  # another size is no use of it


def test_unused_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "MAX_SPARE_BYTES", 5 * LARGE)
    held = [empty_bytes(2 * LARGE) for _ in range(4)]
    held.clear()
    assert spare_bytes() == 4 * LARGE


def test_no_memory_is_a_memory_error():
    with pytest.raises(MemoryError, match="bytes"):
        empty_bytes(1 << 62)


def test_threads_never_share_memory():
    wrong = []

    def work(mark):
        for _ in range(200):
            memory = empty_bytes(LARGE)
            memory[::4096] = mark
            if (memory[::4096] != mark).any():
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and spare_bytes() <= 4 * LARGE
