"""H.264 that codes fields as pictures (PAFF), a packet each: two packets, one frame, one time."""

from __future__ import annotations

import numpy as np
import pytest

from codecvsr.bitstream.reader import read_video
from codecvsr.errors import InterlacedInputError
from codecvsr.video.probe import Media
from codecvsr.video.scan import scan
from tests.interlaced import weave
from tests.paff import mux_fields, write_paff
from tests.streams import moving_texture

FRAMES = 14


@pytest.fixture(scope="module")
def moments():
    return moving_texture(2 * FRAMES, 64, 48, 2, 1)[..., 1].clip(1, 255)


@pytest.fixture(scope="module")
def streams(moments, tmp_path_factory):
    folder = tmp_path_factory.mktemp("paff")
    raw = write_paff(folder / "fields.h264", weave(moments))
    return {"h264": raw, "ts": mux_fields(raw, folder / "fields.ts"), "mkv": mux_fields(raw, folder / "fields.mkv")}


@pytest.mark.parametrize("suffix", ["h264", "ts", "mkv"])
@pytest.mark.parametrize("damage", ["refuse", "conceal"])
def test_two_packets_are_one_frame(streams, moments, suffix, damage):
    woven = list(Media.open(streams[suffix], deinterlace="off").frames(damage))
    assert [f.decode_index for f in woven] == list(range(FRAMES)) and all(f.is_field_coded for f in woven)
    assert all(np.array_equal(a.luma, b) for a, b in zip(woven, weave(moments), strict=True))
    for mode, shown in (("auto", moments[::2]), ("field", moments)):
        media = Media.open(streams[suffix], deinterlace=mode)
        made = list(media.frames(damage))
        inner = (slice(4, -4), slice(4, -4))
        nearest = [int(np.argmin([np.abs(f.luma[inner].astype(int) - m[inner]).mean() for m in shown])) for f in made]
        assert nearest == list(range(len(shown)))
        found = scan(media, damage=damage)
        if suffix == "ts":
            seconds = (found.pts - found.pts[0]) * float(media.time_base)
            np.testing.assert_allclose(seconds, np.arange(len(shown)) * FRAMES / 25 / len(shown), atol=1e-6)
            assert float(found.last_duration * media.time_base) == pytest.approx(FRAMES / 25 / len(shown))
    with pytest.raises(InterlacedInputError):
        list(read_video(streams[suffix]))


def test_top_and_bottom_first(tmp_path, moments):
    raw = write_paff(tmp_path / "bff.h264", weave(moments, top_first=False), top_first=False)
    made = list(Media.open(raw, deinterlace="field").frames())
    inner = (slice(4, -4), slice(4, -4))
    for t, frame in enumerate(made):
        errors = [np.abs(frame.luma[inner].astype(int) - moment[inner]).mean() for moment in moments]
        assert int(np.argmin(errors)) == t
