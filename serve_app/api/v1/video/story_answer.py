"""What is answered for a story: what was made, step by step."""

from typing import Any

from serve_app.api.answers import AnswerBody, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_link
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.message import Message
from serve_app.core.video.story import StoryVideo


async def story_body(finished: Finished[Message, StoryVideo, MediaOutput]) -> AnswerBody:
    """`steps` and one item. A part that failed is null, and its step says why."""
    story = finished.result
    images = [scene.image and await media_link(finished, scene.image) for scene in story.scenes]
    clips = [scene.clip and await media_link(finished, scene.clip) for scene in story.scenes]
    audio = story.audio and await media_link(finished, story.audio)
    video = story.video and await media_link(finished, story.video)
    made_images, made_clips = [url for url in images if url], [url for url in clips if url]
    first_clip = next(iter(made_clips), None)
    steps = [
        _script(story),
        {"step": "images", "urls": made_images}
        | _failed(*(scene.image_error for scene in story.scenes)),
        {"step": "video", "url": first_clip}
        | _failed(*(scene.clip_error for scene in story.scenes)),
    ]
    if audio is not None or story.audio_error is not None:
        steps.append({"step": "tts", "url": audio} | _failed(story.audio_error))
    steps.append({"step": "film", "url": video} | _failed(story.video_error))
    item = {
        "video_url": first_clip,
        "video_urls": made_clips,
        "image_urls": made_images,
        "audio_url": audio,
        "film_url": video,
        "duration": story.duration_s,
        "seed": story.seed,
    }
    return result_envelope(finished) | {"pipeline": "story", "steps": steps, "data": [item]}


def _script(story: StoryVideo) -> dict[str, Any]:
    lines = "\n".join(scene.scene.line for scene in story.scenes)
    scenes = [{"line": scene.scene.line, "picture": scene.scene.image} for scene in story.scenes]
    return {"step": "script", "text": lines, "scenes": scenes}


def _failed(*errors: str | None) -> dict[str, str]:
    found = [error for error in errors if error]
    return {"error": "; ".join(found)} if found else {}
