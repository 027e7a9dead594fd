"""`AppConfig`: the `args` of the Serve application, the one place where the server is configured.

Secrets are not here; they come from the environment (`API_TOKENS`, `ADMIN_TOKEN`).
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from serve_app.core.options import AnyEngineOptions, Section, Task

ModelType = Literal["text", "image", "video", "audio", "tts", "vision", "embedding", "rerank"]
Capability = Literal[
    "text_generation",
    "image_to_text",
    "embeddings",
    "rerank",
    "image_generation",
    "image_to_image",
    "inpainting",
    "controlnet",
    "depth_estimation",
    "image_segmentation",
    "image_upscaling",
    "face_restoration",
    "object_detection",
    "style_transfer",
    "video_generation",
    "image_to_video",
    "video_to_video",
    "video_interpolation",
    "video_upscaling",
    "speech_to_text",
    "text_to_speech",
    "subtitle_generation",
    "audio_generation",
    "audio_to_audio",
    "lip_sync",
    "video_dubbing",
]
TASK_CAPABILITIES: dict[Task, tuple[Capability, ...]] = {
    "chat": ("text_generation",),
    "embeddings": ("embeddings",),
    "rerank": ("rerank",),
    "speech": ("text_to_speech",),
    "transcription": ("speech_to_text", "subtitle_generation"),
    "media": (),
}
INGRESS = "ingress"
"""The name of the ingress deployment, which no family may have."""

GIB = 1024**3
MIB = 1024**2


class Model(Section):
    """One model of a family. `source` is a hub id or a local path; engines whose model is built in
    need none. `capabilities` adds fine names to those of the family's task. `languages` are
    lower-case codes, for transcription and speech. `created` is a unix second; by default the
    second in which this server first saw the model.
    """

    id: str = Field(min_length=1, max_length=200, pattern=r"^[^\s?#%]+$")
    aliases: tuple[str, ...] = ()
    source: str | None = None
    revision: str | None = None
    capabilities: tuple[Capability, ...] = ()
    languages: tuple[str, ...] = ()
    can_translate: bool = False
    owned_by: str = "polyphony"
    created: int | None = Field(default=None, ge=0)


class Placement(Section):
    """Where and how often a family runs. `gpus` and `cpus` are per replica and may be fractions;
    `min_replicas` 0 starts the family with its first request and stops it when idle for
    `idle_unload_s`. `max_ongoing_requests` is a replica's concurrency.
    """

    gpus: float = Field(default=0, ge=0)
    cpus: float = Field(default=0, ge=0)
    min_replicas: int = Field(default=1, ge=0)
    max_replicas: int = Field(default=1, ge=1)
    max_ongoing_requests: int = Field(default=16, ge=1)
    max_loaded_models: int = Field(default=1, ge=1)
    idle_unload_s: float = Field(default=600, ge=1)

    @model_validator(mode="after")
    def _replicas_are_a_range(self) -> Self:
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas {self.max_replicas} is below min_replicas {self.min_replicas}"
            )
        return self


class Family(Section):
    """One Serve deployment: an engine, its placement and the models it can hold."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    options: AnyEngineOptions
    models: tuple[Model, ...] = ()
    placement: Placement = Placement()

    @model_validator(mode="after")
    def _has_models(self) -> Self:
        if (self.options.task == "media") == bool(self.models):
            rule = "takes no models" if self.models else "needs at least one model"
            raise ValueError(f"family {self.name!r} ({self.options.task}) {rule}")
        return self


class VideoDubPipeline(Section):
    """video-dub: the default transcription, chat and speech models and a media family."""

    name: Literal["video-dub"] = "video-dub"
    media: str = "media"
    placement: Placement = Placement()


class Defaults(Section):
    """The model (id or alias) for requests that name none; by default the first that fits."""

    chat: str | None = None
    embeddings: str | None = None
    rerank: str | None = None
    speech: str | None = None
    transcription: str | None = None


