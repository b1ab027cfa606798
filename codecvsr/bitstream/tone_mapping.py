"""HDR pictures as SDR: PQ and HLG to BT.709, in linear light, by the curve of ITU-R BT.2390.

The steps: the inverse of the transfer function (ITU-R BT.2100, tables 4 and 5) gives the light of the display in cd/m2; a matrix
turns primaries into those of BT.709, and negative values, colours beyond its gamut, become 0; the largest of R, G and B is mapped
by the electrical-electrical transfer function of BT.2390 (EETF, clause 5.4.1) from the peak of the source to that of SDR, and all three
are scaled alike, which keeps the hue; the inverse of BT.1886 (gamma 2.4) gives the values of the SDR picture. The peak of SDR is
the reference white of HDR, 203 cd/m2 (ITU-R BT.2408): what is darker than the knee of the curve (87 cd/m2 for a source of
1000) is shown as bright as in HDR.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import av
import cv2
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import color

Floats = npt.NDArray[np.float32]

PQ, HLG = 16, 18  # ITU-T H.273 TransferCharacteristics
SDR_PEAK = 203.0  #: cd/m2, reference white of BT.2408
USUAL_PEAK = 1000.0  #: cd/m2, of sources that state none, and of HLG as BT.2100 defines its display light
_HLG_GAMMA = 1.2  # system gamma at that peak
_SDR_GAMMA = 2.4  # of BT.1886
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128  # of PQ
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
_A, _B, _C = 0.17883277, 0.28466892, 0.55991073  # of HLG
_PQ_PEAK = 10000.0
#: Luma weights of red and blue by MatrixCoefficients of H.273.
_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}
_BT2020_WEIGHTS = (0.2627, 0.0593)
#: Linear RGB of other primaries to BT.709, by ColourPrimaries of H.273: 1 BT.709, 12 P3-D65, else BT.2020.
_TO_BT709 = {
    1: np.eye(3),
    12: np.array([[1.2249402, -0.2249402, 0], [-0.0420570, 1.0420570, 0], [-0.0196376, -0.0786361, 1.0982736]]),
}
_FROM_BT2020 = np.array(
    [[1.6604910, -0.5876411, -0.0728499], [-0.1245505, 1.1328999, -0.0083494], [-0.0181508, -0.1005789, 1.1187297]]
)
_STEPS = 4096  # of the tables of curves


def pq_to_light(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Returns the light in cd/m2 of PQ values from 0 to 1."""
    power = np.asarray(signal, np.float64) ** (1 / _M2)
    return _PQ_PEAK * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def light_to_pq(light: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Returns the PQ values of light in cd/m2."""
    power = (np.asarray(light, np.float64) / _PQ_PEAK) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_to_scene(signal: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Returns the light of the scene, 0 to 1, of HLG values from 0 to 1."""
    signal = np.asarray(signal, np.float64)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)


