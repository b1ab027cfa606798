"""Making shards: the same in this process, in worker processes and in tasks of a cluster.

A shard depends on nothing but its own frames and those it looks at, and is whole when its file has its name: it may be made
anywhere, in any order, and twice.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.files import write_png
from codecvsr.inference.infer import Ablations, upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.runners import radius, usual_window
from codecvsr.inference.skip_static import DuplicateFrames
from codecvsr.inference.source import Source
from codecvsr.upscaling import outputs
from codecvsr.upscaling.checkpoint_dir import WorkFolder
from codecvsr.upscaling.chunk_motion import make_source
from codecvsr.upscaling.chunks import Shard, first_chunk, plan, usual_chunk
from codecvsr.upscaling.comparison import split_picture
from codecvsr.upscaling.frame_names import frame_names
from codecvsr.upscaling.options import Engine, output_size
from codecvsr.upscaling.prefetch import Ahead, Behind
from codecvsr.video.probe import Media, Scan
from codecvsr.video.resize import resample
from codecvsr.video.seek import Decoder
from codecvsr.video.segments import EncoderOptions, PictureFormat, even_sides, usual_pixel_format
from codecvsr.video.stream_mapping import StreamPlan

_ASPECT_TOLERANCE = Fraction(1, 100)  # a change of shape below comes from rounding the size and is not seen
_BYTES_WAITING = 64 << 20  # pictures between network and encoder
_PREVIEW_SECONDS = 10  # between two previews within a shot

#: Is told of every picture of a shard that was made, and with None when the shard is whole.
Heard = Callable[[Shard, int | None], None]


class ShardWork:
    """What all shards of one input have in common.

    Attributes:
        scan: the input's frames.
        shards: how they are divided.
        target: where the pictures go.
        height: of the output, in pixels.
        width: of the output.
    """

    def __init__(
        self,
        engine: Engine,
        media: Media,
        scan: Scan,
        work: WorkFolder,
        pictures: str | None,
        plans: Sequence[StreamPlan] = (),
        preview: Path | None = None,
    ) -> None:
        """Choose sizes, shards and the target.

        Args:
            engine: what runs.
            media: the input.
            scan: its frames.
            work: the work folder of the output.
            pictures: pattern of the names of PNG files, empty for the usual one; None for a video.
            plans: what becomes of the input's other streams.
            preview: a PNG that shows before and after of the latest shot.

        Raises:
            InputError: the output cannot have this size.
        """
        self._engine, self._media, self._work, self._preview = engine, media, work, preview
        self._shown = -float("inf")
        self.scan = scan
        options, network = engine.options, engine.model.network
        self._overlap = max(options.overlap, radius(network))
        window = options.window or usual_window(network, engine.plan, scan.height, scan.width)
        self._plan = engine.plan.for_job(len(scan), scan.height, scan.width)
        self._budget = MemoryLimits(window, options.tile, duplicates=DuplicateFrames() if options.skip_static else None)
        chunk = options.chunk or usual_chunk(scan.height, scan.width)
        first = 0 if options.chunk else first_chunk(len(scan))
        self.shards = plan(scan.keys.tolist(), chunk, self._overlap, first)
        self.target: outputs.Target
        if pictures is not None:
            self.height, self.width = output_size(scan.height, scan.width, options)
            names = frame_names(media, len(scan), scan.first, pictures)
            self.target = outputs.PictureTarget(work.output, work, names, pictures)
            return
        pixel_format = options.pixel_format
        if pixel_format == "auto":
            pixel_format = usual_pixel_format(options.codec, scan.pixel_format)
        encoder = EncoderOptions(options.codec, options.crf, options.preset, pixel_format)
        self.height, self.width = output_size(scan.height, scan.width, options, even_sides(pixel_format))
        encoder.check_size(self.height, self.width)
        change = Fraction(self.width * scan.height, self.height * scan.width)
        aspect = scan.aspect if abs(change - 1) < _ASPECT_TOLERANCE else scan.aspect / change
        form = PictureFormat(
            self.height, self.width, media.time_base, media.rate, scan.colour, aspect.limit_denominator(9999)
        )
        self.target = outputs.VideoTarget(
            work.output, work, media, scan, encoder, form, plans, cut=engine.options.is_cut
        )

    def pending(self) -> list[Shard]:
        """The shards that are not done."""
        return [shard for shard in self.shards if not self.target.is_done(shard)]

    def take_ablations(self) -> float:
        """How many frames others stood for since this was last asked."""
        duplicates = self._budget.duplicates
        if duplicates is None:
            return 0.0
        count, duplicates.left_out = duplicates.left_out, 0.0
        return count

    def make(self, shards: Iterable[Shard | None], heard: Heard) -> None:
        """Make shards; decoding, network and encoding overlap.

        Args:
            shards: best in the order of the video; the next one is asked for while one is worked on. None where none is
                known yet.
            heard: is told how far it is.
        """
        engine = self._engine
        room = max(2, min(8, _BYTES_WAITING // (self.height * self.width * 3)))
        with Ahead(functools.partial(self._sources, shards)) as sources:
            for shard, source in sources:
                windows = shard.windows(self._budget.window, self._overlap)
                made = upscale_frames(engine.model, source, Ablations(), self._budget, self._plan, windows)
                with self.target.writer(shard) as writer, Behind(room) as encoder:
                    for index, picture in zip(range(shard.start, shard.stop), made, strict=True):
                        encoder.submit(functools.partial(self._finish, writer, index, picture))
                        self._show(shard, source, index, picture)
                        heard(shard, index)
                    encoder.submit(writer.close)
                heard(shard, None)

    def _finish(self, writer: outputs.ShardWriter, index: int, picture: npt.NDArray[np.uint8]) -> None:
        writer.add(index, resample(picture, self.height, self.width))

    def _show(self, shard: Shard, source: Source, index: int, picture: npt.NDArray[np.uint8]) -> None:
        """Before and after of the frame, if it begins a shot or the last preview is old."""
        if self._preview is None:
            return
        place = index - shard.context_start
        begins = bool(source.motion.is_cut[place])
        if not begins and time.monotonic() - self._shown < _PREVIEW_SECONDS:
            return
        self._shown = time.monotonic()
        part = self._preview.with_name(f".{self._preview.stem}.{os.getpid()}.png")
        try:
            write_png(part, split_picture(source.frames[place], picture))
            os.replace(part, self._preview)
        finally:
            part.unlink(missing_ok=True)

    def _sources(self, shards: Iterable[Shard | None], stopped: Callable[[], bool]) -> Iterator[tuple[Shard, Source]]:
        """Shards decoded and with their motion; frames that the next one does not look at are let go."""
        decoder = Decoder(self._media, self.scan, self._engine.options.damage)
        for shard in shards:
            if stopped():
                return
            if shard is None:
                continue
            frames = []
            for frame in decoder.stretch(shard.context_start, shard.context_stop):
                if stopped():
                    return
                if frame is not None:
                    frames.append(frame)
            source = make_source(frames, self._media, self._engine.kind, self._engine.model, self._work.path)
            del frames, frame  # while this waits for whoever asked for it, the pictures in it are enough
            yield shard, source
            del source


def job_description(
    engine: Engine, media: Media, output: Path, pictures: str | None, preview: Path | None
) -> dict[str, Any]:
    """What another process needs to make shards of a job that was planned here, as JSON holds it."""
    options = engine.options.to_json()
    model = engine.model
    if model.path is not None:
        options["model"] = str(model.path.resolve())
    return {
        "source": str(media.path.resolve()),
        "output": str(output.resolve()),
        "pictures": pictures,
        "preview": None if preview is None else str(preview.resolve()),
        "options": {
            **options,
            "motion": None if engine.kind == "none" else engine.kind,
            "device": str(engine.plan.device),
        },
    }
