"""A picture of the scores over the frames (optional extra ``plots``)."""

from __future__ import annotations

import math
from pathlib import Path

from codecvsr.errors import OutputError
from codecvsr.files import atomic_file
from codecvsr.metrics.report import EvalResult


def require_plots() -> None:
    """Check that matplotlib is there, before any work is done for a picture of it.

    Raises:
        OutputError: it is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        raise OutputError(
            "A plot needs matplotlib, which is not installed; run: pip install 'codecvsr[plots]'."
        ) from error


def write_plot(path: Path, result: EvalResult) -> None:
    """Draw PSNR and SSIM over the frames as a PNG; identical frames (infinite PSNR) leave a gap.

    Raises:
        OutputError: matplotlib is not installed or the file cannot be written.
    """
    require_plots()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True)
    for axes, metric, unit in ((top, "psnr", "PSNR (dB)"), (bottom, "ssim", "SSIM")):
        for channel in ("rgb", "y"):
            values = [getattr(row, f"{metric}_{channel}") for row in result.rows]
            mean = getattr(result, f"{metric}_{channel}")
            drawn = [value if math.isfinite(value) else math.nan for value in values]
            axes.plot(drawn, marker=".", label=f"{channel.upper()}, mean {mean:.4g}")
        axes.set_ylabel(unit)
        axes.grid(alpha=0.3)
        axes.legend()
    bottom.set_xlabel("frame")
    with atomic_file(path) as part:
        figure.savefig(part, format="png", dpi=120)
