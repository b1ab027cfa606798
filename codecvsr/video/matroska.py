"""What FFmpeg's Matroska reader and writer leave aside: cropped pictures, and sound that is stored by its WAV header.

Matroska (RFC 9559) is a tree of EBML elements (RFC 8794): an identifier, a size and a payload.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import av

from codecvsr.bitstream.containers import TAG_ERRORS
from codecvsr.bitstream.decode import open_video

_SEGMENT, _TRACKS, _CLUSTER, _TRACK = 0x18538067, 0x1654AE6B, 0x1F43B675, 0xAE
VIDEO_PATH = (_SEGMENT, _TRACKS, _TRACK, 0xE0)  #: of the element that describes the pictures of a track
_CODEC_ID, _CODEC_PRIVATE, _VIDEO, _AUDIO, _BIT_DEPTH = 0x86, 0x63A2, 0xE0, 0xE1, 0x6264
_CROPS = (0x54BB, 0x54AA, 0x54CC, 0x54DD)  # top, bottom, left, right
_MAX_SKIP = 1 << 40  # bytes: a larger element before the tracks is damage
_MAX_TRACKS = 1 << 26  # bytes: more than any description of tracks needs
_CODEC_DELAY = 0x56AA
_BLOCK_GROUP, _BLOCK, _SIMPLE_BLOCK = 0xA0, 0xA1, 0xA3
_BLOCK_HEADER = 4  # bytes: number of the track, time, flags
_TRACK_NUMBER, _ENCODINGS, _ENCODING, _COMPRESSION, _ALGORITHM = 0xD7, 0x6D80, 0x6240, 0x5034, 0x4254
_CODED_BY_WAV_HEADER = b"A_MS/ACM"
#: The codec under which such sound is declared to the muxer until its entry is rewritten.
PLACEHOLDER = "pcm_s16le"

Crop = tuple[int, int, int, int]


def read_crops(path: Path) -> list[Crop]:
    """Returns the pixels that each track hides (top, bottom, left, right); an empty list if it is not Matroska."""
    with path.open("rb") as file:
        tracks = _tracks(file)
    if tracks is None:
        return []
    _, data = tracks
    crops = []
    for _, start, stop in _children(data, 0, len(data), _TRACK):
        values = [0, 0, 0, 0]
        for _, begin, end in _children(data, start, stop, _VIDEO):
            for identifier, a, b in _elements(data, begin, end):
                if identifier in _CROPS:
                    values[_CROPS.index(identifier)] = int.from_bytes(data[a:b], "big")
        crops.append((values[0], values[1], values[2], values[3]))
    return crops


def read_crop(path: Path) -> Crop:
    """Returns the pixels that Matroska hides around the pictures of the main video stream; all 0 for other files."""
    crops = read_crops(path)
    if not any(map(any, crops)):
        return 0, 0, 0, 0
    container, stream = open_video(path)
    with container:
        width, height = stream.codec_context.width, stream.codec_context.height
        crop = crops[stream.index] if stream.index < len(crops) else (0, 0, 0, 0)
    return crop if crop[0] + crop[1] < height and crop[2] + crop[3] < width else (0, 0, 0, 0)


def wav_header(stream: av.stream.Stream) -> bytes | None:
    """Returns the WAVEFORMATEX structure of a sound stream; None if its codec has no number in WAV."""
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="wav", metadata_errors=TAG_ERRORS) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return None
    data = buffer.getvalue()
    at = data.find(b"fmt ")
    if at < 0:
        return None
    size = struct.unpack_from("<I", data, at + 4)[0]
    header = data[at + 8 : at + 8 + size]
    return header if len(header) >= 18 else header + bytes(2)


def store_by_wav_header(path: Path, headers: Mapping[int, bytes]) -> None:
    """Changes tracks of a finished file from :data:`PLACEHOLDER` to the codec that their private data, a WAV header, names.

    Args:
        path: a Matroska file, written without checksums.
        headers: of each such track, by its position.

    Raises:
        ValueError: the file has no such track.
    """
    with path.open("rb+") as file:
        tracks = _tracks(file)
        if tracks is None:
            raise ValueError(f"{path}: has no Matroska tracks")
        offset, data = tracks
        entries = list(_children(data, 0, len(data), _TRACK))
        for position, header in headers.items():
            _, start, stop = entries[position]
            changed = False
            for identifier, a, b in _elements(data, start, stop):
                if identifier == _CODEC_PRIVATE and data[a:b] != header:
                    raise ValueError(f"{path}: track {position} has other private data than it was given")
                if identifier == _CODEC_ID and b - a >= len(_CODED_BY_WAV_HEADER):
                    file.seek(offset + a)
                    file.write(_CODED_BY_WAV_HEADER.ljust(b - a, b"\0"))  # a string ends at its first zero
                    changed = True
                if identifier == _AUDIO:
                    for _, c, d in _children(data, a, b, _BIT_DEPTH):
                        file.seek(offset + c)
                        file.write(struct.unpack_from("<H", header, 14)[0].to_bytes(d - c, "big"))
            if not changed:
                raise ValueError(f"{path}: track {position} has no name of a codec that can be replaced")


def element(identifier: int, payload: bytes) -> bytes:
    """Returns an element."""
    return _identifier(identifier) + (1 << 56 | len(payload)).to_bytes(8, "big") + payload


def unsigned(identifier: int, value: int) -> bytes:
    """Returns an element of an unsigned integer."""
    return element(identifier, value.to_bytes(8, "big"))


def number(identifier: int, value: float) -> bytes:
    """Returns an element of a floating-point number."""
    return element(identifier, struct.pack(">d", value))


def add_elements(data: bytes, path: Sequence[int], added: bytes) -> bytes:
    """Returns elements with others added at the end of one of them.

    Args:
        data: a sequence of elements; positions that they state of others are not corrected.
        path: identifiers from the outermost element to that one; an element that is missing at the end is made.
        added: the new elements.
    """
    if not path:
        return data + added
    parts, at, found = [], 0, False
    while (head := _head(data, at, len(data))) is not None:
        identifier, size, start = head
        stop = len(data) if size is None else start + size
        if identifier == path[0] and not found:
            found = True
            payload = add_elements(data[start:stop], path[1:], added)
            parts.append(element(identifier, payload) if size is not None else data[at:start] + payload)
        else:
            parts.append(data[at:stop])
        at = stop
    if not found:
        parts.append(element(path[0], add_elements(b"", path[1:], added)))
    return b"".join(parts)


def damaged_blocks(path: Path) -> int:
    """Returns the number of blocks of zlib-compressed tracks that cannot be decompressed; 0 for other files.

    Picture subtitles are usually compressed, and libav does not say that it left such a block out.
    """
    damaged = 0
    with path.open("rb") as file:
        tracks = _tracks(file)
        compressed = set() if tracks is None else _zlib_tracks(tracks[1])
        while compressed and (head := _read_head(file)) is not None:
            identifier, size = head
            if identifier in (_SEGMENT, _CLUSTER, _BLOCK_GROUP):
                continue  # its children follow
            if size is None:
                break
            start = file.tell()
            if identifier in (_BLOCK, _SIMPLE_BLOCK) and file.peek(1)[:1] in compressed:
                try:
                    zlib.decompress(file.read(size)[_BLOCK_HEADER:])
                except zlib.error:
                    damaged += 1
            file.seek(start + size)
    return damaged


def _zlib_tracks(data: bytes) -> set[bytes]:
    """Returns the numbers of the tracks that are compressed by zlib, as they stand at the begin of a block."""
    found = set()
    for _, start, stop in _children(data, 0, len(data), _TRACK):
        number, is_zlib = 0, False
        for identifier, a, b in _elements(data, start, stop):
            if identifier == _TRACK_NUMBER:
                number = int.from_bytes(data[a:b], "big")
            if identifier == _ENCODINGS:
                for _, c, d in _children(data, a, b, _ENCODING):
                    for _, e, f in _children(data, c, d, _COMPRESSION):
                        algorithms = [int.from_bytes(data[g:h], "big") for _, g, h in _children(data, e, f, _ALGORITHM)]
                        is_zlib = algorithms in ([], [0])  # zlib is the default
        if is_zlib and number < 127:
            found.add(bytes([0x80 | number]))
    return found


def add_codec_delay(data: bytes, nanoseconds: int) -> bytes:
    """Returns a file with one track, whose entry states a delay of its codec if it stated none."""
    (track,) = [data[a:b] for _, a, b in _track_entries(data)]
    if any(_children(track, 0, len(track), _CODEC_DELAY)):
        return data
    return add_elements(data, (_SEGMENT, _TRACKS, _TRACK), unsigned(_CODEC_DELAY, nanoseconds))


def _track_entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    tracks = _tracks(io.BytesIO(data))
    if tracks is not None:
        offset, payload = tracks
        for identifier, a, b in _children(payload, 0, len(payload), _TRACK):
            yield identifier, offset + a, offset + b


def _identifier(identifier: int) -> bytes:
    return identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")


def _tracks(file: io.BufferedIOBase) -> tuple[int, bytes] | None:
    """Returns position and payload of the element that describes the tracks; None if there is none before the pictures."""
    if file.read(4) != b"\x1a\x45\xdf\xa3":
        return None
    file.seek(0)
    while (head := _read_head(file)) is not None:
        identifier, size = head
        if identifier == _SEGMENT:
            continue  # its children follow
        if identifier == _CLUSTER or size is None:
            return None
        if identifier == _TRACKS:
            return (file.tell(), file.read(size)) if size <= _MAX_TRACKS else None
        if size > _MAX_SKIP:
            return None
        file.seek(size, io.SEEK_CUR)
    return None


def _read_head(file: io.BufferedIOBase) -> tuple[int, int | None] | None:
    """Returns identifier and size (None if unknown) of the element that begins here; None at the end of the file."""
    head = file.read(12)
    found = _head(head, 0, len(head))
    if found is None:
        return None
    identifier, size, start = found
    file.seek(start - len(head), io.SEEK_CUR)
    return identifier, size


def _head(data: bytes, at: int, stop: int) -> tuple[int, int | None, int] | None:
    """Returns identifier, size (None if unknown) and the position of the payload."""
    numbers = []
    for has_marker in (True, False):
        if at >= stop or not data[at]:
            return None
        length = 9 - data[at].bit_length()
        if at + length > stop:
            return None
        value = int.from_bytes(data[at : at + length], "big")
        numbers.append(value if has_marker else value - (1 << 7 * length))
        is_unknown = not has_marker and numbers[-1] == (1 << 7 * length) - 1
        at += length
    return numbers[0], None if is_unknown else numbers[1], at


def _elements(data: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """Yields identifier, begin and end of the payload of each element."""
    while (head := _head(data, at, stop)) is not None:
        identifier, size, start = head
        if size is None or start + size > stop:
            return
        at = start + size
        yield identifier, start, at


def _children(data: bytes, at: int, stop: int, wanted: int) -> Iterator[tuple[int, int, int]]:
    return (element for element in _elements(data, at, stop) if element[0] == wanted)
