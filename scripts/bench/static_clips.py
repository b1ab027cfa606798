"""Scenes of a camera that does not move, as `bench_skipping.py` measures them: a call, a lecture, a hall.

Each is drawn at 1280x720 from photographs of a folder: the background does not move, parts of the picture do. The camera's own
frames are those pictures at a quarter of the size with the noise of a sensor, coded by x264; the pictures without noise are the
originals that results are compared with. Everything follows from the scene's name and the frame's index.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import EncodeSettings, encode_h264
from codecvsr.video.resize import downsample

Image = npt.NDArray[np.uint8]

HEIGHT, WIDTH = 720, 1280  #: of the originals
_READ_NOISE, _SHOT_NOISE = 1.5, 0.02  # variance of a sensor's noise: constant, and per grey level
_SHARP = 3  # binary digits of a fraction of a pixel in cv2's drawing


@dataclass(frozen=True)
class Scene:
    """A scene: how a frame is drawn, and how the camera's stream is coded.

    Attributes:
        crf: of x264.
        draw: (photographs, index of the frame) to (720, 1280, 3).
    """

    crf: int
    draw: Callable[[Sequence[Image], int], Image]


def load_photographs(folder: Path, count: int = 4) -> list[Image]:
    """Returns ``count`` photographs of a folder as (720, 1280, 3), the most detailed of its files in the middle half by detail.

    Drawings and gradients have little detail, and foliage has more than a room: both ends are left out.

    Raises:
        ValueError: the folder has too few photographs.
    """
    found: list[tuple[float, str, Image]] = []
    for path in sorted(folder.glob("*.jpg")):
        read = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if read is None or read.shape[0] < HEIGHT or read.shape[1] < WIDTH:
            continue
        image = cv2.cvtColor(cv2.resize(read, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        found.append((float(np.abs(np.diff(image.astype(np.int16), axis=1)).mean()), path.name, image))
    found.sort(key=lambda each: each[:2])
    middle = found[len(found) // 4 : 3 * len(found) // 4]
    if len(middle) < count:
        raise ValueError(f"{folder}: {len(middle)} photographs; at least {count} of {WIDTH}x{HEIGHT} were expected")
    return [image for _, _, image in middle[-count:]]


def originals(name: str, photographs: Sequence[Image], frames: int) -> Iterator[Image]:
    """Yields the frames of a scene (720, 1280, 3), without noise."""
    for index in range(frames):
        yield SCENES[name].draw(photographs, index)


def encode_scene(name: str, photographs: Sequence[Image], frames: int, path: Path) -> None:
    """Codes what the camera sees: a quarter of the size, with noise."""
    rng = np.random.default_rng(sorted(SCENES).index(name))

    def seen() -> Iterator[Image]:
        for original in originals(name, photographs, frames):
            small = downsample(original, 4).astype(np.float32)
            noise = rng.standard_normal(small.shape, np.float32) * np.sqrt(_READ_NOISE + _SHOT_NOISE * small)
            yield np.clip(np.round(small + noise), 0, 255).astype(np.uint8)

    encode_h264(seen(), path, EncodeSettings(SCENES[name].crf))


def _paste(picture: Image, patch: Image, mask: npt.NDArray[np.float32], dx: float, dy: float) -> Image:
    """Returns ``picture`` with ``patch`` where ``mask`` is 1; both of its size, and moved by (dx, dy) pixels."""
    move = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    size = picture.shape[1], picture.shape[0]
    moved = cv2.warpAffine(patch, move, size, borderMode=cv2.BORDER_REFLECT)
    share = cv2.warpAffine(mask, move, size)[..., None]
    return np.asarray(np.round(picture * (1 - share) + moved * share), np.uint8)


def _ellipse(x: float, y: float, across: float, down: float) -> npt.NDArray[np.float32]:
    """Returns a mask of an ellipse with a soft edge."""
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    centre, axes = (round(x * 2**_SHARP), round(y * 2**_SHARP)), (round(across * 2**_SHARP), round(down * 2**_SHARP))
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, -1, cv2.LINE_8, _SHARP)
    return cv2.GaussianBlur(mask, (0, 0), 1.5)


def _call(photographs: Sequence[Image], index: int) -> Image:
    """Somebody before a wall, who nods, leans and speaks."""
    room, person = photographs[0], photographs[1]
    sway = 7 * math.sin(index / 19), 4 * math.sin(index / 11)
    body = np.maximum(_ellipse(640, 800, 260, 260), _ellipse(640, 380, 105, 145))
    picture = _paste(room, person, body, *sway)
    mouth = np.full_like(picture, (120, 50, 50))
    return _paste(picture, mouth, _ellipse(640, 450, 30, 5 + 9 * abs(math.sin(index / 2.5))), *sway)


def _lecture(photographs: Sequence[Image], index: int) -> Image:
    """Slides, of which another comes every four seconds, a pointer, and the lecturer in a corner."""
    slide = index // 96
    picture = np.full((HEIGHT, WIDTH, 3), 244, np.uint8)
    picture[:96] = (40, 60, 110)
    cv2.putText(picture, f"{slide + 1}. Motion and residuals", (40, 66), 0, 1.6, (250, 250, 250), 3, cv2.LINE_AA)
    for line in range(6):
        text = f"- line {line + 1} of slide {slide + 1}: vectors, blocks, steps"
        cv2.putText(picture, text, (60, 170 + 60 * line), 0, 1.0, (30, 30, 30), 2, cv2.LINE_AA)
    picture[520:700, 60:420] = cv2.resize(photographs[2 + slide % 2], (360, 180), interpolation=cv2.INTER_AREA)
    picture[470:700, 960:1250] = photographs[1][:230, :290]
    head = _ellipse(1105, 610, 55, 75)
    picture = _paste(picture, photographs[0], head, 5 * math.sin(index / 9), 3 * math.sin(index / 5))
    step = index % 96
    if step < 40:
        place = 200 + 12 * step, 180 + 5 * step
        cv2.circle(picture, place, 9, (210, 30, 30), -1, cv2.LINE_AA)
    return picture


def _hall(photographs: Sequence[Image], index: int) -> Image:
    """A hall that somebody crosses now and then, with a clock in a corner."""
    picture = photographs[3].copy()
    for begin, speed, height in ((10, 9.0, 150), (70, -7.0, 190)):
        step = index - begin
        if 0 <= step < 70:
            x = (200 if speed > 0 else 1080) + speed * step
            walker = np.maximum(_ellipse(640, 480, 30, height / 2), _ellipse(640, 460 - height / 2, 22, 26))
            picture = _paste(picture, photographs[1], walker, x - 640, 6 * abs(math.sin(step / 3)))
    seconds = index // 24
    cv2.rectangle(picture, (1060, 20), (1260, 76), (0, 0, 0), -1)
    cv2.putText(picture, f"12:00:{seconds:02d}", (1072, 62), 0, 1.2, (240, 240, 240), 2, cv2.LINE_AA)
    return picture


SCENES: dict[str, Scene] = {"call": Scene(25, _call), "lecture": Scene(23, _lecture), "hall": Scene(28, _hall)}
