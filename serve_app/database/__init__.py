"""The database: tables, migrations and transactions."""
