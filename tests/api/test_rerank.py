"""POST /v1/rerank."""

from typing import Any

import httpx
import pytest

URL = "/v1/rerank"
DOCUMENTS = ["nothing here", "red apple", {"text": "a red green apple"}, "green"]


async def rank(client: httpx.AsyncClient, **fields: Any) -> Any:
    body = {"model": "overlap", "query": "red green", "documents": DOCUMENTS} | fields
    answer = await client.post(URL, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_best_come_first_and_equals_keep_their_order(client: httpx.AsyncClient) -> None:
    assert await rank(client) == {
        "object": "rerank.result",
        "model": "overlap",
        "results": [
            {"index": 2, "relevance_score": 1.0},
            {"index": 1, "relevance_score": 0.5},
            {"index": 3, "relevance_score": 0.5},
            {"index": 0, "relevance_score": 0.0},
        ],
        "usage": {"prompt_tokens": 17, "total_tokens": 17},
    }


@pytest.mark.parametrize(("top_n", "indexes"), [(1, [2]), (3, [2, 1, 3]), (99, [2, 1, 3, 0])])
async def test_top_n(client: httpx.AsyncClient, top_n: int, indexes: list[int]) -> None:
    results = (await rank(client, top_n=top_n))["results"]
    assert [result["index"] for result in results] == indexes


async def test_documents_come_back_when_asked(client: httpx.AsyncClient) -> None:
    results = (await rank(client, return_documents=True, top_n=2))["results"]
    texts = [result["document"] for result in results]
    assert texts == [{"text": "a red green apple"}, {"text": "red apple"}]
    for result in (await rank(client, return_documents=False))["results"]:
        assert "document" not in result


async def test_fields_without_effect_are_named(client: httpx.AsyncClient) -> None:
    body = {"model": "AUTO", "query": "a", "documents": ["a"], "rank_fields": []}
    answer = await client.post(URL, json=body)
    assert answer.json()["model"] == "overlap"
    assert answer.headers["x-ignored-fields"] == "rank_fields"
