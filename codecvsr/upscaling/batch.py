"""Several inputs one after the other; one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import CodecVSRError, InputError
from codecvsr.events import Failed
from codecvsr.files import FRAME_NAME, is_empty_folder, refuse_existing
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.default_output import default_output, is_single_picture, picture_suffix
from codecvsr.upscaling.folder_inputs import find_videos, is_folder_of_frames, separate_names
from codecvsr.upscaling.frame_names import split_output, split_pattern
from codecvsr.upscaling.options import RunSettings, UpscaleOptions, UpscaleReport, make_engine
from codecvsr.upscaling.spool import STDIN, is_pipe, spooled
from codecvsr.video.stream_mapping import CONTAINERS


@dataclass(frozen=True)
class Failure:
    """An input that was not upscaled, and why."""

    input: str
    error: str


@dataclass(frozen=True)
class BatchResult:
    """The inputs that were upscaled, those that failed, and those that were skipped because their outputs exist."""

    made: list[UpscaleReport]
    failed: list[Failure]
    skipped: list[str]


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
    if output == STDIN:
        raise InputError("-: stdout was named as the output; a file that ends in .mp4, .mkv or .mov was expected.")
    if any(is_pipe(path) for path in inputs):
        if len(inputs) > 1 or output is None:
            raise InputError(f"{inputs[0]}: a pipe is the only input, and its output is named with -o.")
        with spooled(inputs[0], output, settings.max_spool) as copy:
            return upscale_all([copy], output, options, settings, form=form)
    recursive = settings.recursive
    jobs = (
        plan_outputs(inputs, output, form, recursive=recursive)
        if output is not None
        else plan_default_outputs(inputs, options, form, recursive=recursive)
    )
    skips = settings.skip_existing
    if skips is None:
        skips = not settings.overwrite and any(path.is_dir() and not is_folder_of_frames(path) for path in inputs)
    skipped = [str(source) for source, target in jobs if skips and _is_done(target)]
    jobs = [(source, target) for source, target in jobs if not (skips and _is_done(target))]
    if not jobs:
        return BatchResult([], [], skipped)
    if settings.compare is not None and len(jobs) > 1:
        raise InputError("--compare is for one input; name the inputs one by one.")
    from codecvsr.upscaling.api import upscale_one  # imports torch, in more than a second

    engine = make_engine(options)
    made: list[UpscaleReport] = []
    failed: list[Failure] = []
    for source, target in jobs:
        try:
            if output is None and not CheckpointDir(*split_output(target)).is_finished:
                refuse_existing(target, overwrite=settings.overwrite, choose="another output with -o")
            made.append(upscale_one(engine, source, target, settings))
        except CodecVSRError as error:
            if len(jobs) == 1 and not skipped:
                raise
            failed.append(Failure(str(source), str(error)))
            if settings.on_event is not None:
                settings.on_event(Failed(str(source), str(error)))
    return BatchResult(made, failed, skipped)


def _is_done(target: Path) -> bool:
    """Whether an output exists and no unfinished run of it does."""
    place, pattern = split_output(target)
    return place.exists() and not is_empty_folder(place) and not CheckpointDir(place, pattern).exists


def plan_default_outputs(
    inputs: Sequence[Path], options: UpscaleOptions, form: str, *, recursive: bool = False
) -> list[tuple[Path, Path]]:
    """Returns every input with its output beside it; a folder of videos has a folder of outputs beside it.

    Raises:
        InputError: a folder has neither frames nor videos.
    """
    jobs: list[tuple[Path, Path]] = []
    for path in inputs:
        output = default_output(path, options, form)
        is_folder_of_videos = path.is_dir() and not is_folder_of_frames(path)
        jobs += plan_outputs([path], output, form, recursive=recursive) if is_folder_of_videos else [(path, output)]
    return separate_names(jobs)


def plan_outputs(
    inputs: Sequence[Path], output: Path, form: str = "auto", *, recursive: bool = False
) -> list[tuple[Path, Path]]:
    """Returns every input with its output.

    One input goes to ``output`` itself, unless ``form`` is set and ``output`` is a folder. Several go into the folder
    ``output`` under their own names.

    Raises:
        InputError: several inputs have no folder to go to.
    """
    sources: list[Path] = []
    places: dict[Path, Path] = {}
    for path in inputs:
        if path.is_dir() and not is_folder_of_frames(path):
            videos = find_videos(path, recursive=recursive)
            if not videos:
                raise InputError(f"{path}: has neither frames (PNG or JPEG) nor videos.")
            sources += videos
            places |= {video: video.parent.relative_to(path) for video in videos}
        else:
            sources.append(path)
    is_batch = len(sources) > 1 or (len(inputs) == 1 and sources != list(inputs))
    is_file = output.suffix.lower() in CONTAINERS and not output.is_dir()
    if not is_batch and (form == "auto" or is_file):
        is_into_folder = is_single_picture(sources[0]) and split_output(output)[1] == ""
        return [(sources[0], output / _name(sources[0], form) if is_into_folder else output)]
    if is_file or split_pattern(output)[1] is not None:
        raise InputError(f"{output}: several inputs need a folder for their outputs.")
    jobs = [(source, output / places.get(source, Path()) / _name(source, form)) for source in sources]
    return separate_names(jobs)


def _name(source: Path, form: str) -> str:
    stem = source.name if source.is_dir() else source.stem
    if form in ("auto", "png") and is_single_picture(source):
        return stem + picture_suffix(source, form)
    if form == "png":
        return f"{stem}/{FRAME_NAME}"
    own = source.suffix.lower() if source.suffix.lower() in CONTAINERS and not source.is_dir() else ".mkv"
    return f"{stem}{own if form == 'auto' else '.' + form}"
