"""``live``: a stream in, an enlarged stream out, or its pictures in Python."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np

from codecvsr.engine.device import peak_memory_bytes
from codecvsr.errors import OutputError
from codecvsr.prefetch import BackgroundRunner
from codecvsr.streaming.controller import Controller
from codecvsr.streaming.events import Ended, LiveEvent, LiveEventHandler
from codecvsr.streaming.inputs import LiveInput
from codecvsr.streaming.levels import load_levels
from codecvsr.streaming.options import LiveOptions, LiveReport, OutputOptions
from codecvsr.streaming.reader import PacketSink, StreamReader
from codecvsr.streaming.recorder import Recorder
from codecvsr.streaming.session import Session
from codecvsr.streaming.sound import LiveSound
from codecvsr.streaming.targets import choose_target
from codecvsr.streaming.writer import LiveWriter, ReaderLeft
from codecvsr.upscaling.stream_output import opened_pipe

_logger = logging.getLogger(__name__)
_WAITING = 4  # pictures between network and encoder


class LivePicture(np.ndarray[Any, Any]):
    """A picture of a stream: (H, W, 3) uint8 RGB.

    Attributes:
        pts_seconds: when it is shown, on the clock of the stream.
        model: the network that made it.
    """

    pts_seconds: float = 0.0
    model: str = ""

    def __array_finalize__(self, source: Any) -> None:
        self.pts_seconds = getattr(source, "pts_seconds", 0.0)
        self.model = getattr(source, "model", "")


def live(url: str | Path, **options: Any) -> Iterator[LivePicture]:
    """Yields the enlarged pictures of a stream as they are made.

    A consumer that takes too long is like a slow machine: faster networks are used for as long as needed. What happens to the stream
    is logged.

    Args:
        url: anything libav opens: an address (rtsp, rtmp, udp, tcp, http, HLS), a device, a file, or "-".
        **options: fields of :class:`LiveOptions`, such as ``latency=0`` or ``model="codecvsr-fast"``.

    Yields:
        (4H, 4W, 3) uint8 RGB, with ``pts_seconds`` and ``model``.

    Raises:
        InputError: the stream cannot be read, or an option is out of range.
        OutputError: the recording cannot be written.
    """
    chosen = LiveOptions(**{**options, "record": Path(options["record"]) if options.get("record") else None})
    with _Run(str(url), chosen, _log, []) as run:
        for made in run.session.pictures():
            picture = made.rgb.view(LivePicture)
            picture.pts_seconds, picture.model = made.frame.seconds, made.model
            yield picture


def _log(event: LiveEvent) -> None:
    if event.message:
        _logger.info("%s", event.message)


class _Run:
    """A stream that is read and upscaled, within ``with``."""

    def __init__(
        self,
        source: str,
        options: LiveOptions,
        on_event: LiveEventHandler,
        sinks: list[PacketSink],
        *,
        overwrite: bool = False,
    ) -> None:
        """Loads the networks and checks the recording; the input is opened within ``with``."""
        self.input = LiveInput(source, options.input_format, options.timeout)
        self.levels, self.plan = load_levels(options.model, options.device, options.precision)
        self._recorder = Recorder(options.record, on_event, overwrite=overwrite) if options.record is not None else None
        sinks = [*sinks, *([self._recorder] if self._recorder is not None else [])]
        self.reader = StreamReader(self.input, sinks, on_event, realtime=options.realtime, reconnect=options.reconnect)
        is_paced = self.input.kind != "file" or options.realtime
        self.controller = Controller([level.name for level in self.levels], on_event, is_active=is_paced)
        self.session = Session(self.reader.queue, self.levels, self.controller, options.latency, is_paced=is_paced)

    def __enter__(self) -> Self:
        self.reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.reader.queue.stop()
        self.reader.losses.report(at_end=True)
        if self._recorder is not None:
            self._recorder.end()


def run_live(
    source: str,
    output: str,
    options: LiveOptions,
    output_options: OutputOptions,
    on_event: LiveEventHandler,
) -> LiveReport:
    """Upscales a stream into an output, until the stream ends, or the reader of standard output, or Ctrl-C ends it.

    Args:
        source: as in :func:`live`.
        output: a file, ``-``, an address, or a folder for HLS.
        options: how to read and upscale.
        output_options: how to write.
        on_event: called with everything that happens, in several threads.

    Raises:
        InputError: the input cannot be read, or an option is out of range.
        OutputError: the output cannot be written.
    """
    begun = time.monotonic()
    target = choose_target(output, output_options)
    if options.record is not None and target.path is not None and options.record.resolve() == target.path.resolve():
        raise OutputError(f"{output}: is the recording too; choose another file for one of them.")
    sound = LiveSound(target.container, output_options.audio, on_event)
    run = _Run(source, options, on_event, [sound], overwrite=output_options.overwrite)
    ended_by = "source"
    pipe = opened_pipe(Path(output)) if target.is_pipe else nullcontext(None)
    with pipe as descriptor:
        writer = LiveWriter(
            target, output_options, sound, on_event, pipe=descriptor, keeps_times=run.input.kind == "file"
        )
        try:
            try:
                with run, BackgroundRunner(_WAITING) as encoder:
                    for made in run.session.pictures():
                        encoder.submit(partial(writer.write, made))
            except KeyboardInterrupt:
                ended_by = "interrupt"
            finally:
                writer.close()
        except ReaderLeft:
            ended_by = "reader"
    controller = run.controller
    report = LiveReport(
        input=run.input.title,
        output=target.title,
        frames=writer.frames,
        width=writer.width,
        height=writer.height,
        seconds=time.monotonic() - begun,
        latency=options.latency,
        latency_median=writer.latencies.quantile(0.5),
        latency_p99=writer.latencies.quantile(0.99),
        model=run.levels[0].name,
        device=str(run.plan.device),
        precision=run.plan.precision,
        level_seconds={name: round(seconds, 2) for name, seconds in controller.seconds.items()},
        level_changes=controller.changes,
        reconnects=run.reader.reconnects,
        lost_frames=run.reader.losses.lost_frames,
        concealed_frames=run.reader.losses.concealed_frames,
        losses=sound.losses,
        peak_memory_mb=peak_memory_bytes(run.plan.device) / 2**20,
        ended_by=ended_by,
    )
    on_event(Ended(report.to_json()))
    return report
