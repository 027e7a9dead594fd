"""OpenAI's Videos API on a stub: https://platform.openai.com/docs/api-reference/videos."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from tests.upstreams.answers import StubRequest
from tests.upstreams.openai_media import form_fields
from tests.upstreams.vendor_stub import Reply

ID = "video_1"
SOON = {"openai-poll-after-ms": "1"}
FPS, FRAMES = 8, 16


class VideoStub:
    """One video, which is done after as many looks as `looks` says; None is never. With `error` it
    fails.
    """

    def __init__(self) -> None:
        self.looks: int | None = 2
        self.error: dict[str, str] | None = None
        self.content: bytes | None = None
        self.form: dict[str, bytes] = {}
        self.is_deleted = False
        self._looked = 0

    async def handle(self, request: StubRequest, reply: Reply, path: str) -> None:
        match request.method, path:
            case "POST", "/videos":
                self.form, self._looked = form_fields(request), 0
                await reply.json(self._state(), SOON)
            case "GET", "/videos/video_1":
                self._looked += 1
                await reply.json(self._state(), SOON)
            case "GET", "/videos/video_1/content":
                content = small_video() if self.content is None else self.content
                await reply.whole(200, content, "video/mp4")
            case "DELETE", "/videos/video_1":
                self.is_deleted = True
                await reply.json({"id": ID, "object": "video.deleted", "deleted": True})
            case _:
                await reply.refuse(404, "Video not found")

    def _state(self) -> dict[str, Any]:
        is_done = self.looks is not None and self._looked >= self.looks
        end = "failed" if self.error else "completed"
        under_way = "in_progress" if self._looked else "queued"
        progress = 100 if is_done else min(99, self._looked * 40)
        return {
            "id": ID,
            "object": "video",
            "created_at": 1_790_000_000,
            "status": end if is_done else under_way,
            "model": self.form.get("model", b"").decode(),
            "progress": progress,
            "seconds": self.form.get("seconds", b"4").decode(),
            "size": self.form.get("size", b"720x1280").decode(),
            "error": self.error if is_done else None,
        }


@cache
def small_video() -> bytes:
    """Two seconds, 64 by 32 pixels."""
    import numpy as np

    from tests.videos import write_video

    frames = [np.full((32, 64, 3), 10 * number, np.uint8) for number in range(FRAMES)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_video(Path(folder) / "video.mp4", frames, fps=FPS)
        return path.read_bytes()
