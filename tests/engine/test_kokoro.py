"""Speech by Kokoro: the engine around a library that says a known length of noise, and with its
published weights, which a recognition model understands."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from deployments.audio.kokoro import KokoroSpeech
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import (
    OPENAI_VOICES,
    AudioChunk,
    CloneSpeech,
    ListVoices,
    Speak,
    SpeechEnd,
    SpeechEvent,
)
from serve_app.core.audio.transcription import Transcribe, Transcript
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.media import Blob
from serve_app.core.options.audio import FasterWhisperOptions, KokoroOptions
from tests.material import decoded, stored
from tests.weights import default_models, weights

RATE = 24_000
LETTER_SAMPLES = 1_000
BLOB = Blob(sha256="0" * 64, mime="audio/wav", size=1)


class NoiseVoices:
    """Every letter lasts a thousand samples, as loud as the number of the voice."""

    sample_rate = RATE

    def __init__(self, *voices: str) -> None:
        self.voices = voices
        self.said: list[tuple[str, str]] = []

    def batches(self, sentence: str, tag: str) -> list[str]:
        letters = re.sub(r"[^a-z.]", "", sentence.lower())
        self.said.append((tag, sentence))
        return [letters] if letters.strip(".") else []

    def samples(self, batch: str, voice: str, speed: float) -> np.ndarray[Any, Any]:
        loudness = 0.1 * (1 + self.voices.index(voice))
        count = round(len(batch.strip(".")) * LETTER_SAMPLES / speed)
        return np.full(count, loudness, dtype=np.float32)

    def pause_s(self, batch: str) -> float:
        return 0.25 if batch.endswith(".") else 0.0


def engine(
    folder: Path, *voices: str, languages: tuple[str, ...] = (), **options: object
) -> tuple[KokoroSpeech, NoiseVoices]:
    library = NoiseVoices(*(voices or ("af_ann", "bm_ben", "if_ida", "jf_joy")))
    model = Model(id="kokoro", languages=languages) if languages else Model(id="kokoro")
    speech = KokoroSpeech(
        KokoroOptions.model_validate(options),
        model,
        path=None,
        blobs=FsspecBlobStore(folder / "blobs"),
        library=library,
    )
    return speech, library


async def events_of(model: KokoroSpeech, **wanted: object) -> list[SpeechEvent]:
    fields = {"model": "kokoro", "text": "One two three.", "format": "wav", **wanted}
    return [event async for event in model.speak(Speak.model_validate(fields))]


def bytes_of(events: list[SpeechEvent]) -> bytes:
    return b"".join([event.data for event in events if isinstance(event, AudioChunk)])


def end_of(events: list[SpeechEvent]) -> SpeechEnd:
    assert isinstance(events[-1], SpeechEnd)
    return events[-1]


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 4.0])
async def test_speed_divides_the_duration(tmp_path: Path, speed: float) -> None:
    model, _ = engine(tmp_path)
    events = await events_of(model, speed=speed)
    expected_s = 11 * LETTER_SAMPLES / RATE / speed
    assert end_of(events).duration_s == pytest.approx(expected_s, abs=0.03)
    assert decoded(bytes_of(events)).duration_s == pytest.approx(end_of(events).duration_s)


async def test_sentences_are_apart_and_speech_stops_between_two(tmp_path: Path) -> None:
    model, library = engine(tmp_path)
    two = end_of(await events_of(model, text="One two three four. One two three four."))
    assert two.duration_s == pytest.approx(2 * 15 * LETTER_SAMPLES / RATE + 0.25)
    library.said.clear()
    stream = model.speak(Speak(model="kokoro", text="One two three. " * 500, format="wav"))
    assert isinstance(await anext(stream), AudioChunk)
    await stream.aclose()
    assert 1 <= len(library.said) < 500


async def test_voices_have_a_language_and_openais_names_are_theirs(tmp_path: Path) -> None:
    model, library = engine(tmp_path, voice="bm_ben")
    voices = (await model.voices(ListVoices(model="kokoro"))).voices
    names = ["bm_ben", "af_ann", "if_ida", "jf_joy", *OPENAI_VOICES]
    assert [voice.name for voice in voices] == names
    assert [voice.language for voice in voices[:4]] == ["en", "en", "it", "en"]
    for name, tag in ((None, "en-gb"), ("AF_ANN", "en-us"), ("if_ida", "it"), ("coral", "it")):
        await events_of(model, voice=name)
        assert library.said[-1][0] == tag
    loudest = {
        name: round(float(decoded(bytes_of(await events_of(model, voice=name))).samples.max()), 1)
        for name in ("alloy", "ash", "coral", "marin", "verse")
    }
    assert loudest == {"alloy": 0.1, "ash": 0.2, "coral": 0.3, "marin": 0.4, "verse": 0.2}
    with pytest.raises(InvalidRequest, match="'nobody'; voices: bm_ben, af_ann") as caught:
        await events_of(model, voice="nobody")
    assert caught.value.param == "voice"


async def test_a_language_is_spoken_by_any_voice(tmp_path: Path) -> None:
    model, library = engine(tmp_path)
    for language, tag in (("es", "es"), ("en", "en-us"), ("en-gb", "en-gb"), ("pt_BR", "pt-br")):
        await events_of(model, language=language)
        assert library.said[-1][0] == tag
    await events_of(model, language="en", voice="bm_ben")
    assert library.said[-1][0] == "en-gb"
    for fields, param in (({"language": "ja"}, "language"), ({"text": "1 2 !"}, "text")):
        with pytest.raises(InvalidRequest) as caught:
            await events_of(model, **fields)
        assert caught.value.param == param
    with pytest.raises(UnsupportedCapability, match="its own voices only"):
        model.clone(CloneSpeech(model="kokoro", text="x", reference=BLOB))


async def test_espeak_has_the_languages_and_voices_that_it_lacks(tmp_path: Path) -> None:
    model, library = engine(tmp_path, languages=("en", "es"), fallback="espeak")
    for fields in (
        {"language": "de"},
        {"language": "it", "voice": "if_ida"},
        {"voice": "en-us+f3"},
    ):
        events = await events_of(model, **fields)
        assert end_of(events).duration_s > 0.3
        said = [notice.text for notice in end_of(events).warnings]
        language = fields.get("language")
        assert said == (
            [f"spoken by espeak-ng: 'kokoro' does not speak {language!r}"] if language else []
        )
    assert library.said == []
    listed = [voice.name for voice in (await model.voices(ListVoices(model="kokoro"))).voices]
    assert listed[:2] == ["af_ann", "bm_ben"]
    assert "de" in listed
    assert len(listed) == len(set(listed))
    for fields, param in (({"voice": "nobody"}, "voice"), ({"language": "qq"}, "language")):
        with pytest.raises(InvalidRequest) as caught:
            await events_of(model, **fields)
        assert caught.value.param == param


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    def loaded(folder: Path | None) -> KokoroSpeech:
        blobs = FsspecBlobStore(tmp_path / "blobs")
        return KokoroSpeech(KokoroOptions(), Model(id="kokoro"), path=folder, blobs=blobs)

    for folder in (None, tmp_path):
        with pytest.raises(BackendUnavailable, match="it has 0 and 0"):
            loaded(folder)
    (tmp_path / "kokoro.onnx").write_bytes(b"junk")
    np.savez(tmp_path / "voices.npz", af_ann=np.zeros((510, 1, 256), dtype=np.float32))
    with pytest.raises(BackendUnavailable, match="cannot be loaded by kokoro-onnx") as caught:
        loaded(tmp_path)
    assert str(tmp_path) not in caught.value.message


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> KokoroSpeech:
    """As in the local default."""
    return KokoroSpeech(
        KokoroOptions(voice="jf_gongitsune", threads=2),
        default_models()["kokoro"],
        path=weights("kokoro"),
        blobs=FsspecBlobStore(tmp_path_factory.mktemp("kokoro")),
    )


async def test_published_weights_speak(published: KokoroSpeech) -> None:
    listed = (await published.voices(ListVoices(model="kokoro"))).voices
    assert {"jf_alpha", "jf_nezumi", "jf_tebukuro", "jm_kumo", "alloy"} <= {v.name for v in listed}
    slow, quick = [
        end_of(await events_of(published, text="Good morning.", speed=speed)).duration_s
        for speed in (0.5, 2.0)
    ]
    assert slow / quick == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "Every morning my grandmother walks to the market and buys fresh bread."),
        ("es", "Todas las mañanas mi abuela camina al mercado y compra pan fresco."),
        ("it", "Ogni mattina mia nonna cammina al mercato e compra il pane fresco."),
    ],
)
async def test_what_it_says_is_understood_word_for_word(
    published: KokoroSpeech, transcribe: Any, language: str, text: str
) -> None:
    audio = bytes_of(await events_of(published, text=text, language=language))
    assert words(await transcribe(audio, language)) == words(text)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.fixture(scope="module")
def transcribe(tmp_path_factory: pytest.TempPathFactory) -> Any:
    blobs = FsspecBlobStore(tmp_path_factory.mktemp("whisper"))
    options = FasterWhisperOptions(compute_type="int8", threads=2)
    model = default_models()["whisper-base"]
    whisper = FasterWhisperTranscription(options, model, path=weights(model.id), blobs=blobs)

    async def heard(audio: bytes, language: str) -> str:
        blob = await stored(blobs, audio)
        request = Transcribe(model=model.id, audio=blob, language=language)
        events = [event async for event in whisper.transcribe(request)]
        assert isinstance(events[-1], Transcript)
        return events[-1].text

    return heard
