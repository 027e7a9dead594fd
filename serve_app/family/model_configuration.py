"""What a checkpoint says of itself before it is loaded: its small files, where they are on this
machine, and where a hub has them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve_app.family.model_files import HUB_TIMEOUT_S, Hub, local_path

FILE = "config.json"
Configurations = dict[str, dict[str, Any]]
"""By the path of the file in the checkpoint's directory."""


def known_configuration(
    source: str, *, revision: str | None, data_dir: Path, cache_dir: Path | None = None
) -> dict[str, Any] | None:
    """The `config.json`, see `known_configurations`. None where it is not here."""
    known = known_configurations(
        source, (FILE,), revision=revision, data_dir=data_dir, cache_dir=cache_dir
    )
    return known.get(FILE)


def known_configurations(
    source: str,
    files: Sequence[str],
    *,
    revision: str | None,
    data_dir: Path,
    cache_dir: Path | None = None,
) -> Configurations:
    """Those of these JSON files that are in a local directory, or that the hub's local cache holds
    (`cache_dir`, None is what the environment says), and can be read. No network; blocks.
    """
    local = local_path(source, data_dir)
    known = {}
    for name in files:
        path = local / name if local is not None else _cached(source, name, revision, cache_dir)
        content = _content(path) if path is not None else None
        if content is not None:
            known[name] = content
    return known


def fetch_configuration(source: str, file: str, *, revision: str | None, hub: Hub) -> Any:
    """The content of a JSON file of a hub's, which its local cache has from then on. Blocks; raises
    what the hub's library raises.
    """
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(
        source,
        file,
        revision=revision,
        cache_dir=hub.cache_dir,
        endpoint=hub.endpoint,
        etag_timeout=HUB_TIMEOUT_S,
    )
    return _content(Path(path))


def _content(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _cached(source: str, file: str, revision: str | None, cache_dir: Path | None) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(source, file, cache_dir=cache_dir, revision=revision)
    except (ImportError, ValueError):
        return None
    return Path(path) if isinstance(path, str) else None
