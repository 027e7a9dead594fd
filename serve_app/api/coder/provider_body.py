"""What is sent of providers: read as JSON whatever its type is said to be, as Coder's server does
it.
"""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from serve_app.api.coder.error_object import UnreadableBody
from serve_app.api.errors import from_validation_errors
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Flag, Text
from serve_app.core.upstreams.provider import (
    BedrockChange,
    BedrockProtocol,
    NewProvider,
    ProviderChange,
)
from serve_app.core.upstreams.provider_names import uuid_of

EMPTY_SETTINGS = "settings: the _type discriminator is missing; send '_type' and '_version'"


def _is_uuid(text: str) -> str:
    found = uuid_of(text)
    if found is None:
        raise ValueError("a UUID is needed")
    return found


def _or_none(value: Any) -> Any:
    """An object without values stands for no settings, as in the samples of the documentation."""
    return None if is_empty(value) else value


def is_empty(value: Any) -> bool:
    """Whether it is an object without values."""
    return isinstance(value, dict) and all(each is None for each in value.values())


KeyId = Annotated[Text, AfterValidator(_is_uuid)]


class CoderBody(WireObject):
    """An object that may have keys in it, which no error shows."""

    model_config = ConfigDict(hide_input_in_errors=True)


class BedrockBody(CoderBody):
    """The settings of Amazon Bedrock. The credentials are never sent back."""

    kind: Literal["bedrock"] = Field(alias="_type")
    version: Literal[1] = Field(alias="_version")
    region: Text = ""
    model: Text = ""
    small_fast_model: Text = ""
    role_arn: Text = ""
    external_id: Text = ""
    protocol: BedrockProtocol = "invoke-model"
    access_key: Text | None = Field(default=None, repr=False)
    access_key_secret: Text | None = Field(default=None, repr=False)

    def change(self) -> BedrockChange:
        """The settings as they shall be."""
        sent = self.model_dump(exclude={"kind", "version"}, exclude_none=True)
        return BedrockChange.model_validate(sent)


SettingsBody = Annotated[BedrockBody | None, BeforeValidator(_or_none)]


class ProviderBody(CoderBody):
    """A new provider."""

    type: Text = ""
    name: Text = ""
    base_url: Text = ""
    display_name: Text = ""
    icon: Text = ""
    enabled: Flag = False
    api_keys: tuple[Text, ...] = Field(default=(), repr=False)
    settings: SettingsBody = None

    def provider(self) -> NewProvider:
        """What is to be registered."""
        sent = self.model_dump(exclude={"settings"})
        return NewProvider.model_validate(sent | _settings(self.settings))


class KeyChangeBody(CoderBody):
    """A key that shall be there: the id of one that is, or a new one."""

    id: KeyId | None = None
    api_key: Text | None = Field(default=None, repr=False)


class ProviderChangeBody(CoderBody):
    """What shall be otherwise. `api_keys` are all that there shall be, in their order."""

    display_name: Text | None = None
    icon: Text | None = None
    enabled: Flag | None = None
    base_url: Text | None = None
    api_keys: tuple[KeyChangeBody, ...] | None = None
    settings: SettingsBody = None

    def change(self) -> ProviderChange:
        """What shall be otherwise."""
        sent = self.model_dump(exclude={"settings"}, exclude_none=True)
        return ProviderChange.model_validate(sent | _settings(self.settings))


async def read_provider(request: Request) -> NewProvider:
    """What the body asks to register. UnreadableBody."""
    return _validated(ProviderBody, await _object(request)).provider()


async def read_change(request: Request) -> ProviderChange:
    """What the body asks to change. UnreadableBody."""
    body = await _object(request)
    change = _validated(ProviderChangeBody, body).change()
    if change == ProviderChange() and is_empty(body.get("settings")):
        raise UnreadableBody(EMPTY_SETTINGS)
    return change


def _settings(body: BedrockBody | None) -> dict[str, BedrockChange]:
    return {} if body is None else {"settings": body.change()}


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise UnreadableBody("the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise UnreadableBody("the body must be a JSON object")
    return body


B = TypeVar("B", bound=CoderBody)


def _validated(kind: type[B], body: dict[str, Any]) -> B:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise UnreadableBody(from_validation_errors(problems, body).message) from None
