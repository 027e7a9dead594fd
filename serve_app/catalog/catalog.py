"""`Models`: which model a request means and what runs it. Owns ids, aliases and defaults."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeGuard, TypeVar, cast

from serve_app.catalog.chat_describer import ChatDescriber
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.task_names import EXAMPLES, TASK_NAMES
from serve_app.core.audio.audio_generation import AudioGenerator
from serve_app.core.audio.diarization import Diarizer
from serve_app.core.audio.speech import SpeechModel
from serve_app.core.audio.stems import StemSeparator
from serve_app.core.audio.transcription import TranscriptionModel
from serve_app.core.audio.voice_conversion import VoiceConverter
from serve_app.core.config import AppConfig, Family, Model
from serve_app.core.errors import BackendUnavailable, ModelNotFound, UnsupportedCapability
from serve_app.core.image.captioning import ImageDescriber
from serve_app.core.image.depth import DepthEstimator
from serve_app.core.image.face_swap import FaceModel
from serve_app.core.image.images import ImageModel
from serve_app.core.image.segmentation import SegmentationModel
from serve_app.core.image.upscaling import Upscaler
from serve_app.core.message import Message
from serve_app.core.options.every_engine import Task
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.status import ModelStatus
from serve_app.core.text.chat import ChatModel
from serve_app.core.text.embeddings import EmbeddingModel
from serve_app.core.text.rerank import RerankModel
from serve_app.core.text.translation import Translator
from serve_app.core.video.generation import VideoModel
from serve_app.core.video.interpolation import Interpolator
from serve_app.core.video.processing import MediaProcessor
from serve_app.family.checkpoint_facts import CheckpointFacts

AnyModel = (
    ChatModel
    | EmbeddingModel
    | RerankModel
    | Translator
    | SpeechModel
    | TranscriptionModel
    | Diarizer
    | ImageModel
    | SegmentationModel
    | FaceModel
    | Upscaler
    | DepthEstimator
    | ImageDescriber
    | VideoModel
    | Interpolator
    | StemSeparator
    | VoiceConverter
    | AudioGenerator
    | MediaProcessor
)
T = TypeVar("T")
RunPipeline = Callable[[Any], AsyncIterator[Message]]
"""A pipeline's verb: takes its PipelineOperation, streams Progress and last the result."""
Statuses = Callable[[], Awaitable[Mapping[str, ModelStatus]]]
"""The status of every model that is in memory or on its way; the others are unloaded."""


@dataclass(frozen=True)
class Found(Generic[T]):
    """A model of the catalog: its canonical id, its configuration and the object that runs it."""

    model: Model
    family: Family
    runs: T

    @property
    def id(self) -> str:
        """The canonical id, which is what core messages carry."""
        return self.model.id


@dataclass(frozen=True)
class ModelsOf(Generic[T]):
    """The models of one task. A call finds the one that a request means, see `Models.find`."""

    models: "Models"
    task: Task

    def __call__(self, name: str | None) -> Found[T]:
        """The model with this name, or the default."""
        return self.models.find(self.task, name)

    def every(self) -> list[Found[T]]:
        """All of them, in the order of the configuration."""
        found = [found for found in self.models.all() if found.family.options.task == self.task]
        return cast("list[Found[T]]", found)


class Lookup(Generic[T]):
    """A line of `Models`: which Protocol the families of a task satisfy."""

    def __init__(self, task: Task) -> None:
        self._task: Task = task

    def __get__(self, models: "Models", _: type["Models"]) -> ModelsOf[T]:
        return ModelsOf(models, self._task)


