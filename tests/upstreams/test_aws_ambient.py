"""What requests to Amazon are signed with where a provider has no credentials of its own."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.core.errors import BackendUnavailable, UpstreamError
from serve_app.core.upstreams.exchange import UpstreamCalls, UpstreamRefused
from serve_app.upstreams.aws_ambient import AmbientCredentials
from serve_app.upstreams.aws_roles import TokenService
from serve_app.upstreams.sigv4 import AwsCredentials
from tests.upstreams.bedrock_stub import ASSUMED, IDENTITY, BedrockStub
from tests.upstreams.plain_stub import Asked, PlainStub, Told, told
from tests.upstreams.signatures import REGION
from tests.upstreams.stub_server import VendorStubs
from tests.upstreams.targets import provider_calls

ROLE = "arn:aws:iam::123456789012:role/polyphony"
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
GIVEN = {"Code": "Success", "AccessKeyId": "ASIALOCAL", "SecretAccessKey": "s", "Token": "t"}
ROLES = "/latest/meta-data/iam/security-credentials/"


class Clock:
    """Of the token service and of whoever keeps what it has lent."""

    now = BEGIN

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def calls() -> AsyncIterator[UpstreamCalls]:
    async with provider_calls() as found:
        yield found


@pytest.fixture
def bedrock(stubs: VendorStubs) -> BedrockStub:
    return stubs.bedrock


def ambient(
    clock: Clock, url: str = "", *, uses_instance: bool = False, **environment: str
) -> AmbientCredentials:
    tokens = TokenService(clock, lambda _: url)
    return AmbientCredentials(environment, tokens, uses_instance=uses_instance)


async def asked(credentials: AmbientCredentials, calls: UpstreamCalls) -> AwsCredentials:
    return await credentials.of("far", calls, REGION)


def lent() -> dict[str, str]:
    return GIVEN | {"Expiration": (BEGIN + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}


async def test_an_identity_is_shown_until_its_role_ends(
    bedrock: BedrockStub, calls: UpstreamCalls, tmp_path: Path
) -> None:
    """The file is read anew: Kubernetes replaces it every hour."""
    file = tmp_path / "token"
    file.write_text(f"{IDENTITY}\n")
    names = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(file), "AWS_ROLE_ARN": ROLE}
    clock = Clock()
    clock.now = datetime.now(UTC)
    credentials = ambient(clock, f"{bedrock.base_url}/", **names)
    for _ in range(2):
        found = await asked(credentials, calls)
        assert found.access_key == ASSUMED["AccessKeyId"]
    (request,) = bedrock.requests
    assert request.body == (
        b"Action=AssumeRoleWithWebIdentity&Version=2011-06-15"
        b"&RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fpolyphony"
        b"&RoleSessionName=polyphony&WebIdentityToken=eyJ.identity"
    )
    file.write_text("another")
    clock.now += timedelta(minutes=56)
    with pytest.raises(UpstreamRefused) as refused:
        await asked(credentials, calls)
    assert refused.value.body == b'{"message": "the role is not lent: expired"}'
    file.unlink()
    with pytest.raises(BackendUnavailable, match="token file"):
        await asked(credentials, calls)


async def test_a_container_is_asked_with_its_token(stub: PlainStub, calls: UpstreamCalls) -> None:
    stub.answer = lambda _: told(lent())
    names = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{stub.url}/role?x=1"}
    names |= {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "secret"}
    credentials = ambient(Clock(), **names)
    found = await asked(credentials, calls)
    assert (found.access_key, found.secret.get_secret_value()) == ("ASIALOCAL", "s")
    await asked(credentials, calls)
    (request,) = stub.asked
    assert (request.path, request.headers["authorization"]) == ("/v1/role?x=1", "secret")


@pytest.mark.parametrize("url", ["http://example.com/role", "http://10.0.0.1/", "ftp://[::2]/"])
async def test_a_container_is_not_anywhere(calls: UpstreamCalls, url: str) -> None:
    with pytest.raises(UpstreamError, match="neither https nor of this machine"):
        await asked(ambient(Clock(), AWS_CONTAINER_CREDENTIALS_FULL_URI=url), calls)


def instance(request: Asked) -> Told:
    """As EC2 answers to version 2."""
    if request.path == "/latest/api/token":
        assert request.method == "PUT"
        assert request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600"
        return Told(pieces=(b"session",))
    if request.headers.get("x-aws-ec2-metadata-token") != "session":
        return Told(401)
    return Told(pieces=(b"mine",)) if request.path == ROLES else told(lent())


async def test_the_role_of_a_machine(stub: PlainStub, calls: UpstreamCalls) -> None:
    stub.answer = instance
    names = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": stub.url.removesuffix("/v1")}
    clock = Clock()
    credentials = ambient(clock, uses_instance=True, **names)
    for minutes in (0, 30, 24, 2):
        clock.now += timedelta(minutes=minutes)
        found = await asked(credentials, calls)
        assert found.access_key == "ASIALOCAL"
    paths = ["/latest/api/token", ROLES, f"{ROLES}mine"]
    assert [request.path for request in stub.asked] == paths * 2


@pytest.mark.parametrize("is_allowed", [True, False])
async def test_the_role_of_a_machine_is_not_always_asked_for(
    stub: PlainStub, calls: UpstreamCalls, is_allowed: bool
) -> None:
    """Only where the settings allow it and Amazon's own variable does not forbid it."""
    names = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": stub.url}
    names |= {"AWS_EC2_METADATA_DISABLED": "TRUE"} if is_allowed else {}
    with pytest.raises(BackendUnavailable, match="'far' has no credentials"):
        await asked(ambient(Clock(), uses_instance=is_allowed, **names), calls)
    assert stub.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        Told(404),
        Told(302, headers={"Location": "http://127.0.0.1:9/"}),
        told([1]),
        told({"Code": "Failed"}),
        Told(pieces=(b"\xff",)),
    ],
)
async def test_what_is_no_credentials(stub: PlainStub, calls: UpstreamCalls, answer: Told) -> None:
    stub.answer = lambda _: answer
    credentials = ambient(Clock(), AWS_CONTAINER_CREDENTIALS_FULL_URI=stub.url)
    with pytest.raises(UpstreamError, match="credentials"):
        await asked(credentials, calls)
