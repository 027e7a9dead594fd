"""Subtitles burned into a video by libass, in the ffmpeg that imageio-ffmpeg brings, as a child.

Everything here blocks.
"""

import re
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import ImageFont

from deployments.audio.down_mixing import stereo_filter
from deployments.audio.ffmpeg_child import (
    COMPLAINTS,
    OWN_TIMES,
    SAFE_READING,
    ChildFailed,
    written,
)
from deployments.video.ass_subtitles import ass
from deployments.video.audio_track import AAC_BITS_PER_S, COPIED_CODECS
from deployments.video.plain_image import write_plain
from deployments.video.remade_video import video_warnings
from deployments.video.tone_mapping import WHITE_NITS, is_high_range
from deployments.video.video_decoding import probed
from deployments.video.video_encoding import PRESETS, even_size
from deployments.video.whole_video import check_whole
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.containers import opened_container
from serve_app.core.errors import InternalError, InvalidRequest
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.time_line import is_joined
from serve_app.core.tracks import AudioTrack, chosen_audio, image_track
from serve_app.core.video.processing import SubtitleStyle

SUBTITLES, FONTS = "cues.ass", "fonts"
TO_STANDARD_RANGE = (
    f"zscale=t=linear:npl={WHITE_NITS:g},format=gbrpf32le,zscale=p=bt709,tonemap=mobius,"
    "zscale=t=bt709:m=bt709:r=tv"
)
TO_EVEN_SIDES = "pad=ceil(iw/2)*2:ceil(ih/2)*2"
TO_SQUARE_PIXELS = "scale=trunc(iw*sar+0.5):ih,setsar=1"
AAC_CHANNELS = 8
NO_GLYPH = re.compile(r"failed to find any fallback with glyph 0x([0-9A-Fa-f]+)")
Stop = Callable[[], bool]


def burned(
    source: Path,
    cues: Sequence[TranscriptSegment],
    target: Path,
    *,
    style: SubtitleStyle,
    track: AudioTrack | None = None,
    stop: Stop,
) -> Generator[Progress | Notice]:
    """Write `source` with its cues burned in to `target`, as MP4 of the same times and audio.

    Progress in frames, and warnings of characters that no font has and of what of the
    video is lost. InvalidRequest with `param` `video` for what is no video, or was cut
    off; Cancelled when told to stop, which kills the child.
    """
    video = probed(source, param="video", track=track)
    check_whole(source, param="video")
    with tempfile.TemporaryDirectory(prefix="subtitles-") as name:
        folder = Path(name)
        _lay_out(folder, ass(cues, style, even_size(video.size)))
        plain, audio_map = source, track
        if is_joined(source):
            # The program has a clock of its own for what goes on at another time.
            plain, audio_map = folder / "whole.mp4", None
            write_plain(source, plain, stop, audio=source, audio_track=track)
        (folder / "source").symlink_to(plain.absolute())
        try:
            with closing(written(_command(plain, target, audio_map), folder, stop)) as reports:
                for done in reports:
                    yield Progress(
                        phase="burn-subtitles", current=done.frames, total=video.num_frames
                    )
        except ChildFailed as error:
            raise InvalidRequest("the video cannot be decoded to its end", param="video") from error
        text = (folder / COMPLAINTS).read_text(errors="replace")
    yield from video_warnings(video)
    yield from _warnings(text)


def _lay_out(folder: Path, subtitles: str) -> None:
    """Under names of our own: a filter graph has a syntax that paths would have to be quoted in."""
    (folder / SUBTITLES).write_text(subtitles, encoding="utf-8")
    (folder / FONTS).mkdir()
    (folder / FONTS / "font.ttf").write_bytes(_font())


def _command(source: Path, target: Path, wanted: AudioTrack | None) -> list[str]:
    with opened_container(source) as container:
        image = image_track(container)
        first = next(iter(container.decode(image)))
        audio = chosen_audio(container, wanted)
        # Of a container that is closed nothing can be asked any more.
        seen = ["-map", f"0:{image.index}"]
        audio_map = [] if audio is None else ["-map", f"0:{audio.index}", *_track(audio)]
        chain = [TO_STANDARD_RANGE] if is_high_range(first) else []
        if image.sample_aspect_ratio not in (None, 0, 1):
            chain.append(TO_SQUARE_PIXELS)
    chain += [TO_EVEN_SIDES, f"ass={SUBTITLES}:fontsdir={FONTS}", "format=yuv420p"]
    encoding = [piece for pair in PRESETS["fast"].items() for piece in (f"-{pair[0]}", pair[1])]
    return [
        *SAFE_READING,
        *("-i", "source", *seen, *audio_map, "-map_metadata", "-1"),
        *("-vf", ",".join(chain), *OWN_TIMES),
        # Frames that are reordered have times that fit no duration; see `add_image`.
        *("-c:v", "libx264", *encoding, "-bf", "0"),
        *("-movflags", "+faststart", "-f", "mp4", "-y", str(target.absolute())),
    ]


def _track(audio: Any) -> list[str]:
    """How the audio is written: copied, or as AAC, in stereo where AAC has no such channels. Those
    of PCM without an order are taken for the usual ones by the child process.
    """
    context = audio.codec_context
    if context.codec.canonical_name in COPIED_CODECS:
        return ["-c:a", "copy"]
    # What is encoded has no times between its samples: pauses become silence.
    filters = ["aresample=async=1:first_pts=0"]
    has_order = context.name.startswith("pcm_") or not context.layout.name.endswith("channels")
    if not has_order or context.layout.nb_channels > AAC_CHANNELS:
        filters.insert(0, stereo_filter([channel.name for channel in context.layout.channels]))
    return ["-af", ",".join(filters), "-c:a", "aac", "-b:a", str(AAC_BITS_PER_S)]


def _warnings(complaints: str) -> list[Notice]:
    missing = sorted({chr(int(code, 16)) for code in NO_GLYPH.findall(complaints)})
    if not missing:
        return []
    listed = " ".join(missing[:20])
    said = f"no installed font has {listed}; install one on the server"
    return [Notice(field="subtitles", text=said)]


def _font() -> bytes:
    """The one that Pillow brings along, so that there is a font wherever the server runs."""
    font = ImageFont.load_default(20)
    data = getattr(font, "font_bytes", None)
    if not isinstance(data, bytes):
        raise InternalError("Pillow was built without FreeType", remedy="install its wheel")
    return data
