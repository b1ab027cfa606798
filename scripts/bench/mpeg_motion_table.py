"""Table of motion from MPEG vectors, from what ``bench_mpeg_motion.py`` measured."""

from __future__ import annotations

from typing import Any

from motion_table import average

from codecvsr.metrics.alignment import TRACK_FRAMES

TITLES = {
    "zero": "no motion",
    "codec": "**the stream's vectors**",
    "proxy": "proxy encode with x264",
    "dis": "DIS optical flow",
}


def table(cells: list[dict[str, Any]]) -> str:
    """Means over clips, by stream and quantiser scale."""
    streams = list(dict.fromkeys(cell["stream"] for cell in cells))
    scales = sorted({cell["scale"] for cell in cells})
    names = sorted({cell["clip"] for cell in cells})
    columns = [(stream, scale) for stream in streams for scale in scales]
    lines = [
        f"PSNR (dB), one frame / {TRACK_FRAMES} frames, mean over {', '.join(names)}, {max(c['frames'] for c in cells)} frames of each:",
        "",
        "| stream | quantiser scale |" + "".join(f" {title} |" for title in TITLES.values()),
        "|---|---|" + "---|" * len(TITLES),
    ]
    for stream, scale in columns:
        here = [cell for cell in cells if (cell["stream"], cell["scale"]) == (stream, scale)]
        values = (
            f" {average([c['one_frame'][n] for c in here]):.2f} / {average([c['track'][n] for c in here]):.2f} |"
            for n in TITLES
        )
        lines.append(f"| {stream} | {scale} |" + "".join(values))
    spent = {n: average([cell["processor_ms_per_frame"][n] for cell in cells]) for n in ("codec", "proxy", "dis")}
    costs = f"vectors {spent['codec']:.0f} ms, proxy encode {spent['proxy']:.0f} ms, DIS {spent['dis']:.0f} ms"
    return "\n".join([*lines, "", f"Processor time of both fields of a frame: {costs}."])
