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
from codecvsr.bitstream.refusals import check_codec, check_frames
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
        return check_frames(path, _read_native(path, allow_damaged))
    return check_frames(path, decode_frames(path, allow_damaged=allow_damaged))


def decode_frames(path: Path, *, allow_damaged: bool = False, begin: int | None = None) -> Iterator[CodedFrame]:
    """Decodes a file with PyAV as :func:`read_video` does, fields and changes of the size included.

    Args:
        path: the file.
        allow_damaged: as in :func:`read_video`.
        begin: begin at the key picture shown at this time, in units of the stream's time base; indices count from there.
            Pictures that are coded after it but shown before it are skipped. Nothing is yielded where it cannot be found.

    Raises:
        InputError: the file cannot be opened, or its vectors cannot be read; DamagedInputError as :func:`read_video`.
    """
    with VideoDecoder(path, export=True, begin=begin) as decoder:
        check_codec(path, decoder.codec)
        sound: SoundFrames[CodedFrame] = SoundFrames()
        broken, skipped = None, 0
        for index, picture in enumerate(decoder):
            if picture.is_corrupt or picture.pts is None:
                decoder.damage, broken = decoder.damage or f"frame {index} cannot be decoded in full", picture.pts
                break
            coded = decoder.coded_frame(picture, index - skipped)
            if begin is not None and _is_before(coded, decoder.packets[0]):
                skipped += 1
                continue
            yield from sound.add(coded, coded.decode_index, coded.pts_seconds)
        if decoder.damage and broken is None:
            broken = len(decoder.packets) - 1
        if decoder.packets or begin is None:
            yield from end_of_stream(path, sound, decoder.damage, broken, allow_damaged=allow_damaged)


def _read_native(path: Path, allow_damaged: bool) -> Iterator[CodedFrame]:
    try:
        yield from native_reader.iterate(path, allow_damaged=allow_damaged)
    except native_reader.OtherCodecError:
        yield from decode_frames(path, allow_damaged=allow_damaged)


def _is_before(frame: CodedFrame, first: PacketFacts) -> bool:
    """Returns whether a frame is shown before the key frame that decoding began with."""
    return frame.pts_seconds is not None and first.pts_seconds is not None and frame.pts_seconds < first.pts_seconds
