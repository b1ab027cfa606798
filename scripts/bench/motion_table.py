"""Summary and table of motion, from what ``bench_motion.py`` measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

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
            f"{c['clip']} CRF {c['crf']:g}: {c['processor_ms_per_frame']['refined']:.1f} ms, DIS {c['processor_ms_per_frame']['dis']:.1f} ms"
            for c in times
        )
        size = times[0]["size"]
        lines += [f"Processor time of both fields of a {size[0]}x{size[1]} frame, one thread, in turn: {spent}.", ""]
    lines += [text for cell in cells for text in (_sentence(cell), "") if _sentence(cell)]
    return "\n".join(lines)


def _sentence(cell: dict[str, Any]) -> str:
    """What a cell of memory or of full HD says; nothing for the others."""
    if cell["kind"] == "full_hd":
        return (
            f"1920x1080 with decoding, {cell['threads']} threads: {cell['processor_ms_per_frame']:.0f} ms of processor time a "
            f"frame, {cell['frames_per_second']:.1f} frames/s by the clock."
        )
    if cell["kind"] == "memory":
        size, resident = cell["size"], cell["resident_mib"]
        return (
            f"Resident memory of one pass over {cell['minutes']} minutes of {size[0]}x{size[1]}: {resident[0]:.0f} MiB after a "
            f"tenth, {resident[-1]:.0f} MiB at the end."
        )
    return ""


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
    for setting in dict.fromkeys(cell["setting"] for cell in cells):
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
