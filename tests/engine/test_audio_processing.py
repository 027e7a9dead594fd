"""Audio converted by the real engine: what is heard, and which packets stay as they were."""

import io
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, get_args

import av
import numpy as np
import psutil
import pytest

from deployments.audio.audio_scan import scanned
from deployments.video.av_media import AvMedia
from serve_app.blobs.recognition import media_type
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.audio.audio_processing import (
    AUDIO_FILE_MIME,
    AudioFileFormat,
    ConvertAudioStep,
    ProcessAudio,
    ProcessedAudio,
)
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.options.video import AvOptions
from tests.material import content, decoded, tone, wav
from tests.notices import texts_of
from tests.videos import audio_packets, ffmpeg

FORMATS: tuple[AudioFileFormat, ...] = get_args(AudioFileFormat)
CODECS = {
    "mp3": ("mp3float", "mp3"),
    "wav": ("pcm_s16le",),
    "aac": ("aac",),
    "flac": ("flac",),
    "ogg": ("vorbis",),
    "m4a": ("aac",),
    "wma": ("wmav2",),
}
SOURCE = ("-f", "lavfi", "-i")
TONE = "sine=f=440:r=44100:d=3,volume=4"


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
async def media(blobs: FsspecBlobStore) -> AsyncGenerator[AvMedia]:
    engine = AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)
    yield engine
    await engine.close()


@pytest.mark.parametrize("name", ["a.wav", "a.w64", "a.aiff", "a.au"])
def test_samples_without_times_are_plain(tmp_path: Path, name: str) -> None:
    ffmpeg(*SOURCE, TONE, tmp_path / name)
    scan = scanned(tmp_path / name, None, param="audio")
    assert (scan.is_plain, scan.is_joined, scan.end_s) == (True, False, pytest.approx(3.0))


async def converted(
    media: AvMedia, source: Path, format: AudioFileFormat, **fields: Any
) -> tuple[ProcessedAudio, bytes]:
    blob = await media.blobs.write_file(source)
    request = ProcessAudio(audio=blob, steps=(ConvertAudioStep(format=format),), **fields)
    *events, result = [event async for event in media.process_audio(request)]
    assert all(isinstance(event, Progress) for event in events)
    assert isinstance(result, ProcessedAudio)
    return result, await content(media.blobs, result.audio)


@pytest.mark.parametrize("format", FORMATS)
async def test_every_format(media: AvMedia, tmp_path: Path, format: AudioFileFormat) -> None:
    source = tmp_path / "tone.wav"
    source.write_bytes(wav(tone(2.0)))
    result, data = await converted(media, source, format)
    assert (result.format, result.audio.mime) == (format, AUDIO_FILE_MIME[format])
    heard = decoded(data)
    assert heard.codec in CODECS[format]
    assert heard.pitch_hz() == pytest.approx(440, abs=2)
    assert heard.duration_s == pytest.approx(2.0, abs=0.15)
    assert result.duration_s == pytest.approx(2.0, abs=0.15)
    assert result.is_copied == (format == "wav")
    made = tmp_path / f"made.{format}"
    made.write_bytes(data)
    assert media_type(made, data[:4096]) == AUDIO_FILE_MIME[format]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rate", [4_000, 11_025, 96_000])
async def test_odd_rates_and_many_channels(
    media: AvMedia, tmp_path: Path, format: AudioFileFormat, rate: int
) -> None:
    source = tmp_path / "many.wav"
    one = f"sine=f=440:r={rate}:d=1,volume=4"
    ffmpeg(*SOURCE, f"{one},pan=7.1|c0=c0|c1=c0|c2=c0|c3=c0|c4=c0|c5=c0|c6=c0|c7=c0", source)
    _, data = await converted(media, source, format)
    heard = decoded(data)
    assert heard.pitch_hz() == pytest.approx(440, abs=3)
    assert heard.duration_s == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("source", "codec", "format"),
    [
        ("a.mp3", "libmp3lame", "mp3"),
        ("a.mkv", "libmp3lame", "mp3"),
        ("a.m4a", "aac", "m4a"),
        ("a.m4a", "aac", "aac"),
        ("a.aac", "aac", "m4a"),
        ("a.mkv", "flac", "flac"),
        ("a.webm", "libopus", "ogg"),
        ("a.ogg", "libvorbis", "ogg"),
        ("a.wma", "wmav2", "wma"),
        ("a.wav", "pcm_s24le", "wav"),
    ],
)
async def test_packets_are_copied_where_the_format_can_hold_them(
    media: AvMedia, tmp_path: Path, source: str, codec: str, format: AudioFileFormat
) -> None:
    path = tmp_path / source
    ffmpeg(*SOURCE, TONE, "-c:a", codec, path)
    result, data = await converted(media, path, format)
    assert result.is_copied
    before, after = audio_packets(path.read_bytes()), audio_packets(data)
    if codec != "pcm_s24le":
        assert [bare(content) for _, content in after] == [bare(content) for _, content in before]
    assert decoded(data).duration_s == pytest.approx(3.0, abs=0.08)
    assert result.duration_s == pytest.approx(3.0, abs=0.08)


