"""One decode pass over an H.264 file: pictures, motion vectors, quantisers, types and timestamps.

FFmpeg's frame threads corrupt the exported vectors of streams with B-frames, so decoding here never uses them and no
caller can ask for them; work on several parts of a film is split between key frames instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition

from codecvsr import native_libraries
from codecvsr.bitstream import h264, native_reader
from codecvsr.bitstream.damage import SoundFrames, end_of_stream
from codecvsr.bitstream.frame import NO_VECTORS, VECTOR_DTYPE, CodedFrame, FrameType
from codecvsr.bitstream.refusals import check_codec, check_picture
from codecvsr.errors import InputError

Backend = Literal["auto", "native", "pyav"]

FRAME_TYPES: dict[int, FrameType] = {1: "I", 2: "P", 3: "B", 5: "I", 6: "P"}  # 5 and 6: switching SI and SP
DECODER_OPTIONS = {"flags2": "+export_mvs", "export_side_data": "mvs+venc_params"}


def active_backend(backend: Backend = "auto") -> Literal["native", "pyav"]:
    """The reader that ``backend`` stands for on this machine.

    Raises:
        InputError: the native reader was asked for and is not built.
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


_SEEK_EARLIER = (0, 1, 10)  # seconds
_MAX_TRIED = 8  # key packets that may come before the one that was sought


