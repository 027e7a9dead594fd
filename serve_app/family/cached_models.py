"""Which repositories are complete in the hub's local cache. No network."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".th", ".pkl")
PIPELINE, CONFIGURATION = "model_index.json", "config.json"


def whole_snapshot(source: str, revision: str | None, cache_dir: Path | None) -> Path | None:
    """The directory of a repository's files, None where it is not here or lacks some. Raises what
    the hub's library raises for a source that is no hub id.
    """
    repository = _repository(source, cache_dir)
    note = repository / "refs" / (revision or "main")
    commit = note.read_text().strip() if note.is_file() else revision
    folder = repository / "snapshots" / (commit or "main")
    if (folder / PIPELINE).exists():
        return folder if _is_whole_pipeline(folder) else None
    if (folder / CONFIGURATION).exists():
        return folder if has_weights(folder) else None
    # Nothing says what belongs to it, but what a revision means is noted after all files came.
    return folder if note.is_file() and _weights(folder.rglob("*")) else None


def note_whole(source: str, commit: str, cache_dir: Path | None) -> None:
    """Note that all wanted files of a commit are here, as the hub's library does of a branch."""
    note = _repository(source, cache_dir) / "refs" / commit
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(commit)


def has_weights(folder: Path) -> bool:
    """Weights are there, and every shard that an index names."""
    for index in folder.glob("*.index*.json"):
        shards = set(_object(index).get("weight_map", {}).values())
        if shards and all((folder / shard).exists() for shard in shards):
            return True
    return any("-of-" not in file.name for file in _weights(folder.iterdir()))


def _weights(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if file.suffix in WEIGHTS and file.name != "training_args.bin"]


def _repository(source: str, cache_dir: Path | None) -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    name = repo_folder_name(repo_id=source, repo_type="model")
    return Path(cache_dir or HF_HUB_CACHE) / name


def _is_whole_pipeline(folder: Path) -> bool:
    """A diffusers pipeline with every part that its index names, and weights of those that have
    any: models, which alone have a `config.json`.
    """
    index = _object(folder / PIPELINE)
    parts = [name for name, value in index.items() if _is_part(name, value)]
    return bool(parts) and all(_is_whole_part(folder / name) for name in parts)


def _is_part(name: str, value: object) -> bool:
    """A part is [library, class], or [null, null] where the pipeline does without it."""
    if name.startswith("_") or not isinstance(value, list) or len(value) != 2:
        return False
    return all(isinstance(each, str) for each in value)


def _is_whole_part(folder: Path) -> bool:
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    return not (folder / CONFIGURATION).exists() or has_weights(folder)


def _object(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
