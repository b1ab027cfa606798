"""``codecvsr prepare``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from codecvsr.cli.common import CodecVSRCommand, ExitCode, command_line
from codecvsr.cli.options import json_option
from codecvsr.cli.output import info, print_json, track, warn

if TYPE_CHECKING:
    from codecvsr.datasets.reds import Split


@click.command(cls=CodecVSRCommand)
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--clips", multiple=True, type=click.Path(path_type=Path),
              help="Folder of clips: videos, or sub-folders of PNG or JPEG frames; may be repeated.")  # fmt: skip
@click.option("--photos", multiple=True, type=click.Path(path_type=Path),
              help="Folder of photographs over which a virtual camera moves; may be repeated.")  # fmt: skip
@click.option("--reds", type=click.Path(path_type=Path), help="Folder into which REDS was unpacked; REDS4 is excluded.")
@click.option("--split", type=click.Choice(("train", "val")), default="train", show_default=True,
              help="Which clips of REDS: train_sharp or val_sharp.")  # fmt: skip
@click.option("--versions", type=click.IntRange(1), default=2, show_default=True,
              help="Number of compressed versions of every chunk.")  # fmt: skip
@click.option("--crf", nargs=2, type=float, default=(15.0, 35.0), show_default=True, metavar="LOW HIGH",
              help="Range of CRFs; each version draws its own.")  # fmt: skip
@click.option("--ldp", type=click.FloatRange(0, 1), default=0.3, show_default=True,
              help="Share of versions coded IPPP, without B-frames.")  # fmt: skip
@click.option("--clean", type=click.FloatRange(0, 1), default=0.1, show_default=True,
              help="Share of versions with pristine pixels.")  # fmt: skip
@click.option("--rate-limited", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of versions with a mean bit rate and a buffer (VBV), as streaming services code.")  # fmt: skip
@click.option("--reencoded", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of versions that were encoded once before, as uploads are.")  # fmt: skip
@click.option("--kernels", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of versions shrunk by area, bilinear or Lanczos instead of bicubic.")  # fmt: skip
@click.option("--noise", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Share of versions with light sensor noise.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), default=100, show_default=True,
              help="Maximum length of a chunk; longer clips are split.")  # fmt: skip
@click.option("--tallest", type=click.IntRange(0), default=0, show_default=True,
              help="Scale higher clips down to this height, a multiple of 16; 0: never.")  # fmt: skip
@click.option("--shots", type=click.IntRange(1), default=4, show_default=True, help="Number of shots per photograph.")
@click.option("--shot-frames", type=click.IntRange(1), default=48, show_default=True, help="Length of a shot.")
@click.option("--shot-size", nargs=2, type=int, default=(640, 384), show_default=True, metavar="WIDTH HEIGHT",
              help="Frame size of a shot, multiples of 16.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of all random choices.")
@click.option("--processes", type=click.IntRange(1), default=os.cpu_count() or 1,
              help="Number of worker processes; all processors by default.")  # fmt: skip
@click.option("--limit-gib", type=click.FloatRange(min=0), help="Maximum size of the set in GiB.")
@json_option
def command(
    out: Path,
    clips: tuple[Path, ...],
    photos: tuple[Path, ...],
    reds: Path | None,
    split: Split,
    versions: int,
    crf: tuple[float, float],
    ldp: float,
    clean: float,
    rate_limited: float,
    reencoded: float,
    kernels: float,
    noise: float,
    frames: int,
    tallest: int,
    shots: int,
    shot_frames: int,
    shot_size: tuple[int, int],
    seed: int,
    processes: int,
    limit_gib: float | None,
    as_json: bool,
) -> ExitCode:
    """Prepare a training set in the folder OUT for codecvsr train (data.prepared = ["OUT"] in the recipe).

    Clips and photographs are scaled down by 4, compressed in several versions and stored with the codec's motion. CRF, preset,
    GOP and frame rate are drawn for every version. Existing chunks stay: the same command continues an interrupted
    run, and further sources can be added. A source that cannot be used is named and skipped (exit code 3).
    """
    if not clips and not photos and reds is None:
        raise click.UsageError("expected at least one of --clips, --photos and --reds.")
    from codecvsr.errors import InputError
    from codecvsr.train.prepare import prepare
    from codecvsr.train.prepare_plan import Preparation, plan_sources
    from codecvsr.train.prepared_set import find_chunks

    settings = Preparation(
        versions=versions, crf=crf, ldp=ldp, clean=clean, rate_limited=rate_limited, reencoded=reencoded,
        kernels=kernels, noise=noise, frames=frames, shortest=min(Preparation.shortest, frames),
        tallest=tallest, shot_frames=shot_frames, shot_size=shot_size, seed=seed,
    )  # fmt: skip
    plan = plan_sources(settings, clips=clips, photos=photos, shots=shots, reds=reds, split=split)
    if not plan.jobs:
        skipped = "; ".join(f"{item.source}: {item.reason}" for item in plan.skipped[:5])
        raise InputError(f"No source can be used: {skipped}")
    limit = None if limit_gib is None else int(limit_gib * 2**30)
    result = prepare(out, plan, settings, processes=processes, limit_bytes=limit, progress=track)
    for item in result.skipped:
        warn(f"{item.source}: {item.reason}")
    found = find_chunks(out)
    size = sum(path.stat().st_size for path in found)
    if as_json:
        skipped_json = [{"source": item.source, "reason": item.reason} for item in result.skipped]
        print_json({"command": command_line(), "out": str(out), "chunks": len(found), "new_chunks": result.new_chunks,
                    "bytes": size, "skipped": skipped_json})  # fmt: skip
    else:
        skipped_text = f"; {len(result.skipped)} sources skipped" if result.skipped else ""
        info(f"{out}: {len(found)} chunks ({result.new_chunks} new), {size / 2**30:.2f} GiB{skipped_text}")
    return ExitCode.PARTIAL if result.skipped else ExitCode.OK
