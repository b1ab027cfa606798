"""Records a live input as it is: its packets, on the clock of the stream."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path

import av

from codecvsr.bitstream.containers import TAG_ERRORS, with_data
from codecvsr.errors import OutputError
from codecvsr.files import check_writable, refuse_existing
from codecvsr.streaming.events import LiveEvent, Note
from codecvsr.video.stream_mapping import codec_name, fits
from codecvsr.video.timeline import PacketTimes

_CONTAINERS = {".mkv": "matroska", ".ts": "mpegts", ".mp4": "mp4", ".mov": "mov"}
_OPTIONS = {"mp4": {"movflags": "frag_keyframe+empty_moov+default_base_moof+delay_moov"}}
_RAW_FORMATS = {"h264": "h264", "hevc": "hevc", "mpeg1video": "mpegvideo", "mpeg2video": "mpegvideo", "mpeg4": "m4v"}
_KINDS = ("video", "audio", "subtitle")

#: What decides whether a source that is opened again goes on in the same file: type, codec, height and width of each stream.
Layout = tuple[tuple[str, str, int, int], ...]


class Recorder:
    """Copies the packets of an input to a file; a sink of :class:`codecvsr.streaming.reader.StreamReader`.

    A source that comes back with other streams goes on in a file of its own: ``NAME-2.mkv``.
    """

    def __init__(self, path: Path, on_event: Callable[[LiveEvent], None], *, overwrite: bool) -> None:
        """Checks the path; the file is made with the first key frame.

        Raises:
            OutputError: it exists, cannot be written, or its suffix is not known.
        """
        if path.suffix.lower() not in _CONTAINERS:
            raise OutputError(f"{path}: a recording ends in {', '.join(_CONTAINERS)}.")
        refuse_existing(path, overwrite=overwrite)
        check_writable(path)
        self._first = self._path = path
        self._on_event, self._part = on_event, 1
        self._container = _CONTAINERS[path.suffix.lower()]
        self._lock = threading.Lock()
        self._input: av.container.InputContainer | None = None
        self._video = -1
        self._layout: Layout = ()
        self._out: av.container.OutputContainer | None = None
        self._copies: dict[int, av.stream.Stream] = {}
        self._times: dict[int, PacketTimes] = {}
        self._is_closed = False

    def connected(self, container: av.container.InputContainer, video: av.video.stream.VideoStream) -> None:
        """See :class:`PacketSink`."""
        layout = tuple(map(_described, container.streams))
        with self._lock:
            self._input, self._video = container, video.index
            if self._out is not None and layout != self._layout:
                self._out.close()
                self._out = None
                self._on_event(
                    Note(f"the streams of the source have changed; the recording goes on in {self._next()}.")
                )
            self._layout = layout

    def add(self, packet: av.Packet) -> None:
        """See :class:`PacketSink`."""
        with self._lock:
            if self._is_closed:
                return
            if self._out is None:
                if packet.stream_index != self._video or not packet.is_keyframe:
                    return
                self._out = self._open(packet)
            new = self._copies.get(packet.stream_index)
            if new is None:
                return
            copy = with_data(packet, bytes(packet))
            self._times[packet.stream_index].correct(copy)
            copy.stream = new
            try:
                self._out.mux_one(copy)
            except (av.FFmpegError, OSError) as error:
                raise OutputError(f"{self._path}: cannot be written ({error.strerror or error}).") from error

    def _open(self, key: av.Packet) -> av.container.OutputContainer:
        """Makes the file; ``key`` is its first packet, a key frame."""
        assert self._input is not None
        options = _OPTIONS.get(self._container, {})
        path = f"file:{self._path}"
        try:
            out = av.open(path, "w", format=self._container, options=options, metadata_errors=TAG_ERRORS)
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror or error}).") from error
        self._copies, self._times = {}, {}
        for old in self._input.streams:
            template = self._probed(old, key) if old.index == self._video else old
            if old.type in _KINDS and old.codec_context is not None and fits(template, self._container):
                new = out.add_stream_from_template(template, opaque=True)
                if old.time_base is not None:
                    new.time_base = old.time_base
                self._copies[old.index], self._times[old.index] = new, PacketTimes(old.type)
            else:
                self._on_event(Note(f"{self._path}: cannot store stream {old.index} ({old.type}, {codec_name(old)})."))
        out.start_encoding()
        return out

    def _probed(self, video: av.stream.Stream, key: av.Packet) -> av.stream.Stream:
        """Returns the video stream; read from its key frame where the input was opened before one, and has no size yet."""
        name = codec_name(video)
        if _described(video)[2] or name not in _RAW_FORMATS:
            return video
        try:
            self._probe = av.open(io.BytesIO(bytes(key)), format=_RAW_FORMATS[name])
        except av.FFmpegError:
            return video
        return self._probe.streams.video[0]

    def _next(self) -> Path:
        """Chooses the name of the next file, one that does not exist."""
        first = self._first
        while True:
            self._part += 1
            self._path = first.with_name(f"{first.stem}-{self._part}{first.suffix}")
            if not self._path.exists():
                return self._path

    def end(self) -> None:
        """Finishes the file; later packets are ignored."""
        with self._lock:
            self._is_closed = True
            if self._out is not None:
                self._out.close()
                self._out = None


def _described(stream: av.stream.Stream) -> tuple[str, str, int, int]:
    if isinstance(stream, av.video.stream.VideoStream) and stream.codec_context is not None:
        return stream.type, codec_name(stream), stream.codec_context.height, stream.codec_context.width
    return stream.type, codec_name(stream), 0, 0
