"""The stages of a cold start one after the other, each with its processor time: ``python speed_start.py VIDEO MODEL DEVICE``.

``upscale`` goes through the same stages, with the next chunk decoded meanwhile; ``bench_speed.py`` runs this as a process of
its own, since what is imported first counts.
"""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from pathlib import Path


def main() -> None:
    seconds: dict[str, float] = {}
    last = 0.0

    def done(stage: str) -> None:
        nonlocal last
        now = time.process_time()  # since the process began
        seconds[stage] = round(now - last, 3)
        last = now

    video, model, device = sys.argv[1:]
    import torch

    done("import of torch")
    from codecvsr.inference.ablations import Ablations
    from codecvsr.inference.execute import upscale_frames
    from codecvsr.inference.memory_limits import MemoryLimits
    from codecvsr.upscaling.chunk_motion import make_source
    from codecvsr.upscaling.chunks import first_chunk, plan, usual_chunk
    from codecvsr.upscaling.engine import make_engine
    from codecvsr.upscaling.options import UpscaleOptions
    from codecvsr.video.probe import Media
    from codecvsr.video.scan import scan
    from codecvsr.video.seek import Decoder

    done("other imports")
    engine = make_engine(UpscaleOptions(model=model, device=device))
    done("weights")
    media = Media.open(Path(video), Fraction(24))
    found = scan(media, start=None, end=None, damage="refuse")
    done("scan")
    frames_per_chunk = usual_chunk(found.height, found.width)
    chunk = plan(found.keys.tolist(), frames_per_chunk, first=first_chunk(len(found)))[0]
    decoded = Decoder(media, found, "refuse").frames(chunk.context_start, chunk.context_stop)
    frames = [frame for frame in decoded if frame is not None]
    source = make_source(frames, media, engine.kind, engine.model, Path(video).parent)
    done("decoding and motion")
    windows = chunk.windows(frames_per_chunk)
    next(upscale_frames(engine.model, source, Ablations(), MemoryLimits(frames_per_chunk), engine.plan, windows))
    if engine.plan.device.type == "cuda":
        torch.cuda.synchronize()
    done("network")
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
