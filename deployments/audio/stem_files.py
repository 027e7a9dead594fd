"""From a stored mix to its stored stems, whatever takes it apart."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from deployments.audio.audio_progress import audio_facts
from serve_app.core.audio.stems import (
    STEM_NAMES,
    STEM_ROLES,
    Quality,
    SeparateStems,
    Stem,
    StemEvent,
    StemName,
    Stems,
)
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

Stop = Callable[[], bool]
Targets = dict[StemName, Path]


@dataclass(frozen=True)
class Separator:
    """What is said of who takes mixes apart; see Stems."""

    engine: str
    model: str
    quality: Quality
    dependency: str
    limitations: tuple[str, ...] = ()


async def separated(
    request: SeparateStems,
    blobs: BlobStore,
    work: Callable[[Path, Targets, Stop], Iterator[Progress | float]],
    by: Separator,
) -> AsyncGenerator[StemEvent]:
    """The progress of `work`, last the stems.

    `work` blocks in a thread. It takes the mix's path and that of each stem to write, as WAV,
    yields Progress and last the mix's duration in seconds.
    """
    duration_s = 0.0
    with tempfile.TemporaryDirectory(prefix="stems-") as folder:
        targets = {name: Path(folder) / f"{name}.wav" for name in STEM_NAMES[request.stem_mode]}
        async with blobs.local_file(request.audio) as source:
            choice = (await asyncio.to_thread(audio_facts, source, request.audio_track)).warnings
            events = in_thread(lambda stop: work(source, targets, stop))
            async with closing(events):
                async for item in events:
                    if isinstance(item, Progress):
                        yield item
                    else:
                        duration_s = item
        stems = [await _stored(name, path, blobs) for name, path in targets.items()]
    yield Stems(
        stem_mode=request.stem_mode,
        stems=tuple(stems),
        engine=by.engine,
        model=by.model,
        quality=by.quality,
        dependency=by.dependency,
        duration_s=duration_s,
        limitations=by.limitations,
        warnings=choice,
    )


async def _stored(name: StemName, path: Path, blobs: BlobStore) -> Stem:
    audio = await blobs.write_file(path, mime="audio/wav")
    return Stem(name=name, role=STEM_ROLES[name], audio=audio)
