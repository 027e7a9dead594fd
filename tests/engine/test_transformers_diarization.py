"""Speakers told apart by x-vectors: the real classes with tiny weights, and known vectors."""

from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor, WavLMConfig, WavLMForXVector, WavLMModel

from deployments.audio.speaker_clustering import Vectors
from deployments.audio.speaker_diarization import MOST_PIECES, check_count, piece_edges
from deployments.audio.transformers_diarization import TransformersDiarization
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.diarization import Diarization, Diarize
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge
from serve_app.core.message import Progress
from serve_app.core.options.audio import TransformersDiarizationOptions
from tests.conversation import Conversation, conversation, rightly_named
from tests.material import silence, stored, tone, wav
from tests.notices import texts_of

TWO = ("en-us+m3", "en-us+f2")


def config() -> WavLMConfig:
    return WavLMConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16, 16, 16),
        conv_stride=(10, 8, 4),
        conv_kernel=(10, 8, 4),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        tdnn_dim=(16, 16, 32),
        tdnn_kernel=(5, 3, 1),
        tdnn_dilation=(1, 2, 1),
        xvector_output_dim=16,
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wavlm")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    WavLMForXVector(config()).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


class Pitched(TransformersDiarization):
    """Tells voices by how often they cross zero, so that what is right is known."""

    def _vectors(self, pieces: list[np.ndarray[tuple[int], np.dtype[np.float32]]]) -> Vectors:
        assert super()._vectors(pieces).shape == (len(pieces), 16)
        crossings = [np.abs(np.diff(np.sign(piece))).mean() for piece in pieces]
        return np.array([[1.0, 0.0] if c > 0.1 else [0.0, 1.0] for c in crossings], np.float32)


def loaded(
    path: Path | None, blobs: FsspecBlobStore, kind: type[TransformersDiarization]
) -> TransformersDiarization:
    options = TransformersDiarizationOptions(device="cpu", threads=1)
    return kind(options, Model(id="wavlm"), path=path, blobs=blobs)


@pytest.fixture
async def engine(
    checkpoint: Path, blobs: FsspecBlobStore
) -> AsyncGenerator[TransformersDiarization]:
    engine = loaded(checkpoint, blobs, TransformersDiarization)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


async def diarized(
    engine: TransformersDiarization,
    blobs: FsspecBlobStore,
    data: bytes,
    num_speakers: int | None = None,
) -> Diarization:
    request = Diarize(model="wavlm", audio=await stored(blobs, data), num_speakers=num_speakers)
    *told, last = [event async for event in engine.diarize(request)]
    assert all(isinstance(event, Progress) for event in told)
    assert isinstance(last, Diarization)
    return last


def two_tones() -> Conversation:
    """A low and a high one by turns, two seconds each, 40 s in all."""
    pause = np.zeros(8_000)
    parts, spoken = [], []
    for number in range(16):
        low = np.frombuffer(tone(2.0, hz=300 if number % 2 else 2_000), "<i2") / 32768
        spoken.append((2.5 * number, 2.5 * number + 2.0, number % 2))
        parts += [low, pause]
    return Conversation(np.concatenate(parts), tuple(spoken))


@pytest.mark.parametrize("given", [2, None])
async def test_alike_vectors_are_one_speaker(
    checkpoint: Path, blobs: FsspecBlobStore, given: int | None
) -> None:
    known = two_tones()
    result = await diarized(loaded(checkpoint, blobs, Pitched), blobs, known.wav, given)
    assert [turn.speaker for turn in result.turns] == ["A", "B"] * 8
    assert rightly_named(known, result.turns) > 0.9
    assert result.warnings == ()


async def test_the_model_itself_hears_every_piece(
    engine: TransformersDiarization, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    known = await conversation(tmp_path, TWO, sentences=6)
    for given in (1, 2, 3):
        result = await diarized(engine, blobs, known.wav, given)
        assert len({turn.speaker for turn in result.turns}) == given
        spoken = sum(turn.end - turn.start for turn in result.turns)
        assert spoken > 0.8 * sum(end - start for start, end, _ in known.spoken)
    again = await diarized(engine, blobs, known.wav, 3)
    assert again == result


async def test_more_speakers_than_speech_is_said(
    engine: TransformersDiarization, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    alone = await conversation(tmp_path, TWO[:1], sentences=1)
    result = await diarized(engine, blobs, alone.wav, 50)
    assert any(
        "of 50 speakers could be distinguished" in warning for warning in texts_of(result.warnings)
    )


async def test_silence_has_no_speaker(
    engine: TransformersDiarization, blobs: FsspecBlobStore
) -> None:
    for data in (wav(silence(3.0)), wav(silence(0.001)), wav(silence(65.0))):
        assert (await diarized(engine, blobs, data)).turns == ()


async def test_what_cannot_be_decoded_names_the_file(
    engine: TransformersDiarization, blobs: FsspecBlobStore
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await diarized(engine, blobs, b"no audio at all")
    assert caught.value.param == "audio"


async def test_a_closed_stream_ends_the_work(
    engine: TransformersDiarization, blobs: FsspecBlobStore
) -> None:
    known = two_tones()
    request = Diarize(model="wavlm", audio=await stored(blobs, known.wav))
    events = engine.diarize(request)
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    assert (await diarized(engine, blobs, known.wav, 2)).turns


def test_pieces_lie_in_the_regions() -> None:
    lengths = np.array([50, 50, 10, 70])
    edges = piece_edges([(10, 110), (200, 210), (300, 370)], lengths)
    assert edges == [(10, 60), (60, 110), (200, 210), (300, 370)]


def test_a_checkpoint_of_another_kind_is_refused(blobs: FsspecBlobStore, tmp_path: Path) -> None:
    WavLMModel(config()).save_pretrained(tmp_path / "plain")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "plain")
    with pytest.raises(BackendUnavailable, match="x-vectors"):
        loaded(tmp_path / "plain", blobs, TransformersDiarization)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BackendUnavailable, match="'wavlm' cannot be loaded"):
        loaded(tmp_path / "empty", blobs, TransformersDiarization)
    with pytest.raises(BackendUnavailable, match="'wavlm' has no source"):
        loaded(None, blobs, TransformersDiarization)


def test_more_speech_than_can_be_compared_is_refused() -> None:
    check_count(np.full(MOST_PIECES, 100))
    with pytest.raises(PayloadTooLarge, match=r"^5\.6 hours of speech") as caught:
        check_count(np.full(MOST_PIECES + 1, 100))
    assert caught.value.param == "audio"
