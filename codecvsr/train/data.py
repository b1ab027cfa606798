"""Training clips in memory, and batches cut from them.

Every batch follows from the run's seed and the step's number alone, so that a run resumed at a step goes on exactly as
if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.errors import InputError
from codecvsr.files import VIDEO_SUFFIXES, read_image
from codecvsr.metrics.pairs import video_frames
from codecvsr.models import priors as prior_channels
from codecvsr.motion.field import CELL
from codecvsr.pipeline.clip import FRAMES, ClipFolder, numbered_frames
from codecvsr.train.recipe import Dropout, Optimisation

SCALE = 4


@dataclass(frozen=True)
class TrainingClip:
    """One compressed version of one clip.

    Attributes:
        name: clip and benchmark, for messages.
        lr: (T, H, W, 3) uint8, decoded frames.
        hr: (T, 4H, 4W, 3) uint8, the original; shared by all versions of a clip.
        fields: (T, 4, h, w) float16, to_prev and to_next.
        priors: (T, 8, h, w) float16.
        is_cut: (T,) bool.
    """

    name: str
    lr: npt.NDArray[np.uint8]
    hr: npt.NDArray[np.uint8]
    fields: npt.NDArray[np.float16]
    priors: npt.NDArray[np.float16]
    is_cut: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.lr)


@dataclass(frozen=True)
class Batch:
    """What the network is trained on in one step; tensors as ``models.codecvsr.CodecVSR.forward`` takes them."""

    frames: Tensor
    to_prev: Tensor
    to_next: Tensor
    priors: Tensor
    is_cut: Tensor
    use_motion: Tensor
    use_second_order: Tensor
    target: Tensor
    context: int = 0  #: frames at either end that have no target


def original_frames(hr_root: Path, clip: str) -> Iterator[npt.NDArray[np.uint8]]:
    """The original frames of a clip: ``hr_root/CLIP/`` with pictures, or ``hr_root/CLIP.mp4`` (or another video).

    Raises:
        InputError: neither is there.
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
    raise InputError(f"{hr_root}: holds no folder or video named {clip}; the originals of every clip are needed.")


def load_clips(hr_root: str, benchmarks: Iterable[str], frames: int | None = None) -> list[TrainingClip]:
    """Load every clip of benchmark folders (such as ``OUT/train_CRF25``) with its original.

    Args:
        hr_root: folder of the originals.
        benchmarks: folders of clip folders.
        frames: load only so many from the start of each clip.

    Raises:
        InputError: there are no clips, or one does not fit its original.
    """
    originals: dict[str, npt.NDArray[np.uint8]] = {}
    clips: list[TrainingClip] = []
    for root in map(Path, benchmarks):
        folders = sorted(p.parent for p in root.glob(f"*/{FRAMES}")) if root.is_dir() else []
        if not folders:
            raise InputError(f"{root}: holds no clip folders; make them with codecvsr benchmark.")
        for path in folders:
            folder = ClipFolder.open(path)
            lr, motion = folder.load_frames()[:frames], folder.load_motion()
            if path.name not in originals:
                hr = [f for f, _ in zip(original_frames(Path(hr_root), path.name), lr, strict=False)]
                originals[path.name] = np.stack(hr)
            hr_frames = originals[path.name][: len(lr)]
            if hr_frames.shape != (len(lr), lr.shape[1] * SCALE, lr.shape[2] * SCALE, 3):
                raise InputError(
                    f"{path}: frames of shape {lr.shape} do not fit originals of shape {hr_frames.shape}, {SCALE} times "
                    "the size was expected."
                )
            fields = np.concatenate([motion.to_prev, motion.to_next], axis=1).astype(np.float16)
            priors = prior_channels.make_priors(motion).astype(np.float16)
            clips.append(
                TrainingClip(
                    f"{root.name}/{path.name}",
                    lr,
                    hr_frames,
                    fields[: len(lr)],
                    priors[: len(lr)],
                    motion.is_cut[: len(lr)],
                )
            )
    return clips


def check_clips(clips: Sequence[TrainingClip], settings: Optimisation) -> None:
    """Refuse clips that are shorter or smaller than a training sample.

    Raises:
        InputError: one is, or there are no clips, or the crop does not consist of whole cells.
    """
    if settings.crop % CELL:
        raise InputError(f"optimisation.crop = {settings.crop}: a multiple of {CELL} was expected.")
    if settings.frames <= 2 * settings.context:
        raise InputError(
            f"optimisation.frames = {settings.frames}: more than the {2 * settings.context} frames of context were expected."
        )
    if not clips:
        raise InputError("No training clips: data.benchmarks names no folders.")
    for clip in clips:
        if len(clip) < settings.frames or min(clip.lr.shape[1:3]) < settings.crop:
            raise InputError(
                f"{clip.name}: has {len(clip)} frames of {clip.lr.shape[2]}x{clip.lr.shape[1]}; at least {settings.frames} "
                f"frames of {settings.crop}x{settings.crop} were expected."
            )


