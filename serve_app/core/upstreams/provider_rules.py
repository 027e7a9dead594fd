"""The rules that providers obey. All that are broken are found, in the order of the fields; clients
match the texts.
"""

import re
from collections.abc import Iterator

from pydantic import SecretStr

from serve_app.core.upstreams.base_url import base_url_problem
from serve_app.core.upstreams.provider import (
    PROVIDER_TYPES,
    BedrockChange,
    NewProvider,
    ProviderChange,
)
from serve_app.core.upstreams.provider_errors import Violation
from serve_app.core.upstreams.provider_names import LONGEST_NAME, NAME, is_name, uuid_of

KEY_BYTES = 10_240
MOST_KEYS = 100
TEXT_CHARACTERS = 2048
SHOWN = 100
BEDROCK_TYPES = ("anthropic", "bedrock")
ROLE_ARN = re.compile(r"arn:aws[a-z-]{0,20}:iam::\d{12}:role/[\w+=,.@/-]{1,600}", re.ASCII)
TEXTS = ("region", "model", "small_fast_model", "role_arn", "external_id")


def broken_by_new(new: NewProvider) -> list[Violation]:
    """Every rule that a provider breaks that is to be registered."""
    return [
        *_type(new.type),
        *_name(new.name),
        *_base_url(new.base_url),
        *_texts(display_name=new.display_name, icon=new.icon),
        *_count(len(new.api_keys)),
        *_keys(new.api_keys[:MOST_KEYS]),
        *_settings(new),
    ]


def broken_by_change(change: ProviderChange) -> list[Violation]:
    """Every rule that a change breaks whatever provider it is of."""
    return [
        *(_base_url(change.base_url) if change.base_url is not None else ()),
        *_texts(display_name=change.display_name or "", icon=change.icon or ""),
        *_count(len(change.api_keys or ())),
        *_key_changes(change),
        *(_bedrock(change.settings) if change.settings is not None else ()),
    ]


def _type(kind: str) -> Iterator[Violation]:
    if not kind:
        yield Violation(field="type", detail="type is required")
    elif kind not in PROVIDER_TYPES:
        yield Violation(field="type", detail=f'unsupported provider type "{kind[:SHOWN]}"')


def _name(name: str) -> Iterator[Violation]:
    problem = None
    if not name:
        problem = "name is required"
    elif len(name) > LONGEST_NAME:
        problem = f"name must have at most {LONGEST_NAME} characters"
    elif not is_name(name):
        problem = (
            f"name must match ^{NAME.pattern}$ (lowercase alphanumeric, hyphens between words)"
        )
    elif uuid_of(name):
        problem = "name must not look like a UUID"
    if problem:
        yield Violation(field="name", detail=problem)


def _base_url(url: str) -> Iterator[Violation]:
    problem = base_url_problem(url)
    if problem:
        yield Violation(field="base_url", detail=problem)


def _texts(**texts: str) -> Iterator[Violation]:
    for name, text in texts.items():
        word = name.rpartition(".")[2]
        if len(text) > TEXT_CHARACTERS:
            detail = f"{word} must have at most {TEXT_CHARACTERS} characters"
            yield Violation(field=name, detail=detail)
        elif has_controls(text):
            yield Violation(field=name, detail=f"{word} must not contain control characters")


def _count(number: int) -> Iterator[Violation]:
    if number > MOST_KEYS:
        yield Violation(field="api_keys", detail=f"at most {MOST_KEYS} api_keys are allowed")


def _keys(keys: tuple[SecretStr, ...]) -> Iterator[Violation]:
    for number, key in enumerate(keys):
        problem = secret_problem(key.get_secret_value())
        if problem:
            yield Violation(field=f"api_keys[{number}]", detail=f"api_keys entries {problem}")


def _key_changes(change: ProviderChange) -> Iterator[Violation]:
    seen: dict[str, int] = {}
    for number, each in enumerate((change.api_keys or ())[:MOST_KEYS]):
        field = f"api_keys[{number}]"
        if (each.id is None) == (each.api_key is None):
            yield Violation(field=field, detail="exactly one of id or api_key must be set")
        elif each.api_key is not None:
            problem = secret_problem(each.api_key.get_secret_value())
            if problem:
                yield Violation(field=f"{field}.api_key", detail=f"api_key {problem}")
        elif each.id is not None:
            first = seen.setdefault(each.id, number)
            if first != number:
                detail = f"already referenced at api_keys[{first}]"
                yield Violation(field=f"{field}.id", detail=detail)


def _settings(new: NewProvider) -> Iterator[Violation]:
    settings = new.settings
    if settings is not None and new.type not in BEDROCK_TYPES:
        detail = "bedrock settings are only valid for type=anthropic or type=bedrock"
        yield Violation(field="settings", detail=detail)
    if new.type == "bedrock":
        if settings is None or not _is_enough(settings):
            yield NEEDS_BEDROCK
        if new.api_keys:
            yield Violation(field="api_keys", detail="type=bedrock does not accept api_keys")
    if settings is not None:
        yield from _bedrock(settings)
        if settings.external_id:
            detail = "external_id is server-generated and must not be set"
            yield Violation(field="settings.external_id", detail=detail)


def _bedrock(settings: BedrockChange) -> Iterator[Violation]:
    yield from _texts(**{f"settings.{name}": getattr(settings, name) for name in TEXTS})
    if settings.role_arn and not ROLE_ARN.fullmatch(settings.role_arn):
        detail = "role_arn must be an IAM role ARN (e.g. arn:aws:iam::123456789012:role/example)"
        yield Violation(field="settings.role_arn", detail=detail)
    for name, secret in settings.credentials().items():
        text = secret.get_secret_value()
        problem = secret_problem(text) if text else None
        if problem:
            yield Violation(field=f"settings.{name}", detail=f"{name} {problem}")


NEEDS_BEDROCK = Violation(field="settings", detail="type=bedrock requires bedrock settings")


def _is_enough(settings: BedrockChange) -> bool:
    """Whether there is a region, a role or a credential."""
    has_credential = any(secret.get_secret_value() for secret in settings.credentials().values())
    return bool(settings.region or settings.role_arn or has_credential)


def secret_problem(key: str) -> str | None:
    """What is wrong with a key. White space at its ends is a slip of whoever copied it."""
    if not key:
        return "must not be empty"
    if key != key.strip():
        return "must not contain leading or trailing whitespace"
    if len(key.encode()) > KEY_BYTES:
        return f"must have at most {KEY_BYTES} bytes"
    return "must not contain control characters" if has_controls(key) else None


def has_controls(text: str) -> bool:
    """Whether there are characters that end a line of a header, or that a database refuses."""
    return any(character < " " or "\x7f" <= character <= "\x9f" for character in text)
