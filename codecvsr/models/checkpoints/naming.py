"""MMagic's and MMEditing's names of tensors, turned into BasicSR's, which the networks here go by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

_PREFIXES = ("generator_ema.", "generator.")  # of the network inside a checkpoint of the whole training, averaged first
_SPYNET = re.compile(r"(basic_module\.\d\.basic_module)\.(\d)\.conv\.")  # counts layers; BasicSR's counts ReLUs too
_RULES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\.conv\.(weight|bias)$", r".\1"),
        (r"^(backward|forward)_resblocks\.main\.", r"\1_trunk.main."),
        (r"^upsample(\d)\.upsample_conv\.", r"upconv\1."),
        (r"(^|\.)feat_l(\d)_conv(\d)\.", r"\1conv_l\2_\3."),
        (r"(^|\.)pcd_alignment\.", r"\1pcd_align."),
    )
)


def from_mmagic(state: Mapping[str, T]) -> dict[str, T] | None:
    """The network's tensors under BasicSR's names; None where the names are not MMagic's.

    What belongs to the training around the network (step counters, a discriminator, a perceptual loss) is left out.
    """
    for prefix in _PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            break
    # The attention project's network has such an upsampling too, but no other name in common.
    if "upsample1.upsample_conv.weight" not in state or "optical_module.mean" in state:
        return None
    return {_renamed(key): value for key, value in state.items() if key != "step_counter"}


def _renamed(key: str) -> str:
    key = _SPYNET.sub(lambda match: f"{match[1]}.{2 * int(match[2])}.", key)
    for pattern, replacement in _RULES:
        key = pattern.sub(replacement, key)
    return key
