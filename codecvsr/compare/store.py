"""Stores measurements in a folder, so that an interrupted comparison continues."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch

import codecvsr
from codecvsr.compare.clips import TestClip
from codecvsr.compare.measurements import Measurement, Picture, Settings
from codecvsr.compare.variants import Variant
from codecvsr.engine.plan import make_plan
from codecvsr.errors import OutputError
from codecvsr.files import atomic_file, atomic_folder, list_images, write_png
from codecvsr.metrics.artifacts import LABELS
from codecvsr.models.zoo import LoadedModel

STORE_FORMAT = 1  #: of the stored files; files of another format are measured again


class MeasurementStore:
    """Measurements in a folder, each named by a digest of everything that decides its figures."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder`` and create it if it is missing.

        Raises:
            OutputError: it has other files, or cannot be created.
        """
        self.folder = folder / "cells"
        if folder.exists() and not self.folder.is_dir() and (not folder.is_dir() or any(folder.iterdir())):
            raise OutputError(f"{folder}: is not a folder of codecvsr compare; choose another folder or an empty one.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be created ({error.strerror}).") from error

    def key(self, variant: Variant, model: LoadedModel, clip: TestClip, settings: Settings) -> str:
        """Returns the digest that names a measurement's files."""
        plan = make_plan(settings.device, settings.precision, settings.compile, architecture=model.architecture)
        device = plan.device
        inputs = {
            "format": STORE_FORMAT,
            "row": variant.name,
            "weights": model.sha256 or model.name,
            "metadata": sorted(model.metadata.items()),
            "clip": clip.fingerprint(),
            "settings": _scoring(settings),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
            "precision": plan.precision + (" compiled" if plan.compile else ""),
            "native": plan.native,
            "threads": torch.get_num_threads() if device.type == "cpu" else None,
            "versions": [codecvsr.__version__, torch.__version__],
        }
        return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:24]

    def load(self, key: str) -> Measurement | None:
        """Returns a stored measurement; None if it is missing or unreadable."""
        with contextlib.suppress(OSError, ValueError, TypeError):  # an unreadable file is measured again
            content: Mapping[str, Any] = json.loads((self.folder / f"{key}.json").read_text(encoding="utf-8"))
            return Measurement(**{**content, "per_frame": tuple(content["per_frame"])})
        return None

    def save(self, key: str, measurement: Measurement, middle: Picture | None) -> None:
        """Writes a measurement and its picture."""
        if middle is not None:
            write_png(self.folder / f"{key}.png", middle)
        with atomic_file(self.folder / f"{key}.json") as part:
            part.write_text(json.dumps(dataclasses.asdict(measurement)) + "\n", encoding="utf-8")

    def frames(self, key: str) -> Path:
        """Returns the folder of all frames; it exists only where they were asked for."""
        return self.folder / key

    def has_frames(self, key: str, count: int) -> bool:
        """Whether that folder has ``count`` frames."""
        folder = self.frames(key)
        return folder.is_dir() and len(list_images(folder)) == count

    def new_frames(self, key: str) -> AbstractContextManager[Path]:
        """Returns a context whose folder becomes :meth:`frames` once it is complete."""
        return atomic_folder(self.frames(key), overwrite=True, is_private=True)

    def picture(self, key: str) -> Path:
        """Returns the path of the middle frame's picture; it does not exist for random weights."""
        return self.folder / f"{key}.png"


def _scoring(settings: Settings) -> list[object]:
    """What decides the scores; settings that came later count only where they are on, so that older files stay valid.

    Artifacts count with the names of their measures: a version that lacked one stored nothing that is complete.
    """
    common = [settings.frames, settings.window, settings.crop_border, settings.temporal, settings.lpips]
    return [*common, *(["artifacts", *LABELS] if settings.artifacts else [])]
