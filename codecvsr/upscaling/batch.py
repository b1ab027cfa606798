"""Several inputs one after the other; one that fails does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codecvsr.errors import CodecVSRError, InputError
from codecvsr.events import Failed
from codecvsr.files import FRAME_NAME, is_empty_folder, refuse_existing
from codecvsr.upscaling.checkpoint_dir import CheckpointDir
from codecvsr.upscaling.default_output import default_output, output_of_one, picture_name
from codecvsr.upscaling.display_names import DisplayNames
from codecvsr.upscaling.engine import make_engine
from codecvsr.upscaling.folder_inputs import find_videos, is_folder_of_frames, log_choice, separate_names
from codecvsr.upscaling.frame_names import split_output, split_pattern
from codecvsr.upscaling.options import RunSettings, UpscaleOptions, UpscaleReport
from codecvsr.upscaling.spool import is_pipe, pipe_name, spooled
from codecvsr.upscaling.stream_output import for_stream, is_stream, stream_name, stream_suffix, streamed
from codecvsr.video.stream_mapping import CONTAINERS, RAW_CONTAINERS


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
        output: see :func:`plan_outputs`; or standard output or a pipe, for one input; None for :func:`default_output` of every input.
        options: decide the result.
        settings: of the run.
        form: see :func:`plan_outputs`.

    Raises:
        CodecVSRError: the options cannot be used; or there is one input, and it failed.
    """
    if output is not None and is_stream(output):
        return _upscale_into_stream(inputs, output, options, settings, form)
    if any(is_pipe(path) for path in inputs):
        if len(inputs) > 1 or output is None:
            raise InputError(f"{pipe_name(inputs[0])}: a pipe is the only input, and its output is named with -o.")
        with spooled(inputs[0], output, settings.max_spool) as copy:
            names = DisplayNames({copy: pipe_name(inputs[0])})
            with names.in_messages():
                return _named(names, upscale_all([copy], output, options, names.in_settings(settings), form=form))
    jobs, skipped = plan_jobs(inputs, output, options, settings, form)
    if not jobs:
        return BatchResult([], [], skipped)
    if settings.compare is not None and len(jobs) > 1:
        raise InputError("--compare is for one input; name the inputs one by one.")
    from codecvsr.upscaling.api import upscale_one  # imports torch, in more than a second

    engine = make_engine(options)
    has_new_preview = settings.preview is not None and not settings.preview.exists()
    made: list[UpscaleReport] = []
    failed: list[Failure] = []
    for source, target in jobs:
        try:
            if output is None and not CheckpointDir(*split_output(target)).is_finished:
                refuse_existing(target, overwrite=settings.overwrite, choose="another output with -o")
            made.append(upscale_one(engine, source, target, settings, replaces_preview=has_new_preview))
        except CodecVSRError as error:
            if len(jobs) == 1 and not skipped:
                raise
            failed.append(Failure(str(source), str(error)))
            if settings.on_event is not None:
                settings.on_event(Failed(str(source), str(error)))
    return BatchResult(made, failed, skipped)


def _upscale_into_stream(
    inputs: Sequence[Path], output: Path, options: UpscaleOptions, settings: RunSettings, form: str
) -> BatchResult:
    """Upscales one input into standard output or a pipe."""
    check_stream_inputs(inputs, output)
    suffix, settings = stream_suffix(output, form), for_stream(settings, output)
    with streamed(output, suffix, settings) as (file, settings):
        names = DisplayNames({file: stream_name(output)})
        with names.in_messages():
            return _named(names, upscale_all(inputs, file, options, names.in_settings(settings)))


def check_stream_inputs(inputs: Sequence[Path], output: Path) -> None:
    """Checks that a pipe as the output gets one video.

    Raises:
        InputError: there are several inputs.
    """
    if len(inputs) > 1 or (inputs[0].is_dir() and not is_folder_of_frames(inputs[0])):
        raise InputError(f"{stream_name(output)}: takes the output of one input; name a folder for several.")


def _named(names: DisplayNames, result: BatchResult) -> BatchResult:
    return BatchResult(
        [names.in_fields(report) for report in result.made],
        [names.in_fields(failure) for failure in result.failed],
        [names.in_text(skipped) for skipped in result.skipped],
    )


def plan_jobs(
    inputs: Sequence[Path], output: Path | None, options: UpscaleOptions, settings: RunSettings, form: str
) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Returns every input that will be upscaled, with its output, and the inputs that are skipped.

    Raises:
        InputError: see :func:`plan_outputs` and :func:`plan_default_outputs`.
    """
    for path in inputs:
        log_choice(path)
    jobs = (
        plan_outputs(inputs, output, form, recursive=settings.recursive)
        if output is not None
        else plan_default_outputs(inputs, options, form, recursive=settings.recursive)
    )
    skips = settings.skip_existing
    if skips is None:
        skips = not settings.overwrite and any(path.is_dir() and not is_folder_of_frames(path) for path in inputs)
    skipped = [str(source) for source, target in jobs if skips and _is_done(target)]
    return [(source, target) for source, target in jobs if str(source) not in skipped], skipped


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
    is_file = output.suffix.lower() in (*CONTAINERS, *RAW_CONTAINERS) and not output.is_dir()
    if not is_batch and (form == "auto" or is_file):
        return [(sources[0], output_of_one(sources[0], output, form))]
    if is_file or split_pattern(output)[1] is not None:
        raise InputError(f"{output}: several inputs need a folder for their outputs.")
    jobs = [(source, output / places.get(source, Path()) / _name(source, form)) for source in sources]
    return separate_names(jobs)


def _name(source: Path, form: str) -> str:
    stem = source.name if source.is_dir() else source.stem
    if form in ("auto", "png") and (name := picture_name(source, form)) is not None:
        return name
    if form == "png":
        return f"{stem}/{FRAME_NAME}"
    own = source.suffix.lower() if source.suffix.lower() in CONTAINERS and not source.is_dir() else ".mkv"
    return f"{stem}{own if form == 'auto' else '.' + form}"
