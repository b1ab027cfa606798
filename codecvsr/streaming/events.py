"""What happens to a live stream: one event, and one line, per change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True)
class LiveEvent:
    """Something that happened; ``event`` names its kind."""

    event: ClassVar[str] = ""

    @property
    def message(self) -> str:
        """The event as a line for people."""
        raise NotImplementedError

    def to_json(self) -> dict[str, Any]:
        """Returns the event as a JSON object."""
        return {"event": self.event, **asdict(self)}


@dataclass(frozen=True)
class Connected(LiveEvent):
    """The input is open and has given its first picture."""

    event: ClassVar[str] = "connected"
    input: str
    codec: str
    width: int
    height: int
    frames_per_second: float
    motion: str

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return (
            f"{self.input}: {self.codec}, {self.width}x{self.height}, {self.frames_per_second:.4g} frames/s; "
            f"motion {self.motion}."
        )


@dataclass(frozen=True)
class WaitingForKeyFrame(LiveEvent):
    """The stream was joined between two key frames; pictures come from the next one on."""

    event: ClassVar[str] = "waiting"
    input: str

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return f"{self.input}: waiting for a key frame."


@dataclass(frozen=True)
class LevelChanged(LiveEvent):
    """The controller chose another network."""

    event: ClassVar[str] = "level"
    old: str
    new: str
    behind_seconds: float

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        if self.behind_seconds > 0:
            return f"behind schedule by {self.behind_seconds:.1f} s: {self.new} in place of {self.old}."
        return f"on schedule: {self.new} again, in place of {self.old}."


@dataclass(frozen=True)
class Interrupted(LiveEvent):
    """The input ended or fell silent; it is opened again."""

    event: ClassVar[str] = "interrupted"
    input: str
    reason: str

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return f"{self.input}: {self.reason}; trying to open it again."


@dataclass(frozen=True)
class Reconnected(LiveEvent):
    """The input is open again."""

    event: ClassVar[str] = "reconnected"
    input: str
    seconds: float
    attempts: int

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return f"{self.input}: open again after {self.seconds:.1f} s."


@dataclass(frozen=True)
class GivenUp(LiveEvent):
    """The input did not come back; the output ends."""

    event: ClassVar[str] = "given_up"
    input: str
    seconds: float

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return f"{self.input}: did not come back within {self.seconds:g} s; the output ends."


@dataclass(frozen=True)
class Damaged(LiveEvent):
    """Packets were lost; at most one such event every few seconds, with the counts since the last."""

    event: ClassVar[str] = "damaged"
    input: str
    lost_frames: int
    concealed_frames: int

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return f"{self.input}: packets were lost: {self.lost_frames} frames missing, {self.concealed_frames} concealed."


@dataclass(frozen=True)
class SourceChanged(LiveEvent):
    """Size or codec changed in mid-stream."""

    event: ClassVar[str] = "changed"
    input: str
    codec: str
    width: int
    height: int
    motion: str

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return (
            f"{self.input}: now {self.codec}, {self.width}x{self.height}, brought to the size of the output; "
            f"motion {self.motion}."
        )


@dataclass(frozen=True)
class Note(LiveEvent):
    """Something the output or the recording lacks, or that changed in it."""

    event: ClassVar[str] = "note"
    text: str

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return self.text


@dataclass(frozen=True)
class Ended(LiveEvent):
    """The output is complete; ``report`` is its report as a JSON object."""

    event: ClassVar[str] = "done"
    report: Mapping[str, Any]

    @property
    def message(self) -> str:
        """See :class:`LiveEvent`."""
        return ""

    def to_json(self) -> dict[str, Any]:
        """See :class:`LiveEvent`."""
        return {"event": self.event, **self.report}


LiveEventHandler = Callable[[LiveEvent], None]
