"""Videos put into another language by a translation model, where one is configured."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from deployments.fakes.engine import FakeTranscription
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.config import Model
from serve_app.core.options.fake import FakeOptions
from serve_app.core.status import ModelStatus
from serve_app.core.text.translation import TranslationFacts
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.api.test_jobs import refused
from tests.material import tone, wav

DUB, SUBTITLE, GENERATE = "/v1/video/dub", "/v1/video/subtitle", "/v1/video/generations"
PIPELINES = [{"name": name} for name in ("video-dub", "video-subtitle", "video-generation")]
MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
VIDEO = base64.b64encode(MP4).decode()
TRANSLATION = {
    "name": "translation",
    "options": {"engine": "fake", "task": "translation"},
    "models": [{"id": "babel", "aliases": ["fish"], "languages": ["de", "fr"], "created": 1}],
}
AUDIO = base64.b64encode(wav(tone(0.3))).decode()
SAID = ["the quick brown", "fox jumps over", "the lazy dog"]
IN_GERMAN = [f"[de] {text}" for text in SAID]


class Heard(FakeTranscription):
    """Hears what it is given."""

    texts: tuple[str, ...] = ()
    language: str | None = "en"

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        segments = tuple(
            TranscriptSegment(id=at, start=at, end=at + 1, text=text)
            for at, text in enumerate(self.texts)
        )
        yield Transcript(
            text=" ".join(self.texts),
            language=self.language,
            duration_s=max(1.0, len(segments)),
            segments=segments,
        )


@pytest.fixture
def heard(tmp_path: Any) -> Heard:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    return Heard(FakeOptions(task="transcription"), Model(id="whisper-base"), blobs=blobs)


async def post(
    make_context: MakeContext, url: str, body: dict[str, Any], **sections: Any
) -> httpx.Response:
    families = sections.pop("families", [*FAMILIES, TRANSLATION])
    context = make_context(pipelines=PIPELINES, families=families, **sections)
    async with client_of(context) as client:
        return await client.post(url, json=body)


async def subtitles(make_context: MakeContext, **fields: Any) -> httpx.Response:
    body = {"video": VIDEO, "response_format": "json"} | fields
    return await post(make_context, SUBTITLE, body)


def texts(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    [item] = answer.json()["data"]
    return [segment["text"] for segment in item["segments"]]


@pytest.mark.parametrize("model", [None, "auto", "babel", "FISH", "whisper-base", "base"])
async def test_it_goes_before_the_text_model(make_context: MakeContext, model: str | None) -> None:
    answer = await subtitles(make_context, target_lang="German", model=model)
    assert texts(answer) == IN_GERMAN
    assert "warnings" not in answer.json()
    assert answer.json()["data"][0]["language"] == "de"
    dubbed = await post(make_context, DUB, {"video": VIDEO, "target_lang": "de", "model": model})
    assert texts(dubbed) == IN_GERMAN
    assert [s["source_text"] for s in dubbed.json()["data"][0]["segments"]] == SAID


async def test_a_text_model_that_is_named_goes_before_it(make_context: MakeContext) -> None:
    answer = await subtitles(make_context, target_lang="de", model="echo")
    assert texts(answer) == SAID
    assert "'echo' did not translate segment 0, 1, 2" in answer.json()["warnings"][0]


async def test_one_that_is_named_goes_before_the_model_that_listens(
    make_context: MakeContext,
) -> None:
    """Which could translate to English itself."""
    wide = {**TRANSLATION, "models": [{"id": "babel"}]}
    body = {"video": VIDEO, "response_format": "json", "translate": True, "language": "de"}
    families = [*FAMILIES, wide]
    named = await post(make_context, SUBTITLE, body | {"model": "babel"}, families=families)
    unnamed = await post(make_context, SUBTITLE, body, families=families)
    assert texts(named) == [f"[en] {text}" for text in SAID]
    assert texts(unnamed) == SAID


@pytest.mark.parametrize(
    ("url", "fields", "param", "message"),
    [
        (DUB, {"target_lang": "es"}, "target_lang", "does not translate to 'es'"),
        (SUBTITLE, {"target_lang": "es"}, "target_lang", "it translates to: de, fr"),
        (SUBTITLE, {"target_lang": "es", "burn": True}, "target_lang", "model 'babel'"),
    ],
)
async def test_a_language_that_it_does_not_know(
    make_context: MakeContext, url: str, fields: dict[str, Any], param: str, message: str
) -> None:
    answer = await post(make_context, url, {"video": VIDEO} | fields)
    refused(answer, 400, "invalid_request", param)
    assert message in answer.json()["error"]["message"]
    # Before anything was listened to.
    assert "stage" not in answer.json()["error"]["message"]
    named = await post(make_context, url, {"video": VIDEO, "model": "echo"} | fields)
    assert named.status_code == 200


async def test_the_same_language_is_no_work(make_context: MakeContext) -> None:
    """Even one that the model does not know."""
    for url in (DUB, SUBTITLE):
        body = {"video": VIDEO, "target_lang": "en-GB"}
        answer = await post(
            make_context,
            url,
            body | {"source_lang": "en"} if url == DUB else body | {"language": "en"},
        )
        assert answer.status_code == 200, answer.text


async def test_an_empty_segment_stays_empty(make_context: MakeContext, heard: Heard) -> None:
    heard.texts = ("one", "", " ", "two")
    for url in (DUB, SUBTITLE):
        body: dict[str, Any] = {"video": VIDEO, "target_lang": "de"}
        if url == SUBTITLE:
            body["response_format"] = "json"
        answer = await post(make_context, url, body, runs={"transcription": heard})
        assert texts(answer) == ["[de] one", "", "", "[de] two"]


async def test_two_thousand_segments(make_context: MakeContext, heard: Heard) -> None:
    heard.texts = tuple(f"line {at}" for at in range(2000))
    body = {"video": VIDEO, "target_lang": "fr", "response_format": "json"}
    answer = await post(make_context, SUBTITLE, body, runs={"transcription": heard})
    assert texts(answer) == [f"[fr] line {at}" for at in range(2000)]


@pytest.mark.parametrize("said", [(), ("", " ")])
@pytest.mark.parametrize(
    ("url", "fields"),
    [
        (DUB, {"target_lang": "de"}),
        ("/v1/pipelines/video-dub", {"target_lang": "de"}),
        (SUBTITLE, {}),
    ],
)
async def test_a_video_in_which_nobody_speaks(
    make_context: MakeContext, heard: Heard, said: tuple[str, ...], url: str, fields: dict[str, Any]
) -> None:
    heard.texts = said
    answer = await post(make_context, url, {"video": VIDEO} | fields, runs={"transcription": heard})
    refused(answer, 400, "invalid_request", "video")
    assert answer.json()["error"]["message"] == "stage 'transcribe': the video has no speech"


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        (
            {"generate_subtitles": True},
            "generate_subtitles: left out; stage 'transcribe': the video has no speech",
        ),
        (
            {"dub_video": True, "dub_target_lang": "de"},
            "dub_video: left out; stage 'transcribe': the video has no speech",
        ),
        (
            {"generate_subtitles": True, "translate_subtitles": True, "subtitle_target_lang": "es"},
            "generate_subtitles: left out; stage 'subtitle': model 'babel' does not translate to",
        ),
    ],
)
async def test_a_video_that_is_made_goes_without(
    make_context: MakeContext, heard: Heard, fields: dict[str, Any], warning: str
) -> None:
    video = {"prompt": "a boat", "width": 64, "height": 48, "num_frames": 17, "audio_file": AUDIO}
    answer = await post(make_context, GENERATE, video | fields, runs={"transcription": heard})
    assert answer.status_code == 200, answer.text
    assert any(text.startswith(warning) for text in answer.json()["warnings"])
    assert answer.json()["data"][0]["url"]


async def test_the_model_is_listed_with_its_languages(make_context: MakeContext) -> None:
    known = TranslationFacts(sources=None, targets=("de", "fr"))
    status = ModelStatus(id="babel", state="ready", translation=known)
    context = make_context(families=[*FAMILIES, TRANSLATION], statuses={"babel": status})
    async with client_of(context) as client:
        entry = (await client.get("/v1/models/fish")).json()
        listed = (await client.get("/v1/models")).json()["data"]
    assert entry["id"] == "babel"
    assert entry["type"] == "text"
    assert entry["capabilities"] == ["video_dubbing"]
    assert entry["translation"] == {"sources": None, "targets": ["de", "fr"]}
    assert "translation" not in entry["status"]
    assert entry in listed
    assert "languages" not in entry


async def test_it_does_not_chat(make_context: MakeContext) -> None:
    body = {"model": "babel", "messages": [{"role": "user", "content": "hello"}]}
    answer = await post(make_context, "/v1/chat/completions", body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unsupported_capability"
