"""Camera movements over photographs: shots whose every pixel is known, from standing still to a whip pan.

A photograph is shrunk until one of its pixels is about one of the shot's, and a virtual camera moves over it: it pans, turns
and zooms. Cut-outs of other photographs may hang in front of it and move faster, as near things do, and hide what is behind.
With an open shutter a frame is the mean of what the camera saw meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.constants import SCALE
from codecvsr.errors import InputError

Picture = npt.NDArray[np.uint8]

#: Kinds of movement: share of the shots, slowest and fastest speed in low-resolution pixels a frame.
KINDS: dict[str, tuple[float, float, float]] = {
    "still": (0.15, 0.002, 0.05),
    "slow": (0.35, 0.05, 0.5),
    "medium": (0.35, 0.5, 3.0),
    "fast": (0.15, 3.0, 12.0),
}
_MAX_TURN = 0.3  # radians to either side
_MAX_ZOOM = math.log(1.5)
_SMALLEST = 0.3  # a photograph is never shrunk further
_MAX_PARTS = 9  # moments that an open shutter's mean is taken of
_PART_STEP = 1.5  # pixels between them, about
_TRIES = 4  # places looked at for a start
_LAYERS = (0.5, 0.3, 0.2)  # shares of shots with 0, 1 and 2 layers in front


@dataclass(frozen=True)
class Movement:
    """How a camera moves: speeds by frame, lengths in high-resolution pixels, turns in radians.

    Attributes:
        kind: key of :data:`KINDS`.
        speed: of the pan.
        heading: its direction at the start.
        bend: how much the direction turns.
        zoom: change of the logarithm of the size of what is seen.
        turn: change of the angle about the line of sight.
        sway: size of an unsteady hand's movement.
        phases: of the hand's movement.
        shutter: share of the time between frames in which the shutter is open; 0 for none.
    """

    kind: str
    speed: float
    heading: float
    bend: float
    zoom: float
    turn: float
    sway: float
    phases: tuple[float, float, float, float]
    shutter: float

    def path(self, time: float) -> tuple[float, float]:
        """Way of the camera from its start, x and y."""
        if abs(self.bend) < 1e-6:
            x, y = time * math.cos(self.heading), time * math.sin(self.heading)
        else:
            end = self.heading + self.bend * time
            x, y = (
                (math.sin(end) - math.sin(self.heading)) / self.bend,
                (math.cos(self.heading) - math.cos(end)) / self.bend,
            )
        a, b, c, d = self.phases
        hand_x = math.sin(0.31 * time + a) + 0.5 * math.sin(0.83 * time + b)
        hand_y = math.sin(0.37 * time + c) + 0.5 * math.sin(0.71 * time + d)
        return self.speed * x + self.sway * hand_x, self.speed * y + self.sway * hand_y


def choose_movement(rng: np.random.Generator, width: int) -> Movement:
    """A movement at random, for shots of ``width`` pixels; every second still shot does not move at all."""
    names = list(KINDS)
    kind = names[int(rng.choice(len(names), p=[KINDS[name][0] for name in names]))]
    _, slowest, fastest = KINDS[kind]
    speed = SCALE * math.exp(rng.uniform(math.log(slowest), math.log(fastest)))
    zoom, turn = (speed * rng.uniform(-1, 1) * (rng.random() < 0.5) / (width / 2) for _ in range(2))
    sway = speed * rng.uniform(0, 0.5) * (rng.random() < 0.5)
    if kind == "still" and rng.random() < 0.5:
        speed = zoom = turn = sway = 0.0
    a, b, c, d = rng.uniform(0, 2 * math.pi, 4)
    shutter = rng.uniform(0.1, 0.8) if rng.random() < 0.5 else 0.0
    return Movement(
        kind, speed, rng.uniform(0, 2 * math.pi), rng.normal(0, 0.02), zoom, turn, sway, (a, b, c, d), shutter
    )


@dataclass(frozen=True)
class _Layer:
    """A picture (H, W, 3), how much of each pixel it covers (H, W) in 0..255 or None for all, and how it passes by."""

    picture: Picture
    coverage: Picture | None
    start: tuple[float, float]
    nearness: float


def render_shot(
    photos: Sequence[Picture], frames: int, height: int, width: int, movement: Movement, rng: np.random.Generator
) -> Iterator[Picture]:
    """The frames (height, width, 3) of one shot.

    Args:
        photos: what is seen: the background, and what layers in front are cut out of.
        frames: how many.
        height: of a frame in pixels.
        width: of a frame in pixels.
        movement: of the camera.
        rng: chooses sizes, places and layers; the same state gives the same shot.

    Raises:
        InputError: a photograph is too small for frames of that size.
    """
    layers = [_background(photos[0], height, width, rng)]
    for _ in range(int(rng.choice(len(_LAYERS), p=_LAYERS))):
        layers.append(_cut_out(photos[int(rng.integers(len(photos)))], height, width, rng))
    zoom_start, turn_start = rng.uniform(0, _MAX_ZOOM), rng.uniform(-_MAX_TURN / 2, _MAX_TURN / 2)
    unit = math.exp(-zoom_start)  # of the photograph's pixels, one pixel of the first frame
    fastest = movement.speed * max(layer.nearness for layer in layers)
    parts = 1
    if movement.shutter:
        parts = min(_MAX_PARTS, 1 + math.ceil(fastest * movement.shutter / _PART_STEP))
    for frame in range(frames):
        seen = np.zeros((height, width, 3), np.float32)
        for part in range(parts):
            time = frame + movement.shutter * part / parts
            zoom = _fold(zoom_start + movement.zoom * time, 0, _MAX_ZOOM)
            turn = _fold(turn_start + movement.turn * time, -_MAX_TURN, _MAX_TURN)
            x, y = movement.path(time)
            seen += _view(layers, (x * unit, y * unit), math.exp(-zoom), turn, height, width)
        yield np.clip(seen / parts + 0.5, 0, 255).astype(np.uint8)


def _view(
    layers: Sequence[_Layer], way: tuple[float, float], size: float, turn: float, height: int, width: int
) -> npt.NDArray[np.float32]:
    """What is seen at one moment, (height, width, 3) in 0..255."""
    seen = np.zeros((height, width, 3), np.float32)
    cos, sin = size * math.cos(turn), size * math.sin(turn)
    radius = _radius(height, width)
    for layer in layers:
        tall, wide = layer.picture.shape[:2]
        x = _fold(layer.start[0] + layer.nearness * way[0], radius[0], wide - 1 - radius[0])
        y = _fold(layer.start[1] + layer.nearness * way[1], radius[1], tall - 1 - radius[1])
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        matrix = np.array(
            [
                [cos, -sin, x - cos * centre_x + sin * centre_y],
                [sin, cos, y - sin * centre_x - cos * centre_y],
            ]
        )
        pulled = cv2.warpAffine(layer.picture, matrix, (width, height), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        if layer.coverage is None:
            seen = pulled.astype(np.float32)
        else:
            part = cv2.warpAffine(
                layer.coverage, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            )
            seen += (pulled - seen) * (part.astype(np.float32) / 255)[..., None]
    return seen


def _radius(height: int, width: int) -> tuple[float, float]:
    """How far from its centre the farthest turned frame reaches, x and y."""
    cos, sin = math.cos(_MAX_TURN), math.sin(_MAX_TURN)
    return (cos * width + sin * height) / 2 + 4, (cos * height + sin * width) / 2 + 4


def _fold(value: float, low: float, high: float) -> float:
    """``value`` going to and fro between ``low`` and ``high`` instead of leaving them."""
    if high <= low:
        return (low + high) / 2
    value = (value - low) % (2 * (high - low))
    return low + min(value, 2 * (high - low) - value)


def _shrunk(photo: Picture, height: int, width: int, rng: np.random.Generator) -> Picture:
    """The photograph at a random size that the camera can move over."""
    radius = _radius(height, width)
    least = max((2 * radius[0] + 16) / photo.shape[1], (2 * radius[1] + 16) / photo.shape[0])
    if least > 1:
        raise InputError(
            f"a photograph of {photo.shape[1]}x{photo.shape[0]} is too small for shots of {width}x{height}; at least "
            f"{math.ceil(2 * radius[0] + 16)}x{math.ceil(2 * radius[1] + 16)} were expected."
        )
    least = max(least, _SMALLEST)
    factor = math.exp(rng.uniform(math.log(least), math.log(max(least, 0.8))))
    size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _start(picture: Picture, height: int, width: int, rng: np.random.Generator) -> tuple[float, float]:
    """The place with the most detail of a few: skies and blurred backgrounds teach little."""
    tall, wide = picture.shape[:2]
    radius = _radius(height, width)
    best, start = -1.0, (wide / 2, tall / 2)
    for _ in range(_TRIES):
        x, y = float(rng.uniform(radius[0], wide - radius[0])), float(rng.uniform(radius[1], tall - radius[1]))
        around = picture[int(y - height / 2) : int(y + height / 2), int(x - width / 2) : int(x + width / 2)]
        detail = float(np.abs(cv2.Laplacian(around[::2, ::2, 1], cv2.CV_32F)).mean())
        if detail > best:
            best, start = detail, (x, y)
    return start


def _background(photo: Picture, height: int, width: int, rng: np.random.Generator) -> _Layer:
    picture = _shrunk(photo, height, width, rng)
    return _Layer(picture, None, _start(picture, height, width, rng), 1.0)


def _cut_out(photo: Picture, height: int, width: int, rng: np.random.Generator) -> _Layer:
    """Rounded patches of a photograph, covering a fifth to two fifths of it, with edges as sharp as a lens makes them."""
    picture = _shrunk(photo, height, width, rng)
    tall, wide = picture.shape[:2]
    cell = rng.uniform(0.2, 0.6) * height
    noise = rng.random((max(3, round(tall / cell) + 2), max(3, round(wide / cell) + 2))).astype(np.float32)
    smooth = cv2.resize(noise, (wide, tall), interpolation=cv2.INTER_CUBIC)
    covered = (smooth > np.quantile(smooth[::8, ::8], rng.uniform(0.6, 0.8))).astype(np.float32)
    coverage = cv2.GaussianBlur(covered, (0, 0), rng.uniform(0.6, 1.5))
    return _Layer(
        picture, (255 * coverage).astype(np.uint8), _start(picture, height, width, rng), rng.uniform(1.2, 2.5)
    )
