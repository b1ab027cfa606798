#!/usr/bin/env python3
"""Measure how well motion follows the picture, and write the results file and README's table.

    python scripts/fetch_clips.py clips
    python scripts/bench_motion.py --clips clips/val --clips clips/train --clips inputs

Fields are made from the compressed low-resolution frames and judged on pristine ones: over one frame at low resolution, over
15 composed frames at high resolution. Every clip at every CRF is one cell; cells that the results file already holds for the
same code are not measured again, so the command can be stopped and repeated. SPyNet (the one inside official BasicVSR, where
its weights were fetched) is slow and is measured on --spynet-clips only, beside the others on the same frames.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
import resource
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import click
import cv2
import numpy as np
import numpy.typing as npt
import torch

from codecvsr.bitstream import color
from codecvsr.bitstream.frames import CodedFrame
from codecvsr.bitstream.reader import read_video
from codecvsr.errors import CodecVSRError
from codecvsr.files import atomic_file
from codecvsr.metrics.alignment import DIRECTIONS, TRACK_FRAMES, neighbour_psnr, track_psnr
from codecvsr.metrics.planes import luma
from codecvsr.models.zoo import load_model
from codecvsr.motion import ClipMotion, estimate_motion, stream_motion
from codecvsr.motion.optical_flow import dis_flows
from codecvsr.pipeline.benchmark import BenchmarkSettings, crf_label, make_benchmark, parse_crfs
from codecvsr.pipeline.inspect import motion_methods
from codecvsr.pipeline.resize import downsample
from codecvsr.train.data import original_frames

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "inputs" / "bunny_720p.mp4"
RESULTS = ROOT / "scripts" / "results" / "motion.json"
PROBE_FRAMES = 8
BEGIN, END = "<!-- motion:begin -->", "<!-- motion:end -->"
TITLES = {
    "zero": "no motion",
    "raw": "raw vectors",
    "scaled": "divided by reference distance",
    "repaired": "repaired (`--ablate-refine`)",
    "refined": "**repaired and refined**",
    "dis": "DIS optical flow",
    "spynet": "SPyNet of official BasicVSR",
}
#: Frame rate, preset and x264 parameters besides those of every stream.
SETTINGS = {
    "preset veryfast": (24, "veryfast", ""),
    "closed GOPs of 12": (24, "medium", ":keyint=12:min-keyint=12"),
    "open GOPs of 12": (24, "medium", ":keyint=12:min-keyint=12:open-gop=1"),
    "30 frames/s": (30, "medium", ""),
    "60 frames/s": (60, "medium", ""),
}
Methods = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@click.command(help=__doc__)
@click.option("--clips", type=click.Path(path_type=Path), multiple=True, help="Folder of HR clips.")
@click.option("--names", default="", help="Comma-separated clips; all by default.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("bench"), show_default=True, help="Benchmarks.")
@click.option("--crf", default="15,25,35", show_default=True, help="Rate factors.")
@click.option("--frames", type=int, default=40, show_default=True, help="Only so many of each clip; 0: all.")
@click.option("--spynet-clips", default="", help="Comma-separated clips on which SPyNet is measured.")
@click.option("--spynet-frames", type=int, default=21, show_default=True, help="So many of their frames.")
@click.option("--settings-clip", default="", help="Clip that is also coded at other presets, GOPs and frame rates.")
@click.option("--timing-clip", default="", help="Clip on which time is measured, at every CRF.")
@click.option(
    "--stream-minutes", type=int, default=0, help="Memory while a looped clip of so many minutes runs through."
)
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="The results file.")
@click.option("--readme", type=click.Path(path_type=Path), default=ROOT / "README.md", help="Where the table goes.")
def main(
    clips: tuple[Path, ...],
    names: str,
    work: Path,
    crf: str,
    frames: int,
    spynet_clips: str,
    spynet_frames: int,
    settings_clip: str,
    timing_clip: str,
    stream_minutes: int,
    results: Path,
    readme: Path,
) -> None:
    """Measure what is missing, then write results and table."""
    cv2.setNumThreads(1)
    code = fingerprint()
    stored = json.loads(results.read_text()) if results.is_file() else {"cells": []}
    cells = {cell["key"]: cell for cell in stored["cells"]}

    def keep(key: str, facts: dict[str, Any], make: Callable[[], dict[str, Any]]) -> None:
        if key not in cells:
            begun = time.monotonic()
            cells[key] = {"key": key} | facts | make()
            click.echo(f"{key}: {time.monotonic() - begun:.0f} s", err=True)
            save(results, cells, stored.get("commands", []))

    if stream_minutes:
        about = {"kind": "memory", "minutes": stream_minutes}
        keep(f"memory {stream_minutes} {code}", about, partial(measure_memory, work, stream_minutes))
    wanted = [(root, path.stem) for root in clips for path in sorted(root.glob("*.mp4"))]
    for root, name in wanted:
        if names and name not in names.split(","):
            continue
        clip = Clip(root, name, frames)
        for rate in parse_crfs(crf):
            stream = work / f"{root.name}_{crf_label(rate)}" / name / "clip.mp4"
            if not (stream.parent / "meta.json").is_file():
                make_benchmark(root, work, BenchmarkSettings(crfs=(rate,)), clips=[name])
            facts = {"clip": name, "crf": rate}
            label = f"{name} {crf_label(rate)} {frames}"
            keep(f"{label} {code}", {"kind": "fields"} | facts, partial(measure, clip, stream))
            if name in spynet_clips.split(","):
                key = f"{label} spynet {spynet_frames} {code}"
                keep(key, {"kind": "spynet"} | facts, partial(measure, clip, stream, spynet_frames))
            for setting in SETTINGS if name == settings_clip else {}:
                other = work / "settings" / f"{name} {crf_label(rate)} {setting}.mp4"
                key = f"{label} {setting} {code}"
                about = {"kind": "settings", "setting": setting} | facts
                keep(key, about, partial(measure_setting, clip, other, rate, setting))
            if name == timing_clip:
                keep(f"{label} time {code}", {"kind": "time"} | facts, partial(measure_time, stream, frames))
    current = [cell for cell in cells.values() if cell["key"].endswith(code)]
    save(results, {cell["key"]: cell for cell in current}, stored.get("commands", []))
    write_table(readme, current)


def fingerprint() -> str:
    """Stands for the code that makes the fields: the fields themselves, of the demo clip's first frames."""
    motion = estimate_motion(itertools.islice(read_video(DEMO), PROBE_FRAMES))
    return hashlib.sha256(motion.to_prev.tobytes() + motion.to_next.tobytes()).hexdigest()[:12]


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


