"""Providers as clients see them. SDKs decode strictly: no field more, none of another type."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from serve_app.core.upstreams.directory import ProviderListing
from serve_app.core.upstreams.provider import BedrockSettings, Provider

BEDROCK_TAG = {"_type": "bedrock", "_version": 1}


def provider_object(provider: Provider) -> dict[str, Any]:
    """One provider."""
    keys = [
        {"id": key.id, "masked": key.masked, "created_at": rfc3339(key.created_at)}
        for key in provider.api_keys
    ]
    body = {
        "id": provider.id,
        "type": provider.type,
        "name": provider.name,
        "display_name": provider.display_name or provider.name,
        "icon": provider.icon,
        "enabled": provider.enabled,
        "base_url": provider.base_url,
        "api_keys": keys,
        "settings": _settings(provider.settings),
        "created_at": rfc3339(provider.created_at),
        "updated_at": rfc3339(provider.updated_at),
    }
    return body | ({"status": {"warnings": [*provider.warnings]}} if provider.warnings else {})


def contact_object(listing: ProviderListing) -> dict[str, Any]:
    """What came of asking a provider for its models."""
    body: dict[str, Any] = {
        "ok": listing.error is None,
        "models": [model.id for model in listing.models],
        "latency_ms": round(listing.took_s * 1000, 1),
        "checked_at": rfc3339(listing.at),
    }
    return body | ({"error": listing.error} if listing.error is not None else {})


def _settings(settings: BedrockSettings | None) -> dict[str, Any] | None:
    return None if settings is None else BEDROCK_TAG | settings.model_dump()


def etag(provider: Provider) -> str:
    """The strong tag of a provider as it is: it is another one after every change."""
    return f'"{provider.id}-{provider.revision}"'


def list_etag(providers: Iterable[Provider]) -> str:
    """That of a list."""
    tags = " ".join(map(etag, providers))
    return f'"{hashlib.sha256(tags.encode()).hexdigest()[:32]}"'


def rfc3339(at: float) -> str:
    """`2026-01-31T12:00:00.000250Z` from a unix second: two changes may be near each other."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
