#!/bin/bash
# limits 5.8.0.
#
# One would guess: the asynchronous in-memory storage counts a hit by adding one to a number, and looks for what has expired
# once in a while.
# Instead: every hit starts an asyncio task that goes over all keys there are, as soon as the one before has ended. What one hit
# costs the event loop grows with the number of keys that are known, whoever makes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "limits==5.8.0"
cat >"$folder/seen.py" <<'PYTHON'
import asyncio

from limits.aio.storage import MemoryStorage


class Keys(dict):
    """Counts how often all keys are listed."""

    listed = 0

    def keys(self):
        Keys.listed += 1
        return super().keys()


async def main() -> None:
    started = 0
    loop = asyncio.get_running_loop()

    def make(loop: asyncio.AbstractEventLoop, work: object, **options: object) -> asyncio.Task:
        nonlocal started
        started += 1
        return asyncio.Task(work, loop=loop, **options)

    storage = MemoryStorage()
    storage.expirations = Keys()
    for number in range(1000):
        await storage.incr(str(number), 60)
    await asyncio.sleep(0)
    loop.set_task_factory(make)
    Keys.listed = 0
    for _ in range(10):
        await storage.incr("somebody", 60)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    print(f"10 hits started {started} tasks, which went over all keys {Keys.listed} times")
    assert started >= 10
    assert Keys.listed >= 10


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/seen.py"
