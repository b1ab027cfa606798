"""The networks codecvsr knows: a plain dict of one :class:`~codecvsr.models.architecture.Architecture` each.

A new network is a file with its module and one entry here (and a runner, where no calling convention fits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor, nn

from codecvsr.constants import CELL
from codecvsr.errors import InputError
from codecvsr.models import runners
from codecvsr.models.architecture import Architecture, Setting, Training, has_keys
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.basicvsr_pp import BasicVSRPlusPlus
from codecvsr.models.bicubic import Bicubic
from codecvsr.models.codecvsr import CodecVSR
from codecvsr.models.edvr import EDVR
from codecvsr.models.iconvsr import IconVSR
from codecvsr.models.lanczos import Lanczos
from codecvsr.models.mvsr_seed import MVSRSeed
from codecvsr.models.rate_groups import GROUP, RateGroups
from codecvsr.models.rbpn import RBPN
from codecvsr.models.study import ALIGNMENTS, PROPAGATIONS, Study


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


def _is_basicvsr(state: Mapping[str, Tensor]) -> bool:
    own = has_keys("spynet.mean", "spynet.basic_module.0.basic_module.0.weight", "backward_trunk.main.0.weight")
    return own(state) and "fusion.weight" in state and not any(key.startswith("edvr.") for key in state)


def _basicvsr_pp_channels(network: BasicVSRPlusPlus) -> int:
    """Six feature maps and four flows; at a quarter of the size where the network keeps the size."""
    return 6 * network.mid_channels // (1 if network.is_low_res_input else CELL**2) + 8


def _basicvsr_channels(network: BasicVSR | IconVSR) -> int:
    """The features from the future, the frame and two flows; of IconVSR also those of key frames."""
    return network.num_feat * (2 if isinstance(network, IconVSR) else 1) + 8


def _rbpn_features(channels: int) -> dict[str, int]:
    """Channels at high resolution: a quarter, as published (256 and 64)."""
    return {"feat": max(channels // 4, _MIN_CHANNELS)}


_MIN_CHANNELS = 4  # of RBPN's maps at high resolution
_GIVEN_MOTION = ("codec", "zero")  # to be trained on: no optical-flow network inside
_ANY_MOTION = ("codec", "own", "zero")
_OPTICAL_FLOW_FIRST = ("spynet", "codec", "dis", "zero", "raw")

ARCHITECTURES: dict[str, Architecture] = {
    "codecvsr": Architecture(
        title="bidirectional recurrent network on the codec's motion vectors, second order, codec priors",
        motions=("codec", "spynet", "dis", "zero", "raw"),
        network=CodecVSR,
        runner=runners.run_codecvsr,
        recognises=has_keys("neighbours.weight", "extract.weight"),
        from_state_dict=CodecVSR.from_state_dict,
        accepts="codecvsr ('neighbours.weight', 'extract.weight', ...)",
        ablations=("second_order", "priors"),
        is_bf16_safe=True,
        training=Training("channels", "blocks", ("codec",), options=("flow_head",)),
    ),
    "basicvsr": Architecture(
        title="bidirectional recurrent network on optical flow (Chan et al., CVPR 2021), with SPyNet",
        motions=_OPTICAL_FLOW_FIRST,
        network=BasicVSR,
        runner=runners.run_on_flows,
        recognises=_is_basicvsr,
        from_state_dict=BasicVSR.from_state_dict,
        accepts="BasicVSR in BasicSR's naming ('backward_trunk.main.0.weight', 'spynet.basic_module...', ...) or MMagic's",
        has_motion_jitter=True,
        frame_channels=_basicvsr_channels,
        training=Training("num_feat", "num_block", _ANY_MOTION),
    ),
    "bicubic": Architecture(
        title="bicubic interpolation, a = -0.5 (MATLAB's imresize)",
        network=Bicubic,
        runner=runners.run_frame_by_frame,
        radius=lambda network: 0,
        has_native_layers=False,
    ),
    "lanczos": Architecture(
        title="Lanczos interpolation, three lobes",
        network=Lanczos,
        runner=runners.run_frame_by_frame,
        radius=lambda network: 0,
        has_native_layers=False,
    ),
    "edvr": Architecture(
        title="a window of frames aligned by deformable convolutions (Wang et al., CVPRW 2019)",
        network=EDVR,
        runner=runners.run_sliding,
        variants={
            "edvr-m": EDVR,
            "edvr-m-wotsa": partial(EDVR, with_tsa=False),
            "edvr-l": partial(EDVR, num_feat=128, num_reconstruct_block=40),
            "edvr-l-wotsa": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_tsa=False),
            "edvr-l-7": partial(EDVR, num_feat=128, num_reconstruct_block=40, num_frame=7),
            "edvr-l-srblur": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_predeblur=True),
            "edvr-l-deblur": partial(EDVR, num_feat=128, num_reconstruct_block=40, with_predeblur=True, hr_in=True),
        },
        recognises=has_keys("pcd_align.cas_dcnpack.weight", "conv_last.weight"),
        from_state_dict=EDVR.from_state_dict,
        accepts="EDVR in BasicSR's naming ('pcd_align.cas_dcnpack.weight', ...) or MMagic's",
        radius=lambda network: network.num_frame // 2,
        training=Training("num_feat", "num_reconstruct_block", ("codec",)),  # uses no motion
    ),
    "iconvsr": Architecture(
        title="BasicVSR with refilled key frames and coupled propagation (Chan et al., CVPR 2021), with SPyNet",
        motions=_OPTICAL_FLOW_FIRST,
        network=IconVSR,
        runner=runners.run_on_flows,
        variants={"iconvsr-7": partial(IconVSR, temporal_padding=3)},
        recognises=has_keys(
            "edvr.pcd_align.cas_dcnpack.weight", "backward_fusion.weight", "backward_trunk.main.0.weight"
        ),
        from_state_dict=IconVSR.from_state_dict,
        accepts="IconVSR in BasicSR's naming ('edvr.pcd_align...', 'backward_fusion.weight', ...) or MMagic's",
        settings={"keyframe_stride": Setting(_stride, str, "a number of frames from 1")},
        frame_channels=_basicvsr_channels,
        training=Training("num_feat", "num_block", _ANY_MOTION),
    ),
    "basicvsr-pp": Architecture(
        title="second-order recurrent network, flow-guided deformable alignment (Chan et al., CVPR 2022), with SPyNet",
        motions=_OPTICAL_FLOW_FIRST,
        network=BasicVSRPlusPlus,
        runner=runners.run_on_flows,
        variants={
            "basicvsr-pp-c64n7": BasicVSRPlusPlus,
            "basicvsr-pp-c128n25": partial(BasicVSRPlusPlus, mid_channels=128, num_blocks=25),
            "basicvsr-pp-decompress": partial(
                BasicVSRPlusPlus, mid_channels=128, num_blocks=25, is_low_res_input=False
            ),
        },
        recognises=has_keys("deform_align.backward_1.weight", "backbone.backward_1.main.0.weight"),
        from_state_dict=BasicVSRPlusPlus.from_state_dict,
        accepts="BasicVSR++ in BasicSR's naming ('deform_align.backward_1.weight', ...) or MMagic's",
        state_channels=_basicvsr_pp_channels,
        frame_channels=_basicvsr_pp_channels,
        training=Training("mid_channels", "num_blocks", _ANY_MOTION),
    ),
    "rbpn": Architecture(
        title="back-projection, one neighbour after the other (Haris et al., CVPR 2019); DIS for its pyflow",
        motions=("dis", "codec", "spynet", "zero", "raw"),
        network=RBPN,
        runner=runners.run_on_pairs,
        recognises=has_keys("DBPN.up1.up_conv1.deconv.weight", "res_feat1.0.conv1.weight"),
        from_state_dict=RBPN.from_state_dict,
        accepts="RBPN for scale 4 ('DBPN.up1.up_conv1.deconv.weight', ...)",
        radius=lambda network: network.num_frame // 2,
        training=Training("base_filter", "n_resblock", _GIVEN_MOTION, derived=_rbpn_features),
    ),
    "rate-groups": Architecture(
        title="BasicVSR on three frame rates fused by attention, rates (1, 2, 3) or (1, 3, 5), with SPyNet",
        motions=_OPTICAL_FLOW_FIRST,
        network=RateGroups,
        runner=runners.run_in_groups,
        variants={
            "rate-groups-135": partial(RateGroups, rates=(1, 3, 5)),
            "rate-groups-mh": partial(RateGroups, multi_head=True),
            "rate-groups-mh-135": partial(RateGroups, multi_head=True, rates=(1, 3, 5)),
        },
        recognises=has_keys("optical_module.mean", "backward_resblocks.layers.0.weight", "fusion.weight"),
        from_state_dict=RateGroups.from_state_dict,
        accepts="the frame-rate-group attention model ('optical_module.mean', 'attention...', ...)",
        settings={"rates": Setting(_rates, lambda rates: ",".join(map(str, rates)), "three steps such as 1,3,5")},
        radius=lambda network: GROUP // 2 * max(network.rates),
        training=Training("mid_channels", "num_blocks", _ANY_MOTION),
    ),
    "mvsr-seed": Architecture(
        title="the seed project's second-order recurrent network on given motion; raw: its motion as it was published",
        motions=("codec", "raw", "dis", "spynet", "zero"),
        network=MVSRSeed,
        runner=runners.run_on_vectors,
        recognises=has_keys("mv_refiner.net.0.weight", "feat_extract.0.weight", "backward_resblocks.0.body.0.weight"),
        from_state_dict=MVSRSeed.from_state_dict,
        accepts="the seed project's network ('mv_refiner.net.0.weight', ...)",
        ablations=("second_order",),
        training=Training("channels", "blocks", _GIVEN_MOTION),
    ),
    "study": Architecture(
        title="a recurrent network with exchangeable parts, for the experiments of the BasicVSR paper",
        motions=("codec", "spynet", "dis", "zero", "raw"),
        network=Study,
        runner=runners.run_on_flows,
        recognises=has_keys("trunks.past.main.0.weight", "upconv1.weight"),
        from_state_dict=Study.from_state_dict,
        accepts="the study network ('trunks.past.main.0.weight', ...)",
        settings={
            "propagation": Setting(_one_of(PROPAGATIONS), str, f"one of {', '.join(PROPAGATIONS)}"),
            "alignment": Setting(_one_of(ALIGNMENTS), str, f"one of {', '.join(ALIGNMENTS)}"),
        },
        training=Training(
            "channels", "blocks", _GIVEN_MOTION, options=("propagation", "alignment", "refill", "coupled")
        ),
    ),
}


def constructors() -> dict[str, tuple[str, Callable[..., nn.Module]]]:
    """Return every network that can be made with random weights: name -> (key of :data:`ARCHITECTURES`, constructor)."""
    found: dict[str, tuple[str, Callable[..., nn.Module]]] = {}
    for kind, architecture in ARCHITECTURES.items():
        found[kind] = kind, architecture.network
        found |= {name: (kind, build) for name, build in architecture.variants.items()}
    return found


def architecture_of(network: nn.Module) -> Architecture:
    """Return what is known of a network.

    Raises:
        KeyError: its class is in no entry of :data:`ARCHITECTURES`.
    """
    for architecture in ARCHITECTURES.values():
        if type(network) is architecture.network:
            return architecture
    raise KeyError(type(network).__name__)


def temporal_radius(network: nn.Module) -> int:
    """Return how many frames before and after one a sliding network sees; 0 for a recurrent one, which sees all."""
    radius = architecture_of(network).radius
    return 0 if radius is None else radius(network)


def apply_settings(architecture: str, network: nn.Module, settings: Mapping[str, str]) -> None:
    """Set hyper-parameters that a network's tensors do not show.

    Raises:
        InputError: the architecture has no such setting, or a value is invalid.
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
