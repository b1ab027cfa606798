"""Measure one variant on one clip: quality, time, memory and size."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from codecvsr.compare.clips import TestClip, crf_value
from codecvsr.compare.costs import macs_per_pixel, repair_ms
from codecvsr.compare.variants import Variant, windows_of
from codecvsr.constants import SCALE
from codecvsr.engine.cost import forget_peak, peak_bytes
from codecvsr.engine.device import place
from codecvsr.engine.plan import make_plan
from codecvsr.errors import InputError
from codecvsr.inference.ablations import choose_motion
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import with_motion
from codecvsr.inference.native_window import usual_window
from codecvsr.inference.source import Source, load_source
from codecvsr.metrics import artifacts
from codecvsr.metrics.artifacts import Artifacts
from codecvsr.metrics.lpips import Lpips, load_lpips
from codecvsr.metrics.planes import comparable
from codecvsr.metrics.psnr import psnr_of_planes
from codecvsr.metrics.ssim import ssim_of_planes
from codecvsr.metrics.temporal import WarpingError
from codecvsr.models.zoo import LoadedModel
from codecvsr.motion import MotionOptions
from codecvsr.video.resize import downsample

_WARM_UP_FRAMES = 5  # on a GPU, before the clock runs
_WARM_UP_RUNS = 3  # of all frames with CUDA graphs: the second run captures

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """The settings that all measurements of a comparison share.

    Attributes:
        frames: number of frames from the start of each clip; 0 for all.
        window: frames that a recurrent network processes at once; 0 for the choice of ``infer``.
        crop_border: pixels ignored on each side when scoring.
        temporal: measure the warping error too.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        lpips: measure LPIPS too.
        compile: whether to use torch.compile; None to use it where it pays.
        artifacts: measure the faults of :mod:`codecvsr.metrics.artifacts` too.
    """

    frames: int = 0
    window: int = 0
    crop_border: int = 0
    temporal: bool = False
    device: str = "auto"
    precision: str = "auto"
    lpips: bool = False
    compile: bool | None = None
    artifacts: bool = False


@dataclass(frozen=True)
class Measurement:
    """One variant measured on one clip. Scores are None for random weights.

    Attributes:
        row: the variant's name.
        scale: 4, or 1 for a network that restores at the same size (scored against the shrunken original).
        weights_sha256: of the weights file; None for random weights and networks without any.
        gmacs: 1e9 multiply-accumulates per frame, of the network and the optical-flow network it uses.
        ms_per_frame: ``network_ms + motion_ms``.
        network_ms: milliseconds per frame in the network.
        motion_ms: milliseconds per frame for the motion: reading and repairing vectors, or optical flow; None if unknown.
        peak_memory_mb: peak memory in MiB: tensors on a GPU, the whole process on the CPU.
        warping_error: see ``metrics.temporal``; None if not requested or the clip has no codec motion.
        lpips: see ``metrics.lpips``; None if not requested.
        per_frame: RGB PSNR in dB of every frame.
        artifacts: means over the frames of the faults of "pictures" and of "originals"; None if not requested.
    """

    row: str
    clip: str
    benchmark: str
    crf: float | str | None
    frames: int
    training: str
    parameters: int
    scale: int
    motion: str
    gmacs: float
    ms_per_frame: float
    network_ms: float
    motion_ms: float | None
    peak_memory_mb: float
    device: str
    precision: str
    weights_sha256: str | None = None
    psnr_rgb: float | None = None
    ssim_rgb: float | None = None
    psnr_y: float | None = None
    ssim_y: float | None = None
    warping_error: float | None = None
    warping_error_original: float | None = None
    lpips: float | None = None
    per_frame: tuple[float, ...] = ()
    artifacts: dict[str, dict[str, float | None]] | None = None

    @property
    def clip_key(self) -> str:
        """The clip's ``TestClip.key``."""
        return f"{self.benchmark}/{self.clip}"


def _ignore(index: int, picture: Picture) -> None:
    pass


