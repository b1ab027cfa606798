"""Opening what a live stream comes from: an address, a device, a pipe or a file."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av

from codecvsr.bitstream.containers import TAG_ERRORS
from codecvsr.bitstream.decode import main_video
from codecvsr.errors import InputError

Kind = Literal["network", "pipe", "device", "file"]

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)  #: of a stream; group 1 is its protocol
_PROBE = {"analyzeduration": "1000000"}  # microseconds; the default of 5 s would be latency
_OPTIONS = {
    "udp": {"overrun_nonfatal": "1", "fifo_size": "50000"},
    "rtsp": {"rtsp_flags": "prefer_tcp"},
}
_STDIN_FD = 0
_TEXT = (
    "ansi",
    "bintext",
    "idf",
    "xbin",
)  # pictures of text: libav takes bytes of any kind for them, by their name alone
_NO_VIDEO = "what comes from there is no video that can be read; a stream of video was expected."


@dataclass(frozen=True)
class LiveInput:
    """An input as the user names it.

    Attributes:
        name: an address (``rtsp://...``), a file, or ``-`` for standard input.
        form: libav's name of the format, which a device needs (``v4l2``); empty to detect it.
        timeout: seconds without data after which it counts as gone.
    """

    name: str
    form: str = ""
    timeout: float = 10.0

    @property
    def kind(self) -> Kind:
        """What it is: only a network source can come back after its end."""
        if self.name == "-":
            return "pipe"
        if ADDRESS.match(self.name) and not self.name.lower().startswith("file:"):
            return "network"
        path = Path(self.name)
        if path.is_fifo():
            return "pipe"
        return "device" if path.is_char_device() or (self.form and not path.exists()) else "file"

    @property
    def title(self) -> str:
        """Its name in messages."""
        return "standard input" if self.name == "-" else self.name

    def open(self) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
        """Opens it and finds its video stream.

        Raises:
            InputError: it cannot be opened, or has no video.
        """
        try:
            container = self._open()
        except (av.FFmpegError, OSError) as error:
            raise InputError(f"{self.title}: {self._reason(error)}") from error
        stream = main_video(container, self.title)
        if stream.codec_context.name in _TEXT:
            container.close()
            raise InputError(f"{self.title}: {_NO_VIDEO}")
        return container, stream

    def _open(self) -> av.container.InputContainer:
        kind, form = self.kind, self.form or None
        limits = (self.timeout, self.timeout)
        if self.name == "-":
            return av.open(_Stdin(), "r", format=form, metadata_errors=TAG_ERRORS, options=_PROBE)
        if kind == "network":
            scheme = self.name.split(":", 1)[0].lower()
            options = {**_PROBE, **_OPTIONS.get(scheme, {})}
            return av.open(self.name, "r", format=form, options=options, timeout=limits, metadata_errors=TAG_ERRORS)
        if kind == "device":
            return av.open(self.name, "r", format=form, timeout=limits, metadata_errors=TAG_ERRORS)
        if not Path(self.name).exists():
            raise InputError(f"{self.name}: no such file; an address begins with a protocol, such as rtsp://.")
        return av.open(f"file:{self.name}", "r", format=form, metadata_errors=TAG_ERRORS)

    def _reason(self, error: OSError | av.FFmpegError) -> str:
        if isinstance(error, av.error.ExitError):
            return f"no data came within {self.timeout:g} s; start the source first, or give it more --timeout."
        if isinstance(error, av.error.InvalidDataError):
            return _NO_VIDEO
        if isinstance(error, av.error.ProtocolNotFoundError):
            return (
                f"{no_protocol(self.name)}; let another program pass the stream on, such as "
                f"'ffmpeg -i {self.name} -c copy -f mpegts udp://127.0.0.1:5000', and name that address."
            )
        where = "nobody serves this address" if self.kind == "network" else "cannot be opened"
        return f"{where} ({error.strerror or error}); check it, and start the source first."

    def is_finite(self, container: av.container.InputContainer) -> bool:
        """Returns whether the end of ``container`` is the end of the stream, and not the loss of its source."""
        if self.kind != "network":
            return True
        return container.format.name in ("hls", "dash") or container.size > 0


def no_protocol(address: str) -> str:
    """Returns what is wrong with an address whose protocol the installed libav does not have."""
    return f"the installed libav has no protocol {address.partition(':')[0].lower()}"


class _Stdin(io.RawIOBase):
    """Standard input, read as the data comes."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = os.read(_STDIN_FD, len(buffer))
        buffer[: len(data)] = data
        return len(data)
