"""What is known of a video model, wherever it is known from."""

from typing import Any

from serve_app.catalog.catalog import Found
from serve_app.core.options.every_engine import VideoOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.generation import VideoFacts


def video_facts(found: Found[Any], status: ModelStatus | None) -> VideoFacts | None:
    """Those that the model told when it was loaded, else those that the configuration states, else
    those of an engine whose models are all alike. A model for which stills are drawn can be asked
    for videos of prompts.
    """
    options = found.family.options
    facts = (status.video if status is not None else None) or found.model.video
    if not isinstance(options, VideoOptions):
        return facts
    facts = facts or options.facts
    if facts is None or not options.needs_still or "t2v" in facts.modes:
        return facts
    return facts.model_copy(update={"modes": ("t2v", *facts.modes)})
