"""Our own log lines in a replica: Ray shows what a replica writes to its standard error.

Serve points `sys.stderr` to a file of its own that is written in blocks of 1000 lines.
"""

import logging
import sys

PACKAGES = ("serve_app", "deployments", "pipelines")
FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_no_calls() -> None:
    """Leave out the line that Serve writes of every call that ends, for a fifteenth of the time
    that a request takes; the access log has one of each request. Other levels are somebody's wish.
    """
    serves = logging.getLogger("ray.serve")
    if serves.level == logging.INFO:
        serves.setLevel(logging.WARNING)


def log_to_stderr() -> None:
    """Show our packages' messages from INFO on; calling it twice changes nothing."""
    for name in PACKAGES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        if not logger.handlers:
            handler = logging.StreamHandler(sys.__stderr__)
            handler.setFormatter(logging.Formatter(FORMAT))
            logger.addHandler(handler)
