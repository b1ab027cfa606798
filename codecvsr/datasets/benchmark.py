"""Making test clips: shrink, compress, decode again, and keep what the codec said. One folder per clip and CRF."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import av
import cv2
import numpy as np

from codecvsr.bitstream.encode import Encoder, EncodeReport, EncodeSettings, Gop, encode_h264
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.mv_sources.extractors import check_extractor, coded_frames
from codecvsr.datasets.hr_sources import HRSource, LRSpool, find_sources, shrink_source
from codecvsr.errors import CodecVSRError, InputError, OutputError
from codecvsr.files import atomic_folder, check_frame_folder, write_png
from codecvsr.inference import clip_folder
from codecvsr.metrics.psnr import psnr
from codecvsr.motion import estimate_motion
from codecvsr.video.resize import DOWNSAMPLER

PROXY_CRF = 12  #: of the stream that gives a pristine clip (``--crf none``) its motion
_STREAM_KEYS = ("scale", "gop", "preset", "fps", "encoder_choice")  # clips of one CRF folder agree in these

#: Passes items on and shows progress: items, description, total.
Progress = Callable[[Iterable[Any], str, int | None], Iterable[Any]]


def _silent(items: Iterable[Any], description: str, total: int | None) -> Iterable[Any]:
    return items


@dataclass(frozen=True)
class BenchmarkSettings:
    """Everything that decides what a benchmark holds, besides its sources.

    Attributes:
        crfs: rate factors; None stands for pristine frames with motion from a companion stream.
        scale: HR size / LR size.
        gop, preset, fps: see :class:`EncodeSettings`.
        extractor: see :func:`codecvsr.bitstream.mv_sources.extractors.coded_frames`.
        encoder: libx264 inside PyAV, or the system's FFmpeg.
        allow_damaged: use the frames before the damage of a truncated source.
    """

    crfs: tuple[float | None, ...]
    scale: int = 4
    gop: Gop = "default"
    preset: str = "medium"
    fps: Fraction = Fraction(24)
    extractor: str = "auto"
    encoder: Literal["pyav", "ffmpeg"] = "pyav"
    allow_damaged: bool = False

    def __post_init__(self) -> None:
        """Refuse bad values before any work is done."""
        if not self.crfs:
            raise InputError("no CRF was given; numbers from 0 to 51 or 'none' were expected.")
        if self.scale < 1:
            raise InputError(f"the scale {self.scale} is not a positive whole number.")
        for crf in self.crfs:
            self.encoding(crf)

    def encoding(self, crf: float | None) -> EncodeSettings:
        """How the stream of a clip is encoded."""
        return EncodeSettings(PROXY_CRF if crf is None else crf, self.preset, self.gop, self.fps)


@dataclass(frozen=True)
class BuiltClip:
    """A finished clip folder. ``bit_rate`` in kbit/s; ``lr_psnr`` in dB against the pristine LR, None for ``none``."""

    clip: str
    crf: float | None
    folder: Path
    frames: int
    bit_rate: float
    lr_psnr: float | None
    source_damage: str


@dataclass(frozen=True)
class FailedClip:
    """A clip that could not be made: at one CRF, or (``crf`` is ``"all"``) because of its source."""

    clip: str
    crf: float | None | Literal["all"]
    error: str


@dataclass(frozen=True)
class BenchmarkResult:
    """What a run made and what it could not make."""

    built: tuple[BuiltClip, ...]
    failed: tuple[FailedClip, ...]


def parse_crfs(text: str) -> tuple[float | None, ...]:
    """``"15,25,none"`` -> (15.0, 25.0, None), each once.

    Raises:
        InputError: an item is neither a number nor ``none``.
    """
    crfs: list[float | None] = []
    for item in filter(None, (part.strip().lower() for part in text.split(","))):
        try:
            crf = None if item == "none" else float(item)
        except ValueError:
            raise InputError(f"the CRF {item!r} is neither a number from 0 to 51 nor 'none'.") from None
        if crf not in crfs:
            crfs.append(crf)
    return tuple(crfs)


def crf_label(crf: float | None) -> str:
    """The end of a benchmark folder's name: ``CRF25``, ``CRF22.5``, ``CRFnone``."""
    return "CRFnone" if crf is None else f"CRF{crf:g}"


