"""/v1/audio/voices: saved voices, their clips and transcripts, and the presets beside them."""

import base64
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.fakes.engine import WORDS, FakeSpeech, FakeTranscription
from deployments.fakes.media import FakeMedia
from serve_app.api.context import Context
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import ListVoices, Voice, Voices
from serve_app.core.audio.transcription import Transcribe, TranscriptionEvent
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest, PayloadTooLarge
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.video.processing import ExtractAudio, ExtractedAudio
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.api.test_characters import ADMIN, API, BAD_NAMES, escaped
from tests.images import png

PATH = "/v1/audio/voices"
HEARD = " ".join(WORDS)


def wav(value: int = 1, seconds: float = 0.1) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(value.to_bytes(2, "little") * int(16_000 * seconds))
    return target.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context(environment={"API_TOKENS": "secret", "ADMIN_TOKEN": "root"})


@pytest.fixture
async def client(context: Context) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context) as client:
        yield client


async def saved(client: httpx.AsyncClient, name: str = "ann", **fields: str) -> dict[str, Any]:
    data = {"name": name, "transcript": "hello"} | fields
    answer = await client.post(PATH, data=data, files={"audio": ("a.wav", wav())})
    assert answer.status_code == 200, answer.text
    voice: dict[str, Any] = answer.json()["voice"]
    return voice


@pytest.mark.parametrize(
    ("audio", "transcript", "description"),
    [
        ("audio", "transcript", "description"),
        ("audio_sample", "ref_text", "speaker_description"),
    ],
)
@pytest.mark.covers("CoderAI: voice profiles")
async def test_a_voice_by_either_set_of_names(
    client: httpx.AsyncClient, audio: str, transcript: str, description: str
) -> None:
    fields = {"name": "ann_2-x", transcript: "hi there", description: "warm", "consent": "yes"}
    answer = await client.post(PATH, data=fields, files={audio: ("../../x.wav", wav())})
    body = answer.json()
    assert (body["created"], body["success"], "warnings" in body) == (True, True, False)
    voice = body["voice"]
    assert isinstance(voice.pop("created_at"), int)
    assert voice == {
        "name": "ann_2-x",
        "description": "warm",
        "transcript": "hi there",
        "audio_url": f"/v1/files/{voice['audio_file']}",
        "audio_file": voice["audio_file"],
        "audio_ext": "wav",
        "clips": [],
    }
    assert "/" not in voice["audio_file"]
    assert (await client.get(voice["audio_url"])).content == wav(), "kept as it was uploaded"
    read = (await client.get(f"{PATH}/ann_2-x")).json()
    assert read["voice"].items() >= voice.items()
    assert answer.headers["x-ignored-fields"] == "consent"


async def test_a_voice_as_json(client: httpx.AsyncClient) -> None:
    body = {"name": "ann", "audio": b64(wav()), "transcript": "x", "description": None}
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["voice"]["transcript"] == "x"


@pytest.mark.parametrize("transcript", ["", "  "])
async def test_an_empty_transcript_is_filled_by_listening(
    client: httpx.AsyncClient, transcript: str
) -> None:
    assert (await saved(client, transcript=transcript))["transcript"] == HEARD


async def test_without_a_transcription_model_the_transcript_stays_empty_with_a_warning(
    make_context: MakeContext,
) -> None:
    families = [family for family in FAMILIES if family["name"] != "transcription"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post(PATH, data={"name": "ann"}, files={"audio": ("a.wav", wav())})
    assert answer.status_code == 200
    assert answer.json()["voice"]["transcript"] == ""
    (warning,) = answer.json()["warnings"]
    assert "no speech recognition model is configured" in warning


class DeafTranscription:
    async def transcribe(self, request: object) -> AsyncIterator[object]:
        raise InvalidRequest("no audio in it", param="audio")
        yield


async def test_audio_that_cannot_be_decoded(make_context: MakeContext) -> None:
    context = make_context(runs={"transcription": DeafTranscription()})
    async with client_of(context) as client:
        answer = await client.post(PATH, data={"name": "a"}, files={"audio": ("a", wav())})
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["param"], error["message"]) == ("audio", "no audio in it")


BROKEN = b"RIFF\x24\0\0\0WAVEfmt " + b"\xff" * 400


