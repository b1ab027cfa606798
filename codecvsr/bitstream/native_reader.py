"""The compiled libraries of ``native/``, loaded with ctypes where they were built.

``CODECVSR_NATIVE=0`` in the environment leaves both aside, for comparisons and for machines where they misbehave.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import h264
from codecvsr.bitstream.damage import SoundFrames, end_of_stream
from codecvsr.bitstream.frame import NO_VECTORS, VECTOR_DTYPE, CodedFrame, FrameType
from codecvsr.bitstream.refusals import check_codec, check_picture
from codecvsr.errors import CodecVSRError, InputError

_FIELD_ABI = 10  # CVSR_FIELD_ABI and CVSR_READER_ABI of native/*.h
_READER_ABI = 2
_NET_ABI = 3  # CVSR_NET_ABI
_NO_PTS = -(2**63)
_TYPES: dict[int, FrameType] = {ord("I"): "I", ord("P"): "P", ord("B"): "B"}


class _Stream(ctypes.Structure):
    """``cvsr_stream`` of native/include/cvsr_reader.h."""

    _fields_ = [
        ("codec", ctypes.c_char_p),
        ("declared_frames", ctypes.c_int64),
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
        ("data", ctypes.c_void_p * 4),
        ("pts", ctypes.c_int64),
        ("decode_index", ctypes.c_int64),
        ("vector_count", ctypes.c_int64),
        ("linesize", ctypes.c_int32 * 4),
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


def folders() -> list[Path]:
    """Where built libraries are looked for: ``_native`` in every folder the package consists of.

    An editable install has two, the checkout and the installed part.
    """
    import codecvsr

    return [Path(folder) / "_native" for folder in codecvsr.__path__]


def fields_library() -> ctypes.CDLL | None:
    """The field library (``native/field/field.c``), or None where it was not built or is switched off."""
    return _load_fields() if _enabled() else None


def reader_library() -> ctypes.CDLL | None:
    """The reader library (``native/reader/reader.c``), or None where it was not built or is switched off."""
    return _load_reader() if _enabled() else None


def net_library() -> ctypes.CDLL | None:
    """The library that computes ``codecvsr`` (``native/include/cvsr_net.h``), or None where it was not built or is switched off."""
    return _load_net() if _enabled() else None


def extract_mvs_program() -> Path | None:
    """The program that prints a file's vectors as FFmpeg's example ``extract_mvs`` does, or None where it is not built."""
    name = "extract_mvs.exe" if sys.platform == "win32" else "extract_mvs"
    return next((folder / name for folder in folders() if (folder / name).is_file()), None)


def load_problems() -> dict[str, str]:
    """For each library that is there but cannot be used, why: for ``doctor``."""
    fields_library()
    reader_library()
    net_library()
    return dict(_problems)


def rasterise(
    library: ctypes.CDLL, vectors: npt.NDArray[np.void], height: int, width: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Paint vectors onto cells of 4x4 pixels: what ``motion.field.rasterise_numpy`` does, value by value.

    Args:
        library: what :func:`fields_library` returned.
        vectors: (n,) array of ``VECTOR_DTYPE``.
        height: of the picture, in pixels.
        width: of the picture, in pixels.

    Returns:
        past (2, h, w) and future (2, h, w) in pixels, NaN where there is none, and partition (h, w), where
        h = ceil(height / 4) and w = ceil(width / 4).
    """
    if vectors.dtype != VECTOR_DTYPE or vectors.ndim != 1:
        raise TypeError(f"vectors: a 1-d array of {VECTOR_DTYPE} was expected, got {vectors.dtype} {vectors.shape}")
    records = np.ascontiguousarray(vectors)
    rows, columns = -(-height // 4), -(-width // 4)
    past = np.empty((2, rows, columns), np.float32)
    future = np.empty((2, rows, columns), np.float32)
    partition = np.empty((rows, columns), np.uint8)
    outputs = (past.ctypes.data, future.ctypes.data, partition.ctypes.data)
    if library.cvsr_rasterise(records.ctypes.data, len(records), height, width, *outputs) != 0:
        raise ValueError(f"height and width must not be negative, got {height} x {width}")
    return past, future, partition


def iterate(path: Path, *, allow_damaged: bool = False) -> Iterator[CodedFrame]:
    """Decode a progressive H.264 file with the reader library and yield its frames in display order.

    The rules and errors are those of ``reader.read_video``, whose other half this is.

    Raises:
        InputError: the file is unreadable, has no video stream, or the reader library is not built.
        UnsupportedInputError: another codec than H.264, interlaced coding, a frame size that changes in mid-stream.
        DamagedInputError: the stream is truncated or corrupt; frames yielded before it is raised are sound.
    """
    library = reader_library()
    if library is None:
        raise InputError("The native reader is not built; use the backend 'pyav'.")
    message = ctypes.create_string_buffer(256)
    reader = library.cvsr_reader_open(_file_name(path), message, len(message))
    if not reader:
        raise InputError(f"{path}: not a readable media file ({_text(message.value)}).")
    try:
        stream, frame = _Stream(), _Frame()
        library.cvsr_reader_stream(reader, ctypes.byref(stream))
        if stream.index < 0 or stream.codec == b"none":
            raise InputError(f"{path}: has no video stream; a video file was expected.")
        check_codec(path, _text(stream.codec))
        extradata = ctypes.string_at(stream.extradata, stream.extradata_size) if stream.extradata else None
        sequence = h264.sequence_facts(extradata)
        sound: SoundFrames[CodedFrame] = SoundFrames()
        index, damage, broken, size = 0, "", None, None
        while (state := library.cvsr_reader_next(reader, ctypes.byref(frame))) == 1:
            if frame.is_corrupt or frame.decode_index < 0:
                damage = f"frame {index} cannot be decoded in full"
                broken = frame.decode_index if frame.decode_index >= 0 else None
                break
            is_interlaced = bool(frame.is_interlaced) or sequence.is_mbaff
            check_picture(path, index, (frame.width, frame.height), size, is_interlaced)
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
    """The reader's current picture, copied into a frame of PyAV's."""
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


# --------------------------------------------------------------------------------------------------------- loading

_problems: dict[str, str] = {}


def _enabled() -> bool:
    return os.environ.get("CODECVSR_NATIVE", "1") != "0"


def _load(name: str, declare: Callable[[ctypes.CDLL], int], abi: int) -> ctypes.CDLL | None:
    """Load lib``name``; None where it is not there, and where it cannot be used (noted for ``doctor``)."""
    suffix = ".dll" if sys.platform == "win32" else ".so"  # CMake modules end in .so on macOS too
    for folder in folders():
        file = folder / f"lib{name}{suffix}"
        if not file.is_file():
            continue
        try:
            library = ctypes.CDLL(str(file))
            found = declare(library)
        except (OSError, AttributeError) as error:
            _problems[name] = f"{file}: {error}"
            continue
        if found == abi:
            _problems.pop(name, None)
            return library
        _problems[name] = f"{file}: is of interface version {found}, {abi} was expected; reinstall codecvsr"
    return None


@cache
def _load_fields() -> ctypes.CDLL | None:
    def declare(library: ctypes.CDLL) -> int:
        pointer, size = ctypes.c_void_p, ctypes.c_int32
        library.cvsr_rasterise.argtypes = [pointer, ctypes.c_size_t, size, size, pointer, pointer, pointer]
        library.cvsr_rasterise.restype = ctypes.c_int32
        library.cvsr_field_abi.argtypes = []
        library.cvsr_field_abi.restype = ctypes.c_int32
        return int(library.cvsr_field_abi())

    return _load("cvsr_field", declare, _FIELD_ABI)


@cache
def _load_reader() -> ctypes.CDLL | None:
    def declare(library: ctypes.CDLL) -> int:
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        signatures: dict[str, tuple[type | None, list[type]]] = {
            "cvsr_reader_abi": (ctypes.c_int32, []),
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
        return int(library.cvsr_reader_abi())

    return _load("cvsr_reader", declare, _READER_ABI)


@cache
def _load_net() -> ctypes.CDLL | None:
    def declare(library: ctypes.CDLL) -> int:
        library.cvsr_net_abi.restype, library.cvsr_net_abi.argtypes = ctypes.c_int32, []
        return int(library.cvsr_net_abi())

    return _load("cvsr_net", declare, _NET_ABI)
