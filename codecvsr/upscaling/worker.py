"""A worker process: ``python -m codecvsr.upscaling.worker`` makes the shards it is told to.

It is told by lines of JSON on its standard input: a job description first, then numbers of shards, then null for no more. It
tells on its standard output, an object per line: {"event": "frame" | "done", "shard": N, ...} or {"event": "failed", ...}.
When its input ends before the null, whoever started it is gone, and so is it.
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
from typing import Any, NoReturn, TextIO

import av

from codecvsr import errors
from codecvsr.engine.device import peak_memory_bytes
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.upscaling.checkpoint_dir import WorkFolder
from codecvsr.upscaling.chunks import Shard
from codecvsr.upscaling.options import Engine, UpscaleOptions, make_engine
from codecvsr.upscaling.process_chunk import ShardWork
from codecvsr.video.probe import Media

_PATIENCE = 0.2  # seconds between two looks at whether to stop


def open_job(description: Mapping[str, Any]) -> tuple[Engine, ShardWork]:
    """What ``shard_work.job_description`` described.

    Raises:
        CodecVSRError: the model or the input is not to be had here.
    """
    engine = make_engine(UpscaleOptions.from_json(description["options"]))
    work = WorkFolder(Path(description["output"]))
    scan = work.load_scan()
    if scan is None:
        raise OutputError(f"{work.path}: cannot be read here; workers need the folder of the output at the same path.")
    media = Media.open(description["source"], engine.options.fps)
    preview = None if description["preview"] is None else Path(description["preview"])
    return engine, ShardWork(engine, media, scan, work, description["pictures"], preview=preview)


def run_shard(description: str, index: int) -> dict[str, Any]:
    """Make one shard, unless it is done already; a task of a cluster.

    Args:
        description: the job's, as JSON.
        index: of the shard.

    Returns:
        An event: "done", or "failed" for what trying again would not mend.
    """
    try:
        engine, work = _opened(description)
        shard = work.shards[index]
        if not work.target.is_done(shard):
            work.make([shard], lambda shard, frame: None)
    except (CodecVSRError, OSError, av.FFmpegError) as error:
        return failed(error)
    return done(shard, engine, work)


_opened = functools.lru_cache(1)(lambda description: open_job(json.loads(description)))


def done(shard: Shard, engine: Engine, work: ShardWork) -> dict[str, Any]:
    """The event that a shard is whole."""
    memory = peak_memory_bytes(engine.plan.device)
    return {"event": "done", "shard": shard.index, "peak_memory_bytes": memory, "left_out": work.take_ablations()}


def failed(error: CodecVSRError | OSError | av.FFmpegError) -> dict[str, Any]:
    """The event that the job cannot go on."""
    if not isinstance(error, CodecVSRError) and error.errno is not None:
        return {"event": "failed", "errno": error.errno, "error": error.strerror or str(error)}
    return {"event": "failed", "kind": type(error).__name__, "error": str(error)}


def raise_failure(event: Mapping[str, Any]) -> NoReturn:
    """Raise what :func:`failed` told of.

    Raises:
        CodecVSRError: always, or OSError.
    """
    if "errno" in event:
        raise OSError(event["errno"], event["error"])
    kind = getattr(errors, event["kind"], CodecVSRError)
    raise (kind if issubclass(kind, CodecVSRError) else CodecVSRError)(event["error"])


def main() -> None:
    """Work until there is no more to do."""
    logging.disable(logging.WARNING)  # whoever started this has said it already
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # whatever is printed by others is no event

    def tell(event: Mapping[str, Any]) -> None:
        out.write(json.dumps(event) + "\n")

    description = json.loads(sys.stdin.readline() or "null")
    if description is None:
        return
    orders: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    try:
        engine, work = open_job(description)

        def heard(shard: Shard, frame: int | None) -> None:
            tell({"event": "frame", "shard": shard.index} if frame is not None else done(shard, engine, work))

        def ordered() -> Iterator[Shard | None]:
            while True:
                try:
                    index = orders.get(timeout=_PATIENCE)
                except queue.Empty:
                    yield None
                    continue
                if index is None:
                    return
                yield work.shards[index]

        work.make(ordered(), heard)
    except (CodecVSRError, OSError, av.FFmpegError) as error:
        tell(failed(error))


def _listen(lines: TextIO, orders: queue.SimpleQueue[int | None]) -> None:
    """Pass on what is ordered; end at once where nobody is there to order any more."""
    for line in lines:
        index = json.loads(line)
        orders.put(index)
        if index is None:
            return
    os._exit(1)


if __name__ == "__main__":
    main()
