"""What every part of a job works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters
from codecvsr.web.probe import Facts
from codecvsr.web.progress_meter import OnEvent


@dataclass(frozen=True)
class JobContext:
    """A job: its input, its request, and where its results and events go.

    Attributes:
        clip: the input file; only read.
        folder: of the job.
        parameters: the request.
        limits: of the server.
        facts: of the clip.
        on_event: called with every progress event.
        name: the clip's name in messages.
    """

    clip: Path
    folder: Path
    parameters: Parameters
    limits: Limits
    facts: Facts
    on_event: OnEvent
    name: str

    def explain(self, error: Exception) -> str:
        """Returns the message of an error with the clip's own name instead of server paths."""
        return without_paths(str(error), self.clip, self.folder, self.name)


def without_paths(text: str, clip: Path, folder: Path, name: str) -> str:
    """Returns a message with the clip's own name instead of server paths."""
    for private in (str(clip), clip.name):
        text = text.replace(private, name)
    return text.replace(f"{folder}/", "")