def bt2390(light: npt.NDArray[np.floating], peak: float) -> npt.NDArray[np.float64]:
    """Maps light of 0 to ``peak`` cd/m2 to light of 0 to :data:`SDR_PEAK` cd/m2; both displays show black as 0."""
    largest = float(light_to_pq(np.array(peak)))
    source = light_to_pq(np.minimum(light, peak)) / largest
    top = float(light_to_pq(np.array(SDR_PEAK))) / largest
    if top >= 1:
        return np.minimum(np.asarray(light, np.float64), SDR_PEAK)
    knee = 1.5 * top - 0.5
    t = np.maximum(source - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * top
    return pq_to_light(np.where(source < knee, source, spline) * largest)


@dataclass(frozen=True)
class ToneMapping:
    """The conversion of the pictures of one video.

    Attributes:
        peak: of the source, in cd/m2.
    """

    peak: float = USUAL_PEAK

    def to_rgb(self, picture: av.VideoFrame) -> npt.NDArray[np.uint8]:
        """Converts a decoded HDR picture to (H, W, 3) uint8 RGB of BT.709; one that is SDR as :func:`color.to_rgb` does."""
        if int(picture.color_trc) not in (PQ, HLG):
            return color.to_rgb(picture)
        rgb = _rgb_signal(picture)
        light = _from_pq(rgb) if int(picture.color_trc) == PQ else _from_hlg(rgb)
        matrix = _TO_BT709.get(int(picture.color_primaries), _FROM_BT2020)
        light = np.maximum(light @ matrix.T.astype(np.float32), 0)
        largest = light.max(axis=2)
        nodes, factors = _factors(self.peak)
        light *= np.interp(largest, nodes, factors).astype(np.float32)[..., None]
        values = np.clip(light * np.float32(1 / SDR_PEAK), 0, 1) ** np.float32(1 / _SDR_GAMMA)
        return np.asarray(values * 255 + 0.5, np.uint8)


@lru_cache(maxsize=4)
def _factors(peak: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns nodes in cd/m2, dense where the eye is sensitive, and what light of them is multiplied with."""
    nodes = pq_to_light(np.linspace(0, 1, _STEPS))
    return nodes, np.append(1.0, bt2390(nodes[1:], peak) / nodes[1:])


@lru_cache(maxsize=2)
def _table(transfer: int) -> Floats:
    """Returns the linear values of 16-bit signals."""
    return (pq_to_light if transfer == PQ else hlg_to_scene)(np.linspace(0, 1, 1 << 16)).astype(np.float32)


def _from_pq(rgb: Floats) -> Floats:
    return _table(PQ)[np.asarray(rgb * 65535 + 0.5, np.uint16)]


def _from_hlg(rgb: Floats) -> Floats:
    """Returns the light of BT.2100's display: the scene's, by the system gamma."""
    scene = _table(HLG)[np.asarray(rgb * 65535 + 0.5, np.uint16)]
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return np.asarray(scene * (USUAL_PEAK * luminance ** np.float32(_HLG_GAMMA - 1))[..., None], np.float32)


def _rgb_signal(picture: av.VideoFrame) -> Floats:
    """Returns the non-linear RGB signal of a picture, (H, W, 3) from 0 to 1, with all of its bits."""
    if not picture.format.name.startswith("yuv"):
        deep = color.convert(picture, "rgb48le").to_ndarray()
        return np.asarray(deep, np.float32) / np.float32(65535)
    red, blue = _WEIGHTS.get(int(picture.colorspace), _BT2020_WEIGHTS)
    bits = picture.format.components[0].bits
    unit = np.float32(1 << (bits - 8))  # values are those of 8 bits times this
    is_full = int(picture.color_range) == 2 or picture.format.name.startswith("yuvj")
    black, span, chroma_span = (0, ((1 << bits) - 1) / unit, ((1 << bits) - 1) / unit) if is_full else (16, 219, 224)
    y, u, v = (_plane(picture, index) / unit for index in range(3))
    luma = (y - np.float32(black)) / np.float32(span)
    u, v = (_enlarged(each - np.float32(128), luma.shape) / np.float32(chroma_span) for each in (u, v))
    r, b = luma + np.float32(2 * (1 - red)) * v, luma + np.float32(2 * (1 - blue)) * u
    g = (luma - np.float32(red) * r - np.float32(blue) * b) / np.float32(1 - red - blue)
    return np.clip(np.dstack([r, g, b]), 0, 1)


def _plane(picture: av.VideoFrame, index: int) -> Floats:
    plane = picture.planes[index]
    is_deep = picture.format.components[0].bits > 8
    kind = np.dtype(np.uint8 if not is_deep else ">u2" if picture.format.is_big_endian else "<u2")
    rows = np.frombuffer(cast(bytes, plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
    return rows[:, : plane.width].astype(np.float32)


def _enlarged(chroma: Floats, shape: tuple[int, ...]) -> Floats:
    """Returns a chroma plane at the size of luma: interpolated linearly, sited left and between the rows as in MPEG-2."""
    height, width = shape
    if chroma.shape == (height, width):
        return chroma
    rows, columns = -(-height // chroma.shape[0]), -(-width // chroma.shape[1])
    x = np.arange(width, dtype=np.float32) / columns
    y = (np.arange(height, dtype=np.float32) + np.float32(0.5)) / rows - np.float32(0.5)
    x, y = np.meshgrid(x, y)
    return np.asarray(cv2.remap(chroma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
