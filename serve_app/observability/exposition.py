"""The tally and the state of the server as Prometheus text."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from serve_app import __version__
from serve_app.core.amounts import Amounts, Ran
from serve_app.core.status import ModelStatus
from serve_app.observability.histogram import BOUNDS_MS, Histogram
from serve_app.observability.tally import Tally
from serve_app.observability.usage_metrics import usage_metrics

MIB = 1024**2


@dataclass(frozen=True)
class ServerState:
    """What is true at the moment of the scrape; what could not be found out is empty. `jobs` are
    the kept ones by status, `depths` those that wait or run by queue.
    """

    jobs: Mapping[str, int] = field(default_factory=dict)
    depths: Mapping[tuple[str, str], int] = field(default_factory=dict)
    direct: int = 0
    models: Mapping[str, ModelStatus] = field(default_factory=dict)
    gpus: tuple[Mapping[str, Any], ...] = ()
    dropped: int = 0
    used: Mapping[Ran, Amounts] = field(default_factory=dict)


class Exposition(Collector):
    """One scrape."""

    def __init__(self, tally: Tally, state: ServerState) -> None:
        self._tally = tally
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        yield _gauge("build_info", "The running version.", ("version",), {(__version__,): 1})
        yield _gauge(
            "uptime_seconds", "Time since the ingress started.", (), {(): self._tally.uptime_s()}
        )
        yield from self._requests()
        yield from self._queues()
        yield from self._models()
        yield from usage_metrics(self._state.used)

    def _requests(self) -> Iterator[Metric]:
        classes = self._tally.classes
        yield _counter(
            "requests",
            "Requests by class of route and status.",
            ("class", "status"),
            {
                (name, str(status)): count
                for name, counts in classes.items()
                for status, count in counts.statuses.items()
            },
        )
        left = {(name,): counts.outcomes["client-disconnect"] for name, counts in classes.items()}
        yield _counter("client_disconnects", "Clients that disconnected early.", ("class",), left)
        for name, text, part in (
            ("request_duration_seconds", "Duration of requests.", "latency"),
            ("first_token_seconds", "Time to the first item of a stream.", "first"),
            ("queue_wait_seconds", "Time that jobs waited in their queue.", "wait"),
        ):
            found = {label: getattr(counts, part) for label, counts in classes.items()}
            yield _histogram(name, text, found)
        tokens = "Tokens read and written."
        yield _counter("tokens", tokens, ("model", "kind"), self._tally.tokens)
        dropped = {(): self._state.dropped}
        yield _counter("log_dropped", "Log lines and payloads that were dropped.", (), dropped)

    def _queues(self) -> Iterator[Metric]:
        state = self._state
        jobs = {(status,): count for status, count in state.jobs.items()}
        yield _gauge("jobs", "Stored jobs by status.", ("status",), jobs)
        depths = state.depths
        yield _gauge("queue_depth", "Jobs by queue and status.", ("queue", "status"), depths)
        direct = "Text requests running on this ingress replica."
        yield _gauge("direct_requests", direct, (), {(): state.direct})

    def _models(self) -> Iterator[Metric]:
        models = self._state.models
        loaded = {(name,): int(status.state == "ready") for name, status in models.items()}
        yield _gauge("model_loaded", "Whether a model is loaded.", ("model",), loaded)
        loads = {(name,): status.loads for name, status in models.items()}
        yield _counter("model_loads", "How often a model was loaded.", ("model",), loads)
        memory = {
            (name,): status.memory_mb * MIB
            for name, status in models.items()
            if status.memory_mb is not None
        }
        yield _gauge("model_memory_bytes", "Memory of a loaded model.", ("model",), memory)
        gpus = {
            (str(gpu["index"]), kind): gpu[key] * MIB
            for gpu in self._state.gpus
            for kind, key in (("total", "total_vram_mb"), ("free", "free_vram_mb"))
        }
        yield _gauge("gpu_memory_bytes", "GPU memory of the ingress's node.", ("gpu", "kind"), gpus)


def exposition(tally: Tally, state: ServerState) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(tally, state))
    return generate_latest(registry)


def _gauge(
    name: str, text: str, labels: Iterable[str], values: Mapping[Any, float]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"polyphony_{name}", text, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(
    name: str, text: str, labels: Iterable[str], values: Mapping[Any, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"polyphony_{name}", text, labels=tuple(labels))
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _histogram(name: str, text: str, found: Mapping[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(f"polyphony_{name}", text, labels=("class",))
    for label, durations in found.items():
        if durations.count:
            family.add_metric((label,), _buckets(durations), durations.total_ms / 1000)
    return family


def _buckets(durations: Histogram) -> list[tuple[str, float]]:
    """Cumulative, as Prometheus wants them; bounds in seconds."""
    bounds = (*(str(bound / 1000) for bound in BOUNDS_MS), "+Inf")
    total, buckets = 0, []
    for bound, count in zip(bounds, durations.classes, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
