"""Chunks as tasks of a Ray cluster (https://docs.ray.io): many machines that see input and output at the same paths."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from codecvsr.errors import InputError, OutputError
from codecvsr.upscaling.chunk_events import ChunkEventHandler, JobFailed, from_line
from codecvsr.upscaling.chunks import Chunk
from codecvsr.upscaling.worker import run_chunk

_RETRIES = 5  # of a task whose worker or machine is lost


def run_on_ray(
    address: str,
    description: Mapping[str, Any],
    pending: Sequence[Chunk],
    on_event: ChunkEventHandler,
) -> int:
    """Makes chunks on a cluster; lost tasks are tried again on other machines.

    Args:
        address: "auto" for the cluster this machine belongs to, else HOST:PORT or ray://HOST:PORT.
        description: of the job.
        pending: the chunks.
        on_event: called with a ChunkDone for every chunk.

    Returns:
        How many tasks can run at once.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
        OutputError: the tasks of a chunk were lost again and again.
        CodecVSRError: or OSError, what a task failed with.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--ray needs Ray: install it with pip install 'codecvsr[ray]'.") from None
    is_ours = not ray.is_initialized()
    if is_ours:
        try:
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"no Ray cluster is found at {address} ({str(error).splitlines()[0]}). Start one with 'ray start --head', "
                "or name its HOST:PORT."
            ) from error
    needs_gpu = str(description["options"]["device"]).startswith("cuda")
    task = ray.remote(num_cpus=1, num_gpus=1 if needs_gpu else 0, max_retries=_RETRIES)(run_chunk)
    text = json.dumps(description)
    waiting = {task.remote(text, chunk.index): chunk for chunk in pending}
    try:
        while waiting:
            finished, _ = ray.wait(list(waiting), num_returns=1)
            chunk = waiting.pop(finished[0])
            try:
                event = from_line(ray.get(finished[0]))
            except ray.exceptions.RayError as error:
                raise OutputError(
                    f"{description['output']}: frames {chunk.start} to {chunk.stop - 1} were not made, although tried "
                    f"{_RETRIES + 1} times ({str(error).splitlines()[0]})."
                ) from error
            if isinstance(event, JobFailed):
                event.reraise()
            on_event(event)
        return int(ray.cluster_resources().get("GPU" if needs_gpu else "CPU", 1))
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
        if is_ours:
            ray.shutdown()
