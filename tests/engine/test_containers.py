"""What files may make the server read: themselves, and nothing else."""

import wave
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.video.av_media import AvMedia
from deployments.video.video_decoding import probed
from serve_app.archive.previews import media_preview
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.config import Model
from serve_app.core.containers import READING, opened_container, reading_of
from serve_app.core.errors import InvalidRequest
from serve_app.core.options.video import AvOptions
from serve_app.core.video.processing import BurnSubtitles
from serve_app.profiles.recordings import check_audio
from tests.material import clip, tone, wav
from tests.videos import ffmpeg

HLS = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n"
DASH = """<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"
 mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>
 <AdaptationSet><Representation id="1" bandwidth="1000" mimeType="video/mp4">
 <BaseURL>{name}</BaseURL>
 <SegmentBase indexRange="0-1"/></Representation></AdaptationSet></Period></MPD>"""
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
LISTS = {
    "list.ffconcat": "ffconcat version 1.0\nfile {name}\n",
    "list.txt": "ffconcat version 1.0\nfile {name}\n",
    "list.m3u8": HLS,
    "list.mp4": HLS,
    "list.mpd": DASH,
    "list.sdp": SDP,
    "list.webm": "WEBVTT\n\n00:00.000 --> 00:01.000\n{name}\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_files_is_no_medium(tmp_path: Path, name: str) -> None:
    """The video beside it is one that could be read."""
    other = clip(tmp_path / "other.ts", 2.0, audio=tone(2.0))
    assert probed(other, param="video").has_audio
    path = tmp_path / name
    path.write_text(LISTS[name].format(name=other.name))
    looks: dict[str, Callable[[], object]] = {
        "file": lambda: list(speech_blocks(path, param="file")),
        "video": lambda: probed(path, param="video"),
        "audio": lambda: check_audio(path, param="audio"),
    }
    for param, look in looks.items():
        with pytest.raises(InvalidRequest) as caught:
            look()
        assert caught.value.param == param
    assert media_preview(path, "video").width is None


async def test_a_list_of_files_is_no_medium_for_the_child_process_either(tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path / "blobs")
    media = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    other = clip(tmp_path / "other.ts", 2.0)
    path = tmp_path / "list.mp4"
    path.write_text(LISTS["list.ffconcat"].format(name=other.name))
    video = await blobs.write_file(path, mime="video/mp4")
    cue = TranscriptSegment(id=0, start=0.0, end=1.0, text="word")
    with pytest.raises(InvalidRequest):
        [event async for event in media.burn_subtitles(BurnSubtitles(video=video, cues=(cue,)))]


def test_a_file_of_any_name_is_read(tmp_path: Path) -> None:
    for name in ("plain.wav", "http:x.wav", "concat:a|b.wav", "100%d.wav", "-i.wav", "ä ö.wav"):
        (tmp_path / name).write_bytes(wav(tone(0.1)))
        assert sum(map(len, speech_blocks(tmp_path / name, param="file"))) == 3200


def test_every_demuxer_named_is_one_of_the_library(tmp_path: Path) -> None:
    for name in READING["format_whitelist"].split(","):
        assert av.ContainerFormat(name, "r").is_input
    assert not {"hls", "concat", "dash", "image2", "lavfi", "sdp"} & set(
        READING["format_whitelist"].split(",")
    )


def dts(path: Path) -> bytes:
    """A tone of three seconds as bare DTS frames, written to a file beside the given one."""
    bare = path.with_suffix(".dts")
    source = ("-f", "lavfi", "-i", "sine=d=3:r=48000", "-ac", "2")
    ffmpeg(*source, "-c:a", "dca", "-strict", "-2", "-b:a", "768k", str(bare))
    return bare.read_bytes()


@pytest.mark.parametrize("silent_s", [0.0, 1.5])
def test_dts_that_is_said_to_be_samples_is_found(tmp_path: Path, silent_s: float) -> None:
    """As it comes from a compact disc, of which the beginning is silent."""
    path = tmp_path / "disc.wav"
    stored = bytes(round(silent_s * 48_000) * 4) + dts(path)
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 48_000, 0, "NONE", "not compressed"))
        file.writeframes(stored)
    with opened_container(path) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == "dts"
    assert "probesize" not in reading_of(path)


@pytest.mark.parametrize("bits", [16, 24])
def test_plain_samples_are_not_searched_for_dts(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "plain.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, bits // 8, 48_000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(bits // 8 * 96_000))
    assert "probesize" in reading_of(path)
    with opened_container(path) as container:
        assert container.duration == 2 * av.time_base
