"""The tables of speed and their goals, from what ``bench_speed.py`` measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Measurements = list[dict[str, Any]]

REFERENCE = "basicvsr:random"
TITLES = {
    "basicvsr:random": "BasicVSR",
    "basicvsr:random@engine": "BasicVSR on codec motion, as `upscale` runs it",
    "iconvsr:random": "IconVSR",
    "basicvsr-pp:random": "BasicVSR++",
    "edvr-m:random": "EDVR-M",
    "edvr-l:random": "EDVR-L",
    "rbpn:random": "RBPN",
}
_FIRST_FRAME_S, _LOST_DB = 5.0, 0.02
_OPERATIONS = 4


def report(content: dict[str, Any]) -> str:
    """Every machine's tables and what they say."""
    lines: list[str] = []
    for machine in content["machines"]:
        measurements = [measurement for measurement in content["cells"] if measurement["machine"] == machine]
        if measurements:
            lines += [
                f"On {machine}:",
                "",
                *_tables(measurements),
                *(f"- {line}" for line in _findings(measurements)),
                "",
            ]
    return "\n".join(lines)


def summary(content: dict[str, Any]) -> str:
    """Returns README's line of speed: file to file at the smallest size, on each machine."""
    lines = []
    for machine in content["machines"]:
        measurements = [
            measurement for measurement in _of(content["cells"], "file") if measurement["machine"] == machine
        ]
        if measurements:
            measurement = min(measurements, key=lambda each: each["size"])
            height, width = measurement["size"]
            rates = ", ".join(
                f"{title(name)} {found['frames_per_second']:.1f} frames/s"
                for name, found in measurement["models"].items()
            )
            lines.append(f"From file to file, {width}x{height} to {4 * width}x{4 * height}, on {machine}: {rates}.")
    return "\n".join(lines)


def faults(content: dict[str, Any]) -> Iterator[str]:
    """Yields a line for each machine whose measurements are not complete or miss a goal without a profile that explains it."""
    measurements = content["cells"]
    machines = {measurement["machine"] for measurement in measurements}
    if not machines or not machines <= set(content["machines"]):
        yield "a measurement names no machine, or one that is not described"
    for measurement in _of(measurements, "net"):
        models = measurement["models"]
        if REFERENCE not in models or any(found["ms"] <= 0 or found["gmacs"] <= 0 for found in models.values()):
            yield f"{measurement['key']}: {REFERENCE} is missing, or a network has no time or no multiplications"
    for machine in machines:
        of_machine = [measurement for measurement in measurements if measurement["machine"] == machine]
        missed = [line for line in _findings(of_machine) if "missed" in line]
        if missed and not _of(of_machine, "profile"):
            yield f"{machine}: a goal is missed and there is no profile: {missed[0]}"


def title(name: str) -> str:
    """What tables call a model."""
    return TITLES.get(name, f"**{name}**")


def _of(measurements: Measurements, part: str) -> Measurements:
    return [measurement for measurement in measurements if measurement["part"] == part]


def frame_size(measurement: dict[str, Any]) -> str:
    height, width = measurement["size"]
    return f"{width}x{height}"


def clock(measurement: dict[str, Any]) -> str:
    """What times of a network are on the machine of a measurement."""
    return "ms per frame" if "NVIDIA" in measurement["machine"] else "ms of the processor per frame"


def roofline_ms(found: dict[str, Any], measurements: Measurements) -> float | None:
    """Returns the shortest possible milliseconds by the machine's rates, for products or for what they read and write."""
    known = [measurement["rates"] for measurement in _of(measurements, "rates")]
    kinds = known[0] if known else {}
    rate = kinds.get(found["precision"])
    if rate is None:
        return None
    # Winograd's F(4x4, 3x3), by which the native form computes, needs 36 multiplications for 144.
    products = found["gmacs"] / rate["gmacs_per_s"] / (4 if found["native"] else 1)
    return float(1e3 * max(products, found["gbytes"] / rate["gbytes_per_s"]))


