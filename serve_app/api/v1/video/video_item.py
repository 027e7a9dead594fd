"""What is answered of a video besides its file."""

from typing import Any

from serve_app.api.answers import AnswerBody, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.image.upscaling import UpscaledVideo
from serve_app.core.message import Message
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.interpolation import InterpolatedVideo


def video_facts(video: GeneratedVideo | UpscaledVideo | InterpolatedVideo) -> dict[str, Any]:
    """Its size and times."""
    return video.size.model_dump() | {
        "fps": video.fps,
        "num_frames": video.num_frames,
        "duration": video.duration_s,
    }


async def remade_video_body(
    finished: Finished[Message, UpscaledVideo | InterpolatedVideo, MediaOutput],
) -> AnswerBody:
    """A video that was made of one, and what made it."""
    video = finished.result
    item = await media_item(finished, video.video) | video_facts(video)
    return result_envelope(finished, item | {"engine": video.engine})
