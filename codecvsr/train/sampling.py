"""Batches: random windows and crops of clips, with random flips, transposition, time reversal and recolouring.

A batch depends only on the run's seed and the number of the step: a resumed run has the same batches as an uninterrupted one,
and several processes agree on their parts of a batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from codecvsr.constants import CELL, SCALE
from codecvsr.errors import InputError
from codecvsr.models import priors as prior_channels
from codecvsr.train.data import TrainingClip
from codecvsr.train.recipe import Recipe, Window

_RECOLOURED = 0.5  # share of recoloured samples
_RGB_TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
_REVERSED_FIELDS = [2, 3, 0, 1]  # to_next, to_prev
_REVERSED_PRIORS = [0, 1, 2, 3, 5, 4, 7, 6]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """The input of one step; tensors as for ``models.codecvsr.CodecVSR.forward``, and the target."""

    frames: Tensor
    to_prev: Tensor
    to_next: Tensor
    priors: Tensor
    is_cut: Tensor
    use_motion: Tensor
    use_second_order: Tensor
    target: Tensor
    context: int = 0  #: frames at either end without a target
    use_future: Tensor | None = None  #: None where every sample sees later frames


@dataclass(frozen=True)
class _Choice:
    """One sample: its position in a clip, and its augmentation."""

    clip: TrainingClip
    time: int
    y: int
    x: int
    flip_x: bool
    flip_y: bool
    transpose: bool
    reverse: bool
    colours: npt.NDArray[np.float32]


class Sampler:
    """Draws batches from clips."""

    def __init__(
        self, sources: Sequence[Sequence[TrainingClip]], recipe: Recipe, *, part: int = 0, parts: int = 1
    ) -> None:
        """Find the clips that are large enough for every kind of window.

        Args:
            sources: the clips, in the groups of ``recipe.data.shares``.
            recipe: kinds of windows, shares, dropout and seed.
            part: number of this process, with the samples ``part``, ``part + parts``, ... of every batch.
            parts: number of processes that share a batch.

        Raises:
            InputError: no clip is large enough for a window, a crop is not a multiple of 4, a window has no target, or a batch
                cannot be shared equally.
        """
        self._seed, self._dropout, self._part, self._parts = recipe.optimisation.seed, recipe.dropout, part, parts
        self._kinds = recipe.kinds()
        total = sum(kind.share for kind in self._kinds)
        self._shares = [kind.share / total for kind in self._kinds]
        self._fitting = [_fitting(sources, recipe.data.shares, kind) for kind in self._kinds]
        for kind in self._kinds:
            if kind.batch % parts:
                raise InputError(f"a batch of {kind.batch} samples cannot be shared by {parts} processes equally.")

    def batch(self, step: int) -> Batch:
        """Returns the batch of a step, or this process's part of it."""
        rng = np.random.default_rng((self._seed, step))
        index = int(rng.choice(len(self._kinds), p=self._shares)) if len(self._kinds) > 1 else 0
        kind, (clips, odds) = self._kinds[index], self._fitting[index]
        chosen = rng.choice(len(clips), kind.batch, p=odds)
        choices = [_choose(clips[int(i)], kind, rng) for i in chosen]
        enabled = [
            rng.random(kind.batch) >= share
            for share in (self._dropout.motion, self._dropout.priors, self._dropout.second_order, self._dropout.future)
        ]
        own = slice(self._part, None, self._parts)
        device = choices[0].clip.lr.device
        motion, priors, second, future = (torch.from_numpy(k[own].astype(np.float32)).to(device) for k in enabled)
        return _make_batch(choices[own], kind, motion, priors, second, future if self._dropout.future else None)


def _fitting(
    sources: Sequence[Sequence[TrainingClip]], shares: Sequence[float], kind: Window
) -> tuple[list[TrainingClip], npt.NDArray[np.float64]]:
    """Returns the clips that are large enough for a window, and their probabilities: source share times share of frames."""
    if kind.crop % CELL:
        raise InputError(f"a crop of {kind.crop} pixels: a multiple of {CELL} was expected.")
    if kind.frames <= 2 * kind.context:
        raise InputError(
            f"windows of {kind.frames} frames: more than the {2 * kind.context} frames of context were expected."
        )
    clips: list[TrainingClip] = []
    odds: list[float] = []
    for number, source in enumerate(sources):
        fitting = [c for c in source if len(c) >= kind.frames and min(c.lr.shape[1:3]) >= kind.crop]
        if len(fitting) < len(source):
            log.info("%d of %d clips are too small for %s", len(source) - len(fitting), len(source), kind)
        frames = sum(map(len, fitting))
        clips += fitting
        odds += [len(clip) * (shares[number] / frames if shares else 1.0) for clip in fitting]
    if not clips or not sum(odds):
        raise InputError(
            f"no clip has {kind.frames} frames of {kind.crop}x{kind.crop} low-resolution pixels, as the windows need; the "
            f"largest has {max(len(c) for s in sources for c in s)} frames."
        )
    return clips, np.array(odds) / sum(odds)


