"""Recognises video containers by their first bytes, whatever the file's name.

Everything else is refused, including the text formats of FFmpeg (playlists, concatenation scripts, SDP), which refer to other
files and addresses.
"""

from __future__ import annotations

HEAD = 5 * 204 + 8  #: number of bytes needed

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # ISO/IEC 14496-12: a file begins with one of these
_STARTS = {  # first bytes: usual suffix
    b"\x1a\x45\xdf\xa3": ".mkv",  # EBML: Matroska and WebM
    b"FLV\x01": ".flv",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": ".wmv",  # ASF header object
    b"OggS": ".ogv",
    b".RMF": ".rm",
    b"DKIF": ".ivf",
    b"YUV4MPEG2 ": ".y4m",
    b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02": ".mxf",  # SMPTE 377: partition pack
    b"\x1f\x07\x00": ".dv",  # IEC 61834: header block
    b"nut/multimedia container\0": ".nut",
}
_PACKETS = (
    (188, 0),
    (192, 4),
    (204, 0),
)  # bytes of a transport packet, and before its sync byte: plain, time codes, parity
_MPEG_STARTS = {0xBA: ".mpg", 0xB3: ".mpg", 0xB0: ".m4v"}  # pack, sequence header, MPEG-4 visual object sequence


def video_suffix(head: bytes) -> str | None:
    """Returns the usual suffix of the container that begins with ``head``; None if it is not a video."""
    if head[4:8] in _BOXES:
        return ".mp4"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    for start, suffix in _STARTS.items():
        if head.startswith(start):
            return suffix
    return _transport_suffix(head) or _start_code_suffix(head)


def _transport_suffix(head: bytes) -> str | None:
    """Returns the suffix of an MPEG transport stream, which may begin inside a packet, as recordings do."""
    for packet, offset in _PACKETS:
        for first in range(offset, offset + packet):
            if len(head) > first + 3 * packet and all(head[first + i * packet] == 0x47 for i in range(4)):
                return ".m2ts" if offset else ".ts"
    return None


def _start_code_suffix(head: bytes) -> str | None:
    """Returns the suffix of a program stream (MPG, VOB) or of a raw stream of MPEG video, H.264 or HEVC."""
    code = head[: head.find(b"\x01") + 1]
    if len(code) < 3 or code.strip(b"\0") != b"\x01" or len(head) < len(code) + 2:
        return None
    kind, following = head[len(code)], head[len(code) + 1]
    if kind in _MPEG_STARTS:
        return _MPEG_STARTS[kind]
    if not kind & 0x80 and kind >> 1 in (32, 33, 34, 35, 39) and not kind & 1 and following in range(1, 8):
        return ".hevc"  # Annex B of HEVC: a parameter set, delimiter or SEI of layer 0
    if not kind & 0x80 and kind & 0x1F in (1, 5, 6, 7, 8, 9):
        return ".h264"  # Annex B of H.264: a slice, SEI, parameter set or delimiter
    return None
