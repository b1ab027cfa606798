"""The folder where measured cells are kept, so that a comparison can be stopped and continued."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import codecvsr
from codecvsr.compare.clips import TestClip
from codecvsr.compare.measurements import Cell, Picture, Settings
from codecvsr.compare.variants import Row
from codecvsr.engine.plan import make_plan
from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, write_png
from codecvsr.models.zoo import LoadedModel

CELL_FORMAT = 1  #: of the kept files; older ones are measured again


class CellStore:
    """Measured cells in a folder, each under a digest of everything that decides its figures."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, made where it is missing.

        Raises:
            OutputError: it is something else, or cannot be made.
        """
        self.folder = folder / "cells"
        if folder.exists() and not self.folder.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is no folder of codecvsr compare; choose another or an empty one.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made ({error.strerror}).") from error

    def key(self, row: Row, model: LoadedModel, clip: TestClip, settings: Settings) -> str:
        """Under what a cell is kept."""
        plan = make_plan(settings.device, settings.precision, settings.compile, architecture=model.architecture)
        device = plan.device
        decides = {
            "format": CELL_FORMAT,
            "row": row.name,
            "weights": model.sha256 or model.name,
            "metadata": sorted(model.metadata.items()),
            "clip": clip.fingerprint(),
            "settings": [settings.frames, settings.window, settings.crop_border, settings.temporal, settings.lpips],
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "precision": plan.precision + (" compiled" if plan.compile else ""),
            "native": plan.native,
            "threads": torch.get_num_threads() if device.type == "cpu" else None,
            "versions": [codecvsr.__version__, torch.__version__],
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]

    def load(self, key: str) -> Cell | None:
        """A cell that was kept; None where there is none that can be read."""
        with contextlib.suppress(OSError, ValueError, TypeError):  # such a cell is measured again
            content: Mapping[str, Any] = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return Cell(**{**content, "per_frame": tuple(content["per_frame"])})
        return None

    def save(self, key: str, cell: Cell, middle: Picture | None) -> None:
        """Keep a cell and its picture."""
        if middle is not None:
            write_png(self.folder / f"{key}.png", middle)
        with atomic_file(self.folder / f"{key}.json") as part:
            part.write_text(json.dumps(dataclasses.asdict(cell)) + "\n", encoding="utf-8")

    def picture(self, key: str) -> Path:
        """The picture of a kept cell's middle frame; cells of random weights have none."""
        return self.folder / f"{key}.png"
