"""Starting Ray on a busy machine. Ray waits 30 s for its own processes, which no setting changes
(`raylet_start_wait_time_s` in Ray 2.60), and then gives up.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

from serve_app.launch.phases import first_line, print_line

logger = logging.getLogger(__name__)

T = TypeVar("T")


def started(
    start: Callable[[], T],
    clean_up: Callable[[], object],
    *,
    tell: Callable[[str], None] = print_line,
) -> T:
    """What `start` returns, at its second try if need be; `clean_up` ends what one that failed has
    started. RuntimeError with a line for the user when the second fails, too.
    """
    try:
        return start()
    except Exception as error:
        logger.debug("Ray did not start", exc_info=error)
        tell(f"  Ray did not start: {first_line(error)}")
        tell("  ending its processes and trying once more")
    clean_up()
    try:
        return start()
    except Exception as error:
        clean_up()
        raise RuntimeError(
            f"Ray did not start at the second attempt either: {first_line(error)} (the machine may "
            "be short of processor time or memory; stop other programs and start again)"
        ) from error
