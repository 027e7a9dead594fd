"""Speech by Piper: the engine around a library that says nothing but a known length of noise, as
the real one is an extra."""

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from deployments.audio.piper import PiperConfig, PiperSpeech
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import (
    OPENAI_VOICES,
    AudioChunk,
    ListVoices,
    Speak,
    SpeechEnd,
    SpeechEvent,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.options.audio import PiperOptions
from tests.material import decoded

RATE = 22_050
SAMPLES_PER_LETTER = 1000


class Synthesis(NamedTuple):
    speaker_id: int | None
    length_scale: float


class Chunk(NamedTuple):
    audio_int16_bytes: bytes


@dataclass
class Config:
    sample_rate: int = RATE
    espeak_voice: str = "en-us"
    num_speakers: int = 1
    speaker_id_map: dict[str, int] = field(default_factory=dict)
    length_scale: float = 1.0


@dataclass
class NoiseVoice:
    """Every letter lasts a thousand samples, as loud as the number of the speaker."""

    config: PiperConfig
    said: list[str] = field(default_factory=list)

    def synthesize(self, text: str, syn_config: Any = None) -> Iterator[Chunk]:
        self.said.append(text)
        letters = sum(character.isalpha() for character in text)
        count = round(letters * SAMPLES_PER_LETTER * syn_config.length_scale)
        loudness = 1000 * (1 + (syn_config.speaker_id or 0))
        if count:
            yield Chunk(np.full(count, loudness, dtype="<i2").tobytes())


class NoisePiper:
    def __init__(self, config: Config) -> None:
        self.voice = NoiseVoice(config)
        self.loaded: Path | None = None

    def load(self, path: Path) -> NoiseVoice:
        self.loaded = path
        if path.read_bytes() != b"voice":
            raise RuntimeError(f"no model: {path}")
        return self.voice

    def synthesis(self, *, speaker_id: int | None, length_scale: float) -> Synthesis:
        return Synthesis(speaker_id, length_scale)


def engine(
    folder: Path, config: Config | None = None, *, content: bytes = b"voice", **options: object
) -> tuple[PiperSpeech, NoisePiper]:
    library = NoisePiper(config or Config())
    (folder / "en_US-ann-low.onnx").write_bytes(content)
    speech = PiperSpeech(
        PiperOptions.model_validate(options),
        Model(id="piper"),
        path=folder,
        blobs=FsspecBlobStore(folder / "blobs"),
        library=library,
    )
    return speech, library


async def events_of(model: PiperSpeech, **wanted: object) -> list[SpeechEvent]:
    fields = {"model": "piper", "text": "one two three.", "format": "wav", **wanted}
    return [event async for event in model.speak(Speak.model_validate(fields))]


def bytes_of(events: list[SpeechEvent]) -> bytes:
    return b"".join([event.data for event in events if isinstance(event, AudioChunk)])


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
async def test_speed_divides_the_duration(tmp_path: Path, speed: float) -> None:
    model, library = engine(tmp_path, Config(length_scale=1.5))
    events = await events_of(model, speed=speed)
    expected_s = 11 * SAMPLES_PER_LETTER * 1.5 / speed / RATE
    audio = decoded(bytes_of(events))
    assert library.loaded == tmp_path / "en_US-ann-low.onnx"
    assert audio.sample_rate == RATE
    assert audio.duration_s == pytest.approx(expected_s)
    assert events[-1] == SpeechEnd(duration_s=expected_s, characters=14)


async def test_audio_comes_sentence_by_sentence_and_stops_between_two(tmp_path: Path) -> None:
    model, library = engine(tmp_path)
    text = " ".join(["one two three four."] * 500)
    stream = model.speak(Speak(model="piper", text=text, format="wav"))
    assert isinstance(await anext(stream), AudioChunk)
    await stream.aclose()
    assert 1 <= len(library.voice.said) < 500
    assert library.voice.said[0] == "one two three four."


async def test_speakers_are_voices(tmp_path: Path) -> None:
    config = Config(num_speakers=2, speaker_id_map={"zoe": 0, "ann": 1})
    model, _ = engine(tmp_path, config, voice="ann")
    voices = (await model.voices(ListVoices(model="piper"))).voices
    assert [voice.name for voice in voices] == ["ann", "zoe", *OPENAI_VOICES]
    assert {voice.language for voice in voices} == {"en"}
    heard = {}
    for name in (None, "ann", "zoe", "alloy", " Ash "):
        audio = decoded(bytes_of(await events_of(model, voice=name)))
        heard[name] = round(float(audio.samples.max()) * 32768)
    assert heard == {None: 2000, "ann": 2000, "zoe": 1000, "alloy": 1000, " Ash ": 2000}
    with pytest.raises(InvalidRequest, match="'nobody'; voices: ann, zoe, alloy") as caught:
        await events_of(model, voice="nobody")
    assert caught.value.param == "voice"


async def test_another_language_and_a_text_without_words_are_refused(tmp_path: Path) -> None:
    model, _ = engine(tmp_path)
    assert bytes_of(await events_of(model, language="en-gb"))
    for fields, param in (({"language": "de"}, "language"), ({"text": "1 2 !"}, "text")):
        with pytest.raises(InvalidRequest) as caught:
            await events_of(model, **fields)
        assert caught.value.param == param


def test_a_broken_voice_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="cannot be loaded by piper: no model") as caught:
        engine(tmp_path, content=b"junk")
    assert str(tmp_path) not in caught.value.message
    (tmp_path / "other.onnx").write_bytes(b"voice")
    with pytest.raises(BackendUnavailable, match="it has 2"):
        engine(tmp_path)
    (tmp_path / "other.onnx").unlink()
    with pytest.raises(BackendUnavailable, match="unknown voice 'eve'; voices: default"):
        engine(tmp_path, voice="eve")


@pytest.mark.skipif(
    importlib.util.find_spec("piper") is not None, reason="the piper extra is installed"
)
def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match=r"pip install 'polyphony\[piper\]'"):
        PiperSpeech(
            PiperOptions(), Model(id="piper"), path=tmp_path, blobs=FsspecBlobStore(tmp_path)
        )
