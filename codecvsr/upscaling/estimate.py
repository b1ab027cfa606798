"""Estimates of ``upscale`` before its work: time, size of the output and gain, from a trial of a few frames on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np

from codecvsr.errors import CodecVSRError
from codecvsr.inference.tiles import split_frame
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.engine import AnyEngine
from codecvsr.upscaling.gain import FORMULAS, expected_gain, facts_of
from codecvsr.upscaling.packet_sizes import PacketSizes, read_packet_sizes
from codecvsr.upscaling.trial import Trial, run_trial
from codecvsr.upscaling.work import OutputForm, Work, plan_work
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.segments import even_sides

if TYPE_CHECKING:
    from codecvsr.video.stream_mapping import StreamPlan

_LOOKAHEAD = 45  # frames that x264 holds back: they are coded after the network's last frame of a chunk
_KEY_INTERVAL = 250  # frames after which x264 and x265 code one by itself
_SHARE = 0.05  # of the work's processor time, that a trial may take
_CPU_SECONDS = 1.0  # that a trial may take whatever the work is
_FOLLOWS = (
    0.7  # exponent: detail that compression took from the input returns in part, so outputs vary less than inputs
)
_SOUND_BYTES = 16_000  # per second of sound that is encoded again
_SHORT = 24  # frames of a video that is made about as soon as tried


@dataclass(frozen=True)
class Estimate:
    """What a job is expected to take; None for what is not known.

    Attributes:
        seconds: of the work, after the scan of the input.
        bytes: of the output.
        gain_db: RGB PSNR over bicubic.
        gain_error_db: root mean square error of ``gain_db`` on clips that it was not fitted to.
        cpu_seconds: processor time of the work: what it costs, however busy the machine is.
        note: why there is no estimate, or what it is made from; empty where nothing is to say.
    """

    seconds: float | None = None
    bytes: int | None = None
    gain_db: float | None = None
    gain_error_db: float | None = None
    cpu_seconds: float | None = None
    note: str = ""

    def words(self) -> str:
        """Returns "about 12 min, about 180 MB", or the reason why there is no estimate."""
        parts = []
        if self.seconds is not None:
            parts.append(f"about {duration(self.seconds)}")
        if self.bytes is not None:
            parts.append(f"about {size(self.bytes)}")
        if self.gain_db is not None and self.gain_error_db is not None:
            parts.append(f"gain over bicubic about {self.gain_db:.1f} dB (+-{self.gain_error_db:.1f})")
        return ", ".join([*parts, self.note] if self.note else parts)


def duration(seconds: float) -> str:
    """Returns a duration in words, such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    if seconds < 100 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """Returns a number of bytes in decimal units, such as "180 MB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}" if count < 10 * factor else f"{count / factor:.0f} {unit}"
    return f"{count / 1e3:.0f} kB"


def estimate(
    engine: AnyEngine,
    media: Media,
    scan: Scan,
    form: OutputForm,
    plans: Sequence[StreamPlan] = (),
    pending: Sequence[Chunk] | None = None,
    *,
    workers: int = 1,
) -> Estimate:
    """Tries a few frames and extrapolates; an input that cannot be tried has no estimate.

    Args:
        engine: the network and how it is run.
        media: the input.
        scan: its frames.
        form: of the output.
        plans: what is done with the input's other streams.
        pending: the chunks that are not done; None for all.
        workers: processes that share the work.
    """
    if scan.later_sizes:
        return Estimate(note="no estimate (the picture size changes)")
    work = plan_work(engine, scan)
    chunks = work.chunks if pending is None else pending

    frames = sum(chunk.stop - chunk.start for chunk in chunks)

    def goes_on(trial: Trial) -> bool:
        each = sum(stage.cpu for stage in (trial.decode, trial.motion, trial.network, trial.encode))
        return trial.cpu_seconds < max(_CPU_SECONDS, _SHARE * each * frames)

    try:
        trial = run_trial(engine, media, scan, form, goes_on)
        packets = read_packet_sizes(media, scan, is_cut=engine.options.is_cut)
    except (CodecVSRError, OSError, av.FFmpegError, RuntimeError, ValueError, MemoryError) as error:
        return Estimate(note=f"no estimate ({str(error).rstrip('.')})")
    gain = _gain(engine, media, trial)
    seconds, cpu_seconds = _seconds(engine, scan, work, chunks, trial, workers)
    return Estimate(
        seconds=seconds,
        bytes=_bytes(media, scan, form, work, trial, packets, plans),
        gain_db=gain,
        cpu_seconds=cpu_seconds,
        gain_error_db=FORMULAS[engine.name].error if gain and engine.name in FORMULAS else None,
    )


def estimate_pending(
    engine: AnyEngine,
    media: Media,
    scan: Scan,
    form: OutputForm,
    plans: Sequence[StreamPlan],
    pending: Sequence[Chunk],
    *,
    workers: int,
) -> Estimate:
    """Returns :func:`estimate` of a run, unless the run has so few frames that it would cost more than it tells."""
    frames = sum(chunk.stop - chunk.start for chunk in pending)
    if frames <= _SHORT:
        return Estimate(note=f"no estimate for so few frames ({frames})")
    return estimate(engine, media, scan, form, plans, pending, workers=workers)


def _gain(engine: AnyEngine, media: Media, trial: Trial) -> float | None:
    if engine.options.strength != 1 or engine.kind not in ("codec", "none"):
        return None
    if media.kind != "h264" and engine.name in FORMULAS:
        return None
    return expected_gain(engine.name, facts_of(trial.frames))


def _seconds(
    engine: AnyEngine, scan: Scan, work: Work, chunks: Sequence[Chunk], trial: Trial, workers: int
) -> tuple[float, float]:
    """Returns the time, and the processor time.

    Adds up the chunks: decoding of the next one, the network and encoding overlap as far as processors are free.
    """
    tiles = split_frame(scan.height, scan.width, engine.options.tile)
    area = sum((t.rows.stop - t.rows.start) * (t.columns.stop - t.columns.start) for t in tiles)
    margins = area / (scan.height * scan.width)
    stages = trial.decode, trial.motion, trial.network, trial.encode
    processors = max(stages, key=lambda stage: stage.cpu).threads  # those that other programs leave free
    total = cpu_total = 0.0
    for chunk in chunks:
        kept, shown = chunk.stop - chunk.start, chunk.context_stop - chunk.context_start
        windows = chunk.windows(work.window, work.overlap)
        seen = kept if engine.is_sliding else sum(window.stop - window.start for window in windows)
        start_up = trial.window_seconds * len(windows) * len(tiles)
        network = seen * margins * trial.network.wall + start_up
        source = shown * (trial.decode.wall + trial.motion.wall)
        encoding = kept * trial.encode.wall
        held_back = min(_LOOKAHEAD, kept) * trial.encode.wall
        cpu = seen * margins * trial.network.cpu + shown * (trial.decode.cpu + trial.motion.cpu)
        cpu += kept * trial.encode.cpu
        total += max(network + held_back, source, encoding, cpu / processors + start_up)
        cpu_total += cpu + start_up
    first = chunks[0] if chunks else None
    alone = (
        0.0 if first is None else (first.context_stop - first.context_start) * (trial.decode.wall + trial.motion.wall)
    )
    return alone + total / min(workers, max(1, len(chunks))), cpu_total


def _bytes(
    media: Media,
    scan: Scan,
    form: OutputForm,
    work: Work,
    trial: Trial,
    packets: PacketSizes,
    plans: Sequence[StreamPlan],
) -> int:
    """Adds up key frames, predicted frames and the other streams."""
    frames = len(scan)
    if form.is_raw and form.encoder is not None:
        rows, columns = even_sides(form.encoder.pixel_format)
        return frames * form.height * form.width * (rows * columns + 2) // (rows * columns)
    keys = sum(-(-(chunk.stop - chunk.start) // _KEY_INTERVAL) for chunk in work.chunks)
    key = float(np.mean([each.key for each in trial.sizes]))
    other = float(np.mean([each.other for each in trial.sizes]))
    weight = min(max(packets.weight(trial.places, scan.keys), 0.1), 10.0) ** _FOLLOWS
    if form.encoder is None or form.encoder.codec == "ffv1":
        return round(frames * key * (weight if media.kind == "pictures" else 1))
    seconds = float((scan.end_pts - int(scan.pts[0])) * media.time_base)
    streams = 0.0
    for plan in plans:
        if plan.action == "encode":
            streams += _SOUND_BYTES * seconds
        elif plan.action not in ("omit", "implied"):
            streams += packets.streams.get(plan.index, 0)
    return round(keys * key + (frames - keys) * other * weight + streams)
