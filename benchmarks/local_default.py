"""How long the local default takes to start, and how much memory it takes when idle: proportional
set size of all its processes, so that shared pages count once, with and without the replica of the
chat model. Each start is alone on the machine; with `--old` another checkout takes turns.

    python benchmarks/local_default.py [--rounds 3] [--old DIRECTORY]
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import psutil
from results import machine, save_as
from server_process import HERE, START_TIMEOUT_S, ServerProcess, free_port, server, working_folder

READY = b"ready after"
IDLE_S = 8.0
CHAT_MODEL = ":smollm2"
"""How the title of its replica's process ends."""


@dataclass(frozen=True)
class Idle:
    """One start."""

    ready_s: float
    cpu_s: float
    memory_mib: float
    chat_model_mib: float
    processes: int

    @property
    def rest_mib(self) -> float:
        """Memory without the chat model's replica."""
        return self.memory_mib - self.chat_model_mib


def main() -> None:
    """Start in turn, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--old", type=Path, help="a checkout to compare with")
    arguments = parser.parse_args()
    checkouts = {"new": HERE.parent}
    if arguments.old is not None:
        checkouts["old"] = arguments.old.resolve()
    rounds: dict[str, list[Idle]] = {name: [] for name in checkouts}
    for _ in range(arguments.rounds):
        for name, checkout in checkouts.items():
            rounds[name].append(started(name, checkout))
    print(table(rounds))
    figures = {name: [asdict(idle) for idle in each] for name, each in rounds.items()}
    about = machine() | {"rounds": arguments.rounds}
    print(f"written: {save_as('local-default', about, {'starts': figures})}")


def started(name: str, checkout: Path) -> Idle:
    """Start, look when it has been idle for a while, and stop."""
    with working_folder() as folder:
        default = (checkout / "serve_config.local.yaml").read_text()
        config = folder / "config.yaml"
        config.write_text(default.replace("data_dir: .data", f"data_dir: {folder}/data"))
        port = free_port()
        command = ["-m", "serve_app", "--config", str(config), "--port", str(port)]
        begun = time.monotonic()
        with server(
            name, command, port=port, token="", folder=folder, checkout=checkout
        ) as process:
            wait_until_ready(process)
            ready_s = time.monotonic() - begun
            time.sleep(IDLE_S)
            return idle_after(ready_s, process)


def wait_until_ready(process: ServerProcess) -> None:
    """Until the server says so. SystemExit with its output when it ends before."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while READY not in process.log.read_bytes():
        if not process.is_running or time.monotonic() > deadline:
            raise SystemExit(f"the server does not start\n{process.log.read_text()[-3000:]}")
        time.sleep(0.05)


def idle_after(ready_s: float, process: ServerProcess) -> Idle:
    """What the server's processes take now."""
    sizes = {}
    for each in process.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            title = each.cmdline()[0].strip()
            sizes[each.pid, title] = each.memory_full_info().pss / 1024**2
    chat_model = sum(size for (_, title), size in sizes.items() if title.endswith(CHAT_MODEL))
    return Idle(ready_s, process.cpu_s(), sum(sizes.values()), chat_model, len(sizes))


def table(rounds: dict[str, list[Idle]]) -> str:
    """Markdown: medians over the rounds, and their ratio to the old ones."""
    figures: dict[str, Callable[[Idle], float]] = {
        "start to ready, s": lambda idle: idle.ready_s,
        "processor time until idle, s": lambda idle: idle.cpu_s,
        "idle memory, MiB": lambda idle: idle.memory_mib,
        "idle memory without the chat model's replica, MiB": lambda idle: idle.rest_mib,
        "processes": lambda idle: idle.processes,
    }
    lines = [f"| | {' | '.join(rounds)} | ratio |", f"|---{'|---' * len(rounds)}|---|"]
    for name, figure in figures.items():
        values = [median(map(figure, each)) for each in rounds.values()]
        shown = " | ".join(f"{value:,.1f}" for value in values)
        lines.append(f"| {name} | {shown} | {values[0] / values[-1]:.2f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
