"""What a comparison has to measure: every model, clip and option is checked before the first frame is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from codecvsr.compare.clips import TestClip
from codecvsr.compare.comparison import Failed
from codecvsr.compare.measurements import Settings
from codecvsr.compare.variants import Variant, ablation_variants, windows_of
from codecvsr.engine.device import choose_device
from codecvsr.errors import InputError
from codecvsr.inference.ablations import choose_motion
from codecvsr.models.zoo import LoadedModel, load_model


@dataclass
class Work:
    """The variants of a comparison and their measurements.

    Attributes:
        variants: in the order of the table.
        pairs: every variant with every clip that it can run on.
        failed: variants that cannot run on a clip, and why.
    """

    variants: list[Variant] = field(default_factory=list)
    pairs: list[tuple[Variant, TestClip]] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)


def plan_work(
    asked: Sequence[Variant], clips: Sequence[TestClip], settings: Settings, *, ablations: bool = False
) -> Work:
    """Lists all measurements.

    Args:
        asked: the variants that the user named.
        clips: all clips.
        settings: shared by all measurements.
        ablations: add a variant without each part that a model has.

    Raises:
        InputError: the device or a model is not there, a model cannot do what its variant asks, or a clip does not fit its
            original.
        CheckpointError: a model's file is not one.
    """
    choose_device(settings.device)
    for clip in clips:
        clip.check(clip.length(settings.frames))
    frames = max(clip.length(settings.frames) for clip in clips)
    work, loaded = Work(), dict[str, LoadedModel]()  # one model at a time: two large ones may not fit in memory
    for variant in asked:
        if variant.model not in loaded:
            loaded = {variant.model: load_model(variant.model)}
        model = loaded[variant.model]
        more = ablation_variants(variant, model, frames) if ablations else []
        for each in [variant, *(other for other in more if other.name not in {one.name for one in asked})]:
            kind = choose_motion(model, each.motion, each.ablations)
            if model.descriptor.is_sliding:
                windows_of(each, model, frames)  # refuses windows in addition to the network's own
            work.variants.append(each)
            for clip in clips:
                try:
                    _check_pair(each, model, kind, clip, settings)
                except InputError as error:
                    work.failed.append(Failed(each.name, clip.key, str(error)))
                else:
                    work.pairs.append((each, clip))
    return work


def _check_pair(variant: Variant, model: LoadedModel, kind: str, clip: TestClip, settings: Settings) -> None:
    windows_of(variant, model, clip.length(settings.frames))
    if kind in ("codec", "raw") and not clip.folder.has_motion and clip.folder.stream is None:
        raise InputError(
            f"{clip.folder.path}: has neither clip.mp4 nor codec.npz to read motion from; make the clip with codecvsr "
            f"benchmark, or use {variant.model}@dis."
        )


class RemainingTime:
    """Estimates the time for the measurements that are left from those that were made."""

    def __init__(self, work: Work, settings: Settings) -> None:
        """Nothing was measured yet."""
        self._left = [(variant, clip.length(settings.frames)) for variant, clip in work.pairs]
        self._measured: dict[Variant, tuple[float, int]] = {}  # seconds, frames

    def add(self, variant: Variant, seconds: float, frames: int) -> None:
        """Adds the next measurement, which took so many seconds for so many frames."""
        total, count = self._measured.get(variant, (0.0, 0))
        self._measured[variant] = total + seconds, count + frames
        self._left.pop(0)

    def skip(self) -> None:
        """Passes over the next measurement, which was stored or failed."""
        self._left.pop(0)

    def seconds(self) -> float | None:
        """Returns the estimate; None before a first measurement.

        A variant that was not measured yet is taken for as slow as those of its model on average, or as the slowest of all. Its
        first clip takes longer, for what is counted once.
        """
        if not self._measured:
            return None
        return sum(frames * self._per_frame(variant) for variant, frames in self._left)

    def _per_frame(self, variant: Variant) -> float:
        if variant in self._measured:
            seconds, frames = self._measured[variant]
            return seconds / frames
        if of_model := [spent for other, spent in self._measured.items() if other.model == variant.model]:
            return sum(seconds for seconds, _ in of_model) / sum(frames for _, frames in of_model)
        return max(seconds / frames for seconds, frames in self._measured.values())
