"""What people have: files of every kind, sent up, told what they are, and read."""

import base64
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import httpx
import imageio_ffmpeg
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.video.video_decoding import video_frames
from serve_app.api.context import Context
from tests.api.conftest import MakeContext, client_of

SECONDS = 2
AUDIO = ("-f", "lavfi", "-i", f"sine=f=440:r=48000:d={SECONDS}")
VIDEO = ("-f", "lavfi", "-i", f"testsrc=s=64x48:r=25:d={SECONDS}")


def made(folder: Path, name: str, *options: str, is_video: bool = True) -> bytes:
    """By the ffmpeg of imageio-ffmpeg."""
    target = folder / name
    inputs = (*VIDEO, *AUDIO) if is_video else AUDIO
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *inputs, *options, "-y"]
    subprocess.run([*command, str(target)], check=True)
    return target.read_bytes()


class Kept(NamedTuple):
    """A format: how it is made, what it is called, and what is done to the bytes."""

    name: str
    mime: str
    options: tuple[str, ...] = ()
    change: Callable[[bytes], bytes] = lambda data: data


def tagged(tag_bytes: int) -> Callable[[bytes], bytes]:
    """Behind an ID3 tag of so many bytes, as one with an image is."""

    def change(data: bytes) -> bytes:
        size = bytes(tag_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))
        frame = bytes((tag_bytes - 10) >> shift & 0x7F for shift in (21, 14, 7, 0))
        return b"ID3\4\0\0" + size + b"APIC" + frame + b"\0\0" + b"p" * (tag_bytes - 10) + data

    return change


def frames_of(data: bytes) -> bytes:
    """MPEG audio without its tag."""
    return data[re.search(rb"\xff[\xf2-\xfb]", data).start() :]  # type: ignore[union-attr]


def beginning_with(atoms: bytes) -> Callable[[bytes], bytes]:
    """QuickTime with other atoms, as long, in the place of `ftyp`."""

    def change(data: bytes) -> bytes:
        length = int.from_bytes(data[:4])
        assert data[4:8] == b"ftyp"
        rest = length - len(atoms)
        filling = rest.to_bytes(4) + b"free" + bytes(rest - 8) if rest else b""
        return atoms + filling + data[length:]

    return change


def index_first(data: bytes) -> bytes:
    """`moov` in front, and what was in front behind it, so that no offset moves."""
    length, index = int.from_bytes(data[:4]), data.index(b"moov") - 4
    assert index == length
    end = index + int.from_bytes(data[index : index + 4])
    free = length.to_bytes(4) + b"free" + bytes(length - 8)
    return data[index:end] + free + data[end:]


