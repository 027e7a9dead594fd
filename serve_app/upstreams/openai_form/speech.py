"""Speech: encoded audio as it comes."""

from collections.abc import AsyncGenerator

from serve_app.core.audio.speech import AudioChunk, ListVoices, Speak, SpeechEnd, Voice, Voices
from serve_app.core.notices import Notice
from serve_app.upstreams.openai_form.audio_length import AudioLength
from serve_app.upstreams.openai_form.exchange import OWN_SERVER, Object, OpenAIExchange

USUAL_VOICE = "alloy"


async def speak(
    operation: Speak, exchange: OpenAIExchange
) -> AsyncGenerator[AudioChunk | SpeechEnd]:
    """The chunks, and how long they are, as far as their format tells."""
    content: Object = {
        "model": exchange.target.model,
        "input": operation.text,
        # OpenAI's own needs one; other models have voices of other names.
        "voice": operation.voice or USUAL_VOICE,
        "response_format": operation.format,
    }
    if operation.speed != 1:
        content["speed"] = operation.speed
    own = {"language": operation.language, "seed": operation.seed}
    given = {name: value for name, value in own.items() if value is not None}
    is_own = exchange.kind in OWN_SERVER
    length = AudioLength(operation.format)
    async with exchange.opened("audio/speech", content | (given if is_own else {})) as response:
        kind = response.headers.get("content-type", "")
        if kind.startswith(("application/json", "text/")):
            raise exchange.unreadable(f"is {kind.partition(';')[0]!r} and not audio")
        async for data in response.chunks():
            length.add(data)
            yield AudioChunk(data=data)
    if not length.size:
        raise exchange.unreadable("is empty")
    yield SpeechEnd(
        duration_s=length.seconds,
        characters=len(operation.text),
        warnings=tuple(
            Notice(text="the provider has no such field", field=name)
            for name in (() if is_own else given)
        ),
    )


async def voices(operation: ListVoices, exchange: OpenAIExchange) -> AsyncGenerator[Voices]:  # noqa: ARG001
    """There is no request for them: the provider refuses the names that it does not have."""
    yield Voices(voices=(Voice(name=USUAL_VOICE),))
