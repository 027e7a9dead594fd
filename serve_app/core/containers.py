"""How a file of sound or film is opened: by demuxers that read this one file and nothing else.

FFmpeg chooses a demuxer by content, and some of what it knows are playlists and scripts, which name
other files and addresses to read. What a caller sent must never do that.
"""

from pathlib import Path
from typing import Any

SOUND_DEMUXERS = (
    *("aac", "ac3", "aiff", "amr", "amrnb", "amrwb", "ape", "au", "caf", "dsf", "dss", "dts"),
    *("dtshd", "eac3", "flac", "loas", "mlp", "mp3", "mpc", "mpc8", "nistsphere", "ogg", "oma"),
    *("qcp", "sox", "spdif", "tak", "truehd", "tta", "voc", "w64", "wav", "wv", "xwma"),
)
FILM_DEMUXERS = (
    *("asf", "av1", "avi", "dhav", "dv", "flv", "gif", "gxf", "h261", "h263", "h264", "hevc"),
    *("ivf", "m4v", "matroska", "mjpeg", "mov", "mpeg", "mpegts", "mpegvideo", "mxf", "nut"),
    *("obu", "rm", "vc1", "vvc", "wtv", "yuv4mpegpipe"),
)
STILL_DEMUXERS = ("bmp_pipe", "jpeg_pipe", "png_pipe", "tiff_pipe", "webp_pipe")
"""Opened only to say that a picture is no film. Not `image2`, which reads names as patterns."""

READING: dict[str, str] = {
    "format_whitelist": ",".join((*SOUND_DEMUXERS, *FILM_DEMUXERS, *STILL_DEMUXERS)),
    "protocol_whitelist": "file",
}
"""FFmpeg's own options that hold it to this, in PyAV and on the command line."""


def opened_container(path: Path) -> Any:
    """PyAV's container, to be closed by its `with`. `av.FFmpegError` for what no demuxer of these
    reads, ImportError where PyAV is not installed. Blocks.
    """
    import av

    container = av.open(f"file:{path}", options=dict(READING), metadata_errors="ignore")
    for stream in container.streams.audio:
        _forget_order(stream.codec_context)
    return container


def _forget_order(context: Any) -> None:
    """Channels in an order of the file's own, as Core Audio writes them, are told by their number
    alone. PyAV 18 frees the list of such an order once for every object that has copied it.
    """
    layout = context.layout
    if layout.name.startswith(f"{layout.nb_channels} channels ("):
        context.layout = f"{layout.nb_channels} channels"
