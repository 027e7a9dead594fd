"""What is known of the model that is to make a video, before it is loaded."""

from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.catalog.video_facts import every_video_facts, video_facts
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.options.video import VideoOptions
from serve_app.core.video.generation import MODE_NAMES, VideoFacts, VideoMode


def video_options(found: CatalogEntry) -> VideoOptions:
    """Those of the family; the fake engine has none of its own."""
    options = found.family.options
    return options if isinstance(options, VideoOptions) else VideoOptions(engine=options.engine)


async def capable_facts(
    mode: VideoMode, found: CatalogEntry, catalog: Catalog
) -> VideoFacts | None:
    """The facts, as far as they are known. UnsupportedCapability, listing the models that are known
    to be able, for one that cannot do it.
    """
    statuses = await catalog.statuses()
    facts = await video_facts(found, statuses.get(found.id), catalog.checkpoints)
    if facts is None or mode in facts.modes:
        return facts
    others = await every_video_facts(catalog, statuses)
    able = [repr(id) for id, known in others.items() if mode in known.modes]
    raise UnsupportedCapability(
        f"model {found.id!r} cannot do {mode!r} ({MODE_NAMES[mode]})",
        remedy=f"models that can: {', '.join(able) or 'none known'}",
        param="mode",
    )
