"""What of an input its output will lack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from codecvsr.video.image_writer import is_image_name, stored_in
from codecvsr.video.probe import Media
from codecvsr.video.scan import Scan
from codecvsr.video.side_data_output import lost
from codecvsr.video.stream_mapping import container_of, is_raw
from codecvsr.video.y4m import lost_in_y4m

if TYPE_CHECKING:
    from codecvsr.video.segments import Codec


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
