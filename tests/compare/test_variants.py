"""How rows are spelt, and how they cut a clip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codecvsr.compare.variants import Variant, ablation_variants, parse_variant, parse_variants, windows_of
from codecvsr.errors import InputError
from codecvsr.inference.ablations import Ablations
from codecvsr.inference.windows import Window
from codecvsr.models.zoo import load_model


@pytest.mark.parametrize(
    ("text", "variant"),
    [
        ("codecvsr", Variant("codecvsr")),
        ("basicvsr-reds4@codec", Variant("basicvsr-reds4", "codec")),
        ("rbpn:random@dis", Variant("rbpn:random", "dis")),
        ("codecvsr+ablate-mvs+ablate-second-order", Variant("codecvsr", None, Ablations(mvs=True, second_order=True))),
        ("a@spynet+segments=4", Variant("a", "spynet", segments=4)),
        ("a@zero+window=5", Variant("a", "zero", window=5)),
        ("/some@where/my+weights_v1.pth@raw", Variant("/some@where/my+weights_v1.pth", "raw")),
    ],
)
def test_spelling(text: str, variant: Variant) -> None:
    assert parse_variant(text) == variant
    assert variant.name == text and parse_variant(variant.name) == variant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a@codek", "no motion is called 'codek'; expected one of codec, spynet"),
        ("a+ablate-everything", "no option '\\+ablate-everything'"),
        ("a+segments", "no option '\\+segments'"),
        ("a+segments=0", "no option '\\+segments=0'"),
        ("a+ablate-mvs=3", "no option '\\+ablate-mvs=3'"),
        ("a+segments=2+window=3", "exclude each other"),
    ],
)
def test_wrong_spelling(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_variant(text)


def test_bicubic_is_always_there_and_every_row_once() -> None:
    assert [variant.name for variant in parse_variants(["a,b", "b, bicubic,a@zero"])] == ["bicubic", "a", "b", "a@zero"]
    with pytest.raises(InputError, match="No models"):
        parse_variants([" , "])


def test_ablation_rows_are_what_the_model_has() -> None:
    def names(text: str, frames: int = 24) -> list[str]:
        variant = parse_variant(text)
        model = replace(load_model(variant.model), training="user")
        assert ablation_variants(variant, replace(model, training="untrained"), frames) == []
        return [r.name.removeprefix(text) for r in ablation_variants(variant, model, frames)]

    parts = ["mvs", "second-order", "p-inversion", "resolve", "refine", "priors"]
    both = "+ablate-mvs+ablate-second-order"
    assert names("codecvsr:random") == [f"+ablate-{part}" for part in parts] + [both]
    assert names("codecvsr:random@dis") == ["+ablate-second-order", "+ablate-priors"]
    assert names("basicvsr:random") == ["+ablate-mvs"]
    assert names("basicvsr:random@codec") == [f"+ablate-{p}" for p in ("mvs", "p-inversion", "resolve", "refine")]
    assert names("bicubic") == names("codecvsr:random+ablate-mvs") == names("codecvsr:random+window=5") == []
    # what equals the full run by construction is left out
    assert names("basicvsr:random@zero") == []
    assert names("codecvsr:random@zero") == ["+ablate-mvs", "+ablate-second-order", "+ablate-priors", both]
    assert names("codecvsr:random", frames=2) == [f"+ablate-{p}" for p in parts if p != "second-order"]
    assert names("codecvsr:random", frames=1) == ["+ablate-mvs", "+ablate-priors"]
    assert names("basicvsr:random@codec", frames=1) == []


def test_jitter_is_left_out_of_windows_that_have_none() -> None:
    model = replace(load_model("basicvsr:random"), training="official")
    for frames, is_there in ((15, False), (16, True)):
        rows = [row.name for row in ablation_variants(Variant("m", "codec"), model, frames)]
        assert ("m@codec+ablate-motion-jitter" in rows) == is_there


def test_windows() -> None:
    model, edvr = load_model("codecvsr:random"), load_model("bicubic")
    assert windows_of(Variant("a"), model, 7) is None
    assert windows_of(Variant("a", segments=3), model, 7) == [
        Window(0, 2, 0, 2),
        Window(2, 5, 2, 5),
        Window(5, 7, 5, 7),
    ]
    found = windows_of(Variant("a", window=5), model, 7)
    assert [(w.keep_start, w.keep_stop) for w in found] == [(t, t + 1) for t in range(7)]
    assert [(w.start, w.stop) for w in found] == [(s, s + 5) for s in (0, 0, 0, 1, 2, 2, 2)]
    with pytest.raises(InputError, match="a window of 5 frames needs as many frames at least, but there are 4"):
        windows_of(Variant("a", window=5), model, 4)
    with pytest.raises(InputError, match="5 segments need"):
        windows_of(Variant("a", segments=5), model, 4)
    with pytest.raises(InputError, match="window of its own"):
        windows_of(Variant("bicubic", window=5), edvr, 9)
