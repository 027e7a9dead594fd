"""Runs one server from a plan until it is told to stop, and leaves no process behind.

Imports Ray: the environment must be complete before this module is loaded.
"""

import logging
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path
from types import FrameType

import ray
from ray._private.worker import BaseContext

from serve_app.launch.config_file import LaunchPlan
from serve_app.launch.environment import runtime_directory
from serve_app.launch.forked_workers import fork_workers, is_deployed
from serve_app.launch.model_files_here import first_use_lines
from serve_app.launch.phases import Phases, first_line, print_line
from serve_app.launch.processes import (
    adopt_orphans,
    end_descendants,
    kill_descendants,
)
from serve_app.launch.ray_processes import leave_idle_ones_out
from serve_app.launch.readiness import base_url, first_model, wait_until_ready
from serve_app.launch.second_try import started
from serve_app.launch.worker_logs import show_replicas_only

# Only references cross process boundaries, so that Ray's store for objects stays nearly empty.
OBJECT_STORE_BYTES = 200 * 1024**2
STOP_PATIENCE_S = 8.0
FORCED = 130


class StopSignal(BaseException):
    """A signal asked the server to stop; like KeyboardInterrupt it is no Exception."""


class NotDeployed(Exception):
    """The application is not there; the program that deploys it has said why."""


def run(plan: LaunchPlan, *, dashboard: bool) -> int:
    """Start, print where the server answers, wait for SIGINT or SIGTERM, stop. An exit status."""
    adopt_orphans()
    _stop_on_signals()
    try:
        _start(plan, dashboard=dashboard)
        while True:
            signal.pause()
    except StopSignal:
        print_line("stopping (press Ctrl-C again to force)")
        return 0
    except NotDeployed:
        return 1
    except RuntimeError as error:
        print_line(f"the server cannot start: {first_line(error)}")
        return 1
    finally:
        _stop()


def _start(plan: LaunchPlan, *, dashboard: bool) -> None:
    phases = Phases()
    print_line(f"starting Polyphony on {plan.http.host}:{plan.http.port}")
    logging.getLogger("ray").setLevel(logging.ERROR)
    leave_idle_ones_out(dashboard=dashboard)
    fork_workers(runtime_directory(plan.http.port))
    with phases.phase("Ray"):
        cluster = started(partial(_start_ray, dashboard=dashboard), _end_ray)
    show_replicas_only(print_line)
    # Ray sets handlers of its own.
    _stop_on_signals()
    if not is_deployed(plan, ray.get_runtime_context().gcs_address):
        raise NotDeployed
    with phases.phase("first answer"):
        problem = wait_until_ready(plan, print_line)
    shown = cluster.dashboard_url if dashboard else None
    print_line(banner(plan, phases.total_s, dashboard=shown, problem=problem))


def _start_ray(*, dashboard: bool) -> BaseContext:
    return ray.init(
        address="local",
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        object_store_memory=OBJECT_STORE_BYTES,
        logging_level=logging.ERROR,
        log_to_driver=True,
    )


def _end_ray() -> None:
    """End what has been started of Ray, which may have set handlers of signals."""
    _stop_on_signals()
    ray.shutdown()
    kill_descendants(os.getpid())


def banner(
    plan: LaunchPlan, total_s: float, *, dashboard: str | None, problem: str | None = None
) -> str:
    """Where the server answers, and one line to try. `dashboard` is a host and a port, `problem`
    why the first model is not there.
    """
    url = base_url(plan.http)
    token = '-H "Authorization: Bearer $API_TOKENS" ' if plan.application.args.auth.required else ""
    body = '{"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40}'
    models = "".join(f"{line}\n" for line in first_use_lines(plan.application.args))
    token_command = Path(sys.executable).with_name("ray")
    sign_in = (
        f"  dashboard http://{dashboard} (its token: {token_command} get-auth-token)\n"
        if dashboard
        else ""
    )
    state = (
        f"ready after {total_s:.1f} s\n"
        if problem is None
        else f"NOT READY after {total_s:.1f} s: {first_model(plan.application.args)} cannot answer."
        f"\n  {problem}\n  Requests for it try again; all else is served.\n"
    )
    return (
        f"{state}"
        f"{models}"
        f"  base URL  {url}/v1\n"
        f"  docs      {url}/docs\n"
        f"{sign_in}"
        f"  try       curl {url}/v1/chat/completions {token}"
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def _stop_on_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop_once)


def _stop_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    """The first signal unwinds `run`, the second ends everything at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _force)
    raise StopSignal


def _force(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    kill_descendants(os.getpid())
    os._exit(FORCED)


def _stop() -> None:
    """Let requests end, then everything; Serve may hang on a broken cluster, so it gets a limit."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _force)
    orderly = threading.Thread(target=_shut_down, daemon=True)
    orderly.start()
    orderly.join(STOP_PATIENCE_S)
    end_descendants(os.getpid(), patience_s=1.0)


def _shut_down() -> None:
    if ray.is_initialized():
        # Not before it is needed: it takes 30 MiB.
        from ray import serve

        logging.getLogger("ray.serve").setLevel(logging.ERROR)
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()