class Server(Section):
    """`public_url` makes file URLs absolute. `files_access` public opens `/v1/files` to all."""

    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/]+(/[^\s]*[^/\s])?$")
    cors_origins: tuple[str, ...] = ()
    expose_hostname: bool = False
    files_access: Literal["token", "public"] = "token"


class Auth(Section):
    """With `required` false anybody on this machine may use `inference` routes."""

    required: bool = True


class Limits(Section):
    """Sizes in bytes unless named otherwise; a request over one is refused with 413, or with 503
    for `max_pending` (requests waiting for one model). `load_wait_s` is how long a request waits
    for its model to load before it is told to come back.
    """

    upload_bytes: int = Field(default=2 * GIB, ge=1)
    base64_bytes: int = Field(default=256 * MIB, ge=1)
    image_pixels: int = Field(default=64_000_000, ge=1)
    fetch_timeout_s: float = Field(default=60, gt=0)
    fetch_redirects: int = Field(default=5, ge=0)
    fetch_allow: tuple[str, ...] = ()
    file_roots: tuple[Path, ...] = ()
    max_pending: int = Field(default=100, ge=1)
    load_wait_s: float = Field(default=30, ge=0)


class Storage(Section):
    """`data_dir` holds everything that must outlive a restart. `blobs_url` is any fsspec URL;
    None is `data_dir`/blobs.
    """

    data_dir: Path = Path(".data")
    blobs_url: str | None = None

    @property
    def blobs_location(self) -> str:
        """The blob store's fsspec URL or directory."""
        return self.blobs_url or str(self.data_dir / "blobs")


class AppConfig(Section):
    """The whole server."""

    server: Server = Server()
    auth: Auth = Auth()
    limits: Limits = Limits()
    storage: Storage = Storage()
    defaults: Defaults = Defaults()
    ingress: Placement = Placement(max_ongoing_requests=1000)
    families: tuple[Family, ...] = ()
    pipelines: tuple[VideoDubPipeline, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: dict[str, str] = {}
        for f, family in enumerate(self.families):
            for m, model in enumerate(family.models):
                for name in (model.id, *model.aliases):
                    here = f"families.{f}.models.{m}"
                    if name in seen:
                        raise ValueError(
                            f"{here}: model id or alias {name!r} is taken by {seen[name]}"
                        )
                    seen[name] = here
        return self

    @model_validator(mode="after")
    def _deployment_names_are_unique(self) -> Self:
        taken = {INGRESS: "the ingress"}
        taken |= {pipeline.name: "a pipeline" for pipeline in self.pipelines}
        for f, family in enumerate(self.families):
            if family.name in taken:
                raise ValueError(
                    f"families.{f}.name: {family.name!r} is taken by {taken[family.name]}"
                )
            taken[family.name] = f"families.{f}"
        names = [pipeline.name for pipeline in self.pipelines]
        if len(set(names)) < len(names):
            raise ValueError("pipelines: each pipeline can be listed once")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for task, name in self.defaults:
            served = self.names_for(task)
            if name is not None and name not in served:
                allowed = ", ".join(map(repr, served)) or "none is configured"
                raise ValueError(
                    f"defaults.{task}: no such model {name!r}; {task} models: {allowed}"
                )
        media = [family.name for family in self.families if family.options.task == "media"]
        for p, pipeline in enumerate(self.pipelines):
            if pipeline.media not in media:
                allowed = ", ".join(map(repr, media)) or "none is configured"
                raise ValueError(
                    f"pipelines.{p}.media: no such family {pipeline.media!r}; "
                    f"media families: {allowed}"
                )
        return self

    def names_for(self, task: str) -> list[str]:
        """Every id and alias of the models that do `task`, in the order of the configuration."""
        return [
            name
            for family in self.families
            if family.options.task == task
            for model in family.models
            for name in (model.id, *model.aliases)
        ]
