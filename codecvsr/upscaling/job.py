"""The job of one input and output: plans it, and makes its chunks here, in processes or on a cluster."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Sequence

from codecvsr.engine.device import peak_memory_bytes
from codecvsr.errors import OutputError
from codecvsr.events import Advanced, ChunkRetried, Event, FrameDone, Phase, Planned, ScanStarted
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.chunk_events import ChunkAdvanced, ChunkDone, ChunkEvent, ChunkLost, FrameMade
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.dry_run import make_upscale_plan
from codecvsr.upscaling.engine import Engine
from codecvsr.upscaling.estimate import Estimate, estimate_pending
from codecvsr.upscaling.losses import log_losses, lost_of_pictures
from codecvsr.upscaling.options import RunSettings, UpscaleReport
from codecvsr.upscaling.process_chunk import ChunkProcessor, job_description
from codecvsr.upscaling.speed import Meter, Seldom, Throttle
from codecvsr.upscaling.worker_pool import WorkerPool, usual_workers
from codecvsr.video.probe import Media, expected_frames
from codecvsr.video.scan import Scan, scan
from codecvsr.video.stream_mapping import StreamPlan

_SLOW, _FASTER = "codecvsr", "codecvsr-fast"  # on a CPU
_LONG_SECONDS = 3600.0

_logger = logging.getLogger(__name__)


class Job:
    """The job of one input and output."""

    def __init__(self, engine: Engine, media: Media, checkpoint: CheckpointDir, settings: RunSettings) -> None:
        self._engine, self._media, self._checkpoint, self._settings = engine, media, checkpoint, settings
        self._processor: ChunkProcessor | None = None
        self._meter = Meter(0)
        self._seldom = Seldom(self._emit_advance)
        self._done_before = 0  # frames that earlier runs made
        self._started = 0.0
        self._workers = 1
        self._peak = 0
        self._skipped_frames = 0.0
        self._has_estimates = False  # of disk space and time

    def emit(self, event: Event) -> None:
        """Reports an event to ``settings.on_event``."""
        if self._settings.on_event is not None:
            self._settings.on_event(event)

    def _done_frames(self) -> int:
        if self._processor is None:
            return 0
        return sum(c.stop - c.start for c in self._processor.chunks if self._processor.target.is_done(c))

    def how_to_go_on(self, run: str = "Run") -> str:
        """Returns what is done, and the command that continues."""
        if not self._settings.leaves_work:
            return (
                f"Nothing is saved, as the output is a pipe; temporary files are in {tempfile.gettempdir()} (TMPDIR)."
            )
        if not self._checkpoint.has_work:
            return f"No frame is done yet. {run} the same command to go on."
        total = "" if self._processor is None else f" of {len(self._processor.scan)}"
        return (
            f"{self._done_frames()}{total} frames are done and saved in {self._checkpoint.path}. "
            f"{run} the same command to go on."
        )

    def run(
        self,
        pictures: str | None,
        plans: Sequence[StreamPlan],
        losses: list[str],
        begun: float,
        *,
        is_complete: bool,
    ) -> UpscaleReport:
        """Makes all chunks that are not done, and the output of them.

        Args:
            pictures: pattern of the names of PNG files, empty for the usual one; None for a video.
            plans: what is done with the input's other streams.
            losses: what of them the output cannot store, in words.
            begun: start of the job by the monotonic clock.
            is_complete: the output is complete already.
        """
        engine, media, output = self._engine, self._media, self._checkpoint.output
        found = self._load_scan()
        preview = self._settings.preview
        losses = self._all_losses(found, pictures, losses)
        self._processor = processor = ChunkProcessor(engine, media, found, self._checkpoint, pictures, plans, preview)
        log_losses(media.path, output, found, plans, losses, is_folder=pictures is not None)
        pending = [] if is_complete else processor.pending()
        self._log_plan(found, plans, pending)
        self._done_before = len(found) - sum(chunk.stop - chunk.start for chunk in pending)
        self.emit(
            Planned(
                str(media.path), str(output), len(found), self._done_before, len(processor.chunks), processor.width,
                processor.height, engine.kind,
            )
        )  # fmt: skip
        self._meter = Meter(len(found) - self._done_before)
        self._started = time.monotonic()
        if pending:
            self._make(pending, pictures)
        elapsed = time.monotonic() - self._started
        if not is_complete:
            self._advance("writing")
            processor.target.finish(processor.chunks)
        made = len(found) - self._done_before
        return UpscaleReport(
            input=str(media.path),
            output=str(output),
            frames=len(found),
            resumed_frames=self._done_before,
            chunks=len(processor.chunks),
            width=processor.width,
            height=processor.height,
            seconds=time.monotonic() - begun,
            frames_per_second=made / elapsed if elapsed > 0 else 0.0,
            peak_memory_mb=max(peak_memory_bytes(engine.plan.device), self._peak) / 2**20,
            model=engine.model.name,
            training=engine.model.training,
            motion=engine.kind,
            device=str(engine.plan.device),
            precision=engine.plan.precision,
            workers=self._workers,
            concealed_frames=found.concealed,
            deinterlaced_frames=found.deinterlaced,
            losses=losses,
            skipped_share=self._skipped_frames / max(made, 1) if processor.skips == "frames" else None,
            work_share=1 - self._skipped_frames / max(made, 1) if processor.skips != "off" else None,
        )

    def _advance(self, phase: Phase, done: float = 0.0, total: int | None = None, eta: float | None = None) -> None:
        self.emit(Advanced(str(self._media.path), phase, done, total, eta))

    def _emit_advance(self, event: ChunkAdvanced) -> None:
        """Reports what a chunk has done: of decoding and motion, as it is; of upscaling, among all frames."""
        if event.phase != "upscaling":
            if not self._meter.position:  # otherwise a worker decodes while others upscale
                self._advance(event.phase, event.done, event.total)
            return
        assert self._processor is not None
        total = len(self._processor.scan)
        self._advance("upscaling", self._done_before + self._meter.position, total, self._meter.eta_seconds())

    def _load_scan(self) -> Scan:
        """Returns the scan of the checkpoint, or makes and saves one."""
        found = self._checkpoint.load_scan()
        if found is None:
            options = self._engine.options
            self.emit(ScanStarted(str(self._media.path)))
            reading = Throttle()
            total = expected_frames(self._media)

            def on_frames(count: int) -> None:
                if reading.is_due():
                    self._advance("reading", count, total)

            found = scan(
                self._media,
                start=options.start,
                end=options.end,
                damage=options.damage,
                tonemap=options.tonemap,
                on_frames=on_frames,
            )
            self._checkpoint.save_scan(found)
        return found

    def _all_losses(self, found: Scan, pictures: str | None, losses: list[str]) -> list[str]:
        """Returns what the output will lack of the streams and of what the scan found.

        Raises:
            OutputError: it will lack something and ``settings.strict`` is set.
        """
        output = self._checkpoint.output
        codec = self._engine.options.codec
        losses = losses + lost_of_pictures(self._media, found, output, codec, is_folder=pictures is not None)
        if losses and self._settings.strict and pictures is None:
            raise OutputError(f"{output}: cannot store everything ({'; '.join(losses)}); omit --strict to do without.")
        return losses

    def _log_plan(self, found: Scan, plans: Sequence[StreamPlan], pending: Sequence[Chunk]) -> None:
        """Shows what will be done and, where the settings ask for it, how long that takes."""
        assert self._processor is not None
        expected, settings = Estimate(), self._settings
        if settings.has_estimate and settings.ray is None and pending:
            self._advance("estimating")
            workers = settings.workers or usual_workers(self._engine.plan.device)
            form = self._processor.form
            expected = estimate_pending(self._engine, self._media, found, form, plans, pending, workers=workers)
        output = self._checkpoint.output
        for line in make_upscale_plan(self._engine, self._media, found, output, self._processor.form, expected).lines():
            _logger.info("%s", line)

    def _make(self, pending: Sequence[Chunk], pictures: str | None) -> None:
        """Makes chunks: here, in worker processes, or on a cluster."""
        assert self._processor is not None
        settings, output = self._settings, self._checkpoint.output
        description = job_description(self._engine, self._media, output, pictures, settings.preview)
        if settings.ray is not None:
            from codecvsr.upscaling.on_ray import run_on_ray

            self._workers = run_on_ray(settings.ray, description, pending, self._on_chunk_event)
            return
        count = min(settings.workers or usual_workers(self._engine.plan.device), len(pending))
        if count > 1:
            with WorkerPool(count, description) as pool:
                pool.run(pending, self._on_chunk_event)
            self._workers, self._peak = count, pool.peak_memory_bytes
            return
        processor = self._processor

        def on_frame(chunk: Chunk, frame: int | None) -> None:
            is_done = frame is None
            self._on_chunk_event(
                ChunkDone(chunk.index, processor.pop_skipped_frames()) if is_done else FrameMade(chunk.index)
            )

        processor.make(pending, on_frame, None if settings.on_event is None else self._on_chunk_event)

    def _on_chunk_event(self, event: ChunkEvent) -> None:
        """Counts what was made, and reports progress."""
        assert self._processor is not None
        chunk = self._processor.chunks[event.chunk]
        length = chunk.stop - chunk.start
        if isinstance(event, ChunkLost):
            self._meter.lose(chunk)
            self.emit(ChunkRetried(chunk.index, chunk.start, length))
            return
        if isinstance(event, ChunkAdvanced):
            if event.phase == "upscaling":
                self._meter.advance(chunk, event.done)
            self._seldom(event)
            return
        if isinstance(event, ChunkDone):
            self._skipped_frames += event.skipped_frames
            is_reported = self._meter.count_of(chunk) == length
            self._meter.set_frames(chunk, length)
            if not self._has_estimates:
                self._has_estimates = True
                self._check_disk_space(length)
                self._check_time()
            if is_reported:
                return
        else:
            self._meter.set_frames(chunk, self._meter.count_of(chunk) + 1)
        meter, total = self._meter, len(self._processor.scan)
        speed = meter.frames_per_second() or meter.frames / max(time.monotonic() - self._started, 1e-9)
        left = total - self._done_before - meter.frames
        eta_seconds = meter.eta_seconds() if left and meter.eta_seconds() is not None else left / speed
        self.emit(FrameDone(self._done_before + meter.frames, total, speed, eta_seconds or 0.0))

    def _check_disk_space(self, frames: int) -> None:
        """Warns, after the first ``frames`` of this run, if the output will not fit on the disk at that size."""
        assert self._processor is not None
        used = sum(p.stat().st_size for p in self._checkpoint.path.rglob("*") if p.is_file())
        whole = used / (self._done_before + frames) * len(self._processor.scan)
        needed = whole - used + (whole if self._processor.target.is_copied else 0)
        free = shutil.disk_usage(self._checkpoint.path).free
        if needed > free:
            _logger.warning(
                "%s: about %.1f GB more will be needed, %.1f GB are free. Make room in time; finished work is saved.",
                self._checkpoint.output, needed / 1e9, free / 1e9,
            )  # fmt: skip

    def _check_time(self) -> None:
        """Names the faster network, after the first chunk of this run, if a CPU will need hours."""
        assert self._processor is not None
        made, total = self._meter.frames, len(self._processor.scan)
        seconds = (time.monotonic() - self._started) / max(made, 1) * (total - self._done_before - made)
        if seconds > _LONG_SECONDS and self._engine.model.name == _SLOW and self._engine.plan.device.type == "cpu":
            _logger.info(
                "%s: about %.1f hours are left at this speed. '-m %s' needs less than 50 %% of that for nearly the same pictures "
                "(with -y, as what is done is of '%s').",
                self._checkpoint.output, seconds / 3600, _FASTER, _SLOW,
            )  # fmt: skip
