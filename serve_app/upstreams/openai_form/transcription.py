"""Transcription: a file in a form, and a transcript with times where the model knows them."""

from collections.abc import AsyncGenerator
from typing import Any

from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
    Word,
)
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.text.languages import language_code
from serve_app.upstreams.openai_form.chat_request import bytes_of
from serve_app.upstreams.openai_form.exchange import Object, OpenAIExchange
from serve_app.upstreams.openai_form.media_files import File, multipart, named_file
from serve_app.upstreams.openai_form.text_events import text

WITHOUT_TIMES = ("gpt-4o", "gpt-audio")
"""Beginnings of OpenAI's models that know no `verbose_json`."""


async def transcribe(
    operation: Transcribe, exchange: OpenAIExchange, blobs: BlobStore
) -> AsyncGenerator[TranscriptionEvent]:
    """The segments, and last the transcript."""
    model = exchange.target.model
    has_times = not model.startswith(WITHOUT_TIMES)
    content = await bytes_of(operation.audio, blobs)
    form: dict[str, str | list[str] | File] = {
        "file": named_file("audio", content, operation.audio.mime),
        "model": model,
        "response_format": "verbose_json" if has_times else "json",
    }
    is_translation = operation.mode == "translate"
    if has_times and not is_translation:
        form["timestamp_granularities[]"] = ["segment", "word"]
    if operation.language is not None and not is_translation:
        form["language"] = operation.language
    if operation.prompt is not None:
        form["prompt"] = operation.prompt
    if operation.temperature:
        form["temperature"] = str(operation.temperature)
    body, kind = multipart(form)
    path = "audio/translations" if is_translation else "audio/transcriptions"
    async with exchange.opened(path, body, kind) as response:
        answer = exchange.object_in(await response.read())
    if not isinstance(answer.get("text"), str):
        raise exchange.unreadable("has no text")
    transcript = _transcript(answer, operation)
    for segment in transcript.segments:
        yield segment
    yield transcript


def _transcript(answer: Object, operation: Transcribe) -> Transcript:
    words = [word for word in map(_word, _objects(answer.get("words"))) if word is not None]
    entries = _objects(answer.get("segments"))
    segments = [_segment(entry, number, words) for number, entry in enumerate(entries)]
    said = answer["text"].strip()
    duration = _number(answer.get("duration"))
    if duration is None:
        duration = segments[-1].end if segments else 0.0
    if not segments and said:
        segments = [TranscriptSegment(id=0, start=0.0, end=duration, text=said, words=tuple(words))]
    no_track = Notice(text="the provider chooses the audio track", field="audio_track")
    return Transcript(
        text=said,
        language=language_code(text(answer.get("language"))) or operation.language,
        duration_s=duration,
        segments=tuple(segments),
        warnings=(no_track,) if operation.audio_track is not None else (),
    )


def _segment(entry: Object, number: int, words: list[Word]) -> TranscriptSegment:
    """With the words that begin in it, which stand beside the segments."""
    start = _number(entry.get("start")) or 0.0
    end = max(start, _number(entry.get("end")) or start)
    own = [word for word in map(_word, _objects(entry.get("words"))) if word is not None]
    return TranscriptSegment(
        id=number,
        start=start,
        end=end,
        text=text(entry.get("text")).strip(),
        words=tuple(own or (word for word in words if start <= word.start < end)),
        avg_logprob=_number(entry.get("avg_logprob")),
        no_speech_prob=_number(entry.get("no_speech_prob")),
        compression_ratio=_number(entry.get("compression_ratio")),
        temperature=_number(entry.get("temperature")),
    )


def _word(entry: Object) -> Word | None:
    start, end = _number(entry.get("start")), _number(entry.get("end"))
    if start is None or end is None:
        return None
    return Word(word=text(entry.get("word")).strip(), start=start, end=max(start, end))


def _objects(value: Any) -> list[Object]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None
