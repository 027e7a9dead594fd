"""What models have used as Prometheus counters. They have no labels for tokens and users, of which
there can be any number; `/admin/api/usage` tells those apart.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily

from serve_app.core.amounts import Amounts, Ran

MOST_MODELS = 1000
REST: Ran = ("other", "")
"""Under which all further models are summed: upstreams may have very many."""
TOKENS = (
    ("prompt", "prompt_tokens"),
    ("completion", "completion_tokens"),
    ("cached", "cached_tokens"),
    ("reasoning", "reasoning_tokens"),
)
OTHERS = (
    ("requests", "Answers and steps of jobs that models have worked for.", "requests"),
    ("images", "Images that models have made or worked on.", "images"),
    ("audio_seconds", "Audio that models have made or listened to.", "audio_s"),
    ("video_seconds", "Video that models have made.", "video_s"),
    ("cost", "Cost of what was used, in usage.currency.", "cost"),
)
LABELS = ("model", "provider")


def usage_metrics(used: Mapping[Ran, Amounts]) -> Iterator[CounterMetricFamily]:
    """The counters; none where what was used is not known."""
    if not used:
        return
    shown = bounded(used)
    tokens = CounterMetricFamily(
        "polyphony_used_tokens",
        "Tokens since the first day, over all replicas; cached ones are a part of the prompt's, "
        "reasoning ones of the completion's.",
        labels=(*LABELS, "kind"),
    )
    for ran, amounts in shown.items():
        for kind, name in TOKENS:
            if getattr(amounts, name):
                tokens.add_metric((*ran, kind), getattr(amounts, name))
    yield tokens
    for metric, text, name in OTHERS:
        family = CounterMetricFamily(f"polyphony_used_{metric}", text, labels=LABELS)
        for ran, amounts in shown.items():
            if getattr(amounts, name):
                family.add_metric(ran, getattr(amounts, name))
        yield family


def bounded(used: Mapping[Ran, Amounts], most: int = MOST_MODELS) -> dict[Ran, Amounts]:
    """As many models, by name, and the sum of the rest."""
    names = sorted(used)
    shown = {ran: used[ran] for ran in names[:most]}
    for ran in names[most:]:
        shown.setdefault(REST, Amounts()).add(used[ran])
    return shown
