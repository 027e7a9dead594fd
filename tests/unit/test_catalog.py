"""Ids, aliases, defaults and what is said when a model does not fit."""

from collections.abc import Mapping

import pytest

from serve_app.catalog.catalog import Catalog
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.config import AppConfig
from serve_app.core.errors import BackendUnavailable, ModelNotFound, UnsupportedCapability
from serve_app.core.status import ModelStatus


async def no_statuses() -> Mapping[str, ModelStatus]:
    return {}


def catalog(**defaults: str) -> Catalog:
    config = AppConfig.model_validate(
        {
            "defaults": defaults,
            "families": [
                {
                    "name": "text",
                    "options": {"engine": "fake", "task": "chat"},
                    "models": [{"id": "org/Echo", "aliases": ["echo"]}, {"id": "ECHO"}],
                },
                {
                    "name": "voice",
                    "options": {"engine": "fake", "task": "speech"},
                    "models": [{"id": "hum"}],
                },
            ],
        }
    )
    runs = {family.name: EngineRunner(object()) for family in config.families}
    return Catalog(config, runs, statuses=no_statuses)


@pytest.mark.parametrize(
    ("name", "found"),
    [("org/Echo", "org/Echo"), ("echo", "org/Echo"), ("ECHO", "ECHO"), ("ORG/ECHO", "org/Echo")],
)
def test_names(name: str, found: str) -> None:
    assert catalog().find("chat", name).id == found


@pytest.mark.parametrize("name", [None, "", "auto", " AUTO "])
def test_no_name_means_the_default(name: str | None) -> None:
    assert catalog().find("chat", name).id == "org/Echo"
    assert catalog(chat="ECHO").find("chat", name).id == "ECHO"


def test_an_unknown_model_lists_what_exists() -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalog().find("chat", "gpt")
    assert caught.value.message == "unknown model 'gpt'; models: 'org/Echo', 'ECHO', 'hum'"
    assert caught.value.param == "model"


def test_a_model_of_another_task() -> None:
    with pytest.raises(UnsupportedCapability) as caught:
        catalog().find("speech", "echo")
    assert caught.value.message == "model 'echo' is for chat; speech models: 'hum'"


def test_a_task_nobody_does() -> None:
    with pytest.raises(BackendUnavailable, match="no rerank model is configured"):
        catalog().find("rerank", None)


def test_every_model_is_listed_once() -> None:
    assert [found.id for found in catalog().all()] == ["org/Echo", "ECHO", "hum"]