def _tables(measurements: Measurements) -> Iterator[str]:
    for measurement in _of(measurements, "net"):
        files = {name: value for other in _of(measurements, "file") if other["size"] == measurement["size"]
                 for name, value in other["models"].items()}  # fmt: skip
        height, width = measurement["size"]
        reference = measurement["models"].get(REFERENCE)
        on_gpu = "NVIDIA" in measurement["machine"]
        rate_of = (
            "frames/s" if on_gpu else f"frames/s at a load of {measurement['load']:.0f} (ms of the processor per frame)"
        )
        columns = (
            "precision",
            clock(measurement),
            "time of BasicVSR",
            "GMACs",
            "roofline, ms",
            f"file to file, {rate_of}",
        )
        yield f"| {width}x{height} to {4 * width}x{4 * height} | {' | '.join(columns)} |"
        yield "|---|---|---|---|---|---|---|"
        for name, found in measurement["models"].items():
            least = roofline_ms(found, measurements)
            times = f"{reference['ms'] / found['ms']:.1f} times" if reference else "-"
            rate = f"{files[name]['frames_per_second']:.2f}" if name in files else "-"
            if name in files and not on_gpu:
                rate += f" ({files[name]['processor_ms_per_frame']:.0f} ms)"
            yield (
                f"| {title(name)} | {found['precision']} | {found['ms']:.1f} | {times if name != REFERENCE else '-'} | "
                f"{found['gmacs']:.1f} | {'-' if least is None else format(least, '.1f')} | {rate} |"
            )
        yield ""


def _findings(measurements: Measurements) -> Iterator[str]:
    for measurement in _of(measurements, "net"):
        taken = [f"{title(name)} {1e6 * found['bytes_per_pixel_of_window'] / 2**20:.0f} MiB"
                 for name, found in measurement["models"].items() if found["bytes_per_pixel_of_window"]]  # fmt: skip
        if taken:
            yield f"Memory at {frame_size(measurement)}, per frame of a window and input megapixel: {', '.join(taken)}."
    for measurement in _of(measurements, "start"):
        stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in measurement["stages_processor_s"].items())
        yield (
            f"Cold start of `upscale` with {measurement['model']}, {frame_size(measurement)}, {measurement['frames']} frames: the first frame needs "
            f"{measurement['stages_sum_s']:.1f} s of the processor ({stages}; goal {_FIRST_FRAME_S:.0f} s: "
            f"{_verdict(measurement['stages_sum_s'] < _FIRST_FRAME_S)}); by the clock it came after {measurement['first_frame_s']:.1f} s "
            f"at a load of {measurement['load']:.0f}, when all threads had taken {measurement['processor_s']:.1f} s."
        )
    losses: dict[tuple[str, str], list[float]] = {}
    for measurement in _of(measurements, "precision"):
        for kind, lost in measurement["lost_db"].items():
            losses.setdefault((measurement["model"], kind), []).append(lost)
    for (model, kind), lost in losses.items():
        yield (
            f"{kind} against fp32, {model}, CRF 25, {len(lost)} clip{'s' * (len(lost) > 1)}: at most {max(lost):.4f} dB lost "
            f"(goal: {_LOST_DB} dB: {_verdict(max(lost) <= _LOST_DB)})."
        )
    for goal, value, least in _goals(measurements):
        yield f"Goal: {goal}, at least {least:g}: {value:.3g}, {_verdict(value >= least)}."
    for measurement in _of(measurements, "profile"):
        spent = ", ".join(f"{name} {share:.0f} %" for name, share in list(measurement["percent"].items())[:_OPERATIONS])
        yield f"Where the time of {measurement['model']} goes at {frame_size(measurement)}: {spent}."


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "missed"


def _goals(measurements: Measurements) -> Iterator[tuple[str, float, float]]:
    """Goals that these cells can judge: what, measured, least."""
    on_gpu = any("NVIDIA" in measurement["machine"] for measurement in measurements)
    nets = {tuple(measurement["size"]): measurement["models"] for measurement in _of(measurements, "net")}
    files = {tuple(measurement["size"]): measurement["models"] for measurement in _of(measurements, "file")}
    small, large = (180, 320), (540, 960)
    fast = "codecvsr-fast"
    limits = {"codecvsr": 5.0, fast: 20.0} if on_gpu else {fast: 60.0}
    for name, least in limits.items():
        if name in nets.get(small, {}) and REFERENCE in nets[small]:
            ratio = nets[small][REFERENCE]["ms"] / nets[small][name]["ms"]
            yield f"{name} as many times as fast as BasicVSR at 320x180", ratio, least
    if not on_gpu and fast in files.get(small, {}):
        most = 2e3 / files[small][fast]["processor_ms_per_frame"]
        yield f"{fast} file to file at 320x180, frames/s of two idle cores by its processor time", most, 24.0
    for size, least in ((small, 150.0), (large, 30.0)) if on_gpu else ():
        if fast in files.get(size, {}):
            yield f"{fast} file to file at {size[1]}x{size[0]}, frames/s", files[size][fast]["frames_per_second"], least
    if on_gpu and "codecvsr" in files.get(small, {}) and "codecvsr" in nets.get(small, {}):
        share = files[small]["codecvsr"]["frames_per_second"] * nets[small]["codecvsr"]["ms"] / 1e3
        yield "codecvsr file to file, of the network's own speed at 320x180", share, 0.6
