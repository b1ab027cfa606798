"""Files that tests of adapters begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from codecvsr.models.basicvsr import BasicVSR
from tests.models.adapters import Files, changed


@pytest.fixture()
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    """A base, it trained further, and the path of an adapter beside them; and an empty cache."""
    monkeypatch.setenv("CODECVSR_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    network = BasicVSR(num_feat=8, num_block=2)
    base, tuned = tmp_path / "base.safetensors", tmp_path / "tuned.safetensors"
    save_file(network.state_dict(), base)
    save_file(changed(network.state_dict()), tuned, metadata={"steps": "450", "motion": "codec"})
    return base, tuned, tmp_path / "adapter.safetensors"
