"""Which weights RIFE is loaded from, and which are refused: nothing but a whole network of a known
kind, and no code.
"""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from deployments.video.rife_checkpoint import loaded_network, weights_file
from deployments.video.rife_interpolation import RifeInterpolation
from serve_app.core.config import Family, Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.settings import Storage
from serve_app.core.tasks import TASKS
from serve_app.family.engines import load_engine
from tests.engine import tiny_rife
from tests.engine.tiny_rife import KINDS

MODEL = Model(id="rife", source="rife")
CPU = torch.device("cpu")


def family(**options: Any) -> Family:
    return Family.model_validate(
        {
            "name": "interpolation",
            "options": {"engine": "rife", **options},
            "models": [{"id": "rife", "source": "weights"}],
        }
    )


def loaded(path: Path | None, tmp_path: Path, **options: Any) -> Any:
    storage = Storage(data_dir=tmp_path)
    return load_engine(family(**options), storage, MODEL, path)


def test_it_is_loaded_as_the_configuration_says(tmp_path: Path) -> None:
    folder = tiny_rife.save_rife(
        tmp_path / "train_log", tiny_rife.random_state(KINDS["4.26.heavy"])
    )
    assert isinstance(loaded(tmp_path, tmp_path, flow_divisor=2), RifeInterpolation)
    assert isinstance(loaded(folder / "flownet.pkl", tmp_path), RifeInterpolation)
    assert TASKS[family().options.task].capabilities == ("video_interpolation",)


def test_safetensors_without_a_prefix_and_in_halves(tmp_path: Path) -> None:
    state = tiny_rife.random_state(KINDS["4.7"])
    save_file({name: value.half() for name, value in state.items()}, tmp_path / "a.safetensors")
    whole = loaded_network(
        MODEL, tmp_path / "a.safetensors", device=CPU, dtype=torch.float32, divisor=1
    )
    assert {value.dtype for value in whole.parameters()} == {torch.float32}
    assert weights_file(MODEL, tmp_path) == tmp_path / "a.safetensors"


def without(name: str) -> Any:
    return lambda state: {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize(
    ("kind", "change", "told"),
    [
        ("4.6", without("block2.convblock.7.beta"), "it has no 'block2.convblock.7.beta'"),
        ("4.6", without("block0.conv0.1.0.weight"), "it has no 'block0.conv0.1.0.weight'"),
        ("4.6", without("block3.conv0.1.0.weight"), "it has no 'block3.conv0.1.0.weight'"),
        ("4.25", without("block4.lastconv.0.bias"), "it has no 'block4.lastconv.0.bias'"),
        ("4.7", without("encode.1.bias"), "it has no 'encode.1.bias'"),
        ("4.7", without("encode.0.weight"), "'encode.0.bias', which no such"),
        ("4.6", lambda s: {**s, "block5.beta": torch.ones(1)}, "'block5.beta', which no such"),
        ("4.6", lambda s: {**s, "block1.conv0.0.0.weight": torch.ones(4, 9, 3, 3)}, "(4, 9, 3, 3)"),
        ("4.6", lambda s: {**s, "block1.conv0.1.0.weight": torch.ones(())}, "not that of a conv"),
        (
            "4.6",
            lambda s: {**s, "block1.conv0.1.0.weight": torch.ones(7, 3, 3, 3)},
            "conv0.0.0.weight'",
        ),
        ("4.6", lambda s: {**s, "block0.lastconv.0.bias": 3.0}, "'block0.lastconv.0.bias'"),
        (
            "4.6",
            lambda s: {**s, "n": torch.ones(1, dtype=torch.int64)},
            "'n' is not a floating-point tensor",
        ),
        ("4.6", lambda _: {}, "it has no 'block0.conv0.1.0.weight'"),
        ("4.6", lambda _: {"net.weight": torch.ones(1)}, "but has 'net.weight'"),
        ("4.6", lambda _: [torch.ones(1)], "contains a list"),
    ],
)
def test_weights_that_do_not_fit_are_refused_whole(
    tmp_path: Path, kind: str, change: Any, told: str
) -> None:
    torch.save(change(tiny_rife.random_state(KINDS[kind])), tmp_path / "flownet.pkl")
    with pytest.raises(BackendUnavailable) as caught:
        loaded(tmp_path, tmp_path)
    assert "model 'rife' is not a known RIFE 4 checkpoint" in caught.value.message
    assert told in caught.value.message
    assert str(tmp_path) not in caught.value.message


class Running:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_code_in_weights_is_not_run(tmp_path: Path) -> None:
    target = tmp_path / "made"
    for save in (torch.save, lambda content, file: file.write_bytes(pickle.dumps(content, 2))):
        save({"block0": Running(target)}, tmp_path / "flownet.pkl")
        with pytest.raises(BackendUnavailable, match="more than tensors"):
            loaded(tmp_path, tmp_path)
        assert not target.exists()
    Running(target).__reduce__()[0](target)
    assert target.exists()


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    folder = tiny_rife.save_rife(tmp_path / "whole", tiny_rife.random_state(KINDS["4.6"]))
    whole = (folder / "flownet.pkl").read_bytes()
    for name in ("flownet.pkl", "flownet.safetensors"):
        for content in (b"", b"no weights at all", whole[: len(whole) // 2]):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(BackendUnavailable, match="not a known RIFE 4"):
                loaded(tmp_path / name, tmp_path)


def test_which_file_is_meant(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="has no source"):
        loaded(None, tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BackendUnavailable, match="has no weights file"):
        loaded(empty, tmp_path)
    for name in ("a.pth", "b.pth"):
        (empty / name).touch()
    with pytest.raises(BackendUnavailable, match=r"several weights files \(a\.pth, b\.pth\)"):
        loaded(empty, tmp_path)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_need_a_gpu(tmp_path: Path, dtype: str) -> None:
    tiny_rife.save_rife(tmp_path, tiny_rife.random_state(KINDS["4.6"]))
    with pytest.raises(BackendUnavailable, match=f"does not take dtype '{dtype}'"):
        loaded(tmp_path, tmp_path, dtype=dtype, device="cpu")
