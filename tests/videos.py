"""Small whole videos for the tests: uneven frame times, sound, subtitles, chapters, a cover and everything said of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from codecvsr.models.codecvsr import CodecVSR
from tests.streams import moving_texture

TIME_BASE = Fraction(1, 90000)
STEPS = (3003, 3003, 1501, 6006, 3003, 3003, 9000, 3003)  # ticks between frames, over and over
QUARTER_TURN = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
SUBTITLES = ((100, 200, b"Hello <i>you</i>"), (350, 100, "zw\u00f6lf\nlines".encode()))  # ms, ms, text


def small_network(path: Path, channels: int = 8) -> Path:
    """Weights of a tiny network that does something everywhere, the same ones whatever ran before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        state = CodecVSR(channels=channels, blocks=1).state_dict()
        state = {k: torch.randn(v.shape) * 0.05 if v.ndim == 4 else v for k, v in state.items()}
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def frame_times(frames: int, first: int = 9000) -> list[int]:
    """When the frames of :func:`make_video` are shown, in ticks."""
    times = [first]
    for i in range(frames - 1):
        times.append(times[-1] + STEPS[i % len(STEPS)])
    return times


def make_video(
    path: Path,
    frames: int = 14,
    height: int = 32,
    width: int = 48,
    *,
    extras: bool = True,
    first: int = 9000,
    sound_codec: str = "aac",
    parameters: str = "bframes=2:b-adapt=0:keyint=6",
) -> Path:
    """An H.264 video with B frames and uneven times that begins at 0.1 s; with ``extras`` also what else a video may have."""
    pictures = moving_texture(frames, height, width, 2, 1)
    times = frame_times(frames, first)
    with av.open(str(path), "w") as out:
        sound = out.add_stream(sound_codec, rate=48000) if extras else None
        video = out.add_stream("libx264", rate=Fraction(30000, 1001))
        context = video.codec_context
        context.width, context.height, context.pix_fmt, context.time_base = width, height, "yuv420p", TIME_BASE
        context.sample_aspect_ratio = Fraction(4, 3)
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        context.options = {"crf": "12", "x264-params": parameters}
        video.time_base = TIME_BASE
        video.set_display_matrix(QUARTER_TURN)
        subtitles = None
        if extras:
            out.metadata.update({"title": "A small video", "comment": "made for a test"})
            if path.suffix == ".mkv":
                subtitles = out.add_mux_stream("subrip", time_base=Fraction(1, 1000))
                subtitles.metadata["language"] = "deu"
                out.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font")
            out.set_chapters(
                [
                    {"id": 1, "start": 0, "end": 300, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}},
                    {"id": 2, "start": 300, "end": 700, "time_base": Fraction(1, 1000), "metadata": {"title": "Two"}},
                ]
            )
        out.start_encoding()
        packets = []
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = time, TIME_BASE
            packets += video.encode(frame)
        packets += video.encode(None)
        if sound is not None:
            tone = np.sin(np.arange(48000) / 20).astype(np.float32) * 0.1
            for start in range(0, int(times[-1] / 90000 * 48000), 960):
                samples = np.stack([tone[start % 40000 :][:960]] * 2)
                if sound_codec == "libopus":
                    frame = av.AudioFrame.from_ndarray(samples.T.reshape(1, -1).copy(), format="flt", layout="stereo")
                else:
                    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                packets += sound.encode(frame)
            packets += sound.encode(None)
        if subtitles is not None:
            for start, duration, text in SUBTITLES:
                packet = av.Packet(text)
                packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
                packet.pts = packet.dts = start
                packet.duration = duration
                packets.append(packet)
        out.mux(sorted(packets, key=lambda packet: packet.dts * packet.time_base))
    return path


def noisy_frames(folder: Path, frames: int, height: int, width: int) -> Path:
    """A folder of PNG frames numbered from 5."""
    folder.mkdir()
    for i, picture in enumerate(moving_texture(frames, height, width, 2, 1)):
        cv2.imwrite(str(folder / f"frame_{i + 5:03d}.png"), picture[:, :, ::-1])
    return folder


def read(path):
    """Per stream: (type, codec, packets as (seconds, bytes)); and the container's own."""
    with av.open(str(path)) as container:
        packets = {stream.index: [] for stream in container.streams}
        for packet in container.demux([s for s in container.streams if s.type not in ("attachment", "data")]):
            if packet.size:
                packets[packet.stream_index].append((packet.pts * packet.time_base, bytes(packet)))
        streams = [
            (s.type, s.codec_context.name if s.codec_context else s.name, packets[s.index]) for s in container.streams
        ]
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
            for c in container.chapters()
        ]
        return streams, chapters, dict(container.metadata)


def pictures(path):
    """Decoded pictures and their seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
        return (
            np.stack([f.to_ndarray(format="rgb24") for f in frames]),
            [f.pts * f.time_base for f in frames],
            frames[0],
        )


def video_packets(path):
    return next(packets for kind, _, packets in read(path)[0] if kind == "video")
