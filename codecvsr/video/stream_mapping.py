"""Plans, before any work, what is done with each stream of a source in the output's container."""

from __future__ import annotations

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
from av.stream import Disposition

from codecvsr.bitstream.containers import TAG_ERRORS, open_input
from codecvsr.bitstream.decode import open_video
from codecvsr.errors import InputError
from codecvsr.video import matroska, sound
from codecvsr.video.packets import OF_OLD_STREAM, file_tags, first_packets, fresh_packets, without
from codecvsr.video.probe import Media
from codecvsr.video.sound import Audio
from codecvsr.video.subtitle_converter import TextReader

#: Suffixes of video outputs, and libav's names of their containers.
CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
#: Suffixes of outputs that store pictures alone, uncompressed.
RAW_CONTAINERS = {".y4m": "yuv4mpegpipe"}

BRANDS = ("major_brand", "minor_version", "compatible_brands", "encoder")  # they describe the old file
#: Tags that MP4 has fields for; with any other tag all are written as keys and values (QuickTime's "mdta").
_MP4_TAGS = {
    "title", "artist", "album_artist", "composer", "album", "date", "comment", "genre", "copyright", "grouping", "lyrics",
    "description", "synopsis", "show", "episode_id", "network", "keywords", "track", "disc", "creation_time", "location",
    "season_number", "episode_sort", "media_type", "hd_video", "gapless_playback", "compilation", "timecode", "language",
}  # fmt: skip
#: Those that it has fields for in every track, or that say of the source what its pictures show already.
_MP4_STREAM_TAGS = {
    "language", "title", "name", "handler_name", "timecode", "reel_name", "creation_time", "rotate", "stereo_mode",
}  # fmt: skip

Action = Literal["copy", "attach", "to_mov_text", "to_subrip", "omit", "implied", "cover", "wav_header", "encode"]

#: Cover pictures that Matroska stores as files: codec -> (MIME type, suffix).
COVER_TYPES = {"mjpeg": ("image/jpeg", "jpg"), "png": ("image/png", "png")}


@dataclass(frozen=True)
class StreamPlan:
    """Plan for one stream of the source.

    Attributes:
        index: of the stream; -1 for what is no stream.
        title: its name in messages.
        action: "copy" without change; "attach" a cover picture as a file; convert a subtitle; "omit"; "implied" if the
            container writes it again from other data (the chapter track and the timecode track of MP4); "cover" for a
            cover picture in MP4; "wav_header" for sound that Matroska stores by its WAV header; "encode" sound again.
        loss: what the output lacks; empty for nothing.
        codec: of sound that is encoded again.
        note: a change that loses nothing that is noticed, in words; empty for none.
    """

    index: int
    title: str
    action: Action
    loss: str = ""
    codec: str = ""
    note: str = ""


def container_of(path: Path) -> str:
    """Returns libav's name of the container of an output, by its suffix.

    Raises:
        InputError: the suffix is none of :data:`CONTAINERS` and :data:`RAW_CONTAINERS`.
    """
    try:
        return (CONTAINERS | RAW_CONTAINERS)[path.suffix.lower()]
    except KeyError:
        raise InputError(f"{path}: an output ends in {', '.join(CONTAINERS)}, or is a folder of PNG frames.") from None


def check_codec(path: Path, codec: str) -> None:
    """Checks that the container supports the codec.

    Raises:
        InputError: it does not.
    """
    if codec == "ffv1" and container_of(path) != "matroska":
        raise InputError(f"{path}: {path.suffix[1:].upper()} does not support FFV1; use an output that ends in .mkv.")


def plan_streams(media: Media, target: Path, audio: Audio = "auto") -> list[StreamPlan]:
    """Returns a plan for every stream except the main video.

    Args:
        media: the source.
        target: the output.
        audio: "copy" sound, also where that loses it; "auto" encodes it again there; "none" omits it; else its codec.

    Raises:
        InputError: the container does not support the codec for sound.
    """
    name = container_of(target)
    if is_raw(target):
        return _plan_raw(media)
    if audio in ("aac", "opus", "flac") and not sound.is_storable(audio, name):
        raise InputError(
            f"{target}: {_display_name(name)} does not support {audio} sound; use --audio aac, or an .mkv or .mp4 output."
        )
    return [] if media.kind == "pictures" else plan_file(media.path, target, audio)


