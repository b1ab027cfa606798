"""``codecvsr upscale``: upscales whole videos of any length in bounded memory, and continues where a run was stopped.

A video is scanned once and cut into chunks. Every chunk is decoded, gets its motion, is upscaled and encoded, and is then durable.
Decoding, network and encoding overlap. A chunk depends only on its own frames and its context frames, so that a run that was
stopped continues with the next chunk and makes the same output.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import torch

import codecvsr
from codecvsr.errors import DamagedInputError, OutputError
from codecvsr.events import Finished
from codecvsr.files import check_frame_folder, refuse_existing
from codecvsr.upscaling.checkpoint_dir import CheckpointDir, fingerprint
from codecvsr.upscaling.comparison import check_comparison, check_place, write_comparison
from codecvsr.upscaling.default_output import output_of_one
from codecvsr.upscaling.engine import Engine, make_engine
from codecvsr.upscaling.frame_names import check_output_name, is_frame, may_make, split_output
from codecvsr.upscaling.job import Job
from codecvsr.upscaling.options import RunSettings, UpscaleOptions, UpscaleReport
from codecvsr.video import stream_mapping
from codecvsr.video.image_writer import is_image_name
from codecvsr.video.probe import Media

_PREVIEW = "preview"  # note of the path in the checkpoint folder


def upscale(
    source: str | Path,
    output: str | Path,
    *,
    resume: bool | None = None,
    overwrite: bool = False,
    strict: bool = False,
    compare: str | Path | None = None,
    preview: str | Path | None = None,
    workers: int = 0,
    ray: str | None = None,
    listener: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> UpscaleReport:
    """Upscales a video, or a folder of frames, and copies its other streams.

    Args:
        source: a video of any codec, a folder of PNG or JPEG frames, a picture, or an animated GIF, PNG or WebP file.
        output: an .mp4, .mkv or .mov file; for PNG frames, a folder or a pattern like ``frames/%08d.png``; for a picture, an
            image file.
        resume: continue an unfinished run; None for yes unless ``overwrite`` is set.
        overwrite: replace the output, and start over unless ``resume`` is set too.
        strict: refuse, before any work, an output that cannot store everything the source has.
        compare: also make a picture (.png) or video (.mp4) of before and after, side by side.
        preview: write a picture (.png) of before and after, and update it with every shot.
        workers: processes; 0 for one per GPU, or this process on a CPU.
        ray: "auto" or the address of a Ray cluster whose machines see input and output at the same paths.
        listener: called with every event, a JSON object: see :mod:`codecvsr.events`.
        **options: fields of :class:`UpscaleOptions`, such as ``deinterlace="field"``.

    Raises:
        InputError: the input or an option cannot be used.
        OutputError: the output exists, cannot be written or cannot store all streams, or an unfinished run has other options.
        CheckpointError: the model's file is not a checkpoint.
        KeyboardInterrupt: Ctrl-C stopped the run; its text says how to continue.
    """
    settings = RunSettings(
        resume=resume, overwrite=overwrite, strict=strict, compare=Path(compare) if compare else None,
        preview=Path(preview) if preview else None, workers=workers, ray=ray,
        on_event=None if listener is None else lambda event: listener(event.to_json()),
    )  # fmt: skip
    target = output_of_one(Path(source), Path(output))
    return upscale_one(make_engine(UpscaleOptions(**options)), Path(source), target, settings)


def upscale_one(
    engine: Engine, source: Path, output: Path, settings: RunSettings, *, replaces_preview: bool = False
) -> UpscaleReport:
    """Upscales one input with a loaded engine: see :func:`upscale`; ``replaces_preview``: the preview is of this run's making."""
    begun = time.monotonic()
    output, pictures = split_output(output)
    media = Media.open(source, engine.options.fps, engine.options.deinterlace).for_output(output)
    _check_paths(media, output, settings, pictures)
    plans: list[stream_mapping.StreamPlan] = []
    if pictures is None and not is_image_name(output):
        stream_mapping.check_codec(output, engine.options.codec)
        plans = stream_mapping.plan_streams(media, output, engine.options.audio)
    losses = stream_mapping.losses(plans)
    if losses and settings.strict:
        raise OutputError(f"{output}: cannot store everything ({'; '.join(losses)}); use .mkv, or omit --strict.")
    with CheckpointDir(output, pictures) as checkpoint:
        _check_output(checkpoint, pictures, settings.overwrite)
        if not replaces_preview:
            _check_preview(checkpoint, settings)
        job = Job(engine, media, checkpoint, settings)
        resumed = checkpoint.open(_manifest(engine, media, pictures), resume=settings.resumes)
        if settings.preview is not None:
            checkpoint.mark(_PREVIEW, str(settings.preview.resolve()))
        try:
            report = job.run(pictures, plans, losses, begun, is_complete=resumed and checkpoint.is_finished)
        except KeyboardInterrupt:
            how = job.how_to_go_on()
            if not checkpoint.has_work and checkpoint.load_scan() is None:
                checkpoint.remove()
            raise KeyboardInterrupt(how) from None
        except (OSError, av.FFmpegError) as error:
            explained = _explain(error, output, job)
            if not checkpoint.has_work and checkpoint.load_scan() is None:
                checkpoint.remove()
            raise explained from error
        except BaseException as error:
            if not checkpoint.has_work:
                checkpoint.remove()
            can_conceal = media.kind != "pictures" and engine.options.damage == "refuse"
            if isinstance(error, DamagedInputError) and can_conceal:
                raise DamagedInputError(
                    f"{error} --conceal uses all of its frames, with the damage patched."
                ) from error
            raise
        checkpoint.remove()
    if settings.compare is not None:
        write_comparison(media, output, pictures, settings.compare, engine.options)
        report = replace(report, compare=str(settings.compare))
    job.emit(Finished(report.to_json()))
    return report


