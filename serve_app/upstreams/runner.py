"""`UpstreamRunner`: runs operations at providers, with their keys in turn.

Another key is tried before the first item of a stream only: what a caller has seen is not said
twice.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any

from pydantic import SecretStr
from typing_extensions import override

from serve_app.core.errors import (
    AppError,
    ModelNotFound,
    NotFound,
    UnsupportedCapability,
    UpstreamError,
)
from serve_app.core.operation import Item, Operation, OperationRunner
from serve_app.core.settings import UpstreamSettings
from serve_app.core.upstreams.directory import ProviderListing
from serve_app.core.upstreams.exchange import (
    UpstreamListing,
    UpstreamRefused,
    UpstreamTarget,
    WireForm,
)
from serve_app.core.upstreams.key_rotation import KeyRotation
from serve_app.core.upstreams.model_routes import UpstreamModel, upstream_model
from serve_app.core.upstreams.timeouts import UpstreamTimeouts
from serve_app.core.upstreams.upstream_calls import WIRE_FORMS
from serve_app.core.upstreams.upstream_calls import WireForm as FormName
from serve_app.core.upstreams.upstream_errors import refusal_error, retry_after_s
from serve_app.runtime.limits import LimitPassed, within
from serve_app.runtime.streams import closing
from serve_app.upstreams.client import ProviderCalls, UpstreamClient
from serve_app.upstreams.live import LiveProvider, LiveProviders

LISTING_S = 15.0
Attempt = tuple[str | None, UpstreamTarget]
"""The id of the key, and the target with it."""


class UpstreamRunner(OperationRunner):
    """Made on the event loop that it is used on."""

    def __init__(
        self,
        providers: LiveProviders,
        forms: Mapping[FormName, WireForm],
        settings: UpstreamSettings,
    ) -> None:
        self._providers = providers
        self._forms = forms
        self._settings = settings
        self._usual_timeouts = settings.timeouts_of("")
        self._client = UpstreamClient(http2=settings.http2)
        self._rotation = KeyRotation(ticks=time.monotonic)

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        """The operation's model is `<provider>/<upstream id>`."""
        return self._run(operation)

    async def listings(self, provider: str | None = None) -> tuple[ProviderListing, ...]:
        """What providers list now, all asked at once."""
        if provider is None:
            live = (await self._providers.by_name()).values()
            return tuple(await asyncio.gather(*map(self._listing, live)))
        await self._providers.refresh()
        found = self._providers.any_by_name().get(provider)
        if found is None:
            raise NotFound(f"no provider is {provider[:100]!r}")
        return (await self._listing(found),)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _run(self, operation: Operation[Any, Item]) -> AsyncGenerator[Item]:
        model = upstream_model(operation.model_name or "")
        if model is None:
            raise ModelNotFound(f"unknown model {operation.model_name!r}", param="model")
        live = await self._live(model)
        form = self._form(live, operation)
        calls = self._client.calls(model.provider, self._timeouts(model.id))
        refused: UpstreamRefused | None = None
        for key_id, target in self._attempts(live, model.model):
            items, has_begun = form.run(operation, target, calls), False
            try:
                async with closing(items):
                    async for item in _named(items, model.provider):
                        has_begun = has_begun or not self._note(key_id, 200)
                        yield item
                return
            except UpstreamRefused as error:
                refused = error
                if not self._note(key_id, error.status, error.headers) or has_begun:
                    break
        assert refused is not None
        raise self._error(refused, live, model, operation) from None

    def _timeouts(self, model: str) -> UpstreamTimeouts:
        own = model in self._settings.model_timeouts
        return self._settings.timeouts_of(model) if own else self._usual_timeouts

    async def _live(self, model: UpstreamModel) -> LiveProvider:
        found = (await self._providers.by_name()).get(model.provider)
        if found is None:
            # It may have been registered a moment ago.
            await self._providers.refresh()
            found = (await self._providers.by_name()).get(model.provider)
        if found is None:
            raise ModelNotFound(
                f"unknown model {model.id!r}: no provider {model.provider!r} is enabled",
                param="model",
            )
        return found

    def _form(self, live: LiveProvider, operation: Operation[Any, Any]) -> WireForm:
        form = self._forms.get(_form_name(live))
        if form is None or operation.task not in form.tasks:
            raise UnsupportedCapability(
                f"provider {live.provider.name!r} does no {operation.name!r}",
                remedy="name another model",
                param="model",
            )
        return form

    def _attempts(self, live: LiveProvider, model: str) -> Iterator[Attempt]:
        """One without a key where there are none: a server of one's own may need none."""
        keys: dict[str, SecretStr] = dict(live.keys)
        if not keys:
            yield None, UpstreamTarget(live.provider, model, None, live.credentials)
        for key_id in self._rotation.in_order([*keys]):
            yield key_id, UpstreamTarget(live.provider, model, keys[key_id], live.credentials)

    def _note(
        self, key_id: str | None, status: int, headers: Mapping[str, str] | None = None
    ) -> bool:
        """Whether another key may help."""
        if key_id is None:
            return False
        wait = retry_after_s(headers or {}, now=time.time())
        return self._rotation.note(key_id, status, retry_after_s=wait)

    def _error(
        self,
        refused: UpstreamRefused,
        live: LiveProvider,
        model: UpstreamModel,
        operation: Operation[Any, Any] | None = None,
    ) -> AppError:
        secrets = [key for _, key in live.keys] + [*live.credentials.values()]
        return refusal_error(
            refused,
            provider=model.provider,
            model=model.model,
            fields=operation.known_fields() if operation is not None else (),
            secrets=secrets,
            now=time.time(),
        )

    async def _listing(self, live: LiveProvider) -> ProviderListing:
        name, begun = live.provider.name, time.monotonic()
        models: tuple[UpstreamListing, ...] = ()
        problem = None
        try:
            async with within(LISTING_S):
                models = await self._models(live)
        except LimitPassed:
            problem = f"provider {name!r} did not respond within {LISTING_S:g} s"
        except AppError as error:
            problem = error.message
        took_s = time.monotonic() - begun
        return ProviderListing(
            provider=name, models=models, error=problem, at=time.time(), took_s=took_s
        )

    async def _models(self, live: LiveProvider) -> tuple[UpstreamListing, ...]:
        name = live.provider.name
        form = self._forms.get(_form_name(live))
        if form is None:
            raise UnsupportedCapability(f"providers of type {live.provider.type!r} are not called")
        calls: ProviderCalls = self._client.calls(name, self._usual_timeouts)
        refused: UpstreamRefused | None = None
        for key_id, target in self._attempts(live, ""):
            try:
                return await form.models(target, calls)
            except UpstreamRefused as error:
                refused = error
                if not self._note(key_id, error.status, error.headers):
                    break
        assert refused is not None
        raise self._error(refused, live, UpstreamModel(provider=name, model=""))


def _form_name(live: LiveProvider) -> FormName:
    """Settings of Bedrock say that Anthropic's models are called there."""
    return "bedrock" if live.provider.settings else WIRE_FORMS[live.provider.type]


async def _named(items: AsyncIterator[Item], provider: str) -> AsyncGenerator[Item]:
    """The items; an error of the form's that names nobody is the provider's. They are not closed
    here.
    """
    try:
        async for item in items:
            yield item
    except AppError as error:
        error.provider = error.provider or provider
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UpstreamError(
            f"the response of provider {provider!r} cannot be read ({type(error).__name__})",
            provider=provider,
        ) from error
