"""Where a model's files are: a local directory, the hub's local cache, or the hub itself.

Knows no engine; of a hub repository it takes the weights in their best form and the small files.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from serve_app.core.errors import BackendUnavailable
from serve_app.core.loading import Report
from serve_app.core.status import ModelStatus
from serve_app.family.cached_models import WEIGHTS, note_whole, whole_snapshot
from serve_app.family.download_progress import DownloadProgress
from serve_app.family.hub_errors import explained

logger = logging.getLogger(__name__)

HUB_TIMEOUT_S = 5.0
PICKLED = (".bin", ".pt", ".pth", ".th", ".ckpt", ".pkl")
UNUSED = (
    *(".onnx", ".onnx_data", ".gguf", ".ggml", ".h5", ".msgpack", ".tflite", ".mlmodel", ".ot"),
    *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp4", ".pdf", ".zip", ".tar", ".gz"),
)
UNUSED_FOLDERS = {"onnx", "openvino", "coreml", "original", "metal", "flax", "tf", "gguf"}


@dataclass(frozen=True)
class Hub:
    """A hub and its local cache; None is what the environment says (HF_ENDPOINT, HF_HOME)."""

    endpoint: str | None = None
    cache_dir: Path | None = None


def locate(
    source: str,
    *,
    revision: str | None,
    model_id: str,
    data_dir: Path,
    report: Report,
    hub: Hub | None = None,
) -> Path:
    """The directory that holds the model's files; blocks while it downloads them.

    `source` is a path (absolute, or relative to the working directory or `data_dir`) or a hub id.
    What the local cache holds whole is used without asking the hub whether there is newer; a new
    revision is had by naming it. Files that came whole are kept when a download is cut off. Raises
    BackendUnavailable, naming cause and remedy, within seconds when no hub can be reached.
    """
    local = local_path(source, data_dir)
    if local is not None:
        return local
    if source.startswith(("/", ".", "~")):
        raise BackendUnavailable(
            f"model {model_id!r}: its source {source!r} does not exist on this machine",
            remedy="correct the path, or name a hub id",
        )
    request = _HubRequest(source, revision, model_id, hub or Hub())
    with explained(model_id, source, revision):
        cached = whole_snapshot(source, revision, request.hub.cache_dir)
        return cached or _downloaded(request, report)


@dataclass(frozen=True)
class _HubRequest:
    source: str
    revision: str | None
    model_id: str
    hub: Hub

    @property
    def hub_arguments(self) -> dict[str, Any]:
        return {
            "cache_dir": self.hub.cache_dir,
            "endpoint": self.hub.endpoint,
            "etag_timeout": HUB_TIMEOUT_S,
        }


def local_path(source: str, data_dir: Path) -> Path | None:
    """Where a source is that is a path; None for others, and where nothing is."""
    # pathlib's own raises for a user who is unknown here.
    for path in (Path(os.path.expanduser(source)), data_dir / source):
        if path.exists():
            return path.absolute()
    return None


def wanted_files(names: Sequence[str]) -> list[str]:
    """What a library needs of a repository: no other frameworks' weights, no pickled or repeated
    ones beside safetensors. Small files come first, so that whole weights mean a whole model.
    """
    safe_folders = {PurePosixPath(n).parent for n in names if n.endswith(".safetensors")}
    whole_folders = {
        PurePosixPath(n).parent
        for n in names
        if PurePosixPath(n).name.startswith(("model.safetensors", "model-00001-of"))
    }

    def is_wanted(name: str) -> bool:
        path = PurePosixPath(name)
        suffix = path.suffix.lower()
        if path.name.startswith(".") or suffix in UNUSED:
            return False
        if UNUSED_FOLDERS.intersection(path.parts[:-1]):
            return False
        if suffix in PICKLED and path.parent in safe_folders:
            return False
        repeats = path.name.startswith("consolidated") or ".fp16." in path.name
        return not (repeats and path.parent in whole_folders)

    return sorted(filter(is_wanted, names), key=lambda name: (name.endswith(WEIGHTS), name))


def _downloaded(request: _HubRequest, report: Report) -> Path:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi(endpoint=request.hub.endpoint).model_info(
        request.source, revision=request.revision, files_metadata=True, timeout=HUB_TIMEOUT_S
    )
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    names = wanted_files(list(sizes))
    if not any(name.endswith(WEIGHTS) for name in names):
        raise BackendUnavailable(
            f"model {request.model_id!r}: {request.source!r} on the hub has no weights in "
            "safetensors or PyTorch form",
            remedy="name another repository",
        )
    left = [name for name in names if _cached_file(request, name, info.sha) is None]
    total, missing = (sum(sizes[name] for name in files) for files in (names, left))
    _check_space(request, missing)
    logger.info("downloading model %r from the hub: %d bytes left", request.model_id, missing)
    progress = DownloadProgress(request.model_id, report, total=total, done=total - missing)
    for name in left:
        options = {
            "revision": info.sha,
            "tqdm_class": _bar_class(progress),
            **request.hub_arguments,
        }
        hf_hub_download(request.source, name, **options)
        progress.finish_file(sizes[name])
    report(ModelStatus(id=request.model_id, state="loading"))
    # Once more by its branch, so that the cache learns which commit the branch is at.
    by_branch = {"revision": request.revision or "main", **request.hub_arguments}
    hf_hub_download(request.source, names[0], **by_branch)
    if info.sha is not None:
        note_whole(request.source, info.sha, request.hub.cache_dir)
    first = _cached_file(request, names[0], info.sha)
    assert first is not None
    return first.parents[len(PurePosixPath(names[0]).parts) - 1]


def _cached_file(request: _HubRequest, name: str, revision: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    file = try_to_load_from_cache(
        request.source, name, cache_dir=request.hub.cache_dir, revision=revision
    )
    return Path(file) if isinstance(file, str) else None


def _check_space(request: _HubRequest, needed: int) -> None:
    from huggingface_hub.constants import HF_HUB_CACHE

    folder = Path(request.hub.cache_dir or HF_HUB_CACHE).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise BackendUnavailable(
            f"model {request.model_id!r} needs {needed} more bytes on disk and {free} are free",
            remedy="free some, or set HF_HOME to a larger disk",
        )


def _bar_class(progress: DownloadProgress) -> Any:
    """What huggingface_hub takes for a tqdm class; its bars tell `progress`."""

    class DownloadBar:
        def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ARG002
            self.total: int | None = options.get("total")
            self.n = 0
            self.update(options.get("initial") or 0)

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            progress.add(int(count or 0))

        def update_transfer(self, count: float | None = 1) -> None:
            """Compressed bytes on the wire, which are not the file's."""

        def __enter__(self) -> "DownloadBar":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def __getattr__(self, name: str) -> Any:
            """Titles, rates and redraws, which have no place here."""
            return lambda *args, **options: None  # noqa: ARG005

    return DownloadBar
