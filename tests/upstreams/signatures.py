"""Whether a request to AWS is signed (SigV4); written apart from the product's signer, and shown to
be right by what AWS's own library signs.

Rules: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from urllib.parse import quote

from tests.upstreams.answers import StubRequest

ACCESS_KEY, SECRET = "AKIAEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-central-1"


def fault(
    request: StubRequest, prefix: str, service: str, secrets: Mapping[str, str]
) -> str | None:
    """What is wrong with the signature of a request; `prefix` is before its path."""
    given = request.headers.get("authorization", "")
    scheme, _, rest = given.partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    if (
        scheme != "AWS4-HMAC-SHA256"
        or not {"Credential", "SignedHeaders", "Signature"} <= parts.keys()
    ):
        return "Missing Authentication Token"
    access_key, _, scope = parts["Credential"].partition("/")
    day, region, named, _ = scope.split("/")
    if access_key not in secrets:
        return "The security token included in the request is invalid."
    if (region, named) != (REGION, service):
        return f"Credential should be scoped to {REGION} and {service}."
    time = request.headers["x-amz-date"]
    age = datetime.now(UTC) - datetime.strptime(time, "%Y%m%dT%H%M%S%z")
    if abs(age) > timedelta(minutes=15) or not time.startswith(day):
        return "Signature expired"
    names = parts["SignedHeaders"].split(";")
    must = {"host"} | {name for name in request.headers if name.startswith("x-amz-")}
    if names != sorted(names) or not must <= set(names):
        return "The host and all headers of Amazon have to be signed."
    text = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{_digest(_canonical(request, prefix, names))}"
    if _signature(secrets[access_key], scope, text) != parts["Signature"]:
        return "The request signature we calculated does not match the signature you provided."
    return None


def _canonical(request: StubRequest, prefix: str, names: list[str]) -> bytes:
    """The path is quoted once more, as all services but S3 want it."""
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names)
    path = quote(prefix + request.raw_path, safe="/~")
    query = "&".join(sorted(request.query.split("&")))
    body = hashlib.sha256(request.body).hexdigest()
    lines = (request.method, path, query, headers, ";".join(names), body)
    return "\n".join(lines).encode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signature(secret: str, scope: str, text: str) -> str:
    key = reduce(_mac, (part.encode() for part in scope.split("/")), f"AWS4{secret}".encode())
    return _mac(key, text.encode()).hex()


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.digest(key, text, "sha256")
