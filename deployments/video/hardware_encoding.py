"""Which encoder writes H.264: one in hardware where it is found to work, else libx264. Everything
here blocks.
"""

import subprocess
from collections.abc import Mapping, Sequence
from functools import cache

from deployments.audio.rubberband import ffmpeg_path
from deployments.video.video_encoding import PRESETS
from serve_app.core.errors import BackendUnavailable
from serve_app.core.image.images import Size
from serve_app.core.options.video import H264Encoder, HardwareEncoder

HARDWARE: Mapping[HardwareEncoder, tuple[str, ...]] = {
    "h264_nvenc": ("-preset", "p4", "-rc", "vbr", "-cq", "23", "-b:v", "0"),
    "h264_qsv": ("-global_quality", "23"),
    "h264_amf": ("-rc", "cqp", "-qp_i", "22", "-qp_p", "22"),
    "h264_videotoolbox": ("-q:v", "60"),
}
"""With what makes them look as libx264 does with our own settings."""
LIBX264 = [piece for pair in PRESETS["fast"].items() for piece in (f"-{pair[0]}", pair[1])]
# Frames that are reordered have times that fit no duration; see `add_image`.
UNORDERED = ("-bf", "0")
SMALLEST_PX = 160
"""On a side; some encoders in hardware take no smaller ones."""
TRIED_S = 20
TRIED_WITH = ("-f", "lavfi", "-i", "color=s=320x240:r=25:d=0.2", "-pix_fmt", "yuv420p")


def h264_encoders(choice: H264Encoder, size: Size) -> list[list[str]]:
    """The arguments of ffmpeg of the encoders to try, one after the other; the last one always
    works. BackendUnavailable for one that was chosen and does not work here.
    """
    software = ["-c:v", "libx264", *LIBX264, *UNORDERED]
    is_plain = size.width % 2 == size.height % 2 == 0
    if not is_plain or min(size.width, size.height) < SMALLEST_PX or choice == "libx264":
        return [software]
    if choice != "auto" and not works(choice):
        raise BackendUnavailable(
            f"the encoder {choice!r} does not work on this machine",
            remedy="choose auto or libx264",
            provider="av",
        )
    found = next((each for each in _wanted(choice) if works(each)), None)
    return [software] if found is None else [[*_arguments(found)], software]


@cache
def works(encoder: HardwareEncoder) -> bool:
    """Whether it encodes a few frames: being listed means only that ffmpeg was built with it."""
    command = [ffmpeg_path(), "-v", "error", *TRIED_WITH, *_arguments(encoder), "-f", "null", "-"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TRIED_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _wanted(choice: H264Encoder) -> Sequence[HardwareEncoder]:
    return [encoder for encoder in HARDWARE if choice in ("auto", encoder)]


def _arguments(encoder: HardwareEncoder) -> tuple[str, ...]:
    return ("-c:v", encoder, *HARDWARE[encoder], *UNORDERED)
