"""espeak-ng in the likeness of references whose pitch is known."""

from math import log2
from pathlib import Path

import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.espeak import EspeakSpeech
from deployments.audio.pitch import median_pitch
from deployments.audio.voice_character import measured_character
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import AudioChunk, AudioFormat, CloneSpeech, SpeechEnd
from serve_app.core.audio.wav import sized
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Progress
from tests.engine.test_rubberband_conversion import children
from tests.listening import listener, understood, words_of
from tests.material import (
    COUNTING,
    clip,
    content,
    decoded,
    espeak,
    silence,
    spoken,
    stored,
    tone,
    wav,
)
from tests.notices import texts_of

TAKES = 4
SENTENCE = "the old sailor buys seven green apples for his hungry horse"
REFERENCE = "good morning my dear friends how are you today"


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path)


@pytest.fixture
def engine(tmp_path: Path) -> EspeakSpeech:
    return espeak(tmp_path)


async def cloned(
    engine: EspeakSpeech,
    blobs: FsspecBlobStore,
    reference: bytes,
    text: str = SENTENCE,
    **fields: object,
) -> tuple[bytes, SpeechEnd]:
    request = CloneSpeech(
        model="espeak-ng", text=text, reference=await stored(blobs, reference)
    ).model_copy(update=fields)
    events = [event async for event in engine.clone(request)]
    end = events.pop()
    assert isinstance(end, SpeechEnd)
    assert all(isinstance(event, AudioChunk | Progress) for event in events)
    data = b"".join(event.data for event in events if isinstance(event, AudioChunk))
    return sized(data), end


def pitch_hz(data: bytes, tmp_path: Path) -> float:
    file = tmp_path / "heard.wav"
    file.write_bytes(data)
    found = median_pitch(speech_blocks(file, param="file"), lambda: False)
    assert found is not None
    return found


def tilt_db(data: bytes, tmp_path: Path) -> float:
    """How much louder the spectrum is below 600 Hz than above 2 kHz."""
    file = tmp_path / "tilt.wav"
    file.write_bytes(data)
    bands = np.array(measured_character(speech_blocks(file, param="file"), lambda: False).bands)
    return float(10 * np.log10(bands[:7].sum() / bands[12:].sum()))


def lower(data: bytes, factor: float) -> bytes:
    """The same samples, played more slowly: another voice, deeper and larger."""
    return wav(data[44:], sample_rate=round(22_050 * factor))


@pytest.mark.parametrize("voice", ["en-us", "en-us+f2", "en-us+f5", "en-us+m7"])
async def test_the_pitch_and_the_tilt_become_the_references(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path, voice: str
) -> None:
    reference = lower(await spoken(tmp_path, REFERENCE, voice=voice), 1.2)
    data, end = await cloned(engine, blobs, reference)
    wanted = pitch_hz(reference, tmp_path)
    assert abs(12 * log2(pitch_hz(data, tmp_path) / wanted)) < 1
    plain = await spoken(tmp_path, SENTENCE)
    before = abs(tilt_db(plain, tmp_path) - tilt_db(reference, tmp_path))
    assert abs(tilt_db(data, tmp_path) - tilt_db(reference, tmp_path)) < max(before, 3.0)
    assert end.characters == len(SENTENCE)
    assert end.duration_s == pytest.approx(decoded(data).duration_s, abs=0.001)
    (warning,) = texts_of(end.warnings)
    assert "signal processing" in warning