def make_benchmark(
    hr_root: Path,
    out_root: Path,
    settings: BenchmarkSettings,
    *,
    name: str | None = None,
    clips: Iterable[str] = (),
    overwrite: bool = False,
    progress: Progress = _silent,
) -> BenchmarkResult:
    """Write ``out_root/NAME_CRF25/CLIP/`` for every source under ``hr_root`` and every CRF.

    Args:
        hr_root: sub-folders of frames and video files; or one folder of frames, or one video.
        out_root: where the folders go.
        settings: how clips are made.
        name: NAME; by default ``hr_root``'s own name without a trailing ``_GT``.
        clips: names of the clips to make; empty for all.
        overwrite: replace the files of clip folders that exist already; other files in them stay.
        progress: shows how far it is.

    Returns:
        The clips made and those that failed: one bad clip does not stop the others.

    Raises:
        InputError: there is nothing to work on.
        OutputError: ``out_root`` cannot be written, a clip exists already, or its folder holds clips made otherwise.
    """
    name = name or (hr_root.resolve().stem if hr_root.is_file() else hr_root.resolve().name).removesuffix("_GT")
    sources = find_sources(hr_root, tuple(clips))
    check_extractor(settings.extractor)
    groups = {crf: out_root / f"{name}_{crf_label(crf)}" for crf in settings.crfs}
    _check_targets(groups, sources, settings, overwrite)
    try:
        out_root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out_root}: cannot be written ({error.strerror}).") from error
    try:
        return _make_all(sources, out_root, groups, settings, overwrite, progress)
    finally:
        for folder in (*groups.values(), out_root):  # what holds nothing after failures does not stay
            with contextlib.suppress(OSError):
                folder.rmdir()


def _make_all(
    sources: list[HRSource],
    out_root: Path,
    groups: dict[float | None, Path],
    settings: BenchmarkSettings,
    overwrite: bool,
    progress: Progress,
) -> BenchmarkResult:
    built: list[BuiltClip] = []
    failed: list[FailedClip] = []
    for source in sources:
        try:
            with LRSpool(out_root) as pristine:
                frames = progress(source.pictures(settings.allow_damaged), f"{source.name}: shrinking", source.length)
                shrink_source(source, frames, pristine, settings.scale)
                names = {clip_folder.FRAME_NAME.format(index) for index in range(len(pristine))}
                for crf, group in groups.items():
                    try:
                        check_frame_folder(group / source.name / clip_folder.FRAMES, names.__contains__)
                        with atomic_folder(group / source.name, overwrite=overwrite) as folder:
                            made = _build(source, pristine, folder, crf, settings, progress)
                        built.append(BuiltClip(source.name, crf, group / source.name, *made, source.damage))
                    except CodecVSRError as error:
                        failed.append(FailedClip(source.name, crf, str(error)))
        except CodecVSRError as error:
            failed.append(FailedClip(source.name, "all", str(error)))
    return BenchmarkResult(tuple(built), tuple(failed))


def _check_targets(
    groups: dict[float | None, Path], sources: list[HRSource], settings: BenchmarkSettings, overwrite: bool
) -> None:
    """Refuse to replace clips unasked, and to put clips made in different ways into one folder."""
    replaced = {source.name for source in sources}
    wanted = _stream_facts(settings)
    for group in groups.values():
        for meta_path in sorted(group.glob(f"*/{clip_folder.META}")):
            folder = meta_path.parent
            if folder.name.startswith("."):
                continue
            if folder.name in replaced:
                if not overwrite:
                    raise OutputError(
                        f"{folder}: exists already; give -y/--overwrite to replace it, or choose another --out-root or --name."
                    )
                continue
            meta = clip_folder.read_meta(folder)
            other = [
                f"{key} {meta.get(key)} (now {wanted[key]})" for key in _STREAM_KEYS if meta.get(key) != wanted[key]
            ]
            if other:
                raise OutputError(
                    f"{folder}: was made with {', '.join(other)}; clips of one folder are made alike. Choose another "
                    "--out-root or --name, or make all its clips again with -y/--overwrite."
                )


def _stream_facts(settings: BenchmarkSettings) -> dict[str, object]:
    return {
        "scale": settings.scale,
        "gop": settings.gop,
        "preset": settings.preset,
        "fps": str(settings.fps),
        "encoder_choice": settings.encoder,
    }


def _build(
    source: HRSource,
    pristine: LRSpool,
    folder: Path,
    crf: float | None,
    settings: BenchmarkSettings,
    progress: Progress,
) -> tuple[int, float, float | None]:
    """Fill one clip folder; (frames, kbit/s, LR PSNR)."""
    stream = folder / clip_folder.STREAM
    label = f"{source.name}: {crf_label(crf)}"
    encoded = _encoder(settings)(
        progress(pristine, f"{label}, encoding", len(pristine)), stream, settings.encoding(crf)
    )
    scores: list[float] = []

    def decoded() -> Iterator[CodedFrame]:
        """The stream's frames, written to ``lr/`` and scored as they pass."""
        for frame in coded_frames(stream, settings.extractor):
            truth = pristine[frame.index]
            scores.append(psnr(frame.rgb, truth))
            write_png(
                folder / clip_folder.FRAMES / clip_folder.FRAME_NAME.format(frame.index),
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
        **_stream_facts(settings),
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
