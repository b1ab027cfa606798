"""Image files: which files are pictures, what they have, and their pixels.

Pillow reads them. OpenCV reads samples of more than 8 bits, which Pillow would cut off instead of rounding.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, features

from codecvsr.errors import DamagedInputError, InputError, UnsupportedInputError
from codecvsr.video.color_profiles import cmyk_to_rgb

Pixels = npt.NDArray[np.uint8]

_SIGNATURES = (
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WEBP"),
    (rb"BM....\0\0\0\0", "BMP"),
    (rb"II[*+]\0|MM\0[*+]", "TIFF"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (rb"P[1-6]\s", "PPM"),
)
_VIDEO_SUFFIXES = (".mjpg", ".mjpeg")  # JPEG pictures one after the other: FFmpeg reads them as a video
_RAW_SUFFIXES = (
    ".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef",
    ".raf", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
)  # fmt: skip
_RAW = rb"II\*\0.{4}CR|IIRO|IIRS|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM|....ftypcrx "
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
_JPEG_XL = rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"
_HDR_TRANSFERS = (16, 18)  # PQ and HLG of ITU-T H.273
_DNG_VERSION, _ORIENTATION, _BITS_PER_SAMPLE = 50706, 0x0112, 258  # TIFF tags
_HEADER = 4096  # bytes
_ANIMATED = ("GIF", "PNG", "WEBP")


class ImageFile(NamedTuple):
    """A file with one or several pictures.

    Attributes:
        path: the file.
        format: Pillow's name of its format, such as "PNG".
        frames: number of its pictures.
        is_animated: they are shown one after the other.
    """

    path: Path
    format: str
    frames: int
    is_animated: bool


@dataclass(frozen=True)
class Picture:
    """Pixels of a picture, turned as its EXIF orientation says.

    Attributes:
        rgb: (H, W, 3) uint8.
        alpha: (H, W) uint8; None where every pixel is opaque.
        is_gray: the file stores no colours.
    """

    rgb: Pixels
    alpha: Pixels | None
    is_gray: bool


def open_image(path: Path) -> ImageFile | None:
    """Returns what an image file is, or None for a file that is none.

    Raises:
        UnsupportedInputError: it is a picture for which there is no decoder here.
        InputError: it begins as a picture, and cannot be read as one.
    """
    name = _format(path)
    if name is None:
        return None
    with opened(path, name) as image:
        if name == "TIFF" and _DNG_VERSION in image.getexif():
            raise _raw(path)
        frames = int(getattr(image, "n_frames", 1))
        return ImageFile(path, image.format or name, frames, frames > 1 and name in _ANIMATED)


def _format(path: Path) -> str | None:
    """Returns Pillow's name of a format, by the first bytes of a file; None for a file that is no picture."""
    if path.suffix.lower() in _VIDEO_SUFFIXES:
        return None
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    if re.match(_RAW, header, re.DOTALL) or (path.suffix.lower() in _RAW_SUFFIXES and header[:2] in (b"II", b"MM")):
        raise _raw(path)
    if re.match(_JPEG_XL, header) and path.suffix.lower() in (".jxl", ""):
        raise _without_decoder(path, "JPEG XL", "djxl")
    if header[4:8] == b"ftyp":
        return _heif_format(path, header)
    return next((name for start, name in _SIGNATURES if re.match(start, header, re.DOTALL)), None)


def _heif_format(path: Path, header: bytes) -> str | None:
    """Returns "AVIF" for such a picture; None for a video in an MP4 file."""
    size = int.from_bytes(header[:4], "big")
    brands = [header[8:12], *(header[i : i + 4] for i in range(16, min(size, len(header)), 4))]
    if brands[0] == b"avif" or (brands[0] in _HEIF_BRANDS and b"avif" in brands):
        if not features.check("avif"):
            raise _without_decoder(path, "AVIF", "avifdec")
        colour = header.find(b"colrnclx")
        if colour >= 0 and int.from_bytes(header[colour + 10 : colour + 12], "big") in _HDR_TRANSFERS:
            raise UnsupportedInputError(f"{path}: is an HDR picture; an SDR picture was expected.")
        return "AVIF"
    if brands[0] in _HEIF_BRANDS:
        raise _without_decoder(path, "HEIC", "heif-convert")
    return None


