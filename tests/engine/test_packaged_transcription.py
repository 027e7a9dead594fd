"""The local default's Whisper, with a recording whose words are known."""

import re
from pathlib import Path

from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.config import Model
from serve_app.core.options.audio import FasterWhisperOptions
from tests.material import COUNTING, counting, stored
from tests.weights import weights

MODEL = "whisper-base"
NUMBERS = dict(zip("1234567", COUNTING.split(), strict=True))


def words(text: str) -> list[str]:
    """In lower case and without signs, numbers in letters."""
    return [NUMBERS.get(word, word) for word in re.findall(r"[a-z]+|\d", text.lower())]


async def test_every_word_of_a_recording(tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    engine = FasterWhisperTranscription(
        FasterWhisperOptions(compute_type="int8", threads=1),
        Model(id=MODEL),
        path=weights(MODEL),
        blobs=blobs,
    )
    await engine.start()
    request = Transcribe(model=MODEL, audio=await stored(blobs, counting()))
    events = [event async for event in engine.transcribe(request)]
    transcript = events[-1]
    assert isinstance(transcript, Transcript)
    assert transcript.language == "en"
    assert words(transcript.text) == COUNTING.split()
    await engine.close()
