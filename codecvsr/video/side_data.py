"""What a video has beyond the pixels of its pictures and its other streams.

:class:`SideDataCollector` sees every picture of the scan, and :class:`SideData` is the result: names of everything, and the
bytes of what an output may store: see :mod:`codecvsr.video.side_data_output`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt

from codecvsr.bitstream import sei
from codecvsr.bitstream.decode import open_video
from codecvsr.bitstream.frame import CodedFrame
from codecvsr.bitstream.side_data import UNKNOWN, side_data, user_data

#: Names of FFmpeg's side data -> words. Motion, encoder and the timecode that every MPEG-2 stream counts are not the viewer's.
WORDS = {
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
    "EXIF": "EXIF metadata of the pictures",
    "LCEVC": "LCEVC enhancement layer",
    "VIEW_ID": "further views of multiview HEVC",
    "REFERENCE_DISPLAYS_3D": "3D reference displays",
    "SEI_UNREGISTERED": "user data of the pictures (SEI messages, such as a camera's telemetry)",
}
ALPHA = "transparency (alpha channel)"
#: Side data that is the same for all pictures and that an output may state once.
OF_STREAM = (
    "STEREO3D",
    "SPHERICAL",
    "MASTERING_DISPLAY_METADATA",
    "CONTENT_LIGHT_LEVEL",
    "AMBIENT_VIEWING_ENVIRONMENT",
    "ICC_PROFILE",
)
#: Side data of single pictures that an output may have.
OF_PICTURES = ("A53_CC", "AFD", "SEI_UNREGISTERED")
_OF_HDR = (
    "MASTERING_DISPLAY_METADATA",
    "CONTENT_LIGHT_LEVEL",
    "DYNAMIC_HDR_PLUS",
    "DYNAMIC_HDR_VIVID",
    "DOVI_RPU_BUFFER",
    "DOVI_METADATA",
    "AMBIENT_VIEWING_ENVIRONMENT",
)
CHROMA_STEPS, LUMINANCE_STEPS = 50000, 10000  #: per unit, in SEI messages and MP4


@dataclass(frozen=True)
class PictureData:
    """Side data of one type, of each picture.

    Attributes:
        ends: (T,) int64, where the bytes of each picture end; they begin where those of the one before end.
        payload: (N,) uint8, the bytes of all pictures.
    """

    ends: npt.NDArray[np.int64]
    payload: npt.NDArray[np.uint8]

    def of(self, index: int) -> bytes:
        """Returns the bytes of a picture; empty if it has none."""
        return self.payload[self.ends[index - 1] if index else 0 : self.ends[index]].tobytes()

    @classmethod
    def of_all(cls, pictures: list[bytes]) -> PictureData:
        """Returns the side data of pictures in display order."""
        ends = np.cumsum([len(each) for each in pictures], dtype=np.int64)
        return cls(ends, np.frombuffer(b"".join(pictures), np.uint8))


@dataclass(frozen=True)
class SideData:
    """Side data of a video.

    Attributes:
        names: everything found, in words, sorted.
        stream: bytes of FFmpeg's structures that hold for all pictures, by the names of :data:`OF_STREAM`.
        pictures: of single pictures, by the names of :data:`OF_PICTURES`.
    """

    names: tuple[str, ...] = ()
    stream: Mapping[str, bytes] = field(default_factory=dict)
    pictures: Mapping[str, PictureData] = field(default_factory=dict)

    def peak_light(self) -> float | None:
        """Returns the largest luminance of the pictures in cd/m2: of the content, else of the mastering display; None if unknown."""
        if (content := self.stream.get("CONTENT_LIGHT_LEVEL")) and (
            brightest := parse("CONTENT_LIGHT_LEVEL", content)[0]
        ):
            return float(brightest)
        if display := self.stream.get("MASTERING_DISPLAY_METADATA"):
            _, light = parse("MASTERING_DISPLAY_METADATA", display)
            return light[1] / LUMINANCE_STEPS if light and light[1] else None
        return None

    def without_hdr(self) -> SideData:
        """Returns the side data that pictures still have after they were converted to SDR."""
        words = {WORDS[name] for name in _OF_HDR}
        return SideData(
            tuple(name for name in self.names if name not in words),
            {name: data for name, data in self.stream.items() if name not in _OF_HDR},
            self.pictures,
        )

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns arrays to be saved."""
        arrays: dict[str, npt.NDArray[Any]] = {"side_data": np.array(list(self.names), np.str_)}
        arrays |= {f"stream {name}": np.frombuffer(data, np.uint8) for name, data in self.stream.items()}
        for name, each in self.pictures.items():
            arrays |= {f"ends {name}": each.ends, f"pictures {name}": each.payload}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Returns what :meth:`to_arrays` has saved.

        Raises:
            KeyError: an array is missing.
        """
        return cls(
            tuple(str(name) for name in arrays["side_data"]),
            {name: arrays[f"stream {name}"].tobytes() for name in OF_STREAM if f"stream {name}" in arrays},
            {
                name: PictureData(arrays[f"ends {name}"], arrays[f"pictures {name}"])
                for name in OF_PICTURES
                if f"ends {name}" in arrays
            },
        )


class SideDataCollector:
    """Collects the side data of pictures in display order."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """``names``: what is known from the file, in words."""
        self._names = set(names)
        self._stream: dict[str, bytes] = {}
        self._changing: set[str] = set()
        self._pictures: dict[str, list[bytes]] = {}
        self._count = 0
        self._last: CodedFrame | None = None

    def add(self, frame: CodedFrame) -> None:
        """Adds the next frame; one that repeats a picture, or is its second field, does not repeat its captions."""
        picture, last = frame.picture, self._last
        is_again = last is not None and (picture is last.picture or frame.decode_index == last.decode_index)
        self._last = frame
        for name, data in shown_side_data(picture).items():
            if name in WORDS:
                self._names.add(WORDS[name])
            elif name.startswith(UNKNOWN):
                self._names.add(f"side data of the unknown type {name.removeprefix(UNKNOWN)}")
            if name in OF_STREAM:
                first = self._stream.setdefault(name, data)
                if first != data and parse(name, first) != parse(name, data):
                    self._changing.add(name)
            elif name in OF_PICTURES and not is_again:
                pictures = self._pictures.setdefault(name, [])
                pictures += [b""] * (self._count - len(pictures))
                pictures.append(data)
        if any(component.is_alpha for component in picture.format.components):
            self._names.add(ALPHA)
        self._count += 1

    def result(self, first: int) -> SideData:
        """Returns the side data of the pictures from number ``first`` on; the names are those of all."""
        return SideData(
            tuple(sorted(self._names)),
            {name: data for name, data in self._stream.items() if name not in self._changing},
            {
                name: PictureData.of_all((data + [b""] * (self._count - len(data)))[first:])
                for name, data in self._pictures.items()
            },
        )


def shown_side_data(picture: av.VideoFrame) -> dict[str, bytes]:
    """Returns the side data of a picture by FFmpeg's names, without what says nothing to a viewer.

    All unregistered user data are one item, packed by :func:`codecvsr.bitstream.sei.pack_user_data`.
    """
    found = {name: bytes(item) for name, item in side_data(picture).items()}
    if "PANSCAN" in found and _shows_all(found["PANSCAN"], picture):
        del found["PANSCAN"]
    if found.pop("SEI_UNREGISTERED", None) is not None and (packed := sei.pack_user_data(user_data(picture))):
        found["SEI_UNREGISTERED"] = packed
    return found


def parse(name: str, data: bytes) -> tuple[Any, ...]:
    """Returns the content of one of FFmpeg's structures, in the steps in which containers and messages count."""
    if name in OF_PICTURES or name == "ICC_PROFILE":
        return (data,)
    numbers = struct.unpack(f"={len(data) // 4}i", data[: len(data) // 4 * 4])
    if name == "STEREO3D":
        # type, flags, view (which eye this picture is for, if they alternate), primary eye, baseline, two ratios
        kind, flags, _, eye, baseline, *ratios = (*numbers, *(0,) * 9)[:9]
        return kind, flags, eye, baseline, *(ratios[at] and tuple(ratios[at : at + 2]) for at in (0, 2))
    if name == "MASTERING_DISPLAY_METADATA":  # 10 ratios, then whether primaries and luminance are known
        ratios = [(numbers[at], numbers[at + 1] or 1) for at in range(0, 20, 2)]
        chroma = [round(Fraction(*ratio) * CHROMA_STEPS) for ratio in ratios[:8]] if numbers[20] else []
        light = [round(Fraction(*ratio) * LUMINANCE_STEPS) for ratio in ratios[8:]] if numbers[21] else []
        return tuple(chroma), tuple(light)
    if name == "AMBIENT_VIEWING_ENVIRONMENT":  # ratios: lux, x, y
        ratios = [Fraction(numbers[at], numbers[at + 1] or 1) for at in (0, 2, 4)]
        return tuple(
            round(ratio * step)
            for ratio, step in zip(ratios, (LUMINANCE_STEPS, CHROMA_STEPS, CHROMA_STEPS), strict=True)
        )
    return numbers


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