def measure_memory(work: Path, minutes: int) -> dict[str, Any]:
    """Resident memory at every tenth of a long stream whose fields are made in one pass; nothing of it is kept."""
    path, size, frames = work / f"loop_{minutes}_minutes.mp4", (160, 90), 24 * 60 * minutes
    if not path.is_file():
        demo = [frame.reformat(*size) for frame in av.open(str(DEMO)).decode(video=0)]
        loop = itertools.cycle([*demo, *demo[-2:0:-1]])
        work.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part, av.open(str(part), "w", format="mp4") as container:
            options = {"crf": "25", "preset": "veryfast", "x264-params": "cpu-independent=1"}
            video: Any = container.add_stream("libx264", rate=24, options=options)
            video.width, video.height, video.pix_fmt = *size, "yuv420p"
            for index, picture in enumerate(itertools.islice(loop, frames)):
                picture.pts, picture.time_base = index, Fraction(1, 24)
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
    resident, seen, begun = [], 0, time.process_time()
    for held, _ in stream_motion(read_video(path), threads=1):
        seen += len(held)
        if seen * 10 >= frames * (len(resident) + 1):
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            resident.append(round(pages * resource.getpagesize() / 2**20, 1))
    return {
        "size": list(size),
        "frames": seen,
        "resident_mib": resident,
        "processor_ms_per_frame": round(1000 * (time.process_time() - begun) / seen, 3),
    }


