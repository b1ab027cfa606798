"""Making test clips: one folder per clip and CRF, with its failures collected."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from codecvsr.bitstream.mv_sources.extractors import check_extractor
from codecvsr.datasets.benchmark_clip import build_clip
from codecvsr.datasets.benchmark_settings import BenchmarkSettings, crf_label, stream_facts
from codecvsr.datasets.hr_sources import HRSource, LRSpool, find_sources, shrink_source
from codecvsr.errors import CodecVSRError, OutputError
from codecvsr.events import Progress
from codecvsr.files import FRAME_NAME, atomic_folder, check_frame_folder, refuse_existing
from codecvsr.inference import clip_folder


def _silent(items: Iterable[Any], description: str, total: int | None) -> Iterable[Any]:
    return items


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
                names = {FRAME_NAME % index for index in range(len(pristine))}
                for crf, group in groups.items():
                    try:
                        check_frame_folder(group / source.name / clip_folder.FRAMES, names.__contains__)
                        with atomic_folder(group / source.name, overwrite=overwrite) as folder:
                            made = build_clip(source, pristine, folder, crf, settings, progress)
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
    wanted = stream_facts(settings)
    for group in groups.values():
        for meta_path in sorted(group.glob(f"*/{clip_folder.META}")):
            folder = meta_path.parent
            if folder.name.startswith("."):
                continue
            if folder.name in replaced:
                refuse_existing(folder, overwrite=overwrite, choose="another --out-root or --name")
                continue
            meta = clip_folder.read_meta(folder)
            other = [f"{key} {meta.get(key)} (now {wanted[key]})" for key in wanted if meta.get(key) != wanted[key]]
            if other:
                raise OutputError(
                    f"{folder}: was made with {', '.join(other)}; clips of one folder are made alike. Choose another "
                    "--out-root or --name, or make all its clips again with -y/--overwrite."
                )
