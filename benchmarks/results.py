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


def as_table(outcomes: OUTCOMES) -> str:
    """Markdown: medians over the rounds; ratios for rates, differences for times, and for both
    ratios to another checkout where there is one.
    """
    has_old = any("o" in by_server for by_server in outcomes.values())
    rows = [["load", "figure", "(a) bare", "(b) Serve", "(c) this", "c/b", "c-a"]]
    rows[0] += ["(o) old", "c/o"] if has_old else []
    rows.append(["---"] * len(rows[0]))
    for load, by_server in outcomes.items():
        for figure, value in STREAMS if "stream" in load else REQUESTS:
            a, b, c, *old = (median(map(value, by_server[name])) for name in by_server)
            is_rate = figure.endswith("/s")
            against_b, against_a = f"{c / b:.2f}", "" if is_rate else f"{c - a:+.1f}"
            shown = "{:,.0f}" if is_rate else "{:.1f}"
            numbers = [shown.format(number) for number in (a, b, c)]
            against_old = [text for o in old for text in (shown.format(o), f"{c / o:.2f}")]
            rows.append([load, figure, *numbers, against_b, against_a, *against_old])
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


def save(about: dict[str, Any], outcomes: OUTCOMES) -> Path:
    """Write every round's outcome."""
    rounds = {
        load: {name: [asdict(outcome) for outcome in each] for name, each in by_server.items()}
        for load, by_server in outcomes.items()
    }
    return save_as("overhead", about, {"loads": rounds})


def save_as(kind: str, about: dict[str, Any], figures: dict[str, Any]) -> Path:
    """Write JSON; the file's name is the kind and the time."""
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{kind}-{about['time'].replace(':', '')}.json"
    file.write_text(json.dumps({"machine": about} | figures, indent=1))
    return file
