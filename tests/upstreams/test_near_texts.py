"""Who calls a provider for what."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from serve_app.core.errors import InternalError, UpstreamError
from serve_app.core.image.images import TextToImage
from serve_app.core.operation import Operation, OperationRunner
from serve_app.core.text.chat import ChatDelta
from serve_app.core.text.embeddings import Embed
from serve_app.core.upstreams.directory import ProviderListing
from serve_app.runtime.streams import gathered, once
from serve_app.upstreams.near_texts import NearTexts
from tests.upstreams.targets import asking


class Caller(OperationRunner):
    """Says that it was it."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.failure = failure
        self.is_closed = False

    def run(self, operation: Operation[Any, Any]) -> AsyncIterator[Any]:
        return once(ChatDelta(text=self.name)) if self.failure is None else self.failing()

    async def failing(self) -> AsyncIterator[Any]:
        yield ChatDelta(text=self.name)
        assert self.failure is not None
        raise self.failure

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        return (ProviderListing(provider=self.name, at=0),)

    async def close(self) -> None:
        self.is_closed = True


async def said_by(upstreams: NearTexts, operation: Operation[Any, Any]) -> list[str]:
    """The same one by one and all at once."""
    one_by_one = [item.text async for item in upstreams.run(operation)]
    assert [item.text for item in await gathered(upstreams.run(operation))] == one_by_one
    return one_by_one


async def test_texts_and_lists_are_asked_for_nearby_and_all_else_is_not() -> None:
    near, far = Caller("near"), Caller("far")
    upstreams = NearTexts(near, far)
    assert await said_by(upstreams, asking()) == ["near"]
    assert await said_by(upstreams, Embed(model="far/m", texts=("a",))) == ["near"]
    assert await said_by(upstreams, TextToImage(model="far/m", prompt="a", seed=1)) == ["far"]
    (listing,) = await upstreams.listings()
    assert listing.provider == "near"
    await upstreams.close()
    assert near.is_closed
    assert far.is_closed


async def test_what_fails_unexpectedly_is_an_error_of_ours_with_what_came_before() -> None:
    """So that a fall-back is tried as it is with a model in another process."""
    upstreams = NearTexts(Caller("near", ZeroDivisionError("secret")), Caller("far"))
    items = upstreams.run(asking())
    assert (await anext(items)).text == "near"
    with pytest.raises(InternalError, match="upstreams") as failed:
        await anext(items)
    assert "secret" not in str(failed.value)
    with pytest.raises(InternalError, match="upstreams"):
        await gathered(upstreams.run(asking()))
    refused = NearTexts(Caller("near", UpstreamError("no")), Caller("far"))
    with pytest.raises(UpstreamError, match="no"):
        await gathered(refused.run(asking()))
