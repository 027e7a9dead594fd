"""POST /v1/audio/transcriptions with speakers, and of models that do not stream."""

import io
import json
import wave
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from serve_app.core.audio.diarization import Diarization, DiarizationEvent, Diarize
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.errors import BackendUnavailable
from serve_app.core.message import Progress
from tests.api.conftest import FAMILIES, MakeContext, client_of

URL = "/v1/audio/transcriptions"
TEXT = "the quick brown fox jumps over the lazy dog"
USAGE = {"type": "duration", "seconds": 3.0}
SPEAKERS = {
    "name": "diarization",
    "options": {"engine": "fake", "task": "diarization"},
    "models": [{"id": "who", "created": 1}],
}


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as audio:
        audio.setparams((1, 2, 16_000, 0, "NONE", ""))
        audio.writeframes(bytes(3200))
    return buffer.getvalue()


async def write(make_context: MakeContext, runs: Any = None, **fields: Any) -> httpx.Response:
    context = make_context(families=[*FAMILIES, SPEAKERS], runs=runs)
    async with client_of(context) as client:
        return await client.post(URL, files={"file": ("a.wav", wav())}, data=fields)


def frames_of(answer: httpx.Response) -> list[dict[str, Any]]:
    events = answer.text.removesuffix("\n\n").split("\n\n")
    return [json.loads(event.removeprefix("data: ")) for event in events]


async def test_json_has_segments_with_speakers(make_context: MakeContext) -> None:
    answer = await write(make_context, diarize="true")
    body = answer.json()
    segments = body.pop("segments")
    assert body == {"text": TEXT, "usage": USAGE, "warnings": ["nobody listened"]}
    assert [(s["speaker"], s["text"], s["id"]) for s in segments] == [
        ("A", "the quick brown", 0),
        ("B", "fox jumps over", 1),
        ("A", "the lazy dog", 2),
    ]
    assert "x-ignored-fields" not in answer.headers


async def test_diarized_json(make_context: MakeContext) -> None:
    answer = await write(make_context, response_format="diarized_json", num_speakers="3")
    assert answer.json() == {
        "task": "transcribe",
        "duration": 3.0,
        "text": TEXT,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{k}",
                "start": float(k),
                "end": float(k + 1),
                "text": text,
                "speaker": "ABC"[k],
            }
            for k, text in enumerate(("the quick brown", "fox jumps over", "the lazy dog"))
        ],
        "usage": USAGE,
        "warnings": ["nobody listened"],
    }
    assert "x-ignored-fields" not in answer.headers


async def test_verbose_json_and_subtitles_name_speakers(make_context: MakeContext) -> None:
    verbose = await write(make_context, diarize="true", response_format="verbose_json")
    assert [segment["speaker"] for segment in verbose.json()["segments"]] == ["A", "B", "A"]
    srt = await write(make_context, diarize="true", response_format="srt")
    assert srt.text.startswith("1\n00:00:00,000 --> 00:00:01,000\n[A] the quick brown\n\n2\n")
    vtt = await write(make_context, diarize="true", response_format="vtt")
    assert "\n[B] fox jumps over\n" in vtt.text


async def test_a_stream_names_speakers_and_still_joins_to_the_text(
    make_context: MakeContext,
) -> None:
    answer = await write(make_context, diarize="true", stream="true")
    *deltas, done = frames_of(answer)
    assert "".join(delta["delta"] for delta in deltas) == done["text"] == TEXT
    assert [delta["segment"]["speaker"] for delta in deltas] == ["A", "B", "A"]
    assert done["warnings"] == ["nobody listened"]


class Switching:
    """Says who speaks when; the change falls into a segment."""

    def __init__(self, *turns: tuple[float, float, str]) -> None:
        self.turns = turns
        self.seen: list[Diarize] = []

    async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        self.seen.append(request)
        yield Progress(phase="diarize", current=1)
        turns = [{"start": a, "end": b, "speaker": who} for a, b, who in self.turns]
        yield Diarization.model_validate({"turns": turns})


async def test_a_segment_is_cut_where_the_speaker_changes(make_context: MakeContext) -> None:
    who = Switching((0, 0.6, "A"), (0.7, 1.9, "B"), (2.2, 3.0, "A"))
    runs = {"diarization": who}
    answer = await write(make_context, runs, diarize="true", num_speakers="2")
    body = answer.json()
    assert [(s["speaker"], s["text"], s["id"]) for s in body["segments"]] == [
        ("A", "the quick", 0),
        ("B", "brown", 1),
        ("B", "fox jumps over", 2),
        ("A", "the lazy dog", 3),
    ]
    assert body["text"] == TEXT
    assert "warnings" not in body
    assert [(asked.model, asked.num_speakers) for asked in who.seen] == [("who", 2)]
    *deltas, done = frames_of(await write(make_context, runs, diarize="true", stream="true"))
    assert "".join(delta["delta"] for delta in deltas) == done["text"]
    assert len(deltas) == 4


