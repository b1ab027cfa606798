"""What an image file has besides its pixels: colour profile, EXIF, XMP, texts, resolution."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from codecvsr.video.image_files import ImageFile, bits_per_sample, open_image, opened, read_picture
from codecvsr.video.side_data import ALPHA

ICC, EXIF, XMP, TEXT = "ICC colour profile", "EXIF metadata", "XMP metadata", "texts of the PNG file"
CMYK = "printing colours (CMYK; the output is RGB)"
DEEP = "more than 8 bits per sample (the network works with 8)"

_SAMPLES = 8  # frames of a folder that are examined, after the first
_EXIF_IFD, _SIZE_IN_EXIF = 0x8769, (0xA002, 0xA003)
#: Tags of EXIF's first directory that describe the photograph; the others, of TIFF, describe how its pixels are stored.
_OF_PHOTOGRAPH = (270, 271, 272, 305, 306, 315, 316, 33432, 34665, 34853, 40091, 40092, 40093, 40094, 40095)
_ORIENTATION = re.compile(rb"""tiff:Orientation=(["']).*?\\1|<tiff:Orientation>.*?</tiff:Orientation>""", re.DOTALL)


@dataclass(frozen=True)
class Metadata:
    """What can be written with another picture made from the same file.

    Attributes:
        icc: colour profile.
        exif: EXIF data that say that the picture is upright.
        xmp: XMP packet.
        dpi: horizontal and vertical resolution.
        texts: keys and values of a PNG file.
    """

    icc: bytes | None = None
    exif: Image.Exif | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    texts: dict[str, str] = field(default_factory=dict)


def read_metadata(image_file: ImageFile) -> Metadata:
    """Returns what an image file has besides its pixels; the profile of printing colours is used up by then.

    Raises:
        InputError: the file cannot be read.
    """
    with opened(image_file.path, image_file.format) as image:
        exif = image.getexif()
        for tag in [tag for tag in exif if tag not in _OF_PHOTOGRAPH]:
            del exif[tag]
        for tag in _SIZE_IN_EXIF:
            exif.get_ifd(_EXIF_IFD).pop(tag, None)
        image.load()  # texts may follow the pixels
        xmp: Any = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        if isinstance(xmp, str):
            xmp = xmp.encode()
        texts = {key: str(value) for key, value in getattr(image, "text", {}).items() if key != "XML:com.adobe.xmp"}
        return Metadata(
            None if image.mode == "CMYK" else image.info.get("icc_profile"),
            exif if len(exif) else None,
            _ORIENTATION.sub(b"", xmp) if xmp else None,
            image.info.get("dpi"),
            texts,
        )


def found_in_image(image_file: ImageFile) -> set[str]:
    """Returns, in words, what an image file has besides the colours of its first picture, or of all if it is animated.

    Raises:
        InputError: the file cannot be read.
    """
    found = set()
    with opened(image_file.path, image_file.format) as image:
        deep = bits_per_sample(image_file.path, image) > 8
        may_be_transparent = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
        is_printed = image.mode == "CMYK"
        loops = image.info.get("loop", 1) != 1
    metadata = read_metadata(image_file)
    for words, is_there in (
        (ICC, metadata.icc), (EXIF, metadata.exif), (XMP, metadata.xmp), (TEXT, metadata.texts), (DEEP, deep),
        (CMYK, is_printed), ("repetition of the animation", image_file.is_animated and loops),
    ):  # fmt: skip
        if is_there:
            found.add(words)
    if not image_file.is_animated:
        if image_file.frames > 1:
            found.add(f"{image_file.frames - 1} more pictures of the file")
        if (deep or may_be_transparent) and read_picture(image_file).alpha is not None:
            found.add(ALPHA)
    return found


def found_in_frames(paths: tuple[Path, ...]) -> set[str]:
    """Returns, in words, what the frames of a folder have besides their colours: a few of them stand for all."""
    few = {paths[round(i * (len(paths) - 1) / _SAMPLES)] for i in range(_SAMPLES + 1)}
    return set().union(*(found_in_image(image) for path in few if (image := open_image(path)) is not None))
