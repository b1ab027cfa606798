"""Shards as tasks of a Ray cluster (https://docs.ray.io): many machines that see input and output at the same paths."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from codecvsr.errors import InputError, OutputError
from codecvsr.upscaling.chunks import Shard
from codecvsr.upscaling.worker import raise_failure, run_shard

_RETRIES = 5  # of a task whose worker or machine is lost


def run_on_ray(
    address: str,
    description: Mapping[str, Any],
    pending: Sequence[Shard],
    heard: Callable[[Mapping[str, Any]], None],
) -> int:
    """Have all shards made by the cluster; lost tasks are tried again elsewhere.

    Args:
        address: "auto" for the cluster this machine belongs to, else HOST:PORT or ray://HOST:PORT.
        description: of the job.
        pending: the shards.
        heard: gets {"event": "done", "shard": N}.

    Returns:
        How many tasks can run at once.

    Raises:
        InputError: Ray is not installed, or there is no cluster.
        OutputError: a shard's tasks were lost again and again.
        CodecVSRError: what a task could not do, or OSError.
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
                "or give its HOST:PORT."
            ) from error
    needs_gpu = str(description["options"]["device"]).startswith("cuda")
    task = ray.remote(num_cpus=1, num_gpus=1 if needs_gpu else 0, max_retries=_RETRIES)(run_shard)
    text = json.dumps(description)
    waiting = {task.remote(text, shard.index): shard for shard in pending}
    try:
        while waiting:
            finished, _ = ray.wait(list(waiting), num_returns=1)
            shard = waiting.pop(finished[0])
            try:
                event = ray.get(finished[0])
            except ray.exceptions.RayError as error:
                raise OutputError(
                    f"{description['output']}: frames {shard.start} to {shard.stop - 1} were not made, although tried "
                    f"{_RETRIES + 1} times ({str(error).splitlines()[0]})."
                ) from error
            if event["event"] == "failed":
                raise_failure(event)
            heard(event)
        return int(ray.cluster_resources().get("GPU" if needs_gpu else "CPU", 1))
    finally:
        for reference in waiting:
            ray.cancel(reference, force=True)
        if is_ours:
            ray.shutdown()
