"""GET /v1/models, /v1/models/{id} and health."""

from typing import Any

import httpx
import pytest

from deployments.fakes.video import FACTS
from serve_app import __version__
from serve_app.core.status import ModelStatus
from tests.api.conftest import FAMILIES, MakeContext, client_of

ECHO = {
    "id": "echo",
    "object": "model",
    "created": 1,
    "owned_by": "polyphony",
    "capabilities": ["llm", "text_generation"],
    "supports_streaming": True,
    "type": "text",
    "loaded": False,
    "backend": "fake",
    "status": {"state": "unloaded"},
    "alias": "Parrot",
    "aliases": ["Parrot"],
}
AUTO = {
    "id": "auto",
    "object": "model",
    "created": 1,
    "owned_by": "polyphony",
    "capabilities": ["asr", "speech_to_text"],
    "supports_streaming": True,
    "type": "audio",
    "is_routing_alias": True,
}
ALL = [
    "auto",
    "echo",
    "org/eye",
    "digest",
    "overlap",
    "hum",
    "whisper-base",
    "squares",
    "halves",
    "mirror",
    "repeater",
    "bright",
    "lights",
    "flow",
]


async def listed(client: httpx.AsyncClient, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"/v1/models{query}")
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"object", "data"}
    assert answer.json()["object"] == "list"
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def ids(client: httpx.AsyncClient, query: str) -> list[str]:
    return [entry["id"] for entry in await listed(client, query)]


@pytest.mark.covers("aistack: is_routing_alias and supports_streaming")
async def test_the_list_begins_with_the_routing_alias(client: httpx.AsyncClient) -> None:
    entries = await listed(client)
    assert [entry["id"] for entry in entries] == ALL
    assert entries[:2] == [AUTO, ECHO]


@pytest.mark.covers("CoderAI: GET /v1/models")
@pytest.mark.covers("aistack: GET /v1/models with capabilities and languages")
async def test_every_entry_has_what_the_contract_promises(client: httpx.AsyncClient) -> None:
    types = {entry["id"]: entry["type"] for entry in await listed(client)}
    assert types == {
        "auto": "audio",
        "echo": "text",
        "org/eye": "vision",
        "digest": "embedding",
        "overlap": "rerank",
        "hum": "tts",
        "whisper-base": "audio",
        "squares": "image",
        "halves": "image",
        "mirror": "image",
        "repeater": "image",
        "bright": "image",
        "lights": "video",
        "flow": "video",
    }
    for entry in await listed(client):
        assert entry["capabilities"]
        assert isinstance(entry["supports_streaming"], bool)
        assert isinstance(entry["created"], int)
        assert entry["owned_by"]
        assert ("languages" in entry) == (entry["id"] == "whisper-base")
        assert ("is_routing_alias" in entry) == (entry["id"] == "auto")


async def test_coarse_names_come_before_fine_ones(client: httpx.AsyncClient) -> None:
    names = {entry["id"]: entry["capabilities"] for entry in await listed(client)}
    assert names["whisper-base"] == ["asr", "speech_to_text", "subtitle_generation"]
    assert names["hum"] == ["tts", "text_to_speech"]
    assert names["org/eye"] == ["llm", "text_generation", "image_to_text"]
    assert names["digest"] == ["embeddings"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?type=text", ["echo"]),
        ("?type=vision", ["org/eye"]),
        ("?type=audio", ["auto", "whisper-base"]),
        ("?type=video", ["lights", "flow"]),
        ("?capability=llm", ["echo", "org/eye"]),
        ("?capability=image_to_text", ["org/eye"]),
        ("?capability=asr", ["auto", "whisper-base"]),
        ("?type=text&capability=image_to_text", []),
        ("?capability=inpainting", ["squares"]),
        ("?nothing=1", ALL),
    ],
)
async def test_filters(client: httpx.AsyncClient, query: str, expected: list[str]) -> None:
    assert await ids(client, query) == expected


@pytest.mark.parametrize("name", ["type", "capability"])
async def test_a_filter_nothing_can_match_says_what_would(
    client: httpx.AsyncClient, name: str
) -> None:
    answer = await client.get("/v1/models", params={name: "bogus"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == name
    assert "embedding" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("echo", "echo"),
        ("ECHO", "echo"),
        ("parrot", "echo"),
        ("org/eye", "org/eye"),
        ("org%2Feye", "org/eye"),
        ("org%2feye", "org/eye"),
        ("whisper-1", "whisper-base"),
        ("auto", "auto"),
    ],
)
async def test_one_model_by_its_names(client: httpx.AsyncClient, path: str, found: str) -> None:
    answer = await client.get(f"/v1/models/{path}")
    assert answer.status_code == 200
    assert answer.json() == next(e for e in await listed(client) if e["id"] == found)


