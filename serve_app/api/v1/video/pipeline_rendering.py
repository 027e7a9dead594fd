"""What pipelines made, step by step, as the bodies of the calls that asked for it."""

from collections.abc import Awaitable, Callable
from typing import Any

from serve_app.api.json_answer import StoredBase64
from serve_app.core.media import Blob
from serve_app.core.video.dubbing import DubbedVideo
from serve_app.core.video.story import ToldStory
from serve_app.core.video.subtitles import srt, vtt
from serve_app.core.video.subtitling import Subtitles

Link = Callable[[Blob], Awaitable[str | StoredBase64 | None]]
"""The URL of a file, or its data URL for who asked for base64."""


async def story_steps(told: ToldStory, link: Link) -> dict[str, Any]:
    """`steps` and `data` of a story. A part that failed is null, and its step says why."""
    images = [scene.image and await link(scene.image) for scene in told.scenes]
    clips = [scene.clip and await link(scene.clip) for scene in told.scenes]
    audio = told.audio and await link(told.audio)
    video = told.video and await link(told.video)
    script = [scene.scene.model_dump() for scene in told.scenes]
    lines = "\n".join(scene.scene.line for scene in told.scenes)
    steps = [
        {"step": "script", "text": lines, "scenes": script},
        {"step": "images", "urls": [url for url in images if url]}
        | _failed(*(scene.image_error for scene in told.scenes)),
        {"step": "video", "url": next(filter(None, clips), None)}
        | _failed(*(scene.clip_error for scene in told.scenes)),
    ]
    if audio is not None or told.audio_error is not None:
        steps.append({"step": "tts", "url": audio} | _failed(told.audio_error))
    steps.append({"step": "film", "url": video} | _failed(told.video_error))
    item = {
        "video_url": next(filter(None, clips), None),
        "video_urls": [url for url in clips if url],
        "image_urls": [url for url in images if url],
        "audio_url": audio,
        "film_url": video,
        "duration": told.duration_s,
        "seed": told.seed,
    }
    return {"pipeline": "story", "steps": steps, "data": [item]}


def animation_steps(video: dict[str, Any], image: str | StoredBase64 | None) -> dict[str, Any]:
    """`steps` and `data` of an image that was animated; `video` is an item of an envelope."""
    steps = [{"step": "image", "url": image}, {"step": "video"} | video]
    return {
        "pipeline": "image-to-video",
        "steps": steps,
        "data": [video | {"image_url": image}],
    }


def dub_steps(dubbed: DubbedVideo, item: dict[str, Any]) -> dict[str, Any]:
    """`pipeline` and `steps` of a dubbed video."""
    heard = {
        "step": "transcribe",
        "language": dubbed.source_language,
        "segments": [segment.model_dump() for segment in dubbed.segments],
    }
    return {"pipeline": "video-dub", "steps": [heard, {"step": "dub"} | item]}


def subtitle_item(subtitles: Subtitles, form: str) -> dict[str, Any]:
    """The subtitles as text, or as what they are made of; nothing for a video."""
    match form:
        case "srt":
            return {"text": srt(subtitles.cues), "format": form}
        case "vtt":
            return {"text": vtt(subtitles.cues), "format": form}
        case "json":
            segments = [
                {"start": segment.start, "end": segment.end, "text": segment.text}
                for segment in subtitles.segments
            ]
            return {"segments": segments, "language": subtitles.language, "format": form}
    return {}


def _failed(*errors: str | None) -> dict[str, str]:
    found = [error for error in errors if error]
    return {"error": "; ".join(found)} if found else {}
