#!/usr/bin/env python3
"""Prepare a training set: clips and photographs, shrunk by 4, compressed in several ways, with the codec's motion beside them.

OUT becomes a folder of pieces that codecvsr train maps into memory (data.prepared = ["OUT"]); codecvsr/train/prepared_set.py says
what a piece holds. Rate factors, presets, GOP structures and frame rates are drawn anew for every version of a piece, from
--seed and the piece's name alone. Finished pieces are kept: a run that was stopped goes on, and sources can be added.

    python scripts/training/prepare_training.py sets/clips --clips clips/train
    python scripts/training/prepare_training.py sets/photos --photos clips/photos --shots 4
    python scripts/training/prepare_training.py sets/reds --reds REDS              # train_sharp without REDS4
    python scripts/training/prepare_training.py sets/reds --reds REDS --split val  # val_sharp as well, once REDS4 alone is the test
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from codecvsr.cli.common import CodecVSRCommand, info, warn
from codecvsr.datasets.reds import SPLITS, Split, excluded_clips, reds_folder
from codecvsr.errors import InputError
from codecvsr.train.prepare import prepare
from codecvsr.train.prepare_plan import Preparation, clip_jobs, shot_jobs
from codecvsr.train.prepared_set import find_pieces

HELP = (__doc__ or "").replace("\n\n    python", "\n\n\b\n    python")  # click leaves the lines of such a paragraph
USUAL = Preparation()


@click.command(cls=CodecVSRCommand, help=HELP)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--clips", multiple=True, type=click.Path(path_type=Path), help="Folder of clips: videos, or folders of frames."
)
@click.option(
    "--photos", multiple=True, type=click.Path(path_type=Path), help="Folder of photographs to move a camera over."
)
@click.option("--reds", type=click.Path(path_type=Path), help="Folder REDS was unpacked into; REDS4 is left out.")
@click.option("--split", type=click.Choice(SPLITS), default="train", show_default=True, help="Which clips of REDS.")
@click.option("--versions", type=click.IntRange(1), default=USUAL.versions, show_default=True, help="Of every piece.")
@click.option(
    "--crf", nargs=2, type=float, default=USUAL.crf, show_default=True, help="Lowest and highest rate factor."
)
@click.option("--ldp", type=click.FloatRange(0, 1), default=USUAL.ldp, show_default=True, help="Share coded IPPP.")
@click.option(
    "--clean", type=click.FloatRange(0, 1), default=USUAL.clean, show_default=True, help="Share with pristine pixels."
)
@click.option("--frames", type=click.IntRange(1), default=USUAL.frames, show_default=True, help="Longest piece.")
@click.option("--tallest", type=click.IntRange(0), default=USUAL.tallest, show_default=True,
              help="Shrink higher frames to this height, a multiple of 16; 0: none.")  # fmt: skip
@click.option("--shots", type=click.IntRange(1), default=4, show_default=True, help="Over every photograph.")
@click.option(
    "--shot-frames", type=click.IntRange(1), default=USUAL.shot_frames, show_default=True, help="Length of a shot."
)
@click.option(
    "--shot-size", nargs=2, type=int, default=USUAL.shot_size, show_default=True, help="Width and height of a shot."
)
@click.option("--seed", type=int, default=USUAL.seed, show_default=True)
@click.option(
    "--processes", type=click.IntRange(1), default=os.cpu_count() or 1, help="Working side by side; all processors."
)
@click.option("--limit-gib", type=click.FloatRange(min=0), help="The most room the set may take.")
def main(
    out: Path,
    clips: tuple[Path, ...],
    photos: tuple[Path, ...],
    reds: Path | None,
    split: Split,
    shots: int,
    processes: int,
    limit_gib: float | None,
    versions: int,
    crf: tuple[float, float],
    ldp: float,
    clean: float,
    frames: int,
    tallest: int,
    shot_frames: int,
    shot_size: tuple[int, int],
    seed: int,
) -> int:
    """Prepare one set."""
    settings = Preparation(
        versions=versions, crf=crf, ldp=ldp, clean=clean, frames=frames, shortest=min(USUAL.shortest, frames),
        tallest=tallest, shot_frames=shot_frames, shot_size=shot_size, seed=seed,
    )  # fmt: skip
    jobs = [job for root in clips for job in clip_jobs(root, settings)]
    if reds is not None:
        jobs += clip_jobs(reds_folder(reds, split), settings, excluded_clips(split))
    jobs += [job for root in photos for job in shot_jobs(root, shots, settings)]
    if not jobs:
        raise InputError("There is nothing to prepare; give --clips, --reds or --photos.")
    limit = None if limit_gib is None else int(limit_gib * 2**30)
    problems = prepare(out, jobs, settings, processes=processes, limit_bytes=limit, note=info)
    for problem in problems:
        warn(problem)
    found = find_pieces(out)
    info(f"{out}: {len(found)} pieces, {sum(path.stat().st_size for path in found) / 2**30:.2f} GiB")
    return 3 if problems else 0


if __name__ == "__main__":
    main.main(sys.argv[1:], prog_name="prepare_training.py")
