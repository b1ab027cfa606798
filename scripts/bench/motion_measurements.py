"""What ``bench_motion.py`` measures: one function for each kind."""

from __future__ import annotations

import itertools
import os
import resource
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import torch
from results_files import TITLE_CARD

from codecvsr.analysis.inspect import motion_methods
from codecvsr.bitstream import color
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.files import atomic_file
from codecvsr.metrics.alignment import DIRECTIONS, neighbour_psnr, track_psnr
from codecvsr.metrics.planes import luma
from codecvsr.models.zoo import load_model
from codecvsr.motion import ClipMotion, estimate_motion, stream_motion
from codecvsr.motion.optical_flow import dis_flows
from codecvsr.train.data import original_frames
from codecvsr.video.resize import downsample

#: Frame rate, preset and x264 parameters besides those of every stream.
SETTINGS = {
    "preset veryfast": (24, "veryfast", ""),
    "closed GOPs of 12": (24, "medium", ":keyint=12:min-keyint=12"),
    "open GOPs of 12": (24, "medium", ":keyint=12:min-keyint=12:open-gop=1"),
    "30 frames/s": (30, "medium", ""),
    "60 frames/s": (60, "medium", ""),
}


class Clip:
    """The pristine lumas of one clip at both sizes, (H, W) uint8, decoded when first asked for."""

    def __init__(self, root: Path, name: str, frames: int) -> None:
        """Nothing is read yet; ``frames``: how many at most, 0 for all."""
        self._root, self._name, self._frames = root, name, frames
        self._lumas: tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]] | None = None

    def small_frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The pristine frames at low resolution, (H, W, 3) uint8 RGB."""
        for picture in itertools.islice(original_frames(self._root, self._name), self._frames or None):
            yield downsample(picture, 4)

    def lumas(self) -> tuple[list[npt.NDArray[np.uint8]], list[npt.NDArray[np.uint8]]]:
        """Small and large."""
        if self._lumas is None:
            small, large = [], []
            for picture in itertools.islice(original_frames(self._root, self._name), self._frames or None):
                large.append(np.rint(luma(picture)).astype(np.uint8))
                small.append(np.rint(luma(downsample(picture, 4))).astype(np.uint8))
            self._lumas = small, large
        return self._lumas


def measure(clip: Clip, stream: Path, spynet_frames: int = 0) -> dict[str, Any]:
    """One cell: every method, or with ``spynet_frames`` SPyNet beside the best ones on so many frames."""
    small, large = clip.lumas()
    small, large = small[: spynet_frames or None], large[: spynet_frames or None]
    coded = list(itertools.islice(read_video(stream), len(small)))
    motion = estimate_motion(coded)
    methods = motion_methods(coded, motion)
    if spynet_frames:
        methods = {name: methods[name] for name in ("refined", "dis")} | {"spynet": spynet_flows(coded)}
    types = [frame.type for frame in coded]
    pairs = {name: one_frame(small, fields, motion) for name, fields in methods.items()}
    return {
        "frames": len(coded),
        "scene_cuts": np.flatnonzero(motion.is_cut).tolist(),
        "one_frame": {name: by_type(found, types) for name, found in pairs.items()},
        "one_frame_decoded": {
            name: mean(np.concatenate(one_frame([frame.luma for frame in coded], fields, motion)))
            for name, fields in methods.items()
        },
        "track": {name: tracks(large, fields, motion) for name, fields in methods.items()},
        "refined_minus_dis": worst_frame(pairs["refined"], pairs["dis"]),
    }


def measure_setting(clip: Clip, stream: Path, crf: float | None, setting: str) -> dict[str, Any]:
    """One cell of a stream coded as :data:`SETTINGS` says."""
    if not stream.is_file():
        rate, preset, parameters = SETTINGS[setting]
        stream.parent.mkdir(parents=True, exist_ok=True)
        options = {"crf": f"{crf:g}", "preset": preset, "x264-params": f"cpu-independent=1{parameters}"}
        with atomic_file(stream) as part, av.open(str(part), "w", format="mp4") as container:
            video: Any = container.add_stream("libx264", rate=rate, options=options)
            for index, rgb in enumerate(clip.small_frames()):
                if not index:
                    video.width, video.height, video.pix_fmt = rgb.shape[1], rgb.shape[0], "yuv420p"
                picture = color.from_rgb(rgb)
                picture.pts, picture.time_base = index, Fraction(1, rate)
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
    return measure(clip, stream)


def one_frame(
    pictures: Sequence[npt.NDArray[np.uint8]], fields: tuple[npt.NDArray[np.float32], ...], motion: ClipMotion
) -> list[npt.NDArray[np.float64]]:
    """PSNR of every frame's neighbour pulled onto it, in both directions, (T,) each."""
    pairs = zip(DIRECTIONS, fields, strict=True)
    return [neighbour_psnr(pictures, field, direction, is_cut=motion.is_cut) for direction, field in pairs]


def by_type(found: Sequence[npt.NDArray[np.float64]], types: Sequence[str]) -> dict[str, Any]:
    """Means by direction and type of frame, and the worst frame."""
    kinds = np.array(types)
    entry: dict[str, Any] = {"mean": mean(np.concatenate(found))}
    for direction, values in zip(DIRECTIONS, found, strict=True):
        entry[direction] = {kind: mean(values[kinds == kind]) for kind in ("I", "P", "B")} | {
            "all": mean(values),
            "worst": round(float(np.nanmin(values)), 3),
            "worst_frame": int(np.nanargmin(values)),
        }
    return entry


