"""A video of a prompt with dialog and subtitles, by the engines that need no download."""

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from deployments.audio.hpss_stems import HpssStems
from deployments.fakes.audio_generation import FakeAudio
from deployments.fakes.engine import FakeChat, FakeTranscription
from deployments.fakes.images import FakeImages
from deployments.fakes.vision import FakeDepth
from deployments.image.lanczos_upscaling import LanczosUpscaling
from deployments.video.av_media import AvMedia
from deployments.video.camera_moves import CameraMoves
from deployments.video.flow_interpolation import FlowInterpolation
from pipelines.image_to_video import ImageToVideo
from pipelines.video_generation import VideoGeneration
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.chat_translator import ChatTranslator
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.config import Model
from serve_app.core.options.audio import HpssOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import LanczosOptions
from serve_app.core.options.video import AvOptions, CameraMovesOptions, OpticalFlowOptions
from serve_app.core.video.image_to_video import AnimatedPrompt, AnimatePrompt
from serve_app.core.video.production import ProduceVideo, Videos
from tests.material import clip, content, espeak, stored, tone, wav
from tests.material import decoded as heard
from tests.notices import texts_of
from tests.running import stages_over
from tests.videos import check_playable, decoded, look

SIZE = {"width": 160, "height": 120}
PROMPT = "a red boat"
# Five seconds of a camera that moves over a drawn still.
GENERATION = {
    "model": "camera-moves",
    "prompt": PROMPT,
    "seed": 5,
    "size": SIZE,
    "fps": 10,
    "num_frames": 50,
    "camera_motion": "zoom-in",
}
IMAGE = {"model": "squares", "prompt": PROMPT, "seed": 5, "size": SIZE}


def spoken(text: str, **fields: Any) -> dict[str, Any]:
    speech = {"model": "espeak-ng", "text": text, "voice": "en-us", "format": "wav"}
    return {"speech": speech, "field": "dialogs[0]"} | fields


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def parts(blobs: FsspecBlobStore, tmp_path: Path) -> dict[str, Any]:
    def made(kind: Any, options: Any) -> Any:
        return kind(options, Model(id="built-in"), path=None, blobs=blobs)

    return {
        "images": made(FakeImages, FakeOptions(task="images")),
        "video": made(CameraMoves, CameraMovesOptions()),
        "interpolation": made(FlowInterpolation, OpticalFlowOptions()),
        "upscaling": made(LanczosUpscaling, LanczosOptions()),
        "depth": made(FakeDepth, FakeOptions(task="depth")),
        "speech": espeak(tmp_path),
        "transcription": made(FakeTranscription, FakeOptions(task="transcription")),
        "translation": ChatTranslator(EngineRunner(made(FakeChat, FakeOptions(task="chat")))),
        "stems": made(HpssStems, HpssOptions()),
        "sound": made(FakeAudio, FakeOptions(task="sound")),
        "media": made(AvMedia, AvOptions()),
    }


async def produced(
    parts: dict[str, Any], blobs: FsspecBlobStore, finish: dict[str, Any], **fields: Any
) -> Videos:
    request = ProduceVideo.model_validate(
        {"generation": GENERATION, "image": IMAGE, "finish": finish} | fields
    )
    events = VideoGeneration(stages_over(parts), blobs).run(request)
    *_, made = [event async for event in events]
    assert isinstance(made, Videos)
    return made


