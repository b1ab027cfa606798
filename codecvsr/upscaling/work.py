"""What the work on an input consists of: its chunks, and size and encoding of its output."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from codecvsr.upscaling.chunks import Chunk, first_chunk, plan_around, usual_chunk
from codecvsr.upscaling.engine import AnyEngine
from codecvsr.upscaling.options import UpscaleOptions, output_size
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.segments import EncoderOptions, PictureFormat, even_sides, usual_pixel_format

_ASPECT_TOLERANCE = Fraction(1, 100)  # a smaller change of shape comes from rounding the size and is invisible


@dataclass(frozen=True)
class Work:
    """The chunks of an input.

    Attributes:
        chunks: of its frames.
        window: maximum frames of the first size in the network at once.
        overlap: context frames at both ends of a chunk and a window.
    """

    chunks: tuple[Chunk, ...]
    window: int
    overlap: int


def plan_work(engine: AnyEngine, scan: Scan) -> Work:
    """Cuts an input into chunks as its size, the options and the memory ask for."""
    options = engine.options
    overlap = max(options.overlap, engine.radius)
    window = engine.window(scan.height, scan.width)
    sizes = {(scan.height, scan.width), *((change.height, change.width) for change in scan.later_sizes)}
    chunk_frames = options.chunk or min(usual_chunk(*size) for size in sizes)
    first = 0 if options.chunk else first_chunk(len(scan))
    breaks = [change.frame for change in scan.later_sizes]
    chunks = plan_around(breaks, scan.keys.tolist(), chunk_frames, overlap, first)
    return Work(tuple(chunks), window, overlap)


@dataclass(frozen=True)
class OutputForm:
    """Size and encoding of an output.

    Attributes:
        height: in pixels.
        width: in pixels.
        encoder: of a video; None for PNG files.
        picture: how the pictures of a video are displayed; None for PNG files.
        is_raw: the output has the pictures uncompressed; ``encoder`` is that of its segments.
    """

    height: int
    width: int
    encoder: EncoderOptions | None = None
    picture: PictureFormat | None = None
    is_raw: bool = False


def choose_form(
    options: UpscaleOptions, media: Media, scan: Scan, *, is_video: bool, is_raw: bool = False
) -> OutputForm:
    """Returns size and encoding of the output of an input.

    Args:
        options: of the run.
        media: the input.
        scan: its frames.
        is_video: the output is a video, not image files.
        is_raw: it has uncompressed YUV pictures: its segments are lossless.

    Raises:
        InputError: the output cannot have this size or this pixel format.
    """
    if not is_video:
        return OutputForm(*output_size(scan.shown_height, scan.shown_width, options))
    pixel_format = options.pixel_format
    if pixel_format == "auto":
        pixel_format = usual_pixel_format("h264" if is_raw else options.codec, scan.pixel_format)
    encoder = EncoderOptions("ffv1" if is_raw else options.codec, options.crf, options.preset, pixel_format)
    height, width = output_size(scan.shown_height, scan.shown_width, options, even_sides(pixel_format))
    encoder.check_size(height, width)
    change = Fraction(width * scan.shown_height, height * scan.shown_width)
    aspect = scan.aspect if abs(change - 1) < _ASPECT_TOLERANCE else scan.aspect / change
    picture = PictureFormat(height, width, media.time_base, media.rate, scan.colour, aspect.limit_denominator(9999))
    return OutputForm(height, width, encoder, picture, is_raw)
