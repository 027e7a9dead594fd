"""POST /v1/audio/stems over the fake, which passes for trained, and over real signal processing."""

import base64
import io
import wave
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.audio.hpss_stems import HpssStems
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.options.audio import HpssOptions
from serve_app.core.status import ModelStatus
from tests.api.conftest import MakeContext, client_of
from tests.material import tone, wav

URL = "/v1/audio/stems"
given_AUDIO = wav(tone(1.0))
AUDIO = base64.b64encode(given_AUDIO).decode()
TRAINED = {
    "name": "trained",
    "options": {"engine": "fake", "task": "stems"},
    "models": [{"id": "mirror"}],
}
FALLBACK = {"name": "fallback", "options": {"engine": "hpss"}, "models": [{"id": "hpss"}]}
HPSS = "no trained stem separation model is available; allow the fallback"


async def separate(
    make_context: MakeContext,
    tmp_path: Path,
    families: tuple[dict[str, Any], ...] = (TRAINED, FALLBACK),
    statuses: dict[str, ModelStatus] | None = None,
    **fields: Any,
) -> httpx.Response:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    hpss = HpssStems(HpssOptions(), Model(id="hpss"), path=None, blobs=blobs)
    runs = {"fallback": hpss} if FALLBACK in families else {}
    context = make_context(families=list(families), runs=runs, statuses=statuses)
    async with client_of(context) as client:
        return await client.post(URL, json={"audio": AUDIO} | fields)


def frames(data: bytes) -> tuple[int, int]:
    with wave.open(io.BytesIO(data)) as file:
        return file.getframerate(), file.getnframes()


@pytest.mark.covers("CoderAI: POST /v1/audio/stems")
async def test_the_whole_answer_of_a_trained_engine(
    make_context: MakeContext, tmp_path: Path
) -> None:
    answer = await separate(make_context, tmp_path)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body.pop("created"), int)
    items = body.pop("data")
    assert body == {
        "stem_mode": "vocals-instrumental",
        "backend": {
            "engine": "fake",
            "model": "mirror",
            "quality": "ml",
            "dependency": "none",
            "ml_backend_available": True,
            "preferred_engine": "fake",
        },
        "limitations": [],
    }
    assert [(item["name"], item["role"]) for item in items] == [
        ("vocals", "lead"),
        ("instrumental", "accompaniment"),
    ]
    assert [item.keys() for item in items] == [{"url", "name", "role"}] * 2
    assert answer.headers["x-job-id"]


async def test_signal_processing_says_what_it_is(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await separate(make_context, tmp_path, (FALLBACK,), fallback_mode=True)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["backend"] == {
        "engine": "hpss",
        "model": "hpss",
        "quality": "best-effort",
        "dependency": "numpy",
        "ml_backend_available": False,
        "preferred_engine": None,
    }
    assert body["limitations"]


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        (None, ["vocals", "instrumental"]),
        ("vocals-instrumental", ["vocals", "instrumental"]),
        ("4-stem", ["vocals", "drums", "bass", "other"]),
        ("drums-bass-other", ["drums", "bass", "other"]),
    ],
)
@pytest.mark.parametrize("form", ["b64_wav", "base64", "b64"])
async def test_stems_inside_the_answer_have_the_mixs_length(
    make_context: MakeContext, tmp_path: Path, mode: str | None, names: list[str], form: str
) -> None:
    answer = await separate(
        make_context,
        tmp_path,
        (FALLBACK,),
        fallback_mode=True,
        stem_mode=mode,
        response_format=form,
    )
    items = answer.json()["data"]
    assert [item["name"] for item in items] == names
    for item in items:
        assert item.keys() == {"b64_wav", "name", "role"}
        assert frames(base64.b64decode(item["b64_wav"])) == frames(given_AUDIO)