async def test_dialogs_are_heard_and_read_when_they_are_spoken(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    lines = [
        spoken("Good morning, captain.", start_s=0.5),
        spoken("Set the sails.", start_s=3.0, speaker="Bob"),
    ]
    finish = {
        "lines": lines,
        "subtitles": {"style": "default"},
        "writes_subtitles": True,
        "burns_subtitles": True,
    }
    plain = await produced(parts, blobs, {})
    made = await produced(parts, blobs, finish)
    assert made.warnings == ()
    data = await content(blobs, made.videos[0].video)
    video = check_playable(data, size=(160, 120), fps=10, frames=50)
    assert video.audio_s == pytest.approx(5.0, abs=0.1)

    audio = heard(data)
    assert audio.loudness(0.0, 0.45) < 0.005
    assert audio.loudness(0.6, 1.2) > 0.02
    assert audio.loudness(2.6, 2.95) < 0.005
    assert audio.loudness(3.1, 3.6) > 0.02

    # The cues are drawn into the lower part of the image, when the lines are heard.
    before = decoded(await content(blobs, plain.videos[0].video))
    after = decoded(data)
    lower = np.s_[80:, :, :]
    changes = [
        float(np.abs(after[i][lower].astype(float) - before[i][lower]).mean())
        for i in (2, 10, 28, 34)
    ]
    quiet, first, pause, second = changes
    assert min(first, second) > 3 * max(quiet, pause)

    assert made.subtitles[0] is not None
    srt = (await content(blobs, made.subtitles[0])).decode()
    assert srt.startswith("1\n00:00:00,500 --> ")
    assert "Good morning, captain." in srt
    assert "\n00:00:03,000 --> " in srt
    assert "[Bob] Set the sails." in srt


async def test_more_and_larger_frames_keep_the_time(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    finish = {
        "frames": {"model": "flow", "multiplier": 2},
        "size": {"model": "lanczos", "factor": 2, "allows_resize": True},
    }
    made = await produced(parts, blobs, finish, generation=GENERATION | {"num_frames": 8})
    [video] = made.videos
    data = await content(blobs, video.video)
    assert (video.size.width, video.size.height, video.fps) == (320, 240, 20)
    check_playable(data, size=(320, 240), fps=20, frames=video.num_frames)
    assert video.duration_s == pytest.approx(0.8, abs=0.06)
    assert any("lanczos" in warning.lower() for warning in texts_of(made.warnings))


async def test_an_audio_of_ones_own_lies_under_the_words(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    music = await stored(blobs, wav(tone(9.0, hz=3000)))
    finish = {"lines": [spoken("Ahoy.", start_s=2.0)], "audio": music.model_dump()}
    made = await produced(parts, blobs, finish)
    data = await content(blobs, made.videos[0].video)
    assert look(data).audio_s == pytest.approx(5.0, abs=0.1)
    audio = heard(data)
    assert audio.loudness(2.05, 2.4) > 1.05 * audio.loudness(0.5, 1.5) > 0.05


def level(audio: Any, hz: float, start_s: float, end_s: float) -> float:
    """The amplitude of a tone between two seconds; a third of full scale is 0.336."""
    first, last = (int(at_s * audio.sample_rate) for at_s in (start_s, end_s))
    part = audio.samples[first:last]
    moments = np.arange(len(part)) / audio.sample_rate
    return float(2 * np.abs(np.mean(part * np.exp(-2j * np.pi * hz * moments))))


async def test_music_is_as_long_as_the_video_and_fades_out(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    made = await produced(parts, blobs, {"background": {"model": "band", "prompt": "slow piano"}})
    data = await content(blobs, made.videos[0].video)
    check_playable(data, size=(160, 120), fps=10, frames=50)
    assert look(data).audio_s == pytest.approx(5.0, abs=0.1)
    audio = heard(data)
    assert level(audio, 440, 0.5, 3.5) == pytest.approx(0.336, rel=0.05)
    # A quarter of the video is left for it to end.
    assert level(audio, 440, 4.3, 4.45) == pytest.approx(0.336 / 2, rel=0.1)
    assert audio.loudness(4.95, 5.0) < 0.02
    assert made.warnings == ()


async def test_music_is_twelve_decibels_lower_under_speech(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    line = spoken("Good morning, captain. Set the sails.", start_s=1.0)
    background = {"model": "band", "prompt": "slow piano"}
    plain = await produced(parts, blobs, {"lines": [line]})
    made = await produced(parts, blobs, {"lines": [line], "background": background})
    speech = heard(await content(blobs, plain.videos[0].video))
    both = heard(await content(blobs, made.videos[0].video))
    assert len(speech.samples) == len(both.samples)
    assert level(both, 440, 0.1, 0.6) == pytest.approx(0.336, rel=0.05)
    assert level(both, 440, 1.1, 2.1) == pytest.approx(0.336 / 3.98, rel=0.1)
    # What is left without the tone is the speech, as loud as it is without music.
    power = both.loudness(1.1, 2.1) ** 2 - level(both, 440, 1.1, 2.1) ** 2 / 2
    assert power**0.5 == pytest.approx(speech.loudness(1.1, 2.1), rel=0.15)


async def test_a_video_keeps_its_own_audio_over_the_music(
    parts: dict[str, Any], blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    own = clip(tmp_path / "own.mp4", 5.0, audio=tone(5.0, hz=1000)).read_bytes()
    generation = GENERATION | {
        "mode": "v2v",
        "video": (await stored(blobs, own)).model_dump(),
        "camera_motion": None,
    }
    finish = {"background": {"model": "band", "prompt": "slow piano"}, "keeps_audio": True}
    made = await produced(parts, blobs, finish, generation=generation, image=None)
    audio = heard(await content(blobs, made.videos[0].video))
    assert level(audio, 1000, 1.0, 3.0) == pytest.approx(0.336, rel=0.05)
    assert level(audio, 440, 1.0, 3.0) == pytest.approx(0.336 / 3.98, rel=0.1)


async def test_a_prompt_becomes_a_video_that_speaks(
    parts: dict[str, Any], blobs: FsspecBlobStore
) -> None:
    request = AnimatePrompt.model_validate(
        {
            "image": IMAGE,
            "generation": GENERATION | {"num_frames": 30},
            "finish": {"lines": [spoken("Ahoy.")]},
        }
    )
    events = ImageToVideo(stages_over(parts), blobs).run(request)
    *_, made = [event async for event in events]
    assert isinstance(made, AnimatedPrompt)
    data = await content(blobs, made.video.video)
    check_playable(data, size=(160, 120), fps=10, frames=30)
    assert heard(data).loudness(0.05, 0.4) > 0.02
    # The video begins with the image.
    with av.open(io.BytesIO(await content(blobs, made.image.image))) as container:
        still = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(decoded(data)[0].astype(float) - still).mean() < 12