def _check_paths(media: Media, output: Path, settings: RunSettings, pictures: str | None) -> None:
    """Checks, before any work, the paths of a run."""
    if output.exists() and output.samefile(media.path):
        raise OutputError(f"{output}: is the input itself; choose another output.")
    if pictures is not None:
        check_frame_folder(output, may_make(media, pictures), is_frame=is_frame(pictures))
    else:
        check_output_name(media, output)
        if not is_image_name(output):
            stream_mapping.container_of(output)
    compare, preview = settings.compare, settings.preview
    if compare is not None:
        check_comparison(compare)
        refuse_existing(compare, overwrite=settings.overwrite)
        check_place(compare, (media.path, output))
    if preview is not None:
        check_place(preview, (media.path, output, *([compare] if compare is not None else [])))


def _check_output(checkpoint: CheckpointDir, pictures: str | None, overwrite: bool) -> None:
    """Checks that the output does not exist, or may be replaced, or is of this run, which was stopped at its end."""
    output = checkpoint.output
    if checkpoint.is_finished:
        return
    if output.is_dir():
        is_name = is_frame(pictures) if pictures else lambda name: True
        if all(not is_name(path.name) or checkpoint.has_moved(path.name) for path in output.iterdir()):
            return
    refuse_existing(output, overwrite=overwrite)


def _check_preview(checkpoint: CheckpointDir, settings: RunSettings) -> None:
    """Checks that the preview does not exist, or may be replaced, or is of the run that is continued."""
    preview = settings.preview
    if preview is None or (settings.resumes and checkpoint.note(_PREVIEW) == str(preview.resolve())):
        return
    refuse_existing(preview, overwrite=settings.overwrite)


def _manifest(engine: Engine, media: Media, pictures: str | None) -> dict[str, Any]:
    options = engine.options.to_json()
    for name in ("model", "device", "precision", "compile"):
        del options[name]
    model = engine.model
    return {
        "input": fingerprint(media.path),
        "model": {"sha256": model.sha256} if model.sha256 else {"name": model.name},
        "options": {
            **options,
            "motion": engine.kind,
            "pictures": pictures,
            "device": engine.plan.device.type,
            "precision": engine.plan.precision,
        },
        "versions": {"codecvsr": codecvsr.__version__, "av": av.__version__, "torch": torch.__version__},
    }


def _explain(error: OSError | av.FFmpegError, output: Path, job: Job) -> OutputError:
    code = getattr(error, "errno", None)
    full = code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    what = "no space left on the disk" if full else f"cannot be made ({error.strerror or error})"
    return OutputError(f"{output}: {what}. {job.how_to_go_on('Free some space and run' if full else 'Run')}")
