#!/bin/bash
# Ray Serve 2.60.0.
#
# One would guess: what a deployment raises arrives at the caller of its handle as Ray documents it for tasks, as a
# RayTaskError that is also an instance of the original class, so that `except RayTaskError` means "it failed over there" and
# `except TimeoutError` around one's own `asyncio.timeout` means one's own limit.
# Instead: with RAY_SERVE_THROUGHPUT_OPTIMIZED=1 (handles over gRPC) the exception arrives as its bare class. A TimeoutError or
# asyncio.CancelledError of the replica cannot be told from the caller's own, and an exception whose constructor has
# keyword-only arguments arrives as the TypeError of its unpickling. So a replica should raise one picklable class of its own.
# (Without the switch the three are a RayTaskError, an ObjectRefStreamEndOfStreamError and an UnserializableException.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[serve]==2.60.0"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import logging
import sys

import ray
from ray import serve
from ray.exceptions import RayTaskError


class Refused(Exception):
    def __init__(self, *, reason: str) -> None:
        super().__init__(reason)


@serve.deployment(ray_actor_options={"num_cpus": 0}, logging_config={"log_level": "CRITICAL"})
class Far:
    async def __call__(self, kind: str) -> None:
        if kind == "timeout":
            raise TimeoutError("the store does not answer")
        if kind == "cancelled":
            raise asyncio.CancelledError
        raise Refused(reason="no")


@serve.deployment(ray_actor_options={"num_cpus": 0}, logging_config={"log_level": "CRITICAL"})
class Near:
    def __init__(self, far: serve.handle.DeploymentHandle) -> None:
        self._far = far

    async def __call__(self, kind: str) -> str:
        try:
            await self._far.remote(kind)
        except BaseException as error:
            return f"RayTaskError({type(error.cause).__name__})" if isinstance(error, RayTaskError) else type(error).__name__
        return "nothing"


ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
logging.getLogger("ray.serve").setLevel(logging.ERROR)
handle = serve.run(Near.bind(Far.bind()), route_prefix=None)


async def main() -> dict[str, str]:
    return {kind: await handle.remote(kind) for kind in ("timeout", "cancelled", "keyword-only")}


seen = asyncio.run(main())
print(seen)
sys.exit(list(seen.values()) != sys.argv[1:])
PYTHON
export RAY_USAGE_STATS_ENABLED=0 RAY_SERVE_THROUGHPUT_OPTIMIZED=1
timeout 300 "$folder/venv/bin/python" "$folder/seen.py" TimeoutError CancelledError TypeError
