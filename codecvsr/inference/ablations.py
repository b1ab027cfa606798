"""What a user can choose about a model's motion and its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from codecvsr.errors import InputError
from codecvsr.motion import MotionOptions

if TYPE_CHECKING:  # the page's server reads this module, and does without torch
    from codecvsr.models.zoo import LoadedModel

MotionKind = Literal["codec", "spynet", "dis", "zero", "raw"]
_REPAIR = ("p_inversion", "resolve", "refine")
_NETWORK = ("second_order", "priors")


@dataclass(frozen=True)
class Ablations:
    """Parts to leave out, to see what each is worth."""

    mvs: bool = False  #: no motion of any kind: fields zero, motion priors neutral, no residual flow
    second_order: bool = False  #: no features from the frame beyond the neighbour
    p_inversion: bool = False  #: a missing direction of motion stays empty
    resolve: bool = False  #: raw vectors, neither divided by reference distance nor repaired
    refine: bool = False  #: repaired fields without the sub-pixel step
    priors: bool = False  #: QP, frame types and matching errors neutral
    motion_jitter: bool = False  #: no jitter of motion in long windows of published recurrent networks

    @property
    def names(self) -> list[str]:
        """The parts that are left out."""
        return [f.name for f in fields(self) if getattr(self, f.name)]

    @property
    def motion_options(self) -> MotionOptions:
        """The parts of motion repair to run."""
        return MotionOptions(resolve=not self.resolve, invert=not self.p_inversion, refine=not self.refine)


NO_ABLATIONS = Ablations()
#: The names of all ablations.
ABLATIONS: tuple[str, ...] = tuple(f.name for f in fields(Ablations))


def choose_motion(model: LoadedModel, motion: MotionKind | None, ablations: Ablations) -> str:
    """Return the motion a model runs on: ``motion``, or its usual one; "none" for a model without motion.

    Raises:
        InputError: the model cannot run on it, or has no such part to leave out.
    """
    if not model.motion:
        if motion or ablations.names:
            raise InputError(f"{model.name}: uses no motion; leave out --motion and the --ablate options.")
        return "none"
    missing = [name for name in ablations.names if name in _NETWORK and name not in model.descriptor.ablations]
    if missing:
        raise InputError(
            f"{model.name}: has no {' and no '.join(missing)} to leave out; remove {option_of(missing[0])}."
        )
    kind = motion or model.motion[0]
    if kind not in model.motion:
        raise InputError(f"{model.name}: cannot run with --motion {kind}; it runs with {', '.join(model.motion)}.")
    repair = [name for name in ablations.names if name in _REPAIR]
    if repair and kind != "codec":
        raise InputError(f"{option_of(repair[0])} is about codec motion, but the motion is {kind}.")
    if ablations.motion_jitter and not (kind == "codec" and model.has_motion_jitter):
        raise InputError(f"--ablate-motion-jitter: the motion of {model.name} along {kind} has no jitter; remove it.")
    if ablations.mvs and motion not in (None, "codec", "zero"):
        raise InputError(f"--ablate-mvs leaves no motion, but --motion {motion} was given; remove one of them.")
    return "zero" if ablations.mvs else kind


def usual_ablations(motions: Sequence[str], network_parts: Sequence[str]) -> list[str]:
    """Return the parts that a model can leave out on its usual motion, whatever its weights.

    Args:
        motions: that it can run with, the usual one first.
        network_parts: those of the network itself (:attr:`codecvsr.models.architecture.Architecture.ablations`).
    """
    if not motions:
        return []
    repair = _REPAIR if motions[0] == "codec" else ()
    return [name for name in ABLATIONS if name in ("mvs", *network_parts, *repair)]


def option_of(name: str) -> str:
    """Return the command-line option that leaves out a part."""
    return f"--ablate-{name.replace('_', '-')}"
