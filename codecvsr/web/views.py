"""What the page shows of a finished job: its views in one video, the layers of its bitstream, and ``result.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import codecvsr
from codecvsr.analysis.inspect import inspect_video
from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.errors import InputError
from codecvsr.files import atomic_file, list_images, read_image
from codecvsr.json_values import jsonable
from codecvsr.metrics.artifact_places import densest_box
from codecvsr.metrics.planes import luma
from codecvsr.metrics.report import EvalResult
from codecvsr.video.upright import upright
from codecvsr.web.layers import write_layers
from codecvsr.web.limits import Limits
from codecvsr.web.parameters import Parameters, Run
from codecvsr.web.probe import Facts
from codecvsr.web.progress_meter import ProgressMeter
from codecvsr.web.video_writer import Mosaic, Picture, VideoWriter

COMPARISON, LAYERS, INSPECTION, RESULT = "comparison.mp4", "layers.jsonl", "inspection.json", "result.json"
_FOCUS = 0.25  # sides of the part that is shown first, as a share of the frame's


@dataclass(frozen=True)
class View:
    """One version of the clip.

    Attributes:
        key: "bicubic", "model", "other" or "original".
        label: the text that users see.
        pictures: a folder of frames or a video.
        video: the file for download; None for none.
        run: the model and its options.
        report: of the run.
        scores: against the original.
        rotation: the display matrix of the pictures; None for none.
        read: the frames, instead of those of ``pictures``.
    """

    key: str
    label: str
    pictures: Path
    video: str | None
    run: Run | None = None
    report: dict[str, Any] | None = None
    scores: EvalResult | None = None
    rotation: Sequence[int] | None = None
    read: Callable[[], Iterable[Picture]] | None = None

    def frames(self) -> Iterable[Picture]:
        """Yields the frames as a player shows them, (H, W, 3) uint8."""
        if self.read is not None:
            source = iter(self.read())
        elif self.pictures.is_dir():
            source = map(read_image, list_images(self.pictures))
        else:
            source = iter(VideoPictures(self.pictures))
        return (upright(picture, self.rotation) for picture in source)

    def to_json(self) -> dict[str, Any]:
        """Returns the view as ``result.json`` has it."""
        scores = self.scores
        return {
            "key": self.key,
            "label": self.label,
            "film": self.video,
            "run": None if self.run is None else asdict(self.run),
            "report": self.report,
            "scores": None if scores is None else _scores(scores),
        }


@dataclass(frozen=True)
class Shown:
    """What is shown of a job.

    Attributes:
        views: versions of the same frames.
        stream: the file whose layers are drawn.
        span: start and end of the frames in ``stream``, in seconds from its first frame; the end is None for all.
        frames: number of frames that are shown.
        all_frames: number of frames that the job made.
        rotation: the display matrix of ``stream``; None for none.
        truth: bit rate and PSNR of the compressed clip; None if nothing was compressed.
        download: file and name of the enlarged video, where the job made a whole one.
    """

    views: Sequence[View]
    stream: Path
    span: tuple[float, float | None]
    frames: int
    all_frames: int
    rotation: Sequence[int] | None = None
    truth: dict[str, Any] | None = None
    download: dict[str, Any] | None = None


def write_result(
    folder: Path,
    shown: Shown,
    parameters: Parameters,
    facts: Facts,
    limits: Limits,
    meter: ProgressMeter,
    explain: Callable[[Exception], str],
) -> None:
    """Write layers, videos and ``result.json``, the last of them.

    Args:
        folder: of the job.
        shown: what the job made.
        parameters: the request.
        facts: of the clip.
        limits: of the server.
        meter: of the job; it has the steps "layers" and "film".
        explain: returns the text of an error for the user.
    """
    meter.begin("layers", min(shown.frames, limits.frames))
    layers, fault = _write_layers(folder, shown, limits, meter, explain)
    meter.begin("film", shown.frames)
    first = next(iter(shown.views[0].frames()))
    height, width = first.shape[:2]
    mosaic = Mosaic.of(width, height, len(shown.views))
    own, focus = _write_videos(folder, shown, mosaic, facts.fps, meter)
    made = own | {view.video for view in shown.views if view.video is not None and view.pictures.is_file()}
    views = [{**view.to_json(), "film": view.video if view.video in made else None} for view in shown.views]
    write_json(
        folder / RESULT,
        {
            "frames": shown.frames,
            "all_frames": shown.all_frames,
            "fps": float(facts.fps),
            "size": [width, height],
            "mosaic": mosaic.to_json(),
            "views": views,
            "focus": focus,
            "rotation": None if shown.rotation is None else list(shown.rotation),
            "layers": layers,
            "no_layers_because": fault,
            "compressed": shown.truth,
            "source": {"width": facts.width, "height": facts.height, "codec": facts.codec},
            "video": shown.download,
            "parameters": parameters.to_json(),
            "version": codecvsr.__version__,
        },
    )


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON object in full or not at all."""
    with atomic_file(path) as part:
        part.write_text(json.dumps(jsonable(value), allow_nan=False) + "\n", encoding="utf-8")


