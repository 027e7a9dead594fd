"""Outcomes as a table for people and as JSON for machines, with the machine they came from."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import ray
from load_generator import Outcome

RESULTS = Path(__file__).parent / "results"
OUTCOMES = dict[str, dict[str, list[Outcome]]]
Figure = Callable[[Outcome], float]

REQUESTS: tuple[tuple[str, Figure], ...] = (
    ("requests/s", lambda o: o.requests_per_s),
    ("p50 ms", lambda o: o.latency_p50_ms),
    ("p99 ms", lambda o: o.latency_p99_ms),
)
STREAMS: tuple[tuple[str, Figure], ...] = (
    ("tokens/s", lambda o: o.tokens_per_s),
    ("TTFT p50 ms", lambda o: o.first_token_p50_ms),
    ("TTFT p99 ms", lambda o: o.first_token_p99_ms),
)


TITLES = {"a": "(a) bare", "b": "(b) Serve", "s": "(s) switched", "c": "(c) this", "o": "(o) old"}


def as_table(outcomes: OUTCOMES) -> str:
    """Markdown: medians over the rounds; what (c) makes of the others' figures, as ratios, and for
    times what it adds to the bare process.
    """
    names = list(next(iter(outcomes.values())))
    others = [name for name in names if name not in "ac"]
    head = ["load", "figure", *(TITLES[name] for name in names), "c-a"]
    rows = [[*head, *(f"c/{name}" for name in others)]]
    rows.append(["---"] * len(rows[0]))
    for load, by_server in outcomes.items():
        for figure, value in STREAMS if "stream" in load else REQUESTS:
            found = {name: median(map(value, by_server[name])) for name in names}
            is_rate = figure.endswith("/s")
            shown = [f"{found[name]:,.0f}" if is_rate else f"{found[name]:.1f}" for name in names]
            added = "" if is_rate else f"{found['c'] - found['a']:+.1f}"
            ratios = [f"{found['c'] / found[name]:.2f}" for name in others]
            rows.append([load, figure, *shown, added, *ratios])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Iterable[str], widths: list[int]) -> str:
    cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
    return f"| {' | '.join(cells)} |"


def machine() -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "load_average_1m": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "ray": ray.__version__,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except FileNotFoundError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def save(about: dict[str, Any], outcomes: OUTCOMES, *, kind: str = "overhead") -> Path:
    """Write every round's outcome."""
    rounds = {
        load: {name: [asdict(outcome) for outcome in each] for name, each in by_server.items()}
        for load, by_server in outcomes.items()
    }
    return save_as(kind, about, {"loads": rounds})


def save_as(kind: str, about: dict[str, Any], figures: dict[str, Any]) -> Path:
    """Write JSON; the file's name is the kind and the time."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{kind}-{about['time'].replace(':', '')}.json"
    file.write_text(json.dumps({"machine": about} | figures, indent=1))
    return file
