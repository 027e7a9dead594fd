"""Which model a name of this dialect means."""

from collections.abc import Iterator

from serve_app.api.ai_server.service_error import FieldProblem, ServiceError, not_found, unsupported
from serve_app.catalog.catalog import Catalog, CatalogEntry
from serve_app.core.audio.speech import ListVoices
from serve_app.core.errors import BackendUnavailable, ModelNotFound, UnsupportedCapability
from serve_app.core.tasks import Task

TASK_NAMES = frozenset(
    {
        "text-to-image",
        "image-to-image",
        "image-with-mask",
        "image-upscale-2x",
        "image-to-text",
        "speech-to-text",
        "text-to-speech",
    }
)
"""Names that mean the default model of their task."""
EQUAL_NAMES = {
    "flux-schnell": "flux1-schnell",
    "flux1-schnell": "flux-schnell",
    "sdxl-lightning": "sdxl_lightning_4step",
    "sdxl_lightning_4step": "sdxl-lightning",
}
DEFAULT_VOICES = frozenset({"text-to-speech", "lessac"})
VOICE_PREFIX = "tts-"
VOICE_NAMES = ("alloy", "echo", "fable", "onyx", "nova", "shimmer")
NAMED_VOICES = ("text-to-speech", "lessac", *(f"{VOICE_PREFIX}{name}" for name in VOICE_NAMES))
"""Voices that are always there."""
LATEST = ":latest"


def model_for(catalog: Catalog, task: Task, name: str | None) -> CatalogEntry:
    """The model of a task. ServiceError for one that is unknown or another task's, and where no
    model can do it.
    """
    wanted = None if name is None or name.strip().lower() in TASK_NAMES else name
    for each in _spellings(wanted):
        try:
            return catalog.find(task, each)
        except ModelNotFound:
            continue
        except UnsupportedCapability:
            raise _of_another_task(catalog, task) from None
        except BackendUnavailable:
            raise unsupported(task) from None
    raise not_found(f"Model {(name or '')[:200]}")


def check_media(catalog: Catalog) -> None:
    """ServiceError where nothing works on media without a model."""
    try:
        catalog.media_runner()
    except BackendUnavailable:
        raise unsupported("the processing of media") from None


async def voice_for(catalog: Catalog, name: str | None) -> tuple[CatalogEntry, str | None]:
    """The model that speaks and its voice, None for its own: the name is that of a model or of a
    voice. ServiceError as `model_for`.
    """
    default = model_for(catalog, "speech", None)
    wanted = (name or "").strip()
    if wanted.lower() in {"", "auto", *DEFAULT_VOICES}:
        return default, None
    voice = named_voice(wanted)
    if voice is not None:
        return default, voice if await _is_voice(catalog, default, voice) else None
    try:
        return catalog.find("speech", wanted), None
    except ModelNotFound:
        if await _is_voice(catalog, default, wanted):
            return default, wanted
    except UnsupportedCapability:
        raise _of_another_task(catalog, "speech") from None
    raise not_found(f"Model {wanted[:200]}")


def named_voice(name: str | None) -> str | None:
    """The voice that one of the names with a prefix means, which are always there."""
    folded = (name or "").strip().lower()
    voice = folded.removeprefix(VOICE_PREFIX)
    return voice if voice != folded and voice in VOICE_NAMES else None


async def _is_voice(catalog: Catalog, found: CatalogEntry, name: str) -> bool:
    listed = await catalog.answer(ListVoices(model=found.id))
    return any(each.name == name for each in listed.voices)


def chat_model_for(catalog: Catalog, name: str) -> CatalogEntry:
    """A chat model as `name` or `name:tag`, where no tag is `latest`."""
    if not catalog.every("chat"):
        raise unsupported("chat")
    spellings = (name, name.removesuffix(LATEST), f"{name}{LATEST}")
    for each in filter(None, spellings):
        try:
            return catalog.find("chat", each)
        except ModelNotFound:
            continue
    raise not_found(f"Model {name[:200]}")


def _spellings(name: str | None) -> Iterator[str | None]:
    yield name
    if name is not None and (other := EQUAL_NAMES.get(name.strip().lower())):
        yield other


def _of_another_task(catalog: Catalog, task: Task) -> ServiceError:
    names = ",".join(found.id for found in catalog.every(task))
    message = f"the model cannot do this; models: {names}"
    problem = FieldProblem("InvalidModel", "Model", message)
    return ServiceError(message, error_code="InvalidModel", problems=[problem])
