"""The output of ``upscale`` where none is named: ``clip_4x.mp4`` beside ``clip.mp4``."""

from __future__ import annotations

from pathlib import Path

from codecvsr.errors import CodecVSRError
from codecvsr.files import FRAME_NAME
from codecvsr.upscaling.folder_inputs import is_folder_of_frames
from codecvsr.upscaling.frame_names import split_output
from codecvsr.upscaling.options import UpscaleOptions
from codecvsr.video.image_files import ImageFile, open_image
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.stream_mapping import CONTAINERS, losses, plan_file


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
    stem = named_output(source.name if is_folder else source.stem, options)
    if is_folder and not is_folder_of_frames(source):
        return source.with_name(stem)
    image = _image(source) if form in ("auto", "png") else None
    if image is not None and not image.is_animated:
        return source.with_name(stem + _picture_suffix(source, form))
    if form == "png":
        return source.with_name(stem) / FRAME_NAME
    return source.with_name(stem + (_suffix(source, options, image) if form == "auto" else f".{form}"))


def named_output(stem: str, options: UpscaleOptions) -> str:
    """Returns the stem of an output's name: that of the input and the size, such as "holiday_4x"."""
    return f"{stem}_{_size(options)}"


def picture_name(source: Path, form: str = "auto") -> str | None:
    """Returns the name of the output of one picture in a folder; None for an input that is none."""
    image = _image(source)
    return None if image is None or image.is_animated else source.stem + _picture_suffix(source, form)


def output_of_one(source: Path, output: Path, form: str = "auto") -> Path:
    """Returns the output of a single input: that of a picture lies in the folder ``output`` under its own name."""
    if split_output(output)[1] != "" or (name := picture_name(source, form)) is None:
        return output
    return output / name


def _image(source: Path) -> ImageFile | None:
    """Returns an image file; None for another input and for what cannot be read, as the run reports why."""
    try:
        return open_image(source) if source.is_file() else None
    except (CodecVSRError, OSError):
        return None


def _picture_suffix(source: Path, form: str) -> str:
    """Returns the suffix of the output of one picture: that of the input, or .png if it is not written."""
    return source.suffix if form == "auto" and is_image_name(source) else ".png"


def _size(options: UpscaleOptions) -> str:
    if options.width is not None and options.height is not None:
        return f"{options.width}x{options.height}"
    if options.height is not None:
        return f"{options.height}p"
    return f"{options.scale}x" if options.width is None else f"{options.width}w"


def _suffix(source: Path, options: UpscaleOptions, image: ImageFile | None) -> str:
    if options.codec == "ffv1":
        return ".mkv"
    if source.is_dir() or image is not None:
        return ".mp4"
    if source.suffix.lower() in CONTAINERS:
        return source.suffix
    try:
        return ".mkv" if losses(plan_file(source, Path("output.mp4"))) else ".mp4"
    except (CodecVSRError, OSError):
        return ".mkv"  # the run reports what is wrong with the input
