"""What ``upscale`` will do: sizes, frames, model, motion, time, size and gain. Shown before the work, or instead of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from codecvsr.bitstream.deinterlace import describe_deinterlacing
from codecvsr.errors import InputError
from codecvsr.upscaling.batch import check_stream_inputs, plan_jobs
from codecvsr.upscaling.chunk_motion import describe_motion
from codecvsr.upscaling.engine import AnyEngine, make_dry_engine
from codecvsr.upscaling.estimate import Estimate, estimate
from codecvsr.upscaling.frame_names import check_output_name, split_output
from codecvsr.upscaling.options import RunSettings, UpscaleOptions
from codecvsr.upscaling.spool import is_pipe, pipe_name
from codecvsr.upscaling.stream_output import for_stream, is_stream, stream_name, stream_suffix
from codecvsr.upscaling.work import OutputForm, choose_form
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan, scan
from codecvsr.video.size_changes import describe_size_changes
from codecvsr.video.stream_mapping import check_codec, container_of, is_raw, plan_streams

_UHD = (3840, 2160)


@dataclass(frozen=True)
class UpscalePlan:
    """What will be made of one input.

    Attributes:
        input: its path.
        output: path of the output.
        source_width: of the input, in pixels.
        source_height: of the input.
        width: of the output.
        height: of the output.
        frames: of the output.
        deinterlacing: in words, what is de-interlaced; empty for nothing.
        later_sizes: in words, changes of the size of the input; empty for none.
        model: name of the model.
        motion: kind of motion.
        motion_source: in words, where the motion comes from.
        estimate: of time, size and gain.
        suggestion: how the output would be smaller, where it is larger than 3840x2160; else empty.
    """

    input: str
    output: str
    source_width: int
    source_height: int
    width: int
    height: int
    frames: int
    model: str
    motion: str
    motion_source: str
    estimate: Estimate
    suggestion: str = ""
    deinterlacing: str = ""
    later_sizes: str = ""

    def lines(self) -> list[str]:
        """Returns the plan in two lines, and a third with the suggestion if there is one."""
        size = f"{self.source_width}x{self.source_height}" + (f" ({self.later_sizes})" if self.later_sizes else "")
        frames = self.deinterlacing or ("1 frame" if self.frames == 1 else f"{self.frames} frames")
        expected = self.estimate.words()
        text = [
            f"{self.input}: {size}, {frames} -> {self.output}, {self.width}x{self.height}",
            f"model {self.model}, motion {self.motion_source}{'; ' if expected else ''}{expected}",
        ]
        return [*text, self.suggestion] if self.suggestion else text

    def to_json(self) -> dict[str, Any]:
        """Returns the object of ``--dry-run --json``; what is not estimated is None."""
        expected = self.estimate
        return {
            "input": self.input, "width": self.width, "height": self.height, "frames": self.frames, "model": self.model,
            "motion": self.motion, "seconds": None if expected.seconds is None else round(expected.seconds, 1),
            "bytes": expected.bytes, "gain_db": expected.gain_db,
        }  # fmt: skip


def make_upscale_plan(
    engine: AnyEngine, media: Media, found: Scan, output: Path, form: OutputForm, expected: Estimate
) -> UpscalePlan:
    """Returns the plan of one input with a known form of the output and an estimate."""
    options, height, width = engine.options, form.height, form.width
    suggestion = ""
    is_free = options.height is None and options.width is None and options.max_height is None
    if is_free and (max(height, width) > _UHD[0] or min(height, width) > _UHD[1]):
        less = "--scale 2 or --height 2160" if options.scale > 2 else "--height 2160"
        suggestion = f"{width}x{height} is more than {_UHD[0]}x{_UHD[1]}: {less} makes a smaller video, faster to watch and to store."
    return UpscalePlan(
        str(media.path), str(output), found.width, found.height, width, height, len(found), engine.name, engine.kind,
        describe_motion(media, found, engine.kind), expected, suggestion,
        describe_deinterlacing(found.deinterlaced, len(found), media.deinterlace), describe_size_changes(found.later_sizes),
    )  # fmt: skip


def plan_all(
    inputs: Sequence[Path], output: Path | None, options: UpscaleOptions, settings: RunSettings, *, form: str = "auto"
) -> tuple[list[UpscalePlan], list[str]]:
    """Returns the plans of all inputs, and the inputs that are skipped; writes nothing. The arguments are those of ``upscale_all``.

    Raises:
        CodecVSRError: an input or an option cannot be used.
    """
    pipe = next((path for path in inputs if is_pipe(path)), None)
    if pipe is not None:
        raise InputError(
            f"{pipe_name(pipe)}: a pipe can be read only once, so it has no dry run; write it to a file first."
        )
    if output is not None and is_stream(output):
        check_stream_inputs(inputs, output)
        for_stream(settings, output)
        plan = _plan_one(make_dry_engine(options), inputs[0], Path(f"output{stream_suffix(output, form)}"))
        return [replace(plan, output=stream_name(output))], []
    jobs, skipped = plan_jobs(inputs, output, options, settings, form)
    engine = make_dry_engine(options)
    return [_plan_one(engine, source, target) for source, target in jobs], skipped


def _plan_one(engine: AnyEngine, source: Path, output: Path) -> UpscalePlan:
    options = engine.options
    folder, pattern = split_output(output)
    media = Media.open(source, options.fps, options.deinterlace)
    is_video = pattern is None and not is_image_name(folder)
    if pattern is None:
        check_output_name(media, folder)
    if is_video:
        container_of(folder)
        check_codec(folder, options.codec)
    begun = time.monotonic()
    found = scan(media, start=options.start, end=options.end, damage=options.damage, tonemap=options.tonemap)
    scan_seconds = time.monotonic() - begun
    form = choose_form(options, media, found, is_video=is_video, is_raw=is_raw(folder))
    plans = plan_streams(media, folder, options.audio) if is_video else []
    expected = estimate(engine, media, found, form, plans)
    if expected.seconds is not None:
        expected = replace(expected, seconds=expected.seconds + scan_seconds)
    return make_upscale_plan(engine, media, found, folder, form, expected)
