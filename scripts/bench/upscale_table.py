"""The list of what ``bench_upscale.py`` measured, and the goals of its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Cells = list[dict[str, Any]]


def findings(content: dict[str, Any]) -> str:
    """One line per part that was measured."""
    cells: Cells = content["cells"]
    lines = []
    for part, describe in PARTS.items():
        of_part = of(cells, part)
        lines += [f"- {line}" for line in (describe(of_part) if of_part else [])]
    return "\n".join(lines)


def of(cells: Cells, part: str) -> Cells:
    """Returns the measurements of one part."""
    return [cell for cell in cells if cell["part"] == part]


def faults(content: dict[str, Any]) -> Iterator[str]:
    """Yields a line for each part that is missing or misses its goal."""
    cells: Cells = content["cells"]
    yield from (f"{part}: not measured" for part in PARTS if not of(cells, part))
    yield from memory_faults(of(cells, "memory"))
    for cell in of(cells, "streamed"):
        if not (cell["shard_edges"] and abs(cell["streamed_minus_whole"]) <= 0.02):
            yield f"{cell['key']}: chunks change PSNR by more than 0.02 dB, or there is only one"
        if float(cell["between_min_away_from_edges"]) < 50:
            yield f"{cell['key']}: less than 50 dB between chunks and the whole clip, away from edges"
    for cell in of(cells, "companion"):
        if min(cell["hevc_minus_h264"], cell["vp9_minus_h264"]) < -0.1:
            yield f"{cell['key']}: an input without vectors loses more than 0.1 dB"
    kills = of(cells, "kills")
    if sum(cell["kills"] for cell in kills) < 20 or not all(
        cell["equal"] and cell["results_compared"] for cell in kills
    ):
        yield "kills: fewer than 20, or a result differs from an uninterrupted run"
    outcomes = [outcome for cell in of(cells, "containers") for outcome in cell["cases"].values()]
    if len(outcomes) < 20 or set(outcomes) != {"passed"}:
        yield "containers: fewer than 20 cases, or one that did not pass"
    for cell in of(cells, "workers"):
        if not cell["equal"] or (cell["speed_up"] < 1.7 and cell["cores"] - cell["load_before"] >= 2):
            yield f"{cell['key']}: two workers differ from one, or are less than 1.7 times as fast on two free cores"


def memory_faults(cells: Cells) -> Iterator[str]:
    """Yields a line where memory grows with the length of the video."""
    by_settings: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for cell in cells:
        by_settings.setdefault((cell["model"], cell["chunk"]), {})[cell["film_seconds"]] = cell
    pairs = {settings: videos for settings, videos in by_settings.items() if {30, 600} <= set(videos)}
    if not pairs:
        yield "memory: no video of 30 s beside one of 600 s"
    for (model, chunk), videos in pairs.items():
        quarters = videos[600]["peak_mib_by_quarter"]
        if videos[600]["peak_mib"] > 1.2 * videos[30]["peak_mib"] or quarters[3] > 1.05 * max(quarters[:2]):
            yield f"memory {model}, chunks of {chunk or 'the usual length'}: grows with the length of the video"


def _memory(cells: Cells) -> list[str]:
    lines = []
    for model, chunk in sorted({(cell["model"], cell["chunk"]) for cell in cells}):
        videos = sorted(
            (cell for cell in cells if (cell["model"], cell["chunk"]) == (model, chunk)),
            key=lambda cell: cell["film_seconds"],
        )
        first, last = videos[0], videos[-1]
        if first is last:
            continue
        over_time = ", ".join(f"{peak:.0f}" for peak in last["peak_mib_by_quarter"])
        lines.append(
            f"Memory, 640x360, {model} on a CPU, chunks of {chunk or 'the usual length'}: at most {first['peak_mib']:.0f} MiB "
            f"for {first['film_seconds']} s ({first['frames']} frames), {last['peak_mib']:.0f} MiB for "
            f"{last['film_seconds']} s ({last['frames']} frames): {last['peak_mib'] / first['peak_mib']:.2f} times as much. "
            f"In the quarters of the long one: {over_time} MiB."
        )
    return lines


def _streamed(cells: Cells) -> list[str]:
    clips = sorted({cell["clip"] for cell in cells})
    largest = max(abs(cell["streamed_minus_whole"]) for cell in cells)
    inside = min(float(cell["between_min_away_from_edges"]) for cell in cells)
    anywhere = min(float(cell["between_min"]) for cell in cells)
    chunks = " or ".join(str(chunk) for chunk in sorted({cell["chunk"] for cell in cells}))
    line = (
        f"In chunks of at most {chunks} frames against the clip as a whole ({', '.join(clips)}; {_frames(cells)} frames"
        f"{' of each' if len(clips) > 1 else ''}): PSNR changes by {largest:.4f} dB at most; between the "
        f"two it is {inside:.1f} dB or more away from the edges of chunks, {anywhere:.1f} dB or more everywhere."
    )
    return [line]


def _proxy(cells: Cells) -> list[str]:
    worst = {
        title: min(cell[f"{name}_minus_h264"] for cell in cells)
        for name, title in (("hevc", "HEVC"), ("vp9", "VP9"), ("h264_dis", "H.264 with `--motion dis`"))
    }
    gaps = ", ".join(f"{title} {gap:+.3f} dB" for title, gap in worst.items())
    clips = ", ".join(sorted(cell["clip"] for cell in cells))
    return [f"The same pictures without vectors, against H.264, worst of {clips} ({_frames(cells)} frames): {gaps}."]


def _kills(cells: Cells) -> list[str]:
    kills, results = (sum(cell[name] for cell in cells) for name in ("kills", "results_compared"))
    return [f"`kill -9` at {kills} random moments: {results} results, packet by packet those of uninterrupted runs."]


def _containers(cells: Cells) -> list[str]:
    outcomes = [outcome for cell in cells for outcome in cell["cases"].values()]
    return [f"Container matrix, judged by ffprobe: {outcomes.count('passed')} of {len(outcomes)} cases passed."]


def _workers(cells: Cells) -> list[str]:
    return [
        f"Two {'Ray nodes' if cell['how'] == 'ray' else 'worker processes'} against one, {cell['cores']} cores "
        f"with a load of {cell['load_before']} by other jobs: {cell['speed_up']:.2f} times as fast, "
        f"{cell['overhead_seconds_per_shard']:.2f} s more per chunk than half."
        for cell in cells
    ]


def _frames(cells: Cells) -> str:
    return " or ".join(str(count) for count in sorted({cell["frames"] for cell in cells}))


#: In the order of the list.
PARTS: dict[str, Callable[[Cells], list[str]]] = {
    "memory": _memory,
    "streamed": _streamed,
    "companion": _proxy,
    "kills": _kills,
    "containers": _containers,
    "workers": _workers,
}
