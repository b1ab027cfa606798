"""A trial of ``upscale``: a few frames of several places of a video are decoded, upscaled and encoded, to learn their cost.

Large pictures are tried on a part. How the size of a part relates to that of whole frames is learnt from the input's own small
pictures, which are cheap to encode; and what the encoder's lookahead changes in long chunks, from more frames that are enlarged
by bicubic interpolation.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.frame import CodedFrame
from codecvsr.inference.source import Source
from codecvsr.inference.tiles import BLOCK
from codecvsr.upscaling.coded_sizes import FAST, Sizes, coded_sizes
from codecvsr.upscaling.engine import AnyEngine
from codecvsr.upscaling.work import OutputForm
from codecvsr.video.probe import Media
from codecvsr.video.resize import resample
from codecvsr.video.scan import Scan
from codecvsr.video.seek import Decoder

_FRAMES = 6  # upscaled at each place
_CONTEXT_FRAMES = 32  # decoded and encoded at each place, small, to learn what the encoder's lookahead does
_MAX_PLACES = 8
_EXTRA_PIXELS = 60_000_000  # that may be decoded before a place
_PART = (192, 320)  # rows and columns that are upscaled of larger frames
_MIN_PART = (64, 96)
_TINY = 64  # side of the pictures that warm a network up
_NETWORK_SECONDS = 3.0  # of processor time, at each place
#: Largest pictures of whole frames that are encoded: at half of that the bytes of a detailed clip of 720p came out a third too low.
_SMALL = (720, 1280)
#: Where in the frame the parts are, as shares of the free rows and columns, place by place.
_CORNERS = ((0.5, 0.5), (0.2, 0.3), (0.8, 0.7), (0.3, 0.8), (0.7, 0.2), (0.5, 0.1), (0.1, 0.6), (0.9, 0.4))


@dataclass
class Cost:
    """Time of a stage, summed over frames of the full size.

    Attributes:
        wall_seconds: from its begin to its end.
        cpu_seconds: of all threads.
        frames: number of frames.
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    frames: float = 0.0

    @property
    def wall(self) -> float:
        """Seconds per frame."""
        return self.wall_seconds / max(self.frames, 1e-9)

    @property
    def cpu(self) -> float:
        """Seconds of processor time per frame."""
        return self.cpu_seconds / max(self.frames, 1e-9)

    @property
    def threads(self) -> float:
        """Processors that the stage used at once."""
        return self.cpu_seconds / max(self.wall_seconds, 1e-9)

    @contextmanager
    def measured(self, frames: float, *, start_up: float = 0.0) -> Iterator[None]:
        """Adds the time of a block that does ``frames`` frames, less ``start_up`` seconds."""
        wall, cpu = time.monotonic(), time.process_time()
        yield
        self.wall_seconds += max(time.monotonic() - wall - start_up, 1e-6)
        self.cpu_seconds += time.process_time() - cpu
        self.frames += frames


@dataclass
class Trial:
    """What was measured.

    Attributes:
        decode: cost of decoding.
        motion: cost of the motion.
        network: cost of the network.
        encode: cost of resizing and encoding.
        window_seconds: start-up of the network for a window.
        part_pixels: pixels of a frame that the network makes in reasonable time.
        places: first frame and number of frames of each place.
        sizes: of coded frames of the full size, by place.
        frames: that were upscaled.
        cpu_seconds: of the trial so far: what it costs, however busy the machine is.
    """

    decode: Cost = field(default_factory=Cost)
    motion: Cost = field(default_factory=Cost)
    network: Cost = field(default_factory=Cost)
    encode: Cost = field(default_factory=Cost)
    window_seconds: float = 0.0
    part_pixels: float = math.inf
    places: list[tuple[int, int]] = field(default_factory=list)
    sizes: list[Sizes] = field(default_factory=list)
    frames: list[CodedFrame] = field(default_factory=list)
    cpu_seconds: float = 0.0


def run_trial(engine: AnyEngine, media: Media, scan: Scan, form: OutputForm, goes_on: Callable[[Trial], bool]) -> Trial:
    """Tries places of a video until there are no more, or ``goes_on`` returns False after one.

    Raises:
        CodecVSRError: the frames cannot be decoded or upscaled.
    """
    begun = time.process_time()
    trial, decoder = Trial(), Decoder(media, scan, engine.options.damage)
    for start in places(scan):
        if trial.places and not goes_on(trial):
            break
        stop = _stop(scan, start)
        decoded = (frame for frame in decoder.frames(start, stop) if frame is not None)
        coded = [next(decoded)]  # includes opening and searching the file
        if stop - start > 1:
            with trial.decode.measured(stop - start - 1):
                coded += decoded
        _try_place(engine, media, scan, form, trial, coded)
        trial.places.append((start, len(coded)))
        trial.cpu_seconds = time.process_time() - begun
    return trial


