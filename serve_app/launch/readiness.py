"""Waiting until the server really answers."""

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpcore

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import HttpOptions, LaunchPlan

T = TypeVar("T")

HEALTH_TIMEOUT_S = 60.0
MODEL_TIMEOUT_S = 30.0
POLL_S = 0.1
STEP_PERCENT = 20
MB = 1_000_000
TIMEOUTS = {"timeout": {"connect": 2.0, "read": 10.0, "write": 10.0, "pool": 10.0}}


def wait_until_ready(plan: LaunchPlan, say: Callable[[str], None]) -> str | None:
    """Until `/v1/health` answers and the first model that starts with the server is loaded, so that
    it answers at once. None then, else why it does not and what would help.

    A download is waited for as long as it goes on, and `say` is told how far it is; a model that
    then takes longer than MODEL_TIMEOUT_S keeps nobody waiting: its state is in the listing. Raises
    RuntimeError when the server does not answer at all.
    """
    url = base_url(plan.http)
    if not _poll(HEALTH_TIMEOUT_S, lambda: _get(f"{url}/v1/health").status == 200):
        raise RuntimeError(f"{url}/v1/health does not answer")
    model = first_model(plan.application.args)
    return None if model is None else _FirstModel(f"{url}/v1/models/{model}", say).loaded()


def base_url(http: HttpOptions) -> str:
    """Where this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"


def first_model(config: AppConfig) -> str | None:
    """The first model that is loaded when the server starts; one for chat comes before others."""
    families = [family for family in config.families if family.placement.min_replicas]
    for family in sorted(families, key=lambda family: family.options.task != "chat"):
        if len(family.models) == 1:
            return family.models[0].id
    return None


class _FirstModel:
    """A model on its way to memory, as its address tells."""

    def __init__(self, url: str, say: Callable[[str], None]) -> None:
        self._url = url
        self._say = say
        self._told_percent = -STEP_PERCENT
        self._came_at = time.monotonic()

    def loaded(self) -> str | None:
        """None once it is, else why it is not."""
        while time.monotonic() - self._came_at < MODEL_TIMEOUT_S:
            answer = _tried(lambda: _get(self._url))
            if answer is not None and answer.status in (401, 403):
                return None
            if answer is not None and answer.status == 200:
                entry = json.loads(answer.content)
                if entry["loaded"]:
                    return None
                if entry["status"]["state"] == "failed":
                    return str(entry["status"].get("cause") or f"model {entry['id']!r} failed")
                self._watch(entry["id"], entry["status"])
            time.sleep(POLL_S)
        return f"{self._url.rpartition('/models/')[2]} is not loaded yet; {self._url} says how far"

    def _watch(self, model: str, status: Mapping[str, Any]) -> None:
        """A download ends by itself, well or badly."""
        if status["state"] != "downloading":
            return
        self._came_at = time.monotonic()
        percent = int(status.get("percent", 0))
        if percent >= self._told_percent + STEP_PERCENT:
            size = f" of {status['bytes_total'] / MB:.0f} MB" if "bytes_total" in status else ""
            self._say(f"  fetching {model}: {percent} %{size}")
            self._told_percent = percent - percent % STEP_PERCENT


def _get(url: str) -> httpcore.Response:
    return httpcore.request("GET", url, headers=_credential(os.environ), extensions=TIMEOUTS)


def _credential(environment: Mapping[str, str]) -> dict[bytes | str, bytes | str]:
    token = environment.get("API_TOKENS", "").split(",")[0].strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _poll(timeout_s: float, is_done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if _tried(is_done):
            return True
        time.sleep(POLL_S)
    return False


def _tried(ask: Callable[[], T]) -> T | None:
    """None where nothing answers."""
    try:
        return ask()
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        return None
