"""The pipelines, each composed over a catalog and imported in the replica that runs it."""

from typing import TYPE_CHECKING

from serve_app.catalog.catalog import Models
from serve_app.core.config import AppConfig
from serve_app.core.stages import Stage
from serve_app.core.video.dubbing import DubVideo
from serve_app.core.video.image_to_video import AnimatePrompt
from serve_app.core.video.processing import MediaProcessor
from serve_app.core.video.production import ProduceVideo
from serve_app.core.video.story import TellStory
from serve_app.core.video.subtitling import SubtitleVideo
from serve_app.jobs.assembly import ComposePipeline

if TYPE_CHECKING:
    from pipelines.video_parts import VideoParts


def compose_video_dub(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the video-dub pipeline over it."""
    from pipelines.video_dub import VideoDub
    from serve_app.blobs.store import FsspecBlobStore
    from serve_app.catalog.composed import (
        CatalogSpeech,
        CatalogStems,
        CatalogTranscription,
        CatalogTranslation,
    )

    dubber = VideoDub(
        CatalogTranscription(models),
        CatalogTranslation(models),
        CatalogSpeech(models),
        CatalogStems(models),
        _media(config, models, DubVideo.pipeline),
        FsspecBlobStore(config.storage.blobs_location),
        stage,
    )
    return models.with_pipeline(DubVideo, dubber.dub_video)


def compose_video_generation(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the video-generation pipeline over it."""
    from pipelines.video_generation import VideoGeneration

    producer = VideoGeneration(_video_parts(config, models, ProduceVideo.pipeline), stage)
    return models.with_pipeline(ProduceVideo, producer.produce_video)


def compose_image_to_video(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the image-to-video pipeline over it."""
    from pipelines.image_to_video import ImageToVideo

    animator = ImageToVideo(_video_parts(config, models, AnimatePrompt.pipeline), stage)
    return models.with_pipeline(AnimatePrompt, animator.animate_prompt)


def compose_video_subtitles(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the video-subtitle pipeline over it."""
    from pipelines.video_subtitles import VideoSubtitles
    from serve_app.catalog.composed import CatalogTranscription, CatalogTranslation

    subtitler = VideoSubtitles(
        CatalogTranscription(models),
        CatalogTranslation(models),
        _media(config, models, SubtitleVideo.pipeline),
        stage,
    )
    return models.with_pipeline(SubtitleVideo, subtitler.subtitle_video)


def compose_story(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the story pipeline over it."""
    from pipelines.story import Story
    from serve_app.blobs.store import FsspecBlobStore
    from serve_app.catalog.composed import CatalogChat, CatalogImages, CatalogSpeech, CatalogVideo

    teller = Story(
        CatalogChat(models),
        CatalogImages(models),
        CatalogVideo(models),
        CatalogSpeech(models),
        _media(config, models, TellStory.pipeline),
        FsspecBlobStore(config.storage.blobs_location),
        stage,
    )
    return models.with_pipeline(TellStory, teller.tell_story)


def _media(config: AppConfig, models: Models, name: str) -> MediaProcessor:
    """What cuts and joins for the pipeline."""
    return next(models.media(p.media) for p in config.pipelines if p.name == name)


def _video_parts(config: AppConfig, models: Models, name: str) -> "VideoParts":
    from pipelines.video_parts import VideoParts
    from serve_app.blobs.store import FsspecBlobStore
    from serve_app.catalog import composed

    return VideoParts(
        images=composed.CatalogImages(models),
        video=composed.CatalogVideo(models),
        interpolation=composed.CatalogInterpolation(models),
        upscaling=composed.CatalogUpscaling(models),
        depth=composed.CatalogDepth(models),
        speech=composed.CatalogSpeech(models),
        transcription=composed.CatalogTranscription(models),
        translator=composed.CatalogTranslation(models),
        stems=composed.CatalogStems(models),
        audio=composed.CatalogAudio(models),
        media=_media(config, models, name),
        blobs=FsspecBlobStore(config.storage.blobs_location),
    )


PIPELINES: dict[str, ComposePipeline] = {
    "pipeline.video-dub": compose_video_dub,
    "video.subtitle": compose_video_subtitles,
    "pipeline.story": compose_story,
    "video.generation": compose_video_generation,
    "pipeline.image-to-video": compose_image_to_video,
}
"""By the name of the operation that they do."""
