"""Speech by espeak-ng: every format, speeds, voices, streaming and cancelling."""

import asyncio
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from deployments.audio.espeak import OPENAI_VOICES, EspeakSpeech
from serve_app.core.audio.speech import OPENAI_VOICES as NAMES
from serve_app.core.audio.speech import (
    AudioChunk,
    AudioFormat,
    ListVoices,
    Speak,
    SpeechEnd,
    SpeechEvent,
)
from serve_app.core.errors import InvalidRequest
from tests.material import COUNTING, Audio, decoded, espeak, wav

FORMATS: dict[AudioFormat, tuple[str, int]] = {
    "mp3": ("mp3float", 22_050),
    "wav": ("pcm_s16le", 22_050),
    "opus": ("opus", 48_000),
    "flac": ("flac", 22_050),
    "aac": ("aac", 22_050),
}
LONG = "This sentence takes the better part of three seconds to say. " * 20


@pytest.fixture
def engine(tmp_path: Path) -> EspeakSpeech:
    return espeak(tmp_path)


async def events_of(engine: EspeakSpeech, **wanted: object) -> list[SpeechEvent]:
    request = Speak.model_validate({"model": "espeak-ng", "text": COUNTING, **wanted})
    return [event async for event in engine.speak(request)]


def bytes_of(events: list[SpeechEvent]) -> bytes:
    return b"".join([event.data for event in events if isinstance(event, AudioChunk)])


def ending(events: list[SpeechEvent]) -> SpeechEnd:
    assert isinstance(events[-1], SpeechEnd)
    return events[-1]


def is_alike(one: Audio, other: Audio) -> bool:
    """As long and as loud in every tenth of a second, but for the chance in espeak's breath."""
    if abs(one.duration_s - other.duration_s) > 0.03:
        return False
    spans = [(k / 10, k / 10 + 0.1) for k in range(int(one.duration_s * 10))]
    return max(abs(one.loudness(*span) - other.loudness(*span)) for span in spans) < 0.05


async def audio_of(engine: EspeakSpeech, **wanted: object) -> Audio:
    return decoded(bytes_of(await events_of(engine, format="wav", **wanted)))


def test_every_format_but_raw_samples_is_in_the_table() -> None:
    assert set(FORMATS) | {"pcm"} == set(get_args(AudioFormat))


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_a_format_decodes_to_the_whole_speech(
    engine: EspeakSpeech, audio_format: AudioFormat
) -> None:
    events = await events_of(engine, format=audio_format)
    audio = decoded(bytes_of(events))
    codec, sample_rate = FORMATS[audio_format]
    assert (audio.codec, audio.sample_rate, audio.channels) == (codec, sample_rate, 1)
    # Lossy codecs pad the start and the end with a few frames of up to 1152 samples.
    assert audio.duration_s == pytest.approx(ending(events).duration_s, abs=3 * 1152 / 22_050)
    assert audio.loudness(0.1, audio.duration_s - 0.3) > 0.01
    assert ending(events).characters == len(COUNTING)


async def test_raw_samples_are_24_khz_mono(engine: EspeakSpeech) -> None:
    events = await events_of(engine, format="pcm")
    pcm = bytes_of(events)
    assert len(pcm) / 2 / 24_000 == pytest.approx(ending(events).duration_s, abs=0.001)
    assert is_alike(decoded(wav(pcm, sample_rate=24_000)), await audio_of(engine))


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
async def test_speed_divides_the_duration(engine: EspeakSpeech, speed: float) -> None:
    normal = ending(await events_of(engine)).duration_s
    events = await events_of(engine, speed=speed, format="wav")
    # Espeak shortens pauses less than words when it speaks faster.
    assert ending(events).duration_s == pytest.approx(normal / speed, rel=0.25)
    heard_s = decoded(bytes_of(events)).duration_s
    assert heard_s == pytest.approx(ending(events).duration_s, abs=0.001)


async def test_voices_begin_with_the_default_and_name_languages(tmp_path: Path) -> None:
    voices = (await espeak(tmp_path, voice="de").voices(ListVoices(model="espeak-ng"))).voices
    names = [voice.name for voice in voices]
    assert names[0] == "de"
    assert names[1 : 1 + len(OPENAI_VOICES)] == list(OPENAI_VOICES)
    assert len(set(names)) == len(names) > 100
    languages = {voice.name: voice.language for voice in voices}
    assert (languages["fr-fr"], languages["pt-br"], languages["alloy"]) == ("fr", "pt", None)


