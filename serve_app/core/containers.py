"""How a file of audio or video is opened: by demuxers that read this one file and nothing else.

FFmpeg chooses a demuxer by content, and some of what it knows are playlists and scripts, which name
other files and addresses to read. What a caller sent must never do that.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

AUDIO_DEMUXERS = {
    "aac": "audio/aac",
    "ac3": "audio/ac3",
    "aiff": "audio/aiff",
    "amr": "audio/amr",
    "amrnb": "audio/amr",
    "amrwb": "audio/amr",
    "ape": "audio/x-ape",
    "au": "audio/basic",
    "caf": "audio/x-caf",
    "dsf": "audio/x-dsf",
    "dss": "audio/x-dss",
    "dts": "audio/vnd.dts",
    "dtshd": "audio/vnd.dts",
    "eac3": "audio/eac3",
    "flac": "audio/flac",
    "loas": "audio/aac",
    "mlp": "audio/vnd.dolby.mlp",
    "mp3": "audio/mpeg",
    "mpc": "audio/x-musepack",
    "mpc8": "audio/x-musepack",
    "nistsphere": "audio/x-nist",
    "ogg": "audio/ogg",
    "oma": "audio/x-oma",
    "tak": "audio/x-tak",
    "truehd": "audio/vnd.dolby.mlp",
    "tta": "audio/x-tta",
    "voc": "audio/x-voc",
    "w64": "audio/x-w64",
    "wav": "audio/wav",
    "wv": "audio/x-wavpack",
}
VIDEO_DEMUXERS = {
    "asf": "video/x-ms-wmv",
    "avi": "video/x-msvideo",
    "dhav": "video/x-dhav",
    "dv": "video/x-dv",
    "flv": "video/x-flv",
    "h264": "video/h264",
    "hevc": "video/h265",
    "ivf": "video/x-ivf",
    "m4v": "video/mp4v-es",
    "matroska": "video/x-matroska",
    "mjpeg": "video/x-mjpeg",
    "mov": "video/quicktime",
    "mpeg": "video/mpeg",
    "mpegts": "video/mp2t",
    "mpegvideo": "video/mpeg",
    "mxf": "video/x-mxf",
    "nut": "video/x-nut",
    "obu": "video/av1",
    "rm": "video/vnd.rn-realvideo",
    "wtv": "video/x-wtv",
    "yuv4mpegpipe": "video/x-yuv4mpeg",
}
MEDIA_TYPES = AUDIO_DEMUXERS | VIDEO_DEMUXERS
"""What is opened, by the first of FFmpeg's names of the demuxer."""
STILL_DEMUXERS = ("bmp_pipe", "gif", "jpeg_pipe", "png_pipe", "tiff_pipe", "webp_pipe")
"""Opened only to say that an image is no video. Not `image2`, which reads names as patterns."""

READING: dict[str, str] = {
    "format_whitelist": ",".join((*MEDIA_TYPES, *STILL_DEMUXERS)),
    "protocol_whitelist": "file",
}
"""FFmpeg's own options that hold it to this, in PyAV and on the command line."""

ID3_HEADER = 10
PROBED_BYTES = 1 << 20
"""As far as FFmpeg looks into a file to tell what it is."""
PLAIN_PROBED_BYTES = 1 << 16
PLAIN_WAV = (b"RIFF", b"RF64"), b"WAVEfmt ", b"\x01\0"
"""How a file of plain samples begins: at bytes 0, 8 and 20."""
DTS_SYNC = (b"\x7f\xfe\x80\x01", b"\xfe\x7f\x01\x80", b"\x1f\xff\xe8\x00", b"\xff\x1f\x00\xe8")
"""ETSI TS 102 114, in both byte orders, in 16 and in 14 bits of each word."""


def reading_of(path: Path) -> dict[str, str]:
    """The options of one file. In what says that it has plain samples, FFmpeg looks for DTS, which
    takes 30 ms of a processor; where there is none, it is told to look less far.
    """
    with suppress(OSError), path.open("rb") as file:
        head = file.read(PROBED_BYTES)
        kinds, form, tag = PLAIN_WAV
        is_plain = head[:4] in kinds and head[8:16] == form and head[20:22] == tag
        if is_plain and not any(sync in head for sync in DTS_SYNC):
            return READING | {"probesize": str(PLAIN_PROBED_BYTES)}
    return READING


def opened_container(path: Path) -> Any:
    """PyAV's container, to be closed by its `with`. `av.FFmpegError` for what no demuxer of these
    reads, ImportError where PyAV is not installed. Blocks.
    """
    import av

    container = av.open(
        f"file:{path}",
        format=_after_tag(path),
        options=dict(reading_of(path)),
        metadata_errors="ignore",
    )
    for stream in container.streams.audio:
        _forget_order(stream.codec_context)
    return container


def _after_tag(path: Path) -> str | None:
    """The demuxer's name where an ID3 tag, such as one with an image, is longer than what FFmpeg
    looks at; it then takes everything for MPEG audio. None where it finds out by itself.
    """
    try:
        with path.open("rb") as file:
            head = file.read(ID3_HEADER)
            size = 0
            for byte in head[6:]:  # Of which seven bits count.
                size = size << 7 | byte & 0x7F
            if not head.startswith(b"ID3") or size < PROBED_BYTES // 2:
                return None
            file.seek(ID3_HEADER + size)
            behind = file.read(4)
    except OSError:
        return None
    if behind == b"fLaC":
        return "flac"
    return "aac" if int.from_bytes(behind[:2]) & 0xFFF6 == 0xFFF0 else "mp3"


def _forget_order(context: Any) -> None:
    """Channels in an order of the file's own, as Core Audio writes them, are told by their number
    alone: PyAV 18 does not survive some of them.
    """
    layout = context.layout
    if layout.name.startswith(f"{layout.nb_channels} channels ("):
        context.layout = f"{layout.nb_channels} channels"
