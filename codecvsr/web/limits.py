"""What the server lets its users have, in one place."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from codecvsr.errors import InputError

GIB = 1 << 30


def _usual_memory() -> int:
    """8 GiB, or nine tenths of the machine's memory where that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(8 * GIB, physical * 9 // 10)


@dataclass(frozen=True)
class Limits:
    """Limits of a server; all are checked before or while work is done, none is left to the client.

    Attributes:
        upload_bytes: size of one upload.
        stored_bytes: size of all uploads and results together.
        output_pixels: of an upscaled frame, width times height.
        seconds: of video that a job works on.
        frames: that a job compares (a clip that is compressed first), or draws layers of.
        queue: jobs that wait or run at once.
        keep_seconds: how long results and uploads are kept.
        job_seconds: how long a job may take.
        job_memory: bytes of memory that a job may take.
        job_file: size of the largest file that a job may write.
    """

    upload_bytes: int = 256 << 20
    stored_bytes: int = 20 * GIB
    output_pixels: int = 3840 * 2160
    seconds: float = 60.0
    frames: int = 240
    queue: int = 20
    keep_seconds: float = 24 * 3600.0
    job_seconds: float = 3600.0
    job_memory: int = 0
    job_file: int = 4 * GIB

    def __post_init__(self) -> None:
        """Fill in what depends on the machine; refuse what leaves nothing."""
        if self.job_memory == 0:
            object.__setattr__(self, "job_memory", _usual_memory())
        for name, value in asdict(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} is {value}; a number above 0 was expected.")
