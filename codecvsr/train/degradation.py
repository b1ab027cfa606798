"""How the small pictures of a training set are made from the originals: kernel, sensor noise, and the encodes that real files see."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.encode import PROXY_CRF, EncodeSettings, Gop, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.constants import SCALE
from codecvsr.train.prepare_plan import Preparation
from codecvsr.video.resize import downsample

RATES = (24, 25, 30, 50, 60)  #: frames per second to draw from
KERNELS = ("area", "bilinear", "lanczos")  #: of ``Preparation.kernels``; the standard one is bicubic
_NOISE = (0.4, 2.5)  # standard deviation in 8-bit levels at mid-grey
_FIRST_CRF = (15.0, 28.0)  # of the upload that is encoded again

Pictures = Sequence[npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class Degradation:
    """How one version of a chunk is made; written to the chunk with these keys.

    Attributes:
        crf: CRF, also of a rate-limited version, whose mean bit rate is that of this CRF; None for pristine pixels.
        preset: x264's.
        gop: key of :data:`codecvsr.bitstream.encode.GOP_PARAMETERS`.
        fps: frames per second.
        kernel: ``bicubic``, or one of :data:`KERNELS`.
        noise: standard deviation of sensor noise in 8-bit levels at mid-grey.
        first_crf: CRF of an earlier encode, whose decoded pictures are the input of this one; None for a single encode.
        rate_limited: a mean bit rate with a buffer (VBV) instead of a CRF.
    """

    crf: float | None
    preset: str
    gop: Gop
    fps: int
    kernel: str = "bicubic"
    noise: float = 0.0
    first_crf: float | None = None
    rate_limited: bool = False

    @property
    def settings(self) -> EncodeSettings:
        """Settings of the encode whose motion the version has."""
        crf = PROXY_CRF if self.crf is None else self.crf
        return EncodeSettings(crf=crf, preset=self.preset, gop=self.gop, fps=Fraction(self.fps))


def draw_degradation(settings: Preparation, rng: np.random.Generator) -> Degradation:
    """Draw a version; the standard shares come first, so that a set without the others stays as it was."""
    is_clean = bool(rng.random() < settings.clean)
    gop: Gop = "ldp" if rng.random() < settings.ldp else "default"
    crf = round(float(rng.uniform(*settings.crf)), 2)
    preset = settings.presets[int(rng.integers(len(settings.presets)))]
    fps = RATES[int(rng.integers(len(RATES)))]
    if not any((settings.kernels, settings.noise, settings.reencoded, settings.rate_limited)):
        return Degradation(None if is_clean else crf, preset, gop, fps)
    kernel = KERNELS[int(rng.integers(len(KERNELS)))] if rng.random() < settings.kernels else "bicubic"
    noise = round(float(rng.uniform(*_NOISE)), 2) if rng.random() < settings.noise else 0.0
    first_crf = round(float(rng.uniform(*_FIRST_CRF)), 2) if rng.random() < settings.reencoded else None
    is_limited = bool(rng.random() < settings.rate_limited)
    if is_clean:
        return Degradation(None, preset, gop, fps, kernel, noise)
    return Degradation(crf, preset, gop, fps, kernel, noise, first_crf, is_limited)


def shrink(frame: npt.NDArray[np.uint8], kernel: str) -> npt.NDArray[np.uint8]:
    """Returns (H, W, 3) uint8 shrunk by 4 with an antialiased kernel: bicubic as in the benchmark, area, bilinear or lanczos."""
    if kernel == "bicubic":
        return downsample(frame, SCALE)
    if kernel == "area":
        height, width = frame.shape[:2]
        return cv2.resize(frame, (width // SCALE, height // SCALE), interpolation=cv2.INTER_AREA).astype(np.uint8)
    down, across = _weights(frame.shape[0], kernel), _weights(frame.shape[1], kernel)
    small = np.einsum("hH,HWc->hWc", down, frame, dtype=np.float32, optimize=True)
    small = np.einsum("wW,hWc->hwc", across, small, dtype=np.float32, optimize=True)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def add_noise(frame: npt.NDArray[np.uint8], deviation: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Returns the frame with Gaussian noise whose variance rises with the signal, as photons' does.

    Args:
        frame: (H, W, 3) uint8.
        deviation: standard deviation in levels at a level of 128.
        rng: source of the noise.
    """
    variance = deviation**2 * (0.3 + 0.7 * frame.astype(np.float32) / 128)
    noisy = frame + np.sqrt(variance) * rng.standard_normal(frame.shape, dtype=np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def degrade(hr: Pictures, how: Degradation, rng: np.random.Generator) -> tuple[Pictures, list[CodedFrame]]:
    """Returns the small pictures before their last encode, and the decoded frames with the codec's data.

    Args:
        hr: originals, (H, W, 3) uint8 each, sides multiples of 4.
        how: from :func:`draw_degradation`.
        rng: source of the noise.

    Raises:
        OutputError: an encode fails.
    """
    small: Pictures = [shrink(frame, how.kernel) for frame in hr]
    if how.noise:
        small = [add_noise(frame, how.noise, rng) for frame in small]
    settings = how.settings
    if how.first_crf is not None:
        first = EncodeSettings(crf=how.first_crf, preset="medium", fps=settings.fps)
        small = [frame.rgb for frame in _encoded(small, first)[0]]
    frames, bit_rate = _encoded(small, settings)
    if how.rate_limited:
        limited = dataclasses.replace(settings, bit_rate=max(1, round(bit_rate)))
        frames, _ = _encoded(small, limited)
    return small, frames


def _encoded(pictures: Pictures, settings: EncodeSettings) -> tuple[list[CodedFrame], float]:
    """Returns the decoded frames and the bit rate in kbit/s."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        report = encode_h264(pictures, path, settings)
        return list(read_video(path)), report.bit_rate


def _triangle(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _lanczos(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FUNCTIONS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "bilinear": _triangle,
    "lanczos": _lanczos,
}


@lru_cache(maxsize=16)
def _weights(size: int, kernel: str) -> npt.NDArray[np.float32]:
    """Returns the (size / 4, size) matrix of one axis: the kernel widened by the scale, samples beyond the border left out."""
    centres = (np.arange(size // SCALE) + 0.5) * SCALE - 0.5
    matrix = _FUNCTIONS[kernel]((centres[:, None] - np.arange(size)[None]) / SCALE)
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)
