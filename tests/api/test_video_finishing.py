"""The finishing steps of POST /v1/video/generations over the fake engines."""

import base64
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployments.fakes.engine import FakeSpeech
from deployments.fakes.media import FakeMedia
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.speech import Speak, SpeechEvent
from serve_app.core.config import Model
from serve_app.core.errors import Unavailable
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.video.processing import (
    BurnSubtitles,
    ReplaceAudio,
    SubtitledVideo,
    VideoWithAudio,
)
from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.material import tone, wav
from tests.videos import check_playable, landscape, write_video

URL = "/v1/video/generations"
SMALL = {"prompt": "a red boat", "width": 64, "height": 48, "num_frames": 17, "seed": 5}
AUDIO = base64.b64encode(wav(tone(0.3))).decode()
# The fake model says 0.05 s per character, and 17 frames at 8 per second last 2.125 s.
HELLO = {"text": "0123456789", "voice": "hum", "lip_sync": False}


class Cutting(FakeMedia):
    """Keeps the requests, or fails."""

    replaced: tuple[ReplaceAudio, ...] = ()
    burned: tuple[BurnSubtitles, ...] = ()
    is_broken = False

    async def replace_audio(self, request: ReplaceAudio) -> VideoWithAudio:
        self.replaced = (*self.replaced, request)
        if self.is_broken:
            raise Unavailable("the mixer is gone")
        return await super().replace_audio(request)

    async def burn_subtitles(
        self, request: BurnSubtitles
    ) -> AsyncGenerator[Progress | SubtitledVideo]:
        self.burned = (*self.burned, request)
        if self.is_broken:
            raise Unavailable("the pen is gone")
        async for event in super().burn_subtitles(request):
            yield event


class Speaking(FakeSpeech):
    """Keeps the requests."""

    asked: tuple[Speak, ...] = ()

    async def speak(self, request: Speak) -> AsyncGenerator[SpeechEvent]:
        self.asked = (*self.asked, request)
        async for event in super().speak(request):
            yield event


