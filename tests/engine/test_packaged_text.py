"""The local default's model for embeddings and reranking, with texts whose order is known."""

import asyncio
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from deployments.text.cosine_rerank import CosineRerank
from deployments.text.transformers_embeddings import TransformersEmbeddings
from serve_app.core.config import Model
from serve_app.core.errors import ContextLengthExceeded, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.text import CosineOptions, TransformersOptions
from serve_app.core.text.embeddings import Embed
from serve_app.core.text.rerank import Rerank
from tests.engine.tiny_encoders import POSITIONS, Files, save_encoder
from tests.weights import weights

MODEL = "all-MiniLM-L6-v2"
RELATED = (
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
    ("He drives to work every morning.", "Each day he commutes by car."),
    ("The stock market fell sharply.", "Share prices dropped a lot today."),
    ("She plays the violin in an orchestra.", "The musician performs with a string section."),
    ("It is raining heavily outside.", "There is a downpour out there."),
    ("The chef cooked a delicious meal.", "Dinner was prepared by the cook and tasted great."),
    ("The spacecraft landed on Mars.", "A probe touched down on the red planet."),
    ("The doctor examined the patient.", "A physician checked the sick man."),
    ("Children are playing in the park.", "Kids have fun at the playground."),
    ("The train was an hour late.", "The railway service had a long delay."),
    ("Water boils at one hundred degrees.", "The boiling point of water is 100 °C."),
    ("The king ruled for thirty years.", "The monarch's reign lasted three decades."),
    ("I forgot my password.", "I cannot remember my login credentials."),
    ("The team won the football match.", "They were victorious in the soccer game."),
    ("The bakery sells fresh bread.", "You can buy warm loaves at the baker's."),
    ("The river flooded the village.", "High water inundated the small town."),
    ("He is learning to speak Spanish.", "He studies the language of Spain."),
    ("The battery of my phone is empty.", "My mobile has run out of power."),
    ("The forest is full of tall trees.", "Many high pines grow in the woods."),
    ("The company hired ten engineers.", "Ten technicians were employed by the firm."),
)


def embeddings_engine(path: Path) -> TransformersEmbeddings:
    options = TransformersOptions(task="embeddings", device="cpu", threads=1)
    blobs = cast("BlobStore", Files({}))
    return TransformersEmbeddings(options, Model(id=MODEL), path=path, blobs=blobs)


def rerank_engine(path: Path, **options: Any) -> CosineRerank:
    given = CosineOptions(device="cpu", **options)
    blobs = cast("BlobStore", Files({}))
    return CosineRerank(given, Model(id="cosine"), path=path, blobs=blobs)


async def test_related_sentences_are_nearer_than_unrelated_ones() -> None:
    """Each sentence to its fellow, nearer than to any other of the twenty pairs."""
    engine = embeddings_engine(weights(MODEL))
    await engine.start()
    texts = tuple(text for pair in RELATED for text in pair)
    answer = await engine.embed(Embed(model=MODEL, texts=texts))
    assert answer.dimensions == 384
    vectors = np.stack([np.frombuffer(each, "<f4") for each in answer.vectors])
    near = vectors @ vectors.T
    np.fill_diagonal(near, -1)
    fellows = [number + 1 - 2 * (number % 2) for number in range(len(texts))]
    assert near.argmax(axis=1).tolist() == fellows
    await engine.close()


async def test_what_answers_the_query_comes_first() -> None:
    engine = rerank_engine(weights(MODEL), threads=1)
    await engine.start()
    queries, documents = zip(*RELATED, strict=True)
    asked = [engine.rerank(Rerank(model="c", query=q, documents=documents)) for q in queries]
    answers = await asyncio.gather(*asked)
    best = [int(np.argmax(answer.scores)) for answer in answers]
    assert best == list(range(len(RELATED)))
    assert all(0 <= score <= 1 for answer in answers for score in answer.scores)
    await engine.close()


async def test_scores_are_cosines_of_texts_that_are_cut(tmp_path: Path) -> None:
    engine = rerank_engine(save_encoder(tmp_path))
    await engine.start()
    long = "red " * 2 * POSITIONS
    documents = ("the red cat", "a big dog", long, "")
    result = await engine.rerank(Rerank(model="c", query="the red cat", documents=documents))
    assert result.scores[0] == pytest.approx(1, abs=1e-5)
    assert result.scores[1] < 1
    assert result.prompt_tokens == 5 + 5 + 5 + POSITIONS + 2
    cut = Rerank(model="c", query="the red cat", documents=(long,), max_length=4)
    assert (await engine.rerank(cut)).prompt_tokens == 9
    with pytest.raises(InvalidRequest, match="more than the 32"):
        await engine.rerank(cut.model_copy(update={"max_length": 99}))
    with pytest.raises(ContextLengthExceeded) as caught:
        await engine.rerank(Rerank(model="c", query=long, documents=("a",)))
    assert caught.value.param == "query"
    await engine.close()
