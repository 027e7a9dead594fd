"""`python -m serve_app.database copy SOURCE TARGET`: move the server to another database."""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from serve_app.database.connection import Database
from serve_app.database.copy import TargetNotEmpty, copy
from serve_app.database.migrate import SchemaTooNew


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything was copied, 1 when nothing was."""
    options = _parser().parse_args(arguments)
    source, target = Database(options.source), Database(options.target)
    try:
        copied = copy(source, target)
    except (TargetNotEmpty, SchemaTooNew, SQLAlchemyError) as error:
        sys.stderr.write(f"nothing was copied: {str(error).splitlines()[0]}\n")
        return 1
    finally:
        source.close()
        target.close()
    for table, count in copied.items():
        sys.stdout.write(f"{table}: {count}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serve_app.database", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("copy", help="copy every row; stop the server first")
    command.add_argument("source", help="for example sqlite:///.data/polyphony.sqlite")
    command.add_argument("target", help="for example postgresql://user:password@host/polyphony")
    return parser


if __name__ == "__main__":
    sys.exit(main())
