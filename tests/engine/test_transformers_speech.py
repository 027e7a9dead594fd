"""Speech by transformers: tiny VITS and SpeechT5 checkpoints through the real classes."""

import asyncio
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from deployments.audio.transformers_speech import TransformersSpeech
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
from serve_app.core.options.audio import TransformersSpeechOptions
from tests.engine.tiny_speech import (
    SPEECHT5_RATE,
    VITS_RATE,
    speecht5,
    vits,
    vits_duration_s,
)
from tests.material import Audio, decoded
from tests.notices import texts_of

SENTENCES = ("hello there my friend", "and good bye now")
TEXT = ". ".join(SENTENCES)
FORMATS = {"mp3": "mp3float", "wav": "pcm_s16le", "opus": "opus", "flac": "flac", "aac": "aac"}


@pytest.fixture(scope="session")
def vits_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vits(tmp_path_factory.mktemp("speech") / "vits")


@pytest.fixture(scope="session")
def speecht5_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speecht5(tmp_path_factory.mktemp("speech") / "speecht5")


@pytest.fixture(scope="session")
def single(vits_folder: Path) -> TransformersSpeech:
    return engine(vits_folder)


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> TransformersSpeech:
    return engine(vits(tmp_path_factory.mktemp("speech") / "many", speakers=3), voice="speaker-1")


@pytest.fixture(scope="session")
def named(speecht5_folder: Path) -> TransformersSpeech:
    return engine(speecht5_folder)


@pytest.fixture(scope="session")
def brief(tmp_path_factory: pytest.TempPathFactory) -> TransformersSpeech:
    """As `named`, but it ends every piece at once."""
    return engine(speecht5(tmp_path_factory.mktemp("speech") / "brief", is_endless=False))


def engine(
    folder: Path, *, languages: tuple[str, ...] = (), **options: object
) -> TransformersSpeech:
    return TransformersSpeech(
        TransformersSpeechOptions.model_validate(options),
        Model(id="speaker", languages=languages),
        path=folder,
        blobs=FsspecBlobStore(folder / "blobs"),
    )


async def events_of(model: TransformersSpeech, **wanted: object) -> list[SpeechEvent]:
    request = Speak.model_validate({"model": "speaker", "text": TEXT, "format": "wav", **wanted})
    return [event async for event in model.speak(request)]


def ending(events: list[SpeechEvent]) -> SpeechEnd:
    assert isinstance(events[-1], SpeechEnd)
    return events[-1]


def bytes_of(events: list[SpeechEvent]) -> bytes:
    return b"".join([event.data for event in events if isinstance(event, AudioChunk)])


async def audio_of(model: TransformersSpeech, **wanted: object) -> Audio:
    return decoded(bytes_of(await events_of(model, **wanted)))


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 2.0, 4.0])
async def test_vits_speaks_at_its_own_rate_and_at_the_pace_it_is_told(
    single: TransformersSpeech, speed: float
) -> None:
    events = await events_of(single, speed=speed)
    audio = decoded(bytes_of(events))
    # The first sentence keeps its full stop, which the checkpoint has no letter for.
    expected_s = sum(vits_duration_s(len(sentence), speed=speed) for sentence in SENTENCES)
    assert audio.sample_rate == VITS_RATE
    assert audio.duration_s == pytest.approx(expected_s, abs=1e-6)
    assert ending(events).duration_s == pytest.approx(expected_s, abs=1e-6)
    assert ending(events).characters == len(TEXT)
    assert audio.loudness(0, expected_s) > 0.01


async def test_speecht5_speaks_with_its_vocoders_rate(named: TransformersSpeech) -> None:
    events = await events_of(named, text="hello there", seed=1)
    audio = decoded(bytes_of(events))
    assert audio.sample_rate == SPEECHT5_RATE
    assert audio.duration_s == pytest.approx(ending(events).duration_s, abs=1e-6)
    assert 0.2 < audio.duration_s < 2
    assert audio.loudness(0, audio.duration_s) > 0.001
    faster = ending(await events_of(named, text="hello there", seed=1, speed=2.0))
    assert faster.duration_s == pytest.approx(audio.duration_s / 2, rel=0.1)


