"""Deploys a server's application on the cluster that the launcher has started, as a program of its
own: what is imported to build it would stay in the launcher's memory while the server runs.

Its standard input is a socket, from which it reads the plan and the cluster's address, pickled, and
to which it writes when the application is deployed. Its exit status is 1 when the server cannot
start.
"""

import logging
import os
import pickle
import sys

import ray
from ray import serve

from serve_app.build import build
from serve_app.launch.config_file import LaunchPlan
from serve_app.launch.forked_workers import DEPLOYED
from serve_app.launch.phases import Phases, first_line, print_line

QUIET = {"log_level": "WARNING"}


def main() -> int:
    """Deploy; what goes wrong is said."""
    for name in ("ray", "ray.serve"):
        logging.getLogger(name).setLevel(logging.ERROR)
    plan, address = pickle.load(sys.stdin.buffer)
    # The launcher shows what the replicas say.
    ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    try:
        deploy(plan, Phases())
    except RuntimeError as error:
        print_line(f"the server cannot start: {first_line(error)}")
        return 1
    os.write(sys.stdin.fileno(), DEPLOYED)
    return 0


def deploy(plan: LaunchPlan, phases: Phases) -> None:
    """Start Serve and the application, on the cluster that this process is connected to."""
    with phases.phase("Serve"):
        serve.start(
            proxy_location=plan.file.proxy_location,
            http_options=plan.http.model_dump(exclude_none=True),
            logging_config=plan.file.logging_config or QUIET,
        )
    with phases.phase("families and ingress"):
        application = plan.application
        serve.run(
            build(application.args), name=application.name, route_prefix=application.route_prefix
        )


if __name__ == "__main__":
    sys.exit(main())