@pytest.mark.parametrize("audio", [BROKEN, wav(seconds=0)], ids=["broken", "without samples"])
async def test_an_audio_that_cannot_be_decoded_is_refused_though_its_words_are_given(
    client: httpx.AsyncClient, audio: bytes
) -> None:
    fields = {"name": "b", "transcript": "x"}
    answers = [
        (await client.post(PATH, data=fields, files={"audio": ("a", audio)}), "audio"),
        (await client.post(PATH, json=fields | {"audio": b64(audio)}), "audio"),
        (await client.post(f"{PATH}/extract", json=fields | {"audio": b64(audio)}), "audio"),
    ]
    await saved(client)
    clip = {"audio": b64(audio), "transcript": "x"}
    patch = client.patch(f"{PATH}/ann", json={"add_clips": [clip]})
    answers.append((await patch, "add_clips[0].audio"))
    answers.append((await client.patch(f"{PATH}/ann", json=clip), "audio"))
    for answer, param in answers:
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert (await client.get(f"{PATH}/b")).status_code == 404


async def test_the_list(client: httpx.AsyncClient) -> None:
    await saved(client, "zoe", description="deep")
    await saved(client, "ann")
    answer = (await client.get(PATH)).json()
    assert [voice["name"] for voice in answer["voices"]] == ["zoe", "ann"]
    assert answer["presets"] == ["hum", "alloy"]
    created = answer["voices"][0]["created_at"]
    assert answer["uploaded_voices"][0] == {
        "name": "zoe",
        "created_at": created,
        "mime_type": "audio/wav",
        "file_size": len(wav()),
        "ref_text": "hello",
        "speaker_description": "deep",
    }
    assert "speaker_description" not in answer["uploaded_voices"][1]


class CountedSpeech:
    def __init__(self, *, fails: bool = False) -> None:
        self.asked = 0
        self.fails = fails

    async def voices(self, request: ListVoices) -> Voices:
        self.asked += 1
        if self.fails:
            raise BackendUnavailable("gone")
        return Voices(voices=(Voice(name="one"), Voice(name="two")))


def sleeping_speech() -> list[dict[str, Any]]:
    speech = {
        "name": "speech",
        "options": {"engine": "fake", "task": "speech"},
        "models": [{"id": "hum", "created": 1}],
        "placement": {"min_replicas": 0},
    }
    return [family for family in FAMILIES if family["name"] != "speech"] + [speech]


async def test_a_model_that_sleeps_is_asked_once_for_its_voices(
    make_context: MakeContext,
) -> None:
    counted = CountedSpeech()
    context = make_context(families=sleeping_speech(), runs={"speech": counted})
    async with client_of(context) as client:
        for _ in range(3):
            assert (await client.get(PATH)).json()["presets"] == ["one", "two"]
    assert counted.asked == 1


async def test_a_model_that_fails_hides_no_voices(make_context: MakeContext) -> None:
    context = make_context(runs={"speech": CountedSpeech(fails=True)})
    async with client_of(context) as client:
        await saved(client)
        answer = (await client.get(PATH)).json()
    assert (answer["presets"], len(answer["voices"])) == ([], 1)


async def test_changing_texts_clips_and_audio(client: httpx.AsyncClient) -> None:
    await saved(client)
    clips = [{"audio": b64(wav(value)), "transcript": f"clip {value}"} for value in (2, 3, 4)]
    answer = await client.patch(f"{PATH}/ann", json={"add_clips": clips})
    body = answer.json()
    assert body["updated"] is True
    assert body["clips"] == body["voice"]["clips"]
    assert [clip["transcript"] for clip in body["clips"]] == ["clip 2", "clip 3", "clip 4"]
    assert (await client.get(body["clips"][2]["url"])).content == wav(4)
    patch = {"remove_clips": [0, 1], "add_clips": clips[:1], "transcript": "new"}
    voice = (await client.patch(f"{PATH}/ann", json=patch)).json()["voice"]
    assert [clip["transcript"] for clip in voice["clips"]] == ["clip 4", "clip 2"]
    assert voice["transcript"] == "new"
    voice = (await client.patch(f"{PATH}/ann", json={"audio": b64(wav(9))})).json()["voice"]
    assert (await client.get(voice["audio_url"])).content == wav(9)
    assert (voice["transcript"], len(voice["clips"])) == (HEARD, 2)
    voice = (await client.patch(f"{PATH}/ann", json={"remove_clips": [0, 1]})).json()["voice"]
    assert voice["clips"] == []


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        ({"remove_clips": [0]}, "remove_clips"),
        ({"remove_clips": [-1]}, "remove_clips"),
        ({"add_clips": [{"audio": "!"}]}, "add_clips[0].audio"),
        ({"add_clips": [{"audio": b64(png())}]}, "add_clips[0].audio"),
        ({"audio": "../../etc/passwd"}, "audio"),
        ({"audio": ""}, "audio"),
        ({"transcript": "\0"}, "transcript"),
        ({"description": "x" * 10_001}, "description"),
    ],
)
async def test_bad_patches_change_nothing(
    client: httpx.AsyncClient, patch: dict[str, Any], param: str
) -> None:
    before = await saved(client)
    answer = await client.patch(f"{PATH}/ann", json=patch)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert (await client.get(f"{PATH}/ann")).json()["voice"] == before


