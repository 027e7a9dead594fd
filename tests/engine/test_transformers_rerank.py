import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from deployments.text.transformers_rerank import TransformersRerank
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, ContextLengthExceeded, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.rerank import Rerank
from tests.engine.tiny_encoders import POSITIONS, Files, save_cross_encoder, save_encoder

QUERY = "the red cat"
DOCUMENTS = ("a cat sits on the red house", "dog", "the big dog runs and runs under the house.", "")


def engine_of(path: Path, **options: Any) -> TransformersRerank:
    return TransformersRerank(
        TransformersOptions(task="rerank", device="cpu", **options),
        Model(id="tiny"),
        path=path,
        blobs=cast("BlobStore", Files({})),
    )


def direct(path: Path, query: str, document: str) -> tuple[float, int]:
    """The score of one pair computed alone, and its tokens."""
    model = AutoModelForSequenceClassification.from_pretrained(path)
    inputs = AutoTokenizer.from_pretrained(path)([query], [document], return_tensors="pt")
    with torch.no_grad():
        logits = model(**inputs).logits[0]
    score = torch.sigmoid(logits[0]) if len(logits) == 1 else torch.softmax(logits, 0)[1]
    return score.item(), inputs["input_ids"].shape[1]


@pytest.fixture(scope="module", params=[1, 2])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_cross_encoder(tmp_path_factory.mktemp("cross"), labels=request.param)


async def test_scores_are_those_of_each_pair_alone(checkpoint: Path) -> None:
    engine = engine_of(checkpoint)
    await engine.start()
    result = await engine.rerank(Rerank(model="tiny", query=QUERY, documents=DOCUMENTS))
    expected = [direct(checkpoint, QUERY, document) for document in DOCUMENTS]
    assert result.scores == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert result.prompt_tokens == sum(tokens for _, tokens in expected)
    assert len(set(result.scores)) == len(DOCUMENTS)
    await engine.close()
    await engine.close()


async def test_concurrent_requests_share_batches_and_keep_their_scores(checkpoint: Path) -> None:
    engine = engine_of(checkpoint, max_batch_tokens=64)
    requests = [Rerank(model="tiny", query=q, documents=DOCUMENTS * 9) for q in (QUERY, "dog")]
    results = await asyncio.gather(*map(engine.rerank, requests))
    for request, result in zip(requests, results, strict=True):
        alone = await engine.rerank(request.model_copy(update={"documents": DOCUMENTS}))
        assert result.scores == pytest.approx(alone.scores * 9, abs=1e-5)
    await engine.close()


async def test_only_the_document_is_cut(checkpoint: Path) -> None:
    engine = engine_of(checkpoint)
    long = "a small green dog " * 20
    result = await engine.rerank(
        Rerank(model="tiny", query=QUERY, documents=(long,), max_length=12)
    )
    # 3 words of the query and 3 special tokens leave 6 for the document.
    score, tokens = direct(checkpoint, QUERY, " ".join(long.split()[:6]))
    assert result.scores == pytest.approx((score,), abs=1e-5)
    assert result.prompt_tokens == tokens == 12
    whole = await engine.rerank(Rerank(model="tiny", query=QUERY, documents=(long,)))
    assert whole.prompt_tokens == POSITIONS
    await engine.close()


async def test_more_than_the_model_reads(checkpoint: Path) -> None:
    engine = engine_of(checkpoint)
    with pytest.raises(InvalidRequest, match="33 tokens are more than the 32 that") as caught:
        await engine.rerank(Rerank(model="tiny", query="cat", documents=("dog",), max_length=33))
    assert caught.value.param == "max_length"
    with pytest.raises(ContextLengthExceeded) as overflow:
        await engine.rerank(Rerank(model="tiny", query="cat " * 40, documents=("dog",)))
    assert overflow.value.param == "query"
    await engine.close()


def test_a_checkpoint_without_a_head(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="is not a cross-encoder"):
        engine_of(save_encoder(tmp_path))


def test_three_labels(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="is not a cross-encoder"):
        engine_of(save_cross_encoder(tmp_path, labels=3))
