"""Published checkpoints that their owners offer for download by hand: where, under which name, known by which SHA-256.

Nothing here is downloaded by codecvsr. The owners put the first digits of the SHA-256 into the file names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_OPENMMLAB = "https://download.openmmlab.com/mmediting/restorers"
_BASICSR = "BasicSR's Google Drive folder (https://github.com/XPixelGroup/BasicSR/blob/master/docs/ModelZoo.md)"
_RBPN = "the Google Drive link of its authors (https://github.com/alterzero/RBPN-PyTorch)"
_IN_NAME = re.compile(r"-([0-9a-f]{8})\.pth$")


@dataclass(frozen=True)
class Offer:
    """A checkpoint at its owner's.

    Attributes:
        network: key of :func:`codecvsr.models.registry.constructors`.
        description: one line for people.
        place: where its owner offers it.
        file_name: its name there.
        licence: what the owner says of it.
    """

    network: str
    description: str
    place: str
    file_name: str
    licence: str = "Apache-2.0"

    @property
    def sha256_prefix(self) -> str:
        """The first digits of its SHA-256; empty where they are not known."""
        found = _IN_NAME.search(self.file_name)
        return found[1] if found else ""

    def how_to_get(self, folder: Path) -> str:
        """What to do to have it, where ``folder`` is the folder of model files."""
        known = f" (its SHA-256 begins with {self.sha256_prefix})" if self.sha256_prefix else ""
        return f"download {self.file_name}{known} from {self.place}, then name the file with --model or put it into {folder}"


def _mmagic(network: str, folder: str, file_name: str, description: str) -> Offer:
    return Offer(network, f"{description}; MMagic", f"{_OPENMMLAB}/{folder}/{file_name}", file_name)


def _basicsr(network: str, file_name: str, description: str) -> Offer:
    return Offer(network, f"{description}; BasicSR", _BASICSR, file_name)


#: By model name.
OFFERS: dict[str, Offer] = {
    "edvr-m-reds": _basicsr("edvr-m", "EDVR_M_x4_SR_REDS_official-32075921.pth", "EDVR-M: REDS, bicubic"),
    "edvr-m-wotsa-reds": _basicsr(
        "edvr-m-wotsa", "EDVR_M_woTSA_x4_SR_REDS_official-1edf645c.pth", "EDVR-M without TSA: REDS, bicubic"
    ),
    "edvr-l-reds": _basicsr("edvr-l", "EDVR_L_x4_SR_REDS_official-9f5f5039.pth", "EDVR-L: REDS, bicubic"),
    "edvr-l-vimeo90k": _basicsr(
        "edvr-l-7", "EDVR_L_x4_SR_Vimeo90K_official-162b54e4.pth", "EDVR-L: Vimeo-90K, bicubic"
    ),
    "edvr-l-srblur-reds": _basicsr(
        "edvr-l-srblur", "EDVR_L_x4_SRblur_REDS_official-983d7b8e.pth", "EDVR-L: REDS, blurred"
    ),
    "edvr-l-deblur-reds": _basicsr(
        "edvr-l-deblur", "EDVR_L_deblur_REDS_official-ca46bd8c.pth", "EDVR-L: deblurring, same size"
    ),
    "edvr-l-deblurcomp-reds": _basicsr(
        "edvr-l-deblur",
        "EDVR_L_deblurcomp_REDS_official-0e988e5c.pth",
        "EDVR-L: deblurring of compressed video, same size",
    ),
    "edvr-m-reds-mmagic": _mmagic("edvr-m", "edvr", "edvrm_x4_8x4_600k_reds_20210625-e29b71b5.pth", "EDVR-M: REDS"),
    "edvr-m-wotsa-reds-mmagic": _mmagic(
        "edvr-m-wotsa", "edvr", "edvrm_wotsa_x4_8x4_600k_reds_20200522-0570e567.pth", "EDVR-M without TSA: REDS"
    ),
    "edvr-l-reds-mmagic": _mmagic(
        "edvr-l", "edvr", "edvrl_c128b40_8x8_lr2e-4_600k_reds4_20220104-4509865f.pth", "EDVR-L: REDS"
    ),
    "edvr-l-wotsa-reds-mmagic": _mmagic(
        "edvr-l-wotsa",
        "edvr",
        "edvrl_wotsa_c128b40_8x8_lr2e-4_600k_reds4_20211228-d895a769.pth",
        "EDVR-L without TSA: REDS",
    ),
    "iconvsr-reds4": _mmagic("iconvsr", "iconvsr", "iconvsr_reds4_20210413-9e09d621.pth", "IconVSR: REDS, bicubic"),
    "iconvsr-vimeo90k-bi": _mmagic(
        "iconvsr-7", "iconvsr", "iconvsr_vimeo90k_bi_20210413-7c7418dc.pth", "IconVSR: Vimeo-90K, bicubic"
    ),
    "iconvsr-vimeo90k-bd": _mmagic(
        "iconvsr-7", "iconvsr", "iconvsr_vimeo90k_bd_20210414-5f38cb34.pth", "IconVSR: Vimeo-90K, blurred and decimated"
    ),
    "iconvsr-reds4-basicsr": _basicsr("iconvsr", "IconVSR_REDS-aaa5367f.pth", "IconVSR: REDS, bicubic"),
    "iconvsr-vimeo90k-bi-basicsr": _basicsr(
        "iconvsr-7", "IconVSR_Vimeo90K_BIx4-35fec07c.pth", "IconVSR: Vimeo-90K, bicubic"
    ),
    "iconvsr-vimeo90k-bd-basicsr": _basicsr(
        "iconvsr-7", "IconVSR_Vimeo90K_BDx4-cfcb7e00.pth", "IconVSR: Vimeo-90K, blurred and decimated"
    ),
    "basicvsr-reds4-mmagic": _mmagic(
        "basicvsr", "basicvsr", "basicvsr_reds4_20120409-0e599677.pth", "BasicVSR: REDS, bicubic"
    ),
    "basicvsr-vimeo90k-bi-mmagic": _mmagic(
        "basicvsr", "basicvsr", "basicvsr_vimeo90k_bi_20210409-d2d8f760.pth", "BasicVSR: Vimeo-90K, bicubic"
    ),
    "basicvsr-vimeo90k-bd-mmagic": _mmagic(
        "basicvsr", "basicvsr", "basicvsr_vimeo90k_bd_20210409-0154dd64.pth", "BasicVSR: Vimeo-90K, blurred, decimated"
    ),
    "basicvsr-pp-reds4": _mmagic(
        "basicvsr-pp",
        "basicvsr_plusplus",
        "basicvsr_plusplus_c64n7_8x1_600k_reds4_20210217-db622b2f.pth",
        "BasicVSR++ c64n7: REDS, bicubic",
    ),
    "basicvsr-pp-vimeo90k-bi": _mmagic(
        "basicvsr-pp",
        "basicvsr_plusplus",
        "basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bi_20210305-4ef437e2.pth",
        "BasicVSR++ c64n7: Vimeo-90K, bicubic",
    ),
    "basicvsr-pp-vimeo90k-bd": _mmagic(
        "basicvsr-pp",
        "basicvsr_plusplus",
        "basicvsr_plusplus_c64n7_8x1_300k_vimeo90k_bd_20210305-ab315ab1.pth",
        "BasicVSR++ c64n7: Vimeo-90K, blurred and decimated",
    ),
    "basicvsr-pp-ntire-vsr": _mmagic(
        "basicvsr-pp-c128n25",
        "basicvsr_plusplus",
        "basicvsr_plusplus_c128n25_ntire_vsr_20210311-1ff35292.pth",
        "BasicVSR++ c128n25: NTIRE 2021 super-resolution",
    ),
    **{
        f"basicvsr-pp-ntire-decompress{track}": _mmagic(
            "basicvsr-pp-decompress",
            "basicvsr_plusplus",
            f"basicvsr_plusplus_c128n25_ntire_decompress_track{track}_{date_and_sha}.pth",
            f"BasicVSR++ c128n25: NTIRE 2021 compressed video, track {track}, same size",
        )
        for track, date_and_sha in ((1, "20210223-7b2eba02"), (2, "20210314-eeae05e6"), (3, "20210304-6daf4a40"))
    },
    "rbpn-x4": Offer("rbpn", "RBPN: Vimeo-90K, bicubic; its authors", _RBPN, "RBPN_4x.pth", "the terms of its authors"),
}
