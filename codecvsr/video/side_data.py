"""What a video has beyond the pixels of its pictures and its other streams, and what of it the output lacks.

:func:`found_in` names what one picture has; the scan collects the names of all pictures. :func:`lost` is the difference to
what the output will have, in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import av
import numpy as np

from codecvsr.bitstream.decode import open_video, side_data

#: Names of FFmpeg's side data -> words. Motion, encoder and the timecode that every MPEG-2 stream counts are not the viewer's.
_WORDS = {
    "A53_CC": "closed captions (EIA-608/708)",
    "STEREO3D": "stereo 3D metadata",
    "SPHERICAL": "360 degree (spherical) metadata",
    "MASTERING_DISPLAY_METADATA": "HDR10 mastering display metadata",
    "CONTENT_LIGHT_LEVEL": "HDR10 content light level",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "ICC_PROFILE": "ICC colour profile",
    "AFD": "active format description",
    "PANSCAN": "pan and scan metadata",
    "S12M_TIMECODE": "SMPTE 12M timecodes of the pictures",
}
ALPHA = "transparency (alpha channel)"


def found_in(picture: av.VideoFrame) -> set[str]:
    """Returns, in words, what a decoded picture has beyond its pixels."""
    exported = side_data(picture)
    found = {words for name, words in _WORDS.items() if exported.get(name) is not None}
    if "PANSCAN" in exported and _shows_all(bytes(exported["PANSCAN"]), picture):
        found.discard(_WORDS["PANSCAN"])
    if any(component.is_alpha for component in picture.format.components):
        found.add(ALPHA)
    return found


def _shows_all(pan_scan: bytes, picture: av.VideoFrame) -> bool:
    """Returns whether an ``AVPanScan`` selects the whole picture, as libav states it for every MPEG-2 picture."""
    width, height = np.frombuffer(pan_scan, np.int32, 2, 4).tolist()  # in sixteenths of a pixel
    positions = np.frombuffer(pan_scan, np.int16, 6, 12)
    return not positions.any() and (width, height) in ((0, 0), (16 * picture.width, 16 * picture.height))


def found_in_stream(path: Path) -> set[str]:
    """Returns, in words, what the main video stream of a file states beyond its pictures."""
    container, stream = open_video(path)
    with container:
        return {ALPHA} if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1" else set()


def lost(found: Iterable[str], stored: Collection[str] = ()) -> list[str]:
    """Returns, in words, what of a source's extras the output lacks: all but what it has ``stored``."""
    return [f"{name}: the output cannot store it, so it is omitted" for name in sorted(found) if name not in stored]