@pytest.mark.parametrize("audio_format", FORMATS)
async def test_every_format_decodes_to_the_whole_speech(
    single: TransformersSpeech, audio_format: str
) -> None:
    events = await events_of(single, format=audio_format)
    audio = decoded(bytes_of(events))
    assert audio.codec == FORMATS[audio_format]
    assert audio.sample_rate == (48_000 if audio_format == "opus" else VITS_RATE)
    assert audio.duration_s == pytest.approx(ending(events).duration_s, abs=3 * 1152 / VITS_RATE)


async def test_raw_samples_are_24_khz(single: TransformersSpeech) -> None:
    events = await events_of(single, format="pcm")
    seconds = len(bytes_of(events)) / 2 / 24_000
    assert seconds == pytest.approx(ending(events).duration_s, abs=0.001)


@pytest.mark.parametrize("model", ["single", "named"])
async def test_a_seed_repeats_the_audio(model: str, request: pytest.FixtureRequest) -> None:
    speaker: TransformersSpeech = request.getfixturevalue(model)
    recordings = [bytes_of(await events_of(speaker, text="hello", seed=seed)) for seed in (7, 7, 8)]
    assert recordings[0] == recordings[1] != recordings[2]
    torch.manual_seed(0)
    chance = {bytes_of(await events_of(speaker, text="hello")) for _ in range(3)}
    assert len(chance) == 3
    # Whoever else draws in this process is not disturbed.
    torch.manual_seed(5)
    await events_of(speaker, text="hello", seed=7)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert drawn == torch.rand(1)


async def test_seeds_repeat_while_others_speak(single: TransformersSpeech) -> None:
    alone = bytes_of(await events_of(single, seed=7))
    together = await asyncio.gather(*(events_of(single, seed=seed) for seed in (7, 1, 7, 2)))
    assert bytes_of(together[0]) == bytes_of(together[2]) == alone


@pytest.mark.parametrize("seed", [0, -1, 2**63 - 1])
async def test_any_seed_is_taken(single: TransformersSpeech, seed: int) -> None:
    assert ending(await events_of(single, seed=seed)).duration_s > 0


async def test_audio_comes_sentence_by_sentence(single: TransformersSpeech) -> None:
    events = await events_of(single, text=". ".join(["a sentence of many"] * 20))
    chunks = [event for event in events if isinstance(event, AudioChunk)]
    assert len(chunks) >= 20


@pytest.mark.parametrize("model", ["single", "named"])
async def test_leaving_stops_between_sentences(model: str, request: pytest.FixtureRequest) -> None:
    speaker: TransformersSpeech = request.getfixturevalue(model)
    begun: list[object] = []
    synthesize = speaker._speaker.synthesize

    def counted(sentence: torch.Tensor, **arguments: object) -> object:
        begun.append(sentence)
        return synthesize(sentence, **arguments)  # type: ignore[arg-type]

    speaker._speaker.synthesize = counted  # type: ignore[method-assign, assignment]
    try:
        text = ". ".join(["twelve and one more"] * 200)
        stream = speaker.speak(Speak(model="speaker", text=text, format="wav"))
        assert isinstance(await anext(stream), AudioChunk)
        await stream.aclose()
        after = len(begun)
        await asyncio.sleep(0.05)
    finally:
        speaker._speaker.synthesize = synthesize  # type: ignore[method-assign]
    assert after == len(begun) < 100
    assert ending(await events_of(speaker, text="hello")).duration_s > 0


async def test_speakers_audio_different(many: TransformersSpeech) -> None:
    names = [voice.name for voice in (await many.voices(ListVoices(model="speaker"))).voices]
    assert names[:3] == ["speaker-1", "speaker-0", "speaker-2"]
    assert set(OPENAI_VOICES) < set(names)
    recordings = [await audio_of(many, voice=name, seed=3) for name in names[:3]]
    assert len({audio.samples.tobytes() for audio in recordings}) == 3
    default = await audio_of(many, seed=3)
    assert np.array_equal(default.samples, recordings[0].samples)
    # OpenAI's names go round the speakers: the first is alloy, the second ash.
    alloy = await audio_of(many, voice="alloy", seed=3)
    assert np.array_equal(alloy.samples, recordings[1].samples)
    ash = await audio_of(many, voice="ash", seed=3)
    assert np.array_equal(ash.samples, recordings[0].samples)


