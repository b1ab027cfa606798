"""The plot of speed, from what ``bench_speed.py`` measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from speed_table import frame_size, roofline_ms, title


def draw(content: dict[str, Any], path: Path) -> None:
    """Milliseconds per frame of every network, a panel for each machine and size, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    measurements = [measurement for measurement in content["cells"] if measurement["part"] == "net"]
    if not measurements:
        return
    of_machine = {name: [each for each in content["cells"] if each["machine"] == name] for name in content["machines"]}
    figure, axes = pyplot.subplots(
        len(measurements),
        1,
        figsize=(8, 0.9 + sum(0.45 * len(measurement["models"]) + 0.6 for measurement in measurements)),
        squeeze=False,
    )
    for axis, measurement in zip(axes[:, 0], measurements, strict=True):
        models = dict(sorted(measurement["models"].items(), key=lambda item: -item[1]["ms"]))
        names = [title(name).replace("*", "").replace("`", "") for name in models]
        times = [found["ms"] for found in models.values()]
        colours = ["tab:orange" if name.startswith("codecvsr") else "tab:blue" for name in models]
        axis.barh(names, times, color=colours)
        least = [roofline_ms(found, of_machine[measurement["machine"]]) or found["ms"] for found in models.values()]
        axis.plot(least, names, "k|", markersize=14, label="roofline")
        for name, found in zip(names, models.values(), strict=True):
            axis.text(
                found["ms"] * 1.05,
                name,
                f"{found['ms']:,.{0 if found['ms'] > 99 else 2}f} ms, {found['precision']}",
                va="center",
                fontsize=8,
            )
        axis.set_xscale("log")
        axis.set_xlim(min(least) / 2, max(times) * 6)
        axis.set_title(f"{frame_size(measurement)} on {measurement['machine']}", fontsize=9)
        axis.legend(loc="upper right", fontsize=8)
    axes[-1, 0].set_xlabel("milliseconds per frame")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
