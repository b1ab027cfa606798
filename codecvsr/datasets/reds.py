"""REDS (Nah et al., NTIRE 2019): which clips are for training, for validation, and for the test set REDS4."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from codecvsr.errors import InputError

Split = Literal["train", "val"]

#: Clips of ``train_sharp`` reserved as the test set.
REDS4 = ("000", "011", "015", "020")
SPLITS: tuple[Split, ...] = ("train", "val")


def reds_folder(root: Path, split: Split) -> Path:
    """The folder of the clips of a split, ``train_sharp`` (240 clips, REDS4 among them) or ``val_sharp`` (30).

    Args:
        root: folder into which the official archives were unpacked, with ``train/train_sharp/000/00000000.png``.
        split: which split.

    Raises:
        InputError: the folder does not exist.
    """
    name = f"{split}_sharp"
    for folder in (root / name, root / split / name):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{root}: has no {name}; unpack REDS' {name}.zip there, with clips in {split}/{name}/000 and so on."
    )


def excluded_clips(split: Split) -> tuple[str, ...]:
    """Returns the clips of a split that are not for training."""
    return REDS4 if split == "train" else ()
