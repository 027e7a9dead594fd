"""What the items of an operation's stream say of how much was used."""

from collections.abc import Callable, Mapping
from typing import Any

from serve_app.core.amounts import Amounts
from serve_app.core.audio.audio_generation import GeneratedAudio
from serve_app.core.audio.speech import (
    AudioChunk,
    AudioFormat,
    CloneSpeech,
    Speak,
    SpeechEnd,
    SpokenAudio,
)
from serve_app.core.audio.stems import Stems
from serve_app.core.audio.transcription import Transcript, TranscriptSegment
from serve_app.core.audio.voice_conversion import ConvertedVoice
from serve_app.core.image.captioning import ImageDescription
from serve_app.core.image.depth import DepthMap, StereoVideo
from serve_app.core.image.face_swap import SwappedFaces
from serve_app.core.image.images import Images
from serve_app.core.image.segmentation import Segments
from serve_app.core.image.upscaling import UpscaledImage, UpscaledVideo
from serve_app.core.operation import Operation
from serve_app.core.text.chat import Chat, ChatDelta, Complete, Usage
from serve_app.core.text.embeddings import Embeddings
from serve_app.core.text.rerank import Relevance
from serve_app.core.video.generation import GeneratedVideo
from serve_app.core.video.interpolation import InterpolatedVideo

CHARACTERS_PER_TOKEN = 4
"""About; of a prompt whose tokens nobody has told."""
AUDIO_BYTES_PER_S: Mapping[AudioFormat, int] = {
    "pcm": 48_000,
    "wav": 48_000,
    "flac": 24_000,
    "mp3": 8_000,
    "aac": 8_000,
    "opus": 4_000,
}
"""About, but for the first two; of speech that was cut off."""


def _one_image(_result: object) -> Amounts:
    return Amounts(requests=1, images=1)


def _audio(result: Any) -> Amounts:
    return Amounts(requests=1, audio_s=result.duration_s)


def _video(result: Any) -> Amounts:
    return Amounts(requests=1, video_s=result.duration_s)


def _prompt(result: Any) -> Amounts:
    return Amounts(requests=1, prompt_tokens=result.prompt_tokens)


def _images(result: Images) -> Amounts:
    return Amounts(requests=1, images=len(result.images))


def _faces(result: SwappedFaces) -> Amounts:
    return _one_image(result) if result.duration_s is None else _video(result)


COUNTS: Mapping[type, Callable[[Any], Amounts]] = {
    Embeddings: _prompt,
    Relevance: _prompt,
    Images: _images,
    UpscaledImage: _one_image,
    DepthMap: _one_image,
    Segments: _one_image,
    ImageDescription: _one_image,
    SwappedFaces: _faces,
    SpeechEnd: _audio,
    SpokenAudio: _audio,
    GeneratedAudio: _audio,
    ConvertedVoice: _audio,
    Stems: _audio,
    Transcript: _audio,
    GeneratedVideo: _video,
    InterpolatedVideo: _video,
    UpscaledVideo: _video,
    StereoVideo: _video,
}
"""What a result stands for."""


def amounts_of(result: object) -> Amounts | None:
    """What a result stands for; None for what is not counted."""
    count = COUNTS.get(type(result))
    return None if count is None else count(result)


def tokens_of(usage: Usage) -> Amounts:
    """The tokens of a text model's answer."""
    return Amounts(
        requests=1,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens or 0,
        reasoning_tokens=usage.reasoning_tokens or 0,
    )


class StreamCount:
    """Counts the items of one stream as they pass. What its end would have told of one that is cut
    off, is counted or estimated by what has come.
    """

    __slots__ = ("_audio_bytes", "_heard_s", "_open_deltas", "_operation", "_result", "_told")

    def __init__(self, operation: Operation[Any, Any]) -> None:
        self._operation = operation
        self._told: Amounts | None = None
        self._result: Amounts | None = None
        self._open_deltas = 0
        self._audio_bytes = 0
        self._heard_s = 0.0

    def take(self, item: object) -> None:
        """The next item. Of several results of one stream, the last one has all of them."""
        # Nearly all are; `isinstance` of pydantic's classes takes several times as long.
        if type(item) is ChatDelta:
            if item.text or item.reasoning or item.tool_calls:
                self._open_deltas += 1
            elif item.passed_on:
                self._open_deltas += item.passed_on.count(b"data:")
        elif isinstance(item, Usage):
            self._open_deltas = 0
            self._told = self._told or Amounts()
            self._told.add(tokens_of(item))
        elif isinstance(item, AudioChunk):
            self._audio_bytes += len(item.data)
        elif isinstance(item, TranscriptSegment):
            self._heard_s = max(self._heard_s, item.end)
        else:
            self._result = amounts_of(item) or self._result

    def total(self) -> Amounts | None:
        """What was used so far; None when it is nothing."""
        if self._result is not None:
            return self._result
        if self._open_deltas:
            whole = Amounts(completion_tokens=self._open_deltas)
            whole.add(self._told or Amounts(requests=1, prompt_tokens=_prompt_of(self._operation)))
            return whole
        if self._told is not None:
            return self._told
        seconds = self._heard_s + self._spoken_s()
        return Amounts(requests=1, audio_s=seconds) if seconds else None

    def _spoken_s(self) -> float:
        operation = self._operation
        if not self._audio_bytes or not isinstance(operation, Speak | CloneSpeech):
            return 0.0
        return self._audio_bytes / AUDIO_BYTES_PER_S[operation.format]


def _prompt_of(operation: Operation[Any, Any]) -> int:
    """About how many tokens were read."""
    if isinstance(operation, Chat):
        return _tokens_in("".join(message.text for message in operation.messages))
    if isinstance(operation, Complete):
        return sum(map(_tokens_in, operation.prompts))
    return 0


def _tokens_in(prompt: str | tuple[int | str, ...]) -> int:
    if isinstance(prompt, str):
        return -(-len(prompt) // CHARACTERS_PER_TOKEN)
    return sum(1 if isinstance(part, int) else _tokens_in(part) for part in prompt)
