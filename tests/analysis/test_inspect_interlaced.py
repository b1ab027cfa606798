"""Interlaced video: the structure is told, vectors of fields are not passed off as those of pictures."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from codecvsr.analysis.inspect import inspect_video
from codecvsr.cli import cli
from codecvsr.errors import InterlacedInputError
from tests.interlaced import encode_fields, weave
from tests.streams import encode, moving_texture

FRAMES = 6


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
def test_interlaced_video_is_named_and_its_vectors_are_not_read(tmp_path, codec):
    path = encode_fields(tmp_path / "fields.mkv", weave(moving_texture(2 * FRAMES, 64, 96, 2, 1)), codec)
    found = inspect_video(path)
    assert (found.frames, found.interlaced, found.field_coded) == (FRAMES, FRAMES, FRAMES)
    assert found.gop["structure"][0] == "I" and {"P"} < set(found.gop["structure"]) and found.fps == 25
    assert np.isnan(found.vector_pixels["past"]["max"]) and np.isnan(found.qp["all"]["mean"])
    run = CliRunner().invoke(cli, ["inspect", str(path)])
    assert run.exit_code == 0 and "6 of 6 frames; 'codecvsr upscale' and 'codecvsr infer' de-interlace" in " ".join(
        run.stdout.split()
    )
    report = json.loads(CliRunner().invoke(cli, ["inspect", str(path), "--json"]).stdout)
    assert report["interlaced"] == report["field_coded"] == FRAMES
    with pytest.raises(InterlacedInputError, match="'codecvsr upscale' and 'codecvsr infer' de-interlace it"):
        inspect_video(path, alignment=True)


def test_progressive_video_is_not(tmp_path):
    found = inspect_video(encode(tmp_path / "a.mp4", moving_texture(FRAMES, 64, 96, 2, 1)))
    assert (found.interlaced, found.field_coded) == (0, 0)
