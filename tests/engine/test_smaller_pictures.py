"""Pictures of one, two and three times the frame's size, made without those of four times the size: the same bytes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from codecvsr import native_libraries
from codecvsr.engine.native.codecvsr import FastCodecVSR
from codecvsr.engine.native.library import BEST_ISA
from codecvsr.engine.native.net import NativeNet
from codecvsr.inference.execute import upscale_frames
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.priors import CHANNELS
from codecvsr.models.zoo import load_model
from codecvsr.upscaling import process_chunk
from codecvsr.upscaling.api import upscale
from codecvsr.video.resize import resample
from tests.streams import encode, moving_texture

pytestmark = pytest.mark.skipif(
    native_libraries.net_library() is None, reason="the native network library is not built"
)


@pytest.fixture(scope="module")
def network() -> CodecVSR:
    return load_model("codecvsr-fast").network


def made(network: CodecVSR, frames: np.ndarray, scale: int, threads: int, *, skip_static: bool) -> list[np.ndarray]:
    count, height, width, _ = frames.shape
    cells = -(-height // 4), -(-width // 4)
    fields, priors = np.zeros((count, 2, *cells), np.float32), np.zeros((count, CHANNELS, *cells), np.float32)
    form = FastCodecVSR(network, height, width, threads=threads)
    return list(
        form.iterate(frames, fields, fields, priors, np.zeros(count, np.bool_), scale=scale, skip_static=skip_static)
    )


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 70), (37, 51), (64, 33)])
def test_bytes_are_those_of_the_large_picture_shrunk(
    network: CodecVSR, size: tuple[int, int], threads: int, scale: int
) -> None:
    height, width = size
    frames = np.random.default_rng(0).integers(0, 256, (4, height, width, 3), np.uint8)
    large = made(network, frames, 4, threads, skip_static=False)
    small = made(network, frames, scale, threads, skip_static=False)
    for picture, expected in zip(small, large, strict=True):
        np.testing.assert_array_equal(picture, resample(expected, scale * height, scale * width))


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("isa", [0, BEST_ISA])
def test_bytes_are_the_same_on_every_processor(scale: int, isa: int) -> None:
    """Of the largest and smallest values too, which the kernel overshoots."""
    library = native_libraries.net_library()
    assert library is not None
    height, width, rng = 21, 38, np.random.default_rng(1)
    net = NativeNet(library, height, width, 2, isa=isa)
    picture = net.load(rng.integers(0, 2, (height, width, 3), np.uint8) * 255)
    residual = rng.integers(-1, 2, (height, width, 48)).astype(np.float32)
    shapes = [(each * height, each * width, 3) for each in (4, scale)]
    large, small = (np.empty(shape, np.uint8) for shape in shapes)
    net.finish(picture, residual, large)
    net.finish(picture, residual, small)
    net.shutdown()
    assert {0, 255} <= set(large.flat)
    np.testing.assert_array_equal(small, resample(large, *small.shape[:2]))


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_of_parts_only_the_edge_differs(network: CodecVSR, scale: int) -> None:
    """Pixels at the edge between new tiles and those that repeat are mixed of both, or not."""
    frames = np.repeat(moving_texture(1, 48, 96, 0, 0), 8, axis=0)
    frames[:, 16:32, 32:48] = moving_texture(8, 16, 16, 2, 1)
    large = made(network, frames, 4, 1, skip_static=True)
    small = made(network, frames, scale, 1, skip_static=True)
    rows, columns = (slice(scale * at, scale * (at + side)) for at, side in ((12, 24), (28, 24)))
    edge = 2  # pixels on each side: the radius of the kernel
    for picture, shown in zip(small, large, strict=True):
        different = (picture != resample(shown, 48 * scale, 96 * scale)).any(axis=2)
        is_edge = np.zeros_like(different)
        is_edge[rows.start - edge : rows.stop + edge, columns.start - edge : columns.stop + edge] = True
        is_edge[rows.start + edge : rows.stop - edge, columns.start + edge : columns.stop - edge] = False
        assert not (different & ~is_edge).any()


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_upscale_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: int) -> None:
    video = encode(tmp_path / "in.mp4", moving_texture(4, 48, 112, 2, 1), options={"crf": "20"})
    outputs, sizes, plain = [], [], upscale_frames
    monkeypatch.setattr(
        process_chunk, "upscale_frames", lambda *a, **more: (sizes.append(p.shape) or p for p in plain(*a, **more))
    )
    for name, strength in (("small", 1.0), ("blended", 0.999999)):
        path = tmp_path / f"{name}.mkv"
        upscale(video, path, model="codecvsr-fast", scale=scale, codec="ffv1", precision="fp32", strength=strength)
        outputs.append([frame.astype(int) for frame in decoded(path)])
    assert sizes == [(48 * scale, 112 * scale, 3)] * 4 + [(192, 448, 3)] * 4
    for small, whole in zip(*outputs, strict=True):
        assert abs(small - whole).max() <= 2  # of a strength below 1 and of the output's chroma