async def test_voices_are_the_files_of_a_directory(named: TransformersSpeech) -> None:
    names = [voice.name for voice in (await named.voices(ListVoices(model="speaker"))).voices]
    assert names[:2] == ["ann", "bob"]
    ann, bob = [await audio_of(named, text="hello", voice=name, seed=3) for name in names[:2]]
    assert ann.samples.shape == bob.samples.shape
    assert not np.array_equal(ann.samples, bob.samples)


@pytest.mark.parametrize("model", ["single", "many", "named"])
async def test_an_unknown_voice_lists_the_voices(
    model: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await events_of(request.getfixturevalue(model), voice="nobody")
    assert caught.value.param == "voice"
    assert "'nobody'" in caught.value.message
    assert "alloy" in caught.value.message


async def test_the_checkpoint_decides_the_language(
    single: TransformersSpeech, named: TransformersSpeech, vits_folder: Path
) -> None:
    assert ending(await events_of(single, language="en-us")).warnings == ()
    with pytest.raises(InvalidRequest) as caught:
        await events_of(single, language="de")
    assert caught.value.param == "language"
    assert "languages: en" in caught.value.message
    [warning] = texts_of(ending(await events_of(named, text="hello", language="de")).warnings)
    assert "'de' had no effect" in warning
    german = engine(vits_folder, languages=("de",))
    assert ending(await events_of(german, language="de")).warnings == ()
    with pytest.raises(InvalidRequest):
        await events_of(german, language="en")


@pytest.mark.parametrize("model", ["single", "named"])
@pytest.mark.parametrize("text", ["...", "😀", "\0", "\n\n", "§"])
async def test_a_text_without_letters_cannot_be_said(
    model: str, text: str, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await events_of(request.getfixturevalue(model), text=text)
    assert caught.value.param == "text"


@pytest.mark.parametrize(
    ("model", "text"),
    [
        *product(("single", "named"), ("x", "ab. 😀. cd", "\ud800 a", "1 a")),
        *product(("single", "brief"), ("a" * 700, "no end, " * 60)),
    ],
)
async def test_odd_texts_are_said(model: str, text: str, request: pytest.FixtureRequest) -> None:
    events = await events_of(request.getfixturevalue(model), text=text)
    assert ending(events).duration_s > 0
    assert np.isfinite(decoded(bytes_of(events)).samples).all()


async def test_scripts_that_need_a_romanizer_are_refused(tmp_path: Path) -> None:
    model = engine(vits(tmp_path / "uroman", is_uroman=True, language="kor"))
    assert ending(await events_of(model, text="annyeong")).duration_s > 0
    with pytest.raises(InvalidRequest, match="pip install uroman") as caught:
        await events_of(model, text="안녕")
    assert caught.value.param == "text"


def test_checkpoints_that_lack_a_part_say_which(
    tmp_path: Path, vits_folder: Path, speecht5_folder: Path
) -> None:
    deaf = shutil.copytree(speecht5_folder, tmp_path / "no-vocoder")
    shutil.rmtree(deaf / "vocoder")
    with pytest.raises(BackendUnavailable, match=r"options\.vocoder"):
        engine(deaf)
    nobody = shutil.copytree(speecht5_folder, tmp_path / "no-voices")
    shutil.rmtree(nobody / "voices")
    with pytest.raises(BackendUnavailable, match=r"options\.voices"):
        engine(nobody)
    (nobody / "voices").mkdir()
    np.save(nobody / "voices" / "short.npy", np.zeros(3))
    with pytest.raises(BackendUnavailable, match=r"'short\.npy' is not a vector of 8"):
        engine(nobody)
    with pytest.raises(BackendUnavailable, match=r"options\.voice: unknown voice 'eve'"):
        engine(vits_folder, voice="eve")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BackendUnavailable, match="'speaker' cannot be loaded"):
        engine(empty)
    chat = tmp_path / "chat"
    chat.mkdir()
    (chat / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(BackendUnavailable, match="'gpt2' does not speak"):
        engine(chat)


async def test_closing_twice_does_no_harm(vits_folder: Path) -> None:
    model = engine(vits_folder)
    await model.start()
    await model.close()
    await model.close()
