"""Options, settings and report of ``upscale``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codecvsr.bitstream.deinterlace import MODES
from codecvsr.constants import SCALE
from codecvsr.errors import InputError
from codecvsr.events import EventHandler
from codecvsr.inference.skip_choice import SkipStatic, parse_skip_static
from codecvsr.inference.strength import check_strength
from codecvsr.inference.tiles import check_tile
from codecvsr.inference.windows import OVERLAP

if TYPE_CHECKING:
    from codecvsr.bitstream.deinterlace import Deinterlace
    from codecvsr.inference.ablations import MotionKind
    from codecvsr.video.probe import Damage
    from codecvsr.video.segments import Codec
    from codecvsr.video.sound import Audio


@dataclass(frozen=True)
class UpscaleOptions:
    """Options that decide, with the input, what the result is.

    Attributes:
        model: a name of the zoo or a weights file.
        motion: kind of motion that aligns the frames; None for the model's usual one.
        scale: output pixels per input pixel, 1 to 4; less than 4 is resampled from 4.
        width: of the output, instead of ``scale``; None to follow from the height.
        height: of the output; None to follow from the width.
        max_height: of the output: a taller one is made smaller, in its shape; None for no limit.
        codec: "h264", "hevc" or "ffv1".
        crf: constant rate factor of the encoder.
        preset: of the encoder.
        pixel_format: of the output; "auto" keeps the chroma of the source at 8 bits.
        chunk: maximum frames of a chunk; 0 to choose by memory.
        overlap: context frames at both ends of a chunk and a window.
        window: maximum frames in the network at once; 0 to choose by memory.
        tile: side of the tiles that frames are cut into, in pixels; 0 for whole frames, or as memory allows.
        deinterlace: "auto" (frames that are flagged as interlaced), "off", "frame" (all, one frame per frame) or "field" (all,
            one frame per field).
        audio: of the output: "auto", "copy", "aac", "opus", "flac" or "none".
        tonemap: HDR is converted to SDR.
        skip_static: what is copied instead of upscaled: "auto" (blocks with codecvsr-fast, nothing with others), "off",
            "frames" or "blocks".
        strength: share of the network's pictures, 0 to 1; the rest is bicubic interpolation.
        start: seconds from the first frame.
        end: seconds from the first frame.
        fps: rate of a folder of frames (24 if None) or of a raw stream (its own if None).
        allow_damaged: use the frames before the damage of a damaged video.
        conceal: use all frames of a damaged video, its damage patched.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: use torch.compile or not; None to choose by the length of the job.
    """

    model: str | Path = "codecvsr"
    motion: MotionKind | None = None
    scale: int = 4
    width: int | None = None
    height: int | None = None
    max_height: int | None = None
    codec: Codec = "h264"
    crf: float = 18
    preset: str = "medium"
    pixel_format: str = "auto"
    chunk: int = 0
    overlap: int = OVERLAP
    window: int = 0
    tile: int = 0
    deinterlace: Deinterlace = "auto"
    audio: Audio = "auto"
    tonemap: bool = False
    skip_static: SkipStatic = "auto"
    strength: float = 1.0
    start: float | None = None
    end: float | None = None
    fps: Fraction | None = None
    allow_damaged: bool = False
    conceal: bool = False
    device: str = "auto"
    precision: str = "auto"
    compile: bool | None = None

    def __post_init__(self) -> None:
        """Raises InputError for values that are out of range."""
        if not 1 <= self.scale <= SCALE:
            raise InputError(f"a scale of {self.scale} is outside 1 to {SCALE}.")
        if (
            min(self.chunk, self.overlap, self.window) < 0
            or min(1 if side is None else side for side in (self.width, self.height, self.max_height)) < 1
        ):
            raise InputError("chunk, overlap and window are at least 0, width and height at least 1.")
        check_tile(self.tile)
        check_strength(self.strength)
        object.__setattr__(self, "skip_static", parse_skip_static(self.skip_static))
        if self.deinterlace not in MODES:
            raise InputError(f"the de-interlacing {self.deinterlace!r} is unknown; use {', '.join(MODES)}.")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise InputError(f"a frame rate of {self.fps} is not between 0 and 1000.")
        if self.allow_damaged and self.conceal:
            raise InputError("allow_damaged uses the frames before the damage, conceal uses all; choose one of them.")
        if self.start is not None and self.start < 0:
            raise InputError(f"start is {self.start:g} seconds; at least 0 was expected.")
        if self.end is not None and self.end <= (self.start or 0):
            raise InputError(f"end is {self.end:g} seconds; a time after the start was expected.")

    @property
    def is_cut(self) -> bool:
        """Only a part of the input is upscaled."""
        return self.start is not None or self.end is not None

    @property
    def damage(self) -> Damage:
        """How a damaged video is treated."""
        return "conceal" if self.conceal else "stop" if self.allow_damaged else "refuse"

    def to_json(self) -> dict[str, Any]:
        """Returns the options as a JSON object."""
        return {**asdict(self), "model": str(self.model), "fps": None if self.fps is None else str(self.fps)}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> UpscaleOptions:
        """Returns the options that :meth:`to_json` wrote."""
        return cls(**{**stored, "fps": None if stored["fps"] is None else Fraction(stored["fps"])})


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run that do not change the frames it makes.

    Attributes:
        resume: continue an unfinished run; None for yes unless ``overwrite`` is set.
        overwrite: replace the output, and start over unless ``resume`` is set too.
        strict: refuse, before any work, an output that cannot store everything the source has.
        compare: also make a picture (.png) or video (.mp4) of before and after, side by side.
        preview: a .png of before and after, updated with every shot.
        workers: processes; 0 for one per GPU, or this process on a CPU.
        ray: "auto" or the address of a Ray cluster that makes the chunks.
        skip_existing: pass inputs whose output exists; None for yes for folders of videos, unless ``overwrite`` is set.
        recursive: read the folders in a folder of videos too.
        max_spool: bytes that an input from a pipe may have.
        has_estimate: try a few frames before the work, to log how long it will take and how large its output will be.
        on_event: called with every event of the run.
        leaves_work: a run that is stopped leaves its work for the next one; False where the output is a pipe.
    """

    resume: bool | None = None
    overwrite: bool = False
    strict: bool = False
    compare: Path | None = None
    preview: Path | None = None
    workers: int = 0
    ray: str | None = None
    skip_existing: bool | None = None
    recursive: bool = False
    max_spool: int = 16_000_000_000
    has_estimate: bool = False
    on_event: EventHandler | None = None
    leaves_work: bool = True

    def __post_init__(self) -> None:
        """Raises InputError for values that are out of range."""
        if self.workers < 0:
            raise InputError(f"{self.workers} workers were asked for; at least 1 was expected, or 0 to choose.")
        if self.ray is not None and self.workers:
            raise InputError("workers of this machine and a Ray cluster were asked for; choose one of them.")
        if self.preview is not None and self.preview.suffix.lower() != ".png":
            raise InputError(f"{self.preview}: a preview ends in .png.")

    @property
    def resumes(self) -> bool:
        """Whether to continue an unfinished run."""
        return not self.overwrite if self.resume is None else self.resume


