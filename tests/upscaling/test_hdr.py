"""HDR and BT.2020 through ``upscale``: refused with the command that helps, or converted; colours as they are in PNG files."""

from __future__ import annotations

import shlex
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.bitstream.tone_mapping import SDR_PEAK, bt2390, light_to_pq
from codecvsr.cli import cli
from codecvsr.files import read_image
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from tests.streams import encode
from tests.videos import pictures

FAST = ["-m", "bicubic", "--preset", "ultrafast", "-q"]
NITS = 400.0


def _hdr(path: Path, transfer: str = "smpte2084", more: str = "") -> Path:
    """Flat grey of :data:`NITS` cd/m2 in PQ, in H.264 with 10 bits."""
    value = round(255 * float(light_to_pq(np.array(NITS))))
    parameters = {"x264-params": f"colorprim=bt2020:colormatrix=bt2020nc:transfer={transfer}{more}", "crf": "4"}
    return encode(path, np.full((3, 32, 48, 3), value, np.uint8), options=parameters, pixel_format="yuv420p10le")


def test_the_refusal_prints_a_command_that_works(tmp_path: Path) -> None:
    _hdr(tmp_path / "a b.mp4")
    arguments = ["upscale", str(tmp_path / "a b.mp4"), "-o", str(tmp_path / "o.mkv"), *FAST]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    command = shlex.split(result.output.partition("Run: ")[2])
    assert command[1:] == [*arguments, "--tonemap"]
    result = CliRunner().invoke(cli, command[1:])
    assert result.exit_code == 0, result.output
    made, _, first = pictures(tmp_path / "o.mkv")
    expected = 255 * (float(bt2390(np.array(NITS), 1000)) / SDR_PEAK) ** (1 / 2.4)
    assert np.abs(made.astype(int) - expected).max() <= 4
    assert (int(first.colorspace), int(first.color_primaries), int(first.color_trc)) == (1, 1, 1)
    assert first.format.name == "yuv420p"


def test_the_peak_is_that_of_the_content_and_hdr10_metadata_are_used_up(tmp_path: Path) -> None:
    more = ":mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50):cll=400,100"
    source = _hdr(tmp_path / "s.mp4", more=more)
    codecvsr.upscale(source, tmp_path / "o.mp4", model="bicubic", tonemap=True, strict=True)
    assert pictures(tmp_path / "o.mp4")[0].min() >= 250  # as bright as the source becomes
    found = scan(Media.open(source), tonemap=True)
    assert found.tone_mapping.peak == 400 and not found.side_data.names
    with CheckpointDir(tmp_path / "p.mkv") as checkpoint:
        checkpoint.open({}, resume=False)
        checkpoint.save_scan(found)
        assert checkpoint.load_scan().tone_mapping == found.tone_mapping


def test_tonemap_changes_no_sdr_video(tmp_path: Path) -> None:
    source = tmp_path / "s.mp4"
    encode(source, np.full((2, 32, 48, 3), 90, np.uint8), options={"crf": "4"})
    for name, tonemap in (("a", True), ("b", False)):
        codecvsr.upscale(source, tmp_path / name, model="bicubic", tonemap=tonemap)
    first, second = (read_image(tmp_path / name / "00000000.png") for name in "ab")
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(("matrix", "red", "blue"), [("bt2020nc", 0.2627, 0.0593), ("bt709", 0.2126, 0.0722)])
@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_png_files_have_the_colours_of_the_declared_matrix(
    tmp_path: Path, matrix: str, red: float, blue: float, form: str
) -> None:
    colour = np.array([200, 60, 30], np.uint8)
    source = tmp_path / "s.mkv"
    encode(
        source, np.broadcast_to(colour, (2, 32, 48, 3)).copy(), pixel_format=form,
        options={"qp": "0", "x264-params": f"colormatrix={matrix}"},
    )  # fmt: skip
    codecvsr.upscale(source, tmp_path / "frames", model="bicubic")
    with av.open(str(source)) as container:
        stored = next(container.decode(video=0))
    kind, unit = (np.uint16, 4) if form.endswith("le") else (np.uint8, 1)
    y, u, v = (float(np.frombuffer(plane, kind)[: plane.width].mean()) / unit for plane in stored.planes)
    luma, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    seen = np.array([luma + 2 * (1 - red) * v, 0, luma + 2 * (1 - blue) * u])
    seen[1] = (luma - red * seen[0] - blue * seen[2]) / (1 - red - blue)
    made = read_image(tmp_path / "frames" / "00000000.png")
    # libswscale's quick conversion of 4:2:0 is up to 2 levels off, BT.601 in place of the matrix 10 and more
    assert np.abs(made[:16].mean(axis=(0, 1)) - np.clip(255 * seen, 0, 255)).max() <= 3
