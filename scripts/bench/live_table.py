"""Tables of ``codecvsr live``: look-ahead, paced and disturbed runs, from what ``bench_live.py`` measured."""

from __future__ import annotations

from typing import Any


def table(results: dict[str, Any]) -> str:
    """Returns the tables."""
    parts = [_look_ahead(sorted(results["look_ahead"], key=lambda row: str(row["subject"])))]
    if results["paced"]:
        parts.append(_paced(results["paced"]))
    if results["disturbed"]:
        parts.append(_disturbed(results["disturbed"]))
    return "\n\n".join(parts)


def _look_ahead(entries: list[dict[str, Any]]) -> str:
    counts = list(dict.fromkeys(kind for entry in entries for kind in entry["psnr"] if kind.isdigit()))
    first = entries[0]
    lines = [
        (
            f"PSNR (dB) by the number of frames seen ahead, mean over {', '.join(first['clips'])}, {first['scored_frames']} frames of each, the "
            f"middle {first['crop']} pixels of the input:"
        ),
        "",
        "| | bicubic |" + "".join(f" {count} |" for count in counts) + " whole clip | lost without look-ahead |",
        "|---|---|" + "---|" * len(counts) + "---|---|",
    ]
    for entry in entries:
        values = entry["psnr"]
        scores = "".join(f" {values[count]:.2f} |" for count in counts)
        lost = values["file"] - values["0"]
        lines.append(f"| {entry['subject']} | {values['bicubic']:.2f} |{scores} {values['file']:.2f} | {lost:.2f} |")
    return "\n".join(lines)


def _paced(entries: list[dict[str, Any]]) -> str:
    lines = [
        "Paced runs: a stream sent by TCP at its own rate. Latency is from the arrival of a frame to its output.",
        "",
        "| | frames sent / made | latency, median / 99 % | networks, s | resident MiB, second / last quarter | load of the machine |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        sizes = entry["resident_mb"]
        lines.append(
            f"| {entry['subject']} | {entry['sent_frames']} / {entry['frames']} | {entry['latency_median']:.2f} / "
            f"{entry['latency_p99']:.2f} s | {_levels(entry)} | {sizes['second_quarter']:.0f} / {sizes['last_quarter']:.0f} | "
            f"{entry['load_average'][0]:.0f} |"
        )
    return "\n".join(lines)


def _levels(entry: dict[str, Any]) -> str:
    """Returns the seconds of a stream that each network made."""
    return ", ".join(f"{name} {seconds:.0f}" for name, seconds in entry["level_seconds"].items() if seconds)


def _disturbed(entries: list[dict[str, Any]]) -> str:
    lines = [
        "Disturbed runs of 320x180 at 15 frames/s: how often the output went on, and after how long at most.",
        "",
        "| | times | went on | longest | frames made | concealed / missing | networks, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        made = f"{entry['frames']} of {entry['sent_frames']}" if "sent_frames" in entry else f"{entry['frames']}"
        longest = "-" if entry["longest_seconds"] is None else f"{entry['longest_seconds']:.1f} s"
        lines.append(
            f"| {entry['subject']} | {entry['times']} | {entry['went_on']} | {longest} | {made} | "
            f"{entry['concealed_frames']} / {entry['lost_frames']} | {_levels(entry)} |"
        )
    return "\n".join(lines)
