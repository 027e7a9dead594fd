"""What of the cluster's output the user of a server on one machine sees: our replicas' lines."""

from collections.abc import Callable, Mapping
from typing import Any

from ray._private.ray_logging import global_worker_stdstream_dispatcher
from ray._private.worker import global_worker

REPLICA = "ServeReplica:"


def show_replicas_only(print_line: Callable[[str], None]) -> None:
    """Replace Ray's printer, which also shows what Serve's own actors say when they start, and
    nothing of what another process than this one has deployed.
    """

    def show(batch: Mapping[str, Any]) -> None:
        for line in replica_lines(batch):
            print_line(line)

    global_worker._filter_logs_by_job = False
    global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")
    global_worker_stdstream_dispatcher.add_handler("polyphony", show)


def replica_lines(batch: Mapping[str, Any]) -> list[str]:
    """The lines of one batch of Ray's, each with the deployment that wrote it."""
    actor = str(batch.get("actor_name") or "")
    if not actor.startswith(REPLICA):
        return []
    deployment = actor.rpartition(":")[2]
    return [f"[{deployment}] {line}" for line in batch["lines"]]
