"""Where and how a provider is called: the URL below its base URL, and the headers that carry a key.

Of each type of provider it is known in which form it is spoken to.
"""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from serve_app.core.upstreams.provider import ProviderType

WireForm = Literal["openai", "anthropic", "bedrock"]
Header = tuple[bytes, bytes]
WIRE_FORMS: Mapping[ProviderType, WireForm] = {
    "anthropic": "anthropic",
    "azure": "openai",
    "bedrock": "bedrock",
    "google": "openai",
    "openai": "openai",
    "openai-compat": "openai",
    "openrouter": "openai",
    "vercel": "openai",
}
KEY_HEADERS: Mapping[ProviderType, str] = {"anthropic": "x-api-key", "azure": "api-key"}
"""Of those that do not take `Authorization: Bearer`."""
ANTHROPIC_VERSION = (b"anthropic-version", b"2023-06-01")
VERSION = "/v1"


def call_url(kind: ProviderType, base_url: str, path: str) -> str:
    """The URL of `path`, such as `/chat/completions`, of a provider. A slash at the end of the base
    URL makes no difference, and its query stays. Nothing is added but to Anthropic's, whose paths
    are below `/v1` whether or not the base URL ends with it.
    """
    parts = urlsplit(base_url)
    folder = parts.path.rstrip("/")
    if WIRE_FORMS[kind] == "anthropic":
        folder = folder.removesuffix(VERSION) + VERSION
    return urlunsplit(parts._replace(path=folder + path))


def call_headers(kind: ProviderType, key: SecretStr | None) -> list[Header]:
    """The headers of a call with a key, or without any. A key may have any characters, so that the
    values are bytes. Calls of Bedrock are signed instead.
    """
    fixed = [ANTHROPIC_VERSION] if WIRE_FORMS[kind] == "anthropic" else []
    if key is None or WIRE_FORMS[kind] == "bedrock":
        return fixed
    value = key.get_secret_value().encode()
    name = KEY_HEADERS.get(kind)
    own = (b"authorization", b"Bearer " + value) if name is None else (name.encode(), value)
    return [own, *fixed]