async def test_the_words_survive(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    reference = lower(await spoken(tmp_path, REFERENCE, voice="en-us+f2"), 0.9)
    ear = listener(blobs)
    # espeak-ng says nothing twice alike, and not every take is understood.
    for _ in range(TAKES):
        data, _ = await cloned(engine, blobs, reference, COUNTING, speed=0.75)
        heard = await understood(ear, blobs, data)
        if len(set(COUNTING.split()) & set(words_of(heard))) >= 4:
            break
    else:
        raise AssertionError(f"none of {TAKES} takes is understood: {heard}")


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
async def test_speed(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path, speed: float
) -> None:
    reference = await spoken(tmp_path, REFERENCE)
    normal, _ = await cloned(engine, blobs, reference)
    data, _ = await cloned(engine, blobs, reference, speed=speed)
    ratio = decoded(normal).duration_s / decoded(data).duration_s
    assert ratio == pytest.approx(speed, rel=0.25)


@pytest.mark.parametrize("audio_format", ["mp3", "opus", "flac", "aac"])
async def test_formats(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path, audio_format: AudioFormat
) -> None:
    reference = await spoken(tmp_path, REFERENCE)
    data, end = await cloned(engine, blobs, reference, format=audio_format)
    assert decoded(data).duration_s == pytest.approx(end.duration_s, abs=0.15)


async def test_another_language_and_a_seed(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    reference = await spoken(tmp_path, REFERENCE)
    english, _ = await cloned(engine, blobs, reference, "die Katze")
    german, end = await cloned(engine, blobs, reference, "die Katze", language="de", seed=3)
    again, _ = await cloned(engine, blobs, reference, "die Katze", language="de", seed=4)
    lengths = [decoded(data).duration_s for data in (english, german, again)]
    assert abs(lengths[0] - lengths[1]) > 0.02
    assert lengths[2] == pytest.approx(lengths[1], abs=0.01)
    assert texts_of(end.warnings)[1].startswith("seed: has no effect")
    with pytest.raises(InvalidRequest) as caught:
        await cloned(engine, blobs, reference, language="tlh")
    assert caught.value.param == "language"


async def test_only_the_first_fifteen_seconds_count(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    man, woman = [await spoken(tmp_path, REFERENCE, voice=v) for v in ("en-us", "en-us+f2")]
    times = int(15 / decoded(man).duration_s) + 1
    reference = wav(man[44:] * times + woman[44:] * 5 * times, sample_rate=22_050)
    data, _ = await cloned(engine, blobs, reference)
    wanted = pitch_hz(man, tmp_path)
    assert abs(12 * log2(pitch_hz(data, tmp_path) / wanted)) < 1


@pytest.mark.parametrize("text", ["...", "\0", "😀", "x"])
async def test_odd_texts_give_a_playable_file(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path, text: str
) -> None:
    data, end = await cloned(engine, blobs, await spoken(tmp_path, REFERENCE), text)
    assert data[:4] == b"RIFF"
    assert end.characters == len(text)


@pytest.mark.parametrize("kind", ["silence", "empty", "bytes", "mute video"])
async def test_a_reference_without_a_voice_is_named(
    engine: EspeakSpeech, blobs: FsspecBlobStore, tmp_path: Path, kind: str
) -> None:
    bad = {
        "silence": wav(silence(2.0)),
        "empty": wav(b""),
        "bytes": b"RIFF" + bytes(range(256)) * 8,
        "mute video": clip(tmp_path / "mute.mp4", 1.0).read_bytes(),
    }[kind]
    with pytest.raises(InvalidRequest) as caught:
        await cloned(engine, blobs, bad)
    assert caught.value.param == "reference"
    await cloned(engine, blobs, await spoken(tmp_path, REFERENCE))


async def test_leaving_early_ends_the_child_and_frees_the_library(
    engine: EspeakSpeech, blobs: FsspecBlobStore
) -> None:
    reference = await stored(blobs, wav(tone(2.0, hz=150.0)))
    request = CloneSpeech(model="espeak-ng", text=SENTENCE * 100, reference=reference)
    events = engine.clone(request)
    async for event in events:
        if isinstance(event, AudioChunk):
            break
    assert children()
    await events.aclose()
    assert children() == set()
    audio = await stored(blobs, (await cloned(engine, blobs, wav(tone(2.0, hz=150.0))))[0])
    assert await content(blobs, audio)
