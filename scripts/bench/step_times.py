"""Where the time of the native network library goes: its steps, timed one by one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from codecvsr.engine.native.net import NativeNet
from codecvsr.engine.native.structs import Step


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Seconds of the processor by kind of step, all threads, of what is run inside.

    Each step processes the whole frame before the next, so that it can be timed; in normal runs the sum is less.
    """
    spent: dict[str, float] = defaultdict(float)
    plain = NativeNet.run

    def timed(self: NativeNet, steps: Sequence[Step]) -> None:
        for step in steps:
            begun = time.process_time()
            plain(self, [step])
            spent[step.kind.name.lower()] += time.process_time() - begun

    with patch.object(NativeNet, "run", timed):
        yield spent
