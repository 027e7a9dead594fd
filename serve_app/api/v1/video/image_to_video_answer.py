"""What is answered for an image that was generated and animated."""

from serve_app.api.answers import AnswerBody, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item, media_link
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.message import Message
from serve_app.core.video.image_to_video import AnimatedPrompt


async def animation_body(finished: Finished[Message, AnimatedPrompt, MediaOutput]) -> AnswerBody:
    """The image and the video, as steps and as one item."""
    video = await media_item(finished, finished.result.video.video)
    image = await media_link(finished, finished.result.image.image)
    return result_envelope(finished) | {
        "pipeline": "image-to-video",
        "steps": [{"step": "image", "url": image}, {"step": "video"} | video],
        "data": [video | {"image_url": image}],
    }
