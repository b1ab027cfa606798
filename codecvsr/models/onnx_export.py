"""The network ``codecvsr`` as an ONNX file, for runtimes other than PyTorch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from codecvsr.errors import CodecVSRError, InputError, OutputError
from codecvsr.files import atomic_file, refuse_existing
from codecvsr.models import priors as prior_channels
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.zoo import LoadedModel, load_model

SUFFIX = ".onnx"
INPUTS = ("frames", "to_prev", "to_next", "priors", "is_cut")
OUTPUT = "pictures"
OPSET = 20  #: the first in which GridSample interpolates as the network does
_NEEDED = "pip install 'codecvsr[onnx]'"


class Window(nn.Module):
    """What an exported file computes: a window of frames with all motion, without the switches of ablations."""

    def __init__(self, network: CodecVSR) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, to_prev: Tensor, to_next: Tensor, priors: Tensor, is_cut: Tensor) -> Tensor:
        """As :meth:`CodecVSR.forward`."""
        return self.network(frames, to_prev, to_next, priors, is_cut)


def example(frames: int, height: int, width: int) -> tuple[Tensor, ...]:
    """Inputs of a window of so many frames of height x width pixels, all zero."""
    cells = -(-height // 4), -(-width // 4)
    return (
        torch.zeros(1, frames, 3, height, width),
        torch.zeros(1, frames, 2, *cells),
        torch.zeros(1, frames, 2, *cells),
        torch.zeros(1, frames, prior_channels.CHANNELS, *cells),
        torch.zeros(1, frames, dtype=torch.bool),
    )


def export(
    source: str | Path, target: Path, *, frames: int, height: int, width: int, overwrite: bool = False
) -> LoadedModel:
    """Write a model for windows of a fixed size.

    Args:
        source: as for :func:`codecvsr.models.zoo.load_model`.
        target: the file to write, ``*.onnx``.
        frames: of the window.
        height: of the input, in pixels.
        width: of the input.
        overwrite: replace ``target``.

    Raises:
        InputError: the model is another network.
        OutputError: ``target`` exists already, is called otherwise or cannot be written.
        CodecVSRError: onnx or onnxscript is not installed, or PyTorch cannot export the network.
    """
    if target.suffix != SUFFIX:
        raise OutputError(f"{target}: must be called *{SUFFIX}; that is the format it is written in.")
    refuse_existing(target, overwrite=overwrite)
    model = load_model(source)
    if not isinstance(model.network, CodecVSR):
        raise InputError(f"{model.name}: is no network of this project; only 'codecvsr' and its like can be exported.")
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise CodecVSRError(f"The package {error.name} is not installed, which exporting needs: {_NEEDED}.") from error
    for logger in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                Window(model.network).eval(),
                example(frames, height, width),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise CodecVSRError(
            f"PyTorch {torch.__version__} cannot export the network ({' '.join(str(error).split())[:200]})."
        ) from error
    assert program is not None  # what dynamo=True returns
    about = {"model": model.name, "licence": model.licence, "frames": str(frames), "sha256": model.sha256 or ""}
    program.model.metadata_props.update({f"codecvsr.{name}": value for name, value in about.items()})
    with atomic_file(target) as part:
        program.save(str(part), external_data=False)
    return model