def measure(
    variant: Variant,
    model: LoadedModel,
    clip: TestClip,
    settings: Settings,
    counted: dict[str, float],
    on_picture: Callable[[int, Picture], None] = _ignore,
) -> tuple[Measurement, Picture | None]:
    """Run a variant on a clip and measure it.

    Args:
        variant: what to run.
        model: the variant's, loaded.
        clip: what to run it on.
        settings: how to run and score it.
        counted: multiply-accumulates per pixel by variant; a missing count is added.
        on_picture: called with the index and the picture of every frame; its time is not counted.

    Returns:
        The measurement, and the picture of the clip's middle frame (none for random weights).

    Raises:
        InputError: the variant cannot be run on this clip.
    """
    plan = make_plan(settings.device, settings.precision, settings.compile, architecture=model.architecture)
    device = plan.device
    frames = clip.length(settings.frames)
    kind = choose_motion(model, variant.motion, variant.ablations)
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else variant.ablations.motion_options
    bare = load_source(clip.folder.path, options, needs_vectors=kind in ("codec", "raw")).cut(0, frames)
    windows = windows_of(variant, model, frames)
    height, width = bare.frames.shape[1:3]
    longest = usual_window(model.network, plan, height, width)
    limits = MemoryLimits(settings.window or longest, is_fixed=True)
    plan = plan.for_job(frames, height, width)
    if variant.name not in counted:
        counted[variant.name] = macs_per_pixel(variant, model, bare, kind)

    place(model.network, device)
    begun = time.perf_counter()
    source = with_motion(bare, kind, model)
    motion_ms: float | None = 1e3 * (time.perf_counter() - begun) / frames
    if kind in ("codec", "raw"):
        motion_ms = repair_ms(clip, options)
    elif kind in ("none", "zero") or model.descriptor.is_sliding:  # sliding networks compute flows inside network_ms
        motion_ms = 0.0
    if device.type == "cuda":
        few = source if plan.graphs else source.cut(0, min(frames, _WARM_UP_FRAMES))
        for _ in range(_WARM_UP_RUNS if plan.graphs else 1):
            list(upscale_frames(model, few, variant.ablations, limits, plan, windows if plan.graphs else None))
    forget_peak(device)
    is_scored = model.training != "untrained"
    scorer = _Scorer(clip, source, model.scale, settings) if is_scored else None
    originals = clip.originals(frames) if is_scored else None
    network_seconds, middle = 0.0, None
    begun = time.perf_counter()
    for index, picture in enumerate(upscale_frames(model, source, variant.ablations, limits, plan, windows)):
        network_seconds += time.perf_counter() - begun
        if scorer is not None and originals is not None:
            scorer.add(picture, next(originals))
            middle = picture if index == frames // 2 else middle
        on_picture(index, picture)
        begun = time.perf_counter()
    network_ms = 1e3 * network_seconds / frames
    if originals is not None:
        next(originals, None)  # raises if the originals are too few
    return Measurement(
        row=variant.name,
        clip=clip.name,
        benchmark=clip.benchmark,
        crf=crf_value(clip.crf, clip.label),
        frames=frames,
        training=model.training,
        parameters=model.parameters,
        scale=model.scale,
        motion=kind,
        gmacs=counted[variant.name] * height * width / 1e9,
        ms_per_frame=network_ms + (motion_ms or 0.0),
        network_ms=network_ms,
        motion_ms=motion_ms,
        peak_memory_mb=peak_bytes(device) / 2**20,
        device=str(device),
        precision=plan.precision,
        weights_sha256=model.sha256,
        **(scorer.means() if scorer is not None else {}),
    ), middle


@functools.cache
def shared_lpips() -> Lpips:
    """Returns LPIPS, loaded once; raises what :func:`load_lpips` raises."""
    return load_lpips()


class _Scorer:
    """Collects the scores of a clip's frames."""

    def __init__(self, clip: TestClip, source: Source, scale: int, settings: Settings) -> None:
        self._clip, self._scale, self._border = clip, scale, settings.crop_border
        self._lr_size = source.frames.shape[1:3]
        self._scores: list[tuple[float, float, float, float]] = []
        self._lpips = shared_lpips() if settings.lpips else None
        self._distances: list[float] = []
        self._artifacts: list[tuple[Artifacts, Artifacts]] | None = [] if settings.artifacts else None
        self._warping: WarpingError | None = None
        if settings.temporal and clip.folder.has_motion:
            motion = clip.folder.load_motion()  # always the repaired field, whatever motion the variant uses
            self._warping = WarpingError(motion.to_prev, motion.is_cut, (self._lr_size[0], self._lr_size[1]))

    def add(self, picture: Picture, original: Picture) -> None:
        expected = tuple(SCALE * side for side in self._lr_size)
        if original.shape[:2] != expected:
            raise InputError(
                f"{self._clip.original.path}: is {original.shape[1]}x{original.shape[0]}, but the frames of "
                f"{self._clip.folder.path} need {expected[1]}x{expected[0]}; use the originals of this clip."
            )
        if self._scale == 1:
            original = downsample(original, SCALE)
        scores = []
        for channel in ("rgb", "y"):
            planes = comparable(picture, original, channel=channel, crop_border=self._border)
            scores += [psnr_of_planes(*planes), ssim_of_planes(*planes)]
        self._scores.append((scores[0], scores[1], scores[2], scores[3]))
        if self._lpips is not None:
            self._distances.append(self._lpips.distance(picture, original, self._border))
        if self._artifacts is not None:
            self._artifacts.append(artifacts.measure(picture, original, crop_border=self._border))
        if self._warping is not None:
            self._warping.add(picture, original)

    def means(self) -> dict[str, Any]:
        means = [float(value) for value in np.mean(self._scores, axis=0)]
        names = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")
        extras: dict[str, Any] = {}
        if self._warping is not None and not math.isnan(self._warping.value):
            extras = {"warping_error": self._warping.value, "warping_error_original": self._warping.of_original}
        if self._distances:
            extras["lpips"] = fmean(self._distances)
        if self._artifacts is not None:
            extras["artifacts"] = artifacts.summary(self._artifacts)
        return (
            dict(zip(names, means, strict=True)) | extras | {"per_frame": tuple(scores[0] for scores in self._scores)}
        )