def places(scan: Scan) -> list[int]:
    """Returns first frames of up to 8 places over the video, the middle first.

    A place begins where decoding can begin, if that is near or if many frames would have to be decoded before it; or with an
    intra picture that would come soon after.
    """
    frames = len(scan)
    count = min(_MAX_PLACES, max(1, frames // (2 * _CONTEXT_FRAMES)))
    wanted = [max(0, round((i + 0.5) * frames / count - _CONTEXT_FRAMES / 2)) for i in range(count)]
    wanted.sort(key=lambda place: abs(place + _CONTEXT_FRAMES / 2 - frames / 2))
    starts = np.append(0, np.flatnonzero(scan.starts))
    farthest = _EXTRA_PIXELS // (scan.height * scan.width)
    found = []
    for place in wanted:
        before = int(starts[starts <= place].max())
        begin = place if _CONTEXT_FRAMES < place - before <= farthest else before
        soon = np.flatnonzero(scan.keys[begin + 1 : begin + 1 + _FRAMES])
        found.append(begin + 1 + int(soon[-1]) if len(soon) else begin)
    return list(dict.fromkeys(found))


def _stop(scan: Scan, start: int) -> int:
    """Returns the end of a place: before the next intra picture, where another scene may begin."""
    stop = min(len(scan), start + _CONTEXT_FRAMES)
    later = np.flatnonzero(scan.keys[start + _FRAMES : stop])
    return start + _FRAMES + int(later[0]) if len(later) else stop


def _try_place(
    engine: AnyEngine, media: Media, scan: Scan, form: OutputForm, trial: Trial, coded: Sequence[CodedFrame]
) -> None:
    """Upscales and encodes the first frames of a place, and adds what that costs."""
    number, tried = len(trial.places), coded[:_FRAMES]
    with trial.motion.measured(len(tried)), tempfile.TemporaryDirectory() as folder:
        source = engine.source(tried, media, Path(folder))
    trial.frames += tried
    if not number:
        _warm_up(engine, source, trial)
    rows, columns = _part(scan.height, scan.width, number, trial.part_pixels)
    part = source.crop(rows, columns)
    share = (rows.stop - rows.start) * (columns.stop - columns.start) / (scan.height * scan.width)
    frames = len(tried) * share / (engine.cost * engine.work_share(coded))
    with trial.network.measured(frames, start_up=trial.window_seconds):
        made = engine.pictures(part)
    scale = form.height / scan.shown_height, form.width / scan.shown_width
    size = [max(2, round(side * factor / 2) * 2) for side, factor in zip(part.frames.shape[1:3], scale, strict=True)]
    with trial.encode.measured(len(tried) * share):
        large = coded_sizes([resample(picture, size[0], size[1]) for picture in made], form)
    sizes = large.scaled(*_with_lookahead(coded, rows, columns, scale, form))
    if part.frames.shape[1:3] != coded[0].rgb.shape[:2]:
        small = max(1, math.ceil(max(scan.height / _SMALL[0], scan.width / _SMALL[1])))
        whole = [_shrunk(frame.rgb, small) for frame in coded]
        parts = [_shrunk(frame.rgb[rows, columns], small) for frame in coded]
        sizes = sizes.scaled(coded_sizes(whole, form, fast=True), coded_sizes(parts, form, fast=True))
    trial.sizes.append(sizes)


def _with_lookahead(
    coded: Sequence[CodedFrame], rows: slice, columns: slice, scale: tuple[float, float], form: OutputForm
) -> tuple[Sizes, Sizes]:
    """Returns the sizes of all frames of a place, and of the tried ones among them, both enlarged by bicubic interpolation.

    The fast preset predicts the ratio of predicted frames well. Its lookahead is a quarter of the usual one: on four clips key frames
    grew by 3 to 12 %, and with the usual one by 4 to 27 %, about the square.
    """
    enlarged = []
    for frame in coded:
        picture = frame.rgb[rows, columns]
        height, width = (max(16, round(side * by)) for side, by in zip(picture.shape[:2], scale, strict=True))
        enlarged.append(cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8))
    long, short = coded_sizes(enlarged, form, fast=True), coded_sizes(enlarged[:_FRAMES], form, fast=True)
    is_slow = form.encoder is not None and form.encoder.codec != "ffv1" and form.encoder.preset not in FAST
    return (replace(long, key=long.key**2 / short.key) if is_slow else long), short


def _warm_up(engine: AnyEngine, source: Source, trial: Trial) -> None:
    """Measures the start-up of a window on two tiny pictures, after what only the first run costs."""
    tiny = source.crop(slice(0, _TINY), slice(0, _TINY)).cut(0, 1)
    engine.pictures(tiny)
    begun = time.monotonic()
    engine.pictures(tiny)
    trial.window_seconds = time.monotonic() - begun
    trial.part_pixels = _affordable(engine, source)
    if engine.has_graphs:  # the second window of a shape is captured: the measured one must not be
        rows, columns = _part(source.frames.shape[1], source.frames.shape[2], 0, trial.part_pixels)
        for _ in range(2):
            engine.pictures(source.crop(rows, columns))


def _affordable(engine: AnyEngine, source: Source) -> float:
    """Returns the pixels of a part whose frames the network makes in :data:`_NETWORK_SECONDS`."""
    sides = [min(side, bound) for side, bound in zip(source.frames.shape[1:3], _MIN_PART, strict=True)]
    tiny = source.crop(slice(0, sides[0]), slice(0, sides[1])).cut(0, min(2, len(source.names)))
    cost = Cost()
    with cost.measured(len(tiny.names), start_up=0):
        engine.pictures(tiny)
    return _NETWORK_SECONDS / cost.cpu * sides[0] * sides[1] / len(source.names)


def _part(height: int, width: int, number: int, pixels: float) -> tuple[slice, slice]:
    """Returns rows and columns of a part of a frame, at whole macroblocks, at another place for each ``number``."""
    if height * width <= min(pixels, 1.5 * _PART[0] * _PART[1]):
        return slice(0, height), slice(0, width)
    factor = min(1.0, math.sqrt(pixels / (_PART[0] * _PART[1])))
    slices = []
    for side, usual, least, place in zip((height, width), _PART, _MIN_PART, _CORNERS[number], strict=True):
        length = min(side, max(least, int(usual * factor) // BLOCK * BLOCK))
        first = int((side - length) * place) // BLOCK * BLOCK
        slices.append(slice(first, first + length))
    return slices[0], slices[1]


def _shrunk(picture: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.uint8]:
    height, width = (max(16, side // factor) for side in picture.shape[:2])
    return (
        picture if factor == 1 else cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
    )
