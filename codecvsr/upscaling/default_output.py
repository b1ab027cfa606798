"""The output of ``upscale`` where none is named: ``clip_4x.mp4`` beside ``clip.mp4``."""

from __future__ import annotations

from pathlib import Path

from codecvsr.errors import CodecVSRError
from codecvsr.files import FRAME_NAME
from codecvsr.upscaling.folder_inputs import is_folder_of_frames
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.image_files import open_image
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.probe import Media
from codecvsr.video.stream_mapping import CONTAINERS, losses, plan_streams


def default_output(source: Path, options: UpscaleOptions, form: str = "auto") -> Path:
    """Returns the output of one input, beside it; a picture becomes a picture.

    Args:
        source: a video, a picture, a folder of frames or a folder of videos; the output of the last is a folder.
        options: have the size, which the name states, and the codec.
        form: format of the output; "auto" for the container of the input where it can be written, else for MP4 if that
            stores all streams, else for Matroska.
    """
    source = source if source.name not in ("", "..") else source.resolve()
    is_folder = source.is_dir()
    stem = f"{source.name if is_folder else source.stem}_{_size(options)}"
    if is_folder and not is_folder_of_frames(source):
        return source.with_name(stem)
    if form in ("auto", "png") and is_single_picture(source):
        return source.with_name(stem + picture_suffix(source, form))
    if form == "png":
        return source.with_name(stem) / FRAME_NAME
    return source.with_name(stem + (_suffix(source, options) if form == "auto" else f".{form}"))


def is_single_picture(source: Path) -> bool:
    """Whether an input is one picture in an image file; False for what cannot be read, as the run reports why."""
    try:
        image = open_image(source) if source.is_file() else None
    except (CodecVSRError, OSError):
        return False
    return image is not None and not image.is_animated


def picture_suffix(source: Path, form: str) -> str:
    """Returns the suffix of the output of one picture: that of the input, or .png if it is not written."""
    return source.suffix if form == "auto" and is_image_name(source) else ".png"


def _size(options: UpscaleOptions) -> str:
    if options.width is not None and options.height is not None:
        return f"{options.width}x{options.height}"
    if options.height is not None:
        return f"{options.height}p"
    return f"{options.scale}x" if options.width is None else f"{options.width}w"


def _suffix(source: Path, options: UpscaleOptions) -> str:
    if options.codec == "ffv1":
        return ".mkv"
    if source.is_dir():
        return ".mp4"
    if source.suffix.lower() in CONTAINERS:
        return source.suffix
    try:
        media = Media.open(source, options.fps)
        return ".mkv" if losses(plan_streams(media, Path("output.mp4"))) else ".mp4"
    except (CodecVSRError, OSError):
        return ".mkv"  # the run reports what is wrong with the input
