"""Files with several audio files and images: which is taken, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.faster_whisper_transcription import FasterWhisperTranscription
from deployments.audio.ge2e_diarization import Ge2eDiarization
from deployments.audio.hpss_stems import HpssStems
from deployments.image.lanczos_upscaling import LanczosUpscaling
from deployments.video.av_media import AvMedia
from deployments.video.video_decoding import probed, video_frames
from serve_app.archive.previews import media_preview as look_into
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.diarization import Diarize
from serve_app.core.audio.stems import SeparateStems
from serve_app.core.audio.transcription import Transcribe
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.image.upscaling import UpscaleVideo
from serve_app.core.media import Blob
from serve_app.core.options.audio import FasterWhisperOptions, Ge2eOptions, HpssOptions
from serve_app.core.options.image import LanczosOptions
from serve_app.core.options.video import AvOptions
from serve_app.core.tracks import AudioTrack
from serve_app.core.video.processing import BurnSubtitles, ExtractAudio, ReplaceAudio
from tests.engine.tiny_whisper import save_whisper
from tests.material import content, decoded
from tests.notices import texts_of
from tests.videos import ffmpeg, look
from tests.weights import weights

SOURCE = ("-f", "lavfi", "-i")
TONES_HZ = (500, 800, 1100, 1400)
LANGUAGES = ("eng", "ger", "fra", "eng")
TRACKS = "0 (eng), 1 (ger, default), 2 (fra), 3 (eng)"


def listener(blobs: FsspecBlobStore, checkpoint: Path) -> FasterWhisperTranscription:
    options = FasterWhisperOptions(device="cpu", threads=1)
    return FasterWhisperTranscription(options, Model(id="m"), path=checkpoint, blobs=blobs)


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four audio files; the German one is marked default."""
    path = tmp_path_factory.mktemp("video") / "several.mkv"
    tones = [part for hz in TONES_HZ for part in (*SOURCE, f"sine=f={hz}:r=16000:d=2")]
    maps = [part for number in range(5) for part in ("-map", number)]
    said = [
        part
        for number, language in enumerate(LANGUAGES)
        for part in (
            *(f"-metadata:s:a:{number}", f"language={language}"),
            *(f"-disposition:a:{number}", "default" if number == 1 else 0),
        )
    ]
    image = (*SOURCE, "testsrc2=s=64x48:r=10:d=2")
    ffmpeg(*image, *tones, *maps, "-c:v", "libx264", "-c:a", "aac", *said, path)
    return path


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def video(blobs: FsspecBlobStore, several: Path) -> Blob:
    return await blobs.write_file(several, mime="video/x-matroska")


@pytest.fixture
def media(blobs: FsspecBlobStore) -> AvMedia:
    return AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)


def pitch_hz(pcm: bytes) -> float:
    samples = np.frombuffer(pcm, "<i2")
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * 16_000 / len(samples)


@pytest.mark.parametrize(
    ("track", "hz"),
    [
        (None, 800),
        (0, 500),
        ("0", 500),
        (3, 1400),
        ("de", 800),
        ("deu", 800),
        ("ger", 800),
        ("German", 800),
        ("fr-CA", 1100),
        ("en", 500),
    ],
)
def test_the_track_that_is_asked_for_is_heard(
    several: Path, track: AudioTrack | None, hz: int
) -> None:
    pcm = b"".join(speech_blocks(several, param="file", track=track))
    assert pitch_hz(pcm) == pytest.approx(hz, abs=5)


async def last(events: Any) -> Any:
    return [event async for event in events][-1]


async def test_a_choice_is_told_by_everybody(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob, tmp_path: Path
) -> None:
    made: dict[str, Any] = {"path": None, "blobs": blobs}
    ear = listener(blobs, save_whisper(tmp_path / "whisper"))
    stems = HpssStems(HpssOptions(), Model(id="m"), **made)
    larger = LanczosUpscaling(LanczosOptions(), Model(id="m"), **made)
    asked_stems = SeparateStems(model="m", audio=video, allows_fallback=True)
    answers = [
        await last(ear.transcribe(Transcribe(model="m", audio=video))),
        await last(stems.separate_stems(asked_stems)),
        await last(larger.upscale_video(UpscaleVideo(model="m", video=video, allows_resize=True))),
        await last(media.burn_subtitles(BurnSubtitles(video=video, cues=()))),
        await media.extract_audio(ExtractAudio(video=video)),
    ]
    for answer in answers:
        used = f"audio_track: track 1 (ger, default) was used; the file has {TRACKS}"
        assert used in texts_of(answer.warnings)


async def test_who_chooses_is_told_nothing_but_that_there_are_more(
    media: AvMedia, video: Blob
) -> None:
    for track in (0, "de", "fra"):
        made = await media.extract_audio(ExtractAudio(video=video, audio_track=track))
        assert made.warnings == ()
    made = await media.extract_audio(ExtractAudio(video=video, audio_track="en"))
    assert texts_of(made.warnings) == (
        f"audio_track: track 0 (eng) was used; the file has {TRACKS}",
    )


