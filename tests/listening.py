"""The local default's Whisper, as the ear of tests that make speech."""

import re

from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.config import Model
from serve_app.core.options.audio import FasterWhisperOptions
from tests.material import COUNTING, stored
from tests.weights import weights

EAR = "whisper-base"
NUMBERS = dict(zip("1234567", COUNTING.split(), strict=True))


def listener(blobs: FsspecBlobStore, *, vad: bool = True) -> FasterWhisperTranscription:
    """An engine with nothing to start. Skips where its model cannot be fetched."""
    options = FasterWhisperOptions(device="cpu", compute_type="int8", threads=1, vad=vad)
    return FasterWhisperTranscription(options, Model(id=EAR), path=weights(EAR), blobs=blobs)


async def understood(
    engine: FasterWhisperTranscription, blobs: FsspecBlobStore, data: bytes
) -> str:
    """What is said in a file, in English."""
    request = Transcribe(model=EAR, audio=await stored(blobs, data), language="en")
    result = [event async for event in engine.transcribe(request)][-1]
    assert isinstance(result, Transcript)
    return result.text


def words_of(text: str) -> list[str]:
    """In lower case and without signs, digits as words."""
    return [NUMBERS.get(word, word) for word in re.findall(r"[a-z']+|\d", text.lower())]
