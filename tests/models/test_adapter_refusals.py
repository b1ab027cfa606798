"""Adapters that do not fit their base, and files of which none can be made: each is refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from codecvsr.errors import CheckpointError, InputError, OutputError
from codecvsr.models import zoo
from codecvsr.models.basicvsr import BasicVSR
from codecvsr.models.checkpoints import adapter
from codecvsr.models.checkpoints.make_adapter import Limits, make_adapter
from codecvsr.models.iconvsr import IconVSR
from tests.models.adapters import Files, changed, rewrite, state_of

Edit = Callable[[Path, Path], None]


def _other_training(base: Path, path: Path) -> None:
    save_file(BasicVSR(num_feat=8, num_block=2).state_dict(), base)


def _other_network(base: Path, path: Path) -> None:
    save_file(IconVSR(num_feat=8, num_block=1).state_dict(), base)


def _adapter_as_base(base: Path, path: Path) -> None:
    base.write_bytes(path.read_bytes())


def _truncated(base: Path, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def _other_shape(base: Path, path: Path) -> None:
    rewrite(path, {"fusion.bias.diff": torch.zeros(9)})


def _other_rank(base: Path, path: Path) -> None:
    name = next(key for key in load_file(path) if key.endswith(adapter.FIRST))
    rewrite(path, {name: load_file(path)[name][:1]})


def _other_kernels(base: Path, path: Path) -> None:
    name = next(key for key, value in load_file(path).items() if key.endswith(adapter.FIRST) and value.ndim == 4)
    rank, inputs = load_file(path)[name].shape[:2]
    rewrite(path, {name: torch.zeros(rank, inputs, 5, 3, dtype=torch.float16)})


def _without_factor(base: Path, path: Path) -> None:
    tensors = load_file(path)
    rewrite(path, remove=next(key for key in tensors if key.endswith(adapter.SECOND)))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_other_training, "is an adapter of other weights than .*base.safetensors: those have the SHA-256"),
        (_other_network, "is an adapter of basicvsr, but base is iconvsr"),
        (_adapter_as_base, "is an adapter itself; a whole weights file was expected"),
        (_truncated, "a damaged safetensors file"),
        (_other_shape, r"changes 'fusion.bias' in the shape \(9,\), but in its base base.safetensors it is \(8,\)"),
        (_other_rank, r"have the ranks 1 and \d"),
        (_other_kernels, r"factors of \(.*\) and \(\d, \d+, 5, 3\), which do not fit each other"),
        (_without_factor, "with one of the two factors of"),
        (lambda base, path: rewrite(path, {"no.such.bias.diff": torch.zeros(1)}), "changes 'no.such.bias', which"),
        (lambda base, path: rewrite(path, {"foreign": torch.zeros(1)}), "with the foreign tensor 'foreign'"),
        (
            lambda base, path: rewrite(path, {"fusion.bias.diff": torch.full((8,), torch.inf)}),
            "values that are no numbers",
        ),
        (lambda base, path: rewrite(path, metadata={"rank": "99"}), "an adapter of rank 99, but its factors have rank"),
        (lambda base, path: rewrite(path, metadata={"base_sha256": ""}), "whose metadata have no base_sha256"),
        (lambda base, path: rewrite(path, metadata={"strength": "2"}), "of the strength '2'; a number from 0 to 1"),
        (lambda base, path: rewrite(path, metadata={"strength": "nan"}), "of the strength 'nan'; a number from 0 to 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(files: Files, edit: Edit, message: str) -> None:
    base, tuned, path = files
    make_adapter(base, tuned, path, limits=Limits(max_rank=3))
    edit(base, path)
    with pytest.raises(CheckpointError, match=message) as error:
        zoo.load_model(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_tuned_file_of_another_base_is_refused(files: Files, tmp_path: Path) -> None:
    base, tuned, path = files
    other: nn.Module = BasicVSR(num_feat=8, num_block=2)
    save_file(other.state_dict(), tuned)
    with pytest.raises(InputError, match="differs too much from .* to have been trained from it"):
        make_adapter(base, tuned, path)
    save_file(changed(state_of(base)), tuned, metadata={"initial_sha256": "0" * 64})
    with pytest.raises(InputError, match="was not trained from .* but from weights of the SHA-256 0000000000000000"):
        make_adapter(base, tuned, path)
    save_file(BasicVSR(num_feat=8, num_block=1).state_dict(), tuned)
    with pytest.raises(InputError, match="cannot be factored: one of them has no 'backward_trunk"):
        make_adapter(base, tuned, path)
    save_file(IconVSR(num_feat=8, num_block=1).state_dict(), tuned)
    with pytest.raises(InputError, match="is a network of the kind iconvsr, but the base"):
        make_adapter(base, tuned, path)
    with pytest.raises(InputError, match="is no weights file"):
        make_adapter("basicvsr:random", "basicvsr:random", path)
    with pytest.raises(OutputError, match="must be called"):
        make_adapter(base, tuned, tmp_path / "adapter.pth")
    assert not path.exists()
