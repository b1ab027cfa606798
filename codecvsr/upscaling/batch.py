"""Several inputs one after the other; one that fails does not stop the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import CodecVSRError, InputError
from codecvsr.events import Failed
from codecvsr.files import FRAME_NAME, VIDEO_SUFFIXES, refuse_existing
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.default_output import default_output
from codecvsr.upscaling.frame_names import split_pattern
from codecvsr.upscaling.options import RunSettings, UpscaleOptions, UpscaleReport, make_engine
from codecvsr.video.probe import is_folder_of_frames
from codecvsr.video.stream_mapping import CONTAINERS


@dataclass(frozen=True)
class Failure:
    """An input that was not upscaled, and why."""

    input: str
    error: str


@dataclass(frozen=True)
class BatchResult:
    """The inputs that were upscaled, and those that failed."""

    made: list[UpscaleReport]
    failed: list[Failure]


def upscale_all(
    inputs: Sequence[Path], output: Path | None, options: UpscaleOptions, settings: RunSettings, *, form: str = "auto"
) -> BatchResult:
    """Upscales inputs into ``output``, or into one output each in the folder ``output``, or beside the inputs.

    Args:
        inputs: videos, folders of frames, folders of videos.
        output: see :func:`plan_outputs`; None for :func:`default_output` of every input.
        options: decide the result.
        settings: of the run.
        form: see :func:`plan_outputs`.

    Raises:
        CodecVSRError: the options cannot be used; or there is one input, and it failed.
    """
    jobs = plan_outputs(inputs, output, form) if output is not None else plan_default_outputs(inputs, options, form)
    if settings.compare is not None and len(jobs) > 1:
        raise InputError("--compare is for one input; name the inputs one by one.")
    from codecvsr.upscaling.api import upscale_one  # imports torch, in more than a second

    engine = make_engine(options)
    made: list[UpscaleReport] = []
    failed: list[Failure] = []
    for source, target in jobs:
        try:
            if output is None and not CheckpointDir(target).is_finished:
                refuse_existing(target, overwrite=settings.overwrite, choose="another output with -o")
            made.append(upscale_one(engine, source, target, settings))
        except CodecVSRError as error:
            if len(jobs) == 1:
                raise
            failed.append(Failure(str(source), str(error)))
            if settings.on_event is not None:
                settings.on_event(Failed(str(source), str(error)))
    return BatchResult(made, failed)


def plan_default_outputs(inputs: Sequence[Path], options: UpscaleOptions, form: str) -> list[tuple[Path, Path]]:
    """Returns every input with its output beside it; a folder of videos has a folder of outputs beside it.

    Raises:
        InputError: two inputs would have the same output, or a folder has neither frames nor videos.
    """
    jobs: list[tuple[Path, Path]] = []
    for path in inputs:
        output = default_output(path, options, form)
        is_folder_of_videos = path.is_dir() and not is_folder_of_frames(path)
        jobs += plan_outputs([path], output, form) if is_folder_of_videos else [(path, output)]
    _refuse_same(jobs, "upscale them one by one, each with -o")
    return jobs


def _refuse_same(jobs: Sequence[tuple[Path, Path]], advice: str) -> None:
    twice = [str(target) for target, count in Counter(target for _, target in jobs).items() if count > 1]
    if twice:
        raise InputError(f"two inputs would become {twice[0]}; {advice}.")


def plan_outputs(inputs: Sequence[Path], output: Path, form: str = "auto") -> list[tuple[Path, Path]]:
    """Returns every input with its output.

    One input goes to ``output`` itself, unless ``form`` is set and ``output`` is a folder. Several go into the folder
    ``output`` under their own names.

    Raises:
        InputError: two inputs would have the same output, or several inputs have no folder to go to.
    """
    sources: list[Path] = []
    for path in inputs:
        if path.is_dir() and not is_folder_of_frames(path):
            videos = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            if not videos:
                raise InputError(f"{path}: has neither frames (PNG or JPEG) nor videos.")
            sources += videos
        else:
            sources.append(path)
    is_batch = len(sources) > 1 or (len(inputs) == 1 and sources != list(inputs))
    is_file = output.suffix.lower() in CONTAINERS and not output.is_dir()
    if not is_batch and (form == "auto" or is_file):
        return [(sources[0], output)]
    if is_file or split_pattern(output)[1] is not None:
        raise InputError(f"{output}: several inputs need a folder for their outputs.")
    jobs = [(source, output / _name(source, form)) for source in sources]
    _refuse_same(jobs, "name them one by one")
    return jobs


def _name(source: Path, form: str) -> str:
    stem = source.name if source.is_dir() else source.stem
    if form == "png":
        return f"{stem}/{FRAME_NAME}"
    own = source.suffix.lower() if source.suffix.lower() in CONTAINERS and not source.is_dir() else ".mkv"
    return f"{stem}{own if form == 'auto' else '.' + form}"