def read_video(path: str | Path, *, backend: Backend = "auto", allow_damaged: bool = False) -> Iterator[CodedFrame]:
    """Decode a progressive H.264 file and yield its frames in display order.

    Args:
        path: any container FFmpeg reads, or a raw H.264 stream.
        backend: ``"native"`` (``native/reader/reader.c``), ``"pyav"``, or the first of the two that is there.
        allow_damaged: end at the first damaged frame with a warning (logged) instead of raising, if any frame is sound.

    A stream that begins without a key frame is read from where it can be decoded; ``decode_index`` and the timestamps
    count what is left out.

    Raises:
        InputError: the file is missing, unreadable or has no video stream.
        UnsupportedInputError: another codec than H.264, interlaced coding, a frame size that changes in mid-stream.
        DamagedInputError: the stream is truncated or corrupt; frames yielded before it is raised are sound.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if active_backend(backend) == "native":
        return native_reader.iterate(path, allow_damaged=allow_damaged)
    return _read_pyav(path, allow_damaged)


def open_video(path: Path) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """Open a file with PyAV and find its main video stream (cover pictures do not count).

    Raises:
        InputError: the file cannot be opened or has no video stream.
    """
    try:
        container = av.open(f"file:{path}")  # with the protocol named, no file name can pass for an address
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a readable media file ({error.strerror}).") from error
    best = container.streams.best("video")
    for stream in (best, *container.streams.video):
        if (
            isinstance(stream, av.video.stream.VideoStream)
            and stream.codec_context is not None
            and not stream.disposition & Disposition.attached_pic
        ):
            return container, stream
    container.close()
    raise InputError(f"{path}: has no video stream; a video file was expected.")


def read_from(path: Path, pts: int) -> Iterator[CodedFrame]:
    """Decode an H.264 file from an IDR picture on, with PyAV; indices count from there.

    Args:
        path: the file.
        pts: when that picture is shown, in units of the stream's time base.

    Raises:
        InputError: the file cannot be opened; as :func:`read_video` for all else.

    Nothing comes out where the picture cannot be found.
    """
    return _read_pyav(path, False, pts)


def packets_from(
    container: av.container.InputContainer, stream: av.video.stream.VideoStream, pts: int | None
) -> Iterator[av.Packet]:
    """The packets of a stream: all, or from the key packet shown at ``pts``; none where that cannot be found."""
    if pts is None:
        yield from container.demux(stream)
        return
    for earlier in _SEEK_EARLIER:  # a transport stream has no index: what is found may lie behind
        back = 0 if stream.time_base is None else round(earlier / stream.time_base)
        try:
            container.seek(pts - back, stream=stream)
        except av.FFmpegError:
            return
        tried = 0
        packets = container.demux(stream)
        for packet in packets:
            if packet.pts == pts and packet.is_keyframe:
                yield packet
                yield from packets
                return
            tried += packet.is_keyframe
            if tried > _MAX_TRIED or (tried and packet.dts is not None and packet.dts > pts):
                break


def _read_pyav(path: Path, allow_damaged: bool, begin: int | None = None) -> Iterator[CodedFrame]:
    container, stream = open_video(path)
    with container:
        context = stream.codec_context
        check_codec(path, context.name)
        context.thread_type = "SLICE"
        context.thread_count = 1  # with several slice threads the decoder keeps errors to itself
        context.options = dict(DECODER_OPTIONS)
        length_size = h264.length_prefix_size(context.extradata)
        sequence = h264.sequence_facts(context.extradata)
        packets: list[tuple[float | None, bool, bool]] = []  # pts_seconds, is_reference, is_idr
        damage = ""

        def decode() -> Iterator[av.VideoFrame]:
            """Pictures whose ``pts`` is the number of their packet; ends where a packet is broken and sets ``damage``."""
            nonlocal damage
            try:
                for packet in packets_from(container, stream, begin):
                    if packet.size:
                        pts = None if packet.pts is None else float(packet.pts * packet.time_base)
                        packets.append((pts, *h264.picture_flags(bytes(packet), length_size)))
                        if packet.is_corrupt:
                            damage = f"packet {len(packets) - 1} is incomplete"
                            break
                        packet.pts = packet.dts = len(packets) - 1
                        yield from context.decode(packet)
            except av.FFmpegError as error:
                damage = f"packet {len(packets) - 1}: {error.strerror}"
            try:
                yield from context.decode(None)
            except av.FFmpegError as error:
                damage = damage or f"at its end: {error.strerror}"

        sound: SoundFrames[CodedFrame] = SoundFrames()
        broken, size = None, None
        for index, picture in enumerate(decode()):
            decode_index = picture.pts
            if picture.is_corrupt or decode_index is None:
                damage, broken = damage or f"frame {index} cannot be decoded in full", decode_index
                break
            is_interlaced = bool(picture.interlaced_frame) or sequence.is_mbaff
            check_picture(path, index, (picture.width, picture.height), size, is_interlaced)
            size = picture.width, picture.height
            pts_seconds, is_reference, is_idr = packets[decode_index]
            coded = CodedFrame(
                index=index,
                decode_index=decode_index,
                pts_seconds=pts_seconds,
                type=FRAME_TYPES.get(int(picture.pict_type), "P"),
                is_reference=is_reference,
                is_idr=is_idr,
                vectors=vectors_of(picture),
                qp=qps(picture),
                picture=picture,
                max_references=sequence.max_references,
            )
            yield from sound.add(coded, decode_index, pts_seconds)
        if damage and broken is None:
            broken = len(packets) - 1
        if packets or begin is None:
            yield from end_of_stream(path, sound, damage, broken, allow_damaged=allow_damaged)


def side_data(picture: av.VideoFrame) -> SideDataContainer:
    """What the decoder exported with a picture.

    ``picture.side_data`` is the same, but the two then hold each other, and thousands of pictures stay in memory until
    Python looks for such circles.
    """
    return SideDataContainer(picture)  # type: ignore[call-arg]  # its stub has no constructor


def vectors_of(picture: av.VideoFrame) -> npt.NDArray[np.void]:
    """The exported motion vectors of a picture as an array of :data:`VECTOR_DTYPE`."""
    exported: Any = side_data(picture).get("MOTION_VECTORS")
    if exported is None:
        return NO_VECTORS
    table = exported.to_ndarray()
    vectors = np.empty(len(table), VECTOR_DTYPE)
    for name in VECTOR_DTYPE.names or ():
        vectors[name] = table[name]
    return vectors


def qps(picture: av.VideoFrame) -> npt.NDArray[np.int8] | None:
    """The exported luma quantisers of a picture's macroblocks, None where there are none."""
    exported: Any = side_data(picture).get("VIDEO_ENC_PARAMS")
    if exported is None:
        return None
    qp_map = np.asarray(exported.qp_map())
    rows, columns = -(-picture.height // 16), -(-picture.width // 16)
    return qp_map[:rows, :columns].astype(np.int8)
