"""One-token chats at this server and at another checkout of it, in many short turns. Only one of
the two runs at a time; the order changes from pair to pair. On a machine whose speed varies, the
median of the ratios of pairs says more than a few long rounds.

    python benchmarks/earlier_build.py DIRECTORY [--pairs 45]
"""

import argparse
import asyncio
import secrets
import signal
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles

import uvloop
from load_generator import Load, Outcome, run
from overhead import LOADS, PROBE, SETTLE_S, WARM_UP
from results import OUTCOMES, machine, save
from server_process import (
    HERE,
    ServerProcess,
    free_port,
    paused,
    server,
    working_folder,
    write_config,
)

TURN_S = 0.9
REST_S = 0.6
FIGURES = {"one token, 1 client": "latency_p50_ms", "one token, 32 clients": "requests_per_s"}
TURNS = [replace(load, duration_s=TURN_S) for load in LOADS if load.name in FIGURES]


def main() -> None:
    """Start both, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("old", type=Path, help="the checkout to compare with")
    parser.add_argument("--pairs", type=int, default=45)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder, ExitStack() as stack:
        servers = []
        for name, checkout in (("this", HERE.parent), ("old", arguments.old.resolve())):
            (folder / name).mkdir()
            config = str(write_config(folder / name))
            port, token = free_port(), f"sk-{secrets.token_hex(32)}"
            command = ["-m", "serve_app", "--config", config, "--port", str(port)]
            process = server(
                name, command, port=port, token=token, folder=folder, checkout=checkout
            )
            servers.append(stack.enter_context(process))
            uvloop.run(servers[-1].until_it_answers(PROBE))
        outcomes = uvloop.run(_measure(servers, arguments.pairs))
    about = machine() | {"pairs": arguments.pairs}
    for load, figure in FIGURES.items():
        print(compared(load, figure, outcomes[load]))
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"written: {save(about, outcomes, kind='earlier_build')}")


def compared(load: str, figure: str, outcomes: dict[str, list[Outcome]]) -> str:
    """A line: both medians, and the ratios of pairs."""
    this, old = ([getattr(each, figure) for each in outcomes[name]] for name in ("this", "old"))
    ratios = [mine / theirs for mine, theirs in zip(this, old, strict=True)]
    low, middle, high = quantiles(ratios, n=4)
    return (
        f"{load}, {figure}: this {median(this):.1f}, old {median(old):.1f}, "
        f"ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f})"
    )


async def _measure(servers: list[ServerProcess], pairs: int) -> OUTCOMES:
    await asyncio.sleep(SETTLE_S)
    for process in servers:
        for load in WARM_UP:
            await run(load, process.target)
    outcomes: OUTCOMES = {load.name: {p.target.name: [] for p in servers} for load in TURNS}
    for number in range(pairs):
        for load in TURNS:
            for process in servers if number % 2 == 0 else reversed(servers):
                outcomes[load.name][process.target.name].append(await _turn(load, process, servers))
    return outcomes


async def _turn(load: Load, process: ServerProcess, servers: list[ServerProcess]) -> Outcome:
    with paused(other for other in servers if other is not process):
        await asyncio.sleep(REST_S)
        return await run(load, process.target)


if __name__ == "__main__":
    main()