def worst_frame(found: Sequence[npt.NDArray[np.float64]], others: Sequence[npt.NDArray[np.float64]]) -> dict[str, Any]:
    """Where ``found`` falls behind ``others`` most, over both directions."""
    margins = np.stack(found) - np.stack(others)
    direction, frame = np.unravel_index(np.nanargmin(margins), margins.shape)
    return {
        "worst": round(float(margins[direction, frame]), 3),
        "direction": DIRECTIONS[direction],
        "frame": int(frame),
    }


def tracks(
    pictures: Sequence[npt.NDArray[np.uint8]], fields: tuple[npt.NDArray[np.float32], ...], motion: ClipMotion
) -> dict[str, float]:
    """Track PSNR by direction and over both."""
    found = {
        direction: track_psnr(pictures, field, direction, scale=4, is_cut=motion.is_cut)
        for direction, field in zip(DIRECTIONS, fields, strict=True)
    }
    return {name: mean(values) for name, values in found.items()} | {"mean": mean(np.concatenate(list(found.values())))}


def mean(values: npt.NDArray[np.float64]) -> float | None:
    """The mean of what is not NaN, rounded; None where there is nothing."""
    known = values[~np.isnan(values)]
    return round(float(known.mean()), 4) if known.size else None


def spynet_flows(coded: Sequence[CodedFrame]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """SPyNet's flow between neighbouring decoded frames, both ways, (T, 2, H, W)."""
    network = load_model("basicvsr-reds4").network.spynet
    pictures = [torch.from_numpy(f.rgb.copy()).permute(2, 0, 1)[None].float().div(255) for f in coded]
    height, width = coded[0].height, coded[0].width
    flows = np.zeros((2, len(coded), 2, height, width), np.float32)
    with torch.inference_mode():
        for t in range(1, len(coded)):
            flows[0, t] = network(pictures[t], pictures[t - 1])[0].numpy()
            flows[1, t - 1] = network(pictures[t - 1], pictures[t])[0].numpy()
    return flows[0], flows[1]


def measure_time(stream: Path, frames: int, rounds: int = 5) -> dict[str, Any]:
    """Processor time of both fields of a frame on one thread, refined, repaired and by DIS in turn; the least of each."""
    coded = list(itertools.islice(read_video(stream), frames or None))
    lumas = [frame.luma for frame in coded]
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in (
            ("refined", lambda: estimate_motion(coded, threads=1)),
            ("dis", lambda: dis_flows(lumas)),
        ):
            begun = time.process_time()
            run()
            spent = 1000 * (time.process_time() - begun) / len(coded)
            least[name] = min(spent, least.get(name, spent))
    return {
        "size": [coded[0].width, coded[0].height],
        "rounds": rounds,
        "processor_ms_per_frame": {name: round(spent, 3) for name, spent in least.items()},
    }


def card_loop(path: Path, size: tuple[int, int], frames: int) -> Path:
    """The title card forwards and backwards at another size, so many frames."""
    if not path.is_file():
        card = [frame.reformat(*size) for frame in av.open(str(TITLE_CARD)).decode(video=0)]
        loop = itertools.cycle([*card, *card[-2:0:-1]])
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part, av.open(str(part), "w", format="mp4") as container:
            options = {"crf": "25", "preset": "veryfast", "x264-params": "cpu-independent=1"}
            video: Any = container.add_stream("libx264", rate=24, options=options)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            for index, picture in enumerate(itertools.islice(loop, frames)):
                picture.pts, picture.time_base = index, Fraction(1, 24)
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
    return path


def measure_full_hd(work: Path, frames: int = 60) -> dict[str, Any]:
    """Speed of one pass over a 1920x1080 stream, decoding included, with all processors: by the clock, and in their time."""
    path = card_loop(work / "full_hd.mp4", (1920, 1080), frames)
    begun, spent = time.monotonic(), time.process_time()
    for _ in stream_motion(read_video(path)):
        pass
    return {
        "frames": frames,
        "threads": os.cpu_count(),
        "frames_per_second": round(frames / (time.monotonic() - begun), 2),
        "processor_ms_per_frame": round(1000 * (time.process_time() - spent) / frames, 2),
    }


def measure_memory(work: Path, minutes: int) -> dict[str, Any]:
    """Resident memory at every tenth of a long stream whose fields are made in one pass; none of it is stored."""
    size, frames = (160, 90), 24 * 60 * minutes
    path = card_loop(work / f"loop_{minutes}_minutes.mp4", size, frames)
    resident, seen, begun = [], 0, time.process_time()
    for frames_of_part, _ in stream_motion(read_video(path), threads=1):
        seen += len(frames_of_part)
        if seen * 10 >= frames * (len(resident) + 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(round(pages * resource.getpagesize() / 2**20, 1))
    return {
        "size": list(size),
        "frames": seen,
        "resident_mib": resident,
        "processor_ms_per_frame": round(1000 * (time.process_time() - begun) / seen, 3),
    }
