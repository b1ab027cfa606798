"""``codecvsr upscale``: whole videos of any length in, whole videos out, in flat memory and without losing work.

A video is surveyed once, cut into shards, and every shard is decoded, given its motion, run through the network and encoded;
what is done of it is durable. Decoding, network and encoding overlap. A shard depends on nothing but its own frames and those
it looks at, so a run that was stopped goes on with the next shard and ends in the same pictures.
"""

from __future__ import annotations

import errno
import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

import codecvsr
from codecvsr.bitstream.frames import CodedFrame
from codecvsr.engine.device import choose_device, choose_dtype, peak_memory_bytes
from codecvsr.errors import CodecVSRError, InputError, OutputError
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.pipeline import mux, targets
from codecvsr.pipeline.before_after import check_comparison, write_comparison
from codecvsr.pipeline.fields import describe_motion, make_source
from codecvsr.pipeline.infer import Ablations, MotionKind, choose_motion, upscale_frames
from codecvsr.pipeline.media import Media, Survey, frames_between, survey
from codecvsr.pipeline.resize import resample
from codecvsr.pipeline.segments import (
    Codec,
    EncoderOptions,
    PictureFormat,
    even_sides,
    usual_pixel_format,
)
from codecvsr.pipeline.shards import Shard, plan, usual_chunk
from codecvsr.pipeline.source import Source
from codecvsr.pipeline.stages import Ahead, Behind
from codecvsr.pipeline.window import OVERLAP, longest_window
from codecvsr.pipeline.workfolder import WorkFolder, fingerprint

#: Gets what happens, as it happens: {"event": "survey" | "plan" | "progress" | "done", ...}.
Listener = Callable[[dict[str, Any]], None]

_SCALE = 4  # of every network there is
_ASPECT_TOLERANCE = Fraction(1, 100)  # a change of shape below comes from rounding the size and is not seen
_BYTES_WAITING = 256 << 20  # pictures between network and encoder
_logger = logging.getLogger(__name__)


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
        start: seconds from the first frame.
        end: seconds from the first frame.
        fps: rate of a folder of frames.
        allow_damaged: use the frames before the damage of a damaged video.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
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
    start: float | None = None
    end: float | None = None
    fps: Fraction = Fraction(24)
    allow_damaged: bool = False
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not 1 <= self.scale <= _SCALE:
            raise InputError(f"a scale of {self.scale} is outside 1 to {_SCALE}.")
        if min(self.chunk, self.overlap, self.window) < 0 or min(self.width or 1, self.height or 1) < 1:
            raise InputError("chunk, overlap and window are at least 0, width and height at least 1.")
        if not 0 < self.fps <= 1000:
            raise InputError(f"a frame rate of {self.fps} is not between 0 and 1000.")
        if self.start is not None and self.start < 0:
            raise InputError(f"a start at {self.start:g} seconds lies before the video.")
        if self.end is not None and self.end <= (self.start or 0):
            raise InputError(f"an end at {self.end:g} seconds leaves nothing after the start.")

    @property
    def is_cut(self) -> bool:
        """Only a part of the input is wanted."""
        return self.start is not None or self.end is not None


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
    peak_memory_mb: float
    model: str
    training: str
    motion: str
    device: str
    precision: str
    losses: list[str] = field(default_factory=list)  #: what of the source the output's container cannot hold
    compare: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The report as the command's ``--json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Engine:
    """What runs: the same for every input."""

    model: LoadedModel
    kind: str
    device: torch.device
    dtype: torch.dtype
    options: UpscaleOptions


