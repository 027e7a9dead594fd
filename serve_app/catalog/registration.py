"""When each model was first configured, so that a catalog entry's `created` survives restarts."""

import json
import os
import time
from pathlib import Path

from serve_app.core.config import AppConfig, Family, Model


def with_registration_times(config: AppConfig) -> AppConfig:
    """The configuration with `created` filled in for every model and `data_dir` absolute.

    Times are kept in `data_dir`/models.json, which is replaced atomically.
    """
    data_dir = config.storage.data_dir.expanduser().absolute()
    # Prompts, images and the key of the web sessions are nobody else's on this machine.
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = data_dir / "models.json"
    known = _read(file)
    now = int(time.time())
    seen = {model.id: known.get(model.id, now) for f in config.families for model in f.models}
    if not seen.items() <= known.items():
        _write(file, known | seen)
    return config.model_copy(
        update={
            "storage": config.storage.model_copy(update={"data_dir": data_dir}),
            "families": tuple(_dated(family, seen) for family in config.families),
        }
    )


def _dated(family: Family, seen: dict[str, int]) -> Family:
    return family.model_copy(update={"models": tuple(_created(m, seen) for m in family.models)})


def _created(model: Model, seen: dict[str, int]) -> Model:
    if model.created is not None:
        return model
    return model.model_copy(update={"created": seen[model.id]})


def _read(file: Path) -> dict[str, int]:
    try:
        content = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {str(key): int(value) for key, value in content.items()}


def _write(file: Path, times: dict[str, int]) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(times, indent=1, sort_keys=True))
    temporary.replace(file)
