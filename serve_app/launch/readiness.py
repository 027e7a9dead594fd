"""Waiting until the server really answers."""

import json
import os
import time
from collections.abc import Callable, Mapping

import httpcore

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import HttpOptions, LaunchPlan

HEALTH_TIMEOUT_S = 60.0
MODEL_TIMEOUT_S = 30.0
POLL_S = 0.1
TIMEOUTS = {"timeout": {"connect": 2.0, "read": 10.0, "write": 10.0, "pool": 10.0}}


def wait_until_ready(plan: LaunchPlan) -> None:
    """Until `/v1/health` answers and the first model that starts with the server is loaded.

    A model that takes longer than MODEL_TIMEOUT_S, or that cannot be had, keeps nobody waiting:
    its state is in the listing. Raises RuntimeError when the server does not answer at all.
    """
    url = base_url(plan.http)
    if not _poll(HEALTH_TIMEOUT_S, lambda: _get(f"{url}/v1/health").status == 200):
        raise RuntimeError(f"{url}/v1/health does not answer")
    model = first_model(plan.application.args)
    if model is not None:
        _poll(MODEL_TIMEOUT_S, lambda: _is_settled(_get(f"{url}/v1/models/{model}")))


def base_url(http: HttpOptions) -> str:
    """Where this machine reaches the server."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(http.host, http.host)
    return f"http://[{host}]:{http.port}" if ":" in host else f"http://{host}:{http.port}"


def first_model(config: AppConfig) -> str | None:
    """The first model that is loaded when the server starts."""
    for family in config.families:
        if family.models and len(family.models) == 1 and family.placement.min_replicas:
            return family.models[0].id
    return None


def _is_settled(answer: httpcore.Response) -> bool:
    if answer.status != 200:
        return answer.status in (401, 403)
    content = json.loads(answer.content)
    return bool(content["loaded"]) or content["status"]["state"] == "failed"


def _get(url: str) -> httpcore.Response:
    return httpcore.request("GET", url, headers=_credential(os.environ), extensions=TIMEOUTS)


def _credential(environment: Mapping[str, str]) -> dict[bytes | str, bytes | str]:
    token = environment.get("API_TOKENS", "").split(",")[0].strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _poll(timeout_s: float, is_done: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if is_done():
                return True
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
            pass
        time.sleep(POLL_S)
    return False
