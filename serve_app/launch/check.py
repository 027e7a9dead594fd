"""Says what a configuration needs, and whether it fits on the machines it is meant for."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from serve_app.core.config import AppConfig
from serve_app.launch.config_file import ConfigurationError, read_plan
from serve_app.launch.placements import Need, left_over, needs, node
from serve_app.launch.storage_check import check_storage

WRONG = 2


def check(config: Path, nodes: Sequence[str]) -> int:
    """0 for a configuration that can be started, 1 when it does not fit on `nodes`, 2 when it is
    wrong. A node is `GPUS:CPUS`.
    """
    try:
        plan = read_plan(config)
        machines = [node(text) for text in nodes]
        check_storage(plan.application.args.storage, nodes=len(machines))
    except (ConfigurationError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    args = plan.application.args
    sys.stdout.writelines(f"{line}\n" for line in report(args))
    if not machines:
        return 0
    wanted = [*needs(args)]
    missing = left_over(wanted, machines)
    sys.stdout.writelines(f"{line}\n" for line in _fitting(missing, wanted, nodes))
    return 1 if missing else 0


def report(config: AppConfig) -> Iterator[str]:
    """Every family with its share of the machines, and the sums."""
    wanted = [*needs(config)]
    rows = [("deployment", "engine", "models", "GPUs", "CPUs", "replicas")]
    by_name = {family.name: family for family in config.families}
    for need in wanted:
        family = by_name.get(need.name)
        engine = family.options.engine if family else ""
        models = ", ".join(model.id for model in family.models) if family else ""
        replicas = f"{need.least}" if need.least == need.most else f"{need.least} to {need.most}"
        gpus = f"{need.gpus:g}" if need.pieces == 1 else f"{need.pieces} x {need.gpus:g}"
        rows.append((need.name, engine, models, gpus, f"{need.cpus:g}", replicas))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    yield ""
    least, most = (_sums(wanted, at_most=at_most) for at_most in (False, True))
    yield f"always there: {least}; with every replica: {most}"
    tokens = (os.environ.get(name) for name in ("API_TOKENS", "ADMIN_TOKEN"))
    if config.auth.required and not any(tokens):
        yield "neither API_TOKENS nor ADMIN_TOKEN is set here: the first start makes an admin token"


def _sums(wanted: Sequence[Need], *, at_most: bool) -> str:
    count = [(need, need.most if at_most else need.least) for need in wanted]
    gpus = sum(need.gpus * need.pieces * times for need, times in count)
    cpus = sum(need.cpus * times for need, times in count)
    return f"{gpus:g} GPUs and {cpus:g} CPUs"


def _fitting(missing: Sequence[str], wanted: Sequence[Need], nodes: Sequence[str]) -> Iterator[str]:
    if missing:
        yield f"no room for {', '.join(_counted(missing))}"
        return
    yield "what is always there fits"
    later = left_over(wanted, [node(text) for text in nodes], at_most=True)
    if later:
        yield f"not all replicas fit at the same time: {', '.join(_counted(later))} would wait"


def _counted(names: Sequence[str]) -> Iterator[str]:
    for name in dict.fromkeys(names):
        count = names.count(name)
        yield name if count == 1 else f"{name} ({count} replicas)"
