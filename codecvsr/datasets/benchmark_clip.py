"""One clip folder of a benchmark: compress, decode again, and store the motion and what the codec says."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from codecvsr.bitstream.encode import Encoder, EncodeReport, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.mv_sources.extractors import check_extractor, coded_frames
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label, stream_facts
from codecvsr.datasets.hr_sources import HRSource, LRSpool
from codecvsr.errors import InputError
from codecvsr.events import Progress
from codecvsr.files import FRAME_NAME, write_png
from codecvsr.inference import clip_folder
from codecvsr.metrics.psnr import psnr
from codecvsr.motion import estimate_motion
from codecvsr.video.resize import DOWNSAMPLER


def build_clip(
    source: HRSource,
    pristine: LRSpool,
    folder: Path,
    crf: float | None,
    settings: BenchmarkSettings,
    progress: Progress,
) -> tuple[int, float, float | None]:
    """Writes one clip folder: compresses the pristine frames, decodes them again and stores what the codec says.

    Returns:
        The number of frames, the bit rate in kbit/s, and the PSNR of the decoded frames in dB (None for ``--crf none``).
    """
    stream = folder / clip_folder.STREAM
    label = f"{source.name}: {crf_label(crf)}"
    encoded = _encoder(settings)(
        progress(pristine, f"{label}, encoding", len(pristine)), stream, settings.encoding(crf)
    )
    scores: list[float] = []

    def decoded() -> Iterator[CodedFrame]:
        """Yields the frames of the stream after they were written to ``lr/`` and scored."""
        for frame in coded_frames(stream, settings.extractor):
            truth = pristine[frame.index]
            scores.append(psnr(frame.rgb, truth))
            write_png(
                folder / clip_folder.FRAMES / (FRAME_NAME % frame.index),
                truth if crf is None else frame.rgb,
            )
            yield frame

    motion = estimate_motion(progress(decoded(), f"{label}, reading motion", len(pristine)))
    if len(scores) != len(pristine):
        raise InputError(f"{stream}: {len(scores)} of {len(pristine)} frames came back from the encoder.")
    clip_folder.write_motion(folder / clip_folder.MOTION, motion)
    lr_psnr = None if crf is None else float(np.mean(scores))
    clip_folder.write_meta(folder, _meta(source, pristine, crf, settings, encoded, lr_psnr))
    return len(scores), encoded.bit_rate, lr_psnr


def _encoder(settings: BenchmarkSettings) -> Encoder:
    if settings.encoder == "pyav":
        return encode_h264
    from codecvsr.bitstream import ffmpeg_encode

    return ffmpeg_encode.encode_h264


def _meta(
    source: HRSource,
    pristine: LRSpool,
    crf: float | None,
    settings: BenchmarkSettings,
    encoded: EncodeReport,
    lr_psnr: float | None,
) -> dict[str, Any]:
    height, width = pristine.size
    try:
        own_version = importlib.metadata.version("codecvsr")
    except importlib.metadata.PackageNotFoundError:
        own_version = "not installed"
    return {
        "clip": source.name,
        "source": str(source.path),
        "source_damage": source.damage or None,
        "frames": len(pristine),
        "hr_size": [height * settings.scale, width * settings.scale],
        "lr_size": [height, width],
        "lr_frames": "pristine" if crf is None else "decoded",
        **stream_facts(settings),
        "downsampler": DOWNSAMPLER,
        "color": "BT.601 limited range, yuv420p",
        "crf": crf,
        "stream": {
            "role": "companion, for its motion only" if crf is None else "the compressed clip",
            "crf": settings.encoding(crf).crf,
            "bit_rate_kbps": encoded.bit_rate,
            "payload_bytes": encoded.payload_bytes,
            "encoder": encoded.encoder,
            "x264": encoded.x264,
            "x264_options": encoded.x264_options,
            "given_parameters": settings.encoding(crf).x264_parameters,
            "threads": settings.encoding(crf).threads,
        },
        "bit_rate": encoded.bit_rate,
        "lr_psnr": "inf" if lr_psnr == math.inf else lr_psnr,
        "motion": {"extractor": settings.extractor, "backend": check_extractor(settings.extractor)},
        "versions": {
            "codecvsr": own_version,
            "av": av.__version__,
            "libavcodec": encoded.libavcodec,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }
