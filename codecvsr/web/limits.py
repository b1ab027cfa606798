"""Limits of the server for its users."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass

from codecvsr.errors import InputError

GIB = 1 << 30


def _usual_memory() -> int:
    """Returns 8 GiB, or 90 % of the machine's memory if that is less."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(8 * GIB, physical * 9 // 10)


@dataclass(frozen=True)
class Limits:
    """Limits of a server; the server checks all of them itself.

    Attributes:
        upload_bytes: size of one upload.
        stored_bytes: total size of all uploads and results.
        output_pixels: width times height of an upscaled frame; whole videos are enlarged less to fit.
        seconds: duration of video per comparison.
        frames: number of frames that a job scores (with a CRF), or draws layers of.
        queue: number of queued and running jobs.
        keep_seconds: lifetime of results and uploads.
        job_seconds: run time of a job; of a whole video, time without another frame.
        job_memory: memory of a job in bytes; 0 for the default.
        job_file: size in bytes of the largest file that a job writes.
    """

    upload_bytes: int = 2 << 30
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
        """Set the default memory and check the values.

        Raises:
            InputError: a limit is not positive.
        """
        if self.job_memory == 0:
            object.__setattr__(self, "job_memory", _usual_memory())
        for name, value in asdict(self).items():
            if not value > 0:
                raise InputError(f"the limit {name} is {value}; a number above 0 was expected.")
