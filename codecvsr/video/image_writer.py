"""Writes an upscaled picture as an image file, with what the source has besides its colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from codecvsr.errors import InputError, OutputError
from codecvsr.video.image_files import ImageFile, Pixels, read_picture
from codecvsr.video.image_metadata import EXIF, ICC, TEXT, XMP, Metadata, read_metadata
from codecvsr.video.resize import resample
from codecvsr.video.side_data import ALPHA

#: Suffixes of image files that are written: Pillow's name of the format.
IMAGE_FORMATS = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP",
}  # fmt: skip
_STORED = {
    "PNG": (ALPHA, ICC, EXIF, XMP, TEXT),
    "JPEG": (ICC, EXIF, XMP),
    "WEBP": (ALPHA, ICC, EXIF, XMP),
    "TIFF": (ALPHA, ICC, EXIF),
    "BMP": (),
}
_MAX_SIDE = {"JPEG": 65535, "WEBP": 16383}  # pixels
_QUALITY: dict[str, dict[str, Any]] = {
    "PNG": {"compress_level": 4},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95},
    "TIFF": {"compression": "tiff_adobe_deflate"},
    "BMP": {},
}
_WHITE = 255


def is_image_name(path: Path) -> bool:
    """Whether the name of an output is that of an image file."""
    return path.suffix.lower() in IMAGE_FORMATS


def stored_in(path: Path) -> tuple[str, ...]:
    """Returns, in words, what besides its colours a picture has in an image file of this name."""
    return _STORED[IMAGE_FORMATS[path.suffix.lower()]]


def check_image_size(path: Path, height: int, width: int) -> None:
    """Checks that the format of an output stores pictures of this size.

    Raises:
        InputError: it does not.
    """
    name = IMAGE_FORMATS[path.suffix.lower()]
    if max(height, width) > _MAX_SIDE.get(name, max(height, width)):
        raise InputError(
            f"{path}: {width}x{height} is beyond what {name} stores ({_MAX_SIDE[name]}); use .png or a smaller size."
        )


def write_image(part: Path, output: Path, rgb: Pixels, source: ImageFile) -> None:
    """Writes an upscaled picture.

    Transparency is enlarged with a bicubic kernel; where the format has none, the picture is shown on white. Grey files give
    grey files.

    Args:
        part: the file to write.
        output: the name that the file will have, whose suffix decides its format.
        rgb: (H, W, 3) the upscaled colours of ``source``.
        source: the file they were made from.

    Raises:
        OutputError: the format cannot store the picture.
    """
    name = IMAGE_FORMATS[output.suffix.lower()]
    picture = read_picture(source)
    planes = [rgb]
    if picture.is_gray:
        planes = [np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]]
    if picture.alpha is not None:
        alpha = resample(picture.alpha[..., None], *rgb.shape[:2])
        if ALPHA in stored_in(output):
            planes.append(alpha)
        else:
            planes = [on_white(planes[0], alpha[..., 0])]
    samples = np.concatenate(planes, axis=2)
    image = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    try:
        image.save(part, format=name, **_QUALITY[name], **_metadata(name, read_metadata(source)))
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise OutputError(f"{output}: the picture cannot be written as {name} ({error}).") from error


def _metadata(name: str, metadata: Metadata) -> dict[str, Any]:
    """Returns arguments of Pillow's ``save`` for what the format stores."""
    stored = _STORED[name]
    found: dict[str, Any] = {}
    if metadata.icc and ICC in stored:
        found["icc_profile"] = metadata.icc
    if metadata.exif is not None and EXIF in stored:
        found["exif"] = metadata.exif
    if metadata.dpi is not None and name != "WEBP":
        found["dpi"] = metadata.dpi
    if metadata.xmp and XMP in stored and name != "PNG":
        found["xmp"] = metadata.xmp
    if name == "PNG":
        found["pnginfo"] = info = PngImagePlugin.PngInfo()
        for key, value in metadata.texts.items():
            info.add_itxt(key, value)
        if metadata.xmp:
            info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
    return found


def on_white(colours: Pixels, alpha: Pixels) -> Pixels:
    """Returns (H, W, C) colours of partly transparent pixels, (H, W) alpha, as they are seen on a white page."""
    opacity = alpha[..., None].astype(np.float32) / 255
    return (_WHITE + (colours - np.float32(_WHITE)) * opacity + 0.5).astype(np.uint8)


def without_holes(rgb: Pixels, alpha: Pixels) -> Pixels:
    """Returns the colours of a partly transparent picture with those of invisible pixels taken from visible ones nearby.

    What a file stores there is arbitrary, often black; enlarged it would show as a fringe. The colours come from ever smaller
    pictures of the visible ones (push-pull; Gortler et al., The Lumigraph, SIGGRAPH 1996).
    """
    weight = (alpha > 0).astype(np.float32)
    if not weight.any():
        return rgb
    filled = _push_pull(rgb * weight[..., None], weight)
    return np.where(weight[..., None] > 0, rgb, np.clip(filled + 0.5, 0, 255).astype(np.uint8))


def _push_pull(colours: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Returns weighted colours divided by their weights, and where those are 0 the colours of the smaller picture."""
    known = np.asarray(colours / np.maximum(weight, 1e-6)[..., None], np.float32)
    if weight.min() > 0:
        return known
    height, width = weight.shape
    smaller = _push_pull(*(_resized(each, -(-height // 2), -(-width // 2)) for each in (colours, weight)))
    enlarged = _resized(smaller, height, width)
    return np.asarray(np.where(weight[..., None] > 0, known, enlarged), np.float32)


def _resized(values: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Returns values at another size: means of areas where it is smaller, else interpolated linearly."""
    how = cv2.INTER_AREA if height * width < values.shape[0] * values.shape[1] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=how), np.float32)
