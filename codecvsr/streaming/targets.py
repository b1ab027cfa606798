"""Where the output of a live stream goes: a file, standard output, an address, or a folder for a browser."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from codecvsr.errors import InputError, OutputError
from codecvsr.files import check_writable, refuse_existing
from codecvsr.streaming.inputs import ADDRESS
from codecvsr.streaming.options import OutputOptions
from codecvsr.upscaling.stream_output import is_stream

PLAYLIST, PAGE, INIT, SEGMENT = "index.m3u8", "index.html", "init.mp4", "segment%05d.m4s"
SEGMENT_SECONDS = 2  #: of an HLS segment, and between two key frames

_CONTAINERS = {"mkv": "matroska", "mpegts": "mpegts", "mp4": "mp4", "flv": "flv", "hls": "hls"}
_SUFFIXES = {".mkv": "mkv", ".ts": "mpegts", ".m2ts": "mpegts", ".mp4": "mp4", ".flv": "flv", ".m3u8": "hls"}
_SCHEMES = {
    "udp": "mpegts",
    "srt": "mpegts",
    "tcp": "mpegts",
    "http": "mpegts",
    "rtp": "mpegts",
    "rtmp": "flv",
    "rtmps": "flv",
}
_PLAYLIST_SEGMENTS = 6


@dataclass(frozen=True)
class LiveTarget:
    """An output.

    Attributes:
        name: as the user names it.
        container: libav's name of its format: "matroska", "mpegts", "mp4", "flv" or "hls".
        path: of a file or of the HLS playlist; None for a pipe or an address.
        options: of the muxer.
    """

    name: str
    container: str
    path: Path | None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def is_pipe(self) -> bool:
        """Whether it is standard output, a named pipe or a device."""
        return self.path is None and not ADDRESS.match(self.name)

    @property
    def title(self) -> str:
        """Its name in messages."""
        return "standard output" if self.name == "-" else self.name


def choose_target(name: str, options: OutputOptions) -> LiveTarget:
    """Returns the target that a name and the options mean, after checking that it can be written.

    Raises:
        InputError: the format is not known.
        OutputError: it exists already, or cannot be written.
    """
    address = ADDRESS.match(name)
    path = Path(name)
    if address:
        form = _form(options, _SCHEMES.get(address[1].lower(), ""), name)
        extra = {"pkt_size": "1316"} if address[1].lower() == "udp" else {}
        return LiveTarget(name, form, None, {**_muxer_options(form), **extra})
    if is_stream(path):
        form = _form(options, "mkv", name)
        if form in ("hls", "mp4"):
            raise InputError(f"{name}: {options.form} cannot be sent through a pipe here; use --format mkv or mpegts.")
        return LiveTarget(name, form, None, _muxer_options(form))
    is_folder = name.endswith("/") or path.is_dir() or (options.form == "hls" and path.suffix.lower() != ".m3u8")
    form = _form(options, "hls" if is_folder else _SUFFIXES.get(path.suffix.lower(), ""), name)
    if form != "hls":
        if path.is_dir():
            raise InputError(f"{name}: is a folder, which only HLS makes; name a file, or use --format hls.")
        refuse_existing(path, overwrite=options.overwrite)
        check_writable(path)
        return LiveTarget(name, form, path, _muxer_options(form))
    playlist = path / PLAYLIST if is_folder else path
    _check_folder(playlist, overwrite=options.overwrite)
    check_writable(playlist)
    return LiveTarget(name, form, playlist, _hls_options(playlist.parent))


def _form(options: OutputOptions, usual: str, name: str) -> str:
    form = usual if options.form == "auto" else options.form
    if not form:
        raise InputError(
            f"{name}: an output ends in {', '.join(_SUFFIXES)}, is a folder (NAME/), - or an address (udp, tcp, rtmp); "
            "or name its --format."
        )
    return _CONTAINERS.get(form, form)


def _check_folder(playlist: Path, *, overwrite: bool) -> None:
    """Raises OutputError if the folder of a playlist has files of an earlier run, or foreign ones."""
    folder = playlist.parent
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise OutputError(f"{folder}: is not empty; use -y/--overwrite to write into it, or choose another folder.")


def _muxer_options(container: str) -> dict[str, str]:
    common = {"flush_packets": "1", "max_interleave_delta": "1000000"}
    if container == "mp4":
        return {**common, "movflags": "frag_keyframe+empty_moov+default_base_moof+delay_moov"}
    if container == "flv":
        return {**common, "flvflags": "no_duration_filesize"}
    if container == "mpegts":
        return {**common, "pat_period": "0.5"}
    return {**common, "cluster_time_limit": "500"}


def _hls_options(folder: Path) -> dict[str, str]:
    return {
        "max_interleave_delta": "1000000",
        "hls_time": str(SEGMENT_SECONDS),
        "hls_list_size": str(_PLAYLIST_SEGMENTS),
        "hls_segment_type": "fmp4",
        "hls_flags": "delete_segments+independent_segments+temp_file",
        "hls_fmp4_init_filename": INIT,
        "hls_segment_filename": str(folder / SEGMENT),
    }
