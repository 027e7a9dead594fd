"""How far a download is: told to the model's status at once, to the log now and then."""

import logging
import time
from collections.abc import Callable

from serve_app.core.loading import Report
from serve_app.core.status import ModelStatus

logger = logging.getLogger(__name__)

REPORT_EVERY_S = 0.25
LOG_EVERY_S = 5.0
LOG_EVERY = 0.05
RATE_AFTER_S = 2.0
MIB = 1024**2


class DownloadProgress:
    """Counts bytes of `total` over all files of one model. The ETA is of what came since the start,
    once that says something. `clock` gives seconds.
    """

    def __init__(
        self,
        model_id: str,
        report: Report,
        *,
        total: int,
        done: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model_id = model_id
        self._report = report
        self._total = total
        self._finished = self._done = self._initial = done
        self._clock = clock
        self._started = self._logged = clock()
        self._reported = float("-inf")
        self._logged_share = 0.0
        self._report_progress()

    def add(self, count: int) -> None:
        """Bytes of the file that is under way; fewer than none when it starts over."""
        self._done += count
        self._report_progress()

    def finish_file(self, size: int) -> None:
        """A file is complete; it counts `size`, however its bytes came."""
        self._finished += size
        self._done = self._finished
        self._report_progress()

    def _report_progress(self) -> None:
        now = self._clock()
        if now - self._reported >= REPORT_EVERY_S or self._done == self._total:
            self._reported = now
            self._report(
                ModelStatus(
                    id=self._model_id,
                    state="downloading",
                    bytes_done=min(self._done, self._total),
                    bytes_total=self._total,
                    eta_s=self._eta_s(now),
                )
            )
        self._log(now)

    def _eta_s(self, now: float) -> float | None:
        elapsed, came = now - self._started, self._done - self._initial
        if elapsed < RATE_AFTER_S or came <= 0:
            return None
        return round(elapsed / came * max(0, self._total - self._done), 1)

    def _log(self, now: float) -> None:
        share = self._done / self._total if self._total else 1.0
        due = now - self._logged
        if due < LOG_EVERY_S and (share - self._logged_share < LOG_EVERY or due < 1):
            return
        self._logged, self._logged_share = now, share
        eta_s = self._eta_s(now)
        logger.info(
            "downloading model %r: %d of %d MiB (%d %%)%s",
            self._model_id,
            self._done // MIB,
            self._total // MIB,
            100 * share,
            "" if eta_s is None else f", {eta_s:.0f} s left",
        )
