"""DivX and DVD-like videos are upscaled along their own vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import codecvsr
from codecvsr.cli import cli
from codecvsr.inference.source import load_source
from codecvsr.upscaling import chunk_motion
from tests.streams import encode, moving_texture
from tests.videos import pictures

STREAMS = {
    "MPEG-4": ("mpeg4", "a.avi", {}),
    "MPEG-2": ("mpeg2video", "a.mpg", {"bf": "2"}),
    "MPEG-1": ("mpeg1video", "a.mkv", {}),
}


@pytest.mark.parametrize("name", STREAMS)
def test_upscale_reads_the_vectors(small, tmp_path, monkeypatch, name):
    codec, file, options = STREAMS[name]
    monkeypatch.setattr(chunk_motion, "proxy", None)  # no x264 encode may take their place
    source = encode(tmp_path / file, moving_texture(8, 64, 64, 3, 1), codec=codec, options=options, fps=25)
    made = {}
    for kind in ("codec", "zero"):
        target = tmp_path / f"{kind}.mkv"
        arguments = [
            "upscale",
            str(source),
            "-m",
            str(small),
            "--preset",
            "ultrafast",
            "--motion",
            kind,
            "-o",
            str(target),
        ]
        done = CliRunner().invoke(cli, arguments)
        assert done.exit_code == 0, done.output
        assert (f"codec: the vectors of the {name} stream" in done.stderr) == (kind == "codec")
        made[kind] = pictures(target)[0]
    assert len(made["codec"]) == len(made["zero"]) == 8 and not np.array_equal(made["codec"], made["zero"])


def test_i_frames_alone_get_a_proxy_encode(small, tmp_path):
    source = encode(tmp_path / "a.mpg", moving_texture(6, 64, 64, 3, 1), codec="mpeg2video", options={"g": "1"}, fps=25)
    target = tmp_path / "o.mkv"
    done = CliRunner().invoke(
        cli, ["upscale", str(source), "-m", str(small), "--preset", "ultrafast", "-o", str(target)]
    )
    assert done.exit_code == 0 and "I-frames have no motion vectors; each chunk is encoded with x264" in done.stderr
    assert not np.isfinite(codecvsr.motion_fields(source).past).any()
    assert np.isfinite(load_source(source).motion.past[1:]).any(axis=(1, 2, 3)).all()


def test_infer_and_motion_fields_read_them(small, tmp_path):
    source = encode(tmp_path / "a.avi", moving_texture(5, 64, 64, 3, 1), codec="mpeg4", fps=25)
    assert np.isfinite(codecvsr.motion_fields(source).past[1:]).any(axis=(1, 2, 3)).all()
    out = tmp_path / "out"
    done = CliRunner().invoke(
        cli, ["infer", "--clip-root", str(source), "-m", str(small), "--out-dir", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) and len(list(out.glob("*.png"))) == 5


@pytest.mark.parametrize(("codec", "file"), [("rv10", "a.rm"), ("rv20", "a.rm")])
def test_older_codecs_work_by_a_proxy_encode(small, tmp_path, codec, file):
    source = encode(tmp_path / file, moving_texture(6, 96, 128, 3, 1), codec=codec, fps=25)
    target = tmp_path / "o.mkv"
    done = CliRunner().invoke(
        cli, ["upscale", str(source), "-m", str(small), "--preset", "ultrafast", "-o", str(target)]
    )
    assert done.exit_code == 0, done.output
    assert "cannot be read; each chunk is encoded with x264" in done.stderr and len(pictures(target)[0]) == 6
