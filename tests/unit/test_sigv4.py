"""Signatures that Amazon's own library makes of the same requests; the first is of Amazon's tests.

Each is what botocore 1.44's SigV4Auth signs with these credentials at this time.
"""

from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from serve_app.core.upstreams.exchange import UpstreamRequest
from serve_app.upstreams.sigv4 import AwsCredentials, signed

SECRET = SecretStr("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
AT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
RUNTIME = "https://bedrock-runtime.eu-central-1.amazonaws.com/model/"
JSON = (
    (b"content-type", b"application/json"),
    (b"accept", b"application/vnd.amazon.eventstream"),
)
FORM = ((b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8"),)
KNOWN: dict[str, tuple[UpstreamRequest, str, str, str | None, str]] = {
    "nothing but a host": (
        UpstreamRequest("GET", "https://example.amazonaws.com"),
        "us-east-1",
        "service",
        None,
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "a colon in the path": (
        UpstreamRequest(
            "POST",
            f"{RUNTIME}eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/invoke-with-response-stream",
            JSON,
            '{"a":"ü"}'.encode(),
        ),
        "eu-central-1",
        "bedrock",
        None,
        "94bd0f369817f82de94849b36c9eaf580eb9b99ba8cee54c26c014dad9120db3",
    ),
    "a slash in the path and a token": (
        UpstreamRequest(
            "POST",
            f"{RUNTIME}arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fx/invoke",
            JSON,
            b"{}",
        ),
        "eu-central-1",
        "bedrock",
        "to/ken+=",
        "dcb359f3c300729d97a2af0f05776d1264d216c5d2e6d44cbc4d7431d9952bc8",
    ),
    "a query and a port": (
        UpstreamRequest(
            "GET",
            "http://127.0.0.1:8080/inference-profiles"
            "?type=SYSTEM_DEFINED&maxResults=1000&nextToken=a%2Fb%3D",
        ),
        "eu-central-1",
        "bedrock",
        None,
        "4de8087a53558ab3d05d14d4671b7410b3e1ed3045b031c56e947366030ac873",
    ),
    "a form": (
        UpstreamRequest(
            "POST", "https://sts.eu-central-1.amazonaws.com:443/", FORM, b"Action=AssumeRole"
        ),
        "eu-central-1",
        "sts",
        None,
        "73185a365790a597356267c3bf6467817f4b908de58c77a6d970dee587eddbd8",
    ),
    "white space in a header": (
        UpstreamRequest("POST", "https://[::1]:443/a b", ((b"X", b"  a   b "),)),
        "r",
        "s",
        None,
        "7c0ff66227dc817e0d86edd180146a1bf62b25b37abd07b6ef9b5b299386489e",
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_signatures(name: str) -> None:
    request, region, service, token, expected = KNOWN[name]
    credentials = AwsCredentials("AKIDEXAMPLE", SECRET, SecretStr(token) if token else None)
    made = signed(request, credentials, region=region, service=service, at=AT)
    headers = dict(made.headers)
    assert headers[b"authorization"].decode().endswith(f"Signature={expected}")
    assert headers[b"x-amz-date"] == b"20150830T123600Z"
    assert headers.get(b"x-amz-security-token") == (token.encode() if token else None)
    assert (made.method, made.url, made.body) == (request.method, request.url, request.body)
    assert made.headers[: len(request.headers)] == request.headers
