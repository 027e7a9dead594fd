"""The access log: one line of JSON per request, in one file per day (UTC)."""

import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from serve_app.observability.masking import masked_query
from serve_app.observability.observed import Observed

TEXT_CHARACTERS = 2048
FindClient = Callable[[Observed], str | None]


def log_fields(request: Observed, client: str | None) -> dict[str, Any]:
    """A request on one line; `extra` has what its kind adds."""
    return {
        "ts": timestamp(request.ts),
        "request_id": request.request_id,
        "method": request.method,
        "path": request.path[:TEXT_CHARACTERS],
        "query": masked_query(request.query),
        "status": request.status,
        "category": request.category,
        "model": request.model,
        "latency_ms": round(request.latency_ms, 3),
        "slot_wait_ms": request.slot_wait_ms,
        "client": client,
        "token_id": request.token_id,
        "extra": extra_of(request),
    }


def extra_of(request: Observed) -> dict[str, Any]:
    """What only some requests have, and how it ended."""
    known = {
        "class": request.outcome,
        "first_ms": None if request.first_ms is None else round(request.first_ms, 3),
        "prompt_tokens": request.prompt_tokens or None,
        "completion_tokens": request.completion_tokens or None,
    }
    return request.extra | {name: value for name, value in known.items() if value is not None}


def timestamp(at: float) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class AccessLog:
    """The files of a directory. Several processes may append to the same ones."""

    def __init__(self, directory: Path, find_client: FindClient) -> None:
        self._directory = directory
        self._find_client = find_client

    def write(self, requests: Iterable[Observed]) -> None:
        """Append their lines. Blocks."""
        for day, group in groupby(requests, key=lambda request: timestamp(request.ts)[:10]):
            lines = [self._line(request) for request in group]
            self._append(f"access-{day}.jsonl", b"".join(lines))

    def _line(self, request: Observed) -> bytes:
        fields = log_fields(request, self._find_client(request))
        # Escaped, so that no text can break a line or be half a character.
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    def _append(self, name: str, data: bytes) -> None:
        """In one write, which other processes cannot cut in two."""
        self._directory.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        descriptor = os.open(self._directory / name, flags, 0o640)
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
