"""What a stage costs is counted, although it is told after the result."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.costs import METER, metered
from serve_app.core.errors import UpstreamError
from serve_app.core.image.depth import DepthMap, EstimateDepth
from serve_app.core.image.images import Size
from serve_app.core.media import Blob
from serve_app.core.message import Message, Progress
from serve_app.core.stages import PlainStage, result_of
from serve_app.jobs.outcomes import outcome

IMAGE = Blob(sha256="0" * 64, mime="image/png", size=1)
DEPTH = DepthMap(depth=IMAGE, size=Size(width=1, height=1))
REQUEST = EstimateDepth(model="bright", image=IMAGE)


async def remote(*results: Message) -> AsyncGenerator[Message]:
    """As a remote model streams: the meter runs on when the replica is done."""
    yield Progress(phase="depth")
    for result in results:
        yield result
    meter = METER.get()
    assert meter is not None
    meter.device_s += 0.5


async def test_of_an_operation_that_is_a_stage_of_a_pipeline() -> None:
    with metered() as meter:
        assert await result_of(PlainStage(), "depth", remote(DEPTH), DepthMap) == DEPTH
    assert meter.device_s == 0.5


async def test_of_an_operation_by_itself(tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path)
    told: list[Progress] = []
    with metered() as meter:
        found = await outcome(REQUEST, remote(DEPTH), blobs=blobs, report=told.append)
    assert found == DEPTH
    assert told == [Progress(phase="depth")]
    assert meter.device_s == 0.5


async def test_a_stream_without_a_result_is_an_error() -> None:
    with metered(), pytest.raises(UpstreamError):
        await result_of(PlainStage(), "depth", remote(), DepthMap)
