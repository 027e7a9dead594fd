"""Audio converted: its packets copied where the format can hold them, else encoded once, by ffmpeg
as a child process. Everything here blocks.
"""

import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av

from deployments.audio.audio_decoding import audio_track, decoded_frames, undecodable
from deployments.audio.audio_progress import audio_progress
from deployments.audio.audio_scan import AudioScan, is_steady, scanned, scanned_in
from deployments.audio.down_mixing import Target, mixed_frames
from deployments.audio.ffmpeg_child import ChildFailed, safe_reading, written
from deployments.video.video_decoding import check_length_in
from deployments.video.whole_video import check_whole_in
from serve_app.core.audio.audio_processing import AudioFileFormat, ProcessAudio
from serve_app.core.containers import opened_container
from serve_app.core.message import Message, Progress
from serve_app.core.notices import Notice
from serve_app.core.tracks import AudioTrack, chosen_audio

PARAM = "audio"
SLOWEST, FASTEST = 8_000, 48_000
"""Hertz that every encoder with losses takes."""
DEEP_WAV = ("-c:a", "pcm_s24le")
Stop = Callable[[], bool]


@dataclass(frozen=True)
class _Form:
    """How a format is written: ffmpeg's muxer, the codecs that are copied into it, and the encoder
    with its options. Where `bounds_rates` is false it holds every rate.
    """

    muxer: str
    copied: frozenset[str]
    encoder: tuple[str, ...]
    most_channels: int = 2
    bounds_rates: bool = True


FORMS: dict[AudioFileFormat, _Form] = {
    "mp3": _Form("mp3", frozenset({"mp3"}), ("-c:a", "libmp3lame", "-q:a", "2")),
    "wav": _Form(
        "wav",
        frozenset({"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"}),
        ("-c:a", "pcm_s16le"),
        most_channels=64,
        bounds_rates=False,
    ),
    "aac": _Form("adts", frozenset({"aac"}), ("-c:a", "aac", "-b:a", "192k"), most_channels=6),
    "flac": _Form(
        "flac", frozenset({"flac"}), ("-c:a", "flac"), most_channels=8, bounds_rates=False
    ),
    "ogg": _Form(
        "ogg", frozenset({"vorbis", "opus"}), ("-c:a", "libvorbis", "-q:a", "6"), most_channels=8
    ),
    "m4a": _Form(
        "ipod", frozenset({"aac", "alac"}), ("-c:a", "aac", "-b:a", "192k"), most_channels=6
    ),
    "wma": _Form("asf", frozenset({"wmav1", "wmav2"}), ("-c:a", "wmav2", "-b:a", "192k")),
}


class ProcessedAudioFile(Message):
    """What is known of a file that was written."""

    duration_s: float
    is_copied: bool
    warnings: tuple[Notice, ...] = ()


def processed_audio(
    paths: Sequence[Path], target: Path, request: ProcessAudio, stop: Stop
) -> Iterator[Progress | ProcessedAudioFile]:
    """Progress in seconds, last what was written to `target`.

    InvalidRequest with `param` `audio` for what has no audio, cannot be decoded or was cut off,
    with `audio_track` for a track that is not there; Cancelled when told to stop.
    """
    source = paths[0]
    scan = inspected_audio(source, request.audio_track)
    form = FORMS[request.format]
    is_copied = scan.is_plain and scan.codec in form.copied
    with tempfile.TemporaryDirectory(prefix="converting-") as name:
        folder = Path(name)
        (folder / "source").symlink_to(source.absolute())
        feed = None if scan.is_plain else _placed(source, request.audio_track, scan)
        command = [*_reading(scan, source), *_writing(request.format, scan, is_copied=is_copied)]
        child = written([*command, "-y", str(target.absolute())], folder, stop, feed=feed)
        try:
            with closing(child) as reports:
                for done in reports:
                    yield audio_progress("process", done.seconds, scan.end_s or None)
        except ChildFailed as error:
            raise undecodable(PARAM) from error
    yield ProcessedAudioFile(
        duration_s=_length_s(target), is_copied=is_copied, warnings=scan.warnings
    )


def inspected_audio(path: Path, track: AudioTrack | None) -> AudioScan:
    """What the audio of a whole file is. Opened once where it need not be read: of uncompressed
    samples an open file costs a fiftieth of their conversion.
    """
    with suppress(av.FFmpegError), opened_container(path) as container:
        check_length_in(container, path, param=PARAM)
        check_whole_in(container, param=PARAM)
        stream = audio_track(container, PARAM, track)
        if is_steady(container, stream):
            return scanned_in(container, track, param=PARAM, is_read=True)
    return scanned(path, track, param=PARAM)


def _reading(scan: AudioScan, source: Path) -> list[str]:
    if scan.is_plain:
        return [
            *safe_reading(source),
            "-i",
            "source",
            "-map",
            f"0:{scan.index}",
            "-map_chapters",
            "-1",
        ]
    count = str(_num_placed(scan))
    return ["-f", "f32le", "-ar", str(scan.rate), "-ac", count, "-i", "pipe:0"]


def _writing(format: AudioFileFormat, scan: AudioScan, *, is_copied: bool) -> list[str]:
    form = FORMS[format]
    if is_copied:
        return ["-c", "copy", "-f", form.muxer]
    filters = scan.channel_filter(form.most_channels) if scan.is_plain else []
    encoder = DEEP_WAV if format == "wav" and scan.is_deep else form.encoder
    pieces = [*encoder, *(("-af", ",".join(filters)) if filters else ())]
    if form.bounds_rates:
        pieces += bounded_rate(scan.rate)
    if format == "flac" and not scan.is_deep:
        # What was decoded from less, or from losses, does not become better with more bits.
        pieces += ["-sample_fmt", "s16"]
    return [*pieces, "-f", form.muxer]


def bounded_rate(rate: int) -> list[str]:
    """The arguments that make of an odd rate one that every encoder with losses takes."""
    return [] if SLOWEST <= rate <= FASTEST else ["-ar", str(min(max(rate, SLOWEST), FASTEST))]


def _num_placed(scan: AudioScan) -> int:
    return 1 if len(scan.channels) == 1 else 2


def _placed(source: Path, track: AudioTrack | None, scan: AudioScan) -> Generator[bytes]:
    """The samples at their places of the file's clock, which the child does not know."""
    target: Target = "mono" if _num_placed(scan) == 1 else "stereo"
    try:
        with opened_container(source) as container:
            frames = decoded_frames(container, chosen_audio(container, track), PARAM)
            for frame in mixed_frames(frames, target, format="flt", rate=scan.rate):
                yield _samples(frame)
    except av.FFmpegError as error:
        raise undecodable(PARAM) from error


def _samples(frame: Any) -> bytes:
    return bytes(frame.to_ndarray().astype("<f4").tobytes())


def _length_s(path: Path) -> float:
    """Of a file of ours. Raw AAC only says how many bytes it has, so packets are counted."""
    with opened_container(path) as container:
        stream = container.streams.audio[0]
        if container.format.name != "aac" and container.duration:
            return float(container.duration / av.time_base)
        ticks = sum(packet.duration or 0 for packet in container.demux(stream))
        return float(ticks * stream.time_base)
