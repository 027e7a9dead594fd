"""POST /v1/pipelines/video-dub over a dubber whose answer is known."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from serve_app.core.errors import BackendUnavailable
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.video.dubbing import DubbedSegment, DubbedVideo, DubVideo, DubVideoEvent
from tests.api.conftest import FAMILIES, MakeContext, client_of

URL = "/v1/pipelines/video-dub"
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
VIDEO = base64.b64encode(MP4).decode()
PIPELINES = [{"name": "video-dub"}]
NO_STEMS = "keep_background: no stem separation model is available; only the new voice is kept"


class Dubbing:
    """Hands the video back and remembers what it was asked."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen: list[DubVideo] = []
        self._error = error

    async def run(self, request: DubVideo) -> AsyncGenerator[DubVideoEvent]:
        self.seen.append(request)
        yield Progress(phase="transcribe", current=1, total=5)
        if self._error is not None:
            raise self._error
        segment = DubbedSegment(start=0, end=1.5, source_text="hello", text="hallo")
        yield DubbedVideo(
            video=request.video,
            segments=(segment,),
            source_language="en",
            warnings=(Notice(text="a voice was missing"),),
        )


async def dub(make_context: MakeContext, dubber: Dubbing, **fields: Any) -> httpx.Response:
    context = make_context(video_dub=dubber, pipelines=PIPELINES)
    async with client_of(context) as client:
        return await client.post(URL, json={"video": VIDEO, "target_lang": "de"} | fields)


