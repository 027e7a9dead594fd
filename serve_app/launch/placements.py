"""Whether replicas fit on the machines of a cluster: CPUs are shared by a whole machine, a part of
a GPU is a part of one, and whole GPUs are free ones.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from serve_app.core.config import INGRESS, JOBS, UPSTREAMS, AppConfig
from serve_app.core.options.text import VllmOptions
from serve_app.core.settings import Placement

NODE = re.compile(r"(\d{1,5}):(\d{1,6})", re.ASCII)
EXACT = 1e-6
"""Shares are fractions that are added up."""


@dataclass(frozen=True)
class Need:
    """What a deployment's replicas take: each of them, in as many pieces as it has processes."""

    name: str
    gpus: float
    cpus: float
    pieces: int
    least: int
    most: int


@dataclass
class Node:
    """A machine, with what is free on it: a share of every GPU, and CPUs."""

    gpus: list[float]
    cpus: float
    holds: list[str] = field(default_factory=list)

    def take(self, name: str, gpus: float, cpus: float) -> bool:
        """Put a piece here if there is room, where the least is left over."""
        if self.cpus + EXACT < cpus:
            return False
        if gpus >= 1:
            free = [number for number, left in enumerate(self.gpus) if left > 1 - EXACT]
            if len(free) < gpus:
                return False
            for number in free[: round(gpus)]:
                self.gpus[number] = 0.0
        elif gpus:
            fitting = [(left, n) for n, left in enumerate(self.gpus) if left + EXACT >= gpus]
            if not fitting:
                return False
            self.gpus[min(fitting)[1]] -= gpus
        self.cpus -= cpus
        self.holds.append(name)
        return True


def node(text: str) -> Node:
    """From `8:96`, eight GPUs and 96 CPUs. ValueError for anything else."""
    matched = NODE.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is not GPUS:CPUS, such as 8:96")
    return Node([1.0] * int(matched[1]), float(matched[2]))


def needs(config: AppConfig) -> Iterator[Need]:
    """Of every deployment. vLLM has a process per part of a model; the first holds the CPUs."""
    yield _need(INGRESS, config.ingress)
    yield _need(JOBS, config.jobs.placement)
    yield _need(UPSTREAMS, config.upstreams.placement)
    for pipeline in config.pipelines:
        yield _need(pipeline.name, pipeline.placement)
    for family in config.families:
        options = family.options
        if isinstance(options, VllmOptions):
            pieces = options.tensor_parallel * options.pipeline_parallel
            yield _need(family.name, family.placement, pieces, least_cpus=1.0)
        else:
            yield _need(family.name, family.placement)


def left_over(wanted: Iterable[Need], nodes: Sequence[Node], *, at_most: bool = False) -> list[str]:
    """Put the replicas on the nodes, the largest first, and name those for which there is no room.
    `at_most` is for all replicas that there may be, else those that there always are.
    """
    ordered = sorted(wanted, key=lambda need: (-need.gpus * need.pieces, -need.cpus, need.name))
    missing = []
    for need in ordered:
        for _ in range(need.most if at_most else need.least):
            pieces = [need.cpus] + [0.0] * (need.pieces - 1)
            if not all(_put(need.name, need.gpus, cpus, nodes) for cpus in pieces):
                missing.append(need.name)
    return missing


def _put(name: str, gpus: float, cpus: float, nodes: Sequence[Node]) -> bool:
    # Machines without GPUs first for what needs none, else the fullest that still has room.
    order = sorted(nodes, key=lambda each: (sum(each.gpus), each.cpus))
    return any(each.take(name, gpus, cpus) for each in order)


def _need(name: str, placement: Placement, pieces: int = 1, least_cpus: float = 0.0) -> Need:
    cpus = max(placement.cpus, least_cpus)
    replicas = placement.min_replicas, placement.max_replicas
    return Need(name, placement.gpus, cpus, pieces, *replicas)
