"""Audio out of a video and new audio into it, on clips whose content is known."""

import asyncio
import io
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from deployments.audio.audio_encoding import encode
from deployments.video.av_media import AvMedia, in_cancellable_thread
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest, PayloadTooLarge
from serve_app.core.media import Blob
from serve_app.core.options.video import AvOptions
from serve_app.core.video.processing import (
    BurnSubtitles,
    ExtractAudio,
    PlacedAudio,
    ReplaceAudio,
)
from tests.material import HEIGHT, WIDTH, clip, content, decoded, silence, stored, tone, wav
from tests.notices import texts_of
from tests.videos import check_playable, ffmpeg

VIDEO_S = 2.0
FRAME_S = 0.1


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


@pytest.fixture
def media(blobs: FsspecBlobStore) -> AvMedia:
    return AvMedia(AvOptions(), Model(id="media"), path=None, blobs=blobs)


async def video(
    blobs: FsspecBlobStore,
    folder: Path,
    *,
    name: str = "video.mp4",
    codec: str = "libx264",
    audio: bytes | None = None,
) -> Blob:
    path = clip(folder / name, VIDEO_S, codec=codec, audio=audio)
    return await blobs.write_file(path, mime="video/mp4")


async def placed(blobs: FsspecBlobStore, pcm: bytes, *, start_s: float = 0.0) -> PlacedAudio:
    return PlacedAudio(audio=await stored(blobs, wav(pcm)), start_s=start_s)


def packets(data: bytes) -> list[bytes]:
    """The image's packets in their order in the file."""
    with av.open(io.BytesIO(data), "r") as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def image(data: bytes) -> tuple[str, str | None, int, int, list[float]]:
    """Codec, pixel format, size and the second of every frame."""
    with av.open(io.BytesIO(data), "r") as container:
        context = container.streams.video[0].codec_context
        times = [round(frame.time or 0.0, 3) for frame in container.decode(video=0)]
        return context.name, context.pix_fmt, context.width, context.height, times


def duration_s(data: bytes) -> float:
    with av.open(io.BytesIO(data), "r") as container:
        return (container.duration or 0) / av.time_base


async def test_the_audio_comes_out_as_16_khz_wav(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path, audio=tone(VIDEO_S))
    blob = (await media.extract_audio(ExtractAudio(video=clip))).audio
    assert blob.mime == "audio/wav"
    audio = decoded(await content(blobs, blob))
    assert (audio.codec, audio.sample_rate, audio.channels) == ("pcm_s16le", 16_000, 1)
    assert audio.duration_s == pytest.approx(VIDEO_S, abs=0.13)
    assert audio.pitch_hz() == pytest.approx(440.0, abs=2)


async def test_a_video_without_audio_is_named(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path)
    with pytest.raises(InvalidRequest, match="there is no audio in this file") as caught:
        await media.extract_audio(ExtractAudio(video=clip))
    assert caught.value.param == "video"


async def test_the_image_is_copied_unchanged(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path, audio=tone(VIDEO_S))
    recordings = (await placed(blobs, tone(VIDEO_S, hz=880.0)),)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    assert result.mime == "video/mp4"
    before, after = await content(blobs, clip), await content(blobs, result)
    assert packets(after) == packets(before)
    assert image(after) == image(before)
    assert duration_s(after) == pytest.approx(duration_s(before), abs=0.03)
    audio = decoded(after)
    assert (audio.codec, audio.sample_rate) == ("aac", 48_000)
    assert audio.pitch_hz() == pytest.approx(880.0, abs=2)
    assert audio.duration_s == pytest.approx(VIDEO_S, abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("video.mp4", "libx265"),
        ("video.webm", "libvpx"),
        ("video.avi", "mpeg4"),
        ("video.avi", "libx264"),
        ("video.mkv", "libx264"),
        ("video.ts", "libx264"),
        ("video.ts", "mpeg2video"),
    ],
)
async def test_other_videos_become_mp4_with_h264(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, name: str, codec: str
) -> None:
    clip = await video(blobs, tmp_path, name=name, codec=codec)
    recordings = (await placed(blobs, tone(1.0)),)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    *kind, times = image(await content(blobs, result))
    assert kind == ["h264", "yuv420p", WIDTH, HEIGHT]
    assert times == pytest.approx([k * FRAME_S for k in range(20)], abs=0.002)
    assert duration_s(await content(blobs, result)) == pytest.approx(VIDEO_S, abs=0.05)


async def test_the_index_comes_before_the_media(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path)
    assert is_index_last(await content(blobs, clip))
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=()))).video
    assert not is_index_last(await content(blobs, result))


def is_index_last(mp4: bytes) -> bool:
    return mp4.index(b"moov") > mp4.index(b"mdat")


