"""Parameters of a job: read from a request's JSON and checked. They never contain a path."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

from codecvsr.inference.ablations import MotionKind
from codecvsr.web.checks import ParameterError, check_number, check_object
from codecvsr.web.enlargement import Enlargement

DEMO = "demo"
_CLIP = re.compile(r"demo|[0-9a-f]{32}")
_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,2})?")


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
        upscale: enlarge the whole video with these options; None to make a comparison of a part.
    """

    clip: str
    crf: float | None
    start: float
    seconds: float
    device: str
    run: Run
    other: Run | None
    upscale: Enlargement | None = None

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
        of_parts = {"start", "seconds", "model", "motion", "ablations", "other"}
        known = {"clip", "crf", "device", "upscale"} | of_parts
        asked = check_object(body, known, "the request")
        clip = asked.get("clip")
        if not isinstance(clip, str) or not _CLIP.fullmatch(clip):
            raise ParameterError('clip: "demo" or the identifier of an upload was expected.')
        if "crf" not in asked:
            raise ParameterError("crf: a number from 0 to 51, or null to upscale the clip directly, was expected.")
        device = asked.get("device", "auto")
        if not isinstance(device, str) or not _DEVICE.fullmatch(device):
            raise ParameterError("device: auto, cpu, cuda or cuda:N was expected.")
        if asked.get("upscale") is not None:
            if unused := sorted(set(asked) & of_parts):
                raise ParameterError(f"{unused[0]}: belongs to comparisons; upscale enlarges the whole video.")
            if asked["crf"] is not None:
                raise ParameterError("crf: null was expected with upscale; the output's rate factor is upscale.crf.")
            enlargement = Enlargement.from_json(asked["upscale"], models)
            return cls(clip, None, 0.0, max_seconds, device, Run(enlargement.model), None, enlargement)
        other = asked.get("other")
        first = {key: asked[key] for key in ("model", "motion", "ablations") if key in asked}
        return cls(
            clip=clip,
            crf=None if asked["crf"] is None else check_number(asked["crf"], "crf", 0, 51),
            start=check_number(asked.get("start", 0), "start", 0, 86400),
            seconds=check_number(asked.get("seconds", min(2.0, max_seconds)), "seconds", 0.01, max_seconds),
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
        enlargement = None if values.get("upscale") is None else Enlargement(**values["upscale"])
        return cls(
            values["clip"], values["crf"], values["start"], values["seconds"], values["device"], run, other, enlargement
        )  # fmt: skip


def _run(value: object, models: Mapping[str, Mapping[str, Any]], where: str) -> Run:
    asked = check_object(value, {"model", "motion", "ablations"}, where.rstrip(".") or "the request")
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
