"""Which files of a folder ``upscale`` reads, and the names of their outputs."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from codecvsr.bitstream.decode import open_video
from codecvsr.errors import InputError
from codecvsr.files import IMAGE_SUFFIXES, VIDEO_SUFFIXES, list_images

MIN_FRAMES = 24  #: beside videos, fewer numbered pictures than these are posters, not the frames of a video
_NUMBER = re.compile(r"\d+$")
_NO_VIDEOS = (
    *IMAGE_SUFFIXES, ".txt", ".nfo", ".srt", ".ass", ".ssa", ".vtt", ".sub", ".idx", ".json", ".xml", ".html", ".csv",
    ".md", ".log", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".pdf", ".zip",
)  # fmt: skip
_NO_VIDEO_FORMATS = ("tty", "image2", "ico", "gif")

_logger = logging.getLogger(__name__)


def is_folder_of_frames(path: Path) -> bool:
    """Whether the pictures of a folder are the frames of one video: posters beside videos are not."""
    if not path.is_dir():
        return False
    images = list_images(path)
    return bool(images) and (_is_sequence(images) or not find_videos(path))


def _is_sequence(images: Sequence[Path]) -> bool:
    """Whether pictures are many, of one name and numbered without gaps: the frames of a video, though videos are beside them."""
    numbers: dict[tuple[str, str], set[int]] = {}
    for image in images:
        if match := _NUMBER.search(image.stem):
            numbers.setdefault((image.stem[: match.start()], image.suffix), set()).add(int(match[0]))
    most = max(numbers.values(), key=len, default=set())
    return len(most) >= MIN_FRAMES and max(most) - min(most) == len(most) - 1


def log_choice(path: Path) -> None:
    """Says what of a folder with both many pictures and videos is not upscaled."""
    if not path.is_dir() or len(images := list_images(path)) < MIN_FRAMES or not (videos := find_videos(path)):
        return
    if _is_sequence(images):
        _logger.warning(
            "%s: its numbered pictures are taken as the frames of one video; %s beside them is not upscaled: name it to do so.",
            path, f"{videos[0].name} and {len(videos) - 1} more" if videos[1:] else videos[0].name,
        )  # fmt: skip
        return
    _logger.warning(
        "%s: its videos are upscaled, its %d pictures are not, as they are not numbered without gaps: name them to do so.",
        path, len(images),
    )  # fmt: skip


def find_videos(folder: Path, *, recursive: bool = False) -> list[Path]:
    """Returns the videos of a folder, sorted: by their ending, and files of other endings by their content."""
    paths = folder.rglob("*") if recursive else folder.iterdir()
    return sorted(path for path in paths if path.is_file() and not _is_hidden(path, folder) and _is_video(path))


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _is_video(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES or suffix in _NO_VIDEOS:
        return suffix in VIDEO_SUFFIXES
    try:
        container, _ = open_video(path)
    except InputError:
        return False
    with container:
        return container.format.name not in _NO_VIDEO_FORMATS and not container.format.name.endswith("_pipe")


def separate_names(jobs: Sequence[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Returns the jobs with an output each: of two inputs of one stem, the one of another ending has it in its name.

    ``ep.mkv`` and ``ep.avi`` become ``ep.mkv`` and ``ep_avi.mkv``; further ones are numbered.

    Raises:
        InputError: an input is there twice.
    """
    known: set[Path] = set()
    for source, target in jobs:
        if source in known:
            raise InputError(f"two inputs would become {target}; name {source} once.")
        known.add(source)
    used: set[Path] = set()
    named: dict[int, Path] = {}
    for index in sorted(range(len(jobs)), key=lambda i: jobs[i][0].suffix.lower() != jobs[i][1].suffix.lower()):
        source, target = jobs[index]
        place, number = target, 1
        while place in used:
            ending = f"_{source.suffix[1:].lower()}" if source.suffix else ""
            place = target.with_stem(f"{target.stem}{ending}{'' if number == 1 else f'_{number}'}")
            number += 1
        used.add(place)
        named[index] = place
    return [(source, named[index]) for index, (source, _) in enumerate(jobs)]