async def test_recordings_begin_at_their_seconds_and_are_mixed(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path, audio=tone(VIDEO_S, hz=200.0))
    recordings = (
        await placed(blobs, tone(0.4), start_s=1.2),
        await placed(blobs, tone(0.4), start_s=0.3),
        await placed(blobs, tone(0.1), start_s=0.4),
    )
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    audio = decoded(await content(blobs, result))
    loud = 11_000 / 32_768 / 2**0.5
    spans = {(0.0, 0.25): 0.0, (0.42, 0.48): 2 * loud, (0.52, 0.68): loud}
    spans |= {(0.75, 1.15): 0.0, (1.22, 1.58): loud, (1.65, 1.95): 0.0}
    for span, expected in spans.items():
        assert audio.loudness(*span) == pytest.approx(expected, rel=0.1, abs=0.01), span


@pytest.mark.parametrize("start_s", [0.0, 1.5])
async def test_audio_longer_than_the_video_is_cut(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, start_s: float
) -> None:
    clip = await video(blobs, tmp_path)
    recordings = (await placed(blobs, tone(5.0), start_s=start_s),)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    data = await content(blobs, result)
    assert duration_s(data) == pytest.approx(VIDEO_S, abs=0.03)
    assert decoded(data).duration_s == pytest.approx(VIDEO_S, abs=0.05)


async def test_no_new_audio_is_silence(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path, audio=tone(VIDEO_S))
    recordings = (await placed(blobs, tone(1.0), start_s=VIDEO_S + 1),)
    for given in ((), recordings):
        result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=given))).video
        audio = decoded(await content(blobs, result))
        assert audio.loudness(0.0, VIDEO_S) == pytest.approx(0.0, abs=0.001)
        assert audio.duration_s == pytest.approx(VIDEO_S, abs=0.05)