def make_batch(clips: Sequence[TrainingClip], settings: Optimisation, dropout: Dropout, step: int) -> Batch:
    """The batch of one step: random windows and crops; flipped, transposed, reversed in time and recoloured at random."""
    rng = np.random.default_rng((settings.seed, step))
    lengths = np.array([len(clip) for clip in clips], np.float64)
    samples = []
    for index in rng.choice(len(clips), settings.batch, p=lengths / lengths.sum()):
        clip, crop = clips[index], settings.crop
        t = int(rng.integers(len(clip) - settings.frames + 1))
        y = CELL * int(rng.integers((clip.lr.shape[1] - crop) // CELL + 1))
        x = CELL * int(rng.integers((clip.lr.shape[2] - crop) // CELL + 1))
        samples.append(_augment(_crop(clip, slice(t, t + settings.frames), y, x, crop, settings.context), rng))
    lr, hr, fields, priors, is_cut = (torch.from_numpy(np.stack(parts)) for parts in zip(*samples, strict=True))

    def kept(share_left_out: float) -> Tensor:
        return torch.from_numpy((rng.random(settings.batch) >= share_left_out).astype(np.float32))

    use_motion, use_priors = kept(dropout.motion), kept(dropout.priors)
    priors = priors * use_priors.view(-1, 1, 1, 1, 1)
    priors[:, :, prior_channels.MOTION_CHANNELS] *= use_motion.view(-1, 1, 1, 1, 1)
    return Batch(
        frames=lr,
        to_prev=fields[:, :, :2],
        to_next=fields[:, :, 2:],
        priors=priors,
        is_cut=is_cut,
        use_motion=use_motion,
        use_second_order=kept(dropout.second_order),
        target=hr,
        context=settings.context,
    )


_Sample = tuple[npt.NDArray[Any], ...]  # lr, hr (T, 3, H, W); fields, priors (T, C, h, w); is_cut (T,)


def _crop(clip: TrainingClip, window: slice, y: int, x: int, crop: int, context: int) -> _Sample:
    core = slice(window.start + context, window.stop - context)

    def pixels(frames: npt.NDArray[np.uint8], times: slice, scale: int) -> npt.NDArray[np.float32]:
        part = frames[times, y * scale : (y + crop) * scale, x * scale : (x + crop) * scale]
        return part.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(255)

    def cells(values: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
        part = values[window, :, y // CELL : (y + crop) // CELL, x // CELL : (x + crop) // CELL]
        return part.astype(np.float32)

    is_cut = clip.is_cut[window].copy()
    is_cut[0] = False
    return pixels(clip.lr, window, 1), pixels(clip.hr, core, SCALE), cells(clip.fields), cells(clip.priors), is_cut


_RECOLOURED = 0.5  # share of the samples
_RGB_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])


def _augment(sample: _Sample, rng: np.random.Generator) -> _Sample:
    lr, hr, fields, priors, is_cut = sample
    spatial = [lr, hr, fields, priors]
    flip_x, flip_y, transpose, reverse = rng.random(4) < 0.5
    if flip_x:
        spatial = [a[..., ::-1] for a in spatial]
        spatial[2] = spatial[2] * np.array([-1, 1, -1, 1], np.float32)[:, None, None]
    if flip_y:
        spatial = [a[..., ::-1, :] for a in spatial]
        spatial[2] = spatial[2] * np.array([1, -1, 1, -1], np.float32)[:, None, None]
    if transpose:
        spatial = [a.swapaxes(-1, -2) for a in spatial]
        spatial[2] = spatial[2][:, [1, 0, 3, 2]]
    if reverse:
        spatial = [a[::-1] for a in spatial]
        spatial[2] = spatial[2][:, [2, 3, 0, 1]]
        spatial[3] = spatial[3][:, [0, 1, 2, 3, 5, 4, 7, 6]]
        is_cut = np.concatenate([is_cut[:1], is_cut[:0:-1]])
    if rng.random() < _RECOLOURED:
        recolour = _recolouring(*(rng.random(3) < 0.5))
        spatial[:2] = [np.einsum("ij,tjhw->tihw", recolour, a) for a in spatial[:2]]
    return (*(np.ascontiguousarray(a) for a in spatial), np.ascontiguousarray(is_cut))


def _recolouring(negate_cb: bool, negate_cr: bool, swap: bool) -> npt.NDArray[np.float32]:
    """The (3, 3) matrix on RGB that turns colour differences over or exchanges them and leaves luma (BT.601) alone.

    The codec treats the two colour differences alike, so that its errors look the same afterwards; but the network cannot
    learn by heart which colours its clips happen to have.
    """
    change = np.diag([1.0, -1.0 if negate_cb else 1.0, -1.0 if negate_cr else 1.0])
    if swap:
        change = change[[0, 2, 1]]
    matrix: npt.NDArray[np.float32] = (np.linalg.inv(_RGB_TO_YCBCR) @ change @ _RGB_TO_YCBCR).astype(np.float32)
    return matrix