def upscale(
    source: str | Path,
    output: str | Path,
    *,
    resume: bool | None = None,
    overwrite: bool = False,
    strict: bool = False,
    compare: str | Path | None = None,
    listener: Listener | None = None,
    **options: Any,
) -> UpscaleReport:
    """Upscale a video, or a folder of frames, with everything it has.

    Args:
        source: a video of any codec, or a folder of PNG or JPEG frames.
        output: an .mp4, .mkv or .mov file; or, for PNG frames, a folder or a pattern like ``frames/%08d.png``.
        resume: go on with an unfinished run; None for yes unless ``overwrite`` is given.
        overwrite: replace the output, and start over unless ``resume`` is given as well.
        strict: refuse, before any work, an output that cannot hold everything the source has.
        compare: also make a picture (.png) or video (.mp4) of before and after, side by side.
        listener: is told what happens.
        **options: fields of :class:`UpscaleOptions`.

    Raises:
        InputError: the input, or what is asked for, cannot be used.
        OutputError: the output exists, cannot be written or cannot hold what it should, or an unfinished run is another job.
        CheckpointError: the model's file is not one.
        KeyboardInterrupt: with the text how to go on, where Ctrl-C stopped it.
    """
    settings = UpscaleOptions(**options)
    engine = make_engine(settings)
    return upscale_one(
        engine, Path(source), Path(output), resume, overwrite, strict, Path(compare) if compare else None, listener
    )


def make_engine(settings: UpscaleOptions) -> Engine:
    """Load what runs.

    Raises:
        InputError: the model or the device is not there, or the model cannot run on the motion asked for.
        CheckpointError: the model's file is not one.
    """
    device = choose_device(settings.device)
    model = load_model(settings.model)
    kind = choose_motion(model, settings.motion, Ablations())
    return Engine(model, kind, device, choose_dtype(device, settings.precision), settings)


def upscale_one(
    engine: Engine,
    source: Path,
    output: Path,
    resume: bool | None,
    overwrite: bool,
    strict: bool,
    compare: Path | None,
    listener: Listener | None,
) -> UpscaleReport:
    """:func:`upscale` with what runs loaded already; it names the arguments and errors."""
    begun = time.monotonic()
    output, pattern = targets.split_pattern(output)
    as_pictures = pattern is not None or not output.suffix or output.is_dir()
    media = Media.open(source, engine.options.fps)
    _check_paths(media, output, compare, as_pictures, overwrite)
    plans: list[mux.StreamPlan] = []
    if not as_pictures:
        mux.check_codec(output, engine.options.codec)
        plans = mux.plan_streams(media, output)
    losses = mux.losses(plans)
    if losses and strict:
        raise OutputError(
            f"{output}: would not hold everything ({'; '.join(losses)}); use .mkv, or leave out --strict."
        )
    with WorkFolder(output) as work:
        _refuse_existing(work, overwrite)
        job = _Job(engine, media, output, work, listener or (lambda event: None))
        resumed = work.open(
            _manifest(engine, media, as_pictures, pattern), resume=not overwrite if resume is None else resume
        )
        try:
            report = job.run(as_pictures, pattern, plans, losses, begun, is_complete=resumed and work.is_finished)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(job.how_to_go_on()) from None
        except (OSError, av.FFmpegError) as error:
            raise _explain(error, output, job) from error
        except CodecVSRError:
            if not job.has_work:
                work.remove()
            raise
        work.remove()
    if compare is not None:
        write_comparison(media, report.output, compare, engine.options.start, engine.options.end)
        report = UpscaleReport(**{**asdict(report), "compare": str(compare)})
    job.tell(event="done", **report.to_json())
    return report


def _check_paths(media: Media, output: Path, compare: Path | None, as_pictures: bool, overwrite: bool) -> None:
    """Everything about names that can be refused before any work."""
    if output.exists() and output.samefile(media.path):
        raise OutputError(f"{output}: is the input itself; choose another output.")
    if as_pictures:
        targets.check_replaceable(output)
    else:
        mux.container_of(output)
    if compare is not None:
        check_comparison(compare)
        if compare.exists() and not overwrite:
            raise OutputError(
                f"{compare}: exists already; give -y/--overwrite to replace it, or choose another output."
            )


def _refuse_existing(work: WorkFolder, overwrite: bool) -> None:
    output = work.output
    is_there = output.exists() and not (output.is_dir() and not any(output.iterdir()))
    if is_there and not overwrite and not work.is_finished:
        raise OutputError(f"{output}: exists already; give -y/--overwrite to replace it, or choose another output.")


