"""What of an input its output will lack, and the messages that say so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from codecvsr.video.image_writer import is_image_name, stored_in
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.side_data_output import lost
from codecvsr.video.size_changes import what_is_done
from codecvsr.video.stream_mapping import StreamPlan, container_of, is_raw
from codecvsr.video.y4m import lost_in_y4m

if TYPE_CHECKING:
    from codecvsr.video.segments import Codec

_logger = logging.getLogger(__name__)


def lost_of_pictures(media: Media, scan: Scan, output: Path, codec: Codec, *, is_folder: bool) -> list[str]:
    """Returns, in words, what the output will lack of what the scan found.

    Args:
        media: the input.
        scan: its frames.
        output: the file or folder.
        codec: of a video.
        is_folder: PNG files are written.
    """
    if is_folder:
        return lost(scan.side_data, codec, None)
    if is_image_name(output):
        return lost(scan.side_data, codec, None, stored_in(output))
    found = lost(scan.side_data, codec, container_of(output))
    return [*found, *lost_in_y4m(media, scan)] if is_raw(output) else found


def log_losses(
    path: Path, output: Path, found: Scan, plans: Sequence[StreamPlan], losses: Sequence[str], *, is_folder: bool
) -> None:
    """Logs what the output of ``path`` lacks, and what is changed in it.

    Args:
        path: of the input.
        output: the file or folder.
        found: the scan of the input.
        plans: what is done with its other streams.
        losses: what the output lacks, in words.
        is_folder: PNG files are written.
    """
    for loss in losses:
        _logger.warning("%s: %s.", output, loss)
    if is_folder and (found.is_turned or found.aspect != 1):
        _logger.warning(
            "%s: is shown turned or with pixels that are not square, which PNG files cannot express: they have the pictures "
            "as the video stores them.", path,
        )  # fmt: skip
    if found.later_sizes:
        _logger.warning("%s: %s.", path, what_is_done(found.later_sizes))
    for plan in plans:
        if plan.note:
            _logger.warning("%s: %s %s.", output, plan.title, plan.note)
    for other in plans:
        if other.title.startswith("video") and other.action == "copy":
            _logger.info("%s: %s is copied as it is; only the main video is upscaled.", path, other.title)
