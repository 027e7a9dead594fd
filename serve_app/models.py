"""`Models`: which model a request means and what runs it. Owns ids, aliases and defaults."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from serve_app.chat_describer import ChatDescriber
from serve_app.chat_translator import ChatTranslator
from serve_app.core.captioning import ImageDescriber
from serve_app.core.chat import ChatModel
from serve_app.core.config import AppConfig, Family, Model
from serve_app.core.depth import DepthEstimator
from serve_app.core.diarization import Diarizer
from serve_app.core.embeddings import EmbeddingModel
from serve_app.core.errors import BackendUnavailable, ModelNotFound, UnsupportedCapability
from serve_app.core.face_swap import FaceModel
from serve_app.core.images import ImageModel
from serve_app.core.interpolation import Interpolator
from serve_app.core.media_processing import MediaProcessor
from serve_app.core.message import Message
from serve_app.core.options import Task
from serve_app.core.pipelines import PipelineOperation
from serve_app.core.rerank import RerankModel
from serve_app.core.segmentation import SegmentationModel
from serve_app.core.sound import SoundModel
from serve_app.core.speech import SpeechModel
from serve_app.core.status import ModelStatus
from serve_app.core.stems import StemSeparator
from serve_app.core.transcription import TranscriptionModel
from serve_app.core.translation import Translator
from serve_app.core.upscaling import Upscaler
from serve_app.core.video import VideoModel
from serve_app.core.voice_conversion import VoiceConverter
from serve_app.task_names import EXAMPLES, TASK_NAMES

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
    | SoundModel
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


class Models:
    """The catalog over live objects: `runs` maps family names to what satisfies their Protocol."""

    def __init__(
        self,
        config: AppConfig,
        runs: Mapping[str, AnyModel],
        *,
        statuses: Statuses,
    ) -> None:
        self.config = config
        self.statuses = statuses
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

    def chat(self, name: str | None) -> Found[ChatModel]:
        """A model that generates text."""
        return cast("Found[ChatModel]", self._for("chat", name, self.config.defaults.chat))

    def embeddings(self, name: str | None) -> Found[EmbeddingModel]:
        """A model that embeds."""
        found = self._for("embeddings", name, self.config.defaults.embeddings)
        return cast("Found[EmbeddingModel]", found)

    def rerank(self, name: str | None) -> Found[RerankModel]:
        """A model that reranks."""
        return cast("Found[RerankModel]", self._for("rerank", name, self.config.defaults.rerank))

    def translation(self, name: str | None) -> Found[Translator]:
        """A model that translates: one for that, else a chat model, which is told to."""
        if self._means_chat(name):
            chat = self.chat(name)
            return Found(chat.model, chat.family, ChatTranslator(chat.runs))
        found = self._for("translation", name, self.config.defaults.translation)
        return cast("Found[Translator]", found)

    def speech(self, name: str | None) -> Found[SpeechModel]:
        """A model that speaks."""
        return cast("Found[SpeechModel]", self._for("speech", name, self.config.defaults.speech))

    def transcription(self, name: str | None) -> Found[TranscriptionModel]:
        """A model that listens; routing by language and size is the caller's."""
        found = self._for("transcription", name, self.config.defaults.transcription)
        return cast("Found[TranscriptionModel]", found)

    def diarization(self, name: str | None) -> Found[Diarizer]:
        """A model that tells speakers apart."""
        found = self._for("diarization", name, self.config.defaults.diarization)
        return cast("Found[Diarizer]", found)

    def images(self, name: str | None) -> Found[ImageModel]:
        """A model that draws."""
        return cast("Found[ImageModel]", self._for("images", name, self.config.defaults.images))

    def segmentation(self, name: str | None) -> Found[SegmentationModel]:
        """A model that finds objects."""
        found = self._for("segmentation", name, self.config.defaults.segmentation)
        return cast("Found[SegmentationModel]", found)

    def faces(self, name: str | None) -> Found[FaceModel]:
        """A model that finds and swaps faces."""
        return cast("Found[FaceModel]", self._for("faces", name, self.config.defaults.faces))

    def upscaling(self, name: str | None) -> Found[Upscaler]:
        """A model that makes pictures larger; see `upscaler_selection` for who may resize."""
        found = self._for("upscaling", name, self.config.defaults.upscaling)
        return cast("Found[Upscaler]", found)

    def depth(self, name: str | None) -> Found[DepthEstimator]:
        """A model that estimates depth."""
        return cast("Found[DepthEstimator]", self._for("depth", name, self.config.defaults.depth))

    def captioning(self, name: str | None) -> Found[ImageDescriber]:
        """A model that puts pictures into words: one for that, else a chat model that sees."""
        seeing = self._seeing(name)
        if seeing is not None:
            runs = ChatDescriber(cast("ChatModel", seeing.runs))
            return Found(seeing.model, seeing.family, runs)
        found = self._for("captioning", name, self.config.defaults.captioning)
        return cast("Found[ImageDescriber]", found)

    def every_upscaling(self) -> list[Found[Upscaler]]:
        """All models that make pictures larger."""
        found = [found for found in self.all() if found.family.options.task == "upscaling"]
        return cast("list[Found[Upscaler]]", found)

    def video(self, name: str | None) -> Found[VideoModel]:
        """A model that makes films."""
        return cast("Found[VideoModel]", self._for("video", name, self.config.defaults.video))

    def interpolation(self, name: str | None) -> Found[Interpolator]:
        """A model that puts frames between frames."""
        found = self._for("interpolation", name, self.config.defaults.interpolation)
        return cast("Found[Interpolator]", found)

    def every_video(self) -> list[Found[VideoModel]]:
        """All models that make films."""
        found = [found for found in self.all() if found.family.options.task == "video"]
        return cast("list[Found[VideoModel]]", found)

    def stems(self, name: str | None) -> Found[StemSeparator]:
        """A model that takes mixes apart."""
        return cast("Found[StemSeparator]", self._for("stems", name, None))

    def every_stems(self) -> list[Found[StemSeparator]]:
        """All models that take mixes apart."""
        found = [found for found in self.all() if found.family.options.task == "stems"]
        return cast("list[Found[StemSeparator]]", found)

    def conversion(self, name: str | None) -> Found[VoiceConverter]:
        """A model that converts voices."""
        found = self._for("conversion", name, self.config.defaults.conversion)
        return cast("Found[VoiceConverter]", found)

    def sound(self, name: str | None) -> Found[SoundModel]:
        """A model that makes sound; see `sound_selection` for one that makes a kind of it."""
        return cast("Found[SoundModel]", self._for("sound", name, self.config.defaults.sound))

    def every_sound(self) -> list[Found[SoundModel]]:
        """All models that make sound."""
        found = [found for found in self.all() if found.family.options.task == "sound"]
        return cast("list[Found[SoundModel]]", found)

    def media(self, family: str) -> MediaProcessor:
        """A media family by its name; it has no models."""
        return cast("MediaProcessor", self._runs[family])

    def _means_chat(self, name: str | None) -> bool:
        """Whether a chat model does the translating that `name` means."""
        if name is not None and name.strip().lower() not in ("", "auto"):
            return self.named(name).family.options.task == "chat"
        return not any(found.family.options.task == "translation" for found in self.all())

    def _seeing(self, name: str | None) -> Found[AnyModel] | None:
        """The chat model that takes pictures, if `name` means one."""
        seeing = [found for found in self.all() if _sees(found)]
        if name is not None and name.strip().lower() not in ("", "auto"):
            found = self.named(name)
            return found if _sees(found) else None
        is_needed = not any(found.family.options.task == "captioning" for found in self.all())
        return seeing[0] if seeing and is_needed else None

    def _for(self, task: Task, name: str | None, default: str | None) -> Found[AnyModel]:
        """Nothing, `auto` and an empty name mean the default."""
        if name is None or name.strip().lower() in ("", "auto"):
            return self._default(task, default)
        found = self.named(name)
        if found.family.options.task != task:
            raise UnsupportedCapability(
                f"model {name!r} is no {TASK_NAMES[task]} model; {self._listing(task)}",
                param="model",
            )
        return found

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


def _sees(found: Found[AnyModel]) -> bool:
    return found.family.options.task == "chat" and "image_to_text" in found.model.capabilities
