"""Answers for operations that no route of the native dialect runs directly."""

from serve_app.api.answers import Answer, AnswerBody, AnswerOutput, Finished
from serve_app.api.v1.envelope import result_envelope
from serve_app.api.v1.media_links import media_item
from serve_app.api.v1.media_output import MediaOutput
from serve_app.core.audio.audio_generation import GenerateAudio, GeneratedAudio
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.message import Message
from serve_app.core.text.translation import Translate, Translation


async def audio_body(finished: Finished[Message, GeneratedAudio, MediaOutput]) -> AnswerBody:
    """The generated audio."""
    return result_envelope(finished, await media_item(finished, finished.result.audio))


async def text_body(
    finished: Finished[Message, ImageDescription | Translation, AnswerOutput],
) -> AnswerBody:
    """The result as it is."""
    return finished.result.model_dump(exclude_defaults=True)


ANSWERS = (
    Answer(GenerateAudio, MediaOutput, audio_body),
    Answer(DescribeImage, AnswerOutput, text_body),
    Answer(Translate, AnswerOutput, text_body),
)
