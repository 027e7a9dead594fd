"""`BedrockSigner`: signs requests with what their provider may be called with now."""

from collections.abc import Callable
from datetime import UTC, datetime

from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamRequest, UpstreamTarget
from serve_app.upstreams.bedrock_credentials import BedrockCredentials
from serve_app.upstreams.bedrock_places import region_of
from serve_app.upstreams.sigv4 import signed


def utc_now() -> datetime:
    """The time that signatures are of."""
    return datetime.now(UTC)


class BedrockSigner:
    """`now` is in UTC."""

    def __init__(
        self, credentials: BedrockCredentials, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._credentials = credentials
        self._now = now

    async def signed(
        self,
        request: UpstreamRequest,
        target: UpstreamTarget,
        calls: UpstreamCalls,
        *,
        service: str,
    ) -> UpstreamRequest:
        """The request as the service takes it; raises what finding the credentials raises."""
        credentials = await self._credentials.of(target, calls)
        region = region_of(target.provider)
        return signed(request, credentials, region=region, service=service, at=self._now())
