"""What requests to Amazon Bedrock are signed with: a provider's credentials, those of the place at
which the server runs, or those of a role that either may take on.
"""

import asyncio
from collections import defaultdict

from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamTarget
from serve_app.core.upstreams.provider import BedrockSettings
from serve_app.upstreams.aws_ambient import AmbientCredentials
from serve_app.upstreams.aws_roles import LentCredentials, TokenService
from serve_app.upstreams.bedrock_places import region_of
from serve_app.upstreams.sigv4 import AwsCredentials

Asked = tuple[AwsCredentials, BedrockSettings]


class BedrockCredentials:
    """Roles are taken on once and kept until shortly before they end."""

    def __init__(self, ambient: AmbientCredentials, tokens: TokenService) -> None:
        self._ambient = ambient
        self._tokens = tokens
        self._roles: dict[str, tuple[Asked, LentCredentials]] = {}
        """What providers have, by their ids."""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, target: UpstreamTarget, calls: UpstreamCalls) -> AwsCredentials:
        """What to sign with now. BackendUnavailable where there is nothing, errors of `calls` and
        UpstreamRefused where a role is not lent.
        """
        own, settings = await self._own(target, calls), target.provider.settings
        if settings is None or not settings.role_arn:
            return own
        provider = target.provider.id
        async with self._turns[provider]:
            asked, lent = self._roles.get(provider, (None, None))
            if lent is None or asked != (own, settings) or not lent.is_fresh(self._tokens.now()):
                region = region_of(target.provider)
                lent = await self._tokens.by_credentials(own, settings, region, calls)
                self._roles[provider] = ((own, settings), lent)
            return lent.credentials

    async def _own(self, target: UpstreamTarget, calls: UpstreamCalls) -> AwsCredentials:
        given = target.credentials
        if {"access_key", "access_key_secret"} <= given.keys():
            return AwsCredentials(
                given["access_key"].get_secret_value(), given["access_key_secret"]
            )
        return await self._ambient.of(target.provider.name, calls, region_of(target.provider))