@pytest.mark.parametrize(
    "path", ["none", "org", "eye", "org/eye/more", "%00", "a%20b", "x" * 5000, "%F0%9F%92%A9", ""]
)
async def test_an_unknown_model(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/v1/models/{path}")
    error = answer.json()["error"]
    assert answer.status_code == 404
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert len(error["message"]) <= 2000


async def test_loading_is_told(make_context: MakeContext) -> None:
    statuses = {
        "echo": ModelStatus(id="echo", state="ready", context_length=77),
        "org/eye": ModelStatus(
            id="org/eye", state="downloading", bytes_done=30, bytes_total=120, eta_s=9
        ),
        "hum": ModelStatus(id="hum", state="failed", cause="no such checkpoint"),
    }
    async with client_of(make_context(statuses=statuses)) as client:
        entries = {entry["id"]: entry for entry in await listed(client)}
    assert entries["echo"]["loaded"] is True
    assert entries["echo"]["context_length"] == 77
    assert entries["org/eye"]["loaded"] is False
    assert entries["org/eye"]["status"] == {
        "state": "downloading",
        "bytes_done": 30,
        "bytes_total": 120,
        "eta_s": 9.0,
        "percent": 25.0,
    }
    assert entries["hum"]["status"] == {"state": "failed", "cause": "no such checkpoint"}


async def test_the_licence_and_origin_of_weights_from_packages_are_told(
    make_context: MakeContext,
) -> None:
    """Also where the packages are not the first source."""
    packaged = {
        "package": "tiny==1.0",
        "files": {"model.bin": "0" * 64},
        "size_bytes": 1,
        "licence": "Apache-2.0",
        "origin": "https://example.com/tiny",
    }
    sources = {"near": packaged, "listed": ["org/tiny", packaged], "far": "org/tiny"}
    models = [{"id": id, "source": source} for id, source in sources.items()]
    family = {**FAMILIES[0], "models": models}
    async with client_of(make_context(families=[family])) as client:
        entries = {entry["id"]: entry for entry in await listed(client)}
    told = {id: (e.get("licence"), e.get("origin")) for id, e in entries.items()}
    known = ("Apache-2.0", "https://example.com/tiny")
    assert told == {"near": known, "listed": known, "far": (None, None)}


async def test_without_a_listening_model_there_is_no_routing_alias(
    make_context: MakeContext,
) -> None:
    families = [family for family in FAMILIES if family["name"] != "transcription"]
    async with client_of(make_context(families=families)) as client:
        assert await ids(client, "") == [name for name in ALL[1:] if name != "whisper-base"]
        assert (await client.get("/v1/models/auto")).status_code == 404


async def test_an_empty_server_lists_nothing(make_context: MakeContext) -> None:
    async with client_of(make_context(families=[])) as client:
        assert await listed(client) == []
        body = {"messages": [{"role": "user", "content": "x"}]}
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("path", ["/v1/health", "/healthz"])
async def test_health(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.json() == {"status": "ok", "version": __version__}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]}),
        ("/v1/completions", {"prompt": "x"}),
        ("/v1/embeddings", {"input": "x"}),
        ("/v1/rerank", {"query": "x", "documents": ["x"]}),
        ("/v1/audio/speech", {"input": "x"}),
        ("/v1/audio/transcriptions", {"file": "UklGRgAAAABXQVZF"}),
    ],
)
async def test_an_unknown_model_and_one_of_another_kind(
    client: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await client.post(path, json=body | {"model": "no-such-model"})
    error = answer.json()["error"]
    assert answer.status_code == 404, answer.text
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "'no-such-model'" in error["message"]
    other = "digest" if path != "/v1/embeddings" else "overlap"
    answer = await client.post(path, json=body | {"model": other})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["code"], error["param"]) == ("unsupported_capability", "model")
    assert "models:" in error["message"]


async def test_the_frame_grid_of_a_video_model_is_listed_before_it_is_loaded(
    make_context: MakeContext,
) -> None:
    stated = FACTS.model_dump(mode="json")
    video = {"engine": "fake", "task": "video"}
    models = [{"id": "lights", "video": stated | {"native_fps": 12}}]
    context = make_context(families=[{"name": "video", "options": video, "models": models}])
    async with client_of(context) as client:
        [model] = (await client.get("/v1/models")).json()["data"]
    assert model["loaded"] is False
    assert model["video"] == stated | {"native_fps": 12}
    told = ModelStatus(id="lights", state="ready", video=FACTS)
    context = make_context(
        families=[{"name": "video", "options": video, "models": models}], statuses={"lights": told}
    )
    async with client_of(context) as client:
        [model] = (await client.get("/v1/models")).json()["data"]
    assert model["video"] == stated
