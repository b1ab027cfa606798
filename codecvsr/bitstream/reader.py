"""One decoding pass over a video file: pictures, motion vectors, QPs, types and timestamps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from codecvsr import native_libraries
from codecvsr.bitstream import native_reader
from codecvsr.bitstream.damage import SoundFrames, end_of_stream
from codecvsr.bitstream.decode import PacketFacts, VideoDecoder
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.refusals import check_codec, check_picture
from codecvsr.errors import InputError

Backend = Literal["auto", "native", "pyav"]


def active_backend(backend: Backend = "auto") -> Literal["native", "pyav"]:
    """Returns the reader that ``backend`` means on this machine.

    Raises:
        InputError: ``backend`` is "native" and the native reader is not built.
    """
    if backend == "pyav":
        return "pyav"
    built = native_libraries.reader_library() is not None
    if backend == "native" and not built:
        raise InputError(
            "The native reader is not built. Install the libavformat and libavcodec headers, pkg-config and a C compiler "
            "and reinstall codecvsr, or use the backend 'pyav'."
        )
    return "native" if built else "pyav"


def read_video(path: str | Path, *, backend: Backend = "auto", allow_damaged: bool = False) -> Iterator[CodedFrame]:
    """Decodes a progressive file and yields its frames in display order.

    Of H.264, MPEG-1, MPEG-2, MPEG-4 Part 2 and the other codecs of :data:`codecvsr.bitstream.mpeg.CODECS`. A stream that begins without a key frame is read from the first place where decoding can begin; ``decode_index`` and the
    timestamps count the frames before it.

    Args:
        path: any container FFmpeg reads, or a raw stream.
        backend: ``"native"`` (``native/reader``; it reads H.264, and PyAV the others), ``"pyav"``, or ``"auto"`` for the first
            of the two that is built.
        allow_damaged: end at the first damaged frame with a warning (logged) instead of raising, if any frame is sound.

    Raises:
        InputError: the file is missing, unreadable or has no video stream.
        UnsupportedInputError: another codec, interlaced coding, a frame size that changes in mid-stream.
        DamagedInputError: the stream is truncated or corrupt; frames yielded before it is raised are sound.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if active_backend(backend) == "native":
        return _read_native(path, allow_damaged)
    return _read_pyav(path, allow_damaged)


def read_from(path: Path, pts: int) -> Iterator[CodedFrame]:
    """Decodes a file with PyAV, beginning at a key picture; indices count from there.

    Pictures that are coded after it but shown before it are skipped.

    Yields nothing where that picture cannot be found.

    Args:
        path: the file.
        pts: when that picture is shown, in units of the stream's time base.

    Raises:
        InputError: the file cannot be opened; all else as :func:`read_video`.
    """
    return _read_pyav(path, False, pts)


def _read_native(path: Path, allow_damaged: bool) -> Iterator[CodedFrame]:
    try:
        yield from native_reader.iterate(path, allow_damaged=allow_damaged)
    except native_reader.OtherCodecError:
        yield from _read_pyav(path, allow_damaged)


def _read_pyav(path: Path, allow_damaged: bool, begin: int | None = None) -> Iterator[CodedFrame]:
    with VideoDecoder(path, export=True, begin=begin) as decoder:
        check_codec(path, decoder.codec)
        sound: SoundFrames[CodedFrame] = SoundFrames()
        broken, size, skipped = None, None, 0
        for index, picture in enumerate(decoder):
            if picture.is_corrupt or picture.pts is None:
                decoder.damage, broken = decoder.damage or f"frame {index} cannot be decoded in full", picture.pts
                break
            check_picture(path, index, (picture.width, picture.height), size, decoder.is_interlaced(picture))
            size = picture.width, picture.height
            coded = decoder.coded_frame(picture, index - skipped)
            if begin is not None and _is_before(coded, decoder.packets[0]):
                skipped += 1
                continue
            yield from sound.add(coded, coded.decode_index, coded.pts_seconds)
        if decoder.damage and broken is None:
            broken = len(decoder.packets) - 1
        if decoder.packets or begin is None:
            yield from end_of_stream(path, sound, decoder.damage, broken, allow_damaged=allow_damaged)


def _is_before(frame: CodedFrame, first: PacketFacts) -> bool:
    """Returns whether a frame is shown before the key frame that decoding began with."""
    return frame.pts_seconds is not None and first.pts_seconds is not None and frame.pts_seconds < first.pts_seconds
