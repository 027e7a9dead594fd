"""A family's replica, in a process of its own: it sets up logging and the garbage collector."""

import subprocess
import sys

REPLICA = """
import asyncio
from serve_app.core.config import Family
from serve_app.family.replica import Replica

left = set()

class Engine:
    context_length = None
    async def start(self): ...
    async def close(self): ...
    async def count(self):
        try:
            for number in range(1000):
                yield number
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0.05)
            print("the engine has stopped", flush=True)

class Loader:
    def load(self, model, report): return Engine()
    def unloaded(self, model):
        print("unloaded", model.id, flush=True)
        left.add(model.id)
    def is_wanted(self): return True

def replica_of(*models):
    family = {
        "name": "f",
        "options": {"engine": "fake", "task": "chat"},
        "models": [{"id": model} for model in models],
    }
    return Replica(Family.model_validate(family), lambda _: Loader(), load_wait_s=10)
"""
LEAVE = """
async def main():
    replica = replica_of("m")
    stream = replica.stream("count", "m")
    print("first", (await anext(stream))[0], flush=True)
    await stream.aclose()
    print("left", flush=True)

asyncio.run(main())
"""
GATHER = """
async def main():
    replica = replica_of("m")
    print(sum(await replica.gather("count", "m")), flush=True)
    items, spent = await replica.metered_gather("count", "m")
    print(len(items), spent.device_s > 0, flush=True)
    call = asyncio.create_task(replica.gather("count", "m"))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    print("left", flush=True)

asyncio.run(main())
"""


LOAD = """
from serve_app.family import replica as module

# There is no Serve that could be told.
module.announcer = lambda: lambda ids: None

async def main():
    replica = replica_of("a", "b")
    await replica.load_model("a")
    async with asyncio.timeout(60):
        while (await replica.status())[0].state != "ready":
            await asyncio.sleep(0.01)
        while "a" not in left:
            await asyncio.sleep(0.01)

asyncio.run(main())
"""


FAIL_TO_CLOSE = """
from serve_app.family import replica as module

module.announcer = lambda: lambda ids: None

class Stuck(Engine):
    async def close(self): raise RuntimeError("a library that does not let go")

async def main():
    Loader.load = lambda self, model, report: Stuck()
    replica = replica_of("a", "b")
    for model in ("a", "b"):
        await replica.load_model(model)
        async with asyncio.timeout(60):
            while model not in left:
                await asyncio.sleep(0.01)

asyncio.run(main())
"""


def lines_of(script: str) -> list[str]:
    command = (sys.executable, "-c", REPLICA + script)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


def test_who_leaves_a_stream_leaves_a_stopped_engine() -> None:
    assert lines_of(LEAVE) == ["first 0", "the engine has stopped", "left"]


def test_who_leaves_a_call_for_everything_leaves_a_stopped_engine() -> None:
    stopped = "the engine has stopped"
    assert lines_of(GATHER) == [stopped, "499500", stopped, "1000 True", stopped, "left"]


def test_a_model_that_was_only_loaded_by_hand_leaves_when_memory_is_wanted() -> None:
    assert lines_of(LOAD) == ["unloaded a"]


def test_an_engine_that_cannot_be_closed_keeps_no_other_from_leaving() -> None:
    """And what it held of the memory is not booked for ever."""
    assert lines_of(FAIL_TO_CLOSE) == ["unloaded a", "unloaded b"]
