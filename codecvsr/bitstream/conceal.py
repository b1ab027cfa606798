"""Reading a damaged video to its end: the decoder conceals damaged pictures, and missing ones repeat the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from codecvsr.bitstream.decode import PacketFacts, VideoDecoder
from codecvsr.bitstream.frame import NO_VECTORS, CodedFrame
from codecvsr.bitstream.refusals import check_is_frame
from codecvsr.errors import DamagedInputError


class ConcealedVideo:
    """The pictures of a video that may be damaged; can be iterated more than once.

    libav conceals the damaged parts of a picture. Where a picture is missing, the one before it is repeated at its time, so
    that every packet has one picture. Packets before the first picture that can be decoded have none.

    Attributes:
        path: the file.
        concealed: after an iteration, how many pictures were concealed or repeated.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet."""
        self.path = path
        self.concealed = 0

    def __iter__(self) -> Iterator[CodedFrame]:
        """Decodes from the start; yields frames in display order.

        Raises:
            InputError: the file cannot be opened.
            DamagedInputError: not one picture can be decoded.
        """
        self.concealed = 0
        last: CodedFrame | None = None
        index = 0
        for coded, missing in self._read():
            for decode_index, seconds in missing if last is not None else ():
                assert last is not None
                yield replace(
                    last, index=index, decode_index=decode_index, pts_seconds=seconds, type="P", is_reference=False,
                    is_idr=False, vectors=NO_VECTORS, qp=None,
                )  # fmt: skip
                self.concealed += 1
                index += 1
            if coded is not None:
                last = replace(coded, index=index)
                yield last
                index += 1
        if last is None:
            raise DamagedInputError(f"{self.path}: no picture of it can be decoded; use a whole file.")

    def _read(self) -> Iterator[tuple[CodedFrame | None, list[tuple[int, float]]]]:
        """Yields each decoded picture with the missing packets (number, seconds) to be shown before it; at the end None."""
        waiting: dict[int, float] = {}  # seconds of packets that gave no picture yet
        registered = 0  # packets that ``waiting`` knows
        count = 0
        with VideoDecoder(self.path, export=True, conceal=True) as decoder:
            for picture in decoder:
                check_is_frame(self.path, decoder.codec, picture)
                registered = _add_new(waiting, decoder.packets, registered)
                number = picture.pts
                if number is None or not 0 <= number < len(decoder.packets):
                    continue
                self.concealed += bool(picture.is_corrupt)
                coded = decoder.coded_frame(picture, count)
                waiting.pop(-1 if (slot := decoder.slot(picture)) is None else slot, None)
                seconds = coded.pts_seconds
                late = sorted((t, n) for n, t in waiting.items() if seconds is not None and t < seconds)
                for _, n in late:
                    del waiting[n]
                yield coded, [(n, t) for t, n in late]
                count += 1
            _add_new(waiting, decoder.packets, registered)
        yield None, [(n, t) for t, n in sorted((t, n) for n, t in waiting.items())]


def _add_new(waiting: dict[int, float], packets: Sequence[PacketFacts], known: int) -> int:
    """Adds the times of the packets from number ``known`` on to ``waiting``; returns the number of packets."""
    for number in range(known, len(packets)):
        seconds = packets[number].pts_seconds
        if seconds is not None:
            waiting[number] = seconds
    return len(packets)
