"""The native H.264 reader (``native/include/cvsr_reader.h``), bound with ctypes."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np

from codecvsr import native_libraries
from codecvsr.bitstream import h264
from codecvsr.bitstream.damage import SoundFrames, end_of_stream
from codecvsr.bitstream.frame import NO_VECTORS, VECTOR_DTYPE, CodedFrame, FrameType
from codecvsr.bitstream.refusals import check_picture
from codecvsr.errors import CodecVSRError, InputError

_NO_PTS = -(2**63)
_TYPES: dict[int, FrameType] = {ord("I"): "I", ord("P"): "P", ord("B"): "B"}


class OtherCodecError(Exception):
    """The stream is not H.264, the only codec that the reader library reads."""


class _Stream(ctypes.Structure):
    """``cvsr_stream`` of native/include/cvsr_reader.h."""

    _fields_ = [
        ("codec", ctypes.c_char_p),
        ("time_base_num", ctypes.c_int32),
        ("time_base_den", ctypes.c_int32),
        ("index", ctypes.c_int32),
        ("extradata_size", ctypes.c_int32),
        ("extradata", ctypes.c_void_p),
    ]


class _Frame(ctypes.Structure):
    """``cvsr_frame`` of native/include/cvsr_reader.h."""

    _fields_ = [
        ("pixel_format", ctypes.c_char_p),
        ("vectors", ctypes.c_void_p),
        ("qp", ctypes.c_void_p),
        ("pts", ctypes.c_int64),
        ("decode_index", ctypes.c_int64),
        ("vector_count", ctypes.c_int64),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("qp_rows", ctypes.c_int32),
        ("qp_columns", ctypes.c_int32),
        ("type", ctypes.c_int32),
        ("is_reference", ctypes.c_int32),
        ("is_idr", ctypes.c_int32),
        ("is_interlaced", ctypes.c_int32),
        ("is_corrupt", ctypes.c_int32),
        ("colorspace", ctypes.c_int32),
        ("color_range", ctypes.c_int32),
        ("color_primaries", ctypes.c_int32),
        ("color_trc", ctypes.c_int32),
    ]


def iterate(path: Path, *, allow_damaged: bool = False) -> Iterator[CodedFrame]:
    """Decodes a progressive H.264 file with the reader library and yields its frames in display order.

    Rules and errors are those of :func:`codecvsr.bitstream.reader.read_video`.

    Raises:
        InputError: the file is unreadable, has no video stream, or the reader library is not built.
        OtherCodecError: the codec is not H.264; nothing was yielded.
        UnsupportedInputError: interlaced coding, a frame size that changes in mid-stream.
        DamagedInputError: the stream is truncated or corrupt; frames yielded before it is raised are sound.
    """
    library = native_libraries.reader_library()
    if library is None:
        raise InputError("The native reader is not built; use the backend 'pyav'.")
    _declare(library)
    message = ctypes.create_string_buffer(256)
    reader = library.cvsr_reader_open(_file_name(path), message, len(message))
    if not reader:
        raise InputError(f"{path}: not a readable media file ({_text(message.value)}).")
    try:
        stream, frame = _Stream(), _Frame()
        library.cvsr_reader_stream(reader, ctypes.byref(stream))
        if stream.index < 0 or stream.codec == b"none":
            raise InputError(f"{path}: has no video stream; a video file was expected.")
        if stream.codec != b"h264":
            raise OtherCodecError
        extradata = ctypes.string_at(stream.extradata, stream.extradata_size) if stream.extradata else None
        sequence = h264.sequence_facts(extradata)
        sound: SoundFrames[CodedFrame] = SoundFrames()
        index, damage, broken, size = 0, "", None, None
        while (state := library.cvsr_reader_next(reader, ctypes.byref(frame))) == 1:
            if frame.is_corrupt or frame.decode_index < 0:
                damage = f"frame {index} cannot be decoded in full"
                broken = frame.decode_index if frame.decode_index >= 0 else None
                break
            is_field_coded = bool(frame.is_interlaced) or sequence.is_mbaff
            check_picture(path, index, (frame.width, frame.height), size, is_field_coded)
            size = frame.width, frame.height
            coded = _coded_frame(library, reader, frame, index, stream, sequence)
            yield from sound.add(coded, coded.decode_index, coded.pts_seconds)
            index += 1
        if state < 0:
            raise CodecVSRError(f"{path}: decoding stopped ({_text(library.cvsr_reader_message(reader))}).")
        if library.cvsr_reader_is_damaged(reader):
            damage = _text(library.cvsr_reader_message(reader))
        if damage and broken is None:
            broken = library.cvsr_reader_packets(reader) - 1
        yield from end_of_stream(path, sound, damage, broken, allow_damaged=allow_damaged)
    finally:
        library.cvsr_reader_close(reader)


def _coded_frame(
    library: ctypes.CDLL, reader: int, frame: _Frame, index: int, stream: _Stream, sequence: h264.SequenceFacts
) -> CodedFrame:
    pts_seconds = None
    if frame.pts != _NO_PTS:
        pts_seconds = frame.pts * stream.time_base_num / stream.time_base_den
    vectors = NO_VECTORS
    if frame.vector_count:
        size = frame.vector_count * VECTOR_DTYPE.itemsize
        vectors = np.frombuffer(bytearray(ctypes.string_at(frame.vectors, size)), VECTOR_DTYPE)
    qp = None
    if frame.qp:
        shape = frame.qp_rows, frame.qp_columns
        qp = np.frombuffer(bytearray(ctypes.string_at(frame.qp, shape[0] * shape[1])), np.int8).reshape(shape)
    return CodedFrame(
        index=index,
        decode_index=frame.decode_index,
        pts_seconds=pts_seconds,
        type=_TYPES[frame.type],
        is_reference=bool(frame.is_reference),
        is_idr=bool(frame.is_idr),
        vectors=vectors,
        qp=qp,
        picture=_picture(library, reader, frame),
        max_references=sequence.max_references,
    )


def _picture(library: ctypes.CDLL, reader: int, frame: _Frame) -> av.VideoFrame:
    """Returns the reader's current picture, copied into a frame of PyAV's."""
    picture = av.VideoFrame(frame.width, frame.height, _text(frame.pixel_format))
    planes = picture.planes
    pointers = (ctypes.c_void_p * 4)(*(plane.buffer_ptr for plane in planes))
    line_sizes = (ctypes.c_int32 * 4)(*(plane.line_size for plane in planes))
    if library.cvsr_reader_copy_picture(reader, pointers, line_sizes) != 0:
        raise CodecVSRError("The native reader has no picture to copy.")
    picture.colorspace = frame.colorspace
    picture.color_range = frame.color_range
    picture.color_primaries = frame.color_primaries
    picture.color_trc = frame.color_trc
    return picture


def _file_name(path: Path) -> bytes:
    return str(path).encode() if sys.platform == "win32" else os.fsencode(path)


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def libavcodec_version() -> str | None:
    """Returns the version of the libavcodec that the reader runs on, such as "59.37.100"; None where it is not built."""
    library = native_libraries.reader_library()
    if library is None:
        return None
    _declare(library)
    return _text(library.cvsr_reader_libavcodec())


@cache
def _declare(library: ctypes.CDLL) -> None:
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "cvsr_reader_libavcodec": (text, []),
        "cvsr_reader_open": (pointer, [text, text, ctypes.c_size_t]),
        "cvsr_reader_stream": (None, [pointer, pointer]),
        "cvsr_reader_next": (ctypes.c_int32, [pointer, pointer]),
        "cvsr_reader_packets": (ctypes.c_int64, [pointer]),
        "cvsr_reader_is_damaged": (ctypes.c_int32, [pointer]),
        "cvsr_reader_message": (text, [pointer]),
        "cvsr_reader_copy_picture": (ctypes.c_int32, [pointer, pointer, pointer]),
        "cvsr_reader_close": (None, [pointer]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
