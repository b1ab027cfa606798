"""README's list of what ``bench_upscale.py`` found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Cells = list[dict[str, Any]]


def findings(content: dict[str, Any]) -> str:
    """One line per part that was measured."""
    cells: Cells = content["cells"]
    lines = []
    for part, tell in PARTS.items():
        of_part = [cell for cell in cells if cell["part"] == part]
        lines += [f"- {line}" for line in (tell(of_part) if of_part else [])]
    return "\n".join(lines)


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
            f"Memory, 640x360, {model} on a CPU, shards of {chunk or 'the usual length'}: at most {first['peak_mib']:.0f} MiB "
            f"for {first['film_seconds']} s ({first['frames']} frames), {last['peak_mib']:.0f} MiB for "
            f"{last['film_seconds']} s ({last['frames']} frames): {last['peak_mib'] / first['peak_mib']:.2f} times as much. "
            f"In the quarters of the long one: {over_time} MiB."
        )
    return lines


def _streamed(cells: Cells) -> list[str]:
    clips = sorted({cell["clip"] for cell in cells})
    farthest = max(abs(cell["streamed_minus_whole"]) for cell in cells)
    inside = min(float(cell["between_min_away_from_edges"]) for cell in cells)
    anywhere = min(float(cell["between_min"]) for cell in cells)
    chunks = " or ".join(str(chunk) for chunk in sorted({cell["chunk"] for cell in cells}))
    line = (
        f"In shards of at most {chunks} frames against the clip as a whole ({', '.join(clips)}; {_frames(cells)} frames"
        f"{' of each' if len(clips) > 1 else ''}): PSNR changes by {farthest:.4f} dB at most; between the "
        f"two it is {inside:.1f} dB or more away from the edges of shards, {anywhere:.1f} dB or more everywhere."
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
        f"{cell['overhead_seconds_per_shard']:.2f} s more per shard than half."
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