def save(results: Path, cells: dict[str, Any], commands: list[str]) -> None:
    """Write the results file."""
    command = shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    content = {
        "commands": commands if command in commands else [*commands, command],
        "protocol": (
            "PSNR of luma on pristine pictures, fields from decoded ones; one_frame: a neighbour pulled onto each frame at "
            f"low resolution, 8 pixels of border left out; track: {TRACK_FRAMES} composed fields, the high-resolution "
            "picture pulled over all of them, a track every 5 frames, 32 pixels of border left out; x264 medium, 24 fps"
        ),
        "machine": f"{platform.machine()}, fields on one thread; other programs ran meanwhile",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "torch": torch.__version__,
            "av": av.__version__,
            "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
        },
        "summary": summary(list(cells.values())),
        "cells": list(cells.values()),
    }
    results.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(results) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def summary(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """By CRF: means over clips, and the clip and frame where refined motion falls behind DIS most."""
    found: dict[str, Any] = {}
    for kind in ("fields", "spynet", "settings"):
        chosen = [cell for cell in cells if cell["kind"] == kind]
        for crf in sorted({cell["crf"] for cell in chosen}):
            here = [cell for cell in chosen if cell["crf"] == crf]
            methods = here[0]["one_frame"]
            tracked = [cell for cell in here if cell["track"]["refined"]["mean"] is not None]
            entry: dict[str, Any] = {"clips": len(here)}
            for name in methods:
                entry[name] = {
                    "one_frame": average([cell["one_frame"][name]["mean"] for cell in here]),
                    "one_frame_decoded": average([cell["one_frame_decoded"][name] for cell in here]),
                    "track": average([cell["track"][name]["mean"] for cell in tracked]),
                }
            for other in ("dis", "spynet") if kind == "spynet" else ("dis",):
                entry[f"worst_clip_against_{other}"] = {
                    "one_frame": worst_clip(here, lambda c, n: c["one_frame"][n]["mean"], other),
                    "track": worst_clip(tracked, lambda c, n: c["track"][n]["mean"], other),
                }
            worst = min(here, key=lambda cell: cell["refined_minus_dis"]["worst"])
            entry["worst_frame_against_dis"] = {"clip": worst["clip"]} | worst["refined_minus_dis"]
            found.setdefault(kind, {})[f"{crf:g}"] = entry
    return found


def average(values: Sequence[float]) -> float | None:
    """Rounded mean; None of nothing."""
    return round(sum(values) / len(values), 3) if values else None


def worst_clip(
    cells: list[dict[str, Any]], value: Callable[[dict[str, Any], str], float], other: str
) -> dict[str, Any] | None:
    """The clip on which refined motion has least over ``other``, in dB."""
    if not cells:
        return None
    margin, clip = min((value(cell, "refined") - value(cell, other), cell["clip"]) for cell in cells)
    return {"clip": clip, "db": round(margin, 3)}


def write_table(readme: Path, cells: list[dict[str, Any]]) -> None:
    """Put the table between README's markers."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    with atomic_file(readme) as part:
        part.write_text(f"{before}{BEGIN}\n{table(cells)}{END}{after}", encoding="utf-8")


def table(cells: list[dict[str, Any]]) -> str:
    """One frame and 15 frames, by method and CRF; then SPyNet's clips; then the worst and the time."""
    found = summary(cells)
    lines: list[str] = []
    for kind, title in (("fields", "PSNR (dB)"), ("spynet", "The same beside SPyNet")):
        if kind not in found:
            continue
        by_crf = found[kind]
        names = sorted({cell["clip"] for cell in cells if cell["kind"] == kind})
        length = max(cell["frames"] for cell in cells if cell["kind"] == kind)
        shown = ", ".join(names) if len(names) < 6 else f"{len(names)} clips"
        lines += [
            f"{title}, one frame / {TRACK_FRAMES} frames, mean over {shown}, up to {length} frames of each:",
            "",
            "| |" + "".join(f" CRF {crf} |" for crf in by_crf),
            "|---|" + "---|" * len(by_crf),
        ]
        for name, label in TITLES.items():
            entries = [entry[name] for entry in by_crf.values() if name in entry]
            if entries:
                lines.append(f"| {label} |" + "".join(f" {_db(e['one_frame'])} / {_db(e['track'])} |" for e in entries))
        lines.append("")
    if "fields" in found:
        worst = [
            f"CRF {crf}: {entry['worst_clip_against_dis']['one_frame']['db']:+.2f} ({entry['worst_clip_against_dis']['one_frame']['clip']}) / "
            f"{entry['worst_clip_against_dis']['track']['db']:+.2f} ({entry['worst_clip_against_dis']['track']['clip']})"
            for crf, entry in found["fields"].items()
            if entry["worst_clip_against_dis"]["track"]
        ]
        lines += [f"Worst clip of the refined motion against DIS, dB: {'; '.join(worst)}.", ""]
    lines += settings_table([cell for cell in cells if cell["kind"] == "settings"])
    times = [cell for cell in cells if cell["kind"] == "time"]
    if times:
        spent = "; ".join(
            f"CRF {c['crf']:g}: {c['processor_ms_per_frame']['refined']:.1f} ms, DIS {c['processor_ms_per_frame']['dis']:.1f} ms"
            for c in times
        )
        size = times[0]["size"]
        lines += [f"Processor time of both fields of a {size[0]}x{size[1]} frame, one thread, in turn: {spent}.", ""]
    return "\n".join(lines)


def settings_table(cells: list[dict[str, Any]]) -> list[str]:
    """Refined motion and DIS at other presets, GOPs and frame rates."""
    if not cells:
        return []
    crfs = sorted({cell["crf"] for cell in cells})
    lines = [
        f"{cells[0]['clip']}, refined motion (DIS), one frame / {TRACK_FRAMES} frames, at other settings of x264:",
        "",
        "| |" + "".join(f" CRF {crf:g} |" for crf in crfs),
        "|---|" + "---|" * len(crfs),
    ]
    for setting in SETTINGS:
        row = f"| {setting} |"
        for crf in crfs:
            found = [cell for cell in cells if cell["setting"] == setting and cell["crf"] == crf]
            texts = [
                f"{_db(c[kind]['refined']['mean'])} ({_db(c[kind]['dis']['mean'])})"
                for c in found
                for kind in ("one_frame", "track")
            ]
            row += f" {' / '.join(texts)} |"
        lines.append(row)
    return [*lines, ""]


def _db(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


if __name__ == "__main__":
    try:
        main()
    except CodecVSRError as error:
        sys.exit(f"bench_motion: {error}")
