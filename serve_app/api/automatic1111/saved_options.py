"""What a credential has set for its later calls, kept in the database: it outlives the server, and
every replica reads the same.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError

from serve_app.access.tokens import Principal
from serve_app.api.automatic1111.attachments import vae_named
from serve_app.api.automatic1111.checkpoints import Checkpoint, checkpoint
from serve_app.api.automatic1111.numbers import Whole
from serve_app.api.context import Context
from serve_app.api.wire_object import WireObject
from serve_app.api.wire_types import Text
from serve_app.core.errors import ModelNotFound
from serve_app.core.message import Message

CLIP_LAYERS = 12
ROW = "automatic1111/"
"""Before the name of a credential, in the table of settings."""


class SettingsBody(WireObject):
    """The options that have an effect; all others are ignored, because front ends send back all
    that they were told.
    """

    sd_model_checkpoint: Annotated[Text, Field(max_length=500)] | None = None
    sd_checkpoint_hash: Annotated[Text, Field(max_length=500)] | None = None
    sd_vae: Annotated[Text, Field(max_length=500)] | None = None
    clip_layers: Annotated[Whole, Field(ge=1, le=CLIP_LAYERS)] | None = Field(
        default=None, alias="CLIP_stop_at_last_layers"
    )


class SavedOptions(Message):
    """Of one credential; None is the server's own. `checkpoint` is a model's id, `vae` the name of
    one of its autoencoders.
    """

    checkpoint: str | None = None
    vae: str | None = None
    clip_layers: int = 1


def changed_options(context: Context, before: SavedOptions, body: SettingsBody) -> SavedOptions:
    """The options with what a body sets. ModelNotFound for an unknown checkpoint; a hash is read
    only where no checkpoint is named.
    """
    named = (body.sd_model_checkpoint or "").strip() or (body.sd_checkpoint_hash or "").strip()
    model = checkpoint(context.catalog, named).name if named else before.checkpoint
    changed = before.model_copy(update={"checkpoint": model})
    changes: dict[str, Any] = {}
    if body.sd_vae is not None:
        changes["vae"] = vae_named(current_checkpoint(context, changed), body.sd_vae)
    if body.clip_layers is not None:
        changes["clip_layers"] = body.clip_layers
    return changed.model_copy(update=changes)


def current_checkpoint(context: Context, options: SavedOptions) -> Checkpoint:
    """The one that is generated with. Of a model that is not configured any more, the default."""
    try:
        return checkpoint(context.catalog, options.checkpoint)
    except ModelNotFound:
        return checkpoint(context.catalog, None)


async def saved_options(context: Context, principal: Principal) -> SavedOptions:
    """Those of a credential."""
    return _options(await context.credential_settings.read(_row_name(principal)))


async def save_options(context: Context, principal: Principal, body: SettingsBody) -> None:
    """Set what a body names, for this credential alone."""

    def changed(stored: Mapping[str, Any]) -> Mapping[str, Any]:
        return changed_options(context, _options(stored), body).model_dump()

    await context.credential_settings.change(_row_name(principal), changed)


def _options(stored: Mapping[str, Any]) -> SavedOptions:
    kept = {key: stored[key] for key in SavedOptions.model_fields if key in stored}
    try:
        return SavedOptions.model_validate(kept)
    except ValidationError:
        return SavedOptions()


def _row_name(principal: Principal) -> str:
    return f"{ROW}{principal.subject or principal.owner}"
