"""What a provider is: an external AI service as an admin has registered it, and as it is sent.

Keys are in these messages only on their way in, as values that show themselves to nobody.
"""

from typing import Literal, get_args

from pydantic import ConfigDict, SecretStr

from serve_app.core.message import Message

ProviderType = Literal[
    "anthropic", "azure", "bedrock", "google", "openai", "openai-compat", "openrouter", "vercel"
]
PROVIDER_TYPES: tuple[ProviderType, ...] = get_args(ProviderType)
BedrockProtocol = Literal["invoke-model", "mantle"]
ELLIPSIS = "..."
HIDING = ConfigDict(hide_input_in_errors=True)
"""For messages that may have keys in them: the library would show them in its errors."""


class ProviderKey(Message):
    """One of the keys of a provider, as it may be shown."""

    id: str
    masked: str
    created_at: float


class BedrockSettings(Message):
    """What calls of Amazon Bedrock need. `external_id` is made by the server for a role."""

    region: str = ""
    model: str = ""
    small_fast_model: str = ""
    role_arn: str = ""
    external_id: str = ""
    protocol: BedrockProtocol = "invoke-model"


class Provider(Message):
    """A registered provider. `revision` grows with every change. Times are unix seconds. `warnings`
    are what an admin should know of it now.
    """

    id: str
    type: ProviderType
    name: str
    display_name: str
    icon: str
    enabled: bool
    base_url: str
    api_keys: tuple[ProviderKey, ...]
    settings: BedrockSettings | None
    revision: int
    created_at: float
    updated_at: float
    warnings: tuple[str, ...] = ()


class BedrockChange(BedrockSettings):
    """The settings as they shall be. Of the credentials, None keeps what there is, and an empty
    one removes it.
    """

    model_config = HIDING

    access_key: SecretStr | None = None
    access_key_secret: SecretStr | None = None

    def credentials(self) -> dict[str, SecretStr]:
        """Those that were sent."""
        named = {"access_key": self.access_key, "access_key_secret": self.access_key_secret}
        return {name: secret for name, secret in named.items() if secret is not None}


class NewProvider(Message):
    """A provider that is to be registered; nothing of it has been checked."""

    model_config = HIDING

    type: str = ""
    name: str = ""
    base_url: str = ""
    display_name: str = ""
    icon: str = ""
    enabled: bool = False
    api_keys: tuple[SecretStr, ...] = ()
    settings: BedrockChange | None = None


class KeyChange(Message):
    """A key that shall be there: one that is (`id`), or a new one (`api_key`)."""

    model_config = HIDING

    id: str | None = None
    api_key: SecretStr | None = None


class ProviderChange(Message):
    """What shall be otherwise; None leaves a field as it is. `api_keys` are all that shall be there
    afterwards, in their order.
    """

    model_config = HIDING

    display_name: str | None = None
    icon: str | None = None
    enabled: bool | None = None
    base_url: str | None = None
    api_keys: tuple[KeyChange, ...] | None = None
    settings: BedrockChange | None = None


def masked_key(key: str) -> str:
    """What of a key is shown, by its number of characters."""
    length = len(key)
    shown = 4 if length >= 20 else 2 if length >= 10 else 1 if length >= 5 else 0
    if not key or not shown:
        return ELLIPSIS if key else ""
    return f"{key[:shown]}{ELLIPSIS}{key[-shown:]}"
