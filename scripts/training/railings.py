"""Draw short clips of railings, blinds and rules before smooth photographs: training data for ``codecvsr prepare --clips``.

A network that has seen one fence in many samples draws its bars wherever a fence of another spacing stands before grass. Here
the spacing, width, colour and direction of the bars are random, and the ground between them is a real photograph, often out of focus::

    python scripts/training/railings.py PHOTOS OUT --clips 120
    codecvsr prepare sets/railings --clips OUT --versions 2 --crf 11 40 --clean 0.2
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]

FRAMES, HEIGHT, WIDTH = 16, 288, 384
PERIODS = (8.0, 160.0)  # pixels from bar to bar: 2 to 40 pixels of the small frame
STILL = 0.4  # share of the clips in which nothing moves
ALONG_ROWS = 0.5  # share of the bars that lie exactly along rows or columns


def ground(photo: npt.NDArray[np.uint8], room: int, rng: np.random.Generator) -> Plane:
    """A part of the photograph with ``room`` pixels more on each side than a frame, shrunk and often blurred, (H, W, 3)."""
    height, width = HEIGHT + 2 * room, WIDTH + 2 * room
    scale = max(height / photo.shape[0], width / photo.shape[1], rng.uniform(0.3, 1.0))
    shrunk = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shrunk = cv2.copyMakeBorder(
        shrunk, 0, max(0, height - shrunk.shape[0]), 0, max(0, width - shrunk.shape[1]), cv2.BORDER_REFLECT
    )
    y, x = (int(rng.integers(0, have - want + 1)) for have, want in zip(shrunk.shape, (height, width), strict=False))
    part = shrunk[y : y + height, x : x + width].astype(np.float32)
    if rng.random() < 0.7:
        part = cv2.GaussianBlur(part, (0, 0), float(rng.uniform(0.7, 8)))
    return part * np.float32(rng.uniform(0.3, 1.0))


class Bars:
    """Parallel bars: ``paint`` draws them over a frame, shifted by a number of pixels."""

    def __init__(self, angle: float, rng: np.random.Generator) -> None:
        self._normal = (math.cos(angle), math.sin(angle))  # (y, x): 0 for bars along rows
        period = math.exp(rng.uniform(*map(math.log, PERIODS)))
        width = max(0.8, period * rng.uniform(0.04, 0.35))
        count = int(3 * (HEIGHT + WIDTH) / period)
        first = -(HEIGHT + WIDTH) + rng.uniform(0, period)
        places = first + period * (np.arange(count) + rng.normal(0, 0.03 * (rng.random() < 0.3), count))
        self._places = places[rng.random(count) > 0.3 * (rng.random() < 0.3)].astype(np.float32)
        self._width = width
        face = rng.uniform(0, 255) * np.ones(3) + rng.normal(0, 20, 3)
        edge = face + rng.choice([-1, 0, 1]) * rng.uniform(20, 120)  # a lit or a shaded side
        self._colours = [np.clip(colour, 0, 255).astype(np.float32) for colour in (face, edge)]

    def paint(self, frame: Plane, shift: tuple[float, float]) -> None:
        """Draws over ``frame``, (HEIGHT, WIDTH, 3), the bars moved by (y, x) pixels."""
        y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
        across = (y - shift[0]) * self._normal[0] + (x - shift[1]) * self._normal[1]
        nearest = np.searchsorted((self._places[1:] + self._places[:-1]) / 2, across)
        offset = across - self._places[nearest]
        for colour, centre, wide in zip(
            self._colours, (0, -0.3 * self._width), (self._width, 0.4 * self._width), strict=True
        ):
            cover = np.clip(wide / 2 + 0.5 - np.abs(offset - centre), 0, min(1.0, wide))[..., None]
            frame += (colour - frame) * cover


def draw(photo: npt.NDArray[np.uint8], rng: np.random.Generator) -> list[npt.NDArray[np.uint8]]:
    """The frames of one clip, (HEIGHT, WIDTH, 3) uint8."""
    room = 60
    back = ground(photo, room, rng)
    tilt = 0.0 if rng.random() < ALONG_ROWS else rng.normal(0, 0.15)
    angles = [[0.0], [math.pi / 2], [0.0, math.pi / 2]][rng.choice(3, p=[0.5, 0.25, 0.25])]
    layers = [Bars(angle + tilt, rng) for angle in angles]
    moves = rng.random() > STILL
    pan = rng.normal(0, 1.0, 2) * moves  # pixels a frame
    nearer = rng.uniform(1.0, 2.0)
    frames = []
    for time in range(FRAMES):
        y, x = np.clip(pan * time, -room, room)
        matrix = np.array([[1, 0, room - x], [0, 1, room - y]])
        frame = cv2.warpAffine(back, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
        for bars in layers:
            bars.paint(frame, (float(pan[0] * nearer * time), float(pan[1] * nearer * time)))
        frames.append(np.clip(frame + 0.5, 0, 255).astype(np.uint8))
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("out", type=Path, help="folder to make, with a sub-folder of PNG frames for every clip")
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    sources = sorted(path for path in wanted.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    if not sources:
        parser.error(f"{wanted.photos} has no JPEG or PNG photographs")
    if wanted.out.exists():
        parser.error(f"{wanted.out} is there already; name a folder that is not")
    wanted.out.mkdir(parents=True)
    rng = np.random.default_rng(wanted.seed)
    made = 0
    while made < wanted.clips:
        source = sources[int(rng.integers(len(sources)))]
        photo = cv2.imread(str(source), cv2.IMREAD_COLOR)
        if photo is None:
            print(f"passed over {source}: it cannot be decoded", file=sys.stderr)
            sources.remove(source)
            if not sources:
                parser.error(f"no picture in {wanted.photos} can be decoded")
            continue
        folder = wanted.out / f"railings_{made:03d}"
        folder.mkdir()
        for number, frame in enumerate(draw(np.asarray(photo, np.uint8), rng)):
            cv2.imwrite(str(folder / f"{number:08d}.png"), frame, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        made += 1


if __name__ == "__main__":
    main()
