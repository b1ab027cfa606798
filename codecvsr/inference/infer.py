"""``codecvsr infer``: a clip through a network, with whatever is to be left out left out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from codecvsr.engine.device import choose_device, peak_memory_bytes, place
from codecvsr.engine.plan import Plan, make_plan
from codecvsr.errors import InputError
from codecvsr.events import Progress
from codecvsr.files import atomic_folder, check_frame_folder, write_png
from codecvsr.inference.execute import Overflow, upscale_window
from codecvsr.inference.memory_limits import MemoryLimits
from codecvsr.inference.motion_jitter import has_motion_jitter
from codecvsr.inference.runners import SLIDING, pictures, usual_window
from codecvsr.inference.skip_static import DuplicateFrames
from codecvsr.inference.source import Source, load_source, with_dis, with_flows, without_motion
from codecvsr.inference.tiles import check_tile
from codecvsr.inference.windows import Window, split
from codecvsr.models.spynet import SPyNet
from codecvsr.models.zoo import LoadedModel, load_model
from codecvsr.motion import MotionOptions

MotionKind = Literal["codec", "spynet", "dis", "zero", "raw"]
_CPU = torch.device("cpu")
SPYNET_FROM = "basicvsr-reds4"  #: the model whose SPyNet serves networks without one


@dataclass(frozen=True)
class Ablations:
    """What to leave out, to see what it was worth."""

    mvs: bool = False  #: no motion of any kind: fields zero, motion priors neutral, no residual flow
    second_order: bool = False  #: no features from the frame beyond the neighbour
    p_inversion: bool = False  #: a missing direction of motion stays empty
    resolve: bool = False  #: raw vectors, neither divided by reference distance nor repaired
    refine: bool = False  #: repaired fields without the sub-pixel step
    priors: bool = False  #: quantisers, frame types and matching errors neutral
    motion_jitter: bool = False  #: codec motion as it is in long windows of published recurrent networks

    @property
    def names(self) -> list[str]:
        """The parts that are left out."""
        return [f.name for f in fields(self) if getattr(self, f.name)]

    @property
    def motion_options(self) -> MotionOptions:
        """The part of them that concerns motion repair."""
        return MotionOptions(resolve=not self.resolve, invert=not self.p_inversion, refine=not self.refine)


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

    def to_json(self) -> dict[str, Any]:
        """The report as the command's ``--json`` prints it."""
        return asdict(self)