RECORDINGS = (
    Kept("plain.wav", "audio/wav"),
    Kept("24bit.wav", "audio/wav", ("-c:a", "pcm_s24le")),
    Kept("float.wav", "audio/wav", ("-c:a", "pcm_f64le")),
    Kept("telephone.wav", "audio/wav", ("-c:a", "pcm_mulaw", "-ar", "8000")),
    Kept("long.wav", "audio/wav", ("-rf64", "always")),
    Kept("broadcast.wav", "audio/wav", ("-rf64", "always"), lambda d: b"BW64" + d[4:]),
    Kept("sound.w64", "audio/x-w64"),
    Kept("sound.aiff", "audio/aiff"),
    Kept("sound.aifc", "audio/aiff", ("-f", "aiff", "-c:a", "pcm_s16le")),
    Kept("sound.caf", "audio/x-caf"),
    Kept("sound.au", "audio/basic"),
    Kept("sound.voc", "audio/x-voc"),
    Kept("sound.flac", "audio/flac"),
    Kept("cover.flac", "audio/flac", (), tagged(3_000_000)),
    Kept("sound.wv", "audio/x-wavpack"),
    Kept("sound.tta", "audio/x-tta"),
    Kept("sound.ac3", "audio/ac3"),
    Kept("sound.eac3", "audio/eac3"),
    Kept("sound.dts", "audio/vnd.dts", ("-c:a", "dca", "-strict", "-2")),
    Kept("sound.thd", "audio/vnd.dolby.mlp", ("-c:a", "truehd", "-strict", "-2", "-ac", "2")),
    Kept("sound.aac", "audio/aac"),
    Kept("tagged.aac", "audio/aac", (), tagged(3_000)),
    Kept("cover.aac", "audio/aac", (), tagged(3_000_000)),
    Kept("sound.amr", "audio/amr", ("-ar", "8000", "-c:a", "libopencore_amrnb")),
    Kept("sound.mp3", "audio/mpeg"),
    Kept("layer2.mp2", "audio/mpeg"),
    Kept("tagged.mp3", "audio/mpeg", (), tagged(300_000)),
    Kept("cover.mp3", "audio/mpeg", (), tagged(20_000_000)),
    Kept("frames.mp3", "audio/mpeg", (), frames_of),
    Kept("inside.mp3", "audio/mpeg", (), lambda data: frames_of(data)[100:]),
    Kept("further.mp3", "audio/mpeg", (), lambda data: frames_of(data)[700:]),
    Kept("zeros.mp3", "audio/mpeg", (), lambda data: bytes(1_000) + frames_of(data)),
    Kept("more.mp3", "audio/mpeg", (), lambda data: bytes(100_000) + frames_of(data)),
    Kept("sound.ogg", "audio/ogg", ("-c:a", "libvorbis")),
    Kept("sound.opus", "audio/ogg"),
    Kept("flac.oga", "audio/ogg", ("-c:a", "flac")),
    Kept("sound.m4a", "audio/mp4"),
    Kept("lossless.m4a", "audio/mp4", ("-c:a", "alac")),
    Kept("sound.mp4", "audio/mp4"),
    Kept("pieces.mp4", "audio/mp4", ("-movflags", "frag_keyframe+empty_moov")),
    Kept("telephone.3gp", "audio/mp4", ("-c:a", "aac")),
    Kept("sound.mov", "audio/quicktime"),
    Kept("sound.webm", "audio/webm"),
    Kept("sound.mka", "audio/x-matroska"),
    Kept("sound.wma", "audio/x-ms-wma"),
)
VIDEOS = (
    Kept("video.mp4", "video/mp4"),
    Kept("pieces.mp4", "video/mp4", ("-movflags", "frag_keyframe+empty_moov")),
    Kept("telephone.3gp", "video/mp4", ("-c:v", "mpeg4", "-c:a", "aac")),
    Kept("video.mov", "video/quicktime"),
    Kept("wide.mov", "video/quicktime", (), beginning_with(b"\0\0\0\x08wide")),
    Kept("free.mov", "video/quicktime", (), beginning_with(b"\0\0\0\x08free")),
    Kept("skip.mov", "video/quicktime", (), beginning_with(b"\0\0\0\x08skip")),
    Kept("data.mov", "video/quicktime", (), beginning_with(b"\0\0\0\x14mdat" + bytes(12))),
    Kept("index.mov", "video/quicktime", ("-movflags", "faststart"), index_first),
    Kept("video.webm", "video/webm", ("-c:v", "libvpx", "-deadline", "realtime")),
    Kept("video.mkv", "video/x-matroska"),
    Kept("video.avi", "video/x-msvideo"),
    Kept("video.flv", "video/x-flv"),
    Kept("video.wmv", "video/x-ms-wmv"),
    Kept("video.mpg", "video/mpeg"),
    Kept("video.vob", "video/mpeg"),
    Kept("video.ts", "video/mp2t"),
    Kept("camera.mts", "video/mp2t", ("-f", "mpegts", "-mpegts_m2ts_mode", "1")),
    Kept("joined.ts", "video/mp2t", ("-f", "mpegts"), lambda data: data[100:]),
    Kept("video.ogv", "video/ogg", ("-c:v", "libtheora", "-c:a", "libvorbis")),
    Kept("video.mxf", "video/x-mxf", ("-c:v", "mpeg2video")),
    Kept("video.nut", "video/x-nut"),
    Kept("video.rm", "video/vnd.rn-realvideo", ("-c:v", "rv10", "-c:a", "ac3")),
    Kept("video.wtv", "video/x-wtv", ("-c:v", "mpeg2video")),
    Kept("silent.y4m", "video/x-yuv4mpeg", ("-an", "-pix_fmt", "yuv420p")),
    Kept("silent.ivf", "video/x-ivf", ("-an", "-c:v", "libvpx", "-deadline", "realtime")),
    Kept("silent.h264", "video/h264", ("-an",)),
    Kept("silent.hevc", "video/h265", ("-an", "-x265-params", "log-level=none")),
    Kept("silent.m4v", "video/mp4v-es", ("-an", "-f", "m4v", "-c:v", "mpeg4")),
    Kept("silent.m2v", "video/mpeg", ("-an",)),
)