async def test_nobody_is_named_where_nobody_was_heard(make_context: MakeContext) -> None:
    runs = {"diarization": Switching()}
    body = (await write(make_context, runs, response_format="diarized_json")).json()
    assert [segment["speaker"] for segment in body["segments"]] == [None] * 3
    body = (await write(make_context, runs, diarize="true", response_format="verbose_json")).json()
    assert all("speaker" not in segment for segment in body["segments"])


async def test_a_diarizer_that_fails_fails_the_request(make_context: MakeContext) -> None:
    class Broken:
        async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
            raise BackendUnavailable("the diarizer is gone")
            yield

    for fields in ({}, {"stream": "true"}):
        answer = await write(make_context, {"diarization": Broken()}, diarize="true", **fields)
        assert answer.status_code == 503
        assert "the diarizer is gone" in answer.json()["error"]["message"]


async def test_it_can_be_a_job(make_context: MakeContext) -> None:
    answer = await write(make_context, diarize="true", **{"async": "true"})
    assert answer.status_code == 202


async def test_who_tells_speakers_apart_is_no_model_of_the_listing(
    make_context: MakeContext,
) -> None:
    async with client_of(make_context(families=[*FAMILIES, SPEAKERS])) as client:
        listed = (await client.get("/v1/models")).json()["data"]
        one = await client.get("/v1/models/who")
        named = await client.post(
            URL, files={"file": ("a.wav", wav())}, data={"model": "who", "diarize": "true"}
        )
        assert (await client.get("/coderai/capabilities")).status_code == 200
    assert "who" not in [entry["id"] for entry in listed]
    assert one.status_code == 404
    assert (named.status_code, named.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"num_speakers": "2"}, ["num_speakers"]),
        ({"segment_granularity": "subtitle"}, ["segment_granularity"]),
        ({"segment_granularity": "subtitle", "response_format": "srt"}, []),
        ({"segment_granularity": "subtitle", "diarize": "true"}, []),
        ({"stream": "true", "response_format": "diarized_json"}, ["response_format"]),
        ({"stream": "true", "segment_granularity": "sentence"}, ["segment_granularity"]),
    ],
)
async def test_what_has_no_effect_is_named(
    make_context: MakeContext, fields: dict[str, str], ignored: list[str]
) -> None:
    answer = await write(make_context, **fields)
    assert answer.status_code == 200
    names = answer.headers.get("x-ignored-fields", "").split(",")
    assert sorted(filter(None, names)) == ignored


@pytest.mark.parametrize("value", ["0", "-1", "101", "two", "1.5", "true"])
async def test_num_speakers_has_limits(make_context: MakeContext, value: str) -> None:
    answer = await write(make_context, diarize="true", num_speakers=value)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "num_speakers"


async def test_english_is_a_target_language(make_context: MakeContext) -> None:
    for name in ("en", "English", "en-GB"):
        answer = await write(make_context, target_language=name, response_format="verbose_json")
        assert answer.json()["task"] == "translate"


LATE = [
    {
        "name": "transcription",
        "options": {"engine": "fake", "task": "transcription"},
        "models": [{"id": "late", "supports_streaming": False}],
    }
]


class Late:
    """Gives everything at the end."""

    def __init__(self, *texts: str, whole: str | None = None) -> None:
        self.texts = texts
        self.whole = whole

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        segments = tuple(
            TranscriptSegment(id=i, start=i, end=i + 1, text=text)
            for i, text in enumerate(self.texts)
        )
        text = " ".join(self.texts) if self.whole is None else self.whole
        yield Transcript(text=text, language="en", duration_s=2.0, segments=segments)


@pytest.mark.parametrize(
    ("model", "deltas"),
    [
        (Late("one", "two"), ["one", " two"]),
        (Late(whole="all of it"), ["all of it"]),
        (Late("ja", "nein", whole="janein"), ["janein"]),
        (Late(), []),
    ],
)
async def test_a_model_that_cannot_stream_is_warned_of(
    make_context: MakeContext, model: Late, deltas: list[str]
) -> None:
    context = make_context(families=LATE, runs={"transcription": model})
    async with client_of(context) as client:
        answer = await client.post(URL, files={"file": ("a.wav", wav())}, data={"stream": "true"})
        listed = (await client.get("/v1/models")).json()["data"]
    warning, *rest, done = frames_of(answer)
    assert warning.pop("message")
    assert warning == {"type": "warning", "code": "streaming_not_supported", "model": "late"}
    assert [frame["delta"] for frame in rest] == deltas
    assert "".join(deltas) == done["text"]
    assert [entry["supports_streaming"] for entry in listed] == [False, False]
