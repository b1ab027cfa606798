"""Variants of a comparison: a model, its motion, its ablations, and how the clip is split for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast, get_args

from codecvsr.errors import InputError
from codecvsr.inference.ablations import ABLATIONS, NO_ABLATIONS, Ablations, MotionKind, choose_motion
from codecvsr.inference.motion_jitter import TRAINED_FRAMES
from codecvsr.inference.windows import Window

if TYPE_CHECKING:  # names are checked without torch
    from codecvsr.models.zoo import LoadedModel

BICUBIC = "bicubic"  #: the variant that every comparison has
MOTIONS: tuple[str, ...] = get_args(MotionKind)
_RENAMED_ABLATIONS = {"shake": "motion_jitter"}  # former names that remain valid
SPELLING = "MODEL[@MOTION][+ablate-PART...][+segments=K|+window=N]"

_ROW = re.compile(r"(?P<model>.+?)(?:@(?P<motion>[a-z]+))?(?P<options>(?:\+[a-z-]+(?:=\d+)?)*)")


@dataclass(frozen=True)
class Variant:
    """A configuration of a model to measure.

    Attributes:
        model: a name or path for ``load_model``.
        motion: source of the motion; None for the model's default.
        ablations: parts to disable.
        segments: number of segments, each upscaled on its own; 0 for the whole clip.
        window: frames around each frame that its upscaling uses; 0 for the whole clip.
        is_ablation: whether :func:`ablation_variants` made it.
    """

    model: str
    motion: MotionKind | None = None
    ablations: Ablations = NO_ABLATIONS
    segments: int = 0
    window: int = 0
    is_ablation: bool = False

    @property
    def name(self) -> str:
        """The spelling that :func:`parse_variant` reads."""
        ablations = "".join(f"+ablate-{part.replace('_', '-')}" for part in self.ablations.names)
        cut = f"+segments={self.segments}" if self.segments else f"+window={self.window}" if self.window else ""
        return f"{self.model}{'@' + self.motion if self.motion else ''}{ablations}{cut}"


def parse_variant(text: str) -> Variant:
    """Read ``basicvsr-reds4``, ``basicvsr-reds4@codec``, ``codecvsr+ablate-mvs`` or ``basicvsr-reds4@codec+window=5``.

    Raises:
        InputError: the motion or an option is unknown.
    """
    match = _ROW.fullmatch(text.strip())
    if match is None:
        raise InputError(f"'{text}' names no model; expected {SPELLING}.")
    motion, numbers, parts = match["motion"], {"segments": 0, "window": 0}, set()
    if motion is not None and motion not in MOTIONS:
        raise InputError(f"'{text}': no motion is called '{motion}'; expected one of {', '.join(MOTIONS)}.")
    for option in filter(None, match["options"].split("+")):
        key, _, value = option.partition("=")
        part = key.removeprefix("ablate-").replace("-", "_")
        part = _RENAMED_ABLATIONS.get(part, part)
        if key in numbers and int(value or 0) > 0:
            numbers[key] = int(value)
        elif key.startswith("ablate-") and part in ABLATIONS and not value:
            parts.add(part)
        else:
            known = ", ".join(f"+ablate-{name.replace('_', '-')}" for name in ABLATIONS)
            raise InputError(f"'{text}': no option '+{option}'; there are {known}, +segments=K and +window=N.")
    if all(numbers.values()):
        raise InputError(f"'{text}': +segments and +window exclude each other; use two models.")
    return Variant(
        match["model"],
        cast(MotionKind | None, motion),
        Ablations(**dict.fromkeys(parts, True)),
        segments=numbers["segments"],
        window=numbers["window"],
    )


def parse_variants(texts: Iterable[str]) -> list[Variant]:
    """Read comma-separated lists of variants; bicubic comes first, duplicates are removed.

    Raises:
        InputError: there are none, or one is not spelt as in :data:`SPELLING`.
    """
    variants = [parse_variant(item) for text in texts for item in text.split(",") if item.strip()]
    if not variants:
        raise InputError("No models; expected names of 'codecvsr models list', files, or NETWORK:random.")
    return list(dict.fromkeys([Variant(BICUBIC), *variants]))


def ablation_variants(variant: Variant, model: LoadedModel, frames: int) -> list[Variant]:
    """Returns the variant without each part that the model has, and without both motion and second order.

    Variants that cannot differ from the full run in clips of at most ``frames`` frames are left out. There are none for random
    weights, and for a variant that has ablations, segments or a window already.
    """
    if variant.ablations.names or variant.segments or variant.window or model.training == "untrained":
        return []
    sets = [(part,) for part in ABLATIONS] + [("mvs", "second_order")]
    found = []
    for parts in sets:
        ablations = Ablations(**dict.fromkeys(parts, True))
        try:
            choose_motion(model, variant.motion, ablations)
        except InputError:  # the model has no such part
            continue
        if any(_is_without_effect(part, variant, model, frames) for part in parts):
            continue
        found.append(replace(variant, ablations=ablations, is_ablation=True))
    return found


def _is_without_effect(part: str, variant: Variant, model: LoadedModel, frames: int) -> bool:
    """Whether a variant without that part is the same computation in every clip of at most ``frames`` frames."""
    uses_priors = "priors" in model.descriptor.ablations
    if part == "mvs":  # without motion, motion priors are neutral too
        return not uses_priors and (frames == 1 or choose_motion(model, variant.motion, NO_ABLATIONS) == "zero")
    if part == "motion_jitter":
        return frames <= TRAINED_FRAMES
    least = {"second_order": 3, "p_inversion": 2, "resolve": 2, "refine": 2}.get(part, 1)
    return frames < least


def windows_of(variant: Variant, model: LoadedModel, frames: int) -> list[Window] | None:
    """Returns the windows of a variant with segments or a window; None for other variants.

    A window of N frames is centred on its frame, and moved inwards at the clip's ends.

    Raises:
        InputError: the clip is too short, or the model has windows of its own.
    """
    if not variant.segments and not variant.window:
        return None
    if model.descriptor.is_sliding:
        raise InputError(f"{variant.name}: {model.architecture} has a window of its own; remove +segments and +window.")
    if variant.segments > frames or variant.window > frames:
        needs = (
            f"{variant.segments} segments need" if variant.segments else f"a window of {variant.window} frames needs"
        )
        raise InputError(f"{variant.name}: {needs} as many frames at least, but there are {frames}.")
    if variant.segments:
        bounds = [round(i * frames / variant.segments) for i in range(variant.segments + 1)]
        return [Window(a, b, a, b) for a, b in itertools.pairwise(bounds)]
    starts = (min(max(t - variant.window // 2, 0), frames - variant.window) for t in range(frames))
    return [Window(start, start + variant.window, t, t + 1) for t, start in enumerate(starts)]
