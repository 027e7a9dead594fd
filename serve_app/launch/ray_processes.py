"""Which of Ray's own processes run beside a server on one machine: those that do something."""

from typing import Any

from ray._private import utils
from ray._private.node import Node


def leave_idle_ones_out(*, dashboard: bool) -> None:
    """To be called before `ray.init`, which has no argument for it. The autoscaler asks a cloud
    for machines, of which there is none here, and without its pages the dashboard's process only
    sends usage statistics, which `serve.env` switches off. Together they take 125 MiB.
    """
    idle = ["start_monitor"] if dashboard else ["start_monitor", "start_api_server"]
    for name in idle:
        setattr(Node, name, _nothing)
    if not dashboard:
        # Its agent, which Ray cannot do without, then takes no calls, and nobody sends it metrics:
        # 25 MiB less.
        utils.get_dashboard_dependency_error = _missing_dashboard


def _nothing(node: Node, **_: Any) -> None:
    """Start no process."""


def _missing_dashboard() -> ImportError:
    """What Ray finds where the packages of its dashboard are not installed."""
    return ImportError("the dashboard is not wanted")
