"""Recognises video containers by their first bytes, whatever the file's name.

Everything else is refused, including the text formats of FFmpeg (playlists, concatenation scripts, SDP), which refer to other
files and addresses.
"""

from __future__ import annotations

HEAD = 4 * 204 + 8  #: number of bytes needed

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")  # ISO/IEC 14496-12: a file begins with one of these


def video_suffix(head: bytes) -> str | None:
    """Returns the usual suffix of the container that begins with ``head``; None if it is not a video."""
    if head[4:8] in _BOXES:
        return ".mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return ".mkv"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return ".avi"
    if head.startswith(b"FLV\x01"):
        return ".flv"
    for packet, offset in ((188, 0), (192, 4), (204, 0)):  # MPEG transport stream: plain, with time codes, with parity
        if len(head) > offset + 3 * packet and all(head[offset + i * packet] == 0x47 for i in range(4)):
            return ".m2ts" if offset else ".ts"
    if head.startswith((b"\x00\x00\x00\x01", b"\x00\x00\x01")):
        start = head.index(b"\x01") + 1
        if len(head) > start and not head[start] & 0x80 and head[start] & 0x1F in (1, 5, 6, 7, 8, 9):
            return ".h264"  # Annex B of H.264: a slice, SEI, parameter set or delimiter
    return None
