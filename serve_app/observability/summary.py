"""A tally as `GET /admin/api/metrics` shows it."""

from typing import Any

from serve_app.observability.classes import OTHER, OUTCOMES
from serve_app.observability.histogram import Histogram
from serve_app.observability.tally import ClassCounts, DurationBucket, Tally

ERRORS = ("4xx", "5xx", "503-busy")


def summary(tally: Tally) -> dict[str, Any]:
    """Counts since the start, durations over the window; categories that were seen only."""
    seen = {name: counts for name, counts in tally.classes.items() if name != OTHER}
    minutes = max(min(tally.uptime_s(), tally.window_s) / 60, 1.0)
    return {
        "uptime_sec": round(tally.uptime_s(), 1),
        "window_sec": int(tally.window_s),
        "categories": {
            name: _category(counts, tally.bucket(name), minutes)
            for name, counts in sorted(seen.items())
        },
    }


def _category(counts: ClassCounts, bucket: DurationBucket, minutes: float) -> dict[str, Any]:
    total = sum(counts.outcomes.values())
    errors = sum(counts.outcomes[outcome] for outcome in OUTCOMES if outcome in ERRORS)
    return {
        "total": total,
        "by_class": {outcome: counts.outcomes[outcome] for outcome in OUTCOMES},
        "error_count": errors,
        "error_rate": round(errors / total, 6) if total else 0.0,
        "slot_503": counts.outcomes["503-busy"],
        "disconnected": counts.outcomes["client-disconnect"],
        "throughput_per_min": round(bucket.latency.count / minutes, 3),
        "latency_ms": _percentiles(bucket.latency)
        | {
            "max": round(bucket.latency.most_ms, 3) if bucket.latency.count else None,
            "samples": bucket.latency.count,
            "histogram": bucket.latency.shown(),
        },
        "slot_wait_ms": _percentiles(bucket.wait) | {"samples": bucket.wait.count},
        "recent": list(counts.recent),
    }


def _percentiles(durations: Histogram) -> dict[str, float | None]:
    return {f"p{percent}": durations.percentile(percent) for percent in (50, 95, 99)}
