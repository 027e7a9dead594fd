"""At which URL and with which headers each type of provider is called."""

import pytest
from pydantic import SecretStr

from serve_app.core.upstreams.provider import PROVIDER_TYPES, ProviderType
from serve_app.core.upstreams.upstream_calls import WIRE_FORMS, call_headers, call_url
from tests.providers import FIRST

BEARER = {b"authorization": f"Bearer {FIRST}".encode()}
VERSION = {b"anthropic-version": b"2023-06-01"}


@pytest.mark.parametrize(
    ("kind", "base", "path", "url"),
    [
        *(
            (
                kind,
                f"https://a.example/v1{end}",
                "/chat/completions",
                "https://a.example/v1/chat/completions",
            )
            for kind in ("openai", "openai-compat", "openrouter", "vercel", "google")
            for end in ("", "/")
        ),
        ("openai", "https://a.example", "/models", "https://a.example/models"),
        ("openai", "https://a.example/", "/models", "https://a.example/models"),
        (
            "azure",
            "https://a.example/o?api-version=1",
            "/models",
            "https://a.example/o/models?api-version=1",
        ),
        ("openai-compat", "http://[::1]:80/v1", "/models", "http://[::1]:80/v1/models"),
        *(
            ("anthropic", f"https://a.example{end}", "/messages", "https://a.example/v1/messages")
            for end in ("", "/", "/v1", "/v1/")
        ),
        ("anthropic", "https://a.example/x/v1", "/messages", "https://a.example/x/v1/messages"),
        ("anthropic", "https://a.example/v10", "/messages", "https://a.example/v10/v1/messages"),
    ],
)
def test_urls(kind: ProviderType, base: str, path: str, url: str) -> None:
    assert call_url(kind, base, path) == url


@pytest.mark.parametrize("kind", PROVIDER_TYPES)
def test_headers(kind: ProviderType) -> None:
    own = {
        "anthropic": {b"x-api-key": FIRST.encode()} | VERSION,
        "azure": {b"api-key": FIRST.encode()},
    }
    expected = {} if kind == "bedrock" else own.get(kind, BEARER)
    assert dict(call_headers(kind, SecretStr(FIRST))) == expected
    assert dict(call_headers(kind, None)) == (VERSION if kind == "anthropic" else {})


def test_every_type_has_a_form_and_keys_may_have_any_characters() -> None:
    assert set(WIRE_FORMS) == set(PROVIDER_TYPES)
    assert call_headers("openai", SecretStr("größe")) == [
        (b"authorization", "Bearer größe".encode())
    ]
