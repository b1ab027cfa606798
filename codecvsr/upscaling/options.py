"""What can be asked of ``upscale``, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from codecvsr.constants import SCALE
from codecvsr.engine.device import choose_device
from codecvsr.engine.plan import Plan, make_plan
from codecvsr.errors import InputError
from codecvsr.inference.infer import Ablations, MotionKind, choose_motion
from codecvsr.inference.tiles import check_tile
from codecvsr.inference.windows import OVERLAP
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.video.probe import Damage
from codecvsr.video.segments import Codec

#: Gets what happens, as it happens: {"event": "survey" | "plan" | "progress" | "done" | "failed", ...}.
Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class UpscaleOptions:
    """What decides the result, with the input.

    Attributes:
        model: a name of the zoo or a weights file.
        motion: what aligns the frames; the model's usual one by default.
        scale: output pixels per input pixel, 1 to 4; by other sizes than 4 resampled from there.
        width: of the output, in place of ``scale``; the height follows where it is not given.
        height: of the output.
        codec: "h264", "hevc" or "ffv1".
        crf: constant rate factor of the encoder.
        preset: of the encoder.
        pixel_format: of the output; "auto" keeps the chroma of the source at 8 bits.
        chunk: most frames of a shard; 0 for as many as memory sensibly holds.
        overlap: frames a shard and a window look at beyond each of their ends.
        window: frames looked at together; 0 for as many as memory sensibly holds.
        tile: pixels each way of the parts in which frames are worked on; 0 for whole frames, or as memory allows.
        skip_static: frames that show nothing new are not made again.
        start: seconds from the first frame.
        end: seconds from the first frame.
        fps: rate of a folder of frames.
        allow_damaged: use the frames before the damage of a damaged video.
        conceal: use all frames of a damaged video, its damage patched.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: through torch.compile or not; None for where it pays.
    """

    model: str | Path = "codecvsr"
    motion: MotionKind | None = None
    scale: int = 4
    width: int | None = None
    height: int | None = None
    codec: Codec = "h264"
    crf: float = 18
    preset: str = "medium"
    pixel_format: str = "auto"
    chunk: int = 0
    overlap: int = OVERLAP
    window: int = 0
    tile: int = 0
    skip_static: bool = False
    start: float | None = None
    end: float | None = None
    fps: Fraction = Fraction(24)
    allow_damaged: bool = False
    conceal: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 1 <= self.scale <= SCALE:
            raise InputError(f"a scale of {self.scale} is outside 1 to {SCALE}.")
        if (
            min(self.chunk, self.overlap, self.window) < 0
            or min(1 if side is None else side for side in (self.width, self.height)) < 1
        ):
            raise InputError("chunk, overlap and window are at least 0, width and height at least 1.")
        check_tile(self.tile)
        if not 0 < self.fps <= 1000:
            raise InputError(f"a frame rate of {self.fps} is not between 0 and 1000.")
        if self.allow_damaged and self.conceal:
            raise InputError(
                "of a damaged video either all is used (conceal) or what lies before the damage, not both."
            )
        if self.start is not None and self.start < 0:
            raise InputError(f"a start at {self.start:g} seconds lies before the video.")
        if self.end is not None and self.end <= (self.start or 0):
            raise InputError(f"an end at {self.end:g} seconds leaves nothing after the start.")

    @property
    def is_cut(self) -> bool:
        """Only a part of the input is wanted."""
        return self.start is not None or self.end is not None

    @property
    def damage(self) -> Damage:
        """What becomes of a damaged video."""
        return "conceal" if self.conceal else "stop" if self.allow_damaged else "refuse"

    def to_json(self) -> dict[str, Any]:
        """The options as JSON holds them."""
        return {**asdict(self), "model": str(self.model), "fps": str(self.fps)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> UpscaleOptions:
        """What :meth:`to_json` gave."""
        return cls(**{**stored, "fps": Fraction(stored["fps"])})


@dataclass(frozen=True)
class RunSettings:
    """How it is done, which changes nothing about the result.

    Attributes:
        resume: go on with an unfinished run; None for yes unless ``overwrite`` is given.
        overwrite: replace the output, and start over unless ``resume`` is given as well.
        strict: refuse, before any work, an output that cannot hold everything the source has.
        compare: also make a picture (.png) or video (.mp4) of before and after, side by side.
        preview: a .png that shows before and after of the shot that is worked on.
        workers: processes; 0 for one per GPU, or this one alone.
        ray: "auto" or the address of a Ray cluster whose machines do the work.
        listener: is told what happens.
    """

    resume: bool | None = None
    overwrite: bool = False
    strict: bool = False
    compare: Path | None = None
    preview: Path | None = None
    workers: int = 0
    ray: str | None = None
    listener: Listener | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.workers < 0:
            raise InputError(f"{self.workers} workers were asked for; at least 1 was expected, or 0 to choose.")
        if self.ray is not None and self.workers:
            raise InputError("workers of this machine and a Ray cluster were asked for; choose one of them.")
        if self.preview is not None and self.preview.suffix.lower() != ".png":
            raise InputError(f"{self.preview}: a preview ends in .png.")

    @property
    def resumes(self) -> bool:
        """Go on with an unfinished run."""
        return not self.overwrite if self.resume is None else self.resume


@dataclass(frozen=True)
class UpscaleReport:
    """What became of one input."""

    input: str
    output: str
    frames: int
    resumed_frames: int  #: of them, done by earlier runs
    shards: int
    width: int
    height: int
    seconds: float
    frames_per_second: float  #: of this run
    peak_memory_mb: float  #: of the largest process
    model: str
    training: str
    motion: str
    device: str
    precision: str
    workers: int = 1  #: processes, or Ray tasks at once where that is known
    concealed_frames: int = 0  #: damaged ones that were patched
    losses: list[str] = field(default_factory=list)  #: what of the source the output's container cannot hold
    compare: str | None = None
    skipped_share: float | None = None  #: of this run's frames, those that others stood for; None if not asked for

    def to_json(self) -> dict[str, Any]:
        """The report as the command's ``--json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Engine:
    """What runs: the same for every input."""

    model: LoadedModel
    kind: str
    plan: Plan
    options: UpscaleOptions


