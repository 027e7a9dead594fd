"""What must outlive a restart and is not bytes: tables, migrations, transactions."""
