"""What is known about a video model, from whichever source knows it."""

from collections.abc import Mapping

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.options.video import VideoOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.generation import VideoFacts
from serve_app.family.checkpoint_facts import CheckpointFacts


async def video_facts(
    found: CatalogEntry, status: ModelStatus | None, checkpoints: CheckpointFacts
) -> VideoFacts | None:
    """Those that the model told when it was loaded, else those that the configuration states, else
    those of its checkpoint, else those of an engine whose models are all alike. A model for which
    stills are generated can be asked for videos of prompts.
    """
    options = found.family.options
    facts = (status.video if status is not None else None) or found.model.video
    if not isinstance(options, VideoOptions):
        return facts
    facts = facts or await checkpoints(found.model, options) or options.facts
    if facts is None or not options.needs_still or "t2v" in facts.modes:
        return facts
    return facts.model_copy(update={"modes": ("t2v", *facts.modes)})


async def every_video_facts(
    catalog: Catalog, statuses: Mapping[str, ModelStatus]
) -> dict[str, VideoFacts]:
    """Of all video models of which something is known, by canonical id."""
    known = {
        found.id: await video_facts(found, statuses.get(found.id), catalog.checkpoints)
        for found in catalog.every("video")
    }
    return {id: facts for id, facts in known.items() if facts is not None}
