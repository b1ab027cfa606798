"""What an input has and a live output will not."""

from __future__ import annotations

from collections import Counter

import av

from codecvsr.bitstream.tone_mapping import HLG, PQ

_FURTHER = ("video", "subtitle", "data", "attachment")
_HDR = {PQ: "PQ", HLG: "HLG"}


def not_carried(container: av.container.InputContainer, video: av.video.stream.VideoStream) -> list[str]:
    """Return what of an open input no live output has, a part of a sentence each.

    Args:
        container: the open input.
        video: the stream that is enlarged.
    """
    counts: Counter[str] = Counter(stream.type for stream in container.streams if stream is not video)
    missing = [
        f"{counts[kind]} {'further ' * (kind == 'video')}{kind} stream{'s' * (counts[kind] > 1)}"
        for kind in _FURTHER
        if counts[kind]
    ]
    if curve := _HDR.get(int(video.codec_context.color_trc or 0)):
        missing.append(f"tone mapping (its pictures are HDR, {curve}, which the networks were not made for)")
    return missing
