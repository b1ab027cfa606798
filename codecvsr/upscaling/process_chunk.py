"""Makes chunks: in this process, in worker processes and in tasks of a cluster.

The result of a chunk depends on its own frames and its context frames only, and its file gets its name when it is complete: so
chunks may be made anywhere, in any order, and twice.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.constants import SCALE
from codecvsr.engine.plan import Plan
from codecvsr.files import write_png
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.native_window import is_native
from codecvsr.inference.source import Source
from codecvsr.inference.usual_tile import seen_frames, usual_tile
from codecvsr.inference.windows import Window
from codecvsr.prefetch import BackgroundRunner, Prefetcher
from codecvsr.upscaling import outputs
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.chunk_events import ChunkAdvanced
from codecvsr.upscaling.chunk_motion import make_source
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.comparison import labels_of, split_view
from codecvsr.upscaling.engine import Engine
from codecvsr.upscaling.frame_names import frame_names
from codecvsr.upscaling.image_output import ImageTarget
from codecvsr.upscaling.work import choose_form, plan_work
from codecvsr.video.image_writer import check_image_size, is_image_name
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.seek import Decoder
from codecvsr.video.size_changes import fit, shape_at
from codecvsr.video.stream_mapping import StreamPlan, is_raw

_QUEUE_BYTES = 64 << 20  # pictures between network and encoder
_PREVIEW_SECONDS = 10  # between two previews within a shot

#: Called with a chunk and the index of a frame that was made; with None when the chunk is complete.
FrameHandler = Callable[[Chunk, int | None], None]
AdvanceHandler = Callable[[ChunkAdvanced], None]


class _Position:
    """Turns the share of a window that is done into frames of the chunk."""

    def __init__(self, chunk: Chunk, windows: Sequence[Window], on_advance: AdvanceHandler) -> None:
        self._chunk, self._windows, self._on_advance = chunk, list(windows), on_advance
        self._before, self._last = 0, 0.0

    def __call__(self, share: float) -> None:
        """Reports a share; one that is smaller than the last begins the next window."""
        if share < self._last and self._before < len(self._windows) - 1:
            self._before += 1
        self._last = share
        frames = [window.keep_stop - window.keep_start for window in self._windows]
        done = sum(frames[: self._before]) + share * frames[self._before]
        self._on_advance(ChunkAdvanced(self._chunk.index, "upscaling", done, sum(frames)))


class ChunkProcessor:
    """Makes the chunks of one input.

    Attributes:
        scan: the input's frames.
        chunks: of those frames.
        target: where the pictures go.
        form: size and encoding of the output.
        height: of the output, in pixels.
        width: of the output.
    """

    def __init__(
        self,
        engine: Engine,
        media: Media,
        scan: Scan,
        checkpoint: CheckpointDir,
        pictures: str | None,
        plans: Sequence[StreamPlan] = (),
        preview: Path | None = None,
    ) -> None:
        """Chooses sizes, chunks and the target.

        Args:
            engine: the network and how it is run.
            media: the input.
            scan: its frames.
            checkpoint: of the output.
            pictures: pattern of the names of PNG files, empty for the usual one; None for a video.
            plans: what is done with the input's other streams.
            preview: a PNG file of before and after of the latest shot.

        Raises:
            InputError: the output cannot have this size.
        """
        self._engine, self._media, self._checkpoint, self._preview = engine, media, checkpoint, preview
        self._shown = -float("inf")
        self.scan = scan
        options, work = engine.options, plan_work(engine, scan)
        self._overlap, self.chunks = work.overlap, list(work.chunks)
        self._is_native = is_native(engine.model.network, engine.plan)
        self._static = engine.static()
        self._runs: dict[tuple[int, int], tuple[MemoryLimits, Plan]] = {}  # how frames of each size are upscaled
        image = media.image if is_image_name(checkpoint.output) and pictures is None else None
        self.form = form = choose_form(
            options, media, scan, is_video=pictures is None and image is None, is_raw=is_raw(checkpoint.output)
        )
        self.height, self.width = form.height, form.width
        self.target: outputs.Target
        if image is not None:
            check_image_size(checkpoint.output, self.height, self.width)
            self.target = ImageTarget(checkpoint.output, checkpoint, image)
            return
        if form.encoder is None or form.picture is None:
            names = frame_names(media, len(scan), scan.first, pictures or "")
            self.target = outputs.PictureTarget(checkpoint.output, checkpoint, names, pictures or "")
            return
        self.target = outputs.VideoTarget(
            checkpoint.output, checkpoint, media, scan, form.encoder, form.picture, plans, cut=options.is_cut
        )

    def pending(self) -> list[Chunk]:
        """Returns the chunks that are not done."""
        return [chunk for chunk in self.chunks if not self.target.is_done(chunk)]

    def pop_skipped_frames(self) -> float:
        """Returns how many frames, or the work of how many, were skipped since the last call."""
        if self._static is None:
            return 0.0
        count, self._static.skipped_frames = self._static.skipped_frames, 0.0
        return count

    @property
    def skips(self) -> str:
        """What is skipped: ``frames``, ``blocks`` or ``off``."""
        return self._static.name if self._static is not None else "off"

    def _run(self, height: int, width: int) -> tuple[MemoryLimits, Plan]:
        """Returns how frames of one size are upscaled, the same for all chunks of that size."""
        if (height, width) not in self._runs:
            options, engine = self._engine.options, self._engine
            window = engine.window(height, width)
            frames = seen_frames(window, len(self.scan))
            tile = options.tile or usual_tile(engine.model.network, engine.plan, frames, height, width)
            limits = MemoryLimits(window, tile, static=self._static)
            self._runs[height, width] = limits, engine.plan.for_job(len(self.scan), height, width)
        return self._runs[height, width]

    def make(
        self, chunks: Iterable[Chunk | None], on_frame: FrameHandler, on_advance: AdvanceHandler | None = None
    ) -> None:
        """Makes chunks; decoding, network and encoding overlap.

        Args:
            chunks: fastest in the order of the video; the next one is fetched while one is in the network. None where the
                next one is not known yet.
            on_frame: called after each frame and each chunk.
            on_advance: called with what is done before and between frames; of decoding and motion, with those of the first chunk.
        """
        engine = self._engine
        room = max(2, min(8, _QUEUE_BYTES // (self.height * self.width * 3)))
        with Prefetcher(functools.partial(self._sources, chunks, on_advance)) as sources:
            for chunk, source in sources:
                limits, run_plan = self._run(*source.frames.shape[1:3])
                windows = chunk.windows(limits.window, self._overlap)
                strength = engine.options.strength
                made = upscale_frames(
                    engine.model,
                    source,
                    Ablations(),
                    limits,
                    run_plan,
                    windows,
                    strength=strength,
                    on_share=None if on_advance is None else _Position(chunk, windows, on_advance),
                    scale=self._scale(source),
                )
                with self.target.writer(chunk) as writer, BackgroundRunner(room) as encoder:
                    for index, picture in zip(range(chunk.start, chunk.stop), made, strict=True):
                        encoder.submit(functools.partial(self._finish, writer, index, picture))
                        self._show(chunk, source, index, picture)
                        on_frame(chunk, index)
                    encoder.submit(writer.close)
                on_frame(chunk, None)

    def _scale(self, source: Source) -> int:
        """Returns the scale of the network's pictures: that of the output, where the network can make such pictures itself."""
        height, width = source.frames.shape[1:3]
        scale = self.height // height
        is_whole = (self.height, self.width) == (scale * height, scale * width) and 1 <= scale <= SCALE
        is_possible = self._is_native and self._engine.options.strength == 1 and not any(self.scan.crop)
        return scale if is_whole and is_possible else SCALE

    def _finish(self, writer: outputs.ChunkWriter, index: int, picture: npt.NDArray[np.uint8]) -> None:
        shape = shape_at(self.scan.later_sizes, index)
        writer.add(index, fit(self.scan.without_hidden(picture, SCALE), self.height, self.width, shape))

    def _show(self, chunk: Chunk, source: Source, index: int, picture: npt.NDArray[np.uint8]) -> None:
        """Writes the preview if the frame begins a shot or the last preview is old."""
        if self._preview is None:
            return
        place = index - chunk.context_start
        begins = bool(source.motion.is_cut[place])
        if not begins and time.monotonic() - self._shown < _PREVIEW_SECONDS:
            return
        self._shown = time.monotonic()
        part = self._preview.with_name(f".{self._preview.stem}.{os.getpid()}.png")
        try:
            labels = labels_of(self._engine.options.model)
            write_png(part, split_view(source.frames[place], picture, labels, self.scan.rotation))
            os.replace(part, self._preview)
        finally:
            part.unlink(missing_ok=True)

    def _sources(
        self, chunks: Iterable[Chunk | None], on_advance: AdvanceHandler | None, stopped: Callable[[], bool]
    ) -> Iterator[tuple[Chunk, Source]]:
        """Yields chunks, decoded and with their motion; frames that the next one does not need are freed."""
        decoder = Decoder(self._media, self.scan, self._engine.options.damage)
        for chunk in chunks:
            if stopped():
                return
            if chunk is None:
                continue
            frames, length = [], chunk.context_stop - chunk.context_start
            for frame in decoder.frames(chunk.context_start, chunk.context_stop):
                if stopped():
                    return
                if frame is not None:
                    frames.append(frame)
                if on_advance is not None:
                    on_advance(ChunkAdvanced(chunk.index, "decoding", len(frames), length))
            if on_advance is not None:
                on_advance(ChunkAdvanced(chunk.index, "motion", 0, length))
            on_advance = None  # the next chunks are decoded meanwhile
            source = make_source(frames, self._media, self._engine.kind, self._engine.model, self._checkpoint.path)
            del frames, frame  # the source has the pixels: free the decoded frames while this waits
            yield chunk, source
            del source


def job_description(
    engine: Engine, media: Media, output: Path, pictures: str | None, preview: Path | None
) -> dict[str, Any]:
    """Returns what another process needs to make chunks of this job, as a JSON object."""
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