@pytest.fixture
def context(make_context: MakeContext) -> Context:
    return make_context()


async def sent(context: Context, data: bytes) -> tuple[dict[str, str], Path]:
    """What the upload answers, and where the file lies."""
    async with client_of(context) as client:
        answer = await client.post("/v1/files/upload", content=data)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        got = await client.get(body["path"])
        assert (got.status_code, got.headers["content-type"]) == (200, body["mime"])
        assert got.content == data
    blob = await context.blobs.find(body["id"].removeprefix("sha256:"))
    assert blob is not None
    async with context.blobs.local_file(blob) as path:
        return body, path


@pytest.mark.parametrize("kept", RECORDINGS, ids=lambda kept: kept.name)
async def test_recordings(context: Context, tmp_path: Path, kept: Kept) -> None:
    data = kept.change(made(tmp_path, kept.name, *kept.options, is_video=False))
    answer, path = await sent(context, data)
    assert (answer["mime"], answer["kind"]) == (kept.mime, "audio")
    heard = sum(map(len, speech_blocks(path, param="file"))) / 32_000
    assert heard == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize("kept", VIDEOS, ids=lambda kept: kept.name)
async def test_videos(context: Context, tmp_path: Path, kept: Kept) -> None:
    data = kept.change(made(tmp_path, kept.name, *kept.options))
    answer, path = await sent(context, data)
    assert (answer["mime"], answer["kind"]) == (kept.mime, "video")
    assert sum(1 for _ in video_frames(path, param="video")) >= 25 * SECONDS - 13
    if "-an" not in kept.options:
        heard = sum(map(len, speech_blocks(path, param="file"))) / 32_000
        assert heard == pytest.approx(SECONDS, abs=0.3)


async def test_an_audio_with_a_cover_is_an_audio(context: Context, tmp_path: Path) -> None:
    made(tmp_path, "cover.png", "-frames:v", "1", "-an")
    cover = str(tmp_path / "cover.png")
    marked = ("-i", cover, "-map", "0:a", "-map", "1:v", "-c:v", "copy", "-disposition:v")
    for name, mime, options in (
        ("song.mp4", "audio/mp4", (*marked, "attached_pic")),
        ("song.mka", "audio/x-matroska", ("-attach", cover, "-metadata:s:t", "mimetype=image/png")),
    ):
        answer, _ = await sent(context, made(tmp_path, name, *options, is_video=False))
        assert (answer["mime"], answer["kind"]) == (mime, "audio")


NOTHING = {
    "text": b"just words\n" * 500,
    "utf-16": "just words\n".encode("utf-16") * 500,
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nword\n\n" * 50,
    "web subtitles": b"WEBVTT\n\n00:00.000 --> 00:01.000\nword\n",
    "page": b"<!DOCTYPE html><html><body>words</body></html>",
    "drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "playlist": b"#EXTM3U\n#EXTINF:2,\n/etc/passwd\n",
    "list": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "document": b"%PDF-1.7\n" + bytes(3000),
    "archive": b"PK\3\4" + bytes(3000),
    "program": b"\x7fELF" + bytes(3000),
    "zeros": bytes(100_000),
    "a line": b"x",
    "terminal": b"\x1b[31mwords\x1b[0m\r\n" * 100,
}


@pytest.mark.parametrize("name", NOTHING)
async def test_what_nobody_reads_is_refused(context: Context, name: str) -> None:
    async with client_of(context) as client:
        answer = await client.post("/v1/files/upload", content=NOTHING[name])
        assert answer.status_code == 415
        assert answer.json()["error"]["param"] == "file"


async def test_noise_is_no_medium(context: Context) -> None:
    chance = random.Random(7)
    async with client_of(context) as client:
        for size in (100, 4096, 70_000, 1_200_000) * 5:
            answer = await client.post("/v1/files/upload", content=chance.randbytes(size))
            assert answer.status_code == 415


async def test_audio_alone_is_no_video(client: httpx.AsyncClient, tmp_path: Path) -> None:
    audio = base64.b64encode(made(tmp_path, "sound.webm", is_video=False)).decode()
    answer = await client.post("/v1/video/upscale", json={"video": audio})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "expected video, found audio"
