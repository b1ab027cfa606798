"""The clip that tests of inference use, and how they run it."""

from __future__ import annotations

import numpy as np
import torch

from codecvsr.files import read_image
from codecvsr.inference import execute
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.infer import infer
from codecvsr.inference.source_clip import SourceClip
from codecvsr.models.runners import FRAME_BY_FRAME

FRAMES, HEIGHT, WIDTH = 4, 32, 48
NAMES = [f"{i:08d}.png" for i in range(3, 3 + FRAMES)]
B_FRAMES = {"crf": "16", "x264-params": "bframes=2:b-adapt=0"}
CPU = torch.device("cpu")


def pictures(folder):
    return np.stack([read_image(path) for path in sorted(folder.iterdir())])


def run(clip, out, model, *, motion=None, window=0, **ablations):
    report = infer(clip, out, model=model, motion=motion, window=window, ablations=Ablations(**ablations))
    assert report.frames == FRAMES and report.frames_per_second > 0 and report.peak_memory_mb > 1
    assert sorted(path.name for path in out.iterdir()) == NAMES
    result = pictures(out)
    assert result.shape == (FRAMES, 4 * HEIGHT, 4 * WIDTH, 3)
    return report, result


real = execute.split


def outputs_of(model, source, wanted=range(FRAMES)):
    return list(model.descriptor.runner(model.network, SourceClip(source, CPU), wanted, FRAME_BY_FRAME))
