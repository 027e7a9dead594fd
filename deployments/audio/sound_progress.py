"""How far work on a sound has come, in seconds of it."""

from pathlib import Path

from serve_app.core.containers import opened_container
from serve_app.core.message import Progress


def told_duration_s(path: Path) -> float | None:
    """What the container says, which may be wrong or missing. Blocks."""
    import av

    try:
        with opened_container(path) as container:
            return container.duration / av.time_base if container.duration else None
    except av.FFmpegError:
        return None


def sound_progress(phase: str, done_s: float, total_s: float | None) -> Progress:
    """The total is never less than what is done, whatever the container has said."""
    total = None if total_s is None else max(round(total_s), round(done_s), 1)
    return Progress(phase=phase, current=round(done_s), total=total)
