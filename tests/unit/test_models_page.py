"""The configuration blocks of docs/models.md are right, and every engine of media has one."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from serve_app.core.config import AppConfig, Family
from serve_app.core.options.every_engine import AnyEngineOptions

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BLOCKS: list[list[dict[str, Any]]] = [
    yaml.safe_load(block)
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
]
NOT_ON_THE_PAGE = {"fake", "vllm", "av"}
"""Nothing to choose from: docs/engines.md has them."""


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[0]["name"])
def test_a_block_is_a_list_of_families(block: list[dict[str, Any]]) -> None:
    config = AppConfig.model_validate({"families": block})
    assert [family.name for family in config.families] == [family["name"] for family in block]


def test_every_engine_has_a_block() -> None:
    union, *_ = get_args(AnyEngineOptions)
    engines = {kind.model_fields["engine"].default for kind in get_args(union)}
    shown = [Family.model_validate(family) for block in BLOCKS for family in block]
    assert engines - NOT_ON_THE_PAGE == {family.options.engine for family in shown}


def test_every_task_of_transformers_for_media_has_a_block() -> None:
    families = [family for block in BLOCKS for family in block]
    tasks = {family["options"].get("task") for family in families}
    assert {"depth", "segmentation", "captioning", "translation"} <= tasks
