"""Bring a database to the schema of this version, or refuse one that is newer."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from serve_app.database.connection import Database

LOCK = 7_065_127
"""Any number: the advisory lock under which Postgres is migrated by one process at a time."""


class SchemaTooNew(Exception):
    """The database was written by a later version of the server."""


def migrate(database: Database) -> None:
    """Apply the missing migrations in one transaction. Blocks. Safe to call from many processes.

    Raises SchemaTooNew without touching anything when the database knows a migration that this
    version does not.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    with database.engine.begin() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise SchemaTooNew(
                f"the database has schema {current!r}, which this version does not know; "
                "start the version that wrote it, or restore a backup"
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
