"""Files of tensors: what is read of PyTorch's, what they become, and that nothing in them runs."""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from deployments.tensor_files import UnreadableTensors, as_safetensors, state_of
from serve_app.family.conversions import conversion

WEIGHT, BIAS = torch.arange(6.0).reshape(2, 3), torch.ones(2, dtype=torch.float16)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_weights_become_safetensors(tmp_path: Path, zipped: bool) -> None:
    content = {
        "step": 3,
        "model_state": OrderedDict({"module.a.weight": WEIGHT.T, "module.a.bias": BIAS}),
        "optimizer_state": {"state": {0: {"exp_avg": WEIGHT}}},
    }
    source, target = tmp_path / "weights.pt", tmp_path / "weights.safetensors"
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    conversion("safetensors")([source], target)
    made = load_file(target)
    assert made.keys() == {"a.bias", "a.weight"}
    assert torch.equal(made["a.weight"], WEIGHT.T)
    assert torch.equal(made["a.bias"], BIAS)
    assert made["a.bias"].dtype == torch.float16
    assert state_of(target).keys() == made.keys()


def test_views_of_one_storage_are_both_kept(tmp_path: Path) -> None:
    torch.save({"inner": {"whole": WEIGHT, "row": WEIGHT[1]}}, tmp_path / "a.pkl")
    as_safetensors([tmp_path / "a.pkl"], tmp_path / "a.safetensors")
    made = load_file(tmp_path / "a.safetensors")
    assert torch.equal(made["inner.whole"], WEIGHT)
    assert torch.equal(made["inner.row"], WEIGHT[1])


def test_several_files_are_joined(tmp_path: Path) -> None:
    files = [tmp_path / "1.pt", tmp_path / "2.pt"]
    torch.save({"a": WEIGHT}, files[0])
    torch.save({"b": BIAS}, files[1])
    as_safetensors(files, tmp_path / "both.safetensors")
    assert load_file(tmp_path / "both.safetensors").keys() == {"a", "b"}
    with pytest.raises(UnreadableTensors, match="contain 'a' twice"):
        as_safetensors([files[0], files[0]], tmp_path / "twice.safetensors")
    assert not (tmp_path / "twice.safetensors").exists()


def test_arrays_of_numpy_are_weights_too(tmp_path: Path) -> None:
    torch.save({"a": WEIGHT.numpy(), "b": BIAS.numpy()}, tmp_path / "a.ckpt")
    as_safetensors([tmp_path / "a.ckpt"], tmp_path / "a.safetensors")
    made = load_file(tmp_path / "a.safetensors")
    assert torch.equal(made["a"], WEIGHT)
    assert torch.equal(made["b"], BIAS)
    torch.save({"a": np.array([Running(tmp_path / "made")])}, tmp_path / "b.ckpt")
    with pytest.raises(UnreadableTensors, match="more than tensors"):
        state_of(tmp_path / "b.ckpt")
    assert not (tmp_path / "made").exists()


class Running:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_code_is_refused_and_not_run(tmp_path: Path, form: str) -> None:
    target, file = tmp_path / "made", tmp_path / "weights.pkl"
    content = {"a": WEIGHT, "b": Running(target)}
    if form == "plain":
        file.write_bytes(pickle.dumps(content, 2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UnreadableTensors, match="more than tensors") as caught:
        as_safetensors([file], tmp_path / "a.safetensors")
    assert str(tmp_path) not in str(caught.value)
    assert not target.exists()
    assert not (tmp_path / "a.safetensors").exists()


@pytest.mark.parametrize(
    ("content", "told"),
    [([WEIGHT], "contains a list"), ({}, "no weights"), ({"step": 3}, "no weights")],
)
def test_what_holds_no_weights_is_refused(tmp_path: Path, content: object, told: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UnreadableTensors, match=told):
        state_of(tmp_path / "a.pt")


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    torch.save({"a": WEIGHT}, tmp_path / "a.pt")
    whole = (tmp_path / "a.pt").read_bytes()
    for name in ("b.pt", "b.safetensors"):
        for part in (b"", whole[:20], whole[: len(whole) // 2]):
            (tmp_path / name).write_bytes(part)
            with pytest.raises(UnreadableTensors):
                state_of(tmp_path / name)
