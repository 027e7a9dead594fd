"""Voices converted by signal processing, of speakers whose pitch is known."""

import asyncio
import io
import json
import subprocess
import sys
import wave
from collections.abc import Iterator
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.audio.audio_decoding import SPEECH_RATE, first_seconds, speech_blocks
from deployments.audio.pitch import median_pitch
from deployments.audio.rubberband import Reshaping, reshaped
from deployments.audio.rubberband_conversion import RubberbandConversion
from deployments.audio.voice_character import measured_character, timbre_gains
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.voice_conversion import ConvertedVoice, ConvertVoice
from serve_app.core.config import Model
from serve_app.core.errors import AppError, InternalError, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.audio import RubberbandOptions
from tests.listening import listener, understood, words_of
from tests.material import COUNTING, clip, content, counting, decoded, silence, spoken, stored, tone
from tests.material import wav as mono_wav
from tests.notices import texts_of

MAN, WOMAN = "en-us", "en-us+f2"
SENTENCE = "the old sailor buys seven green apples for his hungry horse"
SEMITONE = 1.0


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def engine(blobs: FsspecBlobStore) -> RubberbandConversion:
    return RubberbandConversion(RubberbandOptions(), Model(id="rubberband"), path=None, blobs=blobs)


async def converted(
    engine: RubberbandConversion,
    blobs: FsspecBlobStore,
    source: bytes,
    target: bytes,
    **fields: Any,
) -> tuple[ConvertedVoice, bytes]:
    request = ConvertVoice(
        model="rubberband",
        source=await stored(blobs, source),
        target=await stored(blobs, target),
        **fields,
    )
    events = [event async for event in engine.convert_voice(request)]
    assert all(isinstance(event, Progress) for event in events[:-1])
    result = events[-1]
    assert isinstance(result, ConvertedVoice)
    assert result.audio.mime == "audio/wav"
    return result, await content(blobs, result.audio)


def pitch_hz(data: bytes, tmp_path: Path, *, highest_hz: float = 500.0) -> float:
    file = tmp_path / "heard.wav"
    file.write_bytes(data)
    blocks = speech_blocks(file, param="file")
    found = median_pitch(blocks, lambda: False, highest_hz=highest_hz)
    assert found is not None
    return found


def semitones(heard: float, wanted: float) -> float:
    return abs(12 * log2(heard / wanted))


