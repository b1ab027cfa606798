"""Tone mapping of PQ and HLG, against the formulas of BT.2100, BT.2390 and BT.1886 for single values."""

from __future__ import annotations

import av
import numpy as np
import pytest

from codecvsr.bitstream import color
from codecvsr.bitstream.tone_mapping import HLG, PQ, SDR_PEAK, ToneMapping, bt2390, light_to_pq, pq_to_light

LIMITED = 1


def _picture(
    rgb: tuple[float, float, float], transfer: int, *, bits: int = 10, form: str = "yuv420p10le", primaries: int = 9
) -> av.VideoFrame:
    """A flat picture of an R'G'B' signal in BT.2020 non-constant luminance, limited range."""
    r, g, b = rgb
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    unit = 1 << (bits - 8)
    values = (
        round((16 + 219 * y) * unit), round((128 + 224 * (b - y) / 1.8814) * unit), round((128 + 224 * (r - y) / 1.4746) * unit)
    )  # fmt: skip
    picture = av.VideoFrame(32, 16, form)
    for plane, value in zip(picture.planes, values, strict=True):
        plane.update(
            np.full(plane.buffer_size // (1 + (bits > 8)), value, np.uint16 if bits > 8 else np.uint8).tobytes()
        )
    picture.color_trc, picture.colorspace, picture.color_primaries, picture.color_range = (
        transfer,
        9,
        primaries,
        LIMITED,
    )
    return picture


def _grey(light: float, **form: object) -> int:
    """The SDR value of grey of so many cd/m2, of a source with a peak of 1000."""
    signal = float(light_to_pq(np.array(light)))
    rgb = ToneMapping(1000).to_rgb(_picture((signal,) * 3, PQ, **form))
    assert np.ptp(rgb) <= 1  # grey stays grey, everywhere
    return int(rgb[8, 8, 1])


def test_pq_is_that_of_bt2100() -> None:
    assert pq_to_light(np.array([0.0, 1.0])).tolist() == pytest.approx([0, 10000])
    assert float(light_to_pq(np.array(100.0))) == pytest.approx(0.5081, abs=1e-4)
    assert float(light_to_pq(np.array(203.0))) == pytest.approx(0.5807, abs=1e-4)
    assert pq_to_light(light_to_pq(np.array([0.01, 5.0, 4000.0]))).tolist() == pytest.approx([0.01, 5.0, 4000.0])


def test_the_curve_is_that_of_bt2390() -> None:
    light = pq_to_light(np.linspace(0, light_to_pq(np.array(1000.0)), 200))
    mapped = bt2390(light, 1000)
    assert (np.diff(mapped) > 0).all() and mapped[-1] == pytest.approx(SDR_PEAK)
    assert mapped[light < 80].tolist() == pytest.approx(light[light < 80].tolist())  # below the knee nothing changes
    # 400 cd/m2 by hand: E1 = 0.8678, maxLum = 0.7724, KS = 0.6586, T = 0.6128
    largest, top = 0.751827, 0.580689 / 0.751827
    knee, t = 1.5 * top - 0.5, (0.652579 / 0.751827 - (1.5 * top - 0.5)) / (1.5 - 1.5 * top)
    expected = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * top
    assert float(light_to_pq(bt2390(np.array(400.0), 1000))) == pytest.approx(expected * largest, abs=1e-4)
    assert bt2390(np.array([50.0, 150.0]), 150).tolist() == [50, 150]  # a dark source is not changed


@pytest.mark.parametrize("light", [1, 20, 80, 203, 400, 1000])
def test_grey_of_known_light(light: float) -> None:
    expected = 255 * (float(bt2390(np.array(float(light)), 1000)) / SDR_PEAK) ** (1 / 2.4)
    assert abs(_grey(light) - expected) <= 2
    assert abs(_grey(light, bits=8, form="yuv422p") - expected) <= 3
    assert abs(_grey(light, bits=12, form="yuv444p12le") - expected) <= 1


def test_light_beyond_the_peak_is_white() -> None:
    assert _grey(4000) == 255


def test_hlg_reference_white_is_that_of_pq() -> None:
    pq = _grey(203)
    hlg = ToneMapping(1000).to_rgb(_picture((0.75,) * 3, HLG))[8, 8]
    assert np.abs(hlg.astype(int) - pq).max() <= 1


def test_colours_keep_their_hue_within_bt709() -> None:
    light = np.array([60.0, 30.0, 15.0])  # BT.709, far below the knee
    to_bt2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
    signal = light_to_pq(to_bt2020 @ light)
    rgb = ToneMapping(1000).to_rgb(_picture(tuple(signal), PQ))[8, 8]
    assert np.abs(rgb - 255 * (light / SDR_PEAK) ** (1 / 2.4)).max() <= 2
    bright = ToneMapping(1000).to_rgb(_picture(tuple(light_to_pq(to_bt2020 @ (light * 10))), PQ))[8, 8]
    linear = (bright / 255.0) ** 2.4
    assert linear / linear[0] == pytest.approx([1, 0.5, 0.25], abs=0.02)  # scaled alike
    red = ToneMapping(1000).to_rgb(_picture((0.5, 0.0, 0.0), PQ))[8, 8]  # beyond the gamut of BT.709
    assert red[0] > 100 and red[1] <= 1 and red[2] <= 1


def test_sdr_pictures_are_seen_as_ever() -> None:
    picture = _picture((0.6, 0.4, 0.2), 1)
    np.testing.assert_array_equal(ToneMapping().to_rgb(picture), color.to_rgb(picture))


def test_bt2020_with_ten_bits_is_seen_as_bt2020() -> None:
    rgb = color.to_rgb(_picture((0.8, 0.3, 0.1), 14))[8, 8]  # SDR of ten bits
    assert np.abs(rgb - np.array([204, 76.5, 25.5])).max() <= 2