async def test_every_stem_is_fetched_and_archived(
    make_context: MakeContext, tmp_path: Path
) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    hpss = HpssStems(HpssOptions(), Model(id="hpss"), path=None, blobs=blobs)
    context = make_context(families=[FALLBACK], runs={"fallback": hpss})
    fields = {"audio": AUDIO, "fallback_mode": True, "stem_mode": "4-stem", "tag": "song"}
    async with client_of(context) as client:
        body = (await client.post(URL, json=fields)).json()
        urls = [item["url"] for item in body["data"]]
        for url in urls:
            assert frames((await client.get(url)).content) == frames(given_AUDIO)
        archived = (await client.get("/v1/archive", params={"tag": "song"})).json()
    assert {entry["url"] for entry in archived["files"]} == {*urls}
    assert {entry["type"] for entry in archived["files"]} == {"audio"}


async def test_a_trained_engine_goes_before_signal_processing(
    make_context: MakeContext, tmp_path: Path
) -> None:
    answer = await separate(make_context, tmp_path, (FALLBACK, TRAINED), fallback_mode=True)
    assert answer.json()["backend"]["engine"] == "fake"


async def test_the_default_goes_before_the_other_trained_engines(
    make_context: MakeContext,
) -> None:
    other = TRAINED | {"name": "other", "models": [{"id": "other", "aliases": ["second"]}]}
    context = make_context(families=[TRAINED, other], defaults={"stems": "second"})
    async with client_of(context) as client:
        answer = await client.post(URL, json={"audio": AUDIO})
    assert answer.json()["backend"]["model"] == "other"


async def test_a_trained_engine_that_failed_is_none(
    make_context: MakeContext, tmp_path: Path
) -> None:
    failed = {"mirror": ModelStatus(id="mirror", state="failed", cause="gone")}
    answer = await separate(make_context, tmp_path, statuses=failed)
    assert answer.status_code == 503
    assert answer.json()["error"]["message"].startswith(HPSS)
    answer = await separate(make_context, tmp_path, statuses=failed, fallback_mode=True)
    assert answer.json()["backend"]["engine"] == "hpss"


@pytest.mark.parametrize("fields", [{}, {"fallback_mode": False}, {"fallback_mode": None}])
async def test_signal_processing_has_to_be_allowed(
    make_context: MakeContext, tmp_path: Path, fields: dict[str, Any]
) -> None:
    answer = await separate(make_context, tmp_path, (FALLBACK,), **fields)
    assert answer.status_code == 503
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("backend_unavailable", "fallback_mode")
    assert error["message"].startswith(HPSS)


async def test_without_any_engine(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await separate(make_context, tmp_path, (), fallback_mode=True)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"audio": None}, 400, "audio"),
        ({"audio": ""}, 400, "audio"),
        ({"audio": "iVBORw0KGgo="}, 400, "audio"),
        ({"audio": "file:///etc/passwd"}, 400, "audio"),
        ({"audio": "/v1/files/nothing.wav"}, 404, "audio"),
        ({"audio": base64.b64encode(given_AUDIO[:20]).decode()}, 400, "audio"),
        ({"stem_mode": "karaoke"}, 400, "stem_mode"),
        ({"stem_mode": 4}, 400, "stem_mode"),
        ({"fallback_mode": "yes"}, 400, "fallback_mode"),
        ({"response_format": "b64_json"}, 400, "response_format"),
        ({"response_format": "b64_mp3"}, 400, "response_format"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, tmp_path: Path, fields: dict[str, Any], status: int, param: str
) -> None:
    wanted = {"fallback_mode": True} | fields
    answer = await separate(make_context, tmp_path, (FALLBACK,), **wanted)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["param"] == param


async def test_it_can_be_a_job(make_context: MakeContext, tmp_path: Path) -> None:
    answer = await separate(make_context, tmp_path, ref_id="song-1", **{"async": True})
    assert answer.status_code == 202
    assert answer.json()["url"] == f"/v1/jobs/{answer.json()['id']}"