def _manifest(engine: Engine, media: Media, as_pictures: bool, pattern: str | None) -> dict[str, Any]:
    options = asdict(engine.options)
    for name in ("model", "device", "precision"):
        del options[name]
    options["fps"] = str(options["fps"])
    model = engine.model
    return {
        "input": fingerprint(media.path),
        "model": {"sha256": model.sha256} if model.sha256 else {"name": model.name},
        "options": {
            **options,
            "motion": engine.kind,
            "pictures": (pattern or True) if as_pictures else False,
            "device": engine.device.type,
            "precision": str(engine.dtype).removeprefix("torch."),
        },
        "versions": {"codecvsr": codecvsr.__version__, "av": av.__version__, "torch": torch.__version__},
    }


def _explain(error: OSError | av.FFmpegError, output: Path, job: _Job) -> OutputError:
    code = getattr(error, "errno", None)
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = "no space left on the disk" if full else f"cannot be made ({error.strerror or error})"
    return OutputError(f"{output}: {what}. {job.how_to_go_on('Free some space and run' if full else 'Run')}")


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


class _Job:
    """One input on its way to one output."""

    def __init__(self, engine: Engine, media: Media, output: Path, work: WorkFolder, listener: Listener) -> None:
        self._engine, self._media, self._output, self._work, self._listener = engine, media, output, work, listener
        self._survey: Survey | None = None
        self._target: targets.Target | None = None
        self._shards: list[Shard] = []

    def tell(self, **event: Any) -> None:
        """Say what happens."""
        self._listener(event)

    def _done_frames(self) -> int:
        if self._target is None:
            return 0
        return sum(shard.stop - shard.start for shard in self._shards if self._target.is_done(shard))

    @property
    def has_work(self) -> bool:
        """Some of it is done already."""
        return self._done_frames() > 0

    def how_to_go_on(self, run: str = "Run") -> str:
        """What is kept, and what to do to go on."""
        total = "" if self._survey is None else f" of {len(self._survey)}"
        return f"{self._done_frames()}{total} frames are done and kept in {self._work.path}. {run} the same command to go on."

    def run(
        self,
        as_pictures: bool,
        pattern: str | None,
        plans: Sequence[mux.StreamPlan],
        losses: list[str],
        begun: float,
        *,
        is_complete: bool,
    ) -> UpscaleReport:
        """Do everything that is not done yet."""
        engine, options, media = self._engine, self._engine.options, self._media
        found = self._work.load_survey()
        if found is None:
            self.tell(event="survey", input=str(media.path))
            found = survey(media, start=options.start, end=options.end, allow_damaged=options.allow_damaged)
            self._work.save_survey(found)
        self._survey = found
        height, width = self._prepare(found, as_pictures, pattern, plans)
        for loss in losses:
            _logger.warning("%s: %s.", self._output, loss)
        _logger.info("%s: motion %s.", media.path, describe_motion(media, engine.kind))
        done = self._done_frames()
        assert self._target is not None
        pending = [shard for shard in self._shards if not self._target.is_done(shard)]
        self.tell(
            event="plan", input=str(media.path), output=str(self._output), frames=len(found), done_frames=done,
            shards=len(self._shards), width=width, height=height, motion=engine.kind,
        )  # fmt: skip
        started = time.monotonic()
        if not is_complete:
            self._work_off(pending, height, width, done)
            elapsed = time.monotonic() - started
            self._target.finish(self._shards)
        else:
            elapsed = 0.0
        made = 0 if is_complete else len(found) - done
        return UpscaleReport(
            input=str(media.path),
            output=str(self._output),
            frames=len(found),
            resumed_frames=len(found) - made,
            shards=len(self._shards),
            width=width,
            height=height,
            seconds=time.monotonic() - begun,
            frames_per_second=made / elapsed if elapsed > 0 else 0.0,
            peak_memory_mb=peak_memory_bytes(engine.device) / 2**20,
            model=engine.model.name,
            training=engine.model.training,
            motion=engine.kind,
            device=str(engine.device),
            precision=str(engine.dtype).removeprefix("torch."),
            losses=losses,
        )

    def _prepare(
        self, found: Survey, as_pictures: bool, pattern: str | None, plans: Sequence[mux.StreamPlan]
    ) -> tuple[int, int]:
        """Choose sizes, shards and the target; returns height and width of the output."""
        options = self._engine.options
        chunk = options.chunk or usual_chunk(found.height, found.width)
        self._shards = plan(found.keys.tolist(), chunk, options.overlap)
        if as_pictures:
            height, width = output_size(found.height, found.width, options)
            names = targets.picture_names(self._media, len(found), found.first, pattern)
            self._target = targets.PictureTarget(self._output, self._work, names)
            return height, width
        pixel_format = options.pixel_format
        if pixel_format == "auto":
            pixel_format = usual_pixel_format(options.codec, found.pixel_format)
        encoder = EncoderOptions(options.codec, options.crf, options.preset, pixel_format)
        height, width = output_size(found.height, found.width, options, even_sides(pixel_format))
        encoder.check_size(height, width)
        change = Fraction(width * found.height, height * found.width)
        aspect = found.aspect if abs(change - 1) < _ASPECT_TOLERANCE else found.aspect / change
        form = PictureFormat(
            height, width, self._media.time_base, self._media.rate, found.colour, aspect.limit_denominator(9999)
        )
        self._target = targets.VideoTarget(
            self._output, self._work, self._media, found, encoder, form, plans, cut=options.is_cut
        )
        return height, width

    def _work_off(self, pending: Sequence[Shard], height: int, width: int, done: int) -> None:
        engine = self._engine
        assert self._survey is not None and self._target is not None
        total = len(self._survey)
        length = engine.options.window or longest_window(self._survey.height, self._survey.width)
        room = max(2, min(8, _BYTES_WAITING // (height * width * 3)))
        started, before = time.monotonic(), done
        with (
            Ahead(functools.partial(self._sources, pending)) as sources,
            Behind(room) as encoder,
        ):
            for shard, source in sources:
                windows = shard.windows(length, engine.options.overlap)
                pictures = upscale_frames(
                    engine.model, source, Ablations(), length, engine.device, engine.dtype, windows
                )
                with self._target.writer(shard) as writer:
                    for index, picture in zip(range(shard.start, shard.stop), pictures, strict=True):
                        encoder.submit(functools.partial(_finish_picture, writer, index, picture, height, width))
                        done += 1
                        speed = (done - before) / max(time.monotonic() - started, 1e-9)
                        self.tell(
                            event="progress", frame=done, frames=total, frames_per_second=speed,
                            eta_seconds=(total - done) / speed,
                        )  # fmt: skip
                    encoder.submit(writer.close)
                    encoder.wait()

    def _sources(self, pending: Sequence[Shard], stopped: Callable[[], bool]) -> Iterator[tuple[Shard, Source]]:
        """The shards that are left, decoded and with their motion; frames that no later one looks at are let go."""
        found = self._survey
        if found is None or not pending:
            return
        options = self._engine.options
        numbered = enumerate(
            frames_between(self._media, found.first, found.first + len(found), allow_damaged=options.allow_damaged)
        )
        held: dict[int, CodedFrame] = {}
        at = 0
        for shard in pending:
            held = {index: frame for index, frame in held.items() if index >= shard.look_start}
            while at < shard.look_stop:
                if stopped():
                    return
                try:
                    at, frame = next(numbered)
                except StopIteration:
                    raise InputError(
                        f"{self._media.path}: has fewer frames than at first; give -y to start over."
                    ) from None
                if at >= shard.look_start:
                    held[at] = frame
                at += 1
            frames = [held[index] for index in range(shard.look_start, shard.look_stop)]
            yield shard, make_source(frames, self._media, self._engine.kind, self._engine.model, self._work.path)


def _finish_picture(writer: targets.ShardWriter, index: int, picture: Any, height: int, width: int) -> None:
    writer.add(index, resample(picture, height, width))
