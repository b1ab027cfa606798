"""Summary and table of motion, from what ``bench_motion.py`` measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from motion_profile import profile_table

from codecvsr.metrics.alignment import TRACK_FRAMES

TITLES = {
    "zero": "no motion",
    "raw": "raw vectors",
    "scaled": "divided by reference distance",
    "repaired": "repaired (`--ablate-refine`)",
    "refined": "**repaired and refined**",
    "dis": "DIS optical flow",
    "spynet": "SPyNet of official BasicVSR",
}


def summary(measurements: list[dict[str, Any]]) -> dict[str, Any]:
    """By CRF: means over clips, and the clip and frame where refined motion falls behind DIS most."""
    found: dict[str, Any] = {}
    for kind in ("fields", "spynet", "settings"):
        chosen = [measurement for measurement in measurements if measurement["kind"] == kind]
        for crf in sorted({measurement["crf"] for measurement in chosen}):
            here = [measurement for measurement in chosen if measurement["crf"] == crf]
            methods = here[0]["one_frame"]
            tracked = [measurement for measurement in here if measurement["track"]["refined"]["mean"] is not None]
            entry: dict[str, Any] = {"clips": len(here)}
            for name in methods:
                entry[name] = {
                    "one_frame": average([measurement["one_frame"][name]["mean"] for measurement in here]),
                    "one_frame_decoded": average([measurement["one_frame_decoded"][name] for measurement in here]),
                    "track": average([measurement["track"][name]["mean"] for measurement in tracked]),
                }
            for other in ("dis", "spynet") if kind == "spynet" else ("dis",):
                entry[f"worst_clip_against_{other}"] = {
                    "one_frame": worst_clip(here, lambda c, n: c["one_frame"][n]["mean"], other),
                    "track": worst_clip(tracked, lambda c, n: c["track"][n]["mean"], other),
                }
            worst = min(here, key=lambda measurement: measurement["refined_minus_dis"]["worst"])
            entry["worst_frame_against_dis"] = {"clip": worst["clip"]} | worst["refined_minus_dis"]
            found.setdefault(kind, {})[f"{crf:g}"] = entry
    return found


def average(values: Sequence[float]) -> float | None:
    """Rounded mean; None of nothing."""
    return round(sum(values) / len(values), 3) if values else None


def worst_clip(
    measurements: list[dict[str, Any]], value: Callable[[dict[str, Any], str], float], other: str
) -> dict[str, Any] | None:
    """The clip on which refined motion has least over ``other``, in dB."""
    if not measurements:
        return None
    margin, clip = min(
        (value(measurement, "refined") - value(measurement, other), measurement["clip"]) for measurement in measurements
    )
    return {"clip": clip, "db": round(margin, 3)}


def table(measurements: list[dict[str, Any]]) -> str:
    """One frame and 15 frames, by method and CRF; then SPyNet's clips; then the worst and the time."""
    found = summary(measurements)
    lines: list[str] = []
    for kind, title in (("fields", "PSNR (dB)"), ("spynet", "The same beside SPyNet")):
        if kind not in found:
            continue
        by_crf = found[kind]
        names = sorted({measurement["clip"] for measurement in measurements if measurement["kind"] == kind})
        length = max(measurement["frames"] for measurement in measurements if measurement["kind"] == kind)
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
    lines += settings_table([measurement for measurement in measurements if measurement["kind"] == "settings"])
    times = [measurement for measurement in measurements if measurement["kind"] == "time"]
    if times:
        spent = "; ".join(
            f"{c['clip']} CRF {c['crf']:g}: {c['processor_ms_per_frame']['refined']:.1f} ms, DIS {c['processor_ms_per_frame']['dis']:.1f} ms"
            for c in times
        )
        size = times[0]["size"]
        lines += [f"Processor time of both fields of a {size[0]}x{size[1]} frame, one thread, in turn: {spent}.", ""]
    lines += profile_table([measurement for measurement in measurements if measurement["kind"] == "profile"])
    lines += [text for measurement in measurements for text in (_sentence(measurement), "") if _sentence(measurement)]
    return "\n".join(lines)


def _sentence(measurement: dict[str, Any]) -> str:
    """What a cell of memory or of full HD says; nothing for the others."""
    if measurement["kind"] == "full_hd":
        return (
            f"1920x1080 with decoding, {measurement['threads']} threads: {measurement['processor_ms_per_frame']:.0f} ms of processor time a "
            f"frame, {measurement['frames_per_second']:.1f} frames/s by the clock."
        )
    if measurement["kind"] == "memory":
        size, resident = measurement["size"], measurement["resident_mib"]
        return (
            f"Resident memory of one pass over {measurement['minutes']} minutes of {size[0]}x{size[1]}: {resident[0]:.0f} MiB after a "
            f"tenth, {resident[-1]:.0f} MiB at the end."
        )
    return ""


def settings_table(measurements: list[dict[str, Any]]) -> list[str]:
    """Refined motion and DIS at other presets, GOPs and frame rates."""
    if not measurements:
        return []
    crfs = sorted({measurement["crf"] for measurement in measurements})
    lines = [
        f"{measurements[0]['clip']}, refined motion (DIS), one frame / {TRACK_FRAMES} frames, at other settings of x264:",
        "",
        "| |" + "".join(f" CRF {crf:g} |" for crf in crfs),
        "|---|" + "---|" * len(crfs),
    ]
    for setting in dict.fromkeys(measurement["setting"] for measurement in measurements):
        row = f"| {setting} |"
        for crf in crfs:
            found = [
                measurement
                for measurement in measurements
                if measurement["setting"] == setting and measurement["crf"] == crf
            ]
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
