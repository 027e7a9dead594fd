"""`Catalog`: which model a request means and what runs it. Owns ids, aliases and defaults."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import copy
from typing import Any, cast

from typing_extensions import override

from serve_app.catalog.chat_describer import ChatDescriber
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.diarized_transcription import transcribed
from serve_app.catalog.entry import CatalogEntry as CatalogEntry
from serve_app.catalog.hires_images import RESIZES, enlarged
from serve_app.catalog.routed import RoutedModels
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.choices import explicit
from serve_app.core.config import UPSTREAMS, AppConfig
from serve_app.core.errors import (
    BackendUnavailable,
    ModelNotFound,
    UnsupportedCapability,
    UpstreamError,
)
from serve_app.core.image.images import HiresPass, TextToImage
from serve_app.core.message import Progress
from serve_app.core.operation import Item, Operation, OperationRunner, R
from serve_app.core.status import ModelStatus
from serve_app.core.tasks import TASKS, Task
from serve_app.core.upstreams.directory import UpstreamDirectory
from serve_app.family.checkpoint_facts import CheckpointFacts
from serve_app.runtime.streams import closing

Statuses = Callable[[], Awaitable[Mapping[str, ModelStatus]]]
"""The status of every model that is in memory or on its way; the others are unloaded."""


class Catalog(OperationRunner):
    """The configured models, over live objects: `runners` maps family names to what runs their
    operations, and `UPSTREAMS` to what calls the providers that are in the `directory`.
    """

    def __init__(
        self,
        config: AppConfig,
        runners: Mapping[str, OperationRunner],
        *,
        statuses: Statuses,
        directory: UpstreamDirectory | None = None,
    ) -> None:
        self.config = config
        self.statuses = statuses
        self.checkpoints = CheckpointFacts(config.storage.data_dir)
        self._runners = dict(runners)
        self._media: str | None = None
        self._found: dict[str, CatalogEntry] = {}
        for family in config.families:
            for model in family.models:
                for name in (model.id, *model.aliases):
                    self._found[name] = CatalogEntry(model, family, runners[family.name])
        self._folded = {name.lower(): found for name, found in reversed(self._found.items())}
        self._routed = RoutedModels(
            config, self._configured, runner=runners.get(UPSTREAMS), directory=directory
        )

    def all(self) -> list[CatalogEntry]:
        """Every model once, in the order of the configuration."""
        return [found for name, found in self._found.items() if name == found.id]

    def every(self, task: Task) -> list[CatalogEntry]:
        """The models of a task, in the order of the configuration."""
        return [found for found in self.all() if found.family.options.task == task]

    def elsewhere(self) -> list[CatalogEntry]:
        """Routes of which a model is there, and the models that providers list."""
        return self._routed.every()

    def named(self, name: str, task: Task | None = None) -> CatalogEntry:
        """The model, route or provider's model with this id or alias, case-sensitive first. Raises
        ModelNotFound. A provider's model may be for several tasks; `task` is the one in question.
        """
        found = (
            self._routed.route(name, task)
            or self._configured(name)
            or self._routed.upstream(name, task)
        )
        if found is None:
            raise ModelNotFound(
                f"unknown model {name!r}", remedy=f"{self._listing()}", param="model"
            )
        return found

    def find(self, task: Task, name: str | None) -> CatalogEntry:
        """The model of a task that a request means: nothing, `auto` and an empty name mean the
        default. A chat model translates where none is for that or it is named, and one that sees
        puts images into words.

        UnsupportedCapability where it is another task's, BackendUnavailable where the task has
        none.
        """
        if task == "translation" and self._means_chat(name):
            chat = self._find("chat", name)
            return CatalogEntry(chat.model, chat.family, ChatTranslator(chat.counted))
        if task == "captioning" and (seeing := self._seeing(name)):
            return CatalogEntry(seeing.model, seeing.family, ChatDescriber(seeing.counted))
        return self._find(task, name)

    def with_media(self, family: str) -> "Catalog":
        """The same catalog with this one of the media families, which have no models."""
        chosen = copy(self)
        chosen._media = family
        return chosen

    @override
    def run(self, operation: Operation[Any, Item]) -> AsyncIterator[Item]:
        if isinstance(operation, Transcribe) and operation.speakers is not None:
            labelled = transcribed(self.run, operation, operation.speakers)
            return cast("AsyncIterator[Item]", labelled)
        if isinstance(operation, TextToImage) and operation.hires is not None:
            self._check_pass(operation.hires)
            images = enlarged(self.run, operation, operation.hires)
            return cast("AsyncIterator[Item]", images)
        return self._runner_of(operation).run(operation)

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

    def media_runner(self) -> OperationRunner:
        """What works on media without a model. BackendUnavailable where no family does."""
        families = (f.name for f in self.config.families if f.options.task == "media")
        family = self._media or next(families, None)
        if family is None:
            raise BackendUnavailable(
                "no media family is configured to cut, join and convert media", remedy="add one"
            )
        return self._runners[family]

    def _configured(self, name: str) -> CatalogEntry | None:
        return self._found.get(name) or self._folded.get(name.lower())

    def _check_pass(self, hires: HiresPass) -> None:
        """Before the first pass is done: whether there is what the second one names."""
        if hires.model is not None:
            self.find("images", hires.model)
        if hires.upscaler not in RESIZES:
            self.find("upscaling", hires.upscaler)

    def _runner_of(self, operation: Operation[Any]) -> OperationRunner:
        """Who does it."""
        match operation.task:
            case "media":
                return self.media_runner()
            case None:
                raise UnsupportedCapability(f"{operation.name!r} is run as a job")
            case task:
                return self.find(task, operation.model_name).counted

    def _find(self, task: Task, name: str | None) -> CatalogEntry:
        name = explicit(name)
        if name is None:
            return self._default(task, self.config.defaults.of(task))
        found = self.named(name, task)
        if found.family.options.task != task:
            raise UnsupportedCapability(
                f"model {name!r} is for {found.family.options.task}",
                remedy=f"{self._listing(task)}",
                param="model",
            )
        return found

    def _means_chat(self, name: str | None) -> bool:
        """Whether a chat model does the translating that `name` means."""
        if (name := explicit(name)) is not None:
            return self.named(name).family.options.task == "chat"
        return not self.every("translation")

    def _seeing(self, name: str | None) -> CatalogEntry | None:
        """The chat model that takes images, if `name` means one."""
        seeing = {found.id: found for found in self.every("chat") if _sees(found)}
        if (name := explicit(name)) is not None:
            found = self.named(name)
            is_elsewhere = found.family.name == UPSTREAMS and _sees(self.named(name, "chat"))
            return found if is_elsewhere else seeing.get(found.id)
        return None if self.every("captioning") else next(iter(seeing.values()), None)

    def _default(self, task: Task, default: str | None) -> CatalogEntry:
        if default is not None:
            return self.named(default, task)
        for found in self._found.values():
            if found.family.options.task == task:
                return found
        raise BackendUnavailable(
            f"no {TASKS[task].label} model is configured",
            remedy=f"add a family for it to the configuration{TASKS[task].suggestion}",
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
        return f"{TASKS[task].label} models: {names}" if task else f"models: {names}"


def _sees(found: CatalogEntry) -> bool:
    return found.family.options.task == "chat" and "image_to_text" in found.model.capabilities
