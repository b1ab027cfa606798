"""``codecvsr infer``: a clip through a network, one PNG per frame."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from codecvsr.engine.device import choose_device, peak_memory_bytes, place
from codecvsr.engine.plan import Plan, make_plan
from codecvsr.events import Progress
from codecvsr.files import atomic_folder, check_frame_folder, write_png
from codecvsr.inference.ablations import NO_ABLATIONS, Ablations, MotionKind, choose_motion
from codecvsr.inference.execute import upscale_frames
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_source import load_motion
from codecvsr.inference.native_window import is_native, usual_window
from codecvsr.inference.skip_choice import SkipStatic
from codecvsr.inference.skip_static import DuplicateFrames, skipping
from codecvsr.inference.source import Source
from codecvsr.inference.strength import check_strength
from codecvsr.inference.tiles import check_tile
from codecvsr.inference.usual_tile import seen_frames, usual_tile
from codecvsr.models.zoo import LoadedModel, load_model


@dataclass(frozen=True)
class InferReport:
    """What :func:`infer` did."""

    frames: int
    scale: int  #: 1 for a network that restores at the same size
    frames_per_second: float  #: of the network alone
    seconds: float  #: everything, reading and writing included
    peak_memory_mb: float
    model: str
    training: str
    parameters: int
    motion: str
    ablations: list[str]
    window: int
    device: str
    precision: str
    out_dir: str
    skipped_share: float | None = None  #: of the frames, those that others stood for; None where it was not asked for
    work_share: float | None = None  #: of the network's work, what was done; None where nothing could be skipped

    def to_json(self) -> dict[str, Any]:
        """The report as the command's ``--json`` prints it."""
        return asdict(self)


def infer(
    clip: str | Path,
    out_dir: str | Path,
    *,
    model: str | Path = "codecvsr",
    motion: MotionKind | None = None,
    ablations: Ablations = NO_ABLATIONS,
    window: int = 0,
    tile: int = 0,
    skip_static: SkipStatic = "off",
    strength: float = 1.0,
    device: str = "auto",
    precision: str = "auto",
    compile: bool | None = None,
    allow_damaged: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> InferReport:
    """Upscale a clip by 4 and write one PNG per frame.

    Args:
        clip: a folder made by ``codecvsr benchmark``, or an H.264 file.
        out_dir: folder for the pictures, named like those of ``lr/``.
        model: a name of the zoo or a weights file.
        motion: what aligns the frames; the model's usual one by default.
        ablations: parts to leave out.
        window: frames per window; 0 for as many as memory has room for.
        tile: side of the tiles in pixels; 0 for whole frames.
        skip_static: ``frames`` (duplicate frames are copied), ``blocks`` (unchanged blocks are), ``auto`` (blocks where the
            network can) or ``off``; see :mod:`codecvsr.inference.skip_static`.
        strength: share of the network's pictures; the rest is bicubic interpolation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: through torch.compile or not; None for where it pays.
        allow_damaged: use the frames before the damage of a damaged video.
        overwrite: replace frames of the same names; other files in ``out_dir`` stay.
        progress: wraps the pictures as the network makes them, and shows progress.

    Raises:
        InputError: the clip cannot be used, or the model cannot do what is asked.
        OutputError: ``out_dir`` exists already, holds pictures that would pass for frames, or cannot be written.
        CheckpointError: the model's file is not one.
    """
    begun = time.monotonic()
    check_tile(tile)
    check_strength(strength)
    out_dir = Path(out_dir)
    with atomic_folder(out_dir, overwrite=overwrite) as part:
        network = load_network(model, motion, ablations, device=device, precision=precision, compile=compile)
        source = network.load(Path(clip), allow_damaged=allow_damaged)
        check_frame_folder(out_dir, source.names.__contains__)
        report = network.write(
            source, part, window=window, tile=tile, skip_static=skip_static, strength=strength, progress=progress
        )
    return replace(report, seconds=time.monotonic() - begun, out_dir=str(out_dir))


@dataclass(frozen=True, eq=False)
class ReadyNetwork:
    """A network on its device, with the motion and the ablations that it runs with.

    Attributes:
        model: the network.
        plan: how it is run.
        kind: of motion.
        ablations: parts that are left out.
    """

    model: LoadedModel
    plan: Plan
    kind: str
    ablations: Ablations

    def load(self, clip: Path, *, allow_damaged: bool = False) -> Source:
        """Loads a clip folder or a video with the network's motion; raises what :func:`load_motion` raises."""
        return load_motion(clip, self.kind, self.ablations, model=self.model, allow_damaged=allow_damaged)

    def write(
        self,
        source: Source,
        folder: Path,
        *,
        window: int = 0,
        tile: int = 0,
        skip_static: SkipStatic = "off",
        strength: float = 1.0,
        progress: Progress | None = None,
    ) -> InferReport:
        """Upscales a clip and writes one PNG per frame into ``folder``; the options are those of :func:`infer`."""
        begun = time.monotonic()
        model, ablations = self.model, self.ablations
        frames = len(source.names)
        height, width = source.frames.shape[1:3]
        length = window or usual_window(model.network, self.plan, height, width)
        plan = self.plan.for_job(frames, height, width)
        static = skipping(skip_static, model, has_blocks=is_native(model.network, plan))
        network_seconds, pending = 0.0, []
        with ThreadPoolExecutor(1) as writer:
            side = tile or usual_tile(model.network, plan, seen_frames(length, frames), height, width)
            limits = MemoryLimits(length, side, static=static)
            upscaled: Iterable[Any] = upscale_frames(model, source, ablations, limits, plan, strength=strength)
            if progress is not None:
                upscaled = progress(upscaled, "upscaling", frames)
            before = time.monotonic()
            for name, picture in zip(source.names, upscaled, strict=True):
                network_seconds += time.monotonic() - before
                pending.append(writer.submit(write_png, folder / name, picture))
                _check(pending)
                before = time.monotonic()
            _check(pending, most=0)
        return InferReport(
            frames=frames,
            scale=model.scale,
            frames_per_second=frames / max(network_seconds, 1e-9),
            seconds=time.monotonic() - begun,
            peak_memory_mb=peak_memory_bytes(plan.device) / 2**20,
            model=model.name,
            training=model.training,
            parameters=model.parameters,
            motion=self.kind,
            ablations=ablations.names,
            window=length,
            device=str(plan.device),
            precision=plan.precision,
            out_dir=str(folder),
            skipped_share=static.skipped_frames / frames if isinstance(static, DuplicateFrames) else None,
            work_share=None if static is None else 1 - static.skipped_frames / frames,
        )


def load_network(
    model: str | Path,
    motion: MotionKind | None = None,
    ablations: Ablations = NO_ABLATIONS,
    *,
    device: str = "auto",
    precision: str = "auto",
    compile: bool | None = None,
) -> ReadyNetwork:
    """Loads a network onto its device; the options are those of :func:`infer`.

    Raises:
        InputError: there is no such model or device, or the model cannot do what is asked.
        CheckpointError: the model's file is not one.
    """
    target = choose_device(device)
    loaded = load_model(model)
    plan = make_plan(target, precision, compile, architecture=loaded.architecture)
    kind = choose_motion(loaded, motion, ablations)
    place(loaded.network, target)  # its SPyNet, too, runs there
    return ReadyNetwork(loaded, plan, kind, ablations)


def _check(pending: list[Future[None]], most: int = 8) -> None:
    """Raise what went wrong in writing; leave at most so many pictures waiting."""
    while pending and (pending[0].done() or len(pending) > most):
        pending.pop(0).result()