def _write_layers(
    folder: Path, shown: Shown, limits: Limits, meter: ProgressMeter, explain: Callable[[Exception], str]
) -> tuple[int, str | None]:
    """Returns the number of frames with layers, and why there are none."""
    start, end = shown.span
    try:
        inspected = inspect_video(shown.stream).to_json()
        layers = write_layers(
            shown.stream, folder / LAYERS, max_frames=min(limits.frames, shown.frames), start=start, end=end,
            on_frame=meter.at,
        )  # fmt: skip
    except InputError as error:  # other codecs can be upscaled, but have no vectors to draw
        return 0, explain(error)
    inspected["video"] = None
    write_json(folder / INSPECTION, inspected)
    return layers, None


def _write_videos(
    folder: Path, shown: Shown, mosaic: Mosaic, fps: Fraction, meter: ProgressMeter
) -> tuple[set[str], dict[str, Any]]:
    """Writes the comparison, and a video of every view that is still a folder of frames.

    Returns:
        The names of those videos, and where bicubic and the model differ most: ``frame``, and ``x`` and ``y`` as shares.
    """
    keys = [view.key for view in shown.views]
    main = keys.index("model") if "model" in keys else len(keys) - 1
    most, focus = -1.0, {"frame": 0, "x": 0.5, "y": 0.5}
    with ExitStack() as open_videos:
        comparison = open_videos.enter_context(VideoWriter(folder / COMPARISON, fps))
        own = {
            view.key: open_videos.enter_context(VideoWriter(folder / view.video, fps))
            for view in shown.views
            if view.video is not None and view.pictures.is_dir() and view.key != "bicubic"
        }
        rows = zip(*(islice(view.frames(), shown.frames) for view in shown.views), strict=False)
        for index, pictures in enumerate(meter.track(rows)):
            comparison.add(mosaic.compose(pictures))
            for view, picture in zip(shown.views, pictures, strict=True):
                if view.key in own:
                    own[view.key].add(picture)
            difference, x, y = _most_different(pictures[0], pictures[main])
            if difference > most:
                most, focus = difference, {"frame": index, "x": x, "y": y}
    return {view.video for view in shown.views if view.key in own and view.video is not None}, focus


def _most_different(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> tuple[float, float, float]:
    """Returns the largest mean squared difference of a part, and its centre as shares of width and height."""
    step = max(before.shape[0] // 360, 1)
    error = np.square(luma(before[::step, ::step]) - luma(after[::step, ::step])).astype(np.float32)
    height, width = (max(int(side * _FOCUS), 1) for side in error.shape)
    mean, x, y = densest_box(error, width, height)
    return mean, round((x + width / 2) / error.shape[1], 4), round((y + height / 2) / error.shape[0], 4)


def _scores(scores: EvalResult) -> dict[str, Any]:
    names = ("psnr_rgb", "ssim_rgb", "psnr_y", "ssim_y")
    return {
        "mean": {name: getattr(scores, name) for name in names},
        "per_frame": {name: [getattr(row, name) for row in scores.rows] for name in names},
        "protocol": scores.protocol,
    }