@dataclass(frozen=True)
class UpscaleReport:
    """Report of one upscaled input."""

    input: str
    output: str
    frames: int
    resumed_frames: int  #: of them, made by earlier runs
    chunks: int
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
    workers: int = 1  #: processes, or Ray tasks at once
    concealed_frames: int = 0  #: damaged frames that were patched
    deinterlaced_frames: int = 0  #: frames of the output that were made by de-interlacing
    losses: list[str] = field(default_factory=list)  #: what of the input the output cannot store
    compare: str | None = None
    skipped_share: float | None = None  #: share of this run's frames that are copies; None unless those are skipped
    work_share: float | None = (
        None  #: share of the network's work that this run did; None where nothing could be skipped
    )

    @property
    def shards(self) -> int:
        """Returns :attr:`chunks`, by its former name."""
        return self.chunks

    def to_json(self) -> dict[str, Any]:
        """Returns the report as the command's ``--json`` prints it."""
        return {"shards" if key == "chunks" else key: value for key, value in asdict(self).items()}


def output_size(
    height: int, width: int, options: UpscaleOptions, multiples: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """Returns (height, width) of the output in pixels.

    Args:
        height: of the input.
        width: of the input.
        options: have a size or a scale.
        multiples: height and width must be multiples of these; a side that the options do not set is rounded.

    Raises:
        InputError: a side that the options set is no such multiple.
    """
    for name, side, multiple in zip(("height", "width"), (options.height, options.width), multiples, strict=True):
        if side is not None and side % multiple:
            raise InputError(
                f"a {name} of {side} cannot be encoded with subsampled chroma; a multiple of 2 was expected."
            )
    tall, wide = options.height, options.width
    if options.max_height is not None:
        full, _ = output_size(height, width, replace(options, max_height=None), multiples)
        if full > options.max_height:
            tall = max(options.max_height // multiples[0], 1) * multiples[0]
            wide = None if wide is None else max(round(Fraction(wide * tall, full * multiples[1])), 1) * multiples[1]
    if tall is None and wide is None:
        tall, wide = height * options.scale, width * options.scale
        return tall + -tall % multiples[0], wide + -wide % multiples[1]
    if tall is None:
        assert wide is not None
        tall = max(round(Fraction(height * wide, width * multiples[0])), 1) * multiples[0]
    if wide is None:
        wide = max(round(Fraction(width * tall, height * multiples[1])), 1) * multiples[1]
    return tall, wide
