"""Moving everything to another database, from SQLite to Postgres above all."""

from sqlalchemy import Connection, Table, func, insert, select, text

from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.database.schema import Table as Root

ROWS = 500


class TargetNotEmpty(Exception):
    """The target holds rows already, which a copy would mix up."""


def copy(source: Database, target: Database) -> dict[str, int]:
    """Bring both to the current schema and copy every row in one transaction; rows by table.

    The server must be stopped: what it writes meanwhile would be missed. Jobs that had not ended
    begin anew from their first stage, because recorded stages stay behind.
    """
    migrate(source)
    migrate(target)
    tables = Root.metadata.sorted_tables
    with source.engine.begin() as old, target.engine.begin() as new:
        for table in tables:
            if new.scalar(select(func.count()).select_from(table)):
                raise TargetNotEmpty(f"the table {table.name!r} of the target is not empty")
        copied = {table.name: _copy_table(table, old, new) for table in tables}
        new.execute(text("UPDATE jobs SET executor = NULL"))
        if not target.is_sqlite:
            for table in tables:
                _continue_numbers(table, new)
    return copied


def _copy_table(table: Table, old: Connection, new: Connection) -> int:
    count = 0
    rows = old.execution_options(yield_per=ROWS).execute(select(table))
    for part in rows.mappings().partitions(ROWS):
        new.execute(insert(table), [dict(row) for row in part])
        count += len(part)
    return count


def _continue_numbers(table: Table, new: Connection) -> None:
    """Postgres numbers rows by sequences, which copied rows do not advance."""
    for column in table.primary_key.columns:
        if table.autoincrement_column is column:
            sequence = new.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
            highest = new.scalar(select(func.max(column)))
            if sequence and highest:
                new.execute(select(func.setval(sequence, highest)))
