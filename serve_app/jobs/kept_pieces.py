"""The pieces of a running job, in the table of jobs."""

from typing_extensions import override

from serve_app.core.early_end import EarlyEnd
from serve_app.core.message import Message
from serve_app.core.stages import Pieces
from serve_app.jobs.early_ends import EarlyEnds
from serve_app.jobs.insistent_writes import until_stored
from serve_app.jobs.running_job import RunningJob


class KeptPieces(Pieces):
    """Satisfies Pieces for a job that an executor runs."""

    def __init__(self, kept: EarlyEnds, executor: str, job_id: str, run: RunningJob) -> None:
        self._kept = kept
        self._executor = executor
        self._job_id = job_id
        self._run = run
        self._may_be_some = not run.is_fresh

    @override
    async def made(self) -> Message | None:
        if not self._may_be_some:
            return None
        return await until_stored(lambda: self._kept.made(self._job_id))

    @override
    async def keep(self, made: Message, *, answered: EarlyEnd | None = None) -> None:
        self._may_be_some = True
        await until_stored(
            lambda: self._kept.keep(self._job_id, self._executor, made, answered=answered)
        )
        if answered is not None:
            self._run.answer(answered)

    @override
    async def asked(self) -> EarlyEnd:
        return await self._run.asked()
