"""One input on its way to one output: planned here, made shard by shard wherever there is somebody to do it."""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from codecvsr.engine.device import peak_memory_bytes
from codecvsr.upscaling.checkpoint_dir import WorkFolder
from codecvsr.upscaling.chunk_motion import describe_motion
from codecvsr.upscaling.chunks import Shard
from codecvsr.upscaling.options import Engine, RunSettings, UpscaleReport
from codecvsr.upscaling.process_chunk import ShardWork, job_description
from codecvsr.upscaling.worker_pool import WorkerPool, usual_workers
from codecvsr.video.probe import Media, scan
from codecvsr.video.stream_mapping import StreamPlan

_SLOW, _FASTER = "codecvsr", "codecvsr-fast"  # what takes long on a CPU, and what takes less
_LONG_SECONDS = 3600.0

_logger = logging.getLogger(__name__)


class Job:
    """One input on its way to one output."""

    def __init__(self, engine: Engine, media: Media, work: WorkFolder, settings: RunSettings) -> None:
        self._engine, self._media, self._work_folder, self._settings = engine, media, work, settings
        self._work: ShardWork | None = None
        self._frames: Counter[int] = Counter()  # made by this run, by shard
        self._before = 0  # frames that were done before it
        self._started = 0.0
        self._workers = 1
        self._peak = 0
        self._left_out = 0.0  # frames that others stood for
        self._has_looked = False  # at what is left to do

    def tell(self, **event: Any) -> None:
        """Say what happens."""
        if self._settings.listener is not None:
            self._settings.listener(event)

    def _done_frames(self) -> int:
        if self._work is None:
            return 0
        return sum(s.stop - s.start for s in self._work.shards if self._work.target.is_done(s))

    @property
    def has_work(self) -> bool:
        """Some of it is done already."""
        return self._done_frames() > 0

    def how_to_go_on(self, run: str = "Run") -> str:
        """What is kept, and what to do to go on."""
        total = "" if self._work is None else f" of {len(self._work.scan)}"
        return (
            f"{self._done_frames()}{total} frames are done and kept in {self._work_folder.path}. "
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
        """Do everything that is not done yet.

        Args:
            pictures: pattern of the names of PNG files, empty for the usual one; None for a video.
            plans: what becomes of the input's other streams.
            losses: what of them is lost, in words.
            begun: when, by the monotonic clock.
            is_complete: nothing is left to do.
        """
        engine, options, media, output = self._engine, self._engine.options, self._media, self._work_folder.output
        found = self._work_folder.load_scan()
        if found is None:
            self.tell(event="survey", input=str(media.path))
            found = scan(media, start=options.start, end=options.end, damage=options.damage)
            self._work_folder.save_scan(found)
        preview = self._settings.preview
        self._work = work = ShardWork(engine, media, found, self._work_folder, pictures, plans, preview)
        for loss in losses:
            _logger.warning("%s: %s.", output, loss)
        if pictures is not None and (found.is_turned or found.aspect != 1):
            _logger.warning(
                "%s: is shown turned or with pixels that are not square, which PNG files cannot say: they hold the pictures "
                "as the video stores them.",
                media.path,
            )
        for other in plans:
            if other.title.startswith("video") and other.action == "copy":
                _logger.info("%s: %s is copied as it is; only the main video is upscaled.", media.path, other.title)
        _logger.info("%s: motion %s.", media.path, describe_motion(media, engine.kind))
        pending = [] if is_complete else work.pending()
        self._before = len(found) - sum(shard.stop - shard.start for shard in pending)
        self.tell(
            event="plan", input=str(media.path), output=str(output), frames=len(found), done_frames=self._before,
            shards=len(work.shards), width=work.width, height=work.height, motion=engine.kind,
        )  # fmt: skip
        self._started = time.monotonic()
        if pending:
            self._work_off(pending, pictures)
        elapsed = time.monotonic() - self._started
        if not is_complete:
            work.target.finish(work.shards)
        made = len(found) - self._before
        return UpscaleReport(
            input=str(media.path),
            output=str(output),
            frames=len(found),
            resumed_frames=self._before,
            shards=len(work.shards),
            width=work.width,
            height=work.height,
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
            losses=losses,
            skipped_share=self._left_out / max(made, 1) if engine.options.skip_static else None,
        )

    def _work_off(self, pending: Sequence[Shard], pictures: str | None) -> None:
        """Make shards: here, in worker processes, or on a cluster."""
        assert self._work is not None
        settings, output = self._settings, self._work_folder.output
        description = job_description(self._engine, self._media, output, pictures, settings.preview)
        if settings.ray is not None:
            from codecvsr.upscaling.on_ray import run_on_ray

            self._workers = run_on_ray(settings.ray, description, pending, self._hear)
            return
        count = min(settings.workers or usual_workers(self._engine.plan.device), len(pending))
        if count > 1:
            with WorkerPool(count, description) as crew:
                crew.run(pending, self._hear)
            self._workers, self._peak = count, crew.peak_memory_bytes
            return
        work = self._work

        def heard(shard: Shard, frame: int | None) -> None:
            done = {"event": "done", "left_out": work.take_ablations()} if frame is None else {"event": "frame"}
            self._hear({**done, "shard": shard.index})

        work.make(pending, heard)

    def _hear(self, event: Mapping[str, Any]) -> None:
        """Count what was made, and tell how far it is."""
        assert self._work is not None
        shard = self._work.shards[event["shard"]]
        length = shard.stop - shard.start
        if event["event"] == "lost":
            self._frames[shard.index] = 0
            self.tell(event="retry", shard=shard.index, first_frame=shard.start, frames=length)
            return
        if event["event"] == "done":
            self._left_out += event.get("left_out", 0)
            is_told, self._frames[shard.index] = self._frames[shard.index] == length, length
            if not self._has_looked:
                self._has_looked = True
                self._look_at_the_disk(length)
                self._look_at_the_time()
            if is_told:
                return
        else:
            self._frames[shard.index] += 1
        made, total = self._frames.total(), len(self._work.scan)
        speed = made / max(time.monotonic() - self._started, 1e-9)
        self.tell(
            event="progress", frame=self._before + made, frames=total, frames_per_second=speed,
            eta_seconds=(total - self._before - made) / speed,
        )  # fmt: skip

    def _look_at_the_disk(self, frames: int) -> None:
        """After the first ``frames`` of this run, say whether there is room for the rest, to go by what came so far."""
        assert self._work is not None
        taken = sum(p.stat().st_size for p in self._work_folder.path.rglob("*") if p.is_file())
        whole = taken / (self._before + frames) * len(self._work.scan)
        needed = whole - taken + (whole if self._work.target.is_copied else 0)
        free = shutil.disk_usage(self._work_folder.path).free
        if needed > free:
            _logger.warning(
                "%s: about %.1f GB more will be needed, %.1f GB are free. Make room in time; what is done is kept.",
                self._work_folder.output, needed / 1e9, free / 1e9,
            )  # fmt: skip

    def _look_at_the_time(self) -> None:
        """After the first shard of this run, name the faster network where a CPU has hours before it."""
        assert self._work is not None
        made, total = self._frames.total(), len(self._work.scan)
        left = (time.monotonic() - self._started) / max(made, 1) * (total - self._before - made)
        if left > _LONG_SECONDS and self._engine.model.name == _SLOW and self._engine.plan.device.type == "cpu":
            _logger.info(
                "%s: about %.1f hours are left at this speed. '-m %s' takes less than half of that for nearly the same pictures "
                "(with -y, as what is done is of '%s').",
                self._work_folder.output, left / 3600, _FASTER, _SLOW,
            )  # fmt: skip
