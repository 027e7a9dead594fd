"""What the place at which the server runs lets it sign requests with, in the order of Amazon's own
libraries: keys of the environment, the identity of a Kubernetes service account, the role of a
container, and, where the settings allow it, that of the machine.

https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import asyncio
import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from serve_app.core.errors import BackendUnavailable, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamCalls
from serve_app.upstreams.aws_local import LocalService
from serve_app.upstreams.aws_roles import LentCredentials, TokenService
from serve_app.upstreams.sigv4 import AwsCredentials

CONTAINER = "http://169.254.170.2"
CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost"})
INSTANCE = "http://169.254.169.254"
ROLES = "/latest/meta-data/iam/security-credentials/"
TOKEN_LASTS = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
REMEDY = (
    "set settings.access_key and settings.access_key_secret, or AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY in the server's environment"
)


class AmbientCredentials:
    """Those of one process, kept until shortly before they end. `uses_instance` allows to ask for
    the role of the machine.
    """

    def __init__(
        self, environment: Mapping[str, str], tokens: TokenService, *, uses_instance: bool = False
    ) -> None:
        self._environment = environment
        self._tokens = tokens
        self._uses_instance = uses_instance
        self._lent: LentCredentials | None = None
        self._turn = asyncio.Lock()

    async def of(self, provider: str, calls: UpstreamCalls, region: str) -> AwsCredentials:
        """BackendUnavailable where there are none; else errors of whom they are asked for."""
        key, secret = self._value("AWS_ACCESS_KEY_ID"), self._value("AWS_SECRET_ACCESS_KEY")
        if key and secret:
            token = self._value("AWS_SESSION_TOKEN")
            return AwsCredentials(key, SecretStr(secret), SecretStr(token) if token else None)
        async with self._turn:
            if self._lent is None or not self._lent.is_fresh(self._tokens.now()):
                self._lent = await self._found(calls, region)
            if self._lent is None:
                raise BackendUnavailable(
                    f"provider {provider!r} has no credentials", remedy=REMEDY, provider=provider
                )
            return self._lent.credentials

    async def _found(self, calls: UpstreamCalls, region: str) -> LentCredentials | None:
        file, role = self._value("AWS_WEB_IDENTITY_TOKEN_FILE"), self._value("AWS_ROLE_ARN")
        if file and role:
            identity = await _content(file)
            session = self._value("AWS_ROLE_SESSION_NAME")
            return await self._tokens.by_identity(identity, role, session, region, calls)
        relative = self._value("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
        full = self._value("AWS_CONTAINER_CREDENTIALS_FULL_URI")
        if relative or full:
            return await self._of_container(CONTAINER + relative if relative else full)
        is_off = self._value("AWS_EC2_METADATA_DISABLED").lower() == "true"
        return await self._of_instance() if self._uses_instance and not is_off else None

    async def _of_container(self, url: str) -> LentCredentials:
        _check_container(url)
        parts = urlsplit(url)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        file = self._value("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
        token = self._value("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        token = await _content(file) if file else token
        headers = {"Authorization": token} if token else {}
        return _lent(await LocalService(f"{parts.scheme}://{parts.netloc}").object(path, headers))

    async def _of_instance(self) -> LentCredentials:
        """By version 2 alone, which a proxy that is tricked into a request cannot speak."""
        service = LocalService(self._value("AWS_EC2_METADATA_SERVICE_ENDPOINT") or INSTANCE)
        token = await service.text("/latest/api/token", TOKEN_LASTS, "PUT")
        headers = {"X-aws-ec2-metadata-token": token}
        role = (await service.text(ROLES, headers)).partition("\n")[0].strip()
        return _lent(await service.object(ROLES + role, headers))

    def _value(self, name: str) -> str:
        return self._environment.get(name, "")


def _check_container(url: str) -> None:
    """As Amazon's libraries do: nobody else gets the token, or says who the server is."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if parts.scheme != "https" and host not in CONTAINER_HOSTS and not is_loopback:
        raise UpstreamError(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine"
        )


def _lent(found: dict[str, Any]) -> LentCredentials:
    try:
        key, secret, token = (
            str(found[name]) for name in ("AccessKeyId", "SecretAccessKey", "Token")
        )
        ends = datetime.fromisoformat(str(found["Expiration"])).astimezone(UTC)
    except (KeyError, ValueError):
        raise UpstreamError("the credentials of this machine cannot be read") from None
    return LentCredentials(AwsCredentials(key, SecretStr(secret), SecretStr(token)), ends)


async def _content(file: str) -> str:
    try:
        return (await asyncio.to_thread(Path(file).read_text)).strip()
    except (OSError, ValueError) as error:
        raise BackendUnavailable(f"the token file {file!r} cannot be read") from error