def plan_file(path: Path, target: Path, audio: Audio = "auto") -> list[StreamPlan]:
    """Returns :func:`plan_streams` of a video.

    Raises:
        InputError: it cannot be read.
    """
    container, video = open_video(path)
    plans = []
    with container:
        has_chapters, name = bool(container.chapters()), container_of(target)
        others = [stream for stream in container.streams if stream.index != video.index]
        packets = first_packets(container) if others else {}
        for stream in others:
            plans.append(_plan(path, stream, name, has_chapters, audio, packets.get(stream.index, [])))
        if name != "matroska":
            omitted = {plan.index for plan in plans if plan.action in ("omit", "implied", "cover")}
            of_file, loss = file_tags(container), f"{_display_name(name)} cannot store them, so they are omitted"
            for stream in container.streams:
                if stream.index not in omitted and (tags := _tags_without_a_place(stream, of_file)):
                    plans.append(StreamPlan(-1, f"tags of {_title(stream)}, {', '.join(tags)}", "omit", loss))
    return plans


def _tags_without_a_place(stream: av.stream.Stream, of_file: Collection[str]) -> list[str]:
    """Returns the names of a stream's tags that MP4 has no fields for, and that are no tags of the file."""
    tags = without(stream.metadata, OF_OLD_STREAM)
    return sorted(key for key in tags if key not in of_file and key.lower() not in _MP4_STREAM_TAGS)


def is_raw(path: Path) -> bool:
    """Whether an output stores pictures alone, uncompressed."""
    return path.suffix.lower() in RAW_CONTAINERS


def _plan_raw(media: Media) -> list[StreamPlan]:
    """Returns the plans of an output that stores pictures alone."""
    if media.kind == "pictures":
        return []
    container, video = open_video(media.path)
    loss = _cannot_store("Y4M")
    with container:
        has_chapters = bool(container.chapters())
        others = [stream for stream in container.streams if stream.index != video.index]
        plans = [StreamPlan(stream.index, _title(stream), "omit", loss) for stream in others]
        if has_chapters:
            plans.append(StreamPlan(-1, "chapters", "omit", loss))
        if tags := sorted(key for key in file_tags(container) if key.lower() not in BRANDS):
            plans.append(StreamPlan(-1, f"tags {', '.join(tags)}", "omit", loss))
    return plans


def own_tags(source: av.container.Container) -> set[str]:
    """Returns the names of a source's tags that MP4 has no fields for."""
    return {key.lower() for key in file_tags(source)} - set(BRANDS) - _MP4_TAGS


def losses(plans: Sequence[StreamPlan]) -> list[str]:
    """Returns, in words, what the output will lack."""
    return [f"{plan.title}: {plan.loss}" for plan in plans if plan.loss]


def _title(stream: av.stream.Stream) -> str:
    language = f", {stream.language}" if stream.language and stream.language != "und" else ""
    return f"{stream.type} stream {stream.index} ({codec_name(stream) or 'unknown'}{language})"


def _plan(
    path: Path, stream: av.stream.Stream, container: str, has_chapters: bool, audio: Audio, first: list[av.Packet]
) -> StreamPlan:
    name, title = codec_name(stream), _title(stream)
    if stream.type == "data" and ("timecode" in stream.metadata or (name == "bin_data" and has_chapters)):
        return StreamPlan(stream.index, title, "implied")
    if stream.disposition & Disposition.attached_pic:
        if name in COVER_TYPES and container != "mov":
            if container == "matroska":
                return StreamPlan(stream.index, title, "attach")
            tags = ", ".join(sorted(own_tags(stream.container)))
            return StreamPlan(
                stream.index, title, "cover", tags and f"with a cover picture MP4 cannot store the tags {tags}"
            )
        return StreamPlan(stream.index, f"cover picture, {title}", "omit", _cannot_store(container))
    if stream.type == "audio":
        return _plan_sound(stream, title, container, audio, first)
    if fits(stream, container, first):
        return StreamPlan(stream.index, title, "copy")
    if stream.type == "subtitle" and stream.codec_context is not None and stream.codec_context.codec.text_sub:
        action: Action = "to_subrip" if container == "matroska" else "to_mov_text"
        form = "SubRip" if container == "matroska" else "timed text"
        note = "" if name in ("srt", "subrip", "mov_text") else f"is converted to {form}"
        return StreamPlan(stream.index, title, action, _formatting_loss(path, stream.index), note=note)
    return StreamPlan(stream.index, title, "omit", _cannot_store(container))


