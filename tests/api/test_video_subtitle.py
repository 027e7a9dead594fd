"""POST /v1/video/subtitle over the shipped fakes: the fake hears three segments, a second each."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from deployments.fakes.engine import FakeTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import Transcribe, Transcript, TranscriptionEvent
from serve_app.core.config import Model
from serve_app.core.options.fake import FakeOptions
from tests.api.conftest import MakeContext, client_of
from tests.api.test_jobs import refused

URL = "/v1/video/subtitle"
PIPELINES = [{"name": "video-subtitle"}]
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
VIDEO = base64.b64encode(MP4).decode()
SRT = (
    "1\n00:00:00,000 --> 00:00:01,000\nthe quick brown\n\n"
    "2\n00:00:01,000 --> 00:00:02,000\nfox jumps over\n\n"
    "3\n00:00:02,000 --> 00:00:03,000\nthe lazy dog\n"
)


async def subtitled(make_context: MakeContext, **fields: Any) -> httpx.Response:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        return await client.post(URL, json={"video": VIDEO} | fields)


@pytest.mark.covers("CoderAI: POST /v1/video/subtitle")
async def test_a_subtitle_file(make_context: MakeContext) -> None:
    answer = await subtitled(make_context)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"] == [{"text": SRT, "format": "srt"}]


async def test_a_file_for_the_web(make_context: MakeContext) -> None:
    [item] = (await subtitled(make_context, response_format="vtt")).json()["data"]
    assert item["format"] == "vtt"
    assert item["text"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nthe quick brown\n")


async def test_segments(make_context: MakeContext) -> None:
    [item] = (await subtitled(make_context, response_format="json")).json()["data"]
    assert item == {
        "segments": [
            {"start": 0.0, "end": 1.0, "text": "the quick brown"},
            {"start": 1.0, "end": 2.0, "text": "fox jumps over"},
            {"start": 2.0, "end": 3.0, "text": "the lazy dog"},
        ],
        "language": "en",
        "format": "json",
    }


@pytest.mark.parametrize("fields", [{"burn": True}, {"response_format": "burned_video"}])
async def test_the_words_in_the_image(make_context: MakeContext, fields: dict[str, Any]) -> None:
    async with client_of(make_context(pipelines=PIPELINES)) as client:
        answer = await client.post(URL, json={"video": VIDEO, "style": "karaoke"} | fields)
        [item] = answer.json()["data"]
        assert item.keys() == {"url"}
        assert (await client.get(item["url"])).content == MP4
        job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert [stage["name"] for stage in job["stages"]] == [
        *("extract-audio", "transcribe", "burn-subtitles")
    ]
    assert job["operation"] == "video.subtitle"


async def test_the_video_inside_the_answer(make_context: MakeContext) -> None:
    [item] = (await subtitled(make_context, burn=True, output_format="b64_mp4")).json()["data"]
    assert item == {"b64_mp4": VIDEO}


async def test_what_belongs_to_a_video_is_ignored_without_one(make_context: MakeContext) -> None:
    answer = await subtitled(make_context, style="minimal", output_format="url", user="me")
    assert answer.headers["x-ignored-fields"] == "user,style,output_format"


async def test_a_translation_that_does_not_come_is_told(make_context: MakeContext) -> None:
    """The fake chat says the words back, which is no translation."""
    answer = await subtitled(make_context, target_lang="German", response_format="json")
    body = answer.json()
    assert body["data"][0]["language"] == "de"
    assert body["warnings"] == [
        "'echo' did not translate segment 0, 1, 2; the original words are read there"
    ]


class Listening(FakeTranscription):
    """Keeps what it is asked."""

    asked: Transcribe | None = None

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        self.asked = request
        async for event in super().transcribe(request):
            yield event


class Silence(FakeTranscription):
    """Hears nobody."""

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        yield Transcript(text="", language=None, duration_s=3.0, segments=())


async def test_english_comes_from_the_model_that_listens(
    make_context: MakeContext, tmp_path: Any
) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    listening = Listening(FakeOptions(task="transcription"), Model(id="whisper-base"), blobs=blobs)
    context = make_context(pipelines=PIPELINES, runs={"transcription": listening})
    async with client_of(context) as client:
        body = {"video": VIDEO, "translate": True, "language": "de"}
        answer = await client.post(URL, json=body)
        job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert listening.asked is not None
    assert (listening.asked.mode, listening.asked.language) == ("translate", "de")
    assert [stage["name"] for stage in job["stages"]] == ["extract-audio", "transcribe"]


@pytest.mark.parametrize("fields", [{}, {"burn": True}, {"target_lang": "de"}])
async def test_a_video_in_which_nobody_speaks_is_refused(
    make_context: MakeContext, tmp_path: Any, fields: dict[str, Any]
) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    silence = Silence(FakeOptions(task="transcription"), Model(id="whisper-base"), blobs=blobs)
    context = make_context(pipelines=PIPELINES, runs={"transcription": silence})
    async with client_of(context) as client:
        answer = await client.post(URL, json={"video": VIDEO} | fields)
        archive = (await client.get("/v1/archive")).json()
    refused(answer, 400, "invalid_request", "video")
    assert answer.json()["error"]["message"] == "stage 'transcribe': the video has no speech"
    assert archive["total"] == 0


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"video": None}, 400, "invalid_request", "video"),
        ({"video": "iVBORw0KGgo="}, 400, "invalid_request", "video"),
        ({"video": "/v1/files/nothing.mp4"}, 404, "not_found", "video"),
        ({"model": "nobody"}, 404, "model_not_found", "model"),
        ({"language": "klingon"}, 400, "invalid_request", "language"),
        ({"language": "fr"}, 400, "invalid_request", "language"),
        ({"target_lang": "klingon"}, 400, "invalid_request", "target_lang"),
        ({"translate": "yes"}, 400, "invalid_request", "translate"),
        ({"burn": 1}, 400, "invalid_request", "burn"),
        ({"burn": True, "response_format": "srt"}, 400, "invalid_request", "response_format"),
        ({"style": "fancy"}, 400, "invalid_request", "style"),
        ({"response_format": "ass"}, 400, "invalid_request", "response_format"),
        ({"output_format": "b64_wav"}, 400, "invalid_request", "output_format"),
    ],
)
async def test_bad_requests(
    make_context: MakeContext, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    refused(await subtitled(make_context, **fields), status, code, param)


async def test_where_it_is_not_configured(client: httpx.AsyncClient) -> None:
    refused(await client.post(URL, json={"video": VIDEO}), 503, "backend_unavailable", None)
