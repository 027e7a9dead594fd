"""What a chat costs that another server answers: (p) a stub provider asked directly, (c) this
server and (l) the LiteLLM proxy in front of it. Loads go round them in turn; while one proxy has a
load the other is stopped.

    python benchmarks/upstreams.py [--litellm ENVIRONMENT] [--rounds 5]

ENVIRONMENT is a virtual environment with `litellm[proxy]`, of the benchmark's own.
"""

import argparse
import asyncio
import http.client
import json
import secrets
import signal
import sys
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import psutil
import uvloop
from load_generator import Load, Outcome, run
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

LOADS = (
    Load("one token, 1 client", "fast", 1, tokens=1, stream=False, duration_s=2, limit=20_000),
    Load("one token, 32 clients", "fast", 32, tokens=1, stream=False, duration_s=3, limit=20_000),
    Load("32 streams", "fast", 32, tokens=200, stream=True, duration_s=3, limit=5000),
    Load(
        "32 paced streams",
        "paced",
        32,
        tokens=50,
        stream=True,
        duration_s=5,
        limit=96,
        spread_s=1.0,
    ),
)
PROVIDER = "stub"
Running = AbstractContextManager[ServerProcess]
SETTLE_S = 4.0
REST_S = 1.0
WORKERS = 2
REPLICA = "ray::ServeReplica:polyphony:upstreams"
PRODUCTION = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}
"""What its documentation asks for in production, and its own table of prices instead of a fetch."""


@dataclass(frozen=True)
class Arm:
    """A server, and what stands before the stub's names of models there."""

    process: ServerProcess
    prefix: str = ""

    def load(self, load: Load) -> Load:
        """The load under this server's name of its model."""
        return replace(load, model=self.prefix + load.model)


def main() -> None:
    """Start the servers, measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--litellm", type=Path, help="a virtual environment that has it")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with working_folder() as folder, ExitStack() as stack:
        stub = Arm(stack.enter_context(_stub(folder)))
        _await(stub)
        arms = [stub, Arm(stack.enter_context(_this(folder)), f"{PROVIDER}/")]
        _register(arms[-1].process, stub.process.target.port)
        _await(arms[-1])
        if arguments.litellm is not None:
            port = stub.process.target.port
            arms.append(Arm(stack.enter_context(_litellm(folder, arguments.litellm, port))))
            _await(arms[-1])
        outcomes = uvloop.run(_measure(arms, arguments.rounds))
        memory = {arm.process.target.name: arm.process.memory_mib() for arm in arms}
        memory["replica that calls providers"] = _replica_mib(arms[1].process)
    print(as_table(outcomes))
    about = machine() | {"rounds": arguments.rounds, "memory_mib": memory}
    print("\n".join(f"{name}: {value}" for name, value in about.items()))
    print(f"written: {save(about, outcomes, kind='upstreams')}")


def _stub(folder: Path) -> Running:
    port = free_port()
    command = [str(HERE / "stub_provider.py"), str(port)]
    return server("p", command, port=port, token="none", folder=folder)


def _this(folder: Path) -> Running:
    port, token = free_port(), f"sk-{secrets.token_hex(32)}"
    command = ["-m", "serve_app", "--config", str(write_config(folder)), "--port", str(port)]
    return server(
        "c", command, port=port, token=token, folder=folder, variables={"ADMIN_TOKEN": token[::-1]}
    )


def _litellm(folder: Path, environment: Path, stub: int) -> Running:
    port, token = free_port(), f"sk-{secrets.token_hex(32)}"
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{name}",
                "api_base": f"http://127.0.0.1:{stub}/v1",
                "api_key": "sk-none",
            },
        }
        for name in ("fast", "paced")
    ]
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": token}}))
    command = [str(environment / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", str(WORKERS)]
    # Workers that take longer than 5 s to start would be ended, again and again.
    command += ["--timeout_worker_healthcheck", "120"]
    return server(
        "l",
        command,
        port=port,
        token=token,
        folder=folder,
        python=environment / "bin/python",
        variables=PRODUCTION,
    )


def _replica_mib(this: ServerProcess) -> float:
    """Proportional set size."""
    found = 0
    for process in this.tree():
        with suppress(psutil.NoSuchProcess):
            if "".join(process.cmdline()).startswith(REPLICA):
                found += process.memory_full_info().pss
    return found / 1024**2


def _await(arm: Arm) -> None:
    probe = replace(LOADS[0], name="probe", duration_s=5, limit=1)
    uvloop.run(arm.process.until_it_answers(arm.load(probe)))


def _register(this: ServerProcess, stub: int) -> None:
    """Give this server the stub as a provider, once it answers."""
    provider = {
        "type": "openai-compat",
        "name": PROVIDER,
        "base_url": f"http://127.0.0.1:{stub}/v1",
        "enabled": True,
        "api_keys": ["sk-none"],
    }
    own = Load("probe", "fast", 1, tokens=1, stream=False, duration_s=5, limit=1)
    uvloop.run(this.until_it_answers(own))
    connection = http.client.HTTPConnection("127.0.0.1", this.target.port)
    headers = {"Authorization": f"Bearer {this.target.token[::-1]}"}
    connection.request("POST", "/api/v2/ai/providers", json.dumps(provider), headers)
    answer = connection.getresponse()
    if answer.status != 201:
        raise SystemExit(f"the provider is refused: {answer.status} {answer.read().decode()}")


async def _measure(arms: list[Arm], rounds: int) -> OUTCOMES:
    await asyncio.sleep(SETTLE_S)
    outcomes: OUTCOMES = {load.name: {a.process.target.name: [] for a in arms} for load in LOADS}
    for number in range(-1, rounds):
        for load in LOADS:
            for arm in arms:
                outcome = await _turn(arm.load(load), arm, arms)
                # The first round warms up.
                if number >= 0:
                    outcomes[load.name][arm.process.target.name].append(outcome)
            print(f"round {number + 1} of {rounds}: {load.name}", flush=True)
    return outcomes


async def _turn(load: Load, arm: Arm, arms: list[Arm]) -> Outcome:
    others = (other.process for other in arms[1:] if other is not arm)
    with paused(others):
        await asyncio.sleep(REST_S)
        return await run(load, arm.process.target)


def as_table(outcomes: OUTCOMES) -> str:
    """Medians over the rounds; of the proxies' times what they add to the stub's."""
    lines = []
    for load, by_arm in outcomes.items():
        figures = ("tokens_per_s", "first_token_p50_ms", "first_token_p99_ms")
        if "stream" not in load:
            figures = ("requests_per_s", "latency_p50_ms", "latency_p99_ms")
        for figure in figures:
            found = {
                name: median(getattr(o, figure) for o in each) for name, each in by_arm.items()
            }
            lines.append(f"{load}, {figure}: {compared(found, is_rate=figure.endswith('_s'))}")
    return "\n".join(lines)


def compared(found: dict[str, float], *, is_rate: bool) -> str:
    """The arms' figures, and this server's beside LiteLLM's."""
    shown = ", ".join(f"{name} {value:,.1f}" for name, value in found.items())
    added = {name: value - found["p"] for name, value in found.items() if name != "p"}
    if not is_rate:
        shown += "; added " + ", ".join(f"{name} {value:+.1f}" for name, value in added.items())
    if "l" not in found:
        return shown
    ratio = found["c"] / found["l"] if is_rate else added["c"] / added["l"]
    return f"{shown}; c/l {ratio:.2f}"


if __name__ == "__main__":
    main()
