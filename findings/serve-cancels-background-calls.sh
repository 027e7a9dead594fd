#!/bin/bash
# Ray Serve 2.60.0.
#
# One would guess: work that a request starts with `asyncio.create_task` and does not wait for is its own from then on, as
# everywhere in asyncio; when the request's caller goes away, the request is cancelled and the task is not.
# Instead: Serve remembers every call of a handle by the request in whose context it is made, tasks inherit the context
# (contextvars), and when the request is cancelled Serve cancels all of its calls: the handle call in the background task ends
# in a CancelledError that nobody asked for. It needs a context of its own (`create_task(..., context=Context())`).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "ray[serve]==2.60.0"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio
import logging
import sys
import time
from contextvars import Context, copy_context

import ray
from ray import serve


@serve.deployment(ray_actor_options={"num_cpus": 0}, logging_config={"log_level": "CRITICAL"})
class Far:
    async def __call__(self) -> str:
        await asyncio.sleep(4)
        return "done"


@serve.deployment(ray_actor_options={"num_cpus": 0}, logging_config={"log_level": "CRITICAL"})
class Near:
    def __init__(self, far: serve.handle.DeploymentHandle) -> None:
        self._far = far
        self._ends: dict[str, str] = {}
        self._tasks: list[asyncio.Task] = []

    async def begin(self, name: str) -> None:
        context = Context() if name == "own context" else copy_context()
        self._tasks.append(asyncio.create_task(self._background(name), context=context))
        await asyncio.sleep(60)

    async def ends(self) -> dict[str, str]:
        return self._ends

    async def _background(self, name: str) -> None:
        try:
            self._ends[name] = await self._far.remote()
        except asyncio.CancelledError:
            self._ends[name] = "cancelled"


ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
logging.getLogger("ray.serve").setLevel(logging.ERROR)
handle = serve.run(Near.bind(Far.bind()), route_prefix=None)


async def main() -> dict[str, str]:
    calls = [asyncio.ensure_future(_waited(name)) for name in ("inherited context", "own context")]
    await asyncio.sleep(2)
    for call in calls:
        call.cancel()
    deadline = time.monotonic() + 60
    while len(ends := await handle.ends.remote()) < 2 and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return ends


async def _waited(name: str) -> None:
    await handle.begin.remote(name)


ends = asyncio.run(main())
print(ends)
sys.exit(ends != {"inherited context": "cancelled", "own context": "done"})
PYTHON
export RAY_USAGE_STATS_ENABLED=0 RAY_SERVE_THROUGHPUT_OPTIMIZED=1
timeout 300 "$folder/venv/bin/python" "$folder/seen.py"
