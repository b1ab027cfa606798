"""What a client may ask of a job: read from JSON, checked, and never a path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast

from codecvsr.errors import InputError

ABLATIONS = ("mvs", "second_order", "p_inversion", "resolve", "refine", "priors")
Motion = Literal["codec", "spynet", "dis", "zero", "raw"]
DEMO = "demo"
_CLIP = re.compile(r"demo|[0-9a-f]{32}")
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,2})?")


class ParameterError(InputError):
    """A request that says something else than it may; its text names the field."""


@dataclass(frozen=True)
class Run:
    """A model and what is changed about it.

    Attributes:
        model: a name of ``codecvsr models list``.
        motion: what aligns the frames; the model's usual one where it is None.
        ablations: parts that are left out, of :data:`ABLATIONS`.
    """

    model: str
    motion: Motion | None = None
    ablations: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What people read."""
        motion = f", {self.motion} motion" if self.motion else ""
        left_out = "".join(f", no {_SPOKEN[name]}" for name in self.ablations)
        return f"{self.model}{motion}{left_out}"


_SPOKEN = {
    "mvs": "motion",
    "second_order": "second order",
    "p_inversion": "mirrored motion",
    "resolve": "reference search",
    "refine": "refinement",
    "priors": "codec priors",
}


@dataclass(frozen=True)
class Parameters:
    """A job: what is to be upscaled, and how.

    Attributes:
        clip: ``"demo"`` or the identifier of an upload.
        crf: shrink by 4 and compress at this rate factor first, so that the truth is known; None: as it is.
        start: seconds from the first frame.
        seconds: how much of it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        run: the model that is asked about.
        other: another to compare with; bicubic is always there.
    """

    clip: str
    crf: float | None
    start: float
    seconds: float
    device: str
    run: Run
    other: Run | None

    def to_json(self) -> dict[str, Any]:
        """As requests have it."""
        told = asdict(self)
        return {**told.pop("run"), **told}

    @classmethod
    def from_json(cls, asked: object, models: Mapping[str, Mapping[str, Any]], max_seconds: float) -> Parameters:
        """Read a request.

        Args:
            asked: the decoded JSON of the request.
            models: what can be run: name -> ``motion`` and ``ablations`` it knows.
            max_seconds: of video a job may work on.

        Raises:
            ParameterError: a field is missing, unknown, of another type or out of its range.
        """
        known = {"clip", "crf", "start", "seconds", "device", "model", "motion", "ablations", "other"}
        asked = _object(asked, known, "the request")
        clip = asked.get("clip")
        if not isinstance(clip, str) or not _CLIP.fullmatch(clip):
            raise ParameterError('clip: "demo" or the identifier of an upload was expected.')
        if "crf" not in asked:
            raise ParameterError("crf: a number from 0 to 51, or null for the clip as it is, was expected.")
        device = asked.get("device", "auto")
        if not isinstance(device, str) or not _DEVICE.fullmatch(device):
            raise ParameterError("device: auto, cpu, cuda or cuda:N was expected.")
        other = asked.get("other")
        first = {key: asked[key] for key in ("model", "motion", "ablations") if key in asked}
        return cls(
            clip=clip,
            crf=None if asked["crf"] is None else _number(asked["crf"], "crf", 0, 51),
            start=_number(asked.get("start", 0), "start", 0, 86400),
            seconds=_number(asked.get("seconds", min(2.0, max_seconds)), "seconds", 0.01, max_seconds),
            device=device,
            run=_run({"model": "codecvsr", **first}, models, ""),
            other=None if other is None else _run(other, models, "other."),
        )

    @classmethod
    def stored(cls, told: Mapping[str, Any]) -> Parameters:
        """What :meth:`to_json` gave."""
        names = [field.name for field in fields(Run)]
        runs = [told if key is None else told[key] for key in (None, "other")]
        run, other = (
            None if one is None else Run(**{**{n: one[n] for n in names}, "ablations": tuple(one["ablations"])})
            for one in runs
        )
        assert run is not None
        return cls(
            told["clip"], told["crf"], told["start"], told["seconds"], told["device"], run, other
        )  # fmt: skip


def _object(value: object, known: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError(f"{what}: a JSON object was expected.")
    if unknown := sorted(set(value) - known):
        raise ParameterError(f"{what}: does not know {unknown[0][:40]!r}; it has {', '.join(sorted(known))}.")
    return value


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ParameterError(f"{name}: a number was expected.")
    if not low <= value <= high:
        raise ParameterError(f"{name}: {value:g} is not between {low:g} and {high:g}.")
    return float(value)


def _run(value: object, models: Mapping[str, Mapping[str, Any]], where: str) -> Run:
    asked = _object(value, {"model", "motion", "ablations"}, where.rstrip(".") or "the request")
    name = asked.get("model")
    if not isinstance(name, str) or name not in models:
        raise ParameterError(f"{where}model: one of {', '.join(models)} was expected.")
    motion = asked.get("motion")
    kinds: Sequence[str] = models[name]["motion"]
    if motion is not None and (not isinstance(motion, str) or motion not in kinds):
        raise ParameterError(f"{where}motion: {name} runs with {', '.join(kinds) or 'none'}, or null for the usual.")
    left_out = asked.get("ablations", [])
    allowed: Sequence[str] = models[name]["ablations"]
    if not isinstance(left_out, list) or not all(isinstance(part, str) for part in left_out):
        raise ParameterError(f"{where}ablations: a list of names was expected.")
    if unknown := [part for part in left_out if part not in allowed]:
        named = ", ".join(allowed) or "nothing"
        raise ParameterError(f"{where}ablations: {name} can leave out {named}, not {unknown[0][:40]!r}.")
    return Run(name, cast(Motion | None, motion), tuple(part for part in ABLATIONS if part in left_out))
