"""What files may make the server read: themselves, and nothing else."""

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
from serve_app.core.containers import READING
from serve_app.core.errors import InvalidRequest
from serve_app.core.options.video import AvOptions
from serve_app.core.video.processing import BurnSubtitles
from serve_app.profiles.recordings import check_audio
from tests.material import clip, tone, wav

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
