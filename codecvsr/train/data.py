"""Training clips: read from benchmark folders or mapped from prepared sets, optionally moved to the GPU."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.constants import SCALE
from codecvsr.errors import InputError
from codecvsr.files import VIDEO_SUFFIXES, read_image
from codecvsr.inference.clip_folder import FRAMES, ClipFolder, numbered_frames
from codecvsr.metrics.pairs import video_frames
from codecvsr.models import priors as prior_channels
from codecvsr.train.prepared_set import find_chunks, read_chunk
from codecvsr.train.recipe import Data

_MAX_MEMORY_SHARE = 0.7  # of a GPU's free memory for clips; the network needs the remainder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingClip:
    """One compressed version of one clip; all tensors are on one device.

    Attributes:
        name: clip and benchmark, for messages.
        lr: (T, H, W, 3) uint8, decoded frames.
        hr: (T, 4H, 4W, 3) uint8, the original; shared by all versions of a clip.
        fields: (T, 4, h, w) float16, to_prev and to_next.
        priors: (T, 8, h, w) float16.
        is_cut: (T,) bool.
    """

    name: str
    lr: Tensor
    hr: Tensor
    fields: Tensor
    priors: Tensor
    is_cut: Tensor

    def __len__(self) -> int:
        return len(self.lr)


def original_frames(hr_root: Path, clip: str) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the original frames of a clip, (H, W, 3) uint8: ``hr_root/CLIP/`` with pictures, or ``hr_root/CLIP.mp4`` (any video).

    Raises:
        InputError: neither exists.
    """
    folder = hr_root / clip
    if folder.is_dir():
        for path in numbered_frames(folder):
            yield read_image(path)
        return
    for suffix in VIDEO_SUFFIXES:
        if (video := folder.with_name(clip + suffix)).is_file():
            yield from video_frames(video)
            return
    raise InputError(f"{hr_root}: has no folder or video named {clip}; originals of every clip are needed.")


def load_clips(hr_root: str, benchmarks: Iterable[str], frames: int | None = None) -> list[TrainingClip]:
    """Load every clip of benchmark folders (such as ``OUT/train_CRF25``) with its original.

    Args:
        hr_root: folder of the originals.
        benchmarks: folders of clip folders.
        frames: number of frames from the start of each clip; None for all.

    Raises:
        InputError: there are no clips, or one does not match its original.
    """
    originals: dict[str, npt.NDArray[np.uint8]] = {}
    clips: list[TrainingClip] = []
    for root in map(Path, benchmarks):
        folders = sorted(p.parent for p in root.glob(f"*/{FRAMES}")) if root.is_dir() else []
        if not folders:
            raise InputError(f"{root}: has no clip folders; make them with codecvsr benchmark.")
        for path in folders:
            folder = ClipFolder.open(path)
            lr, motion = folder.load_frames()[:frames], folder.load_motion()
            if path.name not in originals:
                hr = [f for f, _ in zip(original_frames(Path(hr_root), path.name), lr, strict=False)]
                originals[path.name] = np.stack(hr)
            hr_frames = originals[path.name][: len(lr)]
            if hr_frames.shape != (len(lr), lr.shape[1] * SCALE, lr.shape[2] * SCALE, 3):
                raise InputError(
                    f"{path}: frames of shape {lr.shape} do not match originals of shape {hr_frames.shape}, {SCALE} times "
                    "the size was expected."
                )
            fields = np.concatenate([motion.to_prev, motion.to_next], axis=1).astype(np.float16)
            priors = prior_channels.make_priors(motion).astype(np.float16)
            inputs = (a[: len(lr)] for a in (fields, priors, motion.is_cut))
            clips.append(TrainingClip(f"{root.name}/{path.name}", *map(torch.from_numpy, (lr, hr_frames, *inputs))))
    return clips


def load_prepared(folder: Path) -> list[TrainingClip]:
    """Returns every version of every chunk of a prepared set, mapped into memory.

    Raises:
        InputError: there are no chunks, or one is unreadable.
    """
    clips = []
    for path in find_chunks(folder):
        chunk = read_chunk(path)
        hr = torch.from_numpy(chunk.hr)
        for index in range(len(chunk.versions)):
            parts = (array[index] for array in (chunk.fields, chunk.priors, chunk.is_cut))
            name = f"{folder.name}/{path.stem}, version {index}"
            clips.append(TrainingClip(name, torch.from_numpy(chunk.lr[index]), hr, *map(torch.from_numpy, parts)))
    return clips


def load_sources(data: Data) -> list[list[TrainingClip]]:
    """Returns the sources of a recipe: the clips of its benchmarks, if any, and of every prepared set.

    Raises:
        InputError: there are no clips, or the number of shares does not match.
    """
    sources = [load_clips(data.hr_root, data.benchmarks)] if data.benchmarks else []
    sources += [load_prepared(Path(folder)) for folder in data.prepared]
    if not sources:
        raise InputError("No training clips: data.benchmarks and data.prepared name no folders.")
    if data.shares and (len(data.shares) != len(sources) or min(data.shares) < 0 or not sum(data.shares)):
        raise InputError(
            f"data.shares = {list(data.shares)}: {len(sources)} shares were expected, of the benchmarks (if any) and of every "
            "prepared set."
        )
    return sources


def make_resident(sources: list[list[TrainingClip]], device: torch.device) -> list[list[TrainingClip]]:
    """Returns the clips moved to ``device`` if it is a GPU with enough memory, else unchanged.

    Tensors shared by several clips remain shared.
    """
    if device.type != "cuda":
        return sources
    tensors = {id(t): t for clips in sources for clip in clips for t in _tensors(clip)}
    needed = sum(t.numel() * t.element_size() for t in tensors.values())
    free, _ = torch.cuda.mem_get_info(device)
    if needed > _MAX_MEMORY_SHARE * free:
        log.info("Clips remain in main memory: %.1f GiB, with %.1f GiB free on the GPU", needed / 2**30, free / 2**30)
        return sources
    log.info("%.1f GiB of clips on the GPU", needed / 2**30)
    moved = {key: t.to(device) for key, t in tensors.items()}
    return [[TrainingClip(clip.name, *(moved[id(t)] for t in _tensors(clip))) for clip in clips] for clips in sources]


def _tensors(clip: TrainingClip) -> tuple[Tensor, ...]:
    return clip.lr, clip.hr, clip.fields, clip.priors, clip.is_cut
