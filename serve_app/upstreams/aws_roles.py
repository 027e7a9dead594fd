"""Amazon's token service: roles that are lent to who may have them.

https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html and
https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from xml.etree import ElementTree

from pydantic import SecretStr

from serve_app.core.errors import UpstreamError
from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamRefused, UpstreamRequest
from serve_app.core.upstreams.provider import BedrockSettings
from serve_app.upstreams.bedrock_places import sts_url
from serve_app.upstreams.sigv4 import AwsCredentials, signed

FORM = (b"content-type", b"application/x-www-form-urlencoded; charset=utf-8")
VERSION = "2011-06-15"
SESSION = "polyphony"
LASTS_S = 3600
FRESH = timedelta(minutes=5)
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@dataclass(frozen=True)
class LentCredentials:
    """What there is to sign with, and until when."""

    credentials: AwsCredentials
    ends: datetime

    def is_fresh(self, now: datetime) -> bool:
        """Whether they are used without asking for others."""
        return self.ends - FRESH > now


class TokenService:
    """`now` is in UTC, `url` that of the service in a region."""

    def __init__(self, now: Callable[[], datetime], url: Callable[[str], str] = sts_url) -> None:
        self.now = now
        self._url = url

    async def by_credentials(
        self, own: AwsCredentials, settings: BedrockSettings, region: str, calls: UpstreamCalls
    ) -> LentCredentials:
        """A role that other credentials take on. UpstreamRefused where it is not lent."""
        fields = {
            "Action": "AssumeRole",
            "Version": VERSION,
            "RoleArn": settings.role_arn,
            "RoleSessionName": SESSION,
            "DurationSeconds": str(LASTS_S),
        }
        if settings.external_id:
            fields["ExternalId"] = settings.external_id
        request = self._request(fields, region)
        request = signed(request, own, region=region, service="sts", at=self.now())
        return await self._lent(request, calls)

    async def by_identity(
        self, identity: str, role: str, session: str, region: str, calls: UpstreamCalls
    ) -> LentCredentials:
        """The role of whoever has this token; the request is not signed."""
        fields = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": VERSION,
            "RoleArn": role,
            "RoleSessionName": session or SESSION,
            "WebIdentityToken": identity,
        }
        return await self._lent(self._request(fields, region), calls)

    def _request(self, fields: dict[str, str], region: str) -> UpstreamRequest:
        return UpstreamRequest("POST", self._url(region), (FORM,), urlencode(fields).encode())

    async def _lent(self, request: UpstreamRequest, calls: UpstreamCalls) -> LentCredentials:
        try:
            async with calls.open(request) as response:
                return _credentials(await response.read())
        except UpstreamRefused as refused:
            message = json.dumps({"message": _message(refused.body)}).encode()
            raise UpstreamRefused(refused.status, refused.headers, message) from None


def _credentials(body: bytes) -> LentCredentials:
    try:
        found = ElementTree.fromstring(body).find(f".//{NAMESPACE}Credentials")
        values = {} if found is None else {each.tag: each.text or "" for each in found}
        key, secret, token, ends = (
            values[NAMESPACE + name]
            for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
        )
        lent = AwsCredentials(key, SecretStr(secret), SecretStr(token))
        return LentCredentials(lent, datetime.fromisoformat(ends))
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
