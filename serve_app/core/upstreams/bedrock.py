"""Settings of Amazon Bedrock as they become part of a provider."""

import secrets
from collections.abc import Collection

from serve_app.core.errors import InvalidRequest
from serve_app.core.upstreams.provider import BedrockChange, BedrockSettings
from serve_app.core.upstreams.provider_errors import InvalidProvider
from serve_app.core.upstreams.provider_rules import BEDROCK_TYPES, NEEDS_BEDROCK


def settings_after(
    kind: str, before: BedrockSettings | None, change: BedrockChange | None
) -> BedrockSettings | None:
    """The settings of a provider after a change. A role gets an external id when it first appears,
    and keeps it. InvalidRequest, in words that clients match.
    """
    if change is None:
        return before
    if kind not in BEDROCK_TYPES:
        raise InvalidRequest(
            "Bedrock settings are only valid for type=anthropic or type=bedrock.", param="settings"
        )
    known = before.external_id if before else ""
    if change.external_id not in ("", known):
        raise InvalidRequest(
            "The Bedrock external ID is server-generated and cannot be changed.", param="settings"
        )
    fields = change.model_dump(include=set(BedrockSettings.model_fields))
    made = secrets.token_hex(16) if change.role_arn and not known else known
    return BedrockSettings.model_validate(fields | {"external_id": made})


def check_credentials(
    kind: str,
    settings: BedrockSettings | None,
    *,
    has_keys: bool,
    credentials: Collection[str],
) -> None:
    """Raises InvalidRequest where a provider of Bedrock has keys, in words that clients match, or
    where it has nothing to be called with. `credentials` are the names of those that it has.
    """
    if has_keys and (settings is not None or kind == "bedrock"):
        raise InvalidRequest("Bedrock providers do not accept api_keys.", param="api_keys")
    is_known = settings is not None and (settings.region or settings.role_arn or credentials)
    if kind == "bedrock" and not is_known:
        raise InvalidProvider.of([NEEDS_BEDROCK])
