"""The app over fakes, with providers on loopback."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.api.conftest import MakeContext, client_of, make_context
from tests.providers import BOSS, ENVIRONMENT, FIRST, PROVIDERS
from tests.upstreams.plain_stub import PlainStub, plain_stub, told

__all__ = ["make_context"]


@pytest.fixture
async def stub() -> AsyncIterator[PlainStub]:
    async with plain_stub(lambda _: told({"ok": True})) as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[PlainStub]:
    async with plain_stub(lambda _: told({"ok": True})) as running:
        yield running


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    """An admin, whose token may do everything."""
    context = make_context(environment=ENVIRONMENT)
    async with client_of(context) as found:
        found.headers.update(BOSS)
        yield found
    await context.listed.close()


async def register(client: httpx.AsyncClient, url: str, **fields: object) -> None:
    """A provider that is called."""
    content = {
        "type": "openai",
        "name": "mine",
        "base_url": url,
        "enabled": True,
        "api_keys": [FIRST],
    } | fields
    answer = await client.post(PROVIDERS, json=content)
    assert answer.status_code == 201, answer.text
