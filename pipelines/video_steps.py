"""The steps of a video, each a stage, which the video can do without."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from pipelines.parallel import Attempt, attempted
from serve_app.core.notices import Notice
from serve_app.core.operation import Operation, R
from serve_app.core.stages import Stages
from serve_app.core.video.finishing import VideoFinish

T = TypeVar("T")


class VideoSteps:
    """Those of one video. `named` makes the names of its stages of those of the steps, and
    `warnings` say why a step was left out.
    """

    def __init__(self, stage: Stages, plan: VideoFinish, named: Callable[[str], str]) -> None:
        self.warnings: list[Notice] = []
        self._stage = stage
        self._plan = plan
        self._named = named

    async def run(self, step: str, operation: Operation[R]) -> R | None:
        """What a step makes that is one operation; None without it."""
        return self._told(
            step, await attempted(self._stage.run(self._named(step), operation)), None
        )

    async def do(
        self,
        step: str,
        work: Callable[[str], Awaitable[T]],
        kind: type[T],
        *,
        field: str | None = None,
    ) -> T | None:
        """What a step makes; None without it. `work` is given the name of its stage."""
        name = self._named(step)
        return self._told(step, await attempted(self._stage(name, lambda: work(name), kind)), field)

    def _told(self, step: str, done: Attempt[T], field: str | None) -> T | None:
        made, error = done
        if error is not None:
            own = field or self._plan.field(step)
            self.warnings.append(Notice(field=own, text=f"left out; {error.explanation}"))
        return made