class Models:
    """The catalog over live objects: `runs` maps family names to what satisfies their Protocol."""

    chat = Lookup[ChatModel]("chat")
    embeddings = Lookup[EmbeddingModel]("embeddings")
    rerank = Lookup[RerankModel]("rerank")
    _translation = Lookup[Translator]("translation")
    speech = Lookup[SpeechModel]("speech")
    transcription = Lookup[TranscriptionModel]("transcription")
    """Routing by language and size is `transcription_routing`'s."""
    diarization = Lookup[Diarizer]("diarization")
    images = Lookup[ImageModel]("images")
    segmentation = Lookup[SegmentationModel]("segmentation")
    faces = Lookup[FaceModel]("faces")
    upscaling = Lookup[Upscaler]("upscaling")
    """Who may resize is `upscaler_selection`'s."""
    depth = Lookup[DepthEstimator]("depth")
    _captioning = Lookup[ImageDescriber]("captioning")
    video = Lookup[VideoModel]("video")
    interpolation = Lookup[Interpolator]("interpolation")
    stems = Lookup[StemSeparator]("stems")
    conversion = Lookup[VoiceConverter]("conversion")
    sound = Lookup[AudioGenerator]("sound")
    """Which makes what kind of audio is `audio_selection`'s."""

    def __init__(
        self,
        config: AppConfig,
        runs: Mapping[str, AnyModel],
        *,
        statuses: Statuses,
    ) -> None:
        self.config = config
        self.statuses = statuses
        self.checkpoints = CheckpointFacts(config.storage.data_dir)
        self._pipelines: Mapping[type[PipelineOperation], RunPipeline] = {}
        self._runs = dict(runs)
        self._found: dict[str, Found[AnyModel]] = {}
        for family in config.families:
            for model in family.models:
                for name in (model.id, *model.aliases):
                    self._found[name] = Found(model, family, runs[family.name])
        self._folded = {name.lower(): found for name, found in reversed(self._found.items())}

    def with_pipeline(self, operation: type[PipelineOperation], run: RunPipeline) -> "Models":
        """The same catalog with a pipeline in it."""
        composed = copy(self)
        composed._pipelines = {**self._pipelines, operation: run}
        return composed

    def pipeline(self, operation: type[PipelineOperation]) -> RunPipeline:
        """What does this operation; only where it was composed, in the pipeline's deployment."""
        return self._pipelines[operation]

    def all(self) -> list[Found[AnyModel]]:
        """Every model once, in the order of the configuration."""
        return [found for name, found in self._found.items() if name == found.id]

    def named(self, name: str) -> Found[AnyModel]:
        """The model with this id or alias, case-sensitive first. Raises ModelNotFound."""
        found = self._found.get(name) or self._folded.get(name.lower())
        if found is None:
            raise ModelNotFound(f"unknown model {name!r}; {self._listing()}", param="model")
        return found

    def translation(self, name: str | None) -> Found[Translator]:
        """A model that translates: one for that, else a chat model, which is told to."""
        if self._means_chat(name):
            chat = self.chat(name)
            return Found(chat.model, chat.family, ChatTranslator(chat.runs))
        return self._translation(name)

    def captioning(self, name: str | None) -> Found[ImageDescriber]:
        """A model that puts images into words: one for that, else a chat model that sees."""
        seeing = self._seeing(name)
        if seeing is not None:
            return Found(seeing.model, seeing.family, ChatDescriber(seeing.runs))
        return self._captioning(name)

    def media(self, family: str) -> MediaProcessor:
        """A media family by its name; it has no models."""
        return cast("MediaProcessor", self._runs[family])

    def find(self, task: Task, name: str | None) -> Found[Any]:
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

    def _seeing(self, name: str | None) -> Found[ChatModel] | None:
        """The chat model that takes images, if `name` means one."""
        seeing = {found.id: found for found in self.chat.every() if _sees(found)}
        if _is_name(name):
            return seeing.get(self.named(name).id)
        return None if self._captioning.every() else next(iter(seeing.values()), None)

    def _default(self, task: Task, default: str | None) -> Found[AnyModel]:
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


def _sees(found: Found[Any]) -> bool:
    return found.family.options.task == "chat" and "image_to_text" in found.model.capabilities