def make_engine(settings: UpscaleOptions) -> Engine:
    """Load what runs.

    Raises:
        InputError: the model or the device is not there, or the model cannot run on the motion asked for.
        CheckpointError: the model's file is not one.
    """
    device = choose_device(settings.device)
    model = load_model(settings.model)
    if model.scale != SCALE:
        raise InputError(
            f"{model.name}: restores pictures at the same size; upscale needs a network for x{SCALE}. "
            "'codecvsr infer' runs this one."
        )
    kind = choose_motion(model, settings.motion, Ablations())
    plan = make_plan(device, settings.precision, settings.compile, architecture=model.architecture)
    return Engine(model, kind, plan, settings)


def output_size(
    height: int, width: int, options: UpscaleOptions, multiples: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """(height, width) of the output for an input of height x width.

    Args:
        height: of the input.
        width: of the input.
        options: a size or a scale.
        multiples: what height and width must be multiples of; a side that was not asked for is rounded.

    Raises:
        InputError: a side that was asked for is no such multiple.
    """
    for name, side, multiple in zip(("height", "width"), (options.height, options.width), multiples, strict=True):
        if side is not None and side % multiple:
            raise InputError(f"a {name} of {side} cannot be coded with halved chroma; an even one was expected.")
    tall, wide = options.height, options.width
    if tall is None and wide is None:
        tall, wide = height * options.scale, width * options.scale
        return tall + -tall % multiples[0], wide + -wide % multiples[1]
    if tall is None:
        assert wide is not None
        tall = max(round(Fraction(height * wide, width * multiples[0])), 1) * multiples[0]
    if wide is None:
        wide = max(round(Fraction(width * tall, height * multiples[1])), 1) * multiples[1]
    return tall, wide
