"""Options and report of ``live``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from codecvsr.errors import InputError

MAX_LATENCY = 60.0  #: seconds

Form = Literal["auto", "mkv", "mpegts", "mp4", "flv", "hls"]
FORMS: tuple[Form, ...] = ("auto", "mkv", "mpegts", "mp4", "flv", "hls")
LiveAudio = Literal["auto", "copy", "aac", "none"]


@dataclass(frozen=True)
class LiveOptions:
    """How a stream is read and upscaled.

    Attributes:
        model: the best network to use: a name or weights of the architecture codecvsr, or bicubic.
        latency: seconds that a frame may wait for the frames after it; 0: it sees the past alone.
        realtime: read a file at the rate at which it is shown.
        input_format: libav's name of the input's format, which a device needs.
        timeout: seconds without data after which the input counts as lost.
        reconnect: seconds for which a lost network input is opened again.
        record: file to which the packets of the input are copied.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "auto", "fp32", "fp16" or "bf16".
    """

    model: str = "codecvsr"
    latency: float = 1.0
    realtime: bool = False
    input_format: str = ""
    timeout: float = 10.0
    reconnect: float = 60.0
    record: Path | None = None
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Raises InputError for values out of range."""
        if not 0 <= self.latency <= MAX_LATENCY:
            raise InputError(f"a latency of {self.latency:g} s is outside 0 to {MAX_LATENCY:g} s.")
        if not self.timeout > 0:
            raise InputError(f"a timeout of {self.timeout:g} s is not positive.")
        if not self.reconnect >= 0:
            raise InputError(f"{self.reconnect:g} s to reconnect are negative; 0 never opens a lost input again.")


@dataclass(frozen=True)
class OutputOptions:
    """How the output is written.

    Attributes:
        form: of the output, "auto" for that of its name.
        crf: of x264.
        preset: of x264.
        audio: "auto" copies sound, or encodes it as AAC where the output cannot store it; "none" omits it.
        overwrite: replace an existing file.
    """

    form: Form = "auto"
    crf: float = 20.0
    preset: str = "superfast"
    audio: LiveAudio = "auto"
    overwrite: bool = False


@dataclass(frozen=True)
class LiveReport:
    """What a run did."""

    input: str
    output: str
    frames: int
    width: int
    height: int
    seconds: float
    latency: float  #: seconds asked for
    latency_median: float | None  #: seconds from the arrival of a frame to its output
    latency_p99: float | None
    model: str
    device: str
    precision: str
    level_seconds: dict[str, float] = field(default_factory=dict)  #: of the stream, by network
    level_changes: int = 0
    reconnects: int = 0
    lost_frames: int = 0
    concealed_frames: int = 0
    losses: list[str] = field(default_factory=list)  #: what of the input the output lacks
    peak_memory_mb: float = 0.0
    ended_by: str = "source"  #: "source", "reader" (of standard output) or "interrupt"

    def to_json(self) -> dict[str, Any]:
        """Returns the report as the command's ``--json`` prints it."""
        return asdict(self)
