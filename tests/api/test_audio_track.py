"""Videos with several audio files that begin late, over HTTP: what is heard, when, and what is
said.

The media engine is the real one; the model that listens tells pitches apart.
"""

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.audio.audio_decoding import SPEECH_RATE, speech_blocks
from deployments.audio.audio_progress import audio_facts
from deployments.fakes.engine import FakeTranscription
from deployments.video.av_media import AvMedia
from serve_app.core.audio.transcription import (
    Transcribe,
    Transcript,
    TranscriptionEvent,
    TranscriptSegment,
)
from serve_app.core.config import Model
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.video import AvOptions
from tests.api.conftest import MakeContext, client_of
from tests.material import decoded
from tests.videos import ffmpeg

HEARD_AT_S = 5.0
LATE_S, SILENT_S = 4, 1
HZ = {"eng": 500, "deu": 800}
TRACKS = "0 (eng), 1 (deu, default)"
CHOICE = f"audio_track: track 1 (deu, default) was used; the file has {TRACKS}"
HOP = SPEECH_RATE // 50


class Ear(FakeTranscription):
    """Hears one word: the pitch of what is loud."""

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        async with self.blobs.local_file(request.audio) as path:
            choice = audio_facts(path, request.audio_track).warnings
            pcm = b"".join(speech_blocks(path, param="file", track=request.audio_track))
        samples = np.frombuffer(pcm, "<i2").astype(float)
        is_loud = np.abs(samples[: len(samples) // HOP * HOP]).reshape(-1, HOP).max(axis=1) > 1000
        begin, end = np.flatnonzero(is_loud)[[0, -1]] * HOP
        hertz = np.argmax(np.abs(np.fft.rfft(samples[begin:end]))) * SPEECH_RATE / (end - begin)
        word = f"{round(float(hertz), -2):.0f}"
        start_s, end_s = float(begin / SPEECH_RATE), float((end + HOP) / SPEECH_RATE)
        segment = TranscriptSegment(id=0, start=start_s, end=end_s, text=word)
        yield segment
        yield Transcript(
            text=word,
            language="en",
            duration_s=len(samples) / SPEECH_RATE,
            segments=(segment,),
            warnings=choice,
        )


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Seven seconds; both audio files begin four seconds late and are silent for another one."""
    path = tmp_path_factory.mktemp("video") / "video.mkv"
    source = ("-f", "lavfi", "-i")
    parts: list[Any] = [*source, "testsrc2=s=64x48:r=10:d=7"]
    for hz in HZ.values():
        loud = f"volume='4*gte(t,{SILENT_S})':eval=frame"
        tone = f"sine=f={hz}:r=16000:d=3:samples_per_frame=160,{loud}"
        parts += ["-itsoffset", LATE_S, *source, tone]
    said: list[Any] = ["-disposition:a:0", 0, "-disposition:a:1", "default"]
    for number, language in enumerate(HZ):
        said += [f"-metadata:s:a:{number}", f"language={language}"]
    maps = [part for number in range(3) for part in ("-map", number)]
    ffmpeg(*parts, *maps, "-c:v", "libx264", "-c:a", "aac", *said, path)
    return path.read_bytes()


@pytest.fixture
async def client(make_context: MakeContext) -> AsyncIterator[httpx.AsyncClient]:
    blobs = make_context().blobs
    runs = {
        "media": AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs),
        "transcription": Ear(FakeOptions(task="transcription"), Model(id="ear"), blobs=blobs),
    }
    pipelines = [{"name": "video-subtitle"}, {"name": "video-dub"}]
    async with client_of(make_context(runs=runs, pipelines=pipelines)) as client:
        yield client


async def transcribed(client: httpx.AsyncClient, video: bytes, **fields: Any) -> httpx.Response:
    data = {"response_format": "verbose_json"} | fields
    url = "/v1/audio/transcriptions"
    return await client.post(url, files={"file": ("a.mkv", video)}, data=data)


async def subtitled(client: httpx.AsyncClient, video: bytes, **fields: Any) -> httpx.Response:
    body = {"video": base64.b64encode(video).decode(), "response_format": "json"} | fields
    return await client.post("/v1/video/subtitle", json=body)


async def dubbed(client: httpx.AsyncClient, video: bytes, **fields: Any) -> httpx.Response:
    body = {"video": base64.b64encode(video).decode(), "target_lang": "en"} | fields
    return await client.post("/v1/video/dub", json=body)


async def test_a_transcript_says_what_was_heard_when_and_where(
    client: httpx.AsyncClient, video: bytes
) -> None:
    answer = (await transcribed(client, video)).json()
    assert answer["text"] == "800"
    assert answer["warnings"] == [CHOICE]
    [segment] = answer["segments"]
    assert segment["start"] == pytest.approx(HEARD_AT_S, abs=0.1)
    assert answer["duration"] == pytest.approx(7, abs=0.1)


async def test_subtitles_say_it_too(client: httpx.AsyncClient, video: bytes) -> None:
    answer = (await subtitled(client, video)).json()
    assert answer["warnings"] == [CHOICE]
    [item] = answer["data"]
    [segment] = item["segments"]
    assert segment["text"] == "800"
    assert segment["start"] == pytest.approx(HEARD_AT_S, abs=0.1)


async def test_a_line_is_dubbed_where_it_was_heard(
    client: httpx.AsyncClient, video: bytes, tmp_path: Path
) -> None:
    answer = (await dubbed(client, video)).json()
    assert CHOICE in answer["warnings"]
    [item] = answer["data"]
    path = tmp_path / "dubbed.mp4"
    path.write_bytes((await client.get(item["url"])).content)
    audio = decoded(path.read_bytes())
    loud = np.flatnonzero(np.abs(audio.samples) > 0.02)[0] / audio.sample_rate
    assert loud == pytest.approx(HEARD_AT_S, abs=0.1)


@pytest.mark.parametrize(
    ("track", "word"),
    [
        *[(track, "500") for track in (0, "0", "en", "eng")],
        *[(track, "800") for track in (1, "de", "ger", "deu", None)],
    ],
)
async def test_another_track_is_chosen(
    client: httpx.AsyncClient, video: bytes, track: int | str | None, word: str
) -> None:
    answer = await subtitled(client, video, audio_track=track)
    assert answer.json()["data"][0]["segments"][0]["text"] == word
    assert ("warnings" in answer.json()) == (track is None)
    if track is not None:
        assert (await transcribed(client, video, audio_track=track)).json()["text"] == word
    assert "x-ignored-fields" not in answer.headers


async def test_a_dubbed_track_is_chosen(client: httpx.AsyncClient, video: bytes) -> None:
    answer = (await dubbed(client, video, audio_track="eng")).json()
    assert CHOICE not in answer["warnings"]
    assert answer["data"][0]["segments"][0]["source_text"] == "500"


@pytest.mark.parametrize("track", ["fr", 2, "und", "7"])
async def test_a_track_that_is_not_there_is_told_with_those_that_are(
    client: httpx.AsyncClient, video: bytes, track: int | str
) -> None:
    for answer in (
        await transcribed(client, video, audio_track=track),
        await subtitled(client, video, audio_track=track),
        await dubbed(client, video, audio_track=track),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "audio_track")
        assert error["message"].endswith(f"the file has {TRACKS}")


@pytest.mark.parametrize("track", [-1, 1.5, True, "", [], {}, "x" * 36, "\ud800", 2**63])
async def test_what_names_no_track_is_refused(
    client: httpx.AsyncClient, video: bytes, track: Any
) -> None:
    body = {"video": base64.b64encode(video).decode(), "audio_track": track}
    # Spelled out, as some of it cannot be sent otherwise.
    data = json.dumps(body)
    answer = await client.post(
        "/v1/video/subtitle", content=data, headers={"content-type": "application/json"}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "audio_track")