async def test_deleting_removes_the_recordings(client: httpx.AsyncClient) -> None:
    voice = await saved(client)
    answer = await client.delete(f"{PATH}/ann")
    assert answer.json() == {"deleted": True, "success": True, "name": "ann"}
    assert (await client.get(voice["audio_url"])).status_code == 404
    for method in ("GET", "PATCH", "DELETE"):
        answer = await client.request(method, f"{PATH}/ann", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


async def test_bad_names_are_refused_by_every_verb(client: httpx.AsyncClient) -> None:
    for name in (*BAD_NAMES, "a b", "a.b"):
        answers = [
            await client.request(method, f"{PATH}/{escaped(name)}", json={})
            for method in ("GET", "PATCH", "DELETE")
        ]
        answers += [
            await client.post(PATH, data={"name": name}, files={"audio": ("a", wav())}),
            await client.post(f"{PATH}/extract", json={"name": name, "audio": b64(wav())}),
        ]
        for answer in answers:
            assert (answer.status_code, answer.json()["error"]["param"]) == (400, "name"), name
    assert (await client.get(PATH)).json()["voices"] == []


@pytest.mark.parametrize(
    ("fields", "files", "param"),
    [
        ({"name": "a"}, {}, "audio"),
        ({}, {"audio": ("a", wav())}, "name"),
        ({"name": "a"}, {"audio": ("a", b"")}, "audio"),
        ({"name": "a"}, {"audio": ("a", b"hello")}, "audio"),
        ({"name": "a"}, {"audio": ("a", png())}, "audio"),
        ({"name": "a"}, {"other": ("a", wav())}, "other"),
        ({"name": "a", "audio": "/etc/passwd"}, {"audio_sample": ("a", b"x")}, "audio_sample"),
        ({"name": "a", "transcript": "x" * 10_001}, {"audio": ("a", wav())}, "transcript"),
    ],
)
async def test_bad_forms(
    client: httpx.AsyncClient, fields: dict[str, str], files: dict[str, Any], param: str
) -> None:
    answer = await client.post(PATH, data=fields, files=files or {"": ("", b"")})
    assert answer.status_code == 400, answer.text
    if files:
        assert answer.json()["error"]["param"] == param


async def test_read_by_all_and_changed_by_owner_and_admin(client: httpx.AsyncClient) -> None:
    await saved(client)
    assert (await client.get(f"{PATH}/ann", headers=API)).status_code == 200
    for answer in (
        await client.post(
            PATH,
            data={"name": "ann", "transcript": "x"},
            files={"audio": ("a", wav(5))},
            headers=API,
        ),
        await client.patch(f"{PATH}/ann", json={"transcript": "x"}, headers=API),
        await client.delete(f"{PATH}/ann", headers=API),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_owner")
    assert (await client.delete(f"{PATH}/ann", headers=ADMIN)).status_code == 200


async def test_the_administration(client: httpx.AsyncClient) -> None:
    voice = await saved(client)
    admin = "/admin/api/voices"
    assert (await client.get(admin, headers=ADMIN)).json() == {"voices": [voice]}
    assert (await client.get(f"{admin}/ann", headers=ADMIN)).json() == {"voice": voice}
    assert (await client.get(f"{admin}/ann/thumbnail", headers=ADMIN)).status_code == 404
    deleted = await client.delete(f"{admin}/ann", headers=ADMIN)
    assert deleted.json() == {"deleted": True, "success": True, "name": "ann"}


MP4 = b"\0\0\0\x18ftypisom" + bytes(40)


async def test_a_voice_out_of_a_recording(client: httpx.AsyncClient) -> None:
    body = {"name": "ann", "audio": b64(wav()), "description": "d"}
    answer = (await client.post(f"{PATH}/extract", json=body)).json()
    assert answer["created"] is True
    assert (answer["voice"]["transcript"], answer["voice"]["description"]) == (HEARD, "d")
    assert (await client.get(answer["voice"]["audio_url"])).content == wav()


@pytest.mark.parametrize("field", ["video", "audio"])
async def test_a_voice_out_of_a_video(make_context: MakeContext, field: str) -> None:
    """The fake media family answers with the video itself."""
    body = {"name": "ann", field: b64(MP4), "transcript": "x"}
    async with client_of(make_context()) as client:
        answer = await client.post(f"{PATH}/extract", json=body)
        assert (await client.get(answer.json()["voice"]["audio_url"])).content == MP4
    families = [family for family in FAMILIES if family["name"] != "media"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post(f"{PATH}/extract", json=body)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "backend_unavailable"


@pytest.mark.parametrize(
    ("fields", "param"),
    [({}, "audio"), ({"audio": "!"}, "audio"), ({"video": b64(wav())}, "video")],
)
async def test_nothing_to_extract(
    client: httpx.AsyncClient, fields: dict[str, str], param: str
) -> None:
    answer = await client.post(f"{PATH}/extract", json={"name": "ann"} | fields)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


class Deaf(FakeMedia):
    """Finds no audio in any video."""

    async def extract_audio(self, request: ExtractAudio) -> ExtractedAudio:
        raise InvalidRequest("there is no audio in this file", param="video")


class Silenced(FakeTranscription):
    """Takes no audio as long as that."""

    async def transcribe(self, request: Transcribe) -> AsyncGenerator[TranscriptionEvent]:
        raise PayloadTooLarge("the audio is too long for this model", param="audio")
        yield Progress(phase="transcribe")


async def test_failed_looks_into_media_name_the_field_that_was_sent(
    make_context: MakeContext,
) -> None:
    context = make_context()
    made = {"model": Model(id="m"), "blobs": context.blobs}
    deaf = Deaf(FakeOptions(task="media"), **made)
    async with client_of(make_context(runs={"media": deaf})) as client:
        for field in ("audio", "video"):
            body = {"name": "ann", field: b64(MP4)}
            answer = await client.post(f"{PATH}/extract", json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, field)
            assert error["message"] == "there is no audio in this file"
    silenced = Silenced(FakeOptions(task="transcription"), **made)
    async with client_of(make_context(runs={"transcription": silenced})) as client:
        for path, field, data in (
            (f"{PATH}/extract", "video", MP4),
            (f"{PATH}/extract", "audio", wav()),
            (PATH, "audio", wav()),
        ):
            answer = await client.post(path, json={"name": "ann", field: b64(data)})
            assert (answer.status_code, answer.json()["error"]["param"]) == (413, field)


async def test_a_video_beside_a_recording_is_reported(client: httpx.AsyncClient) -> None:
    body = {"name": "ann", "audio": b64(wav()), "video": b64(MP4)}
    answer = await client.post(f"{PATH}/extract", json=body)
    assert answer.headers["x-ignored-fields"] == "video"


SPEECH = "/v1/audio/speech"


@pytest.mark.parametrize("path", [SPEECH, f"{SPEECH}/stream"])
@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"voice_profile": "nobody"}, 404, "not_found", "voice_profile"),
        ({"voice_profile": "../ann"}, 400, "invalid_request", "voice_profile"),
        ({"voice_profile": "x" * 10_000}, 400, "invalid_request", "voice_profile"),
        ({"voice_profile": "ann"}, 400, "unsupported_capability", "voice_profile"),
        ({"voice": "ann"}, 400, "unsupported_capability", "voice"),
        ({"voice": {"id": "ann"}}, 400, "unsupported_capability", "voice"),
        ({"voice": "nobody"}, 400, "invalid_request", "voice"),
    ],
)
async def test_a_model_that_does_not_clone_speaks_with_no_saved_voice(
    make_context: MakeContext,
    tmp_path: Path,
    path: str,
    fields: dict[str, Any],
    status: int,
    code: str,
    param: str,
) -> None:
    speech = {"name": "speech", "options": {"engine": "piper"}, "models": [{"id": "hum"}]}
    families = [family for family in FAMILIES if family["name"] != "speech"] + [speech]
    hum = FakeSpeech(FakeOptions(task="speech"), Model(id="hum"), blobs=FsspecBlobStore(tmp_path))
    async with client_of(make_context(families=families, runs={"speech": hum})) as client:
        await saved(client)
        answer = await client.post(path, json={"input": "hi"} | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


async def test_a_saved_voice_hides_no_preset(client: httpx.AsyncClient) -> None:
    await saved(client, "hum")
    answer = await client.post(SPEECH, json={"input": "hi", "voice": "hum"})
    assert answer.status_code == 200
