"""Which super-resolved frame belongs to which original."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from codecvsr.bitstream.pictures import VideoPictures
from codecvsr.errors import DamagedInputError, InputError
from codecvsr.files import list_images

MatchedBy = Literal["name", "number", "order"]
NAMED = 4  #: an error names so many frames and counts the others


@dataclass(frozen=True)
class FolderPairs:
    """The frames of two folders, pair by pair.

    Attributes:
        pairs: (super-resolved, original) in the order of their numbers.
        matched_by: "name" where the names agree, "number" where only their zeros or prefixes differ, "order" where the
            two folders count from different numbers.
    """

    pairs: tuple[tuple[Path, Path], ...]
    matched_by: MatchedBy


def name_some(names: Sequence[str]) -> str:
    """The first few names and how many more there are: ``a, b, c, d and 3 more``."""
    shown = ", ".join(names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"


def frame_number(path: Path) -> int | None:
    """The number at the end of a file's name (``00000012.png``, ``frame_12.jpg``), or None."""
    digits = re.search(r"[0-9]+$", path.stem)
    return int(digits.group()) if digits else None


def list_frames(folder: Path) -> list[Path]:
    """The pictures of a folder by frame number, or by name where not all have a number of their own.

    Raises:
        InputError: no such folder, no pictures in it, or two pictures for one frame (``3.png`` and ``3.jpg``).
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder; a folder of PNG or JPEG frames is expected.")
    images = list_images(folder)
    if not images:
        raise InputError(f"{folder}: holds no PNG or JPEG frames.")
    stems: dict[str, Path] = {}
    for image in images:
        if image.stem in stems:
            raise InputError(f"{folder}: {stems[image.stem].name} and {image.name} are the same frame; remove one.")
        stems[image.stem] = image
    numbers = {frame_number(image): image for image in images}
    if None in numbers or len(numbers) < len(images):
        return images
    return [image for _, image in sorted(numbers.items(), key=lambda item: item[0] or 0)]


def pair_folders(sr_dir: Path, gt_dir: Path) -> FolderPairs:
    """Pair the frames of two folders by name; by number or order where no name says otherwise.

    Raises:
        InputError: a folder is unusable, or frames are missing or too many; it names the first of them.
    """
    sr, gt = list_frames(sr_dir), list_frames(gt_dir)
    if _agree([p.stem for p in sr], [p.stem for p in gt]):
        return _paired(sr, gt, "name")
    sr_numbers, gt_numbers = [frame_number(p) for p in sr], [frame_number(p) for p in gt]
    if _all_different(sr_numbers) and _all_different(gt_numbers):
        if _agree(sr_numbers, gt_numbers):
            return _paired(sr, gt, "number")
        shifts = {s - g for s, g in zip(sr_numbers, gt_numbers, strict=False) if s is not None and g is not None}
        if len(sr) == len(gt) and len(shifts) == 1:
            return _paired(sr, gt, "order")
        missing = [p.name for p, number in zip(gt, gt_numbers, strict=True) if number not in set(sr_numbers)]
        extra = [p.name for p, number in zip(sr, sr_numbers, strict=True) if number not in set(gt_numbers)]
    else:
        if len(sr) == len(gt) and not {p.stem for p in sr} & {p.stem for p in gt}:
            return _paired(sr, gt, "order")
        missing = [p.name for p in gt if p.stem not in {q.stem for q in sr}]
        extra = [p.name for p in sr if p.stem not in {q.stem for q in gt}]
    problems = [f"is missing {name_some(missing)}"] if missing else []
    problems += [f"has {name_some(extra)} without an original"] if extra else []
    raise InputError(
        f"{sr_dir}: {' and '.join(problems)} ({len(sr)} frames against {len(gt)} in {gt_dir}); "
        "both folders need the same frames."
    )


def _agree(a: Sequence[object], b: Sequence[object]) -> bool:
    return sorted(map(str, a)) == sorted(map(str, b))


def _all_different(numbers: Sequence[int | None]) -> bool:
    return None not in numbers and len(set(numbers)) == len(numbers)


def _paired(sr: Sequence[Path], gt: Sequence[Path], matched_by: MatchedBy) -> FolderPairs:
    if matched_by == "name":
        by_stem = {p.stem: p for p in gt}
        return FolderPairs(tuple((p, by_stem[p.stem]) for p in sr), matched_by)
    return FolderPairs(tuple(zip(sr, gt, strict=True)), matched_by)


def video_frames(path: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """The frames of a video of any codec in display order, (H, W, 3) uint8 RGB.

    Raises:
        InputError: it cannot be opened or has no video stream.
        DamagedInputError: it cannot be decoded to its end.
    """
    video = VideoPictures(path)
    try:
        yield from video
    except DamagedInputError as error:
        raise DamagedInputError(f"{path}: is damaged ({video.damage}); a whole video was expected.") from error