async def test_a_track_that_is_not_there_is_named(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob, tmp_path: Path
) -> None:
    made: dict[str, Any] = {"path": None, "blobs": blobs}
    ear = listener(blobs, save_whisper(tmp_path / "whisper"))
    voices = Ge2eDiarization(Ge2eOptions(), Model(id="m"), path=weights("ge2e"), blobs=blobs)
    stems = HpssStems(HpssOptions(), Model(id="m"), **made)
    track: AudioTrack
    for track in (4, "9", "es", "und", "klingon"):
        asked = {"audio": video, "audio_track": track, "model": "m"}
        for work in (
            media.extract_audio(ExtractAudio(video=video, audio_track=track)),
            last(media.burn_subtitles(BurnSubtitles(video=video, cues=(), audio_track=track))),
            last(ear.transcribe(Transcribe.model_validate(asked))),
            last(voices.diarize(Diarize.model_validate(asked))),
            last(stems.separate_stems(SeparateStems(**asked, allows_fallback=True))),
        ):
            with pytest.raises(InvalidRequest) as refused:
                await work
            assert refused.value.param == "audio_track"
            assert repr(track) in refused.value.message
            assert "0 (eng), 1 (ger, default), 2 (fra), 3 (eng)" in refused.value.message


async def test_the_subtitled_video_has_the_track_that_was_heard(
    media: AvMedia, blobs: FsspecBlobStore, video: Blob
) -> None:
    asked = BurnSubtitles(video=video, cues=(), audio_track="fr")
    made = await last(media.burn_subtitles(asked))
    audio = decoded(await content(blobs, made.video))
    assert audio.pitch_hz() == pytest.approx(1100, abs=5)


def test_a_language_that_is_not_said_is_und(tmp_path: Path) -> None:
    path = tmp_path / "unsaid.mkv"
    tones = [part for hz in TONES_HZ[:2] for part in (*SOURCE, f"sine=f={hz}:r=16000:d=1")]
    ffmpeg(*tones, "-map", 0, "-map", 1, "-metadata:s:a:0", "language=eng", path)
    pcm = b"".join(speech_blocks(path, param="file", track="und"))
    assert pitch_hz(pcm) == pytest.approx(800, abs=5)


async def test_a_cover_is_no_image(media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path) -> None:
    """It comes first in the file, and is larger."""
    path = tmp_path / "covered.mp4"
    cover = tmp_path / "cover.png"
    ffmpeg(*SOURCE, "color=red:s=200x200:d=1", "-frames:v", 1, cover)
    clip = (*SOURCE, "color=blue:s=64x48:r=10:d=2", *SOURCE, "sine=d=2")
    kinds = ("-c:v:0", "png", "-disposition:v:0", "attached_pic", "-c:v:1", "libx264")
    ffmpeg("-i", cover, *clip, "-map", 0, "-map", 1, "-map", 2, *kinds, path)
    assert probed(path, param="video").size.width == 64
    assert [f.pixels.mean(axis=(0, 1)).argmax() for f in video_frames(path, param="video")] == [
        2
    ] * 20
    video = await blobs.write_file(path, mime="video/mp4")
    burned = await last(media.burn_subtitles(BurnSubtitles(video=video, cues=())))
    dubbed = await media.replace_audio(ReplaceAudio(video=video, recordings=()))
    for made in (burned, dubbed):
        assert look(await content(blobs, made.video)).size == (64, 48)
        assert made.warnings == ()
    seen = look_into(path, "video")
    assert (seen.width, seen.height) == (64, 48)


async def test_an_audio_with_a_cover_is_no_video(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    path = tmp_path / "song.m4a"
    cover = tmp_path / "cover.png"
    ffmpeg(*SOURCE, "color=red:s=64x64:d=1", "-frames:v", 1, cover)
    kinds = ("-c:v", "copy", "-disposition:v:0", "attached_pic")
    ffmpeg(*SOURCE, "sine=d=1", "-i", cover, "-map", 0, "-map", 1, *kinds, path)
    song = await blobs.write_file(path, mime="audio/mp4")
    with pytest.raises(InvalidRequest) as refused:
        await media.replace_audio(ReplaceAudio(video=song, recordings=()))
    assert refused.value.message == "there is no video in this file"


async def test_of_several_images_the_one_marked_default_is_seen(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    path = tmp_path / "angles.mkv"
    sources = (*SOURCE, "color=red:s=96x96:r=10:d=1", *SOURCE, "color=blue:s=64x48:r=10:d=1")
    marks = ("-disposition:v:0", 0, "-disposition:v:1", "default")
    ffmpeg(*sources, "-map", 0, "-map", 1, "-c:v", "libx264", *marks, path)
    video = await blobs.write_file(path, mime="video/x-matroska")
    default = "1 (64x48, default)"
    told = f"video: video track {default} was used; the file has 0 (96x96), {default}"
    burned = await last(media.burn_subtitles(BurnSubtitles(video=video, cues=())))
    dubbed = await media.replace_audio(ReplaceAudio(video=video, recordings=()))
    for made in (burned, dubbed):
        assert look(await content(blobs, made.video)).size == (64, 48)
        assert texts_of(made.warnings) == (told,)
