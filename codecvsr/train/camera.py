"""Shots from photographs: a virtual camera moves over a picture, from a static shot to a whip pan.

A photograph is scaled down until one of its pixels is about one pixel of the shot; the camera pans, rotates and zooms over it.
Cut-outs of other photographs form layers in front, which move faster (parallax) and occlude the background. With an open
shutter a frame is the mean of several moments (motion blur).
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
    "static": (0.15, 0.002, 0.05),
    "slow": (0.35, 0.05, 0.5),
    "medium": (0.35, 0.5, 3.0),
    "fast": (0.15, 3.0, 12.0),
}
_MAX_TURN = 0.3  # radians in either direction
_MAX_ZOOM = math.log(1.5)
_MIN_SCALE = 0.3  # a photograph is never scaled down further
_MAX_PARTS = 9  # moments averaged for an open shutter
_PART_STEP = 1.5  # pixels between two moments, about
_TRIES = 4  # candidate start positions
_LAYERS = (0.5, 0.3, 0.2)  # shares of shots with 0, 1 and 2 layers in front


@dataclass(frozen=True)
class Movement:
    """Movement of the camera: speeds per frame, lengths in high-resolution pixels, angles in radians.

    Attributes:
        kind: key of :data:`KINDS`.
        speed: speed of the pan.
        heading: initial direction of the pan.
        bend: change of the direction.
        zoom: change of the logarithm of the field of view.
        turn: change of the rotation about the optical axis.
        sway: amplitude of the hand-held movement.
        phases: phases of the hand-held movement.
        shutter: share of the frame interval during which the shutter is open; 0 for no motion blur.
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
        """Returns the camera's displacement (x, y) in pixels from its start, after ``time`` frames."""
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
    """Returns a random movement for shots of ``width`` pixels; every second shot of kind "static" has no movement at all."""
    names = list(KINDS)
    kind = names[int(rng.choice(len(names), p=[KINDS[name][0] for name in names]))]
    _, slowest, fastest = KINDS[kind]
    speed = SCALE * math.exp(rng.uniform(math.log(slowest), math.log(fastest)))
    zoom, turn = (speed * rng.uniform(-1, 1) * (rng.random() < 0.5) / (width / 2) for _ in range(2))
    sway = speed * rng.uniform(0, 0.5) * (rng.random() < 0.5)
    if kind == "static" and rng.random() < 0.5:
        speed = zoom = turn = sway = 0.0
    a, b, c, d = rng.uniform(0, 2 * math.pi, 4)
    shutter = rng.uniform(0.1, 0.8) if rng.random() < 0.5 else 0.0
    return Movement(
        kind, speed, rng.uniform(0, 2 * math.pi), rng.normal(0, 0.02), zoom, turn, sway, (a, b, c, d), shutter
    )


@dataclass(frozen=True)
class _Layer:
    """A picture (H, W, 3), its coverage (H, W) in 0..255 or None for full, its start position and its parallax factor."""

    picture: Picture
    coverage: Picture | None
    start: tuple[float, float]
    nearness: float


def render_shot(
    photos: Sequence[Picture], frames: int, height: int, width: int, movement: Movement, rng: np.random.Generator
) -> Iterator[Picture]:
    """Yields the frames of one shot, (height, width, 3) uint8 RGB.

    Args:
        photos: the background first; layers are cut out of all of them.
        frames: number of frames.
        height: height of a frame in pixels.
        width: width of a frame in pixels.
        movement: movement of the camera.
        rng: chooses sizes, positions and layers; the same state gives the same shot.

    Raises:
        InputError: a photograph is too small for frames of that size.
    """
    layers = [_background(photos[0], height, width, rng)]
    for _ in range(int(rng.choice(len(_LAYERS), p=_LAYERS))):
        layers.append(_cut_out(photos[int(rng.integers(len(photos)))], height, width, rng))
    zoom_start, turn_start = rng.uniform(0, _MAX_ZOOM), rng.uniform(-_MAX_TURN / 2, _MAX_TURN / 2)
    unit = math.exp(-zoom_start)  # photograph pixels per pixel of the first frame
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
    layers: Sequence[_Layer], displacement: tuple[float, float], size: float, turn: float, height: int, width: int
) -> npt.NDArray[np.float32]:
    """Returns the view at one moment, (height, width, 3) float32 in 0..255."""
    seen = np.zeros((height, width, 3), np.float32)
    cos, sin = size * math.cos(turn), size * math.sin(turn)
    radius = _radius(height, width)
    for layer in layers:
        tall, wide = layer.picture.shape[:2]
        x = _fold(layer.start[0] + layer.nearness * displacement[0], radius[0], wide - 1 - radius[0])
        y = _fold(layer.start[1] + layer.nearness * displacement[1], radius[1], tall - 1 - radius[1])
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
    """Returns the distance (x, y) from centre to side, in pixels of a frame at maximum rotation."""
    cos, sin = math.cos(_MAX_TURN), math.sin(_MAX_TURN)
    return (cos * width + sin * height) / 2 + 4, (cos * height + sin * width) / 2 + 4


def min_photo_size(height: int, width: int) -> tuple[int, int]:
    """Returns the minimum height and width of a photograph for shots of (height, width)."""
    radius = _radius(height, width)
    return math.ceil(2 * radius[1] + 16), math.ceil(2 * radius[0] + 16)


def _fold(value: float, low: float, high: float) -> float:
    """Returns ``value`` reflected at ``low`` and ``high`` as often as needed."""
    if high <= low:
        return (low + high) / 2
    value = (value - low) % (2 * (high - low))
    return low + min(value, 2 * (high - low) - value)


def _shrunk(photo: Picture, height: int, width: int, rng: np.random.Generator) -> Picture:
    """Returns the photograph scaled to a random size that leaves room for the camera."""
    radius = _radius(height, width)
    smallest = max((2 * radius[0] + 16) / photo.shape[1], (2 * radius[1] + 16) / photo.shape[0])
    if smallest > 1:
        min_height, min_width = min_photo_size(height, width)
        raise InputError(
            f"a photograph of {photo.shape[1]}x{photo.shape[0]} is too small for shots of {width}x{height}; at least "
            f"{min_width}x{min_height} were expected."
        )
    smallest = max(smallest, _MIN_SCALE)
    factor = math.exp(rng.uniform(math.log(smallest), math.log(max(smallest, 0.8))))
    size = (round(photo.shape[1] * factor), round(photo.shape[0] * factor))
    return cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _start(picture: Picture, height: int, width: int, rng: np.random.Generator) -> tuple[float, float]:
    """Returns the most detailed of a few random positions: skies and blurred backgrounds teach little."""
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
    """Returns rounded patches that cover 20 to 40 % of a photograph, with edges as sharp as a lens makes them."""
    picture = _shrunk(photo, height, width, rng)
    tall, wide = picture.shape[:2]
    patch = rng.uniform(0.2, 0.6) * height
    noise = rng.random((max(3, round(tall / patch) + 2), max(3, round(wide / patch) + 2))).astype(np.float32)
    smooth = cv2.resize(noise, (wide, tall), interpolation=cv2.INTER_CUBIC)
    covered = (smooth > np.quantile(smooth[::8, ::8], rng.uniform(0.6, 0.8))).astype(np.float32)
    coverage = cv2.GaussianBlur(covered, (0, 0), rng.uniform(0.6, 1.5))
    return _Layer(
        picture, (255 * coverage).astype(np.uint8), _start(picture, height, width, rng), rng.uniform(1.2, 2.5)
    )
