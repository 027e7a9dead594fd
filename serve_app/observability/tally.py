"""`Tally`: counts of requests in bounded memory, which can be summed over processes."""

import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from serve_app.observability.classes import OTHER, Outcome
from serve_app.observability.histogram import Histogram, from_json
from serve_app.observability.observed import Observed

RECENT = 50
SLOTS = 60
"""Into how many parts the window is cut, the oldest of which is dropped as a whole."""
MOST_MODELS = 1000


@dataclass
class DurationBucket:
    """The durations of one category in one part of the window."""

    latency: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)

    def merge(self, other: "DurationBucket") -> None:
        """Add another's."""
        self.latency.merge(other.latency)
        self.wait.merge(other.wait)


@dataclass
class ClassCounts:
    """A class of routes since the start. `recent` are the newest, the newest last."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    first: Histogram = field(default_factory=Histogram)
    wait: Histogram = field(default_factory=Histogram)
    recent: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECENT))

    def merge(self, other: "ClassCounts") -> None:
        """Add another's."""
        self.outcomes.update(other.outcomes)
        self.statuses.update(other.statuses)
        self.latency.merge(other.latency)
        self.first.merge(other.first)
        self.wait.merge(other.wait)
        both = sorted((*self.recent, *other.recent), key=lambda entry: entry["ts"])
        self.recent = deque(both, RECENT)


class Tally:
    """What one process, or several together, have counted. `clock` gives unix seconds."""

    def __init__(self, *, window_s: float, clock: Callable[[], float] = time.time) -> None:
        self.window_s = window_s
        self.begun_at = clock()
        self.classes: dict[str, ClassCounts] = {}
        self.tokens: Counter[tuple[str, str]] = Counter()
        self._slot_s = window_s / SLOTS
        self._buckets: dict[tuple[int, str], DurationBucket] = {}
        self._clock = clock

    def add(self, request: Observed) -> None:
        """Count a request that has ended."""
        name = request.category or OTHER
        known = self.classes.get(name)
        if known is None:
            known = self.classes[name] = ClassCounts()
        known.outcomes[request.outcome] += 1
        known.statuses[request.status or 500] += 1
        known.latency.add(request.latency_ms)
        if request.first_ms is not None:
            known.first.add(request.first_ms)
        if request.slot_wait_ms is not None:
            known.wait.add(request.slot_wait_ms)
        if request.category is not None:
            bucket = self._bucket(request.category)
            bucket.latency.add(request.latency_ms)
            if request.slot_wait_ms is not None:
                bucket.wait.add(request.slot_wait_ms)
            known.recent.append(recent_entry(request))
        self._add_tokens(request)

    def merge(self, other: "Tally") -> None:
        """Add another process's."""
        self.begun_at = min(self.begun_at, other.begun_at)
        for name, counts in other.classes.items():
            self.classes.setdefault(name, ClassCounts()).merge(counts)
        for key, bucket in other._buckets.items():
            self._buckets.setdefault(key, DurationBucket()).merge(bucket)
        self.tokens.update(other.tokens)

    def bucket(self, name: str) -> DurationBucket:
        """The durations of a category over the whole window."""
        self._forget()
        whole = DurationBucket()
        for (_, category), bucket in self._buckets.items():
            if category == name:
                whole.merge(bucket)
        return whole

    def uptime_s(self) -> float:
        """Since the first of them began to count."""
        return self._clock() - self.begun_at

    def to_json(self) -> str:
        """For `read_tally`."""
        self._forget()
        return json.dumps(
            {
                "begun_at": self.begun_at,
                "classes": {name: _class_json(one) for name, one in self.classes.items()},
                "spells": [
                    [slot, name, bucket.latency.to_json(), bucket.wait.to_json()]
                    for (slot, name), bucket in self._buckets.items()
                ],
                "tokens": [[*key, count] for key, count in self.tokens.items()],
            }
        )

    def read(self, text: str) -> None:
        """Add what `to_json` wrote."""
        value = json.loads(text)
        other = Tally(window_s=self.window_s, clock=self._clock)
        other.begun_at = value["begun_at"]
        other.classes = {name: _read_class(one) for name, one in value["classes"].items()}
        other._buckets = {
            (slot, name): DurationBucket(from_json(latency), from_json(wait))
            for slot, name, latency, wait in value["spells"]
        }
        other.tokens = Counter({(model, kind): n for model, kind, n in value["tokens"]})
        self.merge(other)

    def _bucket(self, category: str) -> DurationBucket:
        key = (int(self._clock() / self._slot_s), category)
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget()
            bucket = self._buckets[key] = DurationBucket()
        return bucket

    def _forget(self) -> None:
        oldest = int(self._clock() / self._slot_s) - SLOTS
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if key[0] > oldest}

    def _add_tokens(self, request: Observed) -> None:
        model = request.model
        if model is None or len(self.tokens) > 2 * MOST_MODELS:
            return
        if request.prompt_tokens:
            self.tokens[model, "prompt"] += request.prompt_tokens
        if request.completion_tokens:
            self.tokens[model, "completion"] += request.completion_tokens


def recent_entry(request: Observed) -> dict[str, Any]:
    """One line of `recent`."""
    return {
        "ts": round(request.ts, 3),
        "request_id": request.request_id,
        "status": request.status,
        "class": request.outcome,
        "latency_ms": round(request.latency_ms, 3),
        "slot_wait_ms": request.slot_wait_ms,
        "extra": request.extra,
    }


def _class_json(counts: ClassCounts) -> dict[str, Any]:
    return {
        "outcomes": list(counts.outcomes.items()),
        "statuses": list(counts.statuses.items()),
        "latency": counts.latency.to_json(),
        "first": counts.first.to_json(),
        "wait": counts.wait.to_json(),
        "recent": list(counts.recent),
    }


def _read_class(value: dict[str, Any]) -> ClassCounts:
    return ClassCounts(
        outcomes=Counter(dict(value["outcomes"])),
        statuses=Counter(dict(value["statuses"])),
        latency=from_json(value["latency"]),
        first=from_json(value["first"]),
        wait=from_json(value["wait"]),
        recent=deque(value["recent"], RECENT),
    )
