"""The kinds of networks there are: a plain dict of what each is, how it is recognised and how it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, nn

from codecvsr.errors import InputError
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.study import ALIGNMENTS, PROPAGATIONS, Study


@dataclass(frozen=True)
class Setting:
    """Something a network has that its tensors do not tell.

    Attributes:
        read: its value from text; ValueError where it is none.
        write: the text of a value.
        expected: what the text has to be, for error messages.
    """

    read: Callable[[str], Any]
    write: Callable[[Any], str]
    expected: str


def _rates(text: str) -> tuple[int, ...]:
    rates = tuple(int(part) for part in text.split(","))
    if len(rates) != 3 or min(rates) < 1:
        raise ValueError(text)
    return rates


def _stride(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return read


@dataclass(frozen=True)
class Architecture:
    """A kind of network.

    Attributes:
        title: one line for people.
        motion: values of ``--motion`` it can run with, the usual one first; empty where it uses no motion.
        default: makes the network at its usual size, with random weights.
        variants: makes it at the other published sizes, by name.
        recognises: whether a state dict is one of its own; None for a network without weights.
        from_state_dict: builds the network, hyper-parameters read off the state dict, and loads it strictly.
        accepts: the state dicts it takes, for error messages.
        settings: what a state dict does not tell, by the network's attribute.
    """

    title: str
    motion: tuple[str, ...]
    default: Callable[[], nn.Module]
    variants: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    recognises: Callable[[Mapping[str, Tensor]], bool] | None = None
    from_state_dict: Callable[[Mapping[str, Tensor]], nn.Module] | None = None
    accepts: str = ""
    settings: Mapping[str, Setting] = field(default_factory=dict)


def _has(*keys: str) -> Callable[[Mapping[str, Tensor]], bool]:
    return lambda state: all(key in state for key in keys)


def _is_basicvsr(state: Mapping[str, Tensor]) -> bool:
    own = _has("spynet.mean", "spynet.basic_module.0.basic_module.0.weight", "backward_trunk.main.0.weight")
    return own(state) and "fusion.weight" in state and not any(key.startswith("edvr.") for key in state)


_OPTICAL_FLOW_FIRST = ("spynet", "codec", "dis", "zero", "raw")

ARCHITECTURES: dict[str, Architecture] = {
    "codecvsr": Architecture(
        title="bidirectional recurrent network on the codec's motion vectors, second order, codec priors",
        motion=("codec", "spynet", "dis", "zero", "raw"),
        default=CodecVSR,
        recognises=_has("neighbours.weight", "extract.weight"),
        from_state_dict=CodecVSR.from_state_dict,
        accepts="codecvsr ('neighbours.weight', 'extract.weight', ...)",
    ),
    "basicvsr": Architecture(
        title="bidirectional recurrent network on optical flow (Chan et al., CVPR 2021), with SPyNet",
        motion=_OPTICAL_FLOW_FIRST,
        default=BasicVSR,
        recognises=_is_basicvsr,
        from_state_dict=BasicVSR.from_state_dict,
        accepts="BasicVSR in BasicSR's naming ('backward_trunk.main.0.weight', 'spynet.basic_module...', ...) or MMagic's",
    ),
    "bicubic": Architecture(title="bicubic interpolation, a = -0.5 (MATLAB's imresize)", motion=(), default=Bicubic),
    "edvr": Architecture(
        title="a window of frames aligned by deformable convolutions (Wang et al., CVPRW 2019)",
        motion=(),
        default=EDVR,
        variants={
            "edvr-m": EDVR,
            "edvr-m-wotsa": partial(EDVR, with_tsa=False),
            "edvr-l": partial(EDVR, num_feat=128, num_reconstruct_block=40),
            "edvr-l-wotsa": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_tsa=False),
            "edvr-l-7": partial(EDVR, num_feat=128, num_reconstruct_block=40, num_frame=7),
            "edvr-l-srblur": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_predeblur=True),
            "edvr-l-deblur": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_predeblur=True, hr_in=True),
        },
        recognises=_has("pcd_align.cas_dcnpack.weight", "conv_last.weight"),
        from_state_dict=EDVR.from_state_dict,
        accepts="EDVR in BasicSR's naming ('pcd_align.cas_dcnpack.weight', ...) or MMagic's",
    ),
    "iconvsr": Architecture(
        title="BasicVSR with refilled key frames and coupled propagation (Chan et al., CVPR 2021), with SPyNet",
        motion=_OPTICAL_FLOW_FIRST,
        default=IconVSR,
        variants={"iconvsr-7": partial(IconVSR, temporal_padding=3)},
        recognises=_has("edvr.pcd_align.cas_dcnpack.weight", "backward_fusion.weight", "backward_trunk.main.0.weight"),
        from_state_dict=IconVSR.from_state_dict,
        accepts="IconVSR in BasicSR's naming ('edvr.pcd_align...', 'backward_fusion.weight', ...) or MMagic's",
        settings={"keyframe_stride": Setting(_stride, str, "a number of frames from 1")},
    ),
    "basicvsr-pp": Architecture(
        title="second-order recurrent network, flow-guided deformable alignment (Chan et al., CVPR 2022), with SPyNet",
        motion=_OPTICAL_FLOW_FIRST,
        default=BasicVSRPlusPlus,
        variants={
            "basicvsr-pp-c64n7": BasicVSRPlusPlus,
            "basicvsr-pp-c128n25": partial(BasicVSRPlusPlus, mid_channels=128, num_blocks=25),
            "basicvsr-pp-decompress": partial(
                BasicVSRPlusPlus, mid_channels=128, num_blocks=25, is_low_res_input=False
            ),
        },
        recognises=_has("deform_align.backward_1.weight", "backbone.backward_1.main.0.weight"),
        from_state_dict=BasicVSRPlusPlus.from_state_dict,
        accepts="BasicVSR++ in BasicSR's naming ('deform_align.backward_1.weight', ...) or MMagic's",
    ),
    "rbpn": Architecture(
        title="back-projection, one neighbour after the other (Haris et al., CVPR 2019); DIS for its pyflow",
        motion=("dis", "codec", "spynet", "zero", "raw"),
        default=RBPN,
        recognises=_has("DBPN.up1.up_conv1.deconv.weight", "res_feat1.0.conv1.weight"),
        from_state_dict=RBPN.from_state_dict,
        accepts="RBPN for scale 4 ('DBPN.up1.up_conv1.deconv.weight', ...)",
    ),
    "rate-groups": Architecture(
        title="BasicVSR on three frame rates fused by attention, rates (1, 2, 3) or (1, 3, 5), with SPyNet",
        motion=_OPTICAL_FLOW_FIRST,
        default=RateGroups,
        variants={
            "rate-groups-135": partial(RateGroups, rates=(1, 3, 5)),
            "rate-groups-mh": partial(RateGroups, multi_head=True),
            "rate-groups-mh-135": partial(RateGroups, multi_head=True, rates=(1, 3, 5)),
        },
        recognises=_has("optical_module.mean", "backward_resblocks.layers.0.weight", "fusion.weight"),
        from_state_dict=RateGroups.from_state_dict,
        accepts="the frame-rate-group attention model ('optical_module.mean', 'attention...', ...)",
        settings={"rates": Setting(_rates, lambda rates: ",".join(map(str, rates)), "three steps such as 1,3,5")},
    ),
    "mvsr-seed": Architecture(
        title="the seed project's second-order recurrent network on given motion; raw: its motion as it was published",
        motion=("codec", "raw", "dis", "spynet", "zero"),
        default=MVSRSeed,
        recognises=_has("mv_refiner.net.0.weight", "feat_extract.0.weight", "backward_resblocks.0.body.0.weight"),
        from_state_dict=MVSRSeed.from_state_dict,
        accepts="the seed project's network ('mv_refiner.net.0.weight', ...)",
    ),
    "study": Architecture(
        title="a recurrent network with exchangeable parts, for the experiments of the BasicVSR paper",
        motion=("codec", "spynet", "dis", "zero", "raw"),
        default=Study,
        recognises=_has("trunks.past.main.0.weight", "upconv1.weight"),
        from_state_dict=Study.from_state_dict,
        accepts="the study network ('trunks.past.main.0.weight', ...)",
        settings={
            "propagation": Setting(_one_of(PROPAGATIONS), str, f"one of {', '.join(PROPAGATIONS)}"),
            "alignment": Setting(_one_of(ALIGNMENTS), str, f"one of {', '.join(ALIGNMENTS)}"),
        },
    ),
}

#: Every network that can be made with random weights, by name: the architectures and their variants.
NETWORKS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    name: (kind, build)
    for kind, architecture in ARCHITECTURES.items()
    for name, build in {kind: architecture.default, **architecture.variants}.items()
}


def apply_settings(architecture: str, network: nn.Module, settings: Mapping[str, str]) -> None:
    """Set what a network's tensors do not tell.

    Raises:
        InputError: the architecture has no such setting, or a value is none.
    """
    known = ARCHITECTURES[architecture].settings
    for name, text in settings.items():
        if name not in known:
            have = f"its settings are {', '.join(known)}" if known else "it has none"
            raise InputError(f"{architecture} has no setting '{name}'; {have}.")
        try:
            setattr(network, name, known[name].read(text))
        except ValueError:
            raise InputError(f"{name}={text}: expected {known[name].expected}.") from None