@pytest.mark.parametrize("name", ["nobody", "en-us+x9", "en-us+f", "+f2", "", "alloy+f2", "../en"])
async def test_an_unknown_voice_lists_the_voices(engine: EspeakSpeech, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await events_of(engine, voice=name)
    assert caught.value.param == "voice"
    assert repr(name) in caught.value.message
    assert "alloy" in caught.value.message
    assert "en-us" in caught.value.message


async def test_an_unknown_language_lists_the_languages(engine: EspeakSpeech) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await events_of(engine, language="klingon")
    assert caught.value.param == "language"
    assert "'klingon'" in caught.value.message
    assert "en-us" in caught.value.message


async def test_voices_and_languages_audio_different(engine: EspeakSpeech) -> None:
    wanted: tuple[dict[str, object], ...] = (
        {},
        {"voice": "onyx"},
        {"voice": "nova"},
        {"voice": "en-us+f2", "text": "uno dos"},
        {"voice": "nova", "language": "es", "text": "uno dos"},
        {"language": "de"},
    )
    recordings = [await audio_of(engine, **choice) for choice in wanted]
    assert not any(is_alike(one, other) for one, other in combinations(recordings, 2))


async def test_each_of_openais_names_is_a_voice_of_its_own(engine: EspeakSpeech) -> None:
    assert tuple(OPENAI_VOICES) == NAMES
    assert len(set(OPENAI_VOICES.values())) == len(NAMES)
    named, variant = [await audio_of(engine, voice=voice) for voice in ("shimmer", "en-us+annie")]
    assert is_alike(named, variant)
    assert not is_alike(named, await audio_of(engine, voice="alloy"))


async def test_the_same_request_recordings_the_same(engine: EspeakSpeech) -> None:
    first = await audio_of(engine, voice="nova")
    other = await audio_of(engine, voice="de", text="etwas anderes")
    assert is_alike(await audio_of(engine, voice="nova"), first)
    assert not is_alike(other, first)


@pytest.mark.parametrize("audio_format", [*FORMATS, "pcm"])
async def test_speech_comes_in_several_pieces(
    engine: EspeakSpeech, audio_format: AudioFormat
) -> None:
    events = await events_of(engine, text=LONG, format=audio_format)
    pieces = [len(event.data) for event in events if isinstance(event, AudioChunk)]
    assert len(pieces) > 20
    assert max(pieces) < sum(pieces) / 10
    assert min(pieces) > 0


async def test_leaving_early_frees_the_library(engine: EspeakSpeech) -> None:
    stream = engine.speak(Speak(model="espeak-ng", text=LONG * 50, format="wav"))
    assert isinstance(await anext(stream), AudioChunk)
    await stream.aclose()
    assert ending(await events_of(engine)).duration_s > 1


async def test_a_cancelled_task_frees_the_library(engine: EspeakSpeech) -> None:
    started = asyncio.Event()

    async def listen() -> None:
        async for _ in engine.speak(Speak(model="espeak-ng", text=LONG * 50, format="wav")):
            started.set()

    listener = asyncio.create_task(listen())
    await started.wait()
    listener.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listener
    assert ending(await events_of(engine)).duration_s > 1


async def test_two_at_once_do_not_mix(engine: EspeakSpeech) -> None:
    texts = ("seven seven seven", "a longer text that is spoken meanwhile")
    alone = [await audio_of(engine, text=text) for text in texts]
    together = await asyncio.gather(*(audio_of(engine, text=text) for text in texts))
    assert all(map(is_alike, together, alone))


@pytest.mark.parametrize("text", [" ", "...", "\0", "😀", "<speak>x</speak>", "\ud800", "a" * 500])
async def test_odd_texts_give_a_playable_file(engine: EspeakSpeech, text: str) -> None:
    events = await events_of(engine, text=text, format="mp3")
    assert ending(events).characters == len(text)
    assert np.isfinite(decoded(bytes_of(events)).samples).all()


REPLICA = """
import asyncio, sys, tempfile
from pathlib import Path
import psutil
import serve_app.build
import serve_app.family.replica
from serve_app.core.config import Family, Model
from serve_app.core.options.audio import EspeakOptions
from serve_app.core.settings import Storage
from serve_app.core.audio.speech import Speak
from serve_app.family.engines import load_engine

async def speak(folder):
    model = Model(id="espeak-ng")
    family = Family(name="speech", options=EspeakOptions(), models=(model,))
    engine = load_engine(family, Storage(data_dir=Path(folder)), model, None)
    for audio_format in ("mp3", "opus", "pcm"):
        request = Speak(model="m", text="one two " * 100, speed=3.0, format=audio_format)
        assert [event async for event in engine.speak(request)]

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(speak(folder))
heavy = {"torch", "transformers", "scipy", "diffusers", "cv2"} & set(sys.modules)
print(psutil.Process().memory_info().rss // 2**20, *sorted(heavy))
"""


def test_a_replica_is_small_and_free_of_torch() -> None:
    said = subprocess.run(
        [sys.executable, "-c", REPLICA], capture_output=True, text=True, check=True, timeout=50
    )
    mebibytes, *heavy = said.stdout.split()
    assert heavy == []
    assert int(mebibytes) < 250
