"""What is known of a kind of network, in one place: every room asks an :class:`Architecture`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from codecvsr.models.runners import Runner

_USUAL_STATES = 3 * 64  # channels: three maps of 64


@dataclass(frozen=True)
class Setting:
    """A hyper-parameter that a network's tensors do not show.

    Attributes:
        read: its value from text; raises ValueError for an invalid one.
        write: the text of a value.
        expected: the text's form, for error messages.
    """

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    expected: str


@dataclass(frozen=True)
class Training:
    """How a network is made and trained from a recipe.

    Attributes:
        channels: the constructor's argument for its channels.
        blocks: the constructor's argument for its blocks.
        motions: motion it can be trained on: "codec", "zero", or "own" for the optical-flow network inside.
        options: further fields of the recipe's ``[model]`` that its constructor has under the same name.
        derived: further arguments, from the channels.
    """

    channels: str
    blocks: str
    motions: tuple[str, ...]
    options: tuple[str, ...] = ()
    derived: Callable[[int], Mapping[str, int]] = lambda channels: {}


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        title: one line for people.
        network: its class; without arguments it has the usual size and random weights.
        runner: calls the network on a clip.
        motions: values of ``--motion`` it can run with, the usual one first; empty where it uses no motion.
        variants: makes it at the other published sizes, by name.
        recognises: whether a state dict is one of its own; None for a network without weights.
        from_state_dict: builds the network, hyper-parameters read off the state dict, and loads it strictly.
        accepts: the state dicts it accepts, for error messages.
        settings: hyper-parameters that a state dict does not show, by the network's attribute.
        radius: of a sliding network, frames on either side that it sees of each frame; None for a recurrent network, whose
            frames depend on the whole window.
        ablations: parts of the network itself that can be left out: of "second_order" and "priors".
        is_bf16_safe: bf16 loses nothing (below 0.003 dB, scripts/results/speed.json); the others' figures are of fp32.
        has_native_layers: codecvsr's C library has layers of it.
        has_motion_jitter: with published weights, motion over long windows needs jitter
            (:mod:`codecvsr.inference.motion_jitter`).
        state_channels: float32 channels per input pixel that it stores for every frame of a window.
        frame_channels: float32 channels per input pixel and frame that a window needs at least, where ``state_channels`` is more
            than that; None where the need of a window has not been looked at.
        training: how it is trained; None for a network that is not.
    """

    title: str
    network: type[nn.Module]
    runner: Runner
    motions: tuple[str, ...] = ()
    variants: Mapping[str, Callable[..., nn.Module]] = field(default_factory=dict)
    recognises: Callable[[Mapping[str, Tensor]], bool] | None = None
    from_state_dict: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    accepts: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    radius: Callable[[Any], int] | None = None
    ablations: tuple[str, ...] = ()
    is_bf16_safe: bool = False
    has_native_layers: bool = True
    has_motion_jitter: bool = False
    state_channels: Callable[[Any], int] = lambda network: _USUAL_STATES
    frame_channels: Callable[[Any], int] | None = None
    training: Training | None = None

    @property
    def is_sliding(self) -> bool:
        """Every frame comes from a short window of its own, so that a clip need not be cut into windows."""
        return self.radius is not None


def has_keys(*keys: str) -> Callable[[Mapping[str, Tensor]], bool]:
    """Return a test whether a state dict has all of ``keys``."""
    return lambda state: all(key in state for key in keys)
