"""``codecvsr infer`` of whole benchmark folders: every clip through one network, each into a folder of its own."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from codecvsr.errors import CodecVSRError, InputError, OutputError
from codecvsr.events import Progress
from codecvsr.files import atomic_folder, check_frame_folder, check_writable, is_empty_folder, refuse_existing
from codecvsr.inference.ablations import NO_ABLATIONS, Ablations, MotionKind
from codecvsr.inference.clip_folder import ClipFolder, find_clip_folders
from codecvsr.inference.infer import InferReport, ReadyNetwork, load_network
from codecvsr.inference.skip_choice import SkipStatic
from codecvsr.inference.strength import check_strength
from codecvsr.inference.tiles import check_tile


@dataclass(frozen=True)
class ClipOutput:
    """A clip folder or video, and the folder for its pictures."""

    clip: Path
    out_dir: Path


@dataclass(frozen=True)
class FailedClip:
    """A clip that was not upscaled."""

    clip: str
    error: str


@dataclass
class ClipsReport:
    """What :func:`infer_clips` did: a report per clip, and the clips that failed."""

    done: list[tuple[Path, InferReport]] = field(default_factory=list)
    failed: list[FailedClip] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The report as the command's ``--json`` prints it."""
        clips = [{"clip": str(clip), **report.to_json()} for clip, report in self.done]
        return {"clips": clips, "failed": [{"clip": f.clip, "error": f.error} for f in self.failed]}


def is_one_clip(roots: Sequence[Path]) -> bool:
    """Whether the roots are one clip folder or video, whose pictures go into the output folder itself."""
    return len(roots) == 1 and (not roots[0].is_dir() or find_clip_folders(roots[0]) in ([], [roots[0]]))


def clip_outputs(roots: Sequence[Path], out_dir: Path) -> list[ClipOutput]:
    """Finds all clips and the folder of each: ``OUT/CLIP``, or ``OUT/BENCHMARK/CLIP`` where two clips have one name.

    Args:
        roots: clip folders, videos, benchmark folders, or folders of those.
        out_dir: OUT.

    Raises:
        InputError: a root has no clips, or two clips would share a folder.
    """
    clips: dict[Path, Path] = {}  # by resolved path: links to one folder count once
    for root in roots:
        found = find_clip_folders(root) if root.is_dir() else [root]
        if not found:
            raise InputError(f"{root}: has no clip folders (with frames in lr/); make them with codecvsr benchmark.")
        clips = {path.resolve(): path for path in found} | clips
    names = Counter(_name(place) for place in clips)
    is_unique = max(names.values()) == 1
    outputs: dict[Path, Path] = {}
    for place, clip in sorted(clips.items(), key=lambda item: (item[0].parent.name, _name(item[0]))):
        folder = out_dir / _name(place) if is_unique else out_dir / place.parent.name / _name(place)
        if folder in outputs:
            raise InputError(f"{outputs[folder]} and {clip}: would both be written to {folder}; infer them one by one.")
        outputs[folder] = clip
    return [ClipOutput(clip, folder) for folder, clip in outputs.items()]


def infer_clips(
    roots: Sequence[Path],
    out_dir: Path,
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
    progress: Callable[[str], Progress] | None = None,
) -> ClipsReport:
    """Upscale every clip of benchmark folders with one network.

    The outputs, the model and the clips are checked before the first frame. A clip that fails later is in ``failed``, and the
    others are made.

    Args:
        roots: clip folders, videos, benchmark folders, or folders of those.
        out_dir: each clip's pictures go to ``OUT/CLIP`` (:func:`clip_outputs`).
        model: as for :func:`codecvsr.inference.infer.infer`, like the options that follow.
        motion: what aligns the frames.
        ablations: parts to leave out.
        window: frames per window; 0 for as many as memory has room for.
        tile: side of the tiles in pixels; 0 for whole frames.
        skip_static: ``frames``, ``blocks``, ``auto`` or ``off``.
        strength: share of the network's pictures; the rest is bicubic interpolation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: ``auto``, ``fp32``, ``fp16`` or ``bf16``.
        compile: through torch.compile or not; None for where it pays.
        allow_damaged: use the frames before the damage of a damaged video.
        overwrite: replace frames of the same names; other files stay.
        progress: called with a caption such as ``2 of 5: park``; returns what shows the progress of that clip.

    Raises:
        InputError: a clip cannot be used, or the model cannot do what is asked.
        OutputError: an output exists already, holds pictures that would pass for frames, or cannot be written.
        CheckpointError: the model's file is not one.
        KeyboardInterrupt: with a sentence that counts the finished clips.
    """
    check_tile(tile)
    check_strength(strength)
    jobs = clip_outputs(roots, out_dir)
    for job in jobs:
        _check_output(job, overwrite)
    network = load_network(model, motion, ablations, device=device, precision=precision, compile=compile)
    for job in jobs:
        _check_clip(job, network)
    report = ClipsReport()
    try:
        for number, job in enumerate(jobs, 1):
            begun = time.monotonic()
            shown = (
                None if progress is None else progress(f"{number} of {len(jobs)}: {job.out_dir.relative_to(out_dir)}")
            )
            try:
                with atomic_folder(job.out_dir, overwrite=overwrite) as part:
                    source = network.load(job.clip, allow_damaged=allow_damaged)
                    check_frame_folder(job.out_dir, source.names.__contains__)
                    made = network.write(
                        source,
                        part,
                        window=window,
                        tile=tile,
                        skip_static=skip_static,
                        strength=strength,
                        progress=shown,
                    )
            except OutputError:  # a full disk is full for every clip
                raise
            except CodecVSRError as error:
                report.failed.append(FailedClip(str(job.clip), str(error)))
            else:
                seconds = time.monotonic() - begun
                report.done.append((job.clip, replace(made, seconds=seconds, out_dir=str(job.out_dir))))
    except KeyboardInterrupt as interrupt:
        message = f"{len(report.done)} of {len(jobs)} clips are complete in {out_dir}."
        raise KeyboardInterrupt(message) from interrupt
    return report


def _name(clip: Path) -> str:
    return clip.stem if clip.is_file() else clip.name


def _check_output(job: ClipOutput, overwrite: bool) -> None:
    if job.out_dir.exists() and not job.out_dir.is_dir():
        raise OutputError(f"{job.out_dir}: is a file; a folder was expected. Choose another output.")
    if not is_empty_folder(job.out_dir):
        refuse_existing(job.out_dir, overwrite=overwrite)
    check_writable(job.out_dir)


def _check_clip(job: ClipOutput, network: ReadyNetwork) -> None:
    """Checks the names in a clip folder, that it has the motion the network needs, and foreign pictures in the output."""
    if job.clip.is_dir():
        folder = ClipFolder.open(job.clip)
        if network.kind in ("codec", "raw") and not folder.has_motion and folder.stream is None:
            raise InputError(
                f"{job.clip}: has no clip.mp4 to read motion from and no codec.npz; make the clip with codecvsr benchmark, "
                "or add --motion dis."
            )
        check_frame_folder(job.out_dir, {f"{path.stem}.png" for path in folder.frames}.__contains__)
