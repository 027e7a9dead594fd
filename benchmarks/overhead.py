"""What the server costs around an engine: the same fake engine behind (a) one bare uvicorn process,
(b) Ray Serve as its documentation shows it, with default switches, (s) the same with this server's
switches, and (c) this server, started as users start it, with access control on. Loads go round
them in turn; while one has a load the others are stopped, so that it has the machine alone. With
`--old` a fifth is (o) this server as another checkout has it.

    python benchmarks/overhead.py [--rounds 3] [--old DIRECTORY]
"""

import argparse
import asyncio
import secrets
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import uvloop
from load_generator import Load, Outcome, run
from results import as_table, machine, save
from server_process import (
    HERE,
    ServerProcess,
    free_port,
    paused,
    server,
    working_folder,
    write_config,
)

LOADS = (
    Load("one token, 1 client", "fast", 1, tokens=1, stream=False, duration_s=1.5, limit=5000),
    Load("one token, 32 clients", "fast", 32, tokens=1, stream=False, duration_s=2.5, limit=20000),
    Load("1 stream", "fast", 1, tokens=200, stream=True, duration_s=1.5, limit=2000),
    Load("32 streams", "fast", 32, tokens=200, stream=True, duration_s=2.5, limit=5000),
    Load("1 paced stream", "paced", 1, tokens=50, stream=True, duration_s=5, limit=2),
    Load(
        "32 paced streams",
        "paced",
        32,
        tokens=75,
        stream=True,
        duration_s=5,
        limit=64,
        spread_s=1.5,
    ),
    Load(
        "32 paced streams begun at once",
        "paced",
        32,
        tokens=25,
        stream=True,
        duration_s=5,
        limit=96,
    ),
)
PROBE = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
WARM_UP = (
    Load("warm-up", "fast", 32, tokens=1, stream=False, duration_s=1, limit=1000),
    Load("warm-up", "fast", 32, tokens=50, stream=True, duration_s=1, limit=1000),
    Load("warm-up", "paced", 32, tokens=5, stream=True, duration_s=1, limit=1000),
)
SETTLE_S = 3.0
"""Serve reloads HAProxy when replicas come up, which closes connections that were just opened."""

REST_S = 1.5
"""Before each load, for what a server does about the time that it was stopped."""

IDLE_S = 3.0
OUTCOMES = dict[str, dict[str, list[Outcome]]]


def main() -> None:
    """Start the servers, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--old", type=Path, help="a checkout to compare with")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder, ExitStack() as stack:
        config = str(write_config(folder))
        servers = []
        start = ["-m", "serve_app", "--config"]
        arms = [
            ("a", HERE.parent, ["benchmarks/bare_server.py", config]),
            ("b", HERE.parent, ["benchmarks/plain_serve.py", config]),
            ("s", HERE.parent, ["benchmarks/switched_serve.py", config]),
            ("c", HERE.parent, [*start, config, "--port"]),
        ]
        if arguments.old is not None:
            (folder / "old").mkdir()
            old_config = str(write_config(folder / "old"))
            arms.append(("o", arguments.old.resolve(), [*start, old_config, "--port"]))
        for name, checkout, command in arms:
            port, token = free_port(), f"sk-{secrets.token_hex(32)}"
            process = server(
                name,
                [*command, str(port)],
                port=port,
                token=token,
                folder=folder,
                checkout=checkout,
            )
            servers.append(stack.enter_context(process))
            # One after the other: many that start at once on few cores run into Ray's time limits.
            uvloop.run(servers[-1].until_it_answers(PROBE))
        outcomes, idle = uvloop.run(_measure(servers, arguments.rounds))
        memory = {process.target.name: process.memory_mib() for process in servers}
    print(as_table(outcomes))
    about = machine() | {"rounds": arguments.rounds, "idle_cores": idle, "memory_mib": memory}
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"written: {save(about, outcomes)}")


async def _measure(servers: list[ServerProcess], rounds: int) -> tuple[OUTCOMES, dict[str, float]]:
    await asyncio.sleep(SETTLE_S)
    for process in servers:
        for load in WARM_UP:
            await run(load, process.target)
    idle = await _idle_cores(servers)
    outcomes: OUTCOMES = {load.name: {p.target.name: [] for p in servers} for load in LOADS}
    for number in range(rounds):
        for load in LOADS:
            for process in servers:
                with paused(other for other in servers if other is not process):
                    await asyncio.sleep(REST_S)
                    outcome = await run(load, process.target)
                outcomes[load.name][process.target.name].append(outcome)
            print(f"round {number + 1} of {rounds}: {load.name}", flush=True)
    return outcomes, idle


async def _idle_cores(servers: list[ServerProcess]) -> dict[str, float]:
    """How many cores each server takes while nobody asks it anything."""
    before = [process.cpu_s() for process in servers]
    await asyncio.sleep(IDLE_S)
    after = [process.cpu_s() for process in servers]
    return {
        process.target.name: round((late - early) / IDLE_S, 3)
        for process, early, late in zip(servers, before, after, strict=True)
    }


if __name__ == "__main__":
    main()
