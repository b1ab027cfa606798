"""A worker process: ``python -m codecvsr.upscaling.worker`` makes chunks of a job.

It reads lines of JSON from its standard input: the job's description, then indices of chunks, then null. It writes the events
of :mod:`codecvsr.upscaling.chunk_events` to its standard output. It exits at once if its input ends before the null, because
then the process that started it has ended.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import av

from codecvsr.engine.device import peak_memory_bytes
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.chunk_events import ChunkDone, ChunkEvent, FrameMade, JobFailed, to_line
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.engine import Engine, make_engine
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.upscaling.process_chunk import ChunkProcessor
from codecvsr.upscaling.speed import Seldom
from codecvsr.video.probe import Media

_POLL_SECONDS = 0.2  # between two checks whether to stop


def open_job(description: Mapping[str, Any]) -> tuple[Engine, ChunkProcessor]:
    """Opens the job that ``process_chunk.job_description`` described.

    Raises:
        CodecVSRError: the model or the input cannot be read here.
    """
    engine = make_engine(UpscaleOptions.from_json(description["options"]))
    checkpoint = CheckpointDir(Path(description["output"]), description["pictures"])
    scan = checkpoint.load_scan()
    if scan is None:
        raise OutputError(
            f"{checkpoint.path}: cannot be read here; workers need the folder of the output at the same path."
        )
    media = Media.open(description["source"], engine.options.fps, engine.options.deinterlace)
    media = media.for_output(checkpoint.output)
    preview = None if description["preview"] is None else Path(description["preview"])
    return engine, ChunkProcessor(engine, media, scan, checkpoint, description["pictures"], preview=preview)


def run_chunk(description: str, index: int) -> str:
    """Makes one chunk, unless it is done already: a task of a cluster.

    Args:
        description: the job's, as JSON.
        index: of the chunk.

    Returns:
        An event as a line: ChunkDone, or JobFailed for a fault that trying again would not mend.
    """
    try:
        engine, processor = _open_job(description)
        chunk = processor.chunks[index]
        if not processor.target.is_done(chunk):
            processor.make([chunk], lambda chunk, frame: None)
    except (CodecVSRError, OSError, av.FFmpegError) as error:
        return to_line(JobFailed.of(error))
    return to_line(_chunk_done(chunk, engine, processor))


_open_job = functools.lru_cache(1)(lambda description: open_job(json.loads(description)))


def _chunk_done(chunk: Chunk, engine: Engine, processor: ChunkProcessor) -> ChunkDone:
    return ChunkDone(chunk.index, processor.pop_skipped_frames(), peak_memory_bytes(engine.plan.device))


def main() -> None:
    """Makes chunks until there are no more."""
    logging.disable(logging.WARNING)  # the process that started this one has shown them
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with events

    def emit(event: ChunkEvent | JobFailed) -> None:
        out.write(to_line(event))

    description = json.loads(sys.stdin.readline() or "null")
    if description is None:
        return
    orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    threading.Thread(target=_read_orders, args=(sys.stdin, orders), daemon=True).start()
    try:
        engine, processor = open_job(description)

        def on_frame(chunk: Chunk, frame: int | None) -> None:
            emit(_chunk_done(chunk, engine, processor) if frame is None else FrameMade(chunk.index))

        def ordered() -> Iterator[Chunk | None]:
            while True:
                try:
                    index = orders.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    yield None
                    continue
                if index is None:
                    return
                yield processor.chunks[index]

        processor.make(ordered(), on_frame, Seldom(emit))
    except (CodecVSRError, OSError, av.FFmpegError) as error:
        emit(JobFailed.of(error))


def _read_orders(lines: TextIO, orders: queue.SimpleQueue[int | None]) -> None:
    """Queues the orders; ends the process when nobody is left to order."""
    for line in lines:
        index = json.loads(line)
        orders.put(index)
        if index is None:
            return
    os._exit(1)


if __name__ == "__main__":
    main()