def bare(packet: bytes) -> bytes:
    """Without the header that raw AAC has before each packet."""
    return packet[7:] if packet.startswith(b"\xff\xf1") else packet


async def test_the_audio_of_a_video_that_begins_late_keeps_its_place(
    media: AvMedia, tmp_path: Path
) -> None:
    path = tmp_path / "late.mp4"
    image, late = (*SOURCE, "color=black:s=64x48:r=25:d=4"), ("-itsoffset", "1.5")
    ffmpeg(*image, *late, *SOURCE, TONE, "-map", "0:v", "-map", "1:a", "-c:a", "aac", path)
    result, data = await converted(media, path, "m4a")
    assert not result.is_copied
    heard = decoded(data)
    assert heard.loudness(0, 1.4) < 0.01
    assert heard.loudness(1.6, 4) > 0.1


async def test_the_track_that_is_asked_for(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    tones = [piece for hz in (500, 900) for piece in (*SOURCE, f"sine=f={hz}:d=1,volume=4")]
    ffmpeg(*tones, "-map", "0", "-map", "1", "-c:a", "flac", path)
    first, data = await converted(media, path, "wav")
    assert decoded(data).pitch_hz() == pytest.approx(500, abs=3)
    assert "track 0" in texts_of(first.warnings)[0]
    _, data = await converted(media, path, "wav", audio_track=1)
    assert decoded(data).pitch_hz() == pytest.approx(900, abs=3)
    with pytest.raises(InvalidRequest) as raised:
        await converted(media, path, "wav", audio_track=2)
    assert raised.value.param == "audio_track"


async def test_what_was_recorded_with_more_bits_keeps_them(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "deep.flac"
    fine = "aevalsrc=0.3*sin(2*PI*440*t):s=44100:d=1"
    ffmpeg(*SOURCE, fine, "-c:a", "flac", "-sample_fmt", "s32", path)
    _, data = await converted(media, path, "wav")
    assert decoded(data).codec == "pcm_s24le"
    with av.open(io.BytesIO(data)) as container:
        frame = next(container.decode(audio=0))
        assert np.any(frame.to_ndarray() & 0xFF00)


async def test_tags_go_along_and_covers_do_not(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "tagged.mp3"
    cover = (*SOURCE, "color=red:s=32x32:d=0.04")
    ffmpeg(
        *(*SOURCE, TONE, *cover, "-map", "0", "-map", "1", "-c:v", "png", "-frames:v", 1),
        *("-disposition:v", "attached_pic", "-metadata", "title=A tone", path),
    )
    _, data = await converted(media, path, "flac")
    with av.open(io.BytesIO(data)) as container:
        assert not container.streams.video
        assert {k.lower(): v for k, v in container.metadata.items()}["title"] == "A tone"


@pytest.mark.parametrize("data", [b"no audio at all", b"RIFF\x24\x10\0\0WAVEfmt " + b"\7" * 400])
async def test_what_is_no_audio(media: AvMedia, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken"
    path.write_bytes(data)
    with pytest.raises(InvalidRequest) as raised:
        await converted(media, path, "mp3")
    assert raised.value.param == "audio"


async def test_a_file_that_was_cut_off(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "whole.m4a"
    ffmpeg(*SOURCE, TONE, "-movflags", "+faststart", path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InvalidRequest) as raised:
        await converted(media, path, "mp3")
    assert (raised.value.param, "truncated" in raised.value.message) == ("audio", True)


async def test_closing_the_stream_ends_the_child(media: AvMedia, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    ffmpeg(*SOURCE, "anoisesrc=r=48000:d=1200", "-ac", 2, path)
    blob = await media.blobs.write_file(path)
    steps = (ConvertAudioStep(format="ogg"),)
    events = media.process_audio(ProcessAudio(audio=blob, steps=steps))
    first = await anext(events)
    assert isinstance(first, Progress)
    assert first.current < 1200
    assert [child.name() for child in psutil.Process().children() if "ffmpeg" in child.name()]
    await events.aclose()
    assert not [c.name() for c in psutil.Process().children() if "ffmpeg" in c.name()]
