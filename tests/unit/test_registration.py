"""A model's `created` survives restarts and new models."""

import stat
from pathlib import Path

import pytest

from serve_app.catalog.registration import with_registration_times
from serve_app.core.config import AppConfig


def config_of(data_dir: Path, *ids: str, created: int | None = None) -> AppConfig:
    models = [{"id": name, "created": created} for name in ids]
    family = {"name": "text", "options": {"engine": "fake", "task": "chat"}, "models": models}
    return AppConfig.model_validate({"storage": {"data_dir": data_dir}, "families": [family]})


def times(config: AppConfig) -> dict[str, int | None]:
    return {model.id: model.created for family in config.families for model in family.models}


def test_times_are_kept(tmp_path: Path) -> None:
    first = times(with_registration_times(config_of(tmp_path, "a")))
    (tmp_path / "models.json").write_text('{"a": 5}')
    second = times(with_registration_times(config_of(tmp_path, "a", "b")))
    assert first["a"]
    assert second["a"] == 5
    assert second["b"]
    assert second["b"] > 5


def test_a_configured_time_wins(tmp_path: Path) -> None:
    assert times(with_registration_times(config_of(tmp_path, "a", created=7))) == {"a": 7}


def test_the_data_directory_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = with_registration_times(config_of(Path("data"), "a"))
    assert config.storage.data_dir == tmp_path / "data"
    assert stat.S_IMODE(config.storage.data_dir.stat().st_mode) == 0o700
    assert config.storage.blobs_location == str(tmp_path / "data" / "blobs")


def test_a_broken_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("{")
    assert times(with_registration_times(config_of(tmp_path, "a")))["a"]
