"""Captured requests and answers: one folder per request, with `meta.json` and both bodies."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from serve_app.observability.access_log import log_fields
from serve_app.observability.masking import masked_headers
from serve_app.observability.observed import Headers, Observed

Body = Literal["request", "response"]
META = "meta.json"
FILES = (META, "request.bin", "response.bin")
MOST_NAMESAKES = 1000


class Capture:
    """One request that is being captured. Its methods but `write` and `finish` cost nothing."""

    def __init__(self, directory: Path, request: Observed, *, most_bytes: int) -> None:
        self.request = request
        self.response_headers: Headers = ()
        self._directory = directory
        self._most_bytes = most_bytes
        self._sizes: dict[Body, int] = {"request": 0, "response": 0}
        self._kept: dict[Body, int] = {"request": 0, "response": 0}
        self._folder: Path | None = None

    def take(self, body: Body, data: bytes) -> bytes:
        """What of a piece is kept: nothing beyond the limit."""
        room = self._most_bytes - self._kept[body]
        kept = data[:room]
        self._sizes[body] += len(data)
        self._kept[body] += len(kept)
        return kept

    def drop(self, body: Body, size: int) -> None:
        """A piece that was to be kept was dropped."""
        self._kept[body] -= size

    def write(self, body: Body, data: bytes) -> None:
        """Append a piece. Blocks."""
        with (self._place() / f"{body}.bin").open("ab") as file:
            file.write(data)

    def finish(self, client: str | None) -> None:
        """Write what is known of it. Blocks."""
        meta: dict[str, Any] = log_fields(self.request, client) | {
            "request_headers": masked_headers(self.request.headers),
            "response_headers": masked_headers(self.response_headers),
        }
        for body, size in self._sizes.items():
            meta[f"{body}_bytes"] = size
            meta[f"{body}_is_whole"] = self._kept[body] == size
        folder = self._place()
        (folder / META).write_text(json.dumps(meta, indent=1))
        for name in FILES:
            (folder / name).touch()

    def _place(self) -> Path:
        if self._folder is None:
            self._folder = _new_folder(self._directory, self.request.request_id)
        return self._folder


def _new_folder(directory: Path, request_id: str) -> Path:
    """Named like the request; clients may use an id twice, but ids have no `~`."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for number in range(1, MOST_NAMESAKES):
        folder = directory / (request_id if number == 1 else f"{request_id}~{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise OSError(f"too many requests were captured under the id {request_id!r}")


def clear(directory: Path) -> int:
    """Remove every capture; how many there were. Blocks."""
    return sum(_remove(folder) for folder in _captures(directory))


def sweep(directory: Path, *, most_bytes: int, most_age_s: float, now: float | None = None) -> int:
    """Remove captures that are too old, then the oldest until the rest is small enough; how many.
    Blocks.
    """
    now = time.time() if now is None else now
    measured = ((_measured(folder), folder) for folder in _captures(directory))
    found = sorted(((seen, folder) for seen, folder in measured if seen is not None), reverse=True)
    removed, total = 0, 0
    for (changed_at, size), folder in found:
        total += size
        if now - changed_at > most_age_s or total > most_bytes:
            removed += _remove(folder)
    return removed


def _captures(directory: Path) -> Iterator[Path]:
    """Folders that hold nothing but what a capture has: the directory may have been named badly."""
    if not directory.is_dir():
        return
    for folder in directory.iterdir():
        if folder.is_dir() and not folder.is_symlink() and _has_only_files_of_ours(folder):
            yield folder


def _has_only_files_of_ours(folder: Path) -> bool:
    try:
        return {entry.name for entry in folder.iterdir()} <= set(FILES)
    except FileNotFoundError:
        # Another replica was faster.
        return False


def _measured(folder: Path) -> tuple[float, int] | None:
    """When a capture last changed, and its bytes; None where another replica was faster."""
    try:
        files = [file.stat() for file in folder.iterdir()]
        changed_at = max((file.st_mtime for file in files), default=folder.stat().st_mtime)
    except FileNotFoundError:
        return None
    return changed_at, sum(file.st_size for file in files)


def _remove(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
