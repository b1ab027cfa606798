"""One input on its way to one output, shard by shard; decoding, network and encoding overlap."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from codecvsr.bitstream.frames import CodedFrame
from codecvsr.engine.device import peak_memory_bytes
from codecvsr.errors import InputError
from codecvsr.pipeline import targets
from codecvsr.pipeline.fields import describe_motion, make_source
from codecvsr.pipeline.infer import Ablations, upscale_frames
from codecvsr.pipeline.media import Media, Survey, frames_between, survey
from codecvsr.pipeline.resize import resample
from codecvsr.pipeline.segments import EncoderOptions, PictureFormat, even_sides, usual_pixel_format
from codecvsr.pipeline.shards import Shard, plan, usual_chunk
from codecvsr.pipeline.source import Source
from codecvsr.pipeline.stages import Ahead, Behind
from codecvsr.pipeline.streams import StreamPlan
from codecvsr.pipeline.upscale_options import Engine, Listener, UpscaleReport, output_size
from codecvsr.pipeline.window import longest_window
from codecvsr.pipeline.workfolder import WorkFolder

_ASPECT_TOLERANCE = Fraction(1, 100)  # a change of shape below comes from rounding the size and is not seen
_BYTES_WAITING = 256 << 20  # pictures between network and encoder
_logger = logging.getLogger(__name__)


class Job:
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
        plans: Sequence[StreamPlan],
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
        for other in plans:
            if other.title.startswith("video") and other.action == "copy":
                _logger.info("%s: %s is copied as it is; only the main video is upscaled.", media.path, other.title)
        _logger.info("%s: motion %s.", media.path, describe_motion(media, engine.kind))
        assert self._target is not None
        pending = [shard for shard in self._shards if not self._target.is_done(shard)]
        done = len(found) - sum(shard.stop - shard.start for shard in pending)
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
        self, found: Survey, as_pictures: bool, pattern: str | None, plans: Sequence[StreamPlan]
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
        with Ahead(functools.partial(self._sources, pending)) as sources:
            for shard, source in sources:
                windows = shard.windows(length, engine.options.overlap)
                pictures = upscale_frames(
                    engine.model, source, Ablations(), length, engine.device, engine.dtype, windows
                )
                with self._target.writer(shard) as writer, Behind(room) as encoder:
                    for index, picture in zip(range(shard.start, shard.stop), pictures, strict=True):
                        encoder.submit(functools.partial(_finish_picture, writer, index, picture, height, width))
                        done += 1
                        speed = (done - before) / max(time.monotonic() - started, 1e-9)
                        self.tell(
                            event="progress", frame=done, frames=total, frames_per_second=speed,
                            eta_seconds=(total - done) / speed,
                        )  # fmt: skip
                    encoder.submit(writer.close)

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
