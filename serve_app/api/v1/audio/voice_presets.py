"""The voices that speech models bring along, without waking models for the list of them."""

import logging

from serve_app.api.context import Context
from serve_app.catalog.catalog import CatalogEntry
from serve_app.core.audio.speech import ListVoices
from serve_app.core.errors import AppError
from serve_app.database.connection import Database
from serve_app.database.schema import SettingRow
from serve_app.database.text import storable
from serve_app.runtime.limits import LimitPassed, within

logger = logging.getLogger(__name__)

TIMEOUT_S = 20.0


async def preset_voices(context: Context) -> list[str]:
    """The names of all speech models' presets, each once. A model that is stopped is asked only
    if nobody has asked it before; what it said is remembered in the database.
    """
    running = await context.catalog.statuses()
    names: list[str] = []
    for model in context.catalog.every("speech"):
        is_up = model.id in running or model.family.placement.min_replicas > 0
        names += await _of(context, model, is_up=is_up)
    return list(dict.fromkeys(names))


async def _of(context: Context, model: CatalogEntry, *, is_up: bool) -> list[str]:
    known = await _remembered(context.database, model.id)
    if known is not None and not is_up:
        return known
    try:
        async with within(TIMEOUT_S):
            voices = (await context.catalog.answer(ListVoices(model=model.id))).voices
    except (AppError, LimitPassed) as error:
        logger.warning("model %r does not list its voices: %s", model.id, error)
        return known or []
    names = [storable(voice.name) for voice in voices]
    if names != known:
        row = SettingRow(name=_setting(model.id), value=names)
        await context.database.write(lambda session: session.merge(row))
    return names


async def _remembered(database: Database, model_id: str) -> list[str] | None:
    row = await database.read(lambda session: session.get(SettingRow, _setting(model_id)))
    return [str(name) for name in row.value] if row else None


def _setting(model_id: str) -> str:
    return f"voices:{model_id}"