def infer(
    clip: str | Path,
    out_dir: str | Path,
    *,
    model: str | Path = "codecvsr",
    motion: MotionKind | None = None,
    ablations: Ablations = Ablations(),
    window: int = 0,
    tile: int = 0,
    skip_static: bool = False,
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
        window: frames looked at together; 0 for as many as memory sensibly holds.
        tile: pixels each way of the parts in which frames are worked on; 0 for whole frames.
        skip_static: frames that show nothing new are not made again (:mod:`codecvsr.inference.skip_static`).
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: through torch.compile or not; None for where it pays.
        allow_damaged: use the frames before the damage of a damaged video.
        overwrite: replace frames of the same names; other files in ``out_dir`` stay.
        progress: wraps the pictures as they come from the network, to tell how far it is.

    Raises:
        InputError: the clip cannot be used, or the model cannot do what is asked.
        OutputError: ``out_dir`` exists already, holds pictures that would pass for frames, or cannot be written.
        CheckpointError: the model's file is not one.
    """
    begun = time.monotonic()
    check_tile(tile)
    out_dir = Path(out_dir)
    with atomic_folder(out_dir, overwrite=overwrite) as part:
        target = choose_device(device)
        loaded = load_model(model)
        plan = make_plan(target, precision, compile, architecture=loaded.architecture)
        kind = choose_motion(loaded, motion, ablations)
        place(loaded.network, target)  # its SPyNet, too, runs there
        source = load_motion(Path(clip), kind, ablations, model=loaded, allow_damaged=allow_damaged)
        check_frame_folder(out_dir, source.names.__contains__)
        height, width = source.frames.shape[1:3]
        length = window or usual_window(loaded.network, plan, height, width)
        plan = plan.for_job(len(source.names), height, width)
        duplicates = DuplicateFrames() if skip_static else None
        network_seconds, pending = 0.0, []
        with ThreadPoolExecutor(1) as writer:
            limits = MemoryLimits(length, tile, duplicates=duplicates)
            upscaled: Iterable[Any] = upscale_frames(loaded, source, ablations, limits, plan)
            if progress is not None:
                upscaled = progress(upscaled, "upscaling", len(source.names))
            before = time.monotonic()
            for name, picture in zip(source.names, upscaled, strict=True):
                network_seconds += time.monotonic() - before
                pending.append(writer.submit(write_png, part / name, picture))
                _check(pending)
                before = time.monotonic()
            _check(pending, most=0)
    frames = len(source.names)
    return InferReport(
        frames=frames,
        scale=loaded.scale,
        frames_per_second=frames / max(network_seconds, 1e-9),
        seconds=time.monotonic() - begun,
        peak_memory_mb=peak_memory_bytes(target) / 2**20,
        model=loaded.name,
        training=loaded.training,
        parameters=loaded.parameters,
        motion=kind,
        ablations=ablations.names,
        window=length,
        device=str(target),
        precision=plan.precision,
        out_dir=str(out_dir),
        skipped_share=None if duplicates is None else duplicates.left_out / frames,
    )


def choose_motion(model: LoadedModel, motion: MotionKind | None, ablations: Ablations) -> str:
    """The motion a model runs on: what was asked, or its usual one; "none" for a model without motion.

    Raises:
        InputError: the model cannot run on it, or cannot leave out what is to be left out.
    """
    if not model.motion:
        if motion or ablations.names:
            raise InputError(f"{model.name}: uses no motion; leave out --motion and the --ablate options.")
        return "none"
    own = [name for name in ablations.names if name in ("second_order", "priors") and not _has(model, name)]
    if own:
        raise InputError(
            f"{model.name}: has no {' and no '.join(own)} to leave out; drop --ablate-{own[0].replace('_', '-')}."
        )
    kind = motion or model.motion[0]
    if kind not in model.motion:
        raise InputError(f"{model.name}: cannot run with --motion {kind}; it runs with {', '.join(model.motion)}.")
    repair = [name for name in ablations.names if name in ("p_inversion", "resolve", "refine")]
    if repair and kind != "codec":
        raise InputError(f"--ablate-{repair[0].replace('_', '-')} is about codec motion, but the motion is {kind}.")
    if ablations.motion_jitter and not (kind == "codec" and has_motion_jitter(model)):
        raise InputError(f"--ablate-motion-jitter: the motion of {model.name} along {kind} does not tremble; drop it.")
    if ablations.mvs and motion not in (None, "codec", "zero"):
        raise InputError(f"--ablate-mvs leaves no motion, but --motion {kind} was given; drop one of them.")
    return "zero" if ablations.mvs else kind


def _has(model: LoadedModel, part: str) -> bool:
    return model.architecture == "codecvsr" or (model.architecture == "mvsr-seed" and part == "second_order")


def load_motion(
    path: Path, kind: str, ablations: Ablations, *, model: LoadedModel | None = None, allow_damaged: bool = False
) -> Source:
    """Load a clip with the motion of ``kind``.

    Args:
        path: a clip folder or a video.
        kind: what :func:`choose_motion` said.
        ablations: parts of the repair to leave out.
        model: whose own SPyNet is taken where it has one; otherwise it is that of :data:`SPYNET_FROM`.
        allow_damaged: use the frames before the damage of a damaged video.

    Raises:
        InputError: the clip cannot be used, or SPyNet's weights are not there.
    """
    options = MotionOptions(resolve=False, refine=False) if kind == "raw" else ablations.motion_options
    source = load_source(path, options, needs_vectors=kind in ("codec", "raw"), allow_damaged=allow_damaged)
    return with_motion(source, kind, model)


def with_motion(source: Source, kind: str, model: LoadedModel | None = None) -> Source:
    """A clip that knows what the codec said, with the motion of ``kind`` instead; itself for "codec", "raw", "none"."""
    if kind == "dis":
        return with_dis(source)
    if kind == "spynet":
        return _with_spynet(source, model)
    if kind == "zero":
        return without_motion(source)
    return replace(
        source,
        is_raw=kind == "raw",
        has_motion_jitter=kind == "codec" and model is not None and has_motion_jitter(model),
    )


def upscale_frames(
    model: LoadedModel,
    source: Source,
    ablations: Ablations,
    limits: MemoryLimits,
    plan: Plan,
    windows: Sequence[Window] | None = None,
) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a clip, upscaled, (scale * H, scale * W, 3) uint8 each, in order.

    Where memory runs out, the rest goes on in shorter windows or in tiles; where fp16 overflows, in fp32. The
    budget remembers it.

    Args:
        model: any of the zoo.
        source: the clip, with the motion to use.
        ablations: parts to leave out inside the network.
        limits: frames per window (networks that look at a short window around every frame do without), and tiles.
        plan: how to run it.
        windows: the windows themselves, in place of the budget's; only the frames they keep come out.

    Raises:
        InputError: memory does not suffice for the smallest tiles.
    """
    height, width = source.frames.shape[1:3]
    is_sliding = model.architecture in SLIDING
    waiting = deque(split(len(source.names), limits.window) if windows is None else windows)
    while waiting:
        window = waiting.popleft()
        done = window.keep_start
        try:
            chosen = plan.fp32() if limits.is_fp32 else plan
            for picture in upscale_window(model, source, ablations, window, limits, chosen):
                yield picture
                done += 1
        except Overflow:
            limits.use_fp32()
            waiting.appendleft(replace(window, keep_start=done))
        except (MemoryError, RuntimeError) as error:
            limits.shrink(error, window.keep_stop - done, height, width, by_window=not is_sliding)
            waiting.appendleft(replace(window, keep_start=done))
            waiting = deque(part for each in waiting for part in each.shortened(limits.window))
        if done < window.keep_stop and plan.device.type == "cuda":  # what the error held is free by now
            torch.cuda.empty_cache()


def _with_spynet(source: Source, model: LoadedModel | None) -> Source:
    """The same clip with SPyNet's optical flow for its motion: the model's own where it has one."""
    spynet = getattr(model.network, "spynet", None) if model is not None else None
    if spynet is None:
        weight = next(model.network.parameters(), None) if model is not None else None
        lent = place(load_model(SPYNET_FROM).network, _CPU if weight is None else weight.device)
        spynet = lent.spynet
    assert isinstance(spynet, SPyNet)

    def between(here: int, there: int) -> npt.NDArray[np.float32]:
        device = spynet.mean.device
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            frames = pictures(source, [here, there], device)[0]
            return spynet(frames[:1], frames[1:])[0].cpu().numpy()

    count = len(source.names)
    to_prev = np.zeros((count, 2, *source.frames.shape[1:3]), np.float32)
    to_next = np.zeros_like(to_prev)
    for t in range(1, count):
        to_prev[t], to_next[t - 1] = between(t, t - 1), between(t - 1, t)
    return replace(with_flows(source, to_prev, to_next), pairwise=between)


def _check(pending: list[Future[None]], most: int = 8) -> None:
    """Raise what went wrong in writing; leave at most so many pictures waiting."""
    while pending and (pending[0].done() or len(pending) > most):
        pending.pop(0).result()