def _choose(clip: TrainingClip, kind: Window, rng: np.random.Generator) -> _Choice:
    frames, height, width = clip.lr.shape[:3]
    time = int(rng.integers(frames - kind.frames + 1))
    y, x = (CELL * int(rng.integers((size - kind.crop) // CELL + 1)) for size in (height, width))
    flip_x, flip_y, transpose, reverse = (bool(value) for value in rng.random(4) < 0.5)
    colours = np.eye(3, dtype=np.float32)
    if rng.random() < _RECOLOURED:
        colours = _recolouring(*(rng.random(3) < 0.5))
    return _Choice(clip, time, y, x, flip_x, flip_y, transpose, reverse, colours)


def _make_batch(
    choices: Sequence[_Choice],
    kind: Window,
    use_motion: Tensor,
    use_priors: Tensor,
    use_second_order: Tensor,
    use_future: Tensor | None,
) -> Batch:
    """Returns the batch of these samples; the flags (N,) float32 enable motion, priors, second order and later frames."""
    parts = [torch.stack(list(tensors)) for tensors in zip(*(_sample(c, kind) for c in choices), strict=True)]
    lr, hr, fields, priors, is_cut = parts
    colours = torch.from_numpy(np.stack([c.colours for c in choices])).to(lr.device)

    def pixels(frames: Tensor) -> Tensor:
        coloured = torch.einsum("ntyxj,nij->ntiyx", frames.float() / 255, colours)
        return coloured.contiguous()

    fields, priors = fields.float(), priors.float()
    if use_future is not None:
        for channel, absent in zip(prior_channels.FUTURE_CHANNELS, prior_channels.NO_FUTURE, strict=True):
            priors[use_future == 0, :, channel] = absent
    priors *= use_priors.view(-1, 1, 1, 1, 1)
    priors[:, :, prior_channels.MOTION_CHANNELS] *= use_motion.view(-1, 1, 1, 1, 1)
    to_prev, to_next = (part.contiguous() for part in fields.split(2, dim=2))
    low, high = pixels(lr), pixels(hr)
    return Batch(low, to_prev, to_next, priors, is_cut, use_motion, use_second_order, high, kind.context, use_future)


def _sample(choice: _Choice, kind: Window) -> tuple[Tensor, ...]:
    """Returns lr, hr (T, H, W, 3) uint8; fields, priors (T, C, h, w) float16; is_cut (T,) bool."""
    clip, start, stop = choice.clip, choice.time, choice.time + kind.frames

    def pixels(frames: Tensor, first: int, last: int, scale: int) -> Tensor:
        y, x, size = choice.y * scale, choice.x * scale, kind.crop * scale
        return frames[first:last, y : y + size, x : x + size]

    def cells(values: Tensor) -> Tensor:
        y, x, size = choice.y // CELL, choice.x // CELL, kind.crop // CELL
        return values[start:stop, :, y : y + size, x : x + size]

    lr, hr = pixels(clip.lr, start, stop, 1), pixels(clip.hr, start + kind.context, stop - kind.context, SCALE)
    fields, priors = cells(clip.fields), cells(clip.priors)
    is_cut = clip.is_cut[start:stop].clone()
    is_cut[0] = False
    signs = [-1.0 if choice.flip_x else 1.0, -1.0 if choice.flip_y else 1.0]
    for flipped, axis in ((choice.flip_x, 2), (choice.flip_y, 1)):
        if flipped:
            lr, hr, fields, priors = lr.flip(axis), hr.flip(axis), fields.flip(axis + 1), priors.flip(axis + 1)
    if signs != [1.0, 1.0]:
        fields = fields * torch.tensor(2 * signs, dtype=fields.dtype, device=fields.device)[:, None, None]
    if choice.transpose:
        lr, hr = lr.transpose(1, 2), hr.transpose(1, 2)
        fields, priors = fields[:, [1, 0, 3, 2]].transpose(2, 3), priors.transpose(2, 3)
    if choice.reverse:
        lr, hr = lr.flip(0), hr.flip(0)
        fields, priors = fields.flip(0)[:, _REVERSED_FIELDS], priors.flip(0)[:, _REVERSED_PRIORS]
        is_cut = torch.cat([is_cut[:1], is_cut[1:].flip(0)])
    return lr, hr, fields, priors, is_cut


def _recolouring(negate_cb: bool, negate_cr: bool, swap: bool) -> npt.NDArray[np.float32]:
    """Returns a (3, 3) matrix on RGB that negates or exchanges Cb and Cr and preserves luma (BT.601).

    The codec treats Cb and Cr alike, so that its artefacts remain realistic; but the network cannot memorise the colours of its
    training clips.
    """
    change = np.diag([1.0, -1.0 if negate_cb else 1.0, -1.0 if negate_cr else 1.0])
    if swap:
        change = change[[0, 2, 1]]
    matrix: npt.NDArray[np.float32] = (np.linalg.inv(_RGB_TO_YCBCR) @ change @ _RGB_TO_YCBCR).astype(np.float32)
    return matrix
