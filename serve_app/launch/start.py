"""Starts the server on this machine from a Serve configuration file."""

import argparse
import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

from serve_app.launch.config_file import ConfigurationError, LaunchPlan, read_plan
from serve_app.launch.environment import load_environment, one_machine, runtime_directory
from serve_app.launch.ports import port_problem
from serve_app.launch.ray_token import token_notices
from serve_app.runtime.temporary_files import machine_folder, private_folder

CONFIGURATION = 2
ENVIRONMENT_FILE = "serve.env"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after an orderly stop, 1 when the start failed, 2 for a wrong configuration."""
    options = _parser().parse_args(arguments)
    return start(options.config, host=options.host, port=options.port, dashboard=options.dashboard)


def start(config: Path, *, host: str | None, port: int | None, dashboard: bool) -> int:
    """Run until a signal stops it; `host` and `port` replace those of the file. An exit status."""
    try:
        plan = read_plan(config, host=host, port=port)
        notices = prepare(plan, directories=(Path(), config.parent), environment=os.environ)
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return CONFIGURATION
    sys.stderr.writelines(f"{notice}\n" for notice in notices)
    # Ray reads the environment when it is imported.
    from serve_app.launch.server import run

    return run(plan, dashboard=dashboard)


def prepare(
    plan: LaunchPlan, *, directories: Sequence[Path], environment: MutableMapping[str, str]
) -> list[str]:
    """Check the port and complete the environment, from the first directory with a `serve.env`.
    What the user should know before the server starts.
    """
    http = plan.http
    problem = port_problem(http.host, http.port)
    if problem is not None:
        raise ConfigurationError(problem)
    files = [directory / ENVIRONMENT_FILE for directory in directories]
    found = next((file for file in files if file.exists()), None)
    notices = []
    if found is None:
        places = " or ".join(dict.fromkeys(str(directory.resolve()) for directory in directories))
        notices.append(
            f"no {ENVIRONMENT_FILE} in {places}: Ray Serve runs with its own defaults, several "
            "times slower; copy the one that comes with Polyphony"
        )
    else:
        load_environment(found, environment)
    # Said here, before every replica fails of it.
    private_folder(machine_folder())
    for name, value in one_machine(runtime_directory(http.port)).items():
        environment.setdefault(name, value)
    return [*notices, *token_notices(environment)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serve_app", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="a Serve configuration file")
    parser.add_argument("--host", help="instead of the file's http_options.host")
    parser.add_argument("--port", type=int, help="instead of the file's http_options.port")
    parser.add_argument("--dashboard", action="store_true", help="also start Ray's dashboard")
    return parser
