"""`Models`: which model a request means and what runs it. Owns ids, aliases and defaults."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from serve_app.catalog.chat_describer import ChatDescriber
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.diarized_transcription import transcribed
from serve_app.catalog.task_names import EXAMPLES, TASK_NAMES
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.config import AppConfig, Family, Model
from serve_app.core.errors import (
    BackendUnavailable,
    ModelNotFound,
    UnsupportedCapability,
    UpstreamError,
)
from serve_app.core.message import Progress
from serve_app.core.operation import Operation, R, Runs
from serve_app.core.options.engine import Task
from serve_app.core.status import ModelStatus
from serve_app.core.text.chat import Chat, ChatEvent, Complete
from serve_app.family.checkpoint_facts import CheckpointFacts
from serve_app.runtime.streams import closing

Statuses = Callable[[], Awaitable[Mapping[str, ModelStatus]]]
"""The status of every model that is in memory or on its way; the others are unloaded."""


@dataclass(frozen=True)
class Found:
    """A model of the catalog: its canonical id, its configuration and the object that runs it."""

    model: Model
    family: Family
    runs: Runs

    @property
    def id(self) -> str:
        """The canonical id, which is what core messages carry."""
        return self.model.id

    def say(self, operation: Chat | Complete) -> AsyncIterator[ChatEvent]:
        """What a text model says; it tells no Progress."""
        return cast("AsyncIterator[ChatEvent]", self.runs.run(operation))


@dataclass(frozen=True)
class ModelsOf:
    """The models of one task. A call finds the one that a request means, see `Models.find`."""

    models: "Models"
    task: Task

    def __call__(self, name: str | None) -> Found:
        """The model with this name, or the default."""
        return self.models.find(self.task, name)

    def every(self) -> list[Found]:
        """All of them, in the order of the configuration."""
        return [found for found in self.models.all() if found.family.options.task == self.task]


class Lookup:
    """A line of `Models`: the models of a task."""

    def __init__(self, task: Task) -> None:
        self._task: Task = task

    def __get__(self, models: "Models", _: type["Models"]) -> ModelsOf:
        return ModelsOf(models, self._task)


class Models:
    """The catalog over live objects: `runs` maps family names to what runs their operations."""

    chat = Lookup("chat")
    embeddings = Lookup("embeddings")
    rerank = Lookup("rerank")
    _translation = Lookup("translation")
    speech = Lookup("speech")
    transcription = Lookup("transcription")
    """Routing by language and size is `transcription_routing`'s."""
    diarization = Lookup("diarization")
    images = Lookup("images")
    segmentation = Lookup("segmentation")
    faces = Lookup("faces")
    upscaling = Lookup("upscaling")
    """Who may resize is `upscaler_selection`'s."""
    depth = Lookup("depth")
    _captioning = Lookup("captioning")
    video = Lookup("video")
    interpolation = Lookup("interpolation")
    stems = Lookup("stems")
    conversion = Lookup("conversion")
    sound = Lookup("sound")
    """Which makes what kind of audio is `audio_selection`'s."""

    def __init__(
        self,
        config: AppConfig,
        runs: Mapping[str, Runs],
        *,
        statuses: Statuses,
    ) -> None:
        self.config = config
        self.statuses = statuses
        self.checkpoints = CheckpointFacts(config.storage.data_dir)
        self._runs = dict(runs)
        self._media: str | None = None
        self._found: dict[str, Found] = {}
        for family in config.families:
            for model in family.models:
                for name in (model.id, *model.aliases):
                    self._found[name] = Found(model, family, runs[family.name])
        self._folded = {name.lower(): found for name, found in reversed(self._found.items())}

    def all(self) -> list[Found]:
        """Every model once, in the order of the configuration."""
        return [found for name, found in self._found.items() if name == found.id]

    def named(self, name: str) -> Found:
        """The model with this id or alias, case-sensitive first. Raises ModelNotFound."""
        found = self._found.get(name) or self._folded.get(name.lower())
        if found is None:
            raise ModelNotFound(f"unknown model {name!r}; {self._listing()}", param="model")
        return found

    def translation(self, name: str | None) -> Found:
        """A model that translates: one for that, else a chat model, which is told to."""
        if self._means_chat(name):
            chat = self.chat(name)
            return Found(chat.model, chat.family, ChatTranslator(chat.runs))
        return self._translation(name)

    def captioning(self, name: str | None) -> Found:
        """A model that puts images into words: one for that, else a chat model that sees."""
        seeing = self._seeing(name)
        if seeing is not None:
            return Found(seeing.model, seeing.family, ChatDescriber(seeing.runs))
        return self._captioning(name)

    def with_media(self, family: str) -> "Models":
        """The same catalog with this one of the media families, which have no models."""
        chosen = copy(self)
        chosen._media = family
        return chosen

    def run(self, operation: Operation[R]) -> AsyncIterator[Progress | R]:
        """See Run."""
        if isinstance(operation, Transcribe) and operation.speakers is not None:
            labelled = transcribed(self.run, operation, operation.speakers)
            return cast("AsyncIterator[Progress | R]", labelled)
        return self._runs_of(operation).run(operation)

    async def answer(self, operation: Operation[R]) -> R:
        """What the operation brings last, for callers whom its progress does not concern."""
        outcome: R | None = None
        events = self.run(operation)
        async with closing(events):
            async for event in events:
                outcome = outcome if isinstance(event, Progress) else event
        if outcome is None:
            raise UpstreamError(f"{operation.name!r} ended without a result")
        return outcome

    def _runs_of(self, operation: Operation[Any]) -> Runs:
        """Who does it."""
        match operation.task:
            case "media":
                return self._media_runs()
            case "translation":
                return self.translation(operation.model_name).runs
            case "captioning":
                return self.captioning(operation.model_name).runs
            case None:
                raise UnsupportedCapability(f"{operation.name!r} is run as a job")
            case task:
                return self.find(task, operation.model_name).runs

    def _media_runs(self) -> Runs:
        families = (f.name for f in self.config.families if f.options.task == "media")
        family = self._media or next(families, None)
        if family is None:
            raise BackendUnavailable(
                "no media family is configured, which cuts and joins audio and video; add one"
            )
        return self._runs[family]

    def find(self, task: Task, name: str | None) -> Found:
        """The model of a task that a request means: nothing, `auto` and an empty name mean the
        default. UnsupportedCapability where it is another task's, BackendUnavailable where the
        task has none.
        """
        if not _is_name(name):
            return self._default(task, getattr(self.config.defaults, task))
        found = self.named(name)
        if found.family.options.task != task:
            raise UnsupportedCapability(
                f"model {name!r} is no {TASK_NAMES[task]} model; {self._listing(task)}",
                param="model",
            )
        return found

    def _means_chat(self, name: str | None) -> bool:
        """Whether a chat model does the translating that `name` means."""
        if _is_name(name):
            return self.named(name).family.options.task == "chat"
        return not self._translation.every()

    def _seeing(self, name: str | None) -> Found | None:
        """The chat model that takes images, if `name` means one."""
        seeing = {found.id: found for found in self.chat.every() if _sees(found)}
        if _is_name(name):
            return seeing.get(self.named(name).id)
        return None if self._captioning.every() else next(iter(seeing.values()), None)

    def _default(self, task: Task, default: str | None) -> Found:
        if default is not None:
            return self._found[default]
        for found in self._found.values():
            if found.family.options.task == task:
                return found
        raise BackendUnavailable(
            f"no {TASK_NAMES[task]} model is configured; add a family for it to the configuration"
            f"{EXAMPLES.get(task, '')}",
            param="model",
        )

    def _listing(self, task: Task | None = None) -> str:
        """What exists, for error messages."""
        found = [
            f
            for f in self.all()
            if task in (None, f.family.options.task) or (task == "captioning" and _sees(f))
        ]
        names = ", ".join(repr(f.id) for f in found) or "none is configured"
        return f"{TASK_NAMES[task]} models: {names}" if task else f"models: {names}"


def _is_name(name: str | None) -> TypeGuard[str]:
    return name is not None and name.strip().lower() not in ("", "auto")


def _sees(found: Found) -> bool:
    return found.family.options.task == "chat" and "image_to_text" in found.model.capabilities