def bands_db(data: bytes, tmp_path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    file = tmp_path / "bands.wav"
    file.write_bytes(data)
    character = measured_character(speech_blocks(file, param="file"), lambda: False)
    powers = np.array(character.bands)
    level: np.ndarray[Any, np.dtype[np.float64]] = 10 * np.log10(powers / powers.sum() + 1e-9)
    return level


@pytest.mark.parametrize(("source", "target"), [(MAN, WOMAN), (WOMAN, MAN), (MAN, "en-us+f5")])
async def test_the_pitch_and_the_spectrum_become_the_targets(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, source: str, target: str
) -> None:
    said = await spoken(tmp_path, SENTENCE, voice=source)
    model = await spoken(tmp_path, "good morning my friends how are you", voice=target)
    result, data = await converted(engine, blobs, said, model)
    wanted = pitch_hz(model, tmp_path)
    assert semitones(pitch_hz(said, tmp_path), wanted) > 6
    assert semitones(pitch_hz(data, tmp_path), wanted) < SEMITONE
    before = np.abs(bands_db(said, tmp_path) - bands_db(model, tmp_path)).mean()
    after = np.abs(bands_db(data, tmp_path) - bands_db(model, tmp_path)).mean()
    assert after < before
    audio, original = decoded(data), decoded(said)
    assert (audio.codec, audio.sample_rate, audio.channels) == ("pcm_s16le", 22_050, 1)
    assert audio.duration_s == pytest.approx(original.duration_s, abs=0.05)
    assert result.duration_s == pytest.approx(audio.duration_s, abs=0.001)
    assert 0.3 < audio.loudness(0, 9) / original.loudness(0, 9) < 3
    assert "signal processing" in texts_of(result.warnings)[0]
    assert len(result.warnings) == 1


@pytest.mark.parametrize("factor", [0.75, 0.8, 0.85])
async def test_the_words_survive(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, factor: float
) -> None:
    """The target is the same recording played slower: a voice a few semitones lower."""
    said = counting()
    target = mono_wav(said[44:], sample_rate=round(22_050 * factor))
    _, data = await converted(engine, blobs, said, target)
    assert semitones(pitch_hz(data, tmp_path), pitch_hz(target, tmp_path)) < SEMITONE
    heard = await understood(listener(blobs), blobs, data)
    assert len(set(COUNTING.split()) & set(words_of(heard))) >= 6, heard


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
async def test_the_duration_is_adjusted_and_the_pitch_is_not(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, factor: float
) -> None:
    said = await spoken(tmp_path, SENTENCE)
    _, data = await converted(engine, blobs, said, said, length_adjust=factor)
    wanted = decoded(said).duration_s * factor
    assert decoded(data).duration_s == pytest.approx(wanted, abs=0.05)
    assert semitones(pitch_hz(data, tmp_path), pitch_hz(said, tmp_path)) < SEMITONE


@pytest.mark.parametrize("shift", [-7.0, 5.0, 12.0])
async def test_the_pitch_is_shifted_on_top(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, shift: float
) -> None:
    said = await spoken(tmp_path, SENTENCE, voice=WOMAN)
    _, data = await converted(engine, blobs, said, said, pitch_shift=shift)
    wanted = pitch_hz(said, tmp_path) * 2 ** (shift / 12)
    assert semitones(pitch_hz(data, tmp_path, highest_hz=1000), wanted) < SEMITONE


async def test_songs_keep_high_notes_and_full_bandwidth(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    high = mono_wav(tone(2.0, hz=800.0))
    _, data = await converted(engine, blobs, high, mono_wav(tone(2.0, hz=600.0)), is_singing=True)
    assert decoded(data).sample_rate == 44_100
    assert semitones(decoded(data).pitch_hz(), 600.0) < SEMITONE


async def test_what_has_no_effect_is_said_when_it_was_asked_for(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = await spoken(tmp_path, "good morning")
    result, _ = await converted(engine, blobs, said, said, diffusion_steps=10, guidance=0.7)
    warnings = [warning.partition(" has no effect")[0] for warning in texts_of(result.warnings)[1:]]
    assert warnings == ["the number of diffusion steps", "the guidance"]


def many_channels(pcm: bytes, *, sample_rate: int, channels: int) -> bytes:
    samples = np.frombuffer(pcm, "<i2")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return target.getvalue()


def resampled(said: bytes, rate: int) -> bytes:
    audio = decoded(said)
    count = round(audio.duration_s * rate)
    moments = np.arange(count) / rate * audio.sample_rate
    samples = np.interp(moments, np.arange(len(audio.samples)), audio.samples)
    return bytes((samples * 32767).astype("<i2").tobytes())


@pytest.mark.parametrize("kind", ["8 kHz", "96 kHz, 8 channels", "4 GB header", "film"])
async def test_unusual_audio_is_converted(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, kind: str
) -> None:
    said = await spoken(tmp_path, SENTENCE)
    target = await spoken(tmp_path, SENTENCE, voice=WOMAN)
    match kind:
        case "8 kHz":
            source = mono_wav(resampled(said, 8_000), sample_rate=8_000)
        case "96 kHz, 8 channels":
            source = many_channels(resampled(said, 96_000), sample_rate=96_000, channels=8)
        case "4 GB header":
            plain = mono_wav(resampled(said, 16_000))
            source = plain[:4] + b"\xff" * 4 + plain[8:40] + b"\xff" * 4 + plain[44:]
        case _:
            video = clip(tmp_path / "video.mp4", 4.0, audio=resampled(said, 16_000))
            source = video.read_bytes()
    for given, wanted in ((source, target), (target, source)):
        _, data = await converted(engine, blobs, given, wanted)
        # The audio of a video is as long as the video.
        lasts_s = 4.0 if kind == "film" and given is source else decoded(given).duration_s
        assert decoded(data).duration_s == pytest.approx(lasts_s, abs=0.1)
        heard = pitch_hz(wanted, tmp_path)
        assert semitones(pitch_hz(data, tmp_path), heard) < SEMITONE


async def test_silence_is_converted_and_said_to_be_voiceless(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    said = await spoken(tmp_path, SENTENCE)
    result, data = await converted(engine, blobs, mono_wav(silence(2.0)), said)
    assert any(
        "no voice was detected in the source" in warning for warning in texts_of(result.warnings)
    )
    assert decoded(data).loudness(0, 2) == 0
    assert decoded(data).duration_s == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    "kind", ["silence", "empty wav", "noise of bytes", "mute video", "a click"]
)
async def test_a_target_without_a_voice_is_named(
    engine: RubberbandConversion, blobs: FsspecBlobStore, tmp_path: Path, kind: str
) -> None:
    said = await spoken(tmp_path, SENTENCE)
    bad = {
        "silence": mono_wav(silence(2.0)),
        "empty wav": mono_wav(b""),
        "noise of bytes": b"RIFF" + bytes(range(256)) * 8,
        "mute video": clip(tmp_path / "mute.mp4", 1.0).read_bytes(),
        "a click": mono_wav(b"\0\x7f"),
    }[kind]
    with pytest.raises(InvalidRequest) as caught:
        await converted(engine, blobs, said, bad)
    assert caught.value.param == "target"
    if kind not in ("silence", "a click"):
        with pytest.raises(InvalidRequest) as caught:
            await converted(engine, blobs, bad, said)
        assert caught.value.param == "source"
    _, data = await converted(engine, blobs, said, said)
    assert decoded(data).duration_s > 1, "the engine lives on"


def children() -> set[int]:
    """This process's children that run ffmpeg."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        for pid in (task / "children").read_text().split():
            comm = Path(f"/proc/{pid}/comm")
            if comm.exists() and comm.read_text().startswith("ffmpeg"):
                found.add(int(pid))
    return found


async def endless(blobs: FsspecBlobStore) -> ConvertVoice:
    """A request that takes long."""
    audio = await stored(blobs, mono_wav(tone(600.0, hz=150.0)))
    return ConvertVoice(
        model="rubberband", source=audio, target=audio, pitch_shift=5, length_adjust=2
    )


@pytest.mark.parametrize("phase", ["listen", "convert"])
async def test_leaving_ends_the_child(
    engine: RubberbandConversion, blobs: FsspecBlobStore, phase: str
) -> None:
    events = engine.convert_voice(await endless(blobs))
    async for event in events:
        assert isinstance(event, Progress)
        if event.phase == phase:
            break
    assert bool(children()) == (phase == "convert")
    await events.aclose()
    assert children() == set()


async def test_cancelling_ends_the_child(
    engine: RubberbandConversion, blobs: FsspecBlobStore
) -> None:
    request = await endless(blobs)
    is_under_way = asyncio.Event()

    async def work() -> None:
        async for event in engine.convert_voice(request):
            if isinstance(event, Progress) and event.phase == "convert":
                is_under_way.set()

    task = asyncio.create_task(work())
    await is_under_way.wait()
    assert children()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert children() == set()


def test_what_the_source_raises_comes_through() -> None:
    def failing() -> Iterator[bytes]:
        yield tone(1.0)
        raise InvalidRequest("x: broken", param="x")

    audio = reshaped(failing(), Reshaping(), rate=16_000, out_rate=16_000, stop=lambda: False)
    with pytest.raises(InvalidRequest):
        list(audio)
    assert children() == set()


def test_a_child_that_fails_is_a_clean_error(caplog: pytest.LogCaptureFixture) -> None:
    wrong = Reshaping(gains_db=((float("nan"), float("nan")),))
    blocks = iter([tone(1.0)])
    with pytest.raises(AppError) as caught:
        list(reshaped(blocks, wrong, rate=16_000, out_rate=0, stop=lambda: False))
    assert isinstance(caught.value, InternalError)
    assert "ffmpeg failed" in caplog.text


@pytest.mark.parametrize("hz", [70.0, 110.0, 220.0, 440.0])
def test_the_pitch_of_a_tone(hz: float) -> None:
    moments = np.arange(SPEECH_RATE) / SPEECH_RATE
    audio = sum(np.sin(2 * np.pi * hz * k * moments) / k for k in range(1, 6))
    pcm = (4_000 * np.asarray(audio)).astype("<i2").tobytes()
    blocks = (pcm[start : start + 999 * 2] for start in range(0, len(pcm), 999 * 2))
    found = median_pitch(blocks, lambda: False)
    assert found == pytest.approx(hz, rel=0.005)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(3).normal(0, 3_000, SPEECH_RATE).astype("<i2").tobytes()
    assert median_pitch(iter([noise]), lambda: False) is None
    assert median_pitch(iter([silence(1.0)]), lambda: False) is None
    assert median_pitch(iter([]), lambda: False) is None


def test_gains_are_bounded_and_absent_for_silence(tmp_path: Path) -> None:
    file = tmp_path / "noise.wav"
    noise = np.random.default_rng(3).normal(0, 3_000, 2 * SPEECH_RATE)
    file.write_bytes(mono_wav(noise.astype("<i2").tobytes()))
    source = measured_character(speech_blocks(file, param="x"), lambda: False)
    file.write_bytes(mono_wav(np.cumsum(noise / 20).clip(-30_000, 30_000).astype("<i2").tobytes()))
    target = measured_character(speech_blocks(file, param="x"), lambda: False)
    gains = [gain for _, gain in timbre_gains(source, target)]
    assert gains[0] > 5 > 0 > gains[-1]
    assert max(gains) - min(gains) <= 20
    assert all(abs(gain) < 0.5 for _, gain in timbre_gains(source, source))
    empty = measured_character(iter([silence(1.0)]), lambda: False)
    assert timbre_gains(source, empty) == timbre_gains(empty, source) == ()


def test_only_the_first_seconds_are_taken() -> None:
    blocks = (tone(1.0) for _ in range(10))
    assert sum(map(len, first_seconds(blocks, 2.5))) == 2.5 * SPEECH_RATE * 2


REPLICA = """
import asyncio, json, sys
from pathlib import Path
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Family
from serve_app.core.settings import Storage
from serve_app.core.audio.speech import CloneSpeech
from serve_app.core.audio.voice_conversion import ConvertVoice
from serve_app.family.engines import load_engine

async def main(folder):
    storage = Storage(data_dir=folder)
    blobs = FsspecBlobStore(storage.blobs_location)
    audio = await blobs.write_file(folder / "audio.wav", mime="audio/wav")
    for name, options in (("convert", {"engine": "rubberband"}), ("speech", {"engine": "espeak"})):
        family = Family(name=name, options=options, models=[{"id": name}])
        engine = load_engine(family, storage, family.models[0], None)
        if name == "convert":
            events = engine.convert_voice(ConvertVoice(model=name, source=audio, target=audio))
        else:
            events = engine.clone(CloneSpeech(model=name, text="good morning", reference=audio))
        async for _ in events:
            pass
    heavy = [m for m in ("torch", "transformers", "scipy", "ray") if m in sys.modules]
    # Not getrusage, whose maximum a child takes over from the process that forked it.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    peak_mb = int(status["VmHWM"].split()[0]) / 1024
    print(json.dumps({"heavy": heavy, "peak_mb": peak_mb}))

asyncio.run(main(Path(sys.argv[1])))
"""


def test_replicas_stay_light(tmp_path: Path) -> None:
    (tmp_path / "audio.wav").write_bytes(mono_wav(tone(180.0, hz=150.0)))
    done = subprocess.run(
        [sys.executable, "-c", REPLICA, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["heavy"] == []
    assert said["peak_mb"] < 150, said
