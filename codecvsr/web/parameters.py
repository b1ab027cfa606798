"""Parameters of a job: read from a request's JSON and checked. They never contain a path."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from codecvsr.errors import InputError
from codecvsr.inference.ablations import MotionKind

DEMO = "demo"
_CLIP = re.compile(r"demo|[0-9a-f]{32}")
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,2})?")


class ParameterError(InputError):
    """A request is invalid; the text names the field."""


@dataclass(frozen=True)
class Run:
    """A model and its options.

    Attributes:
        model: a name of ``codecvsr models list``.
        motion: source of the motion; None for the model's default.
        ablations: disabled parts, names of ``codecvsr.inference.ablations.Ablations``.
    """

    model: str
    motion: MotionKind | None = None
    ablations: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The text that users see."""
        motion = f", {self.motion} motion" if self.motion else ""
        ablations = "".join(f", no {_LABELS.get(name, name)}" for name in self.ablations)
        return f"{self.model}{motion}{ablations}"


_LABELS = {  # of ablations
    "mvs": "motion",
    "second_order": "second order",
    "p_inversion": "mirrored motion",
    "resolve": "reference search",
    "refine": "refinement",
    "priors": "codec priors",
    "motion_jitter": "motion jitter",
}


@dataclass(frozen=True)
class Parameters:
    """The request for a job.

    Attributes:
        clip: ``"demo"`` or the identifier of an upload.
        crf: downsample by 4 and compress at this CRF first, so that scores can be measured; None to upscale directly.
        start: start time in seconds from the first frame.
        seconds: duration.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        run: the model to show.
        other: another to compare with; bicubic is always added.
    """

    clip: str
    crf: float | None
    start: float
    seconds: float
    device: str
    run: Run
    other: Run | None

    def to_json(self) -> dict[str, Any]:
        """Returns the parameters as in a request."""
        values = asdict(self)
        return {**values.pop("run"), **values}

    @classmethod
    def from_json(cls, body: object, models: Mapping[str, Mapping[str, Any]], max_seconds: float) -> Parameters:
        """Read a request.

        Args:
            body: the decoded JSON of the request.
            models: the available models: name -> ``motion`` and ``ablations`` that it supports.
            max_seconds: maximum duration of video per job.

        Raises:
            ParameterError: a field is missing, unknown, of a wrong type or out of range.
        """
        known = {"clip", "crf", "start", "seconds", "device", "model", "motion", "ablations", "other"}
        asked = _object(body, known, "the request")
        clip = asked.get("clip")
        if not isinstance(clip, str) or not _CLIP.fullmatch(clip):
            raise ParameterError('clip: "demo" or the identifier of an upload was expected.')
        if "crf" not in asked:
            raise ParameterError("crf: a number from 0 to 51, or null to upscale the clip directly, was expected.")
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
    def stored(cls, values: Mapping[str, Any]) -> Parameters:
        """Reads the output of :meth:`to_json`."""
        names = [field.name for field in fields(Run)]
        runs = [values if key is None else values[key] for key in (None, "other")]
        run, other = (
            None if one is None else Run(**{**{n: one[n] for n in names}, "ablations": tuple(one["ablations"])})
            for one in runs
        )
        assert run is not None
        return cls(
            values["clip"], values["crf"], values["start"], values["seconds"], values["device"], run, other
        )  # fmt: skip


def _object(value: object, known: set[str], name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ParameterError(f"{name}: a JSON object was expected.")
    if unknown := sorted(set(value) - known):
        raise ParameterError(f"{name}: unknown field {unknown[0][:40]!r}; expected {', '.join(sorted(known))}.")
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
        raise ParameterError(f"{where}motion: {name} runs with {', '.join(kinds) or 'none'}, or null for its default.")
    ablations = asked.get("ablations", [])
    allowed: Sequence[str] = models[name]["ablations"]
    if not isinstance(ablations, list) or not all(isinstance(part, str) for part in ablations):
        raise ParameterError(f"{where}ablations: a list of names was expected.")
    if unknown := [part for part in ablations if part not in allowed]:
        named = ", ".join(allowed) or "nothing"
        raise ParameterError(f"{where}ablations: {name} supports {named}, not {unknown[0][:40]!r}.")
    return Run(name, cast(MotionKind | None, motion), tuple(part for part in allowed if part in ablations))
