"""Music and noise for videos, by the video routes over the fake engines."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.fakes.audio_generation import FakeAudio
from deployments.fakes.media import FakeMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.media import Blob
from serve_app.core.options.fake import FakeOptions
from serve_app.core.status import ModelStatus
from serve_app.core.video.processing import ReplaceAudio
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.videos import landscape, write_video

URL, ANIMATE = "/v1/video/generations", "/v1/pipelines/image-to-video"
SMALL = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 17, "seed": 5}
DRAWN = {"prompt": "a red boat", "image_size": "80x64", "num_frames": 5, "video_seed": 3}
BAND = {
    "name": "band",
    "options": {"engine": "musicgen"},
    "models": [{"id": "small-band", "created": 1}],
}
FOLEY = {
    "name": "foley",
    "options": {"engine": "diffusers_audio", "kinds": ["sfx", "music"]},
    "models": [{"id": "foley", "aliases": ["noises"], "created": 1}],
}


class Audioing(FakeAudio):
    """Keeps the requests, or fails."""

    asked: tuple[GenerateAudio, ...] = ()
    fails_with: Exception | None = None

    async def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        self.asked = (*self.asked, request)
        if self.fails_with is not None:
            raise self.fails_with
        async for event in super().generate_audio(request):
            yield event


class Mixing(FakeMedia):
    """Keeps the requests."""

    asked: tuple[ReplaceAudio, ...] = ()

    async def replace_audio(self, request: ReplaceAudio) -> Blob:
        self.asked = (*self.asked, request)
        return await super().replace_audio(request)


class Studio:
    """An app over engines that tell what they were asked."""

    def __init__(self, make_context: MakeContext, folder: Path, **sections: Any) -> None:
        blobs = FsspecBlobStore(folder / "blobs")
        self.band = Audioing(FakeOptions(task="sound"), Model(id="small-band"), blobs=blobs)
        self.foley = Audioing(FakeOptions(task="sound"), Model(id="foley"), blobs=blobs)
        self.media = Mixing(FakeOptions(task="media"), Model(id="media"), blobs=blobs)
        values = {
            "families": [*FAMILIES, BAND, FOLEY],
            "pipelines": [{"name": "video-generation"}, {"name": "image-to-video"}],
        }
        runs = {"band": self.band, "foley": self.foley, "media": self.media}
        self.context = make_context(runs=runs, **(values | sections))

    async def post(self, url: str = URL, **fields: Any) -> httpx.Response:
        async with client_of(self.context) as client:
            return await client.post(url, json=(SMALL if url == URL else DRAWN) | fields)

    async def made(self, url: str = URL, **fields: Any) -> dict[str, Any]:
        answer = await self.post(url, **fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body


@pytest.fixture
def studio(make_context: MakeContext, tmp_path: Path) -> Studio:
    return Studio(make_context, tmp_path)


async def test_music_is_made_for_the_video(studio: Studio) -> None:
    answer = await studio.post(add_audio=True, audio_type="music", audio_prompt="slow piano")
    assert answer.status_code == 200, answer.text
    assert "warnings" not in answer.json()
    assert studio.band.asked == (
        GenerateAudio(
            model="small-band", prompt="slow piano", kind="music", duration_s=2.125, seed=5
        ),
    )
    assert studio.foley.asked == ()
    [mix] = studio.media.asked
    [audio] = mix.recordings
    assert audio.audio.mime == "audio/wav"
    assert audio.levels[-1].gain == 0
    async with client_of(studio.context) as client:
        job = (await client.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
    assert [(stage["name"], stage["status"]) for stage in job["stages"]] == [
        *(("generate", "succeeded"), ("make-sound", "succeeded"), ("add-sound", "succeeded"))
    ]


@pytest.mark.parametrize(
    ("fields", "kind", "prompt"),
    [
        ({}, "music", "music for a red boat"),
        ({"audio_type": "music"}, "music", "music for a red boat"),
        ({"audio_type": "sfx"}, "sfx", "the sound of a red boat"),
        ({"audio_type": "sfx", "audio_prompt": " waves "}, "sfx", "waves"),
        ({"audio_type": "sfx", "audio_prompt": "  "}, "sfx", "the sound of a red boat"),
    ],
)
@pytest.mark.parametrize("url", [URL, ANIMATE])
async def test_what_is_to_be_heard(
    studio: Studio, url: str, fields: dict[str, Any], kind: str, prompt: str
) -> None:
    await studio.made(url, add_audio=True, **fields)
    [asked] = (*studio.band.asked, *studio.foley.asked)
    assert (asked.kind, asked.prompt) == (kind, prompt)
    assert asked.model == ("foley" if kind == "sfx" else "small-band")


async def test_the_default_model_is_asked_where_it_can(
    make_context: MakeContext, tmp_path: Path
) -> None:
    studio = Studio(make_context, tmp_path, defaults={"sound": "noises"})
    await studio.made(add_audio=True)
    assert [asked.model for asked in studio.foley.asked] == ["foley"]


async def test_the_default_model_is_not_asked_for_what_it_cannot_make(
    make_context: MakeContext, tmp_path: Path
) -> None:
    studio = Studio(make_context, tmp_path, defaults={"sound": "small-band"})
    await studio.made(add_audio=True, audio_type="sfx")
    assert [asked.model for asked in studio.foley.asked] == ["foley"]


async def test_a_model_that_failed_to_load_is_asked_last(
    make_context: MakeContext, tmp_path: Path
) -> None:
    statuses = {"small-band": ModelStatus(id="small-band", state="failed")}
    studio = Studio(make_context, tmp_path, statuses=statuses)
    await studio.made(add_audio=True)
    assert len(studio.foley.asked) == 1


async def test_lines_and_music_are_both_heard(studio: Studio) -> None:
    await studio.made(add_audio=True, audio_type="music", tts_text="ahoy", tts_voice="hum")
    [mix] = studio.media.asked
    spoken, music = mix.recordings
    assert spoken.levels == ()
    assert music.levels[0].gain == pytest.approx(0.2512, rel=0.001)


async def test_every_video_has_its_own_music(studio: Studio) -> None:
    await studio.made(add_audio=True, n=2)
    assert [asked.seed for asked in studio.band.asked] == [5, 6]


async def test_a_video_without_a_prompt_needs_one_for_its_audio(
    studio: Studio, tmp_path: Path
) -> None:
    video = write_video(tmp_path / "video.mp4", [landscape(64, 48)] * 17, fps=8).read_bytes()
    async with client_of(studio.context) as client:
        stored = (await client.post("/v1/files/upload", content=video)).json()["id"]
    answer = await studio.post(add_audio=True, prompt="", video=stored)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_request", "audio_prompt")
    assert studio.band.asked == ()


@pytest.mark.parametrize("url", [URL, ANIMATE])
async def test_without_its_music_the_video_comes_with_a_warning(studio: Studio, url: str) -> None:
    studio.band.fails_with = BackendUnavailable("the model is gone", provider="musicgen")
    body = await studio.made(url, add_audio=True)
    assert body["warnings"] == ["add_audio: left out; stage 'make-sound': the model is gone"]
    assert len(body["data"]) == 1


@pytest.mark.parametrize("url", [URL, ANIMATE])
@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        (
            {"audio_type": "ambient"},
            "audio_type",
            "no configured model generates 'ambient'; 'small-band' generates 'music', 'foley' "
            "generates 'sfx' or 'music'; or use the type 'speech', which speaks "
            "'audio_prompt'",
        ),
    ],
)
async def test_kinds_that_no_model_makes_are_refused(
    studio: Studio, url: str, fields: dict[str, Any], param: str, message: str
) -> None:
    answer = await studio.post(url, add_audio=True, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", param)
    assert error["message"] == message
    assert studio.band.asked == studio.foley.asked == ()


@pytest.mark.parametrize("url", [URL, ANIMATE])
@pytest.mark.parametrize(
    ("fields", "param"), [({}, "add_audio"), ({"audio_type": "ambient"}, "audio_type")]
)
async def test_without_a_model_that_makes_audio_it_is_refused(
    make_context: MakeContext, tmp_path: Path, url: str, fields: dict[str, Any], param: str
) -> None:
    studio = Studio(make_context, tmp_path, families=FAMILIES)
    answer = await studio.post(url, add_audio=True, **fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", param)
    assert error["message"] == (
        "no model that generates audio is configured; add a family to the configuration, "
        "such as {engine: musicgen} with the source facebook/musicgen-small; or use the type "
        "'speech', which speaks 'audio_prompt'"
    )


async def test_models_that_make_audio_are_listed(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        listed = (await client.get("/v1/models?capability=audio_generation")).json()["data"]
    assert [(model["id"], model["type"], model["backend"]) for model in listed] == [
        ("small-band", "audio", "musicgen"),
        ("foley", "audio", "diffusers_audio"),
    ]
    assert listed[0]["capabilities"] == ["audio_generation"]


async def test_the_reserved_path_stays_free(studio: Studio) -> None:
    async with client_of(studio.context) as client:
        answer = await client.post("/v1/audio/generate", json={"prompt": "rain"})
    assert answer.status_code == 404