class Studio:
    """An app over engines that tell what they were asked."""

    def __init__(self, make_context: MakeContext, folder: Path, *, without: str = "") -> None:
        blobs = FsspecBlobStore(folder / "blobs")
        self.media = Cutting(FakeOptions(task="media"), Model(id="media"), blobs=blobs)
        self.speech = Speaking(FakeOptions(task="speech"), Model(id="hum"), blobs=blobs)
        self.context = make_context(
            pipelines=[{"name": "video-generation"}],
            families=[family for family in FAMILIES if family["name"] != without],
            runs={"media": self.media, "speech": self.speech},
        )

    async def post(self, **fields: Any) -> httpx.Response:
        async with client_of(self.context) as client:
            return await client.post(URL, json=SMALL | fields)

    async def made(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post(**fields)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def get(self, url: str) -> httpx.Response:
        async with client_of(self.context) as client:
            return await client.get(url)

    async def stages(self, **fields: Any) -> list[str]:
        answer = await self.post(**fields)
        assert answer.status_code == 200, answer.text
        job = (await self.get(f"/v1/jobs/{answer.headers['x-job-id']}")).json()
        assert {stage["status"] for stage in job["stages"]} == {"succeeded"}
        return [stage["name"] for stage in job["stages"]]


@pytest.fixture
def studio(make_context: MakeContext, tmp_path: Path) -> Studio:
    return Studio(make_context, tmp_path)


async def test_more_and_larger_frames(studio: Studio) -> None:
    body = await studio.made(
        interpolate_output=True, fps_multiplier=3, upscale_output=True, upscale_factor=2
    )
    [item] = body["data"]
    assert (item["width"], item["height"], item["fps"], item["num_frames"]) == (128, 96, 24, 51)
    data = (await studio.get(item["url"])).content
    check_playable(data, size=(128, 96), fps=24, frames=51)
    assert item["seed"] == 5


async def test_every_step_is_a_stage_in_its_order(studio: Studio) -> None:
    assert await studio.stages(
        interpolate_output=True,
        upscale_output=True,
        dialogs=[HELLO],
        audio_file=AUDIO,
        dub_video=True,
        dub_target_lang="de",
        generate_subtitles=True,
        burn_subtitles=True,
        convert_to_3d=True,
    ) == [
        "generate",
        *("interpolate", "upscale", "speak", "add-sound", "dub", "subtitle", "burn-subtitles"),
        "stereo",
    ]


async def test_each_of_several_videos_has_its_stages(studio: Studio) -> None:
    names = await studio.stages(n=2, tts_text="hello")
    assert names == [
        *("generate-1", "generate-2", "speak-1", "add-sound-1", "speak-2", "add-sound-2")
    ]


async def test_lines_are_spoken_one_after_the_other_or_at_their_time(studio: Studio) -> None:
    dialogs = [
        HELLO,
        HELLO | {"text": "abcd", "speed": 2.0, "lang": "en-US", "character": "Bob"},
        HELLO | {"text": "now", "start_time": 1.5, "voice": None},
    ]
    body = await studio.made(dialogs=dialogs, tts_voice="alloy", tts_speed=1.25)
    assert "warnings" not in body
    [mix] = studio.media.replaced
    assert [audio.start_s for audio in mix.recordings] == pytest.approx([0.0, 0.5, 1.5])
    assert [(s.text, s.voice, s.speed, s.language) for s in studio.speech.asked] == [
        ("0123456789", "hum", 1.25, None),
        ("abcd", "hum", 2.0, "en-us"),
        ("now", "alloy", 1.25, None),
    ]


async def test_a_narration_is_spoken_over_an_audio_of_ones_own(studio: Studio) -> None:
    body = await studio.made(tts_text="good morning", tts_voice="hum", audio_file=AUDIO)
    assert "warnings" not in body
    [mix] = studio.media.replaced
    assert [audio.start_s for audio in mix.recordings] == [0.0, 0.0]
    assert mix.recordings[0].audio.size == len(base64.b64decode(AUDIO))
    assert studio.speech.asked[0].text == "good morning"


async def test_audio_of_the_type_speech_is_spoken(studio: Studio) -> None:
    await studio.made(add_audio=True, audio_type="speech", audio_prompt="good morning")
    assert studio.speech.asked[0].text == "good morning"
    assert len(studio.media.replaced) == 1


async def test_an_audio_of_ones_own_is_audio_enough(studio: Studio) -> None:
    body = await studio.made(add_audio=True, audio_type="music", audio_file=AUDIO)
    assert body["warnings"] == ["audio_type: has no effect together with an audio file"]


async def test_a_line_longer_than_the_video_is_told(studio: Studio) -> None:
    body = await studio.made(
        dialogs=[HELLO | {"text": "x" * 60}, HELLO | {"start_time": 99}], generate_subtitles=True
    )
    first, second = body["warnings"]
    assert first.startswith("dialogs[0]: is cut; it is spoken from 0.0 to 3.0 s")
    assert second.startswith("dialogs[1]: is left out; it is spoken from 99.0")
    text = (await studio.get(body["data"][0]["subtitles_url"])).text
    assert "00:00:00,000 --> 00:00:02,125" in text
    assert "0123456789" not in text


async def test_lips_that_nobody_moves_are_told_unless_that_is_meant(studio: Studio) -> None:
    body = await studio.made(dialogs=[{"text": "hello"}])
    assert [w.partition(":")[0] for w in body["warnings"]] == ["dialogs"]


async def test_subtitles_of_lines_have_their_exact_times(studio: Studio) -> None:
    dialogs = [HELLO | {"text": "Hello there, old friend of mine!", "start_time": 0.25}]
    body = await studio.made(dialogs=dialogs, generate_subtitles=True)
    [item] = body["data"]
    answer = await studio.get(item["subtitles_url"])
    assert answer.headers["content-type"] == "application/x-subrip"
    assert answer.text == "1\n00:00:00,250 --> 00:00:01,850\nHello there, old friend of mine!\n"
    assert studio.media.burned == ()
    archive = (await studio.get("/v1/archive")).json()
    assert [entry["type"] for entry in archive["files"]] == ["video"]


async def test_subtitles_inside_the_answer(studio: Studio) -> None:
    body = await studio.made(dialogs=[HELLO], generate_subtitles=True, response_format="b64_mp4")
    head, _, data = body["data"][0]["subtitles_url"].partition(",")
    assert head == "data:application/x-subrip;base64"
    assert "0123456789" in base64.b64decode(data).decode()


async def test_burned_subtitles_name_who_speaks(studio: Studio) -> None:
    body = await studio.made(
        dialogs=[HELLO | {"character": "Bob"}], burn_subtitles=True, subtitle_style="karaoke"
    )
    assert "subtitles_url" not in body["data"][0]
    [asked] = studio.media.burned
    assert asked.style == "karaoke"
    assert [(cue.text, cue.speaker) for cue in asked.cues] == [("0123456789", "Bob")]
    assert asked.cues[0].words


async def test_an_audio_of_ones_own_is_listened_to(studio: Studio) -> None:
    body = await studio.made(
        audio_file=AUDIO,
        generate_subtitles=True,
        subtitle_language="English",
        whisper_model="base",
    )
    text = (await studio.get(body["data"][0]["subtitles_url"])).text
    assert "the quick brown" in text


async def test_subtitles_are_translated(studio: Studio) -> None:
    body = await studio.made(
        dialogs=[HELLO],
        generate_subtitles=True,
        translate_subtitles=True,
        subtitle_target_lang="German",
        subtitle_language="en",
        whisper_model="base",
    )
    # The fake text model says the request back, which is no translation.
    idle, kept = body["warnings"]
    assert idle == "whisper_model: has no effect, because the words are known"
    assert "did not translate segment 0" in kept


async def test_lines_are_dubbed_without_listening(studio: Studio) -> None:
    body = await studio.made(
        dialogs=[HELLO | {"lang": "en"}],
        dub_video=True,
        dub_target_lang="de",
        dub_source_lang="en",
        generate_subtitles=True,
    )
    stems, untranslated = body["warnings"]
    assert stems.startswith("dub_video: no stem separation model is available")
    assert "did not translate segment 0" in untranslated
    # Said once for the video, and then in the slot that it has there.
    assert [speech.text for speech in studio.speech.asked] == ["0123456789"] * 2
    assert studio.speech.asked[1].language == "de"
    assert len(studio.media.replaced) == 2


async def test_a_video_of_ones_own_keeps_its_audio_under_the_lines(
    studio: Studio, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "video.mp4", [landscape(64, 48, seed=i) for i in range(8)])
    video = base64.b64encode(clip.read_bytes()).decode()
    await studio.made(video=video, num_frames=None, tts_text="hello")
    [mix] = studio.media.replaced
    assert mix.recordings[0].audio == mix.video


async def test_what_fails_is_left_out_and_told(studio: Studio) -> None:
    studio.media.is_broken = True
    body = await studio.made(dialogs=[HELLO], burn_subtitles=True, generate_subtitles=True)
    said = body["warnings"]
    assert said[0] == "dialogs[0]: left out; stage 'add-sound': the mixer is gone"
    # Nobody is heard, so the video is listened to, in which the fake hears its sentence.
    assert said[1] == "burn_subtitles: left out; stage 'burn-subtitles': the pen is gone"
    assert "the quick" in (await studio.get(body["data"][0]["subtitles_url"])).text
    check_playable(
        (await studio.get(body["data"][0]["url"])).content, size=(64, 48), fps=8, frames=17
    )


async def test_a_voice_that_does_not_exist_is_told(studio: Studio) -> None:
    body = await studio.made(tts_text="hello", tts_voice="nobody")
    assert body["warnings"][0].startswith("tts_text: left out; stage 'speak': unknown voice")
    assert studio.media.replaced == ()


@pytest.mark.parametrize(
    ("fields", "status", "code", "param"),
    [
        ({"audio_file": "UklGRg=="}, 400, "invalid_request", "audio_file"),
        ({"audio_file": ""}, 400, "invalid_request", "audio_file"),
        ({"audio_file": "/v1/files/x.wav"}, 404, "not_found", "audio_file"),
        (
            {"add_audio": True, "audio_type": "speech"},
            400,
            "invalid_request",
            "audio_prompt",
        ),
        ({"generate_subtitles": True}, 400, "invalid_request", "generate_subtitles"),
        ({"burn_subtitles": True}, 400, "invalid_request", "burn_subtitles"),
        ({"dub_video": True, "dub_target_lang": "de"}, 400, "invalid_request", "dub_video"),
        ({"dub_video": True, "tts_text": "a"}, 400, "invalid_request", "dub_target_lang"),
        (
            {"dub_video": True, "tts_text": "a", "dub_target_lang": "martian"},
            400,
            "invalid_request",
            "dub_target_lang",
        ),
        (
            {
                "dub_video": True,
                "tts_text": "a",
                "dub_target_lang": "de",
                "dub_source_lang": "martian",
            },
            400,
            "invalid_request",
            "dub_source_lang",
        ),
        (
            {"dub_video": True, "tts_text": "a", "dub_target_lang": "de", "whisper_model": "no"},
            404,
            "model_not_found",
            "whisper_model",
        ),
        (
            {"generate_subtitles": True, "audio_file": AUDIO, "whisper_model": "huge"},
            404,
            "model_not_found",
            "whisper_model",
        ),
        (
            {"generate_subtitles": True, "audio_file": AUDIO, "subtitle_language": "martian"},
            400,
            "invalid_request",
            "subtitle_language",
        ),
        (
            {"generate_subtitles": True, "audio_file": AUDIO, "subtitle_language": "fr"},
            400,
            "invalid_request",
            "subtitle_language",
        ),
        (
            {
                "generate_subtitles": True,
                "tts_text": "a",
                "translate_subtitles": True,
                "subtitle_target_lang": "martian",
            },
            400,
            "invalid_request",
            "subtitle_target_lang",
        ),
        (
            {"dialogs": [HELLO | {"lang": "martian"}]},
            400,
            "invalid_request",
            "dialogs[0].lang",
        ),
        ({"dialogs": [HELLO | {"text": "  "}]}, 400, "invalid_request", "dialogs[0].text"),
        ({"dialogs": [HELLO | {"speed": 9}]}, 400, "invalid_request", "dialogs[0].speed"),
        (
            {"dub_video": True, "tts_text": "a", "dub_target_lang": "de", "voice_clone": 1},
            400,
            "invalid_request",
            "voice_clone",
        ),
    ],
)
async def test_bad_requests(
    studio: Studio, fields: dict[str, Any], status: int, code: str, param: str
) -> None:
    answer = await studio.post(**fields)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == (code, param)
    assert studio.speech.asked == ()


@pytest.mark.parametrize(
    ("family", "fields", "param"),
    [
        ("interpolation", {"interpolate_output": True}, "interpolate_output"),
        ("upscaling", {"upscale_output": True}, "upscale_output"),
        ("depth", {"convert_to_3d": True}, "convert_to_3d"),
        ("depth", {"convert_to_3d": True, "depth_method": "midas"}, "convert_to_3d"),
        ("speech", {"tts_text": "hello"}, "tts_text"),
        ("speech", {"dialogs": [HELLO]}, "dialogs[0].text"),
        (
            "transcription",
            {"generate_subtitles": True, "audio_file": AUDIO},
            "generate_subtitles",
        ),
        (
            "transcription",
            {"dub_video": True, "dub_target_lang": "de", "tts_text": "a"},
            "dub_video",
        ),
    ],
)
async def test_without_its_engine_a_step_is_refused_before_work_starts(
    make_context: MakeContext,
    tmp_path: Path,
    family: str,
    fields: dict[str, Any],
    param: str,
) -> None:
    studio = Studio(make_context, tmp_path, without=family)
    answer = await studio.post(**fields)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_capability", param)
    assert not error["message"].startswith(f"{param}: ")