@pytest.mark.covers("CoderAI: POST /v1/pipelines/video-dub")
async def test_the_whole_answer(make_context: MakeContext) -> None:
    dubber = Dubbing()
    context = make_context(video_dub=dubber, pipelines=PIPELINES)
    async with client_of(context) as client:
        answer = await client.post(URL, json={"video": VIDEO, "target_lang": "de"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body.keys() == {"created", "data", "warnings", "pipeline", "steps"}
        assert body["pipeline"] == "video-dub"
        assert isinstance(body["created"], int)
        [item] = body["data"]
        assert item.keys() == {"url"}
        assert (await client.get(item["url"])).content == MP4
    transcribe, dub_step = body["steps"]
    assert transcribe == {
        "step": "transcribe",
        "language": "en",
        "segments": [{"start": 0.0, "end": 1.5, "source_text": "hello", "text": "hallo"}],
    }
    assert dub_step == {"step": "dub"} | item
    assert body["warnings"] == [NO_STEMS, "a voice was missing"]


@pytest.mark.covers("CoderAI: POST /v1/video/dub")
async def test_the_same_as_an_item(make_context: MakeContext) -> None:
    context = make_context(video_dub=Dubbing(), pipelines=PIPELINES)
    async with client_of(context) as client:
        answer = await client.post("/v1/video/dub", json={"video": VIDEO, "target_lang": "de"})
    body = answer.json()
    assert body.keys() == {"created", "data", "warnings"}
    [item] = body["data"]
    assert item.keys() == {"url", "segments"}
    assert item["segments"] == [{"start": 0.0, "end": 1.5, "source_text": "hello", "text": "hallo"}]


@pytest.mark.parametrize(
    ("url", "sent", "burns"),
    [
        ("/v1/video/dub", {}, False),
        ("/v1/video/dub", {"burn_subtitles": True}, True),
        (URL, {}, True),
        (URL, {"burn_subtitles": False}, False),
    ],
)
async def test_subtitles_are_burned_where_they_are_wanted(
    make_context: MakeContext, url: str, sent: dict[str, Any], burns: bool
) -> None:
    dubber = Dubbing()
    async with client_of(make_context(video_dub=dubber, pipelines=PIPELINES)) as client:
        await client.post(url, json={"video": VIDEO, "target_lang": "de"} | sent)
    assert dubber.seen[0].burns_subtitles is burns


async def test_the_background_is_kept_by_a_model_for_stems(make_context: MakeContext) -> None:
    stems = {
        "name": "stems",
        "options": {"engine": "fake", "task": "stems"},
        "models": [{"id": "apart"}],
    }
    families = [*(family for family in FAMILIES if family["name"] != "stems"), stems]
    for sent, model, warned in (({}, "apart", False), ({"keep_background": False}, None, False)):
        dubber = Dubbing()
        context = make_context(video_dub=dubber, pipelines=PIPELINES, families=families)
        async with client_of(context) as client:
            answer = await client.post(URL, json={"video": VIDEO, "target_lang": "de"} | sent)
        assert dubber.seen[0].stems_model == model
        assert (NO_STEMS in answer.json()["warnings"]) is warned


@pytest.mark.parametrize("form", ["b64_mp4", "base64", "b64"])
async def test_the_video_inside_the_answer(make_context: MakeContext, form: str) -> None:
    answer = await dub(make_context, Dubbing(), response_format=form)
    [item] = answer.json()["data"]
    assert item == {"b64_mp4": VIDEO}


async def test_the_request_reaches_the_pipeline(make_context: MakeContext) -> None:
    dubber = Dubbing()
    await dub(make_context, dubber, target_lang="German", source_lang="en-US")
    [seen] = dubber.seen
    assert (seen.source_language, seen.target_language) == ("en", "de")
    assert (seen.video.mime, seen.video.size) == ("video/mp4", len(MP4))
    assert seen.transcription_model == "whisper-base"
    assert (seen.translation_model, seen.speech_model) == ("echo", "hum")


@pytest.mark.parametrize(
    ("model", "transcription", "translation"),
    [
        (None, "whisper-base", "echo"),
        ("auto", "whisper-base", "echo"),
        ("org/eye", "whisper-base", "org/eye"),
        ("whisper-1", "whisper-base", "echo"),
        ("base", "whisper-base", "echo"),
    ],
)
async def test_a_model_takes_the_place_it_fits(
    make_context: MakeContext, model: str | None, transcription: str, translation: str
) -> None:
    dubber = Dubbing()
    await dub(make_context, dubber, model=model)
    assert dubber.seen[0].transcription_model == transcription
    assert dubber.seen[0].translation_model == translation


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"video": None}, 400, "invalid_request", "video"),
        ({"video": ""}, 400, "invalid_request", "video"),
        ({"video": "iVBORw0KGgo="}, 400, "invalid_request", "video"),
        ({"video": "http://127.0.0.1/x.mp4"}, 400, "invalid_request", "video"),
        ({"video": "file:///etc/passwd"}, 400, "invalid_request", "video"),
        ({"video": "/v1/files/nothing.mp4"}, 404, "not_found", "video"),
        ({"target_lang": None}, 400, "invalid_request", "target_lang"),
        ({"target_lang": "klingon"}, 400, "invalid_request", "target_lang"),
        ({"source_lang": "klingon"}, 400, "invalid_request", "source_lang"),
        ({"response_format": "b64_json"}, 400, "invalid_request", "response_format"),
        ({"voice_clone": "yes"}, 400, "invalid_request", "voice_clone"),
        ({"burn_subtitles": 1}, 400, "invalid_request", "burn_subtitles"),
        ({"model": "no-such-model"}, 404, "model_not_found", "model"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    dubber = Dubbing()
    answer = await dub(make_context, dubber, **fields)
    assert answer.status_code == status, answer.text
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)
    assert dubber.seen == []


async def test_the_voice_of_the_video_can_be_kept(make_context: MakeContext) -> None:
    dubber = Dubbing()
    answer = await dub(make_context, dubber, voice_clone=True, voice="alloy")
    assert (dubber.seen[0].clones_voice, dubber.seen[0].voice) == (True, None)
    assert answer.headers["x-ignored-fields"] == "voice"


async def test_a_stage_that_fails_is_the_answer(make_context: MakeContext) -> None:
    error = BackendUnavailable("stage 'speak': the voice is gone", provider="hum")
    answer = await dub(make_context, Dubbing(error))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"
    assert answer.json()["error"]["message"] == "stage 'speak': the voice is gone"
    assert answer.json()["error"]["provider"] == "hum"


async def test_without_the_pipeline_it_is_out_of_service(client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json={"video": VIDEO, "target_lang": "de"})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


async def test_without_a_voice_it_is_out_of_service(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] != "speech"]
    context = make_context(video_dub=Dubbing(), pipelines=PIPELINES, families=families)
    async with client_of(context) as client:
        answer = await client.post(URL, json={"video": VIDEO, "target_lang": "de"})
    assert answer.status_code == 503
    assert "speech" in answer.json()["error"]["message"]
