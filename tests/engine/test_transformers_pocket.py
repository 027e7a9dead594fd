"""Pocket TTS by transformers: a tiny checkpoint through the real classes."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from deployments.audio.transformers_speech import TransformersSpeech
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import AudioChunk, CloneSpeech, ListVoices, Speak, SpeechEnd
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.options.audio import PocketTtsOptions, TransformersSpeechOptions
from tests.engine.tiny_pocket import LATENT, RATE, pocket, pocket_duration_s
from tests.engine.tiny_speech import vits
from tests.material import Audio, decoded, silence, stored, tone, wav

SENTENCE = "hello there my friend."


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pocket(tmp_path_factory.mktemp("pocket") / "checkpoint")


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture(scope="session")
def stays(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("pocket-blobs"))


@pytest.fixture(scope="session")
def model(folder: Path, stays: FsspecBlobStore) -> TransformersSpeech:
    return engine(folder, stays)


def engine(folder: Path, blobs: FsspecBlobStore, **options: object) -> TransformersSpeech:
    return TransformersSpeech(
        PocketTtsOptions.model_validate(options), Model(id="pocket"), path=folder, blobs=blobs
    )


async def events_of(model: TransformersSpeech, **wanted: object) -> list[Any]:
    fields = {"model": "pocket", "text": SENTENCE, "format": "wav", **wanted}
    if "reference" in fields:
        return [event async for event in model.clone(CloneSpeech.model_validate(fields))]
    return [event async for event in model.speak(Speak.model_validate(fields))]


async def audio_of(model: TransformersSpeech, **wanted: object) -> Audio:
    events = await events_of(model, **wanted)
    assert isinstance(events[-1], SpeechEnd)
    return decoded(b"".join(event.data for event in events if isinstance(event, AudioChunk)))


async def test_a_sentence_has_its_length(model: TransformersSpeech) -> None:
    audio = await audio_of(model)
    assert audio.sample_rate == RATE
    assert audio.duration_s == pytest.approx(pocket_duration_s(len(SENTENCE)), abs=1e-6)
    assert audio.loudness(0, audio.duration_s) > 0.01


@pytest.mark.parametrize("speed", [0.5, 2.0])
async def test_speed_divides_the_duration(model: TransformersSpeech, speed: float) -> None:
    # Long enough that the window which stretching may lose at the end weighs little.
    text = "hello there my friend, " * 10
    normal = await audio_of(model, text=text, seed=1)
    audio = await audio_of(model, text=text, seed=1, speed=speed)
    assert audio.duration_s == pytest.approx(normal.duration_s / speed, abs=0.1)
    assert normal.duration_s > 0.9


async def test_a_seed_repeats_the_audio_and_voices_differ(model: TransformersSpeech) -> None:
    wanted = [("ann", 1), ("ann", 1), ("ann", 2), ("bob", 1), (None, 1)]
    heard = [(await audio_of(model, voice=v, seed=s)).samples.tobytes() for v, s in wanted]
    assert heard[0] == heard[1] == heard[4]
    assert len(set(heard)) == 3


async def test_a_clone_recordings_like_the_preset_of_the_same_recording(
    folder: Path, model: TransformersSpeech, stays: FsspecBlobStore
) -> None:
    """The reference decides the voice: the recording of a preset gives the preset's audio."""
    for name in ("ann", "bob"):
        recording = await stored(stays, (folder / "voices" / f"{name}.wav").read_bytes())
        cloned = await audio_of(model, reference=recording, seed=4)
        assert np.array_equal(cloned.samples, (await audio_of(model, voice=name, seed=4)).samples)


async def test_only_the_first_seconds_of_a_reference_count(
    model: TransformersSpeech, stays: FsspecBlobStore
) -> None:
    begun = tone(15, hz=300, sample_rate=RATE)
    short = await stored(stays, wav(begun, sample_rate=RATE))
    longer = begun + tone(5, hz=900, sample_rate=RATE)
    long = await stored(stays, wav(longer, sample_rate=RATE))
    first, second = [await audio_of(model, reference=one, seed=4) for one in (short, long)]
    assert np.array_equal(first.samples, second.samples)


async def test_references_without_a_voice_are_refused(
    model: TransformersSpeech, stays: FsspecBlobStore
) -> None:
    for data in (wav(silence(1)), b"no audio at all", wav(b"")):
        reference = await stored(stays, data)
        with pytest.raises(InvalidRequest) as caught:
            await events_of(model, reference=reference)
        assert caught.value.param == "reference"


async def test_models_without_imitation_refuse_a_reference(
    tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    path = vits(tmp_path / "vits")
    plain = TransformersSpeech(
        TransformersSpeechOptions(), Model(id="vits"), path=path, blobs=blobs
    )
    reference = await stored(blobs, wav(tone(1)))
    with pytest.raises(UnsupportedCapability) as caught:
        await events_of(plain, reference=reference)
    assert caught.value.param == "reference"


async def test_cloning_stops_within_a_sentence(
    model: TransformersSpeech, stays: FsspecBlobStore
) -> None:
    reference = await stored(stays, wav(tone(1)))
    text = " ".join([SENTENCE] * 300)
    stream = model.clone(CloneSpeech(model="pocket", text=text, reference=reference))
    assert isinstance(await anext(stream), AudioChunk)
    await stream.aclose()
    # Whoever comes next finds the model free.
    assert (await asyncio.wait_for(audio_of(model), 10)).duration_s > 0


@pytest.mark.parametrize("text", ["<voice>", "<audio-begins> !", "...", "😀"])
async def test_nothing_to_say(model: TransformersSpeech, text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await events_of(model, text=text)
    assert caught.value.param == "text"


async def test_a_text_cannot_speak_to_the_model(model: TransformersSpeech) -> None:
    plain = await audio_of(model, text="hello  there", seed=1)
    odd = await audio_of(model, text="hello<voice> there", seed=1)
    assert odd.duration_s == plain.duration_s


def test_latents_are_voices_too(folder: Path, tmp_path: Path, blobs: FsspecBlobStore) -> None:
    voices = tmp_path / "voices"
    voices.mkdir()
    save_file({"latents": torch.randn(1, 9, LATENT)}, voices / "eve.safetensors")
    save_file({"cache": torch.zeros(2, 3)}, voices / "cache.safetensors")
    model = engine(folder, blobs, voices=str(voices))
    names = [voice.name for voice in asyncio.run(model.voices(ListVoices(model="pocket"))).voices]
    assert names[:2] == ["eve", "alloy"]
    assert asyncio.run(audio_of(model, voice="eve")).duration_s > 0


def test_checkpoints_that_lack_a_part_say_which(
    folder: Path, tmp_path: Path, blobs: FsspecBlobStore
) -> None:
    lacking = shutil.copytree(folder, tmp_path / "lacking")
    shutil.rmtree(lacking / "audio_tokenizer")
    with pytest.raises(BackendUnavailable, match=r"options\.audio_tokenizer"):
        engine(lacking, blobs)
    silent = shutil.copytree(folder, tmp_path / "silent")
    (silent / "voices" / "ann.wav").write_bytes(wav(silence(1)))
    with pytest.raises(BackendUnavailable, match=r"'ann\.wav' is not a recording"):
        engine(silent, blobs)
    shutil.rmtree(silent / "voices")
    with pytest.raises(BackendUnavailable, match=r"options\.voices"):
        engine(silent, blobs)
    with pytest.raises(BackendUnavailable, match="engine pocket_tts takes pocket_tts"):
        engine(vits(tmp_path / "vits"), blobs)