def _plan_sound(
    stream: av.stream.Stream, title: str, container: str, audio: Audio, first: list[av.Packet]
) -> StreamPlan:
    name = codec_name(stream)
    if audio == "none":
        return StreamPlan(stream.index, title, "omit", note="is omitted, as --audio none asks for")
    is_misread = audio == "auto" and container == "mp4" and name.startswith("pcm_") and name != "pcm_s16le"
    if audio in ("auto", "copy") and not is_misread:
        if fits(stream, container, first):
            return StreamPlan(stream.index, title, "copy")
        if container == "matroska" and _channels(stream) and matroska.wav_header(stream) is not None:
            return StreamPlan(stream.index, title, "wav_header")
    if not isinstance(stream.codec_context, av.AudioCodecContext) or audio == "copy":
        return StreamPlan(stream.index, title, "omit", _cannot_store(container))
    if not _channels(stream):
        return StreamPlan(stream.index, title, "omit", "has an unknown number of channels, so it is omitted")
    layout = stream.codec_context.layout
    codec = sound.match(name, container, layout) if audio == "auto" else audio
    note = f"is encoded again as {codec}"
    if audio == "auto":
        reason = "most players misread it in MP4" if is_misread else f"{_display_name(container)} cannot store it"
        note += f", because {reason}"
    return StreamPlan(stream.index, title, "encode", sound.mixing(codec, layout), codec, note)


def _channels(stream: av.stream.Stream) -> int:
    return stream.codec_context.channels if isinstance(stream, av.audio.stream.AudioStream) else 0


def _cannot_store(container: str) -> str:
    return f"{_display_name(container)} cannot store it, so it is omitted"


def codec_name(stream: av.stream.Stream) -> str:
    """Returns FFmpeg's name of a stream's codec, for an attachment the file's name; empty if unknown."""
    return (stream.codec_context.name if stream.codec_context is not None else getattr(stream, "name", "")) or ""


def _display_name(container: str) -> str:
    return "Matroska" if container == "matroska" else container.upper()


def fits(stream: av.stream.Stream, container: str, packets: Sequence[av.Packet] = ()) -> bool:
    """Whether the muxer supports the stream, tried on a file in memory with its first packets.

    Of some codecs a muxer learns only from a packet that it cannot write them.
    """
    try:
        with av.open(io.BytesIO(), "w", format=container, metadata_errors=TAG_ERRORS) as trial:
            new = trial.add_stream_from_template(stream, opaque=True)
            if isinstance(new, av.audio.stream.AudioStream):
                new.codec_context.layout = sound.known_layout(new.codec_context.layout)
            trial.start_encoding()
            time = 0
            for packet in packets:
                packet.stream, packet.pts, packet.dts = new, time, time
                time += packet.duration or 1
                trial.mux_one(packet)
    except (av.FFmpegError, ValueError):
        return False
    return True


def _formatting_loss(path: Path, index: int) -> str:
    """Returns, in words, what of a text subtitle stream is more than bold, italic and underlined text; empty for nothing."""
    with open_input(path) as container:
        reader = TextReader(container.streams[index])
        packets = fresh_packets(path, index)
        if reader.has_styles or any(reader.read(packet).text.lost for packet in packets):
            return "its formatting beyond bold, italic and underlined (fonts, colours, positions, drawings) is omitted"
    return ""
