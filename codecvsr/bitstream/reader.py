"""One decode pass over an H.264 file: pictures, motion vectors, quantisers, types and timestamps.

FFmpeg's frame threads corrupt the exported vectors of streams with B-frames, so decoding here never uses them and no
caller can ask for them; work on several parts of a film is split between key frames instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import nal, native
from codecvsr.bitstream.damage import SoundFrames, is_cut_short
from codecvsr.bitstream.frames import NO_VECTORS, VECTOR_DTYPE, CodedFrame, FrameType
from codecvsr.errors import DamagedInputError, InputError, UnsupportedInputError

Backend = Literal["auto", "native", "pyav"]

_TYPES: dict[int, FrameType] = {1: "I", 2: "P", 3: "B", 5: "I", 6: "P"}  # 5 and 6: switching SI and SP
_DECODER_OPTIONS = {"flags2": "+export_mvs", "export_side_data": "mvs+venc_params"}


def active_backend(backend: Backend = "auto") -> Literal["native", "pyav"]:
    """The reader that ``backend`` stands for on this machine.

    Raises:
        InputError: the native reader was asked for and is not built.
    """
    if backend == "pyav":
        return "pyav"
    built = native.reader_library() is not None
    if backend == "native" and not built:
        raise InputError(
            "The native reader is not built. Install the libavformat and libavcodec headers, pkg-config and a C compiler "
            "and reinstall codecvsr, or use the backend 'pyav'."
        )
    return "native" if built else "pyav"


def read_video(
    path: str | Path, *, backend: Backend = "auto", allow_damaged: bool = False
) -> Iterator[CodedFrame]:
    """Decode a progressive H.264 file and yield its frames in display order.

    Args:
        path: any container FFmpeg reads, or a raw H.264 stream.
        backend: ``"native"`` (``native/cvsr_reader.c``), ``"pyav"``, or the first of the two that is there.
        allow_damaged: end at the first damaged frame instead of raising.

    Raises:
        InputError: the file is missing, unreadable or has no video stream.
        UnsupportedInputError: another codec than H.264, interlaced coding, a frame size that changes in mid-stream.
        DamagedInputError: the stream is truncated or corrupt; frames yielded before it is raised are sound.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    if active_backend(backend) == "native":
        return native.iterate(path, allow_damaged=allow_damaged)
    return _read_pyav(path, allow_damaged)


def check_codec(path: Path, codec: str) -> None:
    """Refuse a codec that does not export motion vectors.

    Raises:
        UnsupportedInputError: ``codec`` is not ``"h264"``.
    """
    if codec != "h264":
        raise UnsupportedInputError(
            f"{path}: the video is {codec}, for which FFmpeg exports no motion vectors and quantisers; H.264 was expected. "
            f"Convert it first: ffmpeg -i {path.name} -c:v libx264 -crf 12 -c:a copy h264.mkv"
        )


def interlaced_error(path: Path) -> UnsupportedInputError:
    """The refusal of field-coded and MBAFF streams."""
    return UnsupportedInputError(
        f"{path}: the stream is interlaced, whose vectors refer to fields; progressive frames were expected. De-interlace "
        f"it first: ffmpeg -i {path.name} -vf bwdif -c:v libx264 -crf 12 -c:a copy progressive.mkv"
    )


def damage_error(path: Path, sound_frames: int, reason: str) -> DamagedInputError:
    """The refusal of a truncated or corrupt stream."""
    return DamagedInputError(
        f"{path}: the stream is damaged after {sound_frames} sound frames ({reason}). Give --allow-damaged to use the "
        "frames before the damage, or repair the file."
    )


def open_video(path: Path) -> tuple[av.container.InputContainer, av.video.stream.VideoStream]:
    """Open a file with PyAV and find its main video stream (cover pictures do not count).

    Raises:
        InputError: the file cannot be opened or has no video stream.
    """
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path}: not a readable media file ({error.strerror}).") from error
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        container.close()
        raise InputError(f"{path}: has no video stream; a video file was expected.")
    return container, stream


def _read_pyav(path: Path, allow_damaged: bool) -> Iterator[CodedFrame]:
    container, stream = open_video(path)
    with container:
        context = stream.codec_context
        check_codec(path, context.name)
        context.thread_type = "SLICE"
        context.thread_count = 1  # with several slice threads the decoder keeps errors to itself
        context.options = dict(_DECODER_OPTIONS)
        length_size = nal.length_prefix_size(context.extradata)
        packets: list[tuple[int | None, bool, bool]] = []  # pts in the container's units, is_reference, is_idr
        index, damage, size = 0, "", None
        held, damaged_packet = SoundFrames(), None

        def decode() -> Iterator[av.VideoFrame]:
            """Frames with ``pts`` standing for the packet they came from; sets ``damage`` and ends where one is broken."""
            nonlocal damage
            try:
                for packet in container.demux(stream):
                    if packet.size:
                        packets.append((packet.pts, *nal.picture_flags(bytes(packet), length_size)))
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

        for picture in decode():
            decode_index = picture.pts
            if picture.is_corrupt or decode_index is None:
                damage = damage or f"frame {index} cannot be decoded in full"
                damaged_packet = decode_index
                break
            if damage and decode_index >= len(packets) - 1:
                break
            if picture.interlaced_frame:
                raise interlaced_error(path)
            if size is None:
                size = picture.width, picture.height
            if (picture.width, picture.height) != size:
                raise UnsupportedInputError(
                    f"{path}: the picture size changes from {size[0]}x{size[1]} to {picture.width}x{picture.height} at frame "
                    f"{index}; one size was expected. Cut the file there and use the parts one by one."
                )
            pts, is_reference, is_idr = packets[decode_index]
            coded = CodedFrame(
                index=index,
                decode_index=decode_index,
                pts_seconds=None if pts is None else float(pts * stream.time_base),
                type=_TYPES.get(int(picture.pict_type), "P"),
                is_reference=is_reference,
                is_idr=is_idr,
                vectors=_vectors(picture),
                qp=_qp(picture),
                picture=picture,
            )
            index += 1
            yield from held.add(coded)
        yield from held.rest(damaged_packet)
        if not damage and len(packets) < stream.frames:
            damage = f"{len(packets)} of {stream.frames} frames are there"
        if not damage and is_cut_short(path):
            damage = "the file ends earlier than it says"
        if held.count == 0 and not damage:
            raise InputError(f"{path}: the video stream holds no frames.")
        if damage and (not allow_damaged or held.count == 0):
            raise damage_error(path, held.count, damage)


def _vectors(picture: av.VideoFrame) -> npt.NDArray[np.void]:
    exported = picture.side_data.get("MOTION_VECTORS")
    if exported is None:
        return NO_VECTORS
    table = exported.to_ndarray()
    vectors = np.empty(len(table), VECTOR_DTYPE)
    for name in VECTOR_DTYPE.names or ():
        vectors[name] = table[name]
    return vectors


def _qp(picture: av.VideoFrame) -> npt.NDArray[np.int8] | None:
    exported = picture.side_data.get("VIDEO_ENC_PARAMS")
    if exported is None:
        return None
    qp_map = np.asarray(exported.qp_map())
    rows, columns = -(-picture.height // 16), -(-picture.width // 16)
    return qp_map[:rows, :columns].astype(np.int8)
