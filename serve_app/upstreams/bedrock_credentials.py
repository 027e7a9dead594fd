"""What requests to Amazon Bedrock are signed with: a provider's credentials, those of the server's
environment, or those of a role that either may take on.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree

from pydantic import SecretStr

from serve_app.core.errors import BackendUnavailable, UpstreamError
from serve_app.core.upstreams.exchange import (
    UpstreamCalls,
    UpstreamRefused,
    UpstreamRequest,
    UpstreamTarget,
)
from serve_app.core.upstreams.provider import BedrockSettings
from serve_app.upstreams.bedrock_places import region_of, sts_url
from serve_app.upstreams.sigv4 import AwsCredentials, signed

FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
SESSION = "polyphony"
LASTS_S = 3600
RENEWED_BEFORE = timedelta(minutes=5)
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
Asked = tuple[AwsCredentials, BedrockSettings]


class BedrockCredentials:
    """Roles are taken on once and kept until shortly before they end. `now` is in UTC."""

    def __init__(
        self,
        environment: Mapping[str, str],
        now: Callable[[], datetime],
        role_url: Callable[[str], str] = sts_url,
    ) -> None:
        self._environment = environment
        self._now = now
        self._role_url = role_url
        self._roles: dict[str, tuple[Asked, AwsCredentials, datetime]] = {}
        """What providers have, by their ids, and until when."""
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, target: UpstreamTarget, calls: UpstreamCalls) -> AwsCredentials:
        """What to sign with now. BackendUnavailable where there is nothing, errors of `calls` and
        UpstreamRefused where a role is not lent.
        """
        own, settings = self._own(target), target.provider.settings
        if settings is None or not settings.role_arn:
            return own
        provider = target.provider.id
        async with self._turns[provider]:
            asked, lent, ends = self._roles.get(provider, (None, own, self._now()))
            if asked != (own, settings) or ends - RENEWED_BEFORE <= self._now():
                lent, ends = await self._assume(own, settings, target, calls)
                self._roles[provider] = ((own, settings), lent, ends)
            return lent

    def _own(self, target: UpstreamTarget) -> AwsCredentials:
        given = target.credentials
        if {"access_key", "access_key_secret"} <= given.keys():
            return AwsCredentials(
                given["access_key"].get_secret_value(), given["access_key_secret"]
            )
        found = self._environment
        key, secret = found.get("AWS_ACCESS_KEY_ID"), found.get("AWS_SECRET_ACCESS_KEY")
        if not key or not secret:
            raise BackendUnavailable(
                f"provider {target.provider.name!r} has no credentials",
                remedy=(
                    "set settings.access_key and settings.access_key_secret, or AWS_ACCESS_KEY_ID "
                    "and AWS_SECRET_ACCESS_KEY in the server's environment"
                ),
                provider=target.provider.name,
            )
        token = found.get("AWS_SESSION_TOKEN")
        return AwsCredentials(key, SecretStr(secret), SecretStr(token) if token else None)

    async def _assume(
        self,
        own: AwsCredentials,
        settings: BedrockSettings,
        target: UpstreamTarget,
        calls: UpstreamCalls,
    ) -> tuple[AwsCredentials, datetime]:
        region = region_of(target.provider)
        fields = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleArn": settings.role_arn,
            "RoleSessionName": SESSION,
            "DurationSeconds": str(LASTS_S),
        }
        if settings.external_id:
            fields["ExternalId"] = settings.external_id
        body = urlencode(fields).encode()
        request = UpstreamRequest("POST", self._role_url(region), (FORM,), body)
        request = signed(request, own, region=region, service="sts", at=self._now())
        try:
            async with calls.open(request) as response:
                return _lent(await response.read())
        except UpstreamRefused as refused:
            message = json.dumps({"message": _message(refused.body)}).encode()
            raise UpstreamRefused(refused.status, refused.headers, message) from None


def _lent(body: bytes) -> tuple[AwsCredentials, datetime]:
    try:
        found = ElementTree.fromstring(body).find(f".//{NAMESPACE}Credentials")
        values = {} if found is None else {each.tag: each.text or "" for each in found}
        key, secret, token, ends = (
            values[NAMESPACE + name]
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        )
        lent = AwsCredentials(key, SecretStr(secret), SecretStr(token))
        return lent, datetime.fromisoformat(ends)
    except (ElementTree.ParseError, KeyError, ValueError):
        # What it was raised from would show what is secret.
        raise UpstreamError("the response of Amazon's token service cannot be read") from None


def _message(body: bytes) -> str:
    """What a refusal says, which comes as XML."""
    try:
        found = ElementTree.fromstring(body).find(f".//{NAMESPACE}Message")
    except ElementTree.ParseError:
        found = None
    said = "" if found is None else found.text or ""
    return f"the role is not lent: {said}" if said else "the role is not lent"
