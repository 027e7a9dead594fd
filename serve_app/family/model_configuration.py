"""What a checkpoint says of itself before it is loaded, where it is on this machine."""

import json
from pathlib import Path
from typing import Any

from serve_app.family.model_files import local_path

FILE = "config.json"


def known_configuration(
    source: str, *, revision: str | None, data_dir: Path, cache_dir: Path | None = None
) -> dict[str, Any] | None:
    """The configuration of a local directory, or of what the hub's local cache holds (`cache_dir`,
    None is what the environment says). None where it is not here. No network; blocks.
    """
    local = local_path(source, data_dir)
    file = local / FILE if local is not None else _cached(source, revision, cache_dir)
    try:
        content = json.loads(file.read_text()) if file is not None else None
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _cached(source: str, revision: str | None, cache_dir: Path | None) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache

        file = try_to_load_from_cache(source, FILE, cache_dir=cache_dir, revision=revision)
    except (ImportError, ValueError):
        return None
    return Path(file) if isinstance(file, str) else None
