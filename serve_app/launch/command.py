"""`polyphony`: starts the server, checks configurations, fetches models, moves the database."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from serve_app import __version__
from serve_app.launch.shipped import usual_configuration

CONFIG_HELP = "a Serve configuration file; without one, that for a machine without a GPU"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all went well, 1 when it did not, 2 for wrong arguments or a wrong configuration."""
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _serve(options: argparse.Namespace) -> int:
    from serve_app.launch.start import start

    config = options.config or usual_configuration()
    return start(config, host=options.host, port=options.port, dashboard=options.dashboard)


def _models(options: argparse.Namespace) -> int:
    from serve_app.launch.fetch_models import main as fetch

    return fetch(["--config", str(options.config or usual_configuration())])


def _check(options: argparse.Namespace) -> int:
    from serve_app.launch.check import check

    return check(options.config or usual_configuration(), options.node)


def _copy(options: argparse.Namespace) -> int:
    from serve_app.database.__main__ import main as database

    return database(["copy", options.source, options.target])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polyphony", description=__doc__)
    parser.add_argument("--version", action="version", version=f"polyphony {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="start the server on this machine")
    serve.add_argument("config", nargs="?", type=Path, help=CONFIG_HELP)
    serve.add_argument("--host", help="instead of the file's http_options.host")
    serve.add_argument("--port", type=int, help="instead of the file's http_options.port")
    serve.add_argument("--dashboard", action="store_true", help="also start Ray's dashboard")
    serve.set_defaults(run=_serve)

    models = commands.add_parser("models", help="fetch the models that are in packages")
    models.add_argument("config", nargs="?", type=Path, help=CONFIG_HELP)
    models.set_defaults(run=_models)

    check = commands.add_parser("check", help="what a configuration needs, and what is wrong")
    check.add_argument("config", nargs="?", type=Path, help=CONFIG_HELP)
    check.add_argument(
        "--node",
        action="append",
        default=[],
        metavar="GPUS:CPUS",
        help="a machine of the cluster, such as 8:96; once for each. Says whether all fits there",
    )
    check.set_defaults(run=_check)

    database = commands.add_parser("db", help="the database").add_subparsers(required=True)
    copy = database.add_parser("copy", help="copy every row; stop the server first")
    copy.add_argument("source", help="for example sqlite:///.data/polyphony.sqlite")
    copy.add_argument("target", help="for example postgresql://user:password@host/polyphony")
    copy.set_defaults(run=_copy)
    return parser


if __name__ == "__main__":
    sys.exit(main())
