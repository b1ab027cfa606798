"""The rows of a comparison: a model, what aligns its frames, what is left out of it, and how the clip is cut for it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import cast, get_args

from codecvsr.errors import InputError
from codecvsr.inference.infer import Ablations, MotionKind, choose_motion
from codecvsr.inference.runners import SLIDING
from codecvsr.inference.windows import Window
from codecvsr.models.zoo import LoadedModel

BICUBIC = "bicubic"  #: the row that is always there
MOTIONS: tuple[str, ...] = get_args(MotionKind)
PARTS: tuple[str, ...] = tuple(field.name for field in fields(Ablations))
NO_ABLATIONS = Ablations()
_RENAMED_PARTS = {"shake": "motion_jitter"}  # first names that keep working
SPELLING = "MODEL[@MOTION][+ablate-PART...][+segments=K|+window=N]"

_ROW = re.compile(r"(?P<model>.+?)(?:@(?P<motion>[a-z]+))?(?P<options>(?:\+[a-z-]+(?:=\d+)?)*)")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        model: what ``load_model`` takes.
        motion: what aligns the frames; None for what the model was made for.
        ablations: parts to leave out.
        segments: parts the clip is cut into, each upscaled as if it were the whole clip; 0 leaves it whole.
        window: frames around every frame that it is upscaled from; 0 for the whole clip.
        is_ablation: made from another row by :func:`ablation_rows`.
    """

    model: str
    motion: MotionKind | None = None
    ablations: Ablations = NO_ABLATIONS
    segments: int = 0
    window: int = 0
    is_ablation: bool = False

    @property
    def name(self) -> str:
        """The row as :func:`parse_row` reads it."""
        left_out = "".join(f"+ablate-{part.replace('_', '-')}" for part in self.ablations.names)
        cut = f"+segments={self.segments}" if self.segments else f"+window={self.window}" if self.window else ""
        return f"{self.model}{'@' + self.motion if self.motion else ''}{left_out}{cut}"


def parse_row(text: str) -> Row:
    """Read ``basicvsr-reds4``, ``basicvsr-reds4@codec``, ``codecvsr+ablate-mvs`` or ``basicvsr-reds4@codec+window=5``.

    Raises:
        InputError: the motion or an option is none.
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
        part = _RENAMED_PARTS.get(part, part)
        if key in numbers and int(value or 0) > 0:
            numbers[key] = int(value)
        elif key.startswith("ablate-") and part in PARTS and not value:
            parts.add(part)
        else:
            known = ", ".join(f"+ablate-{name.replace('_', '-')}" for name in PARTS)
            raise InputError(f"'{text}': no option '+{option}'; there are {known}, +segments=K and +window=N.")
    if all(numbers.values()):
        raise InputError(f"'{text}': +segments and +window exclude each other; give two rows.")
    return Row(
        match["model"],
        cast(MotionKind | None, motion),
        Ablations(**dict.fromkeys(parts, True)),
        segments=numbers["segments"],
        window=numbers["window"],
    )


def parse_rows(texts: Iterable[str]) -> list[Row]:
    """The rows of comma-separated lists, bicubic first; each once.

    Raises:
        InputError: there are none, or one is not spelt as :data:`SPELLING` says.
    """
    rows = [parse_row(item) for text in texts for item in text.split(",") if item.strip()]
    if not rows:
        raise InputError("No models were given; expected names of 'codecvsr models list', files, or NETWORK:random.")
    return list(dict.fromkeys([Row(BICUBIC), *rows]))


def ablation_rows(row: Row, model: LoadedModel) -> list[Row]:
    """The same row without each part that the model has, and without motion and second order together.

    None for random weights, which show nothing, and for a row that leaves something out or cuts the clip already.
    """
    if row.ablations.names or row.segments or row.window or model.training == "untrained":
        return []
    sets = [(part,) for part in PARTS] + [("mvs", "second_order")]
    found = []
    for parts in sets:
        ablations = Ablations(**dict.fromkeys(parts, True))
        try:
            choose_motion(model, row.motion, ablations)
        except InputError:  # the model has no such part
            continue
        found.append(replace(row, ablations=ablations, is_ablation=True))
    return found


def windows_of(row: Row, model: LoadedModel, frames: int) -> list[Window] | None:
    """How a clip is cut for a row that says so; None for one that does not.

    A window of N frames is centred on its frame and moved inwards at the clip's ends, so that it is always whole.

    Raises:
        InputError: the clip is too short, or the model looks at windows of its own.
    """
    if not row.segments and not row.window:
        return None
    if model.architecture in SLIDING:
        raise InputError(f"{row.name}: {model.architecture} has a window of its own; leave out +segments and +window.")
    if row.segments > frames or row.window > frames:
        needs = f"{row.segments} segments need" if row.segments else f"a window of {row.window} frames needs"
        raise InputError(f"{row.name}: {needs} as many frames at least, but there are {frames}.")
    if row.segments:
        bounds = [round(i * frames / row.segments) for i in range(row.segments + 1)]
        return [Window(a, b, a, b) for a, b in itertools.pairwise(bounds)]
    starts = (min(max(t - row.window // 2, 0), frames - row.window) for t in range(frames))
    return [Window(start, start + row.window, t, t + 1) for t, start in enumerate(starts)]