async def test_audio_of_any_format_is_taken(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    encoder = encode("opus", 22_050)
    opus = encoder.push(tone(VIDEO_S, sample_rate=22_050)) + encoder.finish()
    recordings = (PlacedAudio(audio=await stored(blobs, opus, mime="audio/ogg"), start_s=0.0),)
    clip = await video(blobs, tmp_path)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    assert decoded(await content(blobs, result)).pitch_hz() == pytest.approx(440.0, abs=2)


async def test_a_speech_stream_without_a_length_is_taken_whole(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    encoder = encode("wav", 22_050)
    streamed = encoder.push(tone(VIDEO_S, sample_rate=22_050)) + encoder.finish()
    recordings = (PlacedAudio(audio=await stored(blobs, streamed), start_s=0.0),)
    clip = await video(blobs, tmp_path)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    audio = decoded(await content(blobs, result))
    assert audio.loudness(1.5, 1.95) == pytest.approx(11_000 / 32_768 / 2**0.5, rel=0.1)


async def video_with_index_first(media: AvMedia, blobs: FsspecBlobStore, folder: Path) -> bytes:
    clip = await video(blobs, folder)
    recordings = (await placed(blobs, tone(VIDEO_S)),)
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    return await content(blobs, result)


@pytest.mark.parametrize(
    "kind", ["empty", "text", "header only", "without its index", "without its media"]
)
async def test_a_broken_video_is_named(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, kind: str
) -> None:
    whole = await video_with_index_first(media, blobs, tmp_path)
    data = {
        "empty": b"",
        "text": b"no video at all",
        "header only": whole[: whole.index(b"moov")],
        "without its index": whole[whole.index(b"mdat") - 4 :],
        "without its media": whole[: whole.index(b"mdat") + 4],
    }[kind]
    video = await stored(blobs, data, mime="video/mp4")
    recordings = (await placed(blobs, tone(1.0)),)
    for work in (
        media.extract_audio(ExtractAudio(video=video)),
        media.replace_audio(ReplaceAudio(video=video, recordings=recordings)),
    ):
        with pytest.raises(InvalidRequest, match=r"^(?!video: )") as caught:
            await work
        assert caught.value.param == "video"
        assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize("share", [0.1, 0.4, 0.6])
async def test_a_video_that_was_cut_off_is_named(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, share: float
) -> None:
    whole = await video_with_index_first(media, blobs, tmp_path)
    begin = whole.index(b"mdat")
    cut = begin + round((len(whole) - begin) * share)
    video = await stored(blobs, whole[:cut], mime="video/mp4")
    recordings = (await placed(blobs, tone(VIDEO_S)),)
    for work in (
        media.extract_audio(ExtractAudio(video=video)),
        media.replace_audio(ReplaceAudio(video=video, recordings=recordings)),
    ):
        with pytest.raises(InvalidRequest, match=r"^the file is truncated"):
            await work


@pytest.mark.parametrize("name", ["video.mp4", "video.mkv", "video.webm", "video.avi", "video.ts"])
async def test_a_whole_video_of_any_kind_is_not_taken_for_cut_off(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, name: str
) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    clip = await video(blobs, tmp_path, name=name, codec=codec)
    await media.replace_audio(ReplaceAudio(video=clip, recordings=()))


async def test_what_a_video_loses_with_its_audio_is_said(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    source = tmp_path / "rich.mkv"
    said = "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    images = ("-f", "lavfi", "-i", "color=0x818181:size=64x48:rate=10:duration=1")
    recordings = ("-f", "lavfi", "-i", "sine=300:duration=1")
    codecs = ("-c:v", "libx265", "-x265-params", said, "-pix_fmt", "yuv420p10le", "-c:a", "aac")
    ffmpeg(*images, *recordings, *recordings, "-map", 0, "-map", 1, "-map", 2, *codecs, source)
    video = await blobs.write_file(source, mime="video/mp4")
    made = await media.replace_audio(ReplaceAudio(video=video, recordings=()))
    assert texts_of(made.warnings) == (
        "video: one audio file replaces its 2 audio tracks",
        "video: its high dynamic range was converted to standard range",
    )
    check_playable(await content(blobs, made.video), size=(64, 48), fps=10, frames=10)


async def test_a_turned_video_in_four_four_four_becomes_what_every_player_shows(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    """Odd sides, which yuv420p has not, and a display matrix."""
    still, turned = tmp_path / "still.mp4", tmp_path / "turned.mp4"
    images = "testsrc2=size=128x96:rate=10:duration=1,scale=65:49"
    encoding = ("-c:v", "libx264", "-pix_fmt", "yuv444p")
    ffmpeg("-f", "lavfi", "-i", images, *encoding, still)
    ffmpeg("-display_rotation", 90, "-i", still, "-c", "copy", turned)
    video = await blobs.write_file(turned, mime="video/mp4")
    result = (await media.replace_audio(ReplaceAudio(video=video, recordings=()))).video
    check_playable(await content(blobs, result), size=(50, 66), fps=10, frames=10)


async def test_audio_alone_is_no_video(media: AvMedia, blobs: FsspecBlobStore) -> None:
    audio = await stored(blobs, wav(tone(1.0)))
    with pytest.raises(InvalidRequest, match="there is no video in this file"):
        await media.replace_audio(ReplaceAudio(video=audio, recordings=()))


@pytest.mark.parametrize("data", [b"", b"no audio", wav(b"")[:30]])
async def test_a_broken_audio_is_not_blamed_on_the_video(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path, data: bytes
) -> None:
    clip = await video(blobs, tmp_path)
    good = await placed(blobs, silence(0.1))
    bad = PlacedAudio(audio=await stored(blobs, data), start_s=1.0)
    with pytest.raises(InvalidRequest, match=r"^no audio can be decoded") as caught:
        await media.replace_audio(ReplaceAudio(video=clip, recordings=(good, bad)))
    assert caught.value.param == "recordings[1]"


async def test_a_video_without_audio_is_no_audio(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path)
    recordings = (PlacedAudio(audio=clip, start_s=0.0),)
    with pytest.raises(InvalidRequest, match=r"^there is no audio in this file") as caught:
        await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))
    assert caught.value.param == "recordings[0]"


async def test_an_audio_without_samples_is_silence(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    clip = await video(blobs, tmp_path)
    recordings = (await placed(blobs, b""), await placed(blobs, tone(0.5), start_s=1.0))
    result = (await media.replace_audio(ReplaceAudio(video=clip, recordings=recordings))).video
    audio = decoded(await content(blobs, result))
    assert audio.loudness(0.0, 0.9) == pytest.approx(0.0, abs=0.001)
    assert audio.loudness(1.1, 1.4) > 0.2


async def test_cancelling_waits_until_the_work_has_stopped() -> None:
    has_begun, has_stopped = threading.Event(), threading.Event()

    def work(stop: Callable[[], bool]) -> None:
        has_begun.set()
        while not stop():
            pass
        has_stopped.set()
        raise InvalidRequest("nobody waits for this")

    running = asyncio.create_task(in_cancellable_thread(work))
    await asyncio.to_thread(has_begun.wait)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert has_stopped.is_set()


async def test_a_video_of_three_hours_is_too_long(
    media: AvMedia, blobs: FsspecBlobStore, tmp_path: Path
) -> None:
    """A frame every half hour, so that the test does not last as long."""
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1)
        for number in range(7):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = number * 1800, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    blob = await stored(blobs, path.read_bytes(), mime="video/mp4")
    with pytest.raises(PayloadTooLarge) as caught:
        await media.extract_audio(ExtractAudio(video=blob))
    assert caught.value.param == "video"
    assert "3.0 hours are more than the allowed 2" in caught.value.message
    events = media.burn_subtitles(BurnSubtitles(video=blob, cues=()))
    with pytest.raises(PayloadTooLarge):
        await anext(events)
