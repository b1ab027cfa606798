"""The list of what ``bench_upscale.py`` measured, and the goals of its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Measurements = list[dict[str, Any]]


def findings(content: dict[str, Any]) -> str:
    """One line per part that was measured."""
    measurements: Measurements = content["cells"]
    lines = []
    for part, describe in PARTS.items():
        of_part = of(measurements, part)
        lines += [f"- {line}" for line in (describe(of_part) if of_part else [])]
    return "\n".join(lines)


def of(measurements: Measurements, part: str) -> Measurements:
    """Returns the measurements of one part."""
    return [measurement for measurement in measurements if measurement["part"] == part]


def faults(content: dict[str, Any]) -> Iterator[str]:
    """Yields a line for each part that is missing or misses its goal."""
    measurements: Measurements = content["cells"]
    yield from (f"{part}: not measured" for part in PARTS if not of(measurements, part))
    yield from memory_faults(of(measurements, "memory"))
    for measurement in of(measurements, "streamed"):
        if not (measurement["shard_edges"] and abs(measurement["streamed_minus_whole"]) <= 0.02):
            yield f"{measurement['key']}: chunks change PSNR by more than 0.02 dB, or there is only one"
        if float(measurement["between_min_away_from_edges"]) < 50:
            yield f"{measurement['key']}: less than 50 dB between chunks and the whole clip, away from edges"
    for measurement in of(measurements, "companion"):
        if min(measurement["hevc_minus_h264"], measurement["vp9_minus_h264"]) < -0.1:
            yield f"{measurement['key']}: an input without vectors loses more than 0.1 dB"
    kills = of(measurements, "kills")
    if sum(measurement["kills"] for measurement in kills) < 20 or not all(
        measurement["equal"] and measurement["results_compared"] for measurement in kills
    ):
        yield "kills: fewer than 20, or a result differs from an uninterrupted run"
    outcomes = [outcome for measurement in of(measurements, "containers") for outcome in measurement["cases"].values()]
    if len(outcomes) < 20 or set(outcomes) != {"passed"}:
        yield "containers: fewer than 20 cases, or one that did not pass"
    for measurement in of(measurements, "workers"):
        if not measurement["equal"] or (
            measurement["speed_up"] < 1.7 and measurement["cores"] - measurement["load_before"] >= 2
        ):
            yield f"{measurement['key']}: two workers differ from one, or are less than 1.7 times as fast on two free cores"


def memory_faults(measurements: Measurements) -> Iterator[str]:
    """Yields a line where memory grows with the length of the video."""
    by_settings: dict[tuple[str, int], dict[int, dict[str, Any]]] = {}
    for measurement in measurements:
        by_settings.setdefault((measurement["model"], measurement["chunk"]), {})[measurement["film_seconds"]] = (
            measurement
        )
    pairs = {settings: videos for settings, videos in by_settings.items() if {30, 600} <= set(videos)}
    if not pairs:
        yield "memory: no video of 30 s beside one of 600 s"
    for (model, chunk), videos in pairs.items():
        quarters = videos[600]["peak_mib_by_quarter"]
        if videos[600]["peak_mib"] > 1.2 * videos[30]["peak_mib"] or quarters[3] > 1.05 * max(quarters[:2]):
            yield f"memory {model}, chunks of {chunk or 'the usual length'}: grows with the length of the video"


def _memory(measurements: Measurements) -> list[str]:
    lines = []
    for model, chunk in sorted({(measurement["model"], measurement["chunk"]) for measurement in measurements}):
        videos = sorted(
            (
                measurement
                for measurement in measurements
                if (measurement["model"], measurement["chunk"]) == (model, chunk)
            ),
            key=lambda measurement: measurement["film_seconds"],
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


def _streamed(measurements: Measurements) -> list[str]:
    clips = sorted({measurement["clip"] for measurement in measurements})
    largest = max(abs(measurement["streamed_minus_whole"]) for measurement in measurements)
    inside = min(float(measurement["between_min_away_from_edges"]) for measurement in measurements)
    anywhere = min(float(measurement["between_min"]) for measurement in measurements)
    chunks = " or ".join(str(chunk) for chunk in sorted({measurement["chunk"] for measurement in measurements}))
    line = (
        f"In chunks of at most {chunks} frames against the clip as a whole ({', '.join(clips)}; {_frames(measurements)} frames"
        f"{' of each' if len(clips) > 1 else ''}): PSNR changes by {largest:.4f} dB at most; between the "
        f"two it is {inside:.1f} dB or more away from the edges of chunks, {anywhere:.1f} dB or more everywhere."
    )
    return [line]


def _proxy(measurements: Measurements) -> list[str]:
    worst = {
        title: min(measurement[f"{name}_minus_h264"] for measurement in measurements)
        for name, title in (("hevc", "HEVC"), ("vp9", "VP9"), ("h264_dis", "H.264 with `--motion dis`"))
    }
    gaps = ", ".join(f"{title} {gap:+.3f} dB" for title, gap in worst.items())
    clips = ", ".join(sorted(measurement["clip"] for measurement in measurements))
    return [
        f"The same pictures without vectors, against H.264, worst of {clips} ({_frames(measurements)} frames): {gaps}."
    ]


def _kills(measurements: Measurements) -> list[str]:
    kills, results = (sum(measurement[name] for measurement in measurements) for name in ("kills", "results_compared"))
    return [f"`kill -9` at {kills} random moments: {results} results, packet by packet those of uninterrupted runs."]


def _containers(measurements: Measurements) -> list[str]:
    outcomes = [outcome for measurement in measurements for outcome in measurement["cases"].values()]
    return [f"Container matrix, judged by ffprobe: {outcomes.count('passed')} of {len(outcomes)} cases passed."]


def _workers(measurements: Measurements) -> list[str]:
    return [
        f"Two {'Ray nodes' if measurement['how'] == 'ray' else 'worker processes'} against one, {measurement['cores']} cores "
        f"with a load of {measurement['load_before']} by other jobs: {measurement['speed_up']:.2f} times as fast, "
        f"{measurement['overhead_seconds_per_shard']:.2f} s more per chunk than 50 % of one."
        for measurement in measurements
    ]


def _frames(measurements: Measurements) -> str:
    return " or ".join(str(count) for count in sorted({measurement["frames"] for measurement in measurements}))


#: In the order of the list.
PARTS: dict[str, Callable[[Measurements], list[str]]] = {
    "memory": _memory,
    "streamed": _streamed,
    "companion": _proxy,
    "kills": _kills,
    "containers": _containers,
    "workers": _workers,
}
