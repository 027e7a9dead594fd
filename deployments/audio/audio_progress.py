"""What is known of an audio file beforehand, and how far work on it has come, in seconds of it."""

from pathlib import Path
from typing import NamedTuple

from serve_app.core.containers import opened_container
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.tracks import AudioTrack, audio_choice


class AudioFacts(NamedTuple):
    """What a file says of its audio. The duration may be wrong or missing; the warnings name the
    track that is heard where there are several.
    """

    duration_s: float | None = None
    warnings: tuple[Notice, ...] = ()


def audio_facts(path: Path, track: AudioTrack | None = None) -> AudioFacts:
    """Blocks. InvalidRequest with `param` `audio_track` for a track that is not there; what cannot
    be opened tells nothing.
    """
    import av

    try:
        with opened_container(path) as container:
            duration_s = container.duration / av.time_base if container.duration else None
            return AudioFacts(duration_s, audio_choice(container, track))
    except av.FFmpegError:
        return AudioFacts()


def audio_progress(phase: str, done_s: float, total_s: float | None) -> Progress:
    """The total is never less than what is done, whatever the container has said."""
    total = None if total_s is None else max(round(total_s), round(done_s), 1)
    return Progress(phase=phase, current=round(done_s), total=total)
