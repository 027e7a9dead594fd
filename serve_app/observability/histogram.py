"""Durations in bounded memory, that several processes can add up.

Values are counted in bins whose bounds grow by two percent, so that a percentile is wrong by one
percent at most, and in the thirteen classes that are shown.
"""

import math
from dataclasses import dataclass, field
from typing import Any

BOUNDS_MS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
KEYS = (*(f"<={bound}" for bound in BOUNDS_MS), f">{BOUNDS_MS[-1]}")
GROWTH = math.log(1.02)
LEAST_MS = 0.01


@dataclass
class Histogram:
    """Durations in milliseconds."""

    bins: dict[int, int] = field(default_factory=dict)
    classes: list[int] = field(default_factory=lambda: [0] * len(KEYS))
    count: int = 0
    total_ms: float = 0.0
    most_ms: float = 0.0

    def add(self, value_ms: float) -> None:
        """Count one."""
        number = round(math.log(max(value_ms, LEAST_MS)) / GROWTH)
        self.bins[number] = self.bins.get(number, 0) + 1
        self.classes[_class(value_ms)] += 1
        self.count += 1
        self.total_ms += value_ms
        self.most_ms = max(self.most_ms, value_ms)

    def merge(self, other: "Histogram") -> None:
        """Add another's."""
        for number, count in other.bins.items():
            self.bins[number] = self.bins.get(number, 0) + count
        self.classes = [a + b for a, b in zip(self.classes, other.classes, strict=True)]
        self.count += other.count
        self.total_ms += other.total_ms
        self.most_ms = max(self.most_ms, other.most_ms)

    def percentile(self, percent: float) -> float | None:
        """The smallest value that at least so many percent do not exceed; None without any."""
        if not self.count:
            return None
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for number in sorted(self.bins):
            seen += self.bins[number]
            if seen >= wanted:
                return round(min(math.exp(number * GROWTH), self.most_ms), 3)
        return round(self.most_ms, 3)

    def shown(self) -> dict[str, int]:
        """By class, not cumulative."""
        return dict(zip(KEYS, self.classes, strict=True))

    def to_json(self) -> list[Any]:
        """For `from_json`."""
        bins = [[number, count] for number, count in self.bins.items()]
        return [bins, self.classes, self.count, self.total_ms, self.most_ms]


def from_json(value: list[Any]) -> Histogram:
    """What `to_json` wrote."""
    bins, classes, count, total_ms, most_ms = value
    return Histogram(dict(bins), list(classes), count, total_ms, most_ms)


def _class(value_ms: float) -> int:
    for position, bound in enumerate(BOUNDS_MS):
        if value_ms <= bound:
            return position
    return len(BOUNDS_MS)