def _without_decoder(path: Path, name: str, program: str) -> UnsupportedInputError:
    return UnsupportedInputError(
        f"{path}: is a {name} picture, for which there is no decoder here. Convert it first: "
        f"{program} {path.name} {path.stem}.png"
    )


def _raw(path: Path) -> UnsupportedInputError:
    return UnsupportedInputError(
        f"{path}: is a RAW photograph, which has to be developed first. Export it as PNG, TIFF or JPEG."
    )


@contextmanager
def opened(path: Path, name: str) -> Iterator[Image.Image]:
    """Opens a picture with Pillow; errors of Pillow within ``with`` become errors of ours.

    Raises:
        DamagedInputError: the file is cut short or broken.
        InputError: the picture is too large.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures and of odd metadata
            with Image.open(path, formats=[name]) as image:
                yield image
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: has too many pixels for one picture; cut it into parts first.") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
        raise DamagedInputError(f"{path}: is cut short or damaged: it cannot be read as {name} ({error}).") from error


def bits_per_sample(path: Path, image: Image.Image) -> int:
    """Returns the bits of one sample of an open picture."""
    if image.format == "PNG":
        with path.open("rb") as file:
            return file.read(25)[24]  # bit depth of the chunk IHDR, which is the first
    if image.format == "TIFF":
        return int(max(np.ravel(image.getexif().get(_BITS_PER_SAMPLE, 8))))
    return 16 if image.mode.startswith(("I", "F")) else 8


def read_picture(image_file: ImageFile) -> Picture:
    """Reads the first picture of a file.

    Raises:
        UnsupportedInputError: its samples are 32-bit or floating-point numbers.
        InputError: it cannot be decoded; DamagedInputError where it is cut short.
    """
    path, name = image_file.path, image_file.format
    with opened(path, "JPEG" if name == "MPO" else name) as image:
        orientation = int(image.getexif().get(_ORIENTATION, 1))
        image.load()
        is_deep = bits_per_sample(path, image) > 8
        samples = _read_deep(path) if is_deep else np.asarray(_plain(image))
        if is_deep or name != "TIFF":  # TIFF pictures of 8 bits are turned by Pillow
            samples = _turned(samples, orientation)
    return split(samples)


def split(samples: Pixels) -> Picture:
    """Returns the picture of (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) samples: grey or RGB, then alpha."""
    planes = samples[..., None] if samples.ndim == 2 else samples
    channels = planes.shape[2]
    alpha = np.ascontiguousarray(planes[..., -1]) if channels in (2, 4) else None
    rgb = planes[..., :3] if channels > 2 else np.repeat(planes[..., :1], 3, axis=2)
    return Picture(np.ascontiguousarray(rgb), None if alpha is None or alpha.min() == 255 else alpha, channels < 3)


def _plain(image: Image.Image) -> Image.Image:
    """Returns an 8-bit picture as grey, grey with alpha, RGB or RGBA."""
    if image.mode == "CMYK":
        return cmyk_to_rgb(image)
    has_alpha = image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    is_gray = image.mode in ("1", "L", "LA", "La")
    mode = ("LA" if has_alpha else "L") if is_gray else "RGBA" if has_alpha else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _read_deep(path: Path) -> Pixels:
    """Returns samples of 16 bits rounded to 8."""
    samples = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16:
        raise UnsupportedInputError(
            f"{path}: has samples of 32 bits or floating-point numbers; 8 or 16 bits were expected."
        )
    rounded = ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if rounded.ndim == 3:
        rounded = rounded[..., [2, 1, 0, 3][: rounded.shape[2]]]
    return rounded


def _turned(samples: Pixels, orientation: int) -> Pixels:
    """Returns samples as an EXIF orientation says that they are shown."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples
